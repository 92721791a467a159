//! The namespace: made by running this program again inside, and routed so that each
//! special range, and two public addresses, are here.

use std::process::{Command, ExitCode, Stdio};

use crate::ranges::{PUBLIC, RANGES};

/// Says that the program runs inside.
const INSIDE: &str = "ROLLOUT_ADDRESSES_INSIDE";
/// Ways to make a namespace: for root, and for those who become it in a user namespace.
const WAYS: [&[&str]; 2] = [&["--net"], &["--user", "--map-root-user", "--net"]];

pub(crate) fn is_inside() -> bool {
    std::env::var_os(INSIDE).is_some()
}

/// Runs this program inside. Where there can be no namespace it fails: nothing was
/// tried.
pub(crate) fn run_inside(arguments: &[String]) -> ExitCode {
    let possible = |way: &&&[&str]| {
        let mut probe = Command::new("unshare");
        probe.args(**way).arg("true").stderr(Stdio::null());
        probe.status().is_ok_and(|status| status.success())
    };
    let Some(way) = WAYS.iter().find(possible) else {
        println!(
            "FAILED no network namespace can be made: run it as root, or allow user namespaces; `unshare` is in util-linux"
        );
        return ExitCode::FAILURE;
    };
    let ended = Command::new("unshare")
        .args(*way)
        .arg(std::env::current_exe().unwrap())
        .args(arguments)
        .env(INSIDE, "1")
        // Nothing of it may be heeded, and nothing here listens there but the sink.
        .env("HTTPS_PROXY", "http://10.3.3.3:8080")
        .env("ALL_PROXY", "http://10.3.3.3:8080")
        .status()
        .unwrap();
    ExitCode::from(u8::from(!ended.success()))
}

/// Brings every range to this namespace.
pub(crate) fn route() {
    ip(&["link", "set", "lo", "up"]);
    let ranges = RANGES.iter().filter(|range| !range.no_tcp);
    let prefixes = ranges.map(|range| range.prefix).chain(PUBLIC);
    for prefix in prefixes.filter(|prefix| *prefix != "::/128") {
        let family = if prefix.contains(':') { "-6" } else { "-4" };
        ip(&[family, "route", "replace", "local", prefix, "dev", "lo"]);
    }
}

fn ip(arguments: &[&str]) {
    let output = Command::new("ip").args(arguments).output();
    let output = output.expect("`ip` of the package iproute2 is needed");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "ip {arguments:?}: {said}");
}
