//! Guests that never end: loops, recursion, waiting.

use crate::case::{Case, Kind};
use crate::guest::{answering, probing};

pub(crate) fn cases() -> Vec<Case> {
    let endless = "(loop $on (br $on)) (unreachable)";
    let field = "(call $field (i32.const 512) (i32.const 2) (i32.const 2048)) (i32.const 1024)";
    vec![
        Case::new(
            "loop in an export",
            probing(endless),
            Kind::Cpu,
            "CPU limit of 50 ms",
        ),
        Case::new(
            "loop in `start`",
            answering().items("(func $forever (loop $on (br $on))) (start $forever)"),
            Kind::Refused,
            "reached its CPU limit",
        ),
        Case::new(
            "loop in realloc",
            probing(field).realloc(endless),
            Kind::Cpu,
            "CPU limit",
        ),
        Case::new(
            "loop in post-return",
            answering().items(
                r#"(func (export "cabi_post_rollout:connector/auth@0.1.0#probe") (param i32)
                     (loop $on (br $on)))"#,
            ),
            Kind::Cpu,
            "CPU limit",
        ),
        Case::new(
            "loop around a host call that logs",
            probing(
                "(loop $on (call $log (i32.const 2) (i32.const 512) (i32.const 2)) (br $on)) (unreachable)",
            ),
            Kind::Cpu,
            "CPU limit",
        ),
        Case::new(
            "loop around a host call that may wait",
            probing(
                "(loop $on
                   (call $state_set (i32.const 514) (i32.const 2) (i32.const 512) (i32.const 2)
                     (i32.const 0) (i64.const 0) (i32.const 2048))
                   (br $on)) (unreachable)",
            ),
            Kind::Cpu,
            "CPU limit",
        ),
        Case::new(
            "loop around a host call that allocates",
            probing(
                "(loop $on
                   (global.set $top (i32.const 4096))
                   (call $field (i32.const 512) (i32.const 2) (i32.const 2048))
                   (br $on)) (unreachable)",
            ),
            Kind::Cpu,
            "CPU limit",
        ),
        Case::new(
            "deep recursion",
            probing("(call $deep) (i32.const 1024)").items("(func $deep (call $deep))"),
            Kind::Trap,
            "call stack exhausted",
        ),
        Case::new(
            "mutual recursion",
            probing("(drop (call $ping (i64.const 1))) (i32.const 1024)").items(
                "(func $ping (param i64) (result i64)
                   (i64.add (call $pong (i64.add (local.get 0) (i64.const 1))) (i64.const 1)))
                 (func $pong (param i64) (result i64)
                   (i64.mul (call $ping (i64.add (local.get 0) (i64.const 1))) (i64.const 3)))",
            ),
            Kind::Trap,
            "call stack exhausted",
        ),
        Case::new(
            "recursion through a table",
            probing("(call_indirect $t (type $f) (i32.const 0)) (i32.const 1024)").items(
                "(type $f (func)) (table $t 1 funcref) (elem (table $t) (i32.const 0) func $again)
                 (func $again (type $f) (call_indirect $t (type $f) (i32.const 0)))",
            ),
            Kind::Trap,
            "call stack exhausted",
        ),
        Case::new(
            "recursion with large frames",
            probing("(drop (call $wide (i64.const 1))) (i32.const 1024)").items(&wide(2_000)),
            Kind::Trap,
            "call stack exhausted",
        ),
        Case::new(
            "recursion in realloc",
            probing(field)
                .items("(func $deep (call $deep))")
                .realloc("(call $deep) (i32.const 4096)"),
            Kind::Trap,
            "call stack exhausted",
        ),
        Case::new(
            "sleep for ever",
            probing("(call $block (call $timer (i64.const -1))) (i32.const 1024)"),
            Kind::Wall,
            "time limit of 300 ms",
        ),
        Case::new(
            "sleep in slices",
            probing(
                "(local $timer i32)
                 (loop $on
                   (local.set $timer (call $timer (i64.const 20000000)))
                   (call $block (local.get $timer))
                   (call $drop_pollable (local.get $timer))
                   (br $on)) (unreachable)",
            ),
            Kind::Wall,
            "time limit",
        ),
        Case::new(
            "poll for ever",
            probing(
                "(i32.store (i32.const 2048) (call $timer (i64.const -1)))
                 (call $poll (i32.const 2048) (i32.const 1) (i32.const 2056)) (i32.const 1024)",
            ),
            Kind::Wall,
            "time limit",
        ),
        Case::new(
            "a host call that never returns",
            probing(
                "(call $state_get (i32.const 514) (i32.const 2) (i32.const 2048)) (i32.const 1024)",
            ),
            Kind::Wall,
            "time limit",
        ),
    ]
}

/// A function whose frame holds this many numbers across a call to itself.
fn wide(numbers: usize) -> String {
    let locals = "i64 ".repeat(numbers);
    let sets: String = (1..=numbers)
        .map(|n| format!("(local.set {n} (i64.mul (local.get 0) (i64.const {n})))"))
        .collect();
    let sums: String = (1..=numbers)
        .map(|n| format!("(local.set 0 (i64.xor (local.get 0) (local.get {n})))"))
        .collect();
    format!(
        "(func $wide (param i64) (result i64) (local {locals}) {sets}
           (local.set 0 (call $wide (local.get {numbers}))) {sums} (local.get 0))"
    )
}
