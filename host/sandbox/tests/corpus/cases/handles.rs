//! Handles that are none, and floods: handles, log, output, random bytes.

use crate::case::{Case, Kind};
use crate::guest::probing;

pub(crate) fn cases() -> Vec<Case> {
    let cases = [
        (
            "a forged handle",
            "(call $block (i32.const 77)) (i32.const 1024)",
            Kind::Trap,
            "unknown handle index 77",
        ),
        (
            "handle 0",
            "(call $block (i32.const 0)) (i32.const 1024)",
            Kind::Trap,
            "unknown handle index 0",
        ),
        (
            "a forged handle, dropped",
            "(call $drop_pollable (i32.const -1)) (i32.const 1024)",
            Kind::Trap,
            "unknown handle index",
        ),
        (
            "a handle dropped twice",
            "(local $h i32) (local.set $h (call $timer (i64.const 0)))
             (call $drop_pollable (local.get $h)) (call $drop_pollable (local.get $h)) (i32.const 1024)",
            Kind::Trap,
            "unknown handle index",
        ),
        (
            "a handle used after it was dropped",
            "(local $h i32) (local.set $h (call $timer (i64.const 0)))
             (call $drop_pollable (local.get $h)) (call $block (local.get $h)) (i32.const 1024)",
            Kind::Trap,
            "unknown handle index",
        ),
        (
            "a handle of another kind",
            "(call $block (call $stdout)) (i32.const 1024)",
            Kind::Trap,
            "wrong type",
        ),
        (
            "a stream dropped before its pollable",
            "(local $h i32) (local.set $h (call $stdout))
             (drop (call $subscribe (local.get $h))) (call $drop_output (local.get $h)) (i32.const 1024)",
            Kind::Trap,
            "children",
        ),
        (
            "a million handles",
            "(local $n i32)
             (loop $on (drop (call $timer (i64.const -1)))
               (local.set $n (i32.add (local.get $n) (i32.const 1)))
               (br_if $on (i32.lt_u (local.get $n) (i32.const 1000000)))) (i32.const 1024)",
            Kind::Trap,
            "no free keys",
        ),
        (
            "handles made and dropped without end",
            "(loop $on (call $drop_pollable (call $timer (i64.const -1))) (br $on)) (unreachable)",
            Kind::Cpu,
            "CPU limit",
        ),
        (
            "a poll of nothing",
            "(call $poll (i32.const 0) (i32.const 0) (i32.const 2048)) (i32.const 1024)",
            Kind::Trap,
            "empty poll list",
        ),
        (
            "a poll of a million",
            "(local $h i32) (local $at i32)
             (drop (memory.grow (i32.const 127)))
             (local.set $h (call $timer (i64.const 0)))
             (local.set $at (i32.const 65536))
             (loop $on
               (i32.store (local.get $at) (local.get $h))
               (local.set $at (i32.add (local.get $at) (i32.const 4)))
               (br_if $on (i32.lt_u (local.get $at) (i32.const 4065536))))
             (call $poll (i32.const 65536) (i32.const 1000000) (i32.const 2048)) (i32.const 1024)",
            Kind::Trap,
            "handle limit exceeded",
        ),
        (
            "log lines",
            "(local $n i32)
             (loop $on (call $log (i32.const 2) (i32.const 512) (i32.const 4))
               (local.set $n (i32.add (local.get $n) (i32.const 1)))
               (br_if $on (i32.lt_u (local.get $n) (i32.const 10000)))) (i32.const 1024)",
            Kind::Answers,
            "log limit of this call reached",
        ),
        (
            "a log line of seven megabytes",
            "(drop (memory.grow (i32.const 127)))
             (call $log (i32.const 2) (i32.const 65536) (i32.const 7000000)) (i32.const 1024)",
            Kind::Answers,
            "log limit of this call reached",
        ),
        (
            "output without asking for leave",
            "(drop (memory.grow (i32.const 127)))
             (call $write (call $stdout) (i32.const 65536) (i32.const 8000000) (i32.const 2048)) (i32.const 1024)",
            Kind::Trap,
            "more was written than `check-write` allows",
        ),
        (
            "output without end",
            "(local $h i32) (local.set $h (call $stdout)) (i32.store8 (i32.const 8192) (i32.const 10))
             (loop $on (call $write (local.get $h) (i32.const 8000) (i32.const 193) (i32.const 2048)) (br $on)) (unreachable)",
            Kind::Cpu,
            "CPU limit",
        ),
        (
            "four billion zeros of output",
            "(call $write_zeroes (call $stdout) (i64.const 4294967295) (i32.const 2048)) (i32.const 1024)",
            Kind::Trap,
            "check_write",
        ),
        (
            "input of four gigabytes",
            "(call $read (call $stdin) (i64.const 4294967295) (i32.const 2048)) (i32.const 1024)",
            Kind::Answers,
            "",
        ),
        (
            "a terabyte of random bytes",
            "(call $random (i64.const 1099511627776) (i32.const 2048)) (i32.const 1024)",
            Kind::Trap,
            "exceeds limit",
        ),
        (
            "random bytes without end",
            "(loop $on (global.set $top (i32.const 4096))
               (call $random (i64.const 4096) (i32.const 2048)) (br $on)) (unreachable)",
            Kind::Cpu,
            "CPU limit",
        ),
    ];
    let mut cases: Vec<Case> = cases
        .into_iter()
        .map(|(name, body, kind, says)| Case::new(name, probing(body), kind, says))
        .collect();
    let line = probing(
        "(drop (memory.grow (i32.const 1700)))
         (call $log (i32.const 2) (i32.const 65536) (i32.const 100000000)) (i32.const 1024)",
    );
    let line = Case::new(
        "a log line of a hundred megabytes",
        line,
        Kind::Trap,
        "fuel",
    );
    cases.push(line.with(|limits| limits.memory = 160 << 20));
    cases
}
