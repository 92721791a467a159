//! Looks for the API key wherever a guest can look, and gives away what it finds.

use std::fmt::Write as _;
use std::hint::black_box;
use std::io::Read;

use rollout_connector::entities::crm::Person;
use rollout_connector::log::{self, Level};
use rollout_connector::{
    Error, Item, MacAlgorithm, Page, Request, Response, app, credential, state,
};

/// The app's answer that repeats the key to whoever asks.
fn me() -> Result<Response, Error> {
    Request::get("https://api.followupboss.com/v1/me")
        .authenticate()
        .send()?
        .success()
}

/// Puts the answer into a record, its native document, a stored value and the log.
pub(crate) fn echo() -> Result<Page, Error> {
    let response = me()?;
    let text = response.text()?;
    for level in [
        Level::Trace,
        Level::Debug,
        Level::Info,
        Level::Warn,
        Level::Error,
    ] {
        log::write(level, format_args!("the app says: {text}"));
    }
    let stored = state::set("echo", &text, None);
    let mut person = Person {
        last_name: Some(text.into()),
        tags: Some(vec![text.into()]),
        ..Person::default()
    };
    person.custom.insert("customStored", &stored.is_ok())?;
    Page::last(vec![Item::new("me").native_raw(text).body(&person)], &text)
}

pub(crate) fn echo_error() -> Result<Page, Error> {
    Err(Error::Other {
        code: "echo".to_owned(),
        message: format!("the app says: {}", me()?.text()?),
    })
}

pub(crate) fn echo_unauthorized() -> Result<Page, Error> {
    Err(Error::Unauthorized(format!(
        "the app says: {}",
        me()?.text()?
    )))
}

/// Writes everything that it can see into a record, in hexadecimal so that
/// nobody blanks it on the way; and counts how often each needle stands in its
/// memory. Needles come reversed, so that they don't put there what they look for.
pub(crate) fn look_around(needles: &[String]) -> Result<Page, Error> {
    let mut seen = String::new();
    for name in ["apiKey", "session", "mode", "password", "token", ""] {
        let (own, apps) = (credential::field(name), app::field(name));
        let _ = writeln!(seen, "{name}: {own:?} {apps:?}");
        for algorithm in [MacAlgorithm::HmacSha256, MacAlgorithm::Sha256OfSlotAndData] {
            let mac = credential::mac(name, algorithm, b"");
            let _ = writeln!(seen, "mac of {name}: {mac:?}");
        }
    }
    let identity = Request::get("https://api.followupboss.com/v1/identity").authenticate();
    let answers = [me(), identity.send()];
    for answer in answers.iter().flatten() {
        let _ = writeln!(seen, "{:?} {}", answer.headers, answer.text()?);
    }
    let variables: Vec<_> = std::env::vars().collect();
    let arguments: Vec<_> = std::env::args().collect();
    let mut input = Vec::new();
    let read = std::io::stdin().take(1 << 20).read_to_end(&mut input);
    let _ = writeln!(seen, "{variables:?} {arguments:?} {read:?} {input:?}");

    let found: Vec<usize> = needles.iter().map(|needle| in_memory(needle)).collect();
    black_box(&answers);
    let mut person = Person {
        last_name: Some(hexadecimal(&seen).into()),
        ..Person::default()
    };
    person.custom.insert("customFound", &found)?;
    Page::last(vec![Item::new("seen").body(&person)], &())
}

pub(crate) fn hexadecimal(text: &str) -> String {
    let mut out = String::with_capacity(text.len() * 2);
    for byte in text.bytes() {
        let _ = write!(out, "{byte:02x}");
    }
    out
}

/// How often the reverse of `needle` stands in this instance's memory.
fn in_memory(needle: &str) -> usize {
    const PAGE: usize = 64 * 1024;
    let Some(&first) = needle.as_bytes().last() else {
        return 0;
    };
    let end = core::arch::wasm32::memory_size::<0>() * PAGE - needle.len();
    (1..end)
        .filter(|&at| byte_at(at) == first)
        .filter(|&at| {
            (at..)
                .zip(needle.bytes().rev())
                .all(|(at, byte)| byte_at(at) == byte)
        })
        .count()
}

#[expect(unsafe_code, reason = "the whole memory is looked at, whoever owns it")]
fn byte_at(address: usize) -> u8 {
    // SAFETY: the address lies within the linear memory, all of which can be read.
    unsafe { (address as *const u8).read_volatile() }
}
