//! Guests with an HTTP library of their own that misuse it: `wasi:http`, whose
//! bookkeeping is WASI's.

use crate::case::{Case, Kind};
use crate::guest::{Guest, probing};

/// What no guest may set, as it belongs to the connection.
const FORBIDDEN: [&str; 9] = [
    "Host",
    "connection",
    "Keep-Alive",
    "proxy-authenticate",
    "Proxy-Authorization",
    "proxy-connection",
    "TRANSFER-ENCODING",
    "upgrade",
    "http2-settings",
];

pub(crate) fn cases() -> Vec<Case> {
    let new = "(call $new (call $fields))";
    let send = "(call $send (local.get $one))";
    let flow = |body: &str| {
        let text = format!("(local $one i32) (local $two i32) (local $n i32) {body}");
        probing(&text).calling()
    };
    let open = |after: &str| {
        flow(&format!(
            "(local.set $one {new}) (call $open (local.get $one)) {after} (i32.const 1024)"
        ))
    };
    let write = |bytes: u32| {
        format!(
            "(call $write (i32.load (i32.const 2084)) (i32.const 0) (i32.const {bytes}) (i32.const 2100))
             (call $must (i32.eqz (i32.load8_u (i32.const 2100))))"
        )
    };
    let finish = "(call $drop_output (i32.load (i32.const 2084)))
        (call $finish (i32.load (i32.const 2080)) (i32.const 0) (i32.const 0) (i32.const 2144))";
    let mut cases = vec![
        Case::new(
            "a request by wasi:http",
            flow(&format!(
                "(local.set $one {new}) (call $answered {send}) (i32.const 1024)"
            )),
            Kind::Answers,
            "a request by wasi:http failed: there is no network here",
        ),
        Case::new("headers of the connection", forbidden(), Kind::Answers, ""),
        Case::new(
            "header values with line ends",
            headers(&["a\\r\\nhost: b", "a\\nb", "a\\00b"].map(|value| ("x", value, 0))),
            Kind::Answers,
            "",
        ),
        Case::new(
            "header names that are none",
            headers(&["", "a b", "a:", "a\\r\\nb", "\\00", "\\c3\\a9"].map(|name| (name, "x", 0))),
            Kind::Answers,
            "",
        ),
        Case::new(
            "headers of a request, changed afterwards",
            flow(&format!(
                "(local.set $one (call $headers {new}))
                 (call $append (local.get $one) (i32.const 700) (i32.const 1) (i32.const 700) (i32.const 1) (i32.const 2048))
                 (call $must (i32.eq (i32.load16_u (i32.const 2048)) (i32.const 0x201))) (i32.const 1024)"
            )),
            Kind::Answers,
            "",
        ),
        // GHSA-243v-98vx-264h: more headers than a map can have.
        Case::new(
            "forty thousand headers",
            flow(
                "(local.set $one (call $fields))
                 (loop $on
                   (i32.store (i32.const 3000) (i32.or (i32.const 0x61616161)
                     (i32.and (i32.mul (local.get $n) (i32.const 0x00041041)) (i32.const 0x0f0f0f0f))))
                   (call $append (local.get $one) (i32.const 3000) (i32.const 4) (i32.const 700) (i32.const 0) (i32.const 2048))
                   (local.set $n (i32.add (local.get $n) (i32.const 1)))
                   (br_if $on (i32.lt_u (local.get $n) (i32.const 40000)))) (i32.const 1024)",
            ),
            Kind::Trap,
            "total size of fields exceeds limit",
        ),
        Case::new(
            "a header of a megabyte",
            flow(
                "(drop (memory.grow (i32.const 20)))
                 (memory.fill (i32.const 65536) (i32.const 65) (i32.const 1048576))
                 (call $append (call $fields) (i32.const 700) (i32.const 1) (i32.const 65536) (i32.const 1048576) (i32.const 2048))
                 (i32.const 1024)",
            ),
            Kind::Trap,
            "total size of fields exceeds limit",
        ),
        // GHSA-852m-cvvp-9p4w: what WASI keeps for a guest is not the guest's memory.
        Case::new(
            "full sets of headers without end",
            flow(
                "(memory.fill (i32.const 32768) (i32.const 65) (i32.const 16000))
                 (loop $on
                   (call $append (call $fields) (i32.const 700) (i32.const 1) (i32.const 32768) (i32.const 16000) (i32.const 2048))
                   (call $must (i32.eqz (i32.load8_u (i32.const 2048)))) (br $on)) (unreachable)",
            ),
            Kind::Trap,
            "handle limit exceeded",
        )
        .with(|limits| limits.cpu = std::time::Duration::from_secs(5))
        .one_of(10),
        Case::new(
            "copies of headers without end",
            flow("(local.set $one (call $fields)) (loop $on (drop (call $clone (local.get $one))) (br $on)) (unreachable)"),
            Kind::Trap,
            "handle limit exceeded",
        ),
        Case::new(
            "ten thousand requests under way",
            flow(&format!(
                "(loop $on (local.set $one {new}) (drop {send})
                   (local.set $n (i32.add (local.get $n) (i32.const 1)))
                   (br_if $on (i32.lt_u (local.get $n) (i32.const 10000)))) (i32.const 1024)"
            )),
            Kind::Trap,
            "handle limit exceeded",
        ),
        Case::new(
            "requests sent and dropped without end",
            flow(&format!(
                "(loop $on (call $handle {new} (i32.const 0) (i32.const 0) (i32.const 2048))
                   (if (i32.eqz (i32.load8_u (i32.const 2048)))
                     (then (call $drop_future (i32.load (i32.const 2056))))) (br $on)) (unreachable)"
            )),
            Kind::Cpu,
            "CPU limit",
        ),
        Case::new(
            "more requests than a call may make",
            flow(&format!(
                "(loop $on (call $drop_future (call $send {new}))
                   (local.set $n (i32.add (local.get $n) (i32.const 1)))
                   (br_if $on (i32.lt_u (local.get $n) (i32.const 1000))))
                 (call $handle {new} (i32.const 0) (i32.const 0) (i32.const 2048))
                 (call $must (i32.load8_u (i32.const 2048))) (i32.const 1024)"
            )),
            Kind::Answers,
            "the call's budget of requests is used up",
        ),
        Case::new(
            "requests made and dropped without end",
            flow(&format!("(loop $on (call $drop_request {new}) (br $on)) (unreachable)")),
            Kind::Cpu,
            "CPU limit",
        ),
        Case::new(
            "a request sent twice",
            flow(&format!("(local.set $one {new}) (drop {send}) (drop {send}) (i32.const 1024)")),
            Kind::Trap,
            "wrong type",
        ),
        Case::new(
            "a body asked for twice",
            open("(call $body (local.get $one) (i32.const 2100)) (call $must (i32.load8_u (i32.const 2100)))"),
            Kind::Answers,
            "",
        ),
        Case::new(
            "a body that is never finished",
            open(&format!("{} (call $answered {send})", write(100))),
            Kind::Wall,
            "time limit",
        ),
        Case::new(
            "a body that is begun and dropped",
            open(&format!(
                "(local.set $two {send}) {} (call $drop_output (i32.load (i32.const 2084)))
                 (call $drop_body (i32.load (i32.const 2080))) (call $answered (local.get $two))
                 (call $must (i32.load8_u (i32.const 2128)))",
                write(100)
            )),
            Kind::Answers,
            "",
        ),
        Case::new(
            "a body finished before its stream is dropped",
            open("(call $finish (i32.load (i32.const 2080)) (i32.const 0) (i32.const 0) (i32.const 2144))"),
            Kind::Trap,
            "children",
        ),
        Case::new(
            "a body of a request that was dropped",
            open(&format!(
                "(call $drop_request (local.get $one))
                 (call $write (i32.load (i32.const 2084)) (i32.const 0) (i32.const 100) (i32.const 2100))
                 (call $must (i32.load8_u (i32.const 2100))) {finish}"
            )),
            Kind::Answers,
            "",
        ),
        Case::new(
            "more written than asked for",
            open(&write(60_000)),
            Kind::Trap,
            "write exceeded budget",
        ),
        Case::new(
            "four billion zeros of a body",
            open("(call $write_zeroes (i32.load (i32.const 2084)) (i64.const 4294967295) (i32.const 2100))"),
            Kind::Trap,
            "check_write",
        ),
        Case::new(
            "trailers",
            open(&format!(
                "(local.set $n {send}) (local.set $two (call $fields))
                 (call $append (local.get $two) (i32.const 700) (i32.const 1) (i32.const 700) (i32.const 1) (i32.const 2048))
                 (call $drop_output (i32.load (i32.const 2084)))
                 (call $finish (i32.load (i32.const 2080)) (i32.const 1) (local.get $two) (i32.const 2144))
                 (call $answered (local.get $n)) (call $must (i32.load8_u (i32.const 2128)))"
            )),
            Kind::Answers,
            "it has trailers, which are not sent",
        ),
        Case::new(
            "a future dropped while it is waited for",
            flow(&format!(
                "(local.set $one {new}) (local.set $two {send})
                 (drop (call $future (local.get $two))) (call $drop_future (local.get $two)) (i32.const 1024)"
            )),
            Kind::Trap,
            "children",
        ),
    ];
    // A length that the body does not have.
    for (name, length) in [("longer", "11"), ("shorter", "3")] {
        let body = format!(
            "(local.set $one (call $fields))
             (call $append (local.get $one) (i32.const 3000) (i32.const 14) (i32.const 3014) (i32.const {}) (i32.const 2048))
             (local.set $one (call $new (local.get $one))) (call $open (local.get $one))
             (local.set $two {send})
             (call $write (i32.load (i32.const 2084)) (i32.const 0) (i32.const 10) (i32.const 2100))
             {finish}
             (call $must (i32.or (i32.load8_u (i32.const 2100)) (i32.load8_u (i32.const 2144))))
             (call $answered (local.get $two)) (call $must (i32.load8_u (i32.const 2128))) (i32.const 1024)",
            length.len()
        );
        let data = format!(r#"(data (i32.const 3000) "content-length{length}")"#);
        cases.push(Case::new(
            &format!("a body that its length calls {name}"),
            flow(&body).items(&data),
            Kind::Answers,
            "",
        ));
    }
    cases
}

fn forbidden() -> Guest {
    headers(&FORBIDDEN.map(|name| (name, "x", 1)))
}

/// Sets each of these headers, names and values as WebAssembly text spells them; each
/// must be refused for this reason: 0 not well formed, 1 forbidden.
fn headers(headers: &[(&str, &str, u32)]) -> Guest {
    let (mut data, mut calls) = (String::new(), String::new());
    let mut at = 3000;
    let mut place = |text: &str| {
        let (here, length) = (at, bytes(text));
        data += &format!(r#"(data (i32.const {here}) "{text}")"#);
        at += length;
        format!("(i32.const {here}) (i32.const {length})")
    };
    for (name, value, reason) in headers {
        let (name, value) = (place(name), place(value));
        let answer = 1 + reason * 256;
        calls += &format!(
            "(call $append (local.get $one) {name} {value} (i32.const 2048))
             (call $must (i32.eq (i32.load16_u (i32.const 2048)) (i32.const {answer})))"
        );
    }
    let body = format!("(local $one i32) (local.set $one (call $fields)) {calls} (i32.const 1024)");
    probing(&body).items(&data).calling()
}

/// How many bytes a text has: an escape is one.
fn bytes(text: &str) -> usize {
    let mut rest = text.chars();
    let mut count = 0;
    while let Some(one) = rest.next() {
        count += 1;
        if one == '\\' && rest.next().is_some_and(|next| next.is_ascii_hexdigit()) {
            rest.next();
        }
    }
    count
}
