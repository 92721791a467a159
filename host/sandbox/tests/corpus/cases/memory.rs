//! Guests that take all memory and all tables they can get, and work on them.

use crate::case::{Case, Kind};
use crate::guest::{answering, probing};

/// As much as the limit of these guests, 8 MiB, leaves to one that begins with a page.
const TAKE_ALL: &str = "(drop (memory.grow (i32.const 127)))";

pub(crate) fn cases() -> Vec<Case> {
    let pages = "(loop $on (br_if $on (i32.ne (memory.grow (i32.const 1)) (i32.const -1))))";
    let step = "(drop (memory.grow (i32.const 60000)))";
    let field = "(call $field (i32.const 512) (i32.const 2) (i32.const 2048)) (i32.const 1024)";
    let limit = "memory limit of 8 MiB";
    let again = |bulk: &str| format!("{TAKE_ALL} (loop $on {bulk} (br $on)) (unreachable)");
    let mut cases = vec![
        Case::new(
            "memory.grow in pages",
            probing(&format!("{pages} (unreachable)")),
            Kind::Memory,
            limit,
        ),
        Case::new(
            "memory.grow in one step",
            probing(&format!("{step} (unreachable)")),
            Kind::Memory,
            limit,
        ),
        Case::new(
            "memory.grow to 4 GiB",
            probing("(drop (memory.grow (i32.const 65535))) (unreachable)"),
            Kind::Memory,
            limit,
        ),
        Case::new(
            "memory.grow that is denied and borne",
            probing(&format!("{step} (i32.const 1024)")),
            Kind::Answers,
            "",
        ),
        Case::new(
            "memory.grow in `start`",
            answering().items(&format!("(func $take {step} (unreachable)) (start $take)")),
            Kind::Refused,
            limit,
        ),
        Case::new(
            "memory.grow in the allocator",
            probing(field).realloc(&format!("{pages} (unreachable)")),
            Kind::Memory,
            limit,
        ),
        Case::new(
            "an allocator that was denied and says null",
            probing(field).realloc(&format!("{step} (i32.const -1)")),
            Kind::Memory,
            limit,
        ),
        Case::new(
            "memory.grow in post-return",
            answering().items(&format!(
                r#"(func (export "cabi_post_rollout:connector/auth@0.1.0#probe") (param i32) {step} (unreachable))"#
            )),
            Kind::Memory,
            limit,
        ),
        Case::new(
            "a memory that begins beyond the limit",
            answering().pages(200),
            Kind::Refused,
            limit,
        ),
        Case::new(
            "a memory that begins with 4 GiB",
            answering().pages(65_536),
            Kind::Refused,
            "needs more than a connector may have: module memory",
        ),
        Case::new(
            "memory.fill again and again",
            probing(&again(
                "(memory.fill (i32.const 8192) (i32.const 7) (i32.const 8380416))",
            )),
            Kind::Cpu,
            "CPU limit",
        ),
        Case::new(
            "memory.copy again and again",
            probing(&again(
                "(memory.copy (i32.const 8192) (i32.const 8193) (i32.const 8380415))",
            )),
            Kind::Cpu,
            "CPU limit",
        ),
        Case::new(
            "memory.fill beyond the end",
            probing("(memory.fill (i32.const 8192) (i32.const 7) (i32.const -1)) (i32.const 1024)"),
            Kind::Trap,
            "out of bounds memory access",
        ),
        Case::new(
            "table.grow to the end",
            probing(
                "(loop $on (br_if $on (i32.ne (table.grow $t (ref.null func) (i32.const 1000)) (i32.const -1)))) (unreachable)",
            )
            .items("(table $t 1 funcref)"),
            Kind::Table,
            "limit of 40000 table elements",
        ),
        Case::new(
            "table.grow in one step",
            probing("(drop (table.grow $t (ref.null func) (i32.const -2))) (unreachable)")
                .items("(table $t 1 funcref)"),
            Kind::Table,
            "limit of 40000 table elements",
        ),
        Case::new(
            "table.fill again and again",
            probing(
                "(drop (table.grow $t (ref.null func) (i32.const 30000)))
                 (loop $on (table.fill $t (i32.const 0) (ref.null func) (i32.const 30000)) (br $on)) (unreachable)",
            )
            .items("(table $t 1 funcref)"),
            Kind::Cpu,
            "CPU limit",
        ),
        Case::new(
            "a table that begins beyond the limit",
            answering().items("(table $t 50000 funcref)"),
            Kind::Refused,
            "needs more than a connector may have: module table",
        ),
        Case::new(
            "a hundred memories in a module",
            answering().items(&"(memory 1)".repeat(99)),
            Kind::Refused,
            "needs more than a connector may have: module memory",
        ),
    ];
    for (name, item, times, says) in [
        (
            "a hundred memories",
            "(memory 1)",
            100,
            "core module instances",
        ),
        ("fifty memories", "(memory 1)", 50, "memories"),
        (
            "eighty tables",
            "(table 1 funcref) (table 1 funcref)",
            40,
            "tables",
        ),
        ("a thousand instances", "", 1000, "core module instances"),
    ] {
        let instances = "(core instance (instantiate $m))".repeat(times);
        let many = format!("(component (core module $m {item}) {instances})");
        let file = move || answering().beside(&many);
        cases.push(Case::of_file(name, file, Kind::Refused, says));
    }
    cases
}
