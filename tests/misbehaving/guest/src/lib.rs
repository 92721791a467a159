//! A connector that does what a connector must not do. Its input `mode` says
//! what; `misbehave` is the list. It happens while the host reads people, or
//! already while it proves the credential if the mode begins with `probe-`.
//! What the host must make of each mode stands in the tests that connect it.

mod attack;
mod greed;
mod pages;
mod requests;
mod secrets;

use rollout_connector::{
    Account, Auth, Cursor, Entities, Error, Manifest, Page, Scope, credential,
};

struct Misbehaving;

rollout_connector::export!(Misbehaving: Entities);

impl Manifest for Misbehaving {
    fn describe() -> String {
        include_str!("../manifest.json").to_owned()
    }
}

impl Auth for Misbehaving {
    fn probe() -> Result<Account, Error> {
        let mode = mode();
        if let Some(mode) = mode.strip_prefix("probe-") {
            misbehave(mode, &Cursor::START)?;
        }
        if mode == "assembled-account" {
            return attack::assembled_account();
        }
        Ok(Account::new(&mode, &mode))
    }
}

impl Entities for Misbehaving {
    fn changes(_: &str, _: Scope, cursor: Cursor, _: u32) -> Result<Page, Error> {
        misbehave(&mode(), &cursor)
    }
}

fn mode() -> String {
    credential::field("mode").unwrap_or_default()
}

/// What a list input holds.
fn arguments() -> Vec<String> {
    let lines = credential::field("arguments").unwrap_or_default();
    lines.lines().map(str::to_owned).collect()
}

fn misbehave(mode: &str, cursor: &Cursor) -> Result<Page, Error> {
    match mode {
        "endless-loop" => greed::endless_loop(),
        "endless-wait" => greed::endless_wait(),
        "memory" => greed::memory(),
        "recursion" => greed::recursion(),
        "panic" => greed::crash(),
        "exit" => std::process::exit(3),
        "log-flood" => greed::log_flood(),
        "log-line" => greed::log_line(),
        "stdout-flood" => greed::stdout_flood(),
        "request-flood" => greed::request_flood(),
        "requests-in-a-row" => greed::requests_in_a_row(),
        "state-keys" => greed::state_keys(),
        "state-value" => greed::state_value(),
        "state-flood" => greed::state_flood(),

        "cursor-stands-still" => pages::cursor_stands_still(),
        "cursor-missing" => pages::cursor_missing(),
        "cursor-huge" => pages::cursor_huge(),
        "cursor-not-json" => pages::cursor_not_json(),
        "same-page" => pages::same_page(cursor),
        "empty-pages" => pages::empty_pages(cursor),
        "too-many-items" => pages::too_many_items(),
        "million-items" => pages::million_items(),
        "documents" => pages::documents(),

        "url" => requests::refused(requests::urls(&arguments())),
        "urls" => requests::outcomes(requests::urls(&arguments())),
        "visit" => requests::refused(requests::visits(&arguments())),
        "visits" => requests::outcomes(requests::visits(&arguments())),
        "smuggled-headers" => requests::outcomes(requests::smuggled_headers()),
        "misplaced-slots" => requests::outcomes(requests::misplaced_slots()),
        "captures" => requests::outcomes(requests::captures()),
        "named-in-text" => requests::outcomes(requests::named_in_text(&arguments())),

        "echo" => secrets::echo(),
        "echo-error" => secrets::echo_error(),
        "echo-unauthorized" => secrets::echo_unauthorized(),
        "look-around" => secrets::look_around(&arguments()),
        "echoes" => attack::echoes(&arguments()),
        "assembled" => attack::assembled_page(),
        "assembled-error" => attack::assembled_error(),
        "macs" => attack::macs(&arguments()),
        other => Err(Error::Internal(format!("there is no mode `{other}`"))),
    }
}
