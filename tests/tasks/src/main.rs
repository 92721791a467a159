//! `cargo demo` and `cargo verify`; `.cargo/config.toml` has the aliases.

use std::io::{self, Write};
use std::process::ExitCode;

use rollout_tasks::{Demo, demo, verify};

const USAGE: &str = "\
cargo demo [--once] [--keep]   builds what is needed, starts a simulated CRM and the host,
                               connects an account, prints calls to try; up until Ctrl-C
    --once    stop as soon as the calls are printed
    --keep    go on with the data of the last demo
    ROLLOUT_DEMO_PORT=8080 is the port of the host

cargo verify                   runs all tests
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match arguments.split_first() {
        Some((&"demo", options)) => match demo_options(options) {
            Some(options) => demo(options).map(|()| ExitCode::SUCCESS),
            None => return usage(),
        },
        Some((&"verify", [])) => verify(),
        _ => return usage(),
    };
    match outcome {
        Ok(code) => code,
        Err(error) => {
            // Nothing is left to tell if standard error is closed as well.
            let _ = writeln!(io::stderr(), "\nerror: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn demo_options(options: &[&str]) -> Option<Demo> {
    let mut demo = Demo::default();
    for option in options {
        match *option {
            "--once" => demo.once = true,
            "--keep" => demo.keep = true,
            _ => return None,
        }
    }
    Some(demo)
}

fn usage() -> ExitCode {
    let _ = io::stderr().write_all(USAGE.as_bytes());
    ExitCode::from(2)
}
