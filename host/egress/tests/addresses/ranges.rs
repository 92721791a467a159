//! The ranges that are not the public internet, by the registries of special-purpose
//! addresses, and addresses of each.

/// A range.
pub(crate) struct Range {
    /// What it is for.
    pub(crate) name: &'static str,
    pub(crate) prefix: &'static str,
    /// Some of its addresses, its first and last among them where they can be called.
    pub(crate) addresses: &'static [&'static str],
    /// No connection can go there, filter or not: groups, everybody, and addresses that
    /// need a zone.
    pub(crate) no_tcp: bool,
}

const fn range(
    name: &'static str,
    prefix: &'static str,
    addresses: &'static [&'static str],
) -> Range {
    Range {
        name,
        prefix,
        addresses,
        no_tcp: false,
    }
}

const fn no_tcp(
    name: &'static str,
    prefix: &'static str,
    addresses: &'static [&'static str],
) -> Range {
    Range {
        no_tcp: true,
        ..range(name, prefix, addresses)
    }
}

/// Public addresses that are here, too: the egress connects to those.
pub(crate) const PUBLIC: [&str; 2] = ["8.8.8.8/32", "2606:4700::1111/128"];

/// A public address to which there is no way.
pub(crate) const UNREACHABLE: &str = "9.9.9.9";

pub(crate) const RANGES: &[Range] = &[
    range(
        "this network",
        "0.0.0.0/8",
        &["0.0.0.0", "0.0.0.1", "0.255.255.255"],
    ),
    range(
        "private",
        "10.0.0.0/8",
        &["10.0.0.0", "10.0.0.1", "10.255.255.255"],
    ),
    range(
        "carrier-grade NAT",
        "100.64.0.0/10",
        &["100.64.0.0", "100.100.100.200", "100.127.255.255"],
    ),
    range(
        "loopback",
        "127.0.0.0/8",
        &["127.0.0.1", "127.0.0.0", "127.1.2.3", "127.255.255.254"],
    ),
    range(
        "link-local",
        "169.254.0.0/16",
        &["169.254.0.1", "169.254.255.255"],
    ),
    range("metadata", "169.254.169.254/32", &["169.254.169.254"]),
    range("metadata of tasks", "169.254.170.2/32", &["169.254.170.2"]),
    range(
        "private",
        "172.16.0.0/12",
        &["172.16.0.0", "172.17.0.1", "172.31.255.255"],
    ),
    range(
        "protocol assignments",
        "192.0.0.0/24",
        &["192.0.0.0", "192.0.0.170", "192.0.0.192", "192.0.0.255"],
    ),
    range(
        "documentation",
        "192.0.2.0/24",
        &["192.0.2.0", "192.0.2.255"],
    ),
    range(
        "6to4 relays",
        "192.88.99.0/24",
        &["192.88.99.0", "192.88.99.1", "192.88.99.255"],
    ),
    range(
        "private",
        "192.168.0.0/16",
        &["192.168.0.0", "192.168.1.1", "192.168.255.255"],
    ),
    range(
        "benchmarks",
        "198.18.0.0/15",
        &["198.18.0.0", "198.19.255.255"],
    ),
    range(
        "documentation",
        "198.51.100.0/24",
        &["198.51.100.0", "198.51.100.255"],
    ),
    range(
        "documentation",
        "203.0.113.0/24",
        &["203.0.113.0", "203.0.113.255"],
    ),
    no_tcp(
        "multicast",
        "224.0.0.0/4",
        &["224.0.0.1", "239.255.255.255"],
    ),
    range("reserved", "240.0.0.0/4", &["240.0.0.0", "255.255.255.254"]),
    no_tcp("broadcast", "255.255.255.255/32", &["255.255.255.255"]),
    range("unspecified", "::/128", &["::"]),
    range("loopback", "::1/128", &["::1"]),
    range(
        "IPv4, compatible",
        "::/96",
        &["::127.0.0.1", "::10.0.0.1", "::a9fe:a9fe", "::ffff:ffff"],
    ),
    // These go out as IPv4 does.
    range(
        "IPv4, mapped",
        "::ffff:0:0/96",
        &[
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::ffff:169.254.169.254",
            "::ffff:c0a8:101",
            "::ffff:0.0.0.0",
        ],
    ),
    range(
        "IPv4, translated",
        "::ffff:0:0:0/96",
        &["::ffff:0:10.0.0.1", "::ffff:0:a9fe:a9fe"],
    ),
    range(
        "IPv4 by NAT64",
        "64:ff9b::/96",
        &["64:ff9b::10.0.0.1", "64:ff9b::a9fe:a9fe", "64:ff9b::7f00:1"],
    ),
    range(
        "local NAT64",
        "64:ff9b:1::/48",
        &["64:ff9b:1::", "64:ff9b:1::8.8.8.8", "64:ff9b:1:ffff::a00:1"],
    ),
    range("discard", "100::/64", &["100::", "100::1"]),
    range("dummy", "100:0:0:1::/64", &["100:0:0:1::1"]),
    range(
        "Teredo",
        "2001::/32",
        &["2001:0:7f00:1::1", "2001:0:808:808::f5ff:fffe"],
    ),
    range(
        "protocol assignments",
        "2001:1::/32",
        &["2001:1::1", "2001:1::2"],
    ),
    range(
        "benchmarks",
        "2001:2::/48",
        &["2001:2::", "2001:2:0:ffff::1"],
    ),
    range("multicast tunnels", "2001:3::/32", &["2001:3::1"]),
    range("ORCHID", "2001:10::/28", &["2001:10::1", "2001:1f:ffff::1"]),
    range(
        "ORCHIDv2",
        "2001:20::/28",
        &["2001:20::1", "2001:2f:ffff::1"],
    ),
    range(
        "documentation",
        "2001:db8::/32",
        &["2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff"],
    ),
    range(
        "6to4 of what is private",
        "2002:a00::/24",
        &["2002:a00:1::1", "2002:aff:ffff::"],
    ),
    range(
        "6to4 of metadata",
        "2002:a9fe:a9fe::/48",
        &["2002:a9fe:a9fe::1"],
    ),
    range("6to4 of loopback", "2002:7f00::/24", &["2002:7f00:1::1"]),
    range(
        "ISATAP of what is private",
        "2a00:1450::5efe:a00:0/104",
        &["2a00:1450::5efe:10.0.0.1"],
    ),
    range(
        "documentation",
        "3fff::/20",
        &["3fff::1", "3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff"],
    ),
    range("segment routing", "5f00::/16", &["5f00::1", "5f00:ffff::1"]),
    range("not assigned", "4000::/3", &["4000::1", "5eff::1"]),
    range(
        "unique local",
        "fc00::/7",
        &[
            "fc00::",
            "fd00::1",
            "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
        ],
    ),
    range("metadata", "fd00:ec2::254/128", &["fd00:ec2::254"]),
    range("metadata", "fd20:ce::254/128", &["fd20:ce::254"]),
    no_tcp(
        "link-local",
        "fe80::/10",
        &["fe80::1", "febf::1", "fe80::a9fe:a9fe"],
    ),
    range("site-local", "fec0::/10", &["fec0::1", "feff::1"]),
    no_tcp("multicast", "ff00::/8", &["ff02::1", "ff05::1", "ff0e::1"]),
];
