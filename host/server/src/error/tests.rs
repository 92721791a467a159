#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use super::*;
use http::StatusCode;
use std::collections::BTreeSet;

fn entry() -> [(String, String); 1] {
    [("/a".to_owned(), "bad".to_owned())]
}

fn one_of_each() -> Vec<ApiError> {
    let second = Duration::from_secs(1);
    vec![
        ApiError::unauthorized("x"),
        ApiError::forbidden("x"),
        ApiError::include_data_off(),
        ApiError::websocket_expected(),
        ApiError::credential_header_missing(),
        ApiError::invalid_credential("x"),
        ApiError::credential_broken("x"),
        ApiError::not_found(),
        ApiError::unknown_route(),
        ApiError::method_not_allowed(),
        ApiError::verb_unsupported("app", "people", "delete", &["GET"]),
        ApiError::invalid_request("x"),
        ApiError::uri_too_long(1),
        ApiError::head_too_large(1, 1),
        ApiError::unsupported_media_type("x"),
        ApiError::body_too_large(1),
        ApiError::body_timeout(),
        ApiError::invalid_json("x"),
        ApiError::invalid_body(entry()),
        ApiError::invalid_query("limit", "x"),
        ApiError::invalid_cursor("x"),
        ApiError::unknown_connector("x"),
        ApiError::unknown_plan("app", "x", &["api-key"]),
        ApiError::invalid_inputs(entry()),
        ApiError::invalid_credentials("x"),
        ApiError::data_not_ready("x"),
        ApiError::entity_not_synced("notes"),
        ApiError::entity_unavailable("x"),
        ApiError::first_sync_failed("x"),
        ApiError::environment_held(),
        ApiError::conflict("x"),
        ApiError::write_in_progress(),
        ApiError::idempotency_key_reused(),
        ApiError::upstream_rejected("x"),
        ApiError::unsupported("x"),
        ApiError::upstream_forbidden("x"),
        ApiError::rate_limited(second),
        ApiError::upstream_failed("x"),
        ApiError::upstream_timeout("x"),
        ApiError::connector_failed("x"),
        ApiError::maybe_applied("x"),
        ApiError::store_unavailable("x"),
        ApiError::busy("x"),
        ApiError::internal("x"),
    ]
}

#[test]
fn every_code_has_a_constructor_and_is_documented() {
    let made: BTreeSet<Code> = one_of_each().iter().map(ApiError::code).collect();
    assert_eq!(made, Code::ALL.iter().copied().collect());
    let mut names = BTreeSet::new();
    for info in Code::ALL.iter().map(|code| code.info()) {
        assert!(names.insert(info.name), "{} twice", info.name);
        assert!(
            info.name
                .chars()
                .all(|c| c.is_ascii_lowercase() || c == '_'),
            "{}",
            info.name
        );
        assert!(
            info.status.is_client_error() || info.status.is_server_error(),
            "{}",
            info.name
        );
        for text in [info.message, info.cause, info.remedy] {
            assert!(
                text.len() > 10 && text.ends_with('.'),
                "{}: {text}",
                info.name
            );
        }
    }
}

#[tokio::test]
async fn the_page_of_codes_is_complete_and_names_nothing_of_html() {
    let page = docs().await.0;
    for code in Code::ALL {
        assert!(page.contains(&format!("<tr id=\"{}\">", code.as_str())));
    }
    assert!(page.contains("Bearer &lt;JWT&gt;"));
}

#[test]
fn every_body_has_both_keys_and_no_detail() {
    for error in one_of_each() {
        let error = error.detail("SELECT secret");
        let body: Value = serde_json::from_str(&error.body()).unwrap();
        assert!(
            body["errorMessage"]
                .as_str()
                .is_some_and(|text| !text.is_empty())
        );
        let first = &body["errors"][0];
        assert_eq!(first["code"], error.code().as_str());
        assert!(first["message"].is_string());
        assert!(!error.body().contains("SELECT"));
        let (status, response) = (error.code().status(), error.into_response());
        assert_eq!(response.status(), status);
        assert_eq!(response.headers()[CONTENT_TYPE], "application/json");
    }
}

#[test]
fn constant_bodies_do_not_depend_on_the_cause() {
    let twice = |make: fn(&str) -> ApiError| (make("one").body(), make("another").body());
    for (one, other) in [
        twice(|cause| ApiError::unauthorized(cause)),
        twice(|cause| ApiError::invalid_credential(cause)),
        twice(|cause| ApiError::invalid_cursor(cause)),
        twice(|cause| ApiError::internal(cause)),
    ] {
        assert_eq!(one, other);
    }
    assert_eq!(
        ApiError::not_found().body(),
        r#"{"errorMessage":"Requested resource was not found.","errors":[{"message":"Requested resource was not found.","code":"not_found"}]}"#
    );
}

#[test]
fn not_ready_is_one_message_with_different_codes() {
    for (error, code) in [
        (
            ApiError::data_not_ready("Users: 3 of 10."),
            "data_not_ready",
        ),
        (ApiError::entity_not_synced("notes"), "entity_not_synced"),
        (
            ApiError::first_sync_failed("The app closed the account."),
            "first_sync_failed",
        ),
    ] {
        assert_eq!(error.code().status(), StatusCode::CONFLICT);
        let body: Value = serde_json::from_str(&error.body()).unwrap();
        assert_eq!(
            body["errorMessage"],
            "Data for this credential is not ready yet. Please try again."
        );
        assert_eq!(body["errors"][0]["code"], code);
    }
    assert!(
        ApiError::entity_not_synced("textMessages")
            .body()
            .contains("textMessages")
    );
}

#[test]
fn pointers_extra_fields_and_headers_are_rendered() {
    let entries = [
        ("/a".to_owned(), "one".to_owned()),
        ("/b".to_owned(), "two".to_owned()),
    ];
    let body: Value = serde_json::from_str(&ApiError::invalid_body(entries).body()).unwrap();
    assert_eq!(body["errorMessage"], "one (and 1 more)");
    assert_eq!(
        body["errors"][1],
        serde_json::json!({"message": "two", "code": "invalid_body", "pointer": "/b"})
    );

    let body: Value = serde_json::from_str(&ApiError::maybe_applied("x").body()).unwrap();
    assert_eq!(body["maybe_applied"], true);

    let response = ApiError::rate_limited(Duration::from_millis(1200)).into_response();
    assert_eq!(response.headers()[RETRY_AFTER], "2");
    let response = ApiError::rate_limited(Duration::ZERO).into_response();
    assert_eq!(response.headers()[RETRY_AFTER], "1");
    let response =
        ApiError::verb_unsupported("app", "users", "create", &["GET", "HEAD"]).into_response();
    assert_eq!(response.headers()[ALLOW], "GET, HEAD");
}

#[test]
fn input_in_messages_is_short_and_on_one_line() {
    let message = ApiError::unknown_connector(&format!("a\r\nb{}", "x".repeat(500)))
        .message()
        .to_owned();
    assert!(
        message.chars().count() < 100 && !message.contains('\n'),
        "{message}"
    );
}
