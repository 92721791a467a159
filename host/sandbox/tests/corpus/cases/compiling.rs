//! Files that are no connectors, and files that are hard to compile.

use std::time::Duration;

use crate::case::{Case, Kind};
use crate::guest::{answering, leb128, section};

pub(crate) fn cases() -> Vec<Case> {
    let refused = |name: &str, file: fn() -> Vec<u8>, says: &str| {
        Case::of_file(name, file, Kind::Refused, says)
    };
    let mut cases = vec![
        refused("no bytes", Vec::new, "not WebAssembly"),
        refused(
            "a script",
            || b"#!/bin/sh\necho hello".to_vec(),
            "not WebAssembly",
        ),
        refused(
            "a core module",
            || wat::parse_str("(module)").unwrap(),
            "core WebAssembly module",
        ),
        refused(
            "an empty component",
            || wat::parse_str("(component)").unwrap(),
            "does not export `rollout:connector/manifest@0.1.0`",
        ),
        refused("half a connector's file", half, "unexpected end"),
        refused("a connector's file with a bit flipped", flipped, ""),
        refused(
            "a precompiled connector",
            precompiled,
            "precompiled artifact",
        ),
        refused(
            "a file of 17 MiB",
            || vec![0; 17 << 20],
            "a component may have",
        ),
    ];
    cases.extend(
        [
            refused(
                "one huge function",
                || answering().items(&huge(380_000)).file(),
                "compiling it",
            ),
            refused(
                "a million functions",
                || answering().items(&"(func)".repeat(990_000)).file(),
                "",
            ),
            refused(
                "blocks nested deep",
                || answering().items(&nested(100_000)).file(),
                "",
            ),
            refused(
                "15 MiB of data",
                || answering().pages(256).items(&data(15 << 20)).file(),
                "memory limit of 8 MiB",
            ),
            refused(
                "data beyond the memory",
                || answering().items(&data(1 << 20)).file(),
                "out of bounds memory access",
            ),
            refused("types nested deep", || types(100_000), ""),
            refused("components nested deep", || components(10_000), ""),
        ]
        .map(|case| {
            case.one_of(100)
                .with(|limits| limits.compile = Duration::from_secs(1))
        }),
    );
    cases
}

fn half() -> Vec<u8> {
    let mut file = answering().file();
    file.truncate(file.len() / 2);
    file
}

/// In the first section's kind. Bits all over the file: see `guests`.
fn flipped() -> Vec<u8> {
    let mut file = answering().file();
    file[8] ^= 0x40;
    file
}

fn precompiled() -> Vec<u8> {
    let config = rollout_sandbox::engine_config(&rollout_sandbox::Limits::default(), false);
    let engine = wasmtime::Engine::new(&config).unwrap();
    engine.precompile_component(&answering().file()).unwrap()
}

/// A function in which every number depends on those before it, and the first ones on
/// nothing that the compiler knows.
fn huge(steps: usize) -> String {
    let locals = "i64 ".repeat(200);
    let begins: String = (0..200)
        .map(|n| format!("(local.set {n} (i64.load offset={n} (i32.const 0)))"))
        .collect();
    let steps: String = (0..steps)
        .map(|n| {
            let (to, from, with) = (n % 200, (n * 7 + 3) % 200, (n * 13 + 5) % 200);
            format!(
                "(local.set {to} (i64.rotl (i64.xor (local.get {from}) (local.get {with})) (i64.add (local.get {to}) (local.get {with}))))"
            )
        })
        .collect();
    let ends = "(i64.store (i32.const 0) (local.get 0))";
    format!("(func (local {locals}) {begins} {steps} {ends})")
}

fn nested(depth: usize) -> String {
    let open = "(block (loop ".repeat(depth / 2);
    format!(
        r#"(func (export "nested") {open} {})"#,
        "))".repeat(depth / 2)
    )
}

fn data(bytes: usize) -> String {
    format!(r#"(data (i32.const 65536) "{}")"#, "x".repeat(bytes))
}

/// A component with a list of a list of a list…, and a function that takes it.
fn types(depth: usize) -> Vec<u8> {
    let mut file = answering().file();
    let text = "(component (type (list u8)))";
    let mut other = wat::parse_str(text).unwrap()[..8].to_vec();
    let mut types = Vec::new();
    leb128(&mut types, depth + 1);
    // list<u8>, then each of the one before.
    types.extend([0x70, 0x7d]);
    for before in 0..depth {
        types.push(0x70);
        // As a signed number, whose sign would be the last byte's highest bit.
        leb128(&mut types, before);
        if types.last().is_some_and(|last| last & 0x40 != 0) {
            *types.last_mut().unwrap() |= 0x80;
            types.push(0);
        }
    }
    section(&mut other, 7, &types);
    section(&mut file, 4, &other);
    file
}

/// A component in a component in a component…
fn components(depth: usize) -> Vec<u8> {
    let empty = wat::parse_str("(component)").unwrap();
    let mut inner = empty.clone();
    for _ in 0..depth {
        let mut outer = empty.clone();
        section(&mut outer, 4, &inner);
        inner = outer;
    }
    let mut file = answering().file();
    section(&mut file, 4, &inner);
    file
}
