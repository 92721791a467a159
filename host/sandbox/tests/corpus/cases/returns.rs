//! Guests whose answers and arguments are not what they claim to be.

use std::time::Duration;

use crate::case::{Case, Kind};
use crate::guest::{answering, probing};

pub(crate) fn cases() -> Vec<Case> {
    // The answer at 1024, with one number of it replaced. Its parts: 1024 ok or error;
    // 1032 and 1036 the label's place and length; 1040 whether there is an avatar;
    // 1060 and 1064 the fields' place and number.
    let altered = |store: &str| probing(&format!("{store} (i32.const 1024)"));
    let mut cases: Vec<Case> = [
        ("an answer beyond the memory", "(return (i32.const 0x7ffffff0))", "pointer"),
        ("an answer at the memory's last byte", "(return (i32.const 65528))", "pointer"),
        ("an answer that is not aligned", "(return (i32.const 1025))", "aligned"),
        ("a text of 4 GiB", "(i32.store (i32.const 1036) (i32.const -1))", "bounds"),
        ("a text beyond the memory", "(i32.store (i32.const 1032) (i32.const 0x7fffffff))", "bounds"),
        ("a text that is no UTF-8", "(i32.store (i32.const 1032) (i32.const 516))", "utf-8"),
        ("neither ok nor error", "(i32.store8 (i32.const 1024) (i32.const 7))", "discriminant"),
        ("neither some nor none", "(i32.store8 (i32.const 1040) (i32.const 2))", "discriminant"),
        (
            "an error of no kind",
            "(i32.store8 (i32.const 1024) (i32.const 1)) (i32.store8 (i32.const 1032) (i32.const 200))",
            "discriminant",
        ),
        ("ten million records", "(i32.store (i32.const 1064) (i32.const 10000000))", "bounds"),
        ("four billion records", "(i32.store (i32.const 1064) (i32.const -1))", "bounds"),
        (
            "a list that is not aligned",
            "(i32.store (i32.const 1060) (i32.const 3)) (i32.store (i32.const 1064) (i32.const 1))",
            "aligned",
        ),
        (
            "an argument of no kind",
            "(call $log (i32.const 9) (i32.const 512) (i32.const 0))",
            "discriminant",
        ),
        ("a crash", "(unreachable)", "unreachable"),
    ]
    .into_iter()
    .map(|(name, store, says)| Case::new(name, altered(store), Kind::Trap, says))
    .collect();

    let unpaired = "(i32.store (i32.const 1032) (i32.const 552)) (i32.store (i32.const 1036) (i32.const 1)) (i32.const 1024)";
    let odd = "(i32.store (i32.const 1032) (i32.const 549)) (i32.const 1024)";
    let field = "(call $field (i32.const 512) (i32.const 2) (i32.const 2048)) (i32.const 1024)";
    cases.extend([
        Case::new("UTF-16, as it should be", answering().utf16(), Kind::Answers, ""),
        Case::new(
            "UTF-16 with half a pair",
            probing(unpaired).utf16(),
            Kind::Trap,
            "surrogate",
        ),
        Case::new("UTF-16 at an odd place", probing(odd).utf16(), Kind::Trap, "aligned"),
        Case::new(
            "UTF-16 of 4 GiB",
            probing("(i32.store (i32.const 1036) (i32.const 0x7fffffff)) (i32.const 1024)").utf16(),
            Kind::Trap,
            "bounds",
        ),
        Case::new(
            "an allocator that gives a place beyond the memory",
            probing(field).realloc("(i32.const -8)"),
            Kind::Trap,
            "realloc",
        ),
        Case::new(
            "an allocator that gives the memory's end",
            probing(field).realloc("(i32.const 65535)"),
            Kind::Trap,
            "realloc",
        ),
        Case::new(
            "an allocator that gives a place that is not aligned",
            probing(
                "(i32.store (i32.const 2048) (call $timer (i64.const 0)))
                 (call $poll (i32.const 2048) (i32.const 1) (i32.const 2056)) (i32.const 1024)",
            )
            .realloc("(i32.const 4099)"),
            Kind::Trap,
            "aligned",
        ),
        // The host would hold each of them by itself.
        Case::new(
            "the same four megabytes a thousand times",
            probing(&complaints(1000, 4 << 20)),
            Kind::Trap,
            "fuel",
        ),
        Case::new(
            "half a million empty complaints",
            probing(&complaints(500_000, 0)),
            Kind::Trap,
            "fuel",
        ),
        Case::new(
            "half a million requests at once",
            probing(
                "(drop (memory.grow (i32.const 1000)))
                 (call $send_all (i32.const 65536) (i32.const 500000) (i32.const 2048)) (i32.const 1024)",
            ),
            Kind::Trap,
            "fuel",
        )
        .with(|limits| limits.memory = 64 << 20),
        Case::new(
            "sixty thousand requests at once",
            probing(
                "(drop (memory.grow (i32.const 127)))
                 (call $send_all (i32.const 65536) (i32.const 60000) (i32.const 2048)) (i32.const 1024)",
            ),
            Kind::Answers,
            "",
        )
        .with(|limits| limits.cpu = Duration::from_millis(100))
        .one_of(10),
    ]);
    cases
}

/// An `invalid-input` with this many complaints at 65536, whose messages are all one
/// text of this length.
fn complaints(number: u32, length: u32) -> String {
    format!(
        "(local $at i32) (local $left i32)
         (drop (memory.grow (i32.const 127)))
         (local.set $at (i32.const 65536))
         (local.set $left (i32.const {number}))
         (loop $on
           (i32.store offset=8 (local.get $at) (i32.const 1048576))
           (i32.store offset=12 (local.get $at) (i32.const {length}))
           (local.set $at (i32.add (local.get $at) (i32.const 16)))
           (local.set $left (i32.sub (local.get $left) (i32.const 1)))
           (br_if $on (local.get $left)))
         (i32.store8 (i32.const 1024) (i32.const 1))
         (i32.store8 (i32.const 1032) (i32.const 0))
         (i32.store (i32.const 1040) (i32.const 65536))
         (i32.store (i32.const 1044) (i32.const {number}))
         (i32.const 1024)"
    )
}
