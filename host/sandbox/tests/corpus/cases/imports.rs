//! Guests that ask for what a connector does not get.

use crate::case::{Case, Kind};
use crate::guest::probing;

pub(crate) fn cases() -> Vec<Case> {
    let mut cases: Vec<Case> = [
        "wasi:filesystem/types@0.2.6",
        "wasi:filesystem/preopens@0.2.6",
        "wasi:sockets/network@0.2.6",
        "wasi:sockets/instance-network@0.2.6",
        "wasi:sockets/tcp@0.2.6",
        "wasi:sockets/tcp-create-socket@0.2.6",
        "wasi:sockets/udp@0.2.6",
        "wasi:sockets/ip-name-lookup@0.2.6",
        "wasi:cli/run@0.2.6",
        "wasi:cli/environment@0.3.0",
        "wasi:random/random@0.1.0",
        "rollout:connector/http@0.2.0",
        "rollout:connector/secrets@0.1.0",
        "rollout:host/shell@0.1.0",
    ]
    .into_iter()
    .map(|name| {
        let file =
            move || wat::parse_str(format!(r#"(component (import "{name}" (instance)))"#)).unwrap();
        Case::of_file(
            format!("import {name}"),
            file,
            Kind::Refused,
            format!("`{name}`"),
        )
    })
    .collect();
    // What is offered so that programs link has nothing in it: else these crash.
    let empty = |call: &str| {
        format!(
            "(call {call} (i32.const 2048))
             (if (i32.or (i32.load8_u (i32.const 2048)) (i32.load (i32.const 2052))) (then (unreachable)))
             (i32.const 1024)"
        )
    };
    cases.extend(
        [
            ("environment variables", "$environment"),
            ("arguments", "$arguments"),
            ("a working directory", "$cwd"),
        ]
        .map(|(name, call)| Case::new(name, probing(&empty(call)), Kind::Answers, "")),
    );
    cases
}
