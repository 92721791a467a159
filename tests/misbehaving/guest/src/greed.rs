//! Uses up time, memory, stack and log, or crashes.

use std::hint::black_box;
use std::time::Duration;

use rollout_connector::{Error, Item, Page, Request, log, send_all, state};

pub(crate) fn endless_loop() -> ! {
    let mut turns: u64 = 0;
    loop {
        turns = black_box(turns.wrapping_add(1));
    }
}

pub(crate) fn endless_wait() -> ! {
    loop {
        std::thread::sleep(Duration::from_secs(3600));
    }
}

/// Allocates, touches and keeps a megabyte, again and again.
pub(crate) fn memory() -> ! {
    let mut kept: Vec<Vec<u8>> = Vec::new();
    loop {
        kept.push(black_box(vec![1; 1 << 20]));
    }
}

/// Two functions that call each other, with something on the stack.
pub(crate) fn recursion() -> Result<Page, Error> {
    Err(Error::Internal(ping(1).to_string()))
}

#[inline(never)]
fn ping(depth: u64) -> u64 {
    let frame = black_box([depth; 32]);
    pong(depth + 1) + frame.iter().sum::<u64>()
}

#[inline(never)]
fn pong(depth: u64) -> u64 {
    let frame = black_box([depth; 16]);
    ping(depth + 1) + frame.iter().sum::<u64>()
}

#[expect(clippy::panic, reason = "to crash is the point")]
pub(crate) fn crash() -> ! {
    panic!("this connector crashes")
}

/// Two megabytes of log in short lines.
pub(crate) fn log_flood() -> Result<Page, Error> {
    for line in 0..20_000 {
        log::info(format_args!("flood {line:07} {}", "x".repeat(80)));
    }
    one_person()
}

/// One line of fifteen megabytes.
pub(crate) fn log_line() -> Result<Page, Error> {
    log::info("flood ".repeat(5 << 19));
    one_person()
}

#[expect(clippy::print_stdout, reason = "to write there is the point")]
pub(crate) fn stdout_flood() -> Result<Page, Error> {
    for line in 0..20_000 {
        println!("flood {line:07} {}", "x".repeat(80));
    }
    one_person()
}

/// More requests than a call may make, most of them at once.
pub(crate) fn request_flood() -> Result<Page, Error> {
    let request = Request::get("https://api.followupboss.com/v1/identity").authenticate();
    for answer in send_all(vec![request; 400]) {
        answer?;
    }
    one_person()
}

/// The same, one after the other.
pub(crate) fn requests_in_a_row() -> Result<Page, Error> {
    for _ in 0..400 {
        Request::get("https://api.followupboss.com/v1/identity")
            .authenticate()
            .send()?;
    }
    one_person()
}

/// More stored values than a connector may have.
pub(crate) fn state_keys() -> Result<Page, Error> {
    for number in 0..1000 {
        state::set(&format!("key-{number}"), &number, None)?;
    }
    one_person()
}

/// A stored value of a megabyte.
pub(crate) fn state_value() -> Result<Page, Error> {
    state::set("large", &"x".repeat(1 << 20), None)?;
    one_person()
}

/// Stores one value again and again.
pub(crate) fn state_flood() -> Result<Page, Error> {
    let mut number: u64 = 0;
    loop {
        number += 1;
        state::set("flood", &number, None)?;
    }
}

fn one_person() -> Result<Page, Error> {
    Page::last(vec![Item::new("1")], &())
}
