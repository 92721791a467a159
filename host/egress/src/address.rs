//! Which addresses are on the public internet.
//!
//! IPv4 is public unless a special range says otherwise. IPv6 is the other way
//! round: only global unicast (2000::/3) is public, minus its special ranges.
//! An IPv6 form that carries an IPv4 address reaches that address, so it is
//! judged by it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// True if connections to this address stay outside our own networks.
#[must_use]
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    !matches!(
        address.octets(),
        [0, ..]                             // this network
            | [10, ..]                      // private
            | [100, 64..=127, ..]           // carrier-grade NAT
            | [127, ..]                     // loopback
            | [168, 63, 129, 16]            // a cloud's host, from within its machines
            | [169, 254, ..]                // link-local, cloud metadata
            | [172, 16..=31, ..]            // private
            | [192, 0, 0, _]                // protocol assignments
            | [192, 0, 2, _]                // documentation
            | [192, 88, 99, _]              // 6to4 relays
            | [192, 168, ..]                // private
            | [198, 18..=19, ..]            // benchmarks
            | [198, 51, 100, _]             // documentation
            | [203, 0, 113, _]              // documentation
            | [224..=255, ..] // multicast, reserved, broadcast
    )
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    if let Some(carried) = carried_v4(address) {
        return carried.into_iter().flatten().all(is_public_v4);
    }
    match address.segments() {
        [0x2001, 0..=0x01ff, ..] => false, // protocol assignments, benchmarks, ORCHID
        [0x2001, 0x0db8, ..] => false,     // documentation
        [0x3fff, 0..=0x0fff, ..] => false, // documentation
        [first, ..] => first & 0xe000 == 0x2000, // global unicast
    }
}

/// The IPv4 addresses that an IPv6 address stands for, if it is of such a form.
fn carried_v4(address: Ipv6Addr) -> Option<[Option<Ipv4Addr>; 2]> {
    let v4 = |high: u16, low: u16| {
        let [a, b] = high.to_be_bytes();
        let [c, d] = low.to_be_bytes();
        Some(Ipv4Addr::new(a, b, c, d))
    };
    match address.segments() {
        // Compatible (::/96, which holds :: and ::1), mapped, and translated.
        [0, 0, 0, 0, 0, 0, high, low]
        | [0, 0, 0, 0, 0, 0xffff, high, low]
        | [0, 0, 0, 0, 0xffff, 0, high, low]
        | [0x0064, 0xff9b, 0, 0, 0, 0, high, low] => Some([v4(high, low), None]),
        // 6to4.
        [0x2002, high, low, ..] => Some([v4(high, low), None]),
        // Teredo: the server's address, and the client's with its bits flipped.
        [0x2001, 0, high, low, _, _, client_high, client_low] => {
            Some([v4(high, low), v4(!client_high, !client_low)])
        }
        // ISATAP under a global prefix. A prefix that is not public stays so.
        [first, _, _, _, 0 | 0x0200, 0x5efe, high, low] if first & 0xe000 == 0x2000 => {
            Some([v4(high, low), None])
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing
    )]

    use super::*;

    #[test]
    fn every_range_at_both_ends() {
        let refused = [
            "0.0.0.0",
            "0.255.255.255",
            "10.0.0.0",
            "10.255.255.255",
            "100.64.0.0",
            "100.127.255.255",
            "127.0.0.0",
            "127.0.0.1",
            "127.255.255.255",
            "168.63.129.16",
            "169.254.0.0",
            "169.254.169.254",
            "169.254.255.255",
            "172.16.0.0",
            "172.31.255.255",
            "192.0.0.0",
            "192.0.0.255",
            "192.0.2.0",
            "192.0.2.255",
            "192.88.99.1",
            "192.168.0.0",
            "192.168.255.255",
            "198.18.0.0",
            "198.19.255.255",
            "198.51.100.0",
            "198.51.100.255",
            "203.0.113.0",
            "203.0.113.255",
            "224.0.0.0",
            "239.255.255.255",
            "240.0.0.0",
            "255.255.255.254",
            "255.255.255.255",
            // IPv6 of its own.
            "::",
            "::1",
            "fc00::",
            "fd00::1",
            "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
            "fe80::1",
            "febf::1",
            "fec0::1",
            "feff::1",
            "ff00::",
            "ff02::1",
            "ffff::1",
            "2001:db8::1",
            "2001:db8:ffff::1",
            "3fff::1",
            "3fff:fff::1",
            "100::1",
            "2001:2::1",
            "2001:10::1",
            "2001:20::1",
            "2001:1::1",
            "5f00::1",
            "64:ff9b:1::1",
            "fd00:ec2::254",
            "1::1",
            "4000::1",
            // IPv6 that carries IPv4.
            "::127.0.0.1",
            "::10.0.0.1",
            "::ffff:127.0.0.1",
            "::ffff:10.1.2.3",
            "::ffff:169.254.169.254",
            "::ffff:168.63.129.16",
            "::ffff:0.0.0.0",
            "::ffff:100.100.100.200",
            "::ffff:255.255.255.255",
            "::ffff:7f00:1",
            "::ffff:0:10.0.0.1",
            "64:ff9b::10.0.0.1",
            "64:ff9b::a9fe:a9fe",
            "2002:7f00:1::1",
            "2002:a00:1::",
            "2002:c0a8:101::1",
            "2002:a9fe:a9fe::",
            "2002::1",
            "64:ff9b::",
            "64:ff9b::100.64.0.1",
            "64:ff9b::198.18.0.1",
            "64:ff9b::224.0.0.1",
            "64:ff9b:1:ffff:ffff:ffff:ffff:ffff",
            "64:ff9b:1::8.8.8.8",
            "64:ff9b:0:1::8.8.8.8",
            "100::",
            "100:0:0:1::1",
            "2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff",
            "fe80::8.8.8.8",
            "2001:0:7f00:1::1",
            "2001:0:808:808::f5ff:fffe",
            "2001:0:808:808::5601:5601",
            "2a00:1450::5efe:10.0.0.1",
            "2a00:1450::200:5efe:192.168.0.1",
            "fe80::5efe:8.8.8.8",
        ];
        for text in refused {
            assert!(!is_public(text.parse().unwrap()), "{text} must be refused");
        }
        let accepted = [
            "1.0.0.0",
            "8.8.8.8",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
            "128.0.0.0",
            "168.63.129.15",
            "169.253.255.255",
            "169.255.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "191.255.255.255",
            "192.0.1.0",
            "192.0.3.0",
            "192.88.98.255",
            "192.88.100.0",
            "192.167.255.255",
            "192.169.0.0",
            "198.17.255.255",
            "198.20.0.0",
            "198.51.99.255",
            "198.51.101.0",
            "203.0.112.255",
            "203.0.114.0",
            "223.255.255.255",
            "2000::1",
            "2001:200::1",
            "2001:4860:4860::8888",
            "2606:4700::1111",
            "2a00:1450:4001::200e",
            "2001:db7::1",
            "2001:db9::1",
            "3ffe::1",
            "3fff:1000::1",
            "::ffff:8.8.8.8",
            "::8.8.8.8",
            "64:ff9b::8.8.8.8",
            "2002:808:808::1",
            "2001:0:808:808::f7f7:f7f7",
            "2a00:1450::5efe:8.8.8.8",
        ];
        for text in accepted {
            assert!(is_public(text.parse().unwrap()), "{text} must be accepted");
        }
    }
}
