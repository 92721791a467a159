//! What JSON can say and databases can't hold.

use rollout_store::record_id;
use serde_json::{Value, json};

use super::fixture::{Fixture, upstream_id};

#[tokio::test]
async fn originals_land_whatever_is_in_them() {
    let fixture = Fixture::new().await;
    let cases = [
        (
            r#"{"a":"\u0000","b\u0000":"x\u0000y"}"#,
            json!({"a": "\u{fffd}", "b\u{fffd}": "x\u{fffd}y"}),
        ),
        (
            r#"{"a":"\ud800","b":"\udc00x","c":"\ud83c\udfe1"}"#,
            json!({"a": "\u{fffd}", "b": "\u{fffd}x", "c": "🏡"}),
        ),
        (
            r#"{"a":1e400,"b":-1e400,"c":1e300,"d":[1e999999]}"#,
            json!({"a": null, "b": null, "c": 1e300, "d": [null]}),
        ),
        (
            r#"{"a":"\\u0000 \\ud800 1e400 \"1e400\""}"#,
            json!({"a": "\\u0000 \\ud800 1e400 \"1e400\""}),
        ),
        (
            r#"{"a":123456789012345678,"b":0.1,"c":-0.0,"d":[],"e":{}}"#,
            json!({"a": 123456789012345678i64, "b": 0.1, "c": -0.0, "d": [], "e": {}}),
        ),
        (
            r#"{"a":true,"b":null,"c":"\u0007\u2028</script>"}"#,
            json!({"a": true, "b": null, "c": "\u{7}\u{2028}</script>"}),
        ),
    ];
    let people = cases.iter().enumerate();
    let people = people.map(|(n, (original, _))| {
        fixture.person_with_original(&n.to_string(), json!({"name": "x"}), original)
    });
    let outcome = fixture.land(people.collect()).await;
    assert_eq!(outcome.created.len(), cases.len());
    let (_, rows) = fixture.list(&fixture.query()).await;
    for row in rows {
        let n: usize = upstream_id(&row).parse().unwrap();
        assert!(
            same(&row["original"], &cases[n].1),
            "{n}: {}",
            row["original"]
        );
    }
    // The same again is the same.
    let people = cases.iter().enumerate();
    let people = people.map(|(n, (original, _))| {
        fixture.person_with_original(&n.to_string(), json!({"name": "x"}), original)
    });
    assert_eq!(fixture.land(people.collect()).await.unchanged, cases.len());
}

#[tokio::test]
async fn fields_land_whatever_is_in_them() {
    let fixture = Fixture::new().await;
    let odd = "a\u{0}b";
    let kept = "a\u{fffd}b";
    let body = json!({
        "name": odd, "stage": odd, "tags": [odd], "emails": [{"value": odd}], "phones": [{"value": odd}],
        "fax": odd, "customText": odd, "customList": [{odd: [odd, 1e300]}],
    });
    fixture.land(vec![fixture.person(odd, body)]).await;
    let (_, rows) = fixture.list(&fixture.query()).await;
    let row = &rows[0];
    assert_eq!((&row["name"], &row["stage"]), (&json!(kept), &json!(kept)));
    assert_eq!(row["tags"], json!([kept]));
    assert_eq!(row["emails"][0]["value"], kept);
    assert_eq!(row["customText"], kept);
    assert_eq!(row["customList"], json!([{kept: [kept, 1e300]}]));
    fixture.finish_first_pass().await;
    for field in ["stage", "tags", "emails"] {
        assert_eq!(fixture.narrowed(&[(field, &[kept])]).await.1, 1, "{field}");
        // Nobody asks for what can't be there; who does is not refused.
        let (found, _) = fixture.narrowed(&[(field, &[odd])]).await;
        assert!(found.len() <= 1);
    }
}

/// An index entry has a largest size; a value has not.
#[tokio::test]
async fn values_of_any_length_are_stored_and_found() {
    let fixture = Fixture::new().await;
    // Ids are hashes: nothing in them can be compressed.
    let long = |from: usize| -> String {
        let ids =
            (from..from + 500).map(|n| record_id(&fixture.credential, "people", &n.to_string()));
        ids.collect()
    };
    let (one, other) = (long(0), format!("{}x", &long(0)[..9000]));
    let people = [("1", &one), ("2", &other)];
    let people = people.map(|(id, stage)| fixture.person(id, json!({"stage": stage})));
    fixture.land(people.to_vec()).await;
    assert_eq!(fixture.narrowed(&[("stage", &[&one])]).await.0, ["1"]);
    assert_eq!(fixture.narrowed(&[("stage", &[&other])]).await.0, ["2"]);
    let both = fixture.narrowed(&[("stage", &[&one, &other])]).await;
    assert_eq!(both.0, ["1", "2"]);
}

/// Times at the ends of what there is.
#[tokio::test]
async fn times_read_back_as_they_landed() {
    let fixture = Fixture::new().await;
    let times = [
        "0001-01-01T00:00:00Z",
        "1969-12-31T23:59:59.999Z",
        "1970-01-01T00:00:00Z",
        "2024-02-29T12:00:00.500Z",
        "2025-07-02T15:19:21.042Z",
        "9999-12-31T23:59:59.999Z",
    ];
    let people = times.iter().enumerate();
    let people = people.map(|(n, time)| fixture.person(&n.to_string(), json!({"created": time})));
    fixture.land(people.collect()).await;
    let (_, rows) = fixture.list(&fixture.query()).await;
    let read: Vec<&str> = rows
        .iter()
        .rev()
        .map(|row| row["created"].as_str().unwrap())
        .collect();
    assert_eq!(read, times);
}

/// Equal, and numbers by their value.
fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a.as_f64() == b.as_f64(),
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len()
                && a.iter()
                    .all(|(name, value)| b.get(name).is_some_and(|other| same(value, other)))
        }
        _ => a == b,
    }
}
