//! What is tried.

use std::net::{IpAddr, SocketAddr};

use axum::Router;
use axum::http::StatusCode;
use axum::response::IntoResponse;

use crate::clients::{Names, filtered, unfiltered};
use crate::ranges::{RANGES, UNREACHABLE};
use crate::sink::Sink;

/// A host that the manifest names.
const HOST: &str = "api.example.com";

/// One attempt.
pub(crate) struct Attempt {
    /// What it is about.
    pub(crate) group: String,
    pub(crate) what: String,
    /// What names are told to be.
    answers: Vec<Vec<IpAddr>>,
    urls: Vec<String>,
    means: Means,
    /// Connections that must be there, or must not.
    expected: Expected,
}

/// By what it is tried.
enum Means {
    /// A name.
    Name,
    /// A simulator that redirects to this place.
    Redirect(StatusCode, &'static str),
    /// A simulator by a name that is told to be elsewhere.
    StandIn,
    /// A proxy that the environment names.
    Proxy,
}

enum Expected {
    /// Unfiltered only.
    Refused,
    /// By neither: the system doesn't.
    Nowhere,
    /// By both: it is public.
    Public,
}

/// Every attempt, in the table's order.
pub(crate) fn all() -> Vec<Attempt> {
    let mut all: Vec<Attempt> = Vec::new();
    for range in RANGES {
        for address in range.addresses {
            let attempt = named(
                format!("{} {}", range.name, range.prefix),
                *address,
                &[&[address]],
            );
            let expected = if range.no_tcp {
                Expected::Nowhere
            } else {
                Expected::Refused
            };
            all.push(Attempt {
                expected,
                ..attempt
            });
        }
    }
    all.extend(literals());
    all.extend(changing());
    all.extend(LOOK_ALIKES.iter().map(|host| Attempt {
        urls: vec![format!("https://{host}/")],
        ..named("a name that the manifest has not", *host, &[&["10.4.4.4"]])
    }));
    for status in [301, 302, 303, 307, 308] {
        let status = StatusCode::from_u16(status).unwrap();
        for place in REDIRECTS {
            all.push(Attempt {
                means: Means::Redirect(status, place),
                ..named(
                    "a redirect",
                    format!("{} to {place}", status.as_u16()),
                    &[&["10.5.5.5"]],
                )
            });
        }
    }
    all.push(Attempt {
        means: Means::StandIn,
        ..named(
            "a simulator",
            "`localhost` is told to be 10.6.6.6",
            &[&["10.6.6.6"]],
        )
    });
    all.push(Attempt {
        means: Means::Proxy,
        ..named(
            "a proxy",
            "in the environment, at 10.3.3.3",
            &[&[UNREACHABLE]],
        )
    });
    for address in ["8.8.8.8", "2606:4700::1111"] {
        all.push(Attempt {
            expected: Expected::Public,
            ..named("public", address, &[&[address]])
        });
    }
    all
}

/// The host of the manifest is told to be at these addresses, one answer a time.
fn named(group: impl Into<String>, what: impl Into<String>, answers: &[&[&str]]) -> Attempt {
    let answers = answers.iter();
    Attempt {
        group: group.into(),
        what: what.into(),
        answers: answers
            .map(|answer| answer.iter().map(|one| one.parse().unwrap()).collect())
            .collect(),
        urls: vec![format!("https://{HOST}/")],
        means: Means::Name,
        expected: Expected::Refused,
    }
}

/// Addresses in place of a name, in the spellings that a URL may have.
fn literals() -> impl Iterator<Item = Attempt> {
    const SPELLINGS: &[(&str, &[&str])] = &[
        (
            "dotted",
            &[
                "127.0.0.1",
                "10.0.0.1",
                "169.254.169.254",
                "0.0.0.0",
                "127.0.0.1.",
            ],
        ),
        ("decimal", &["2130706433", "2852039166", "167772161", "0"]),
        (
            "hexadecimal",
            &[
                "0x7f000001",
                "0xa9fea9fe",
                "0X7F.0.0.1",
                "0x7f.0x0.0x0.0x1",
                "0x0a000001",
            ],
        ),
        (
            "octal",
            &[
                "0177.0.0.1",
                "017700000001",
                "0251.0376.0251.0376",
                "012.0.0.1",
                "00000177.0.0.1",
            ],
        ),
        (
            "mixed",
            &[
                "0x7f.1",
                "0177.0x0.1",
                "169.0376.43518",
                "0xa9.254.0251.254",
            ],
        ),
        ("short", &["127.1", "127.0.1", "10.1", "169.254.43518"]),
        (
            "in brackets",
            &["[::1]", "[::]", "[0:0:0:0:0:0:0:1]", "[0000::0001]"],
        ),
        (
            "mapped",
            &[
                "[::ffff:127.0.0.1]",
                "[::ffff:7f00:1]",
                "[::ffff:a9fe:a9fe]",
                "[0:0:0:0:0:ffff:10.0.0.1]",
            ],
        ),
        (
            "NAT64",
            &[
                "[64:ff9b::7f00:1]",
                "[64:ff9b::169.254.169.254]",
                "[64:ff9b:1::a00:1]",
            ],
        ),
        (
            "of their own",
            &[
                "[fd00:ec2::254]",
                "[fc00::1]",
                "[2001:db8::1]",
                "[2002:7f00:1::]",
            ],
        ),
        (
            "full-width",
            &["１２７.０.０.１", "127。0。0。1", "①②⑦.⓪.⓪.①", "１０.0.0.1"],
        ),
        (
            "percent-encoded",
            &["%31%32%37.0.0.1", "127%2e0%2e0%2e1", "%30x7f.1"],
        ),
    ];
    let spelled = SPELLINGS.iter().flat_map(|(how, hosts)| {
        let hosts = hosts.iter();
        hosts.map(move |host| (*how, format!("https://{host}/")))
    });
    let around = [
        ("user name", "https://api.example.com@127.0.0.1/"),
        ("user name", "https://api.example.com:443@169.254.169.254/"),
        ("user name", "https://api.example.com%2f@10.0.0.1/"),
        ("user name", "https://u:p@[::1]/"),
        ("backslash", "https://127.0.0.1\\@api.example.com/"),
        ("slashes", "https:/\\/10.0.0.1/"),
        ("slashes", "https:10.0.0.1/"),
        ("line end", "https://10.0.0\r\n.1/"),
        ("port", "https://127.0.0.1:8443/"),
        ("port", "https://10.0.0.1:80/"),
        ("scheme", "http://127.0.0.1/"),
        ("scheme", "http://169.254.169.254/latest/meta-data/"),
        ("scheme", "http://api.example.com/"),
        ("scheme", "http://api.example.com:8080/"),
        ("port", "https://api.example.com:8443/"),
    ];
    let around = around.map(|(how, url)| (how, url.to_owned()));
    spelled.chain(around).map(|(how, url)| Attempt {
        urls: vec![url.clone()],
        ..named(
            format!("a spelling: {how}"),
            url.escape_default().to_string(),
            &[&["10.0.0.1"]],
        )
    })
}

/// Names of another host that look like the manifest's.
const LOOK_ALIKES: &[&str] = &[
    "api.example.com.evil.example",
    "api-example.com",
    "example.com",
    "xapi.example.com",
    "api.example.com.",
    "аpi.example.com",
    "api.example。com.evil.example",
    "localhost",
    "localhost.",
    "127.0.0.1.nip.io",
    "metadata.google.internal",
    "instance-data",
    "kubernetes.default.svc",
    "host.docker.internal",
];

/// Places of redirects.
const REDIRECTS: &[&str] = &[
    "http://169.254.169.254/latest/meta-data/",
    "https://10.0.0.1/",
    "http://[fd00:ec2::254]/",
    "//10.0.0.1:8080/",
    "https://api.example.com/again",
];

/// Name servers whose answers change, or say several things.
fn changing() -> impl Iterator<Item = Attempt> {
    const PRIVATE: &str = "10.2.2.2";
    const CASES: [(&str, &[&[&str]]); 7] = [
        (
            "public at first, private when dialled",
            &[&[UNREACHABLE], &[PRIVATE]],
        ),
        (
            "private at first, public afterwards",
            &[&[PRIVATE], &[UNREACHABLE]],
        ),
        (
            "public twice, then private",
            &[&[UNREACHABLE], &[UNREACHABLE], &[PRIVATE]],
        ),
        (
            "public and private in one answer",
            &[&[UNREACHABLE, PRIVATE]],
        ),
        (
            "private and public in one answer",
            &[&[PRIVATE, UNREACHABLE]],
        ),
        (
            "both families in one answer",
            &[&[UNREACHABLE, "fd00::2", "::ffff:10.2.2.2", "::1"]],
        ),
        (
            "metadata behind an unreachable name",
            &[&[UNREACHABLE], &["169.254.169.254"]],
        ),
    ];
    CASES.into_iter().map(|(what, answers)| {
        let attempt = named("answers that change", what, answers);
        // Once more for each answer, on kept clients.
        let urls = (0..4)
            .map(|turn| format!("https://{HOST}/{turn}"))
            .collect();
        Attempt { urls, ..attempt }
    })
}

impl Attempt {
    /// Tries it unfiltered and filtered; answers how many connections came of each.
    pub(crate) async fn make(&self, sink: &Sink) -> (usize, usize) {
        let names = || Names::of(&self.answers);
        let (mut urls, mut stand_ins) = (self.urls.clone(), Vec::new());
        let mut unfiltered_urls = urls.clone();
        match &self.means {
            Means::Name | Means::Proxy => {}
            Means::StandIn => {
                stand_ins.push((
                    "https://api.example.com",
                    "http://localhost:8080".to_owned(),
                ));
                unfiltered_urls = vec!["http://localhost:8080/".to_owned()];
            }
            Means::Redirect(status, place) => {
                let simulator = redirecting(*status, place).await;
                stand_ins.push(("https://sim.example.com", format!("http://{simulator}")));
                urls = vec!["https://sim.example.com/".to_owned()];
                unfiltered_urls = vec![format!("http://{simulator}/")];
            }
        }
        let proxied = matches!(self.means, Means::Proxy);
        unfiltered(&names(), proxied, &unfiltered_urls).await;
        let unfiltered = sink.called().len();
        let hosts = [HOST, "sim.example.com"];
        let came = filtered(&names(), &hosts, &stand_ins, &urls).await;
        if let Means::Redirect(status, _) = &self.means {
            // It comes back as it is.
            assert_eq!(came, [status.as_u16().to_string()]);
        }
        (unfiltered, sink.called().len())
    }

    /// What is wrong with these numbers, if anything is.
    pub(crate) fn complaint(&self, unfiltered: usize, filtered: usize) -> Option<String> {
        let right = match self.expected {
            Expected::Refused => unfiltered > 0 && filtered == 0,
            Expected::Nowhere => unfiltered == 0 && filtered == 0,
            Expected::Public => unfiltered > 0 && filtered > 0,
        };
        let made = format!("{unfiltered} connections without the filter, {filtered} with it");
        (!right).then_some(made)
    }
}

/// A server that answers with a redirect.
async fn redirecting(status: StatusCode, place: &'static str) -> SocketAddr {
    let headers = [("location", place), ("refresh", "0; url=http://10.5.5.5/")];
    let router =
        Router::new().fallback(move || async move { (status, headers, "moved").into_response() });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    address
}
