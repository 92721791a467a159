//! Guests in the shape of flaws that wasmtime had. Each must end as if there had been
//! none: that is how an engine that has one of them again is noticed.

use crate::case::{Case, Kind};
use crate::guest::{answering, probing};

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = vec![
        // GHSA-vc8c-j3xm-xj73: loads more than the number at the memory's very end.
        Case::new(
            "f64.copysign at the memory's end",
            probing(
                "(drop (memory.grow (i32.const 127)))
                 (f64.store (i32.const 2048) (f64.copysign (f64.const 1) (f64.load (i32.const 8388600))))
                 (i32.const 1024)",
            ),
            Kind::Answers,
            "",
        ),
        // GHSA-qqfj-4vcm-26hv: the same with another operator.
        Case::new(
            "f64x2.splat at the memory's end",
            probing(
                "(drop (memory.grow (i32.const 127)))
                 (v128.store (i32.const 2048) (f64x2.splat (f64.load (i32.const 8388600))))
                 (i32.const 1024)",
            ),
            Kind::Answers,
            "",
        ),
        // GHSA-6wgr-89rj-399p: what an instance left is seen by the next of its slot.
        Case::new(
            "a look for what others left",
            probing(
                "(local $at i32)
                 (drop (memory.grow (i32.const 127)))
                 (local.set $at (i32.const 4096))
                 (loop $on
                   (if (i64.ne (i64.load (local.get $at)) (i64.const 0)) (then (unreachable)))
                   (local.set $at (i32.add (local.get $at) (i32.const 512)))
                   (br_if $on (i32.lt_u (local.get $at) (i32.const 8388608))))
                 (memory.fill (i32.const 4096) (i32.const 0xa5) (i32.const 8384512))
                 (i32.const 1024)",
            ),
            Kind::Answers,
            "",
        ),
        Case::new(
            "a look for what others left in tables",
            probing(
                "(local $at i32)
                 (drop (table.grow $t (ref.null func) (i32.const 1000)))
                 (loop $on
                   (if (i32.eqz (ref.is_null (table.get $t (local.get $at)))) (then (unreachable)))
                   (local.set $at (i32.add (local.get $at) (i32.const 1)))
                   (br_if $on (i32.lt_u (local.get $at) (i32.const 1001))))
                 (table.fill $t (i32.const 0) (ref.func $f) (i32.const 1001))
                 (i32.const 1024)",
            )
            .items("(table $t 1 funcref) (func $f) (elem declare func $f)"),
            Kind::Answers,
            "",
        ),
        // GHSA-p8xm-42r7-89xg: a table larger than the address space.
        Case::new(
            "a table of four billion",
            answering().items("(table $t 4294967295 funcref)"),
            Kind::Refused,
            "needs more than a connector may have: module table",
        ),
        Case::new(
            "a 64-bit table of all there is",
            answering().items("(table $t i64 0xffffffffffffffff funcref)"),
            Kind::Refused,
            "failed to parse",
        ),
        // GHSA-gqmc-89g8-p25r: output that nobody hears is held all the same.
        Case::new(
            "output while describing itself",
            answering().describing(
                "(call $write_zeroes (call $stdout) (i64.const 4294967295) (i32.const 2048))",
            ),
            Kind::Refused,
            "",
        ),
        Case::new(
            "output without end while describing itself",
            answering().describing(
                "(local $h i32) (local.set $h (call $stdout))
                 (loop $on
                   (call $write (local.get $h) (i32.const 0) (i32.const 4096) (i32.const 2048))
                   (br $on))",
            ),
            Kind::Refused,
            "CPU limit",
        ),
    ];
    // Texts between two components of one file, which the engine translates itself.
    for (name, from, to, text, realloc, kind, says) in [
        // GHSA-jxhv-7h78-9775
        (
            "UTF-16 at an odd place, between components",
            "utf16",
            "utf8",
            "(i32.const 1) (i32.const 4)",
            "(i32.const 1024)",
            Kind::Refused,
            "align",
        ),
        // GHSA-hx6p-xpx3-jvvv
        (
            "UTF-16 beyond the memory, between components",
            "utf16",
            "latin1+utf16",
            "(i32.const 65534) (i32.const 100)",
            "(i32.const 1024)",
            Kind::Refused,
            "bounds",
        ),
        (
            "UTF-16 of 4 GiB, between components",
            "utf16",
            "latin1+utf16",
            "(i32.const 0) (i32.const 0x7fffffff)",
            "(i32.const 1024)",
            Kind::Refused,
            "",
        ),
        // GHSA-394w-hwhg-8vgm
        (
            "a place beyond the memory for a text, between components",
            "utf8",
            "utf16",
            "(i32.const 0) (i32.const 64)",
            "(i32.const 65534)",
            Kind::Refused,
            "bounds",
        ),
        (
            "a text that grows, between components",
            "utf8",
            "latin1+utf16",
            "(i32.const 0) (i32.const 64)",
            "(if (result i32) (local.get 0) (then (i32.const 65534)) (else (i32.const 1024)))",
            Kind::Refused,
            "bounds",
        ),
        (
            "a text as it should be, between components",
            "utf8",
            "utf16",
            "(i32.const 0) (i32.const 8)",
            "(i32.const 1024)",
            Kind::Answers,
            "",
        ),
    ] {
        let pair = pair(from, to, text, realloc);
        let file = move || answering().beside(&pair);
        cases.push(Case::of_file(name, file, kind, says));
    }
    cases
}

/// Two components, one of which gives the other a text as soon as it begins.
fn pair(from: &str, to: &str, text: &str, realloc: &str) -> String {
    format!(
        r#"(component
          (component $taker
            (core module $m
              (memory (export "memory") 1)
              (func (export "realloc") (param i32 i32 i32 i32) (result i32) {realloc})
              (func (export "take") (param i32 i32)))
            (core instance $i (instantiate $m))
            (func (export "take") (param "text" string)
              (canon lift (core func $i "take") string-encoding={to}
                (memory (core memory $i "memory")) (realloc (core func $i "realloc")))))
          (component $giver
            (import "take" (func $take (param "text" string)))
            (core module $memory (memory (export "memory") 1)
              (data (i32.const 0) "plain text \c4\80 and more of it, so that it is long enough \c4\80\c4\80"))
            (core instance $memory (instantiate $memory))
            (core func $lowered (canon lower (func $take) string-encoding={from} (memory (core memory $memory "memory"))))
            (core module $m
              (import "" "take" (func $take (param i32 i32)))
              (func $give (call $take {text}))
              (start $give))
            (core instance (instantiate $m (with "" (instance (export "take" (func $lowered)))))))
          (instance $taker (instantiate $taker))
          (instance (instantiate $giver (with "take" (func $taker "take")))))"#
    )
}
