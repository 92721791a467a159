//! A guest's URL and where it leads: what is let through is https, to a host of the
//! manifest by name, at its port, without a user.

#![no_main]

use std::net::IpAddr;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use rollout_egress::{HostRule, Policy, fuzzing, is_public};

static POLICY: LazyLock<Policy> = LazyLock::new(|| {
    let hosts = [
        "api.example.com",
        "*.wild.example.net",
        "odd.example.org:8443",
    ];
    Policy {
        connector: "fuzzed".to_owned(),
        hosts: hosts.map(|host| HostRule::new(host, |_| None)).into(),
        bindings: Vec::new(),
        placements: Vec::new(),
    }
});

fuzz_target!(|given: (&str, [u8; 16])| {
    let (text, address) = given;
    for text in [
        text.to_owned(),
        format!("https://{text}"),
        format!("https://api.example.com{text}"),
    ] {
        if let Some(url) = fuzzing::admitted(&POLICY, &text) {
            assert_eq!(url.scheme(), "https");
            assert!(url.username().is_empty() && url.password().is_none());
            let host = url.domain().expect("a name");
            let named = match url.port() {
                None => host == "api.example.com" || host.ends_with(".wild.example.net"),
                Some(port) => host == "odd.example.org" && port == 8443,
            };
            assert!(named, "{url}");
        }
    }
    // An address is as public as what it is mapped from.
    let v6 = std::net::Ipv6Addr::from(address);
    if let Some(v4) = v6.to_ipv4_mapped() {
        assert!(!is_public(IpAddr::V6(v6)) || is_public(IpAddr::V4(v4)));
    }
    let [a, b, c, d, ..] = address;
    let v4 = std::net::Ipv4Addr::new(a, b, c, d);
    if v4.is_private() || v4.is_loopback() || v4.is_link_local() || v4.is_multicast() || a == 0 {
        assert!(!is_public(IpAddr::V4(v4)), "{v4}");
        assert!(!is_public(IpAddr::V6(v4.to_ipv6_mapped())), "{v4}");
        assert!(!is_public(IpAddr::V6(v4.to_ipv6_compatible())), "{v4}");
    }
});
