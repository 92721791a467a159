//! What a connector gets to see of a key: nothing, wherever it looks.

use serde_json::Value;

use crate::fixtures::until;
use crate::misbehaving_stage::{PLANTED, connect, outcome, stage, try_connect};

#[tokio::test]
async fn a_key_that_the_app_echoes_is_blanked_everywhere() {
    let stage = stage().await;
    let account = connect(&stage.host.client("echo"), "echo", &[]).await;
    let ended = outcome(&account).await;
    assert_eq!(ended["status"], "done", "{ended}");
    let answer = account.get("/crm/api/people").await;
    assert!(!answer.text.contains(PLANTED), "{}", answer.text);
    let page = answer.ok();
    let me = &page["people"][0];
    for echoed in [
        &me["lastName"],
        &me["tags"][0],
        &me["original"]["people"]["apiKey"],
    ] {
        assert!(echoed.as_str().unwrap().contains("[redacted]"), "{me}");
    }
    assert_eq!(me["customStored"], true, "{me}");

    let log = stage.host.log();
    let said: Vec<&str> = log
        .lines()
        .filter(|line| line.contains("the app says: "))
        .collect();
    assert!(said.len() >= 4, "{said:#?}");
    assert!(
        said.iter().all(|line| line.contains("[redacted]")),
        "{said:#?}"
    );
    assert!(!log.contains(PLANTED));
}

#[tokio::test]
async fn a_key_in_an_error_is_blanked() {
    let stage = stage().await;
    let client = stage.host.client("echo-error");
    let account = connect(&client, "echo-error", &[]).await;
    let ended = outcome(&account).await;
    let error = ended["error"].as_str().unwrap();
    assert!(error.starts_with("echo: the app says: "), "{ended}");
    assert!(
        error.contains("[redacted]") && !error.contains(PLANTED),
        "{ended}"
    );

    let answer = try_connect(&client, "probe-echo-error", &[]).await;
    let refused = answer.refused(400, "upstream_rejected").to_string();
    assert!(
        refused.contains("[redacted]") && !refused.contains(PLANTED),
        "{refused}"
    );
    let answer = try_connect(&client, "probe-echo-unauthorized", &[]).await;
    let refused = answer.refused(400, "invalid_credentials").to_string();
    assert!(
        refused.contains("[redacted]") && !refused.contains(PLANTED),
        "{refused}"
    );

    let account = connect(&client, "echo-unauthorized", &[]).await;
    let path = format!("/api/credentials/{}", account.credential());
    let broken = until("the credential is broken", async || {
        let shown = account.get(&path).await.ok();
        (shown["status"] == "broken").then(|| shown.to_string())
    })
    .await;
    assert!(
        broken.contains("[redacted]") && !broken.contains(PLANTED),
        "{broken}"
    );
    assert!(!stage.host.log().contains(PLANTED));
}

#[tokio::test]
async fn a_key_is_not_in_a_guests_reach_or_memory() {
    let stage = stage().await;
    let client = stage.host.client("look-around");
    // Reversed, so that the input doesn't bring into memory what is looked for. The
    // app's name for the account is in its answer: the search must find that.
    let needles = forms(PLANTED)
        .into_iter()
        .chain(["Sunrise Realty".to_owned()]);
    let needles: Vec<String> = needles.map(|text| text.chars().rev().collect()).collect();
    let needles: Vec<&str> = needles.iter().map(String::as_str).collect();
    let account = connect(&client, "look-around", &needles).await;
    let ended = outcome(&account).await;
    assert_eq!(ended["status"], "done", "{ended}");
    let page = account.get("/crm/api/people").await.ok();
    let record = &page["people"][0];

    let seen = bytes(record["lastName"].as_str().unwrap());
    let seen = String::from_utf8(seen).unwrap();
    assert!(
        seen.contains("Sunrise Realty") && seen.contains("[redacted]"),
        "{seen}"
    );
    assert!(seen.contains("mode: Some(\"look-around\") None"), "{seen}");
    assert!(seen.contains("apiKey: None None"), "{seen}");
    for form in forms(PLANTED) {
        assert!(!seen.contains(&form), "{form}: {seen}");
    }
    let found: Vec<u64> = record["customFound"]
        .as_array()
        .unwrap()
        .iter()
        .map(|count| count.as_u64().unwrap())
        .collect();
    let (control, keys) = found.split_last().unwrap();
    assert!(*control > 0, "the search finds nothing at all: {found:?}");
    assert!(
        keys.iter().all(|count| *count == 0),
        "the key is in the guest's memory: {found:?}"
    );
}

/// A secret as it is, percent-encoded, in JSON with `\/`, and in base64 at each of
/// the three places where it can begin, without the characters that its neighbours
/// have a part in.
pub fn forms(secret: &str) -> Vec<String> {
    use base64::Engine;
    use base64::engine::general_purpose::{STANDARD, URL_SAFE};

    let encoded: String = secret
        .bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                char::from(byte).to_string()
            }
            _ => format!("%{byte:02X}"),
        })
        .collect();
    let mut forms = vec![secret.to_owned(), encoded, secret.replace('/', "\\/")];
    for engine in [STANDARD, URL_SAFE] {
        for before in 0..3 {
            let text = engine.encode([&b"###"[..before], secret.as_bytes()].concat());
            let whole = (before + secret.len()) / 3 * 4;
            let first = [0, 2, 3][before];
            forms.push(text[first..whole].to_owned());
        }
    }
    forms.sort();
    forms.dedup();
    forms
}

fn bytes(hexadecimal: &str) -> Vec<u8> {
    let digits = hexadecimal.as_bytes().chunks(2);
    digits
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

/// True if a text of this document is `text`.
pub fn holds(document: &Value, text: &str) -> bool {
    match document {
        Value::String(held) => held == text,
        Value::Array(items) => items.iter().any(|item| holds(item, text)),
        Value::Object(fields) => fields.values().any(|value| holds(value, text)),
        _ => false,
    }
}
