//! The corpus: small guests that misbehave, each with the end that it must have. As a
//! test each is repeated 200 times; as a command it prints what came of each:
//!
//!     cargo test --release -p rollout-sandbox --test corpus -- --repeats 1000 [NAME…]
//!
//! A row passes if every repeat ends as expected, within the limit and 50 ms (by CPU
//! time, of which the row's median counts: a busy machine makes clocks useless), memory
//! stays where it was, and a connector that behaves, running beside it, is answered each
//! time. What it cost is printed. Rows that use up their time or compile much are repeated
//! less often: see `Case::one_of`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    // The table is what the command is for.
    clippy::print_stdout
)]

mod case;
mod cases;
mod guest;
mod outside;
mod run;

use std::process::ExitCode;
use std::time::Instant;

use crate::run::Row;

/// The argument with which this program compiles, as the sandbox's compiler.
const COMPILE: &str = "compile-one";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [first, memory] = arguments.as_slice()
        && first == COMPILE
    {
        return ExitCode::from(rollout_sandbox::compile_here(memory.parse().unwrap()));
    }
    let wish = Wish::of(&arguments);
    let started = Instant::now();
    let (mut passed, mut failed, mut left_out) = (0, Vec::new(), 0);
    println!("{}", Row::HEAD);
    for case in cases::all() {
        if !wish.includes(&case.name) {
            left_out += 1;
            continue;
        }
        let row = run::row(&case, (wish.repeats / case.one_of).max(2));
        println!("{row}");
        match row.complaint(&case) {
            None => passed += 1,
            Some(complaint) => failed.push(format!("{}: {complaint}", case.name)),
        }
    }
    for complaint in &failed {
        println!("FAILED {complaint}");
    }
    // As other test programs say it, for those who add them up.
    println!(
        "\ntest result: {}. {passed} passed; {} failed; 0 ignored; 0 measured; {left_out} filtered out; finished in {:.2}s",
        if failed.is_empty() { "ok" } else { "FAILED" },
        failed.len(),
        started.elapsed().as_secs_f64(),
    );
    ExitCode::from(u8::from(!failed.is_empty()))
}

/// What was asked for.
struct Wish {
    repeats: usize,
    names: Vec<String>,
    nothing: bool,
}

impl Wish {
    /// Like other test programs it takes parts of names, and more options than it needs.
    fn of(arguments: &[String]) -> Self {
        let mut wish = Self {
            repeats: 200,
            names: Vec::new(),
            nothing: false,
        };
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--repeats" => {
                    let number = arguments.next().and_then(|number| number.parse().ok());
                    wish.repeats = number.expect("a number after --repeats");
                }
                "--test-threads" | "--format" | "--color" => drop(arguments.next()),
                "--list" | "--ignored" => wish.nothing = true,
                option if option.starts_with('-') => {}
                name => wish.names.push(name.to_owned()),
            }
        }
        wish
    }

    fn includes(&self, name: &str) -> bool {
        let named = self.names.iter().any(|part| name.contains(part.as_str()));
        !self.nothing && (named || self.names.is_empty())
    }
}
