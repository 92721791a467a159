//! Bodies and query strings.

use super::*;

fn with_body(format: Option<&str>, body: impl Into<Body>) -> Request {
    let mut builder = Request::builder().method("POST").uri("/json");
    if let Some(format) = format {
        builder = builder.header("content-type", format);
    }
    builder.body(body.into()).unwrap()
}

async fn read(format: Option<&str>, body: impl Into<Body>) -> Result<Option<Value>, ApiError> {
    read_json(with_body(format, body), 1000).await
}

async fn refusal(format: Option<&str>, body: impl Into<Body>) -> (u16, String) {
    code(send(&edge(), with_body(format, body)).await).await
}

#[tokio::test]
async fn json_is_read_with_and_without_its_type() {
    for format in [
        None,
        Some("application/json"),
        Some("Application/JSON; charset=utf-8"),
        Some("application/json;x"),
    ] {
        assert_eq!(
            read(format, r#" {"a": 1} "#).await.unwrap(),
            Some(serde_json::json!({"a": 1})),
            "{format:?}"
        );
    }
    assert_eq!(
        read(None, r#"{"a":1,"a":2}"#).await.unwrap().unwrap()["a"],
        2,
        "the last of a repeated key counts"
    );
    assert_eq!(read(None, "null").await.unwrap(), Some(Value::Null));
    assert_eq!(
        read(None, "1e308").await.unwrap(),
        Some(serde_json::json!(1e308))
    );
}

#[tokio::test]
async fn no_body_is_none_whatever_its_type() {
    assert_eq!(read(None, "").await.unwrap(), None);
    assert_eq!(read(Some("text/plain"), Body::empty()).await.unwrap(), None);
    assert_eq!(read(None, streamed(0, b"")).await.unwrap(), None);
}

#[tokio::test]
async fn other_types_are_refused() {
    for format in [
        "text/plain",
        "multipart/form-data; boundary=x",
        "application/jsonp",
        "application/xml",
        "",
        "json",
    ] {
        assert_eq!(
            refusal(Some(format), "{}").await,
            is(415, "unsupported_media_type"),
            "{format}"
        );
    }
    let mut zipped = with_body(Some("application/json"), "{}");
    zipped
        .headers_mut()
        .insert("content-encoding", "gzip".parse().unwrap());
    assert_eq!(
        code(send(&edge(), zipped).await).await,
        is(415, "unsupported_media_type")
    );
}

#[tokio::test]
async fn the_limit_counts_what_arrives() {
    let at_limit = format!("\"{}\"", "x".repeat(998));
    assert!(read(None, at_limit.clone()).await.is_ok());
    assert_eq!(
        refusal(None, format!("{at_limit} ")).await,
        is(413, "body_too_large")
    );
    assert_eq!(
        refusal(None, streamed(11, &[b' '; 100])).await,
        is(413, "body_too_large")
    );
    // An endless body ends at the limit.
    assert_eq!(
        refusal(None, streamed(usize::MAX, b"[")).await,
        is(413, "body_too_large")
    );
}

#[tokio::test]
async fn what_is_not_json_says_where() {
    for bad in [
        "{",
        "{]",
        "{'a':1}",
        "nul",
        "01",
        "[1,]",
        "1e400",
        "\u{FEFF}{}",
        "{} {}",
        "\"\\ud800\"",
        " ",
    ] {
        assert_eq!(
            refusal(Some("application/json"), bad).await,
            is(400, "invalid_json"),
            "{bad}"
        );
    }
    assert_eq!(
        refusal(None, &b"\"\xff\""[..]).await,
        is(400, "invalid_json")
    );
    let told = read(None, "{\n  \"a\": x}").await.unwrap_err();
    assert!(
        told.message().contains("line 2 column 8"),
        "{}",
        told.message()
    );
}

#[tokio::test]
async fn nesting_is_bounded() {
    let deep = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    let read = async |levels| read_json(with_body(None, deep(levels)), 1_000_000).await;
    assert!(read(127).await.is_ok());
    assert_eq!(
        read(100_000).await.unwrap_err().code(),
        crate::error::Code::InvalidJson
    );
}

#[tokio::test]
async fn a_body_that_never_comes_is_given_up() {
    let never = Body::from_stream(futures_util::stream::pending::<Result<Bytes, std::io::Error>>());
    let patience = std::time::Duration::from_millis(20);
    let given_up =
        super::super::body::read_json_within(with_body(None, never), 1024, patience).await;
    let refusal = given_up.unwrap_err();
    assert_eq!(refusal.code(), crate::error::Code::BodyTimeout);
    assert_eq!(refusal.code().status(), 408);
}

#[tokio::test]
async fn a_body_that_breaks_off_is_the_clients_error() {
    let broken = futures_util::stream::iter([
        Ok(Bytes::from_static(b"{")),
        Err(std::io::Error::other("reset")),
    ]);
    assert_eq!(
        refusal(None, Body::from_stream(broken)).await,
        is(400, "invalid_request")
    );
}

#[test]
fn a_query_is_decoded_and_the_last_of_a_name_counts() {
    let query = Query::parse("a=1&b=x%20y+z&a=2&&c&d=&%65=%C3%A9&f=1=2").unwrap();
    assert_eq!(query.text("a"), Some("2"));
    assert_eq!(query.text("b"), Some("x y z"));
    assert_eq!(
        (query.text("c"), query.text("d"), query.text("zzz")),
        (Some(""), Some(""), None)
    );
    assert_eq!(query.text("e"), Some("é"));
    assert_eq!(query.text("f"), Some("1=2"));
    assert_eq!(query.pairs().filter(|(name, _)| *name == "a").count(), 2);
    assert_eq!(
        Query::of(&"/people".parse().unwrap())
            .unwrap()
            .pairs()
            .count(),
        0
    );
}

#[test]
fn text_that_no_store_takes_is_refused_by_name() {
    for bad in ["email=%ff", "email=a%00b"] {
        let told = Query::parse(bad).unwrap_err();
        assert_eq!(told.code(), crate::error::Code::InvalidQuery);
        assert!(told.message().contains("`email`"), "{}", told.message());
    }
    assert!(Query::parse("%ff=1").is_err());
    assert_eq!(Query::parse("a=%zz").unwrap().text("a"), Some("%zz"));
}

#[test]
fn numbers_are_digits_in_range() {
    let number = |text: &str| Query::parse(text).unwrap().number("limit", 1..);
    assert_eq!(number("limit=100").unwrap(), Some(100));
    assert_eq!(
        number("limit=18446744073709551615").unwrap(),
        Some(u64::MAX)
    );
    assert_eq!(
        number("limit=18446744073709551616").unwrap(),
        Some(u64::MAX),
        "more than we count to"
    );
    assert_eq!(number("").unwrap(), None);
    for bad in [
        "abc", "", "-1", "+1", "%2B1", "1.0", "1e2", " 1", "0", "0x10", "١",
    ] {
        let told = number(&format!("limit={bad}")).unwrap_err();
        assert_eq!(told.code(), crate::error::Code::InvalidQuery, "{bad}");
        assert!(told.message().contains("`limit`"), "{}", told.message());
    }
    let query = Query::parse("limit=abc&offset=10001").unwrap();
    assert_eq!(
        query.number("limit", 1..).unwrap_err().message(),
        "The query parameter `limit` must be a whole number, 1 or more, not \"abc\"."
    );
    assert!(
        query
            .number("offset", ..=10_000)
            .unwrap_err()
            .message()
            .contains("from 0 to 10000")
    );
    assert!(
        query
            .number("limit", ..)
            .unwrap_err()
            .message()
            .contains("a whole number, not")
    );
}

#[test]
fn flags_and_lists() {
    let query = Query::parse("a=true&b=false&c=yes&ids=1,%202,,3").unwrap();
    assert_eq!(query.flag("a").unwrap(), Some(true));
    assert_eq!(query.flag("b").unwrap(), Some(false));
    assert_eq!(query.flag("d").unwrap(), None);
    assert!(query.flag("c").unwrap_err().message().contains("`c`"));
    assert_eq!(query.list("ids", 3).unwrap(), Some(vec!["1", "2", "3"]));
    assert!(
        query
            .list("ids", 2)
            .unwrap_err()
            .message()
            .contains("3 entries, at most 2")
    );
}
