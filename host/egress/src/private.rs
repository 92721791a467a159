//! Receivers inside of our own network that the operator allows:
//! `webhooks.allowed_private`.

use std::net::IpAddr;
use std::str::FromStr;

/// One entry: `10.0.0.0/8`, `127.0.0.1:3000`, `[::1]:3000` or `hooks.internal:8080`;
/// without a port it is all of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Private {
    who: Who,
    port: Option<u16>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Who {
    /// All addresses that begin with so many bits of this one.
    Net(IpAddr, u8),
    /// A name, wherever it leads.
    Name(String),
}

/// An entry can't be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is neither a network like 10.0.0.0/8, nor an address or a name, each with or without a \
     port, like 127.0.0.1:3000"
)]
pub struct PrivateError(String);

impl FromStr for Private {
    type Err = PrivateError;

    fn from_str(text: &str) -> Result<Private, PrivateError> {
        read(text).ok_or_else(|| PrivateError(text.to_owned()))
    }
}

fn read(text: &str) -> Option<Private> {
    let net = |address: IpAddr, bits: u8, port| {
        let whole = if address.is_ipv4() { 32 } else { 128 };
        let who = Who::Net(address, bits);
        (bits <= whole).then_some(Private { who, port })
    };
    let whole = |address: IpAddr| if address.is_ipv4() { 32 } else { 128 };
    if let Some((address, bits)) = text.split_once('/') {
        return net(address.parse().ok()?, bits.parse().ok()?, None);
    }
    if let Ok(address) = text.parse::<IpAddr>() {
        return net(address, whole(address), None);
    }
    if let Ok(address) = text.parse::<std::net::SocketAddr>() {
        return net(address.ip(), whole(address.ip()), Some(address.port()));
    }
    let (name, port) = match text.split_once(':') {
        Some((name, port)) => (name, Some(port.parse().ok()?)),
        None => (text, None),
    };
    // As the parser of URLs writes names.
    let url = url::Url::parse(&format!("http://{name}/")).ok()?;
    let same = matches!(url.host(), Some(url::Host::Domain(host)) if host == name);
    same.then(|| Private {
        who: Who::Name(name.to_owned()),
        port,
    })
}

impl Private {
    /// The port that it is about; none: all.
    pub(crate) fn port(&self) -> Option<u16> {
        self.port
    }

    /// Whether it is about this port.
    pub(crate) fn is_of(&self, port: u16) -> bool {
        self.port.is_none_or(|own| own == port)
    }

    /// Whether this address may be called, whatever its name.
    pub(crate) fn has_address(&self, address: IpAddr) -> bool {
        match &self.who {
            Who::Net(net, bits) => shares(*net, address.to_canonical(), *bits),
            Who::Name(_) => false,
        }
    }

    /// Whether this name may be called, whatever its addresses.
    pub(crate) fn has_name(&self, name: &str) -> bool {
        matches!(&self.who, Who::Name(own) if own == name)
    }
}

/// Whether two addresses begin with the same bits.
fn shares(one: IpAddr, other: IpAddr, bits: u8) -> bool {
    // Of the shift by all bits nothing would be left to compare.
    let differ = |difference: u128, width: u32| {
        let rest = width.saturating_sub(bits.into());
        difference.checked_shr(rest).unwrap_or(0)
    };
    match (one, other) {
        (IpAddr::V4(one), IpAddr::V4(other)) => {
            differ((one.to_bits() ^ other.to_bits()).into(), 32) == 0
        }
        (IpAddr::V6(one), IpAddr::V6(other)) => differ(one.to_bits() ^ other.to_bits(), 128) == 0,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn networks_end_where_they_say() {
        let cases = [
            ("10.0.0.0/8", "10.255.255.255", true),
            ("10.0.0.0/8", "11.0.0.0", false),
            ("10.0.0.0/8", "::ffff:10.1.2.3", true),
            ("10.0.0.0/8", "::a00:1", false),
            ("192.168.4.4/31", "192.168.4.5", true),
            ("192.168.4.4/31", "192.168.4.6", false),
            ("127.0.0.1:3000", "127.0.0.1", true),
            ("127.0.0.1", "127.0.0.2", false),
            ("0.0.0.0/0", "203.0.113.9", true),
            ("0.0.0.0/0", "fd00::1", false),
            ("fd00::/8", "fdff::1", true),
            ("fd00::/8", "fe00::1", false),
            ("[::1]:80", "::1", true),
            ("::/0", "fd00::1", true),
        ];
        for (entry, address, inside) in cases {
            let entry: Private = entry.parse().unwrap();
            assert_eq!(
                entry.has_address(address.parse().unwrap()),
                inside,
                "{entry:?} {address}"
            );
        }
    }

    #[test]
    fn ports_and_names_are_exact() {
        let entry: Private = "hooks.internal:8080".parse().unwrap();
        assert!(entry.has_name("hooks.internal") && !entry.has_name("x.hooks.internal"));
        assert!(entry.is_of(8080) && !entry.is_of(80));
        assert!(!entry.has_address("10.0.0.1".parse().unwrap()));
        let any: Private = "localhost".parse().unwrap();
        assert!(any.is_of(1) && any.port().is_none());
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        for wrong in [
            "",
            "10.0.0.0/33",
            "::/129",
            "10.0.0/8",
            "http://x",
            "a b",
            "x:port",
            "X.y",
            "10.0.0.1:99999",
            "10.0.0.0/8:80",
        ] {
            let error = wrong.parse::<Private>().unwrap_err().to_string();
            assert!(
                error.contains(wrong) && error.contains("127.0.0.1:3000"),
                "{error}"
            );
        }
    }
}
