//! Reading a connector's record.

use rollout_catalog::{Cell, MAX_DEPTH, Reject};

use crate::{cell, entity, json_of, land, made_of};

fn text(value: &str) -> Cell {
    Cell::Text(value.to_owned())
}

fn json(value: &str) -> Cell {
    Cell::Json(value.to_owned())
}

fn wrong_type(pointer: &str, expected: &'static str, found: &'static str) -> Reject {
    Reject::WrongType {
        pointer: pointer.to_owned(),
        expected,
        found,
    }
}

fn wrong_id(pointer: &str, found: &'static str) -> Reject {
    Reject::WrongId {
        pointer: pointer.to_owned(),
        found,
    }
}

#[test]
fn a_person_as_an_app_sends_it() {
    let people = entity("people");
    let landed = land(&people, include_str!("../../examples/person.json")).unwrap();
    let of = |column| cell(&people, &landed, column);
    assert_eq!(*of("firstName"), text("Charlotte"));
    assert_eq!(*of("assignedUserId"), text("users:42"));
    assert_eq!(*of("assignedPondId"), Cell::Null);
    assert_eq!(*of("stageId"), text("stages:17"));
    assert_eq!(*of("tags"), json(r#"["Buyer","Open House 06/2025","VIP"]"#));
    assert_eq!(*of("averagePrice"), Cell::Number(485_000.0));
    assert_eq!(*of("lastActivity"), text("2025-07-02T15:19:20Z"));
    assert_eq!(*of("systemSource"), Cell::Null);
    assert_eq!(
        *of("phones"),
        json(r#"[{"value":"(828) 555-0142","type":"mobile","status":"Valid","isPrimary":true}]"#)
    );
    assert_eq!(
        *of("communicationsConsent"),
        json(
            r#"{"email":true,"call":true,"text":false,"massEmail":null,"postalMail":null,"visit":null}"#
        )
    );
    assert_eq!(
        *of("customFields"),
        json(r#"{"customCloseDate":"2025-09-30","customPreApproved":"Yes"}"#)
    );
    assert_eq!(landed.lenient, 0);
}

#[test]
fn what_is_absent_has_the_default_of_its_type() {
    let people = entity("people");
    let landed = land(&people, "{}").unwrap();
    let of = |column| cell(&people, &landed, column);
    assert_eq!(*of("firstName"), text(""));
    assert_eq!(*of("tags"), Cell::Null);
    assert_eq!(*of("emails"), json("[]"));
    assert_eq!(*of("communicationsConsent"), json("{}"));
    assert_eq!(*of("customFields"), Cell::Null);
    assert_eq!(landed.lenient, 0);
    let notes = entity("notes");
    let landed = land(&notes, "{}").unwrap();
    assert_eq!(*cell(&notes, &landed, "isHtml"), Cell::Bool(false));
    assert_eq!(
        *cell(&notes, &landed, "created"),
        text("1970-01-01T00:00:00Z")
    );
    assert_eq!(*cell(&notes, &landed, "updated"), Cell::Null);
}

#[test]
fn null_where_the_schema_has_none_is_a_default_and_counted() {
    let people = entity("people");
    let landed = land(
        &people,
        r#"{"firstName": null, "emails": null, "tags": null, "updated": null}"#,
    )
    .unwrap();
    assert_eq!(*cell(&people, &landed, "firstName"), text(""));
    assert_eq!(*cell(&people, &landed, "emails"), json("[]"));
    assert_eq!(*cell(&people, &landed, "tags"), Cell::Null);
    assert_eq!(landed.lenient, 2);
}

#[test]
fn keys_that_the_schema_does_not_know_are_dropped() {
    let people = entity("people");
    let landed = land(
        &people,
        r#"{"id": [1], "original": 7, "rating": "five", "surprise": {"a": [1e999, "\ud800"]}, "customerId": 3,
            "emails": [{"note": "x", "value": "a@example.com"}], "firstName": "Ada"}"#,
    )
    .unwrap();
    assert_eq!(*cell(&people, &landed, "firstName"), text("Ada"));
    assert_eq!(
        *cell(&people, &landed, "emails"),
        json(r#"[{"value":"a@example.com","type":null,"status":null,"isPrimary":null}]"#)
    );
    assert_eq!(*cell(&people, &landed, "customFields"), Cell::Null);
}

#[test]
fn nested_members_come_in_the_order_of_the_schema() {
    let people = entity("people");
    let one = land(
        &people,
        r#"{"phones":[{"isPrimary":true,"status":"ok","value":"1","type":"a"}]}"#,
    )
    .unwrap();
    let other = land(
        &people,
        r#"{"phones":[{"value":"1","type":"a","status":"ok","isPrimary":true}]}"#,
    )
    .unwrap();
    assert_eq!(one, other);
}

#[test]
fn the_last_of_several_with_one_name_counts() {
    let people = entity("people");
    let landed = land(
        &people,
        r#"{"stage":"A","stage":"B","emails":[{"value":"x"}],"emails":[{"value":"y","value":"z"}],
            "customA":1,"customA":{"k":1,"k":[2]}}"#,
    )
    .unwrap();
    assert_eq!(*cell(&people, &landed, "stage"), text("B"));
    assert_eq!(
        *cell(&people, &landed, "emails"),
        json(r#"[{"value":"z","type":null,"status":null,"isPrimary":null}]"#)
    );
    assert_eq!(
        *cell(&people, &landed, "customFields"),
        json(r#"{"customA":{"k":[2]}}"#)
    );
}

#[test]
fn custom_fields_keep_any_value_in_canonical_form() {
    let people = entity("people");
    let landed = land(
        &people,
        r#"{"customZ": {"b": 1.0, "a": [null, true, 1e2, 18446744073709551615]}, "custom_1": "x\u0000y", "customA": null}"#,
    )
    .unwrap();
    assert_eq!(
        *cell(&people, &landed, "customFields"),
        json(
            "{\"customA\":null,\"customZ\":{\"a\":[null,true,100,18446744073709551615],\"b\":1},\"custom_1\":\"x\u{fffd}y\"}"
        )
    );
    let notes = entity("notes");
    assert!(
        !notes
            .columns()
            .iter()
            .any(|column| column.name == "customFields")
    );
    land(&notes, r#"{"customA": 1}"#).unwrap();
}

#[test]
fn harmless_types_are_taken() {
    for (schema, given, landed) in [
        (r#""type":"string""#, "12", r#""12""#),
        (r#""type":"string""#, "-0.5", r#""-0.5""#),
        (
            r#""type":"string""#,
            "18446744073709551615",
            r#""18446744073709551615""#,
        ),
        (r#""type":"number""#, r#""450000.50""#, "450000.5"),
        (r#""type":["number","null"]"#, r#""""#, "null"),
        (r#""type":"number""#, r#""""#, "0"),
        (r#""type":"integer""#, "3.0", "3"),
        (r#""type":"integer""#, r#""-3""#, "-3"),
        (r#""type":"boolean""#, "1", "true"),
        (r#""type":"boolean""#, r#""0""#, "false"),
        (r#""type":"boolean""#, r#""true""#, "true"),
        (r#""type":["boolean","null"]"#, r#""""#, "null"),
        (
            r#""type":"array","items":{"type":"string"}"#,
            r#"["a",null,2]"#,
            r#"["a","2"]"#,
        ),
        (
            r#""type":"array","items":{"type":"string"}"#,
            "[null]",
            "[]",
        ),
        (
            r#""type":"array","items":{"type":["string","null"]}"#,
            r#"["a",null]"#,
            r#"["a",null]"#,
        ),
        (r#""type":"string","enum":["a","b"]"#, r#""c""#, r#""""#),
        (
            r#""type":["string","null"],"enum":["a","b"]"#,
            r#""c""#,
            "null",
        ),
        (
            r#""type":["string","null"],"enum":["a","b"]"#,
            r#""b""#,
            r#""b""#,
        ),
        (r#""type":["string","number"]"#, "2.50", "2.5"),
        (
            r#""type":["object","null"]"#,
            r#"{"b":1,"a":2}"#,
            r#"{"a":2,"b":1}"#,
        ),
    ] {
        let things = made_of(&format!(r#""x": {{ {schema} }}"#), false);
        assert_eq!(
            json_of(&things, &format!(r#"{{"x":{given}}}"#)).unwrap(),
            landed,
            "{schema} given {given}"
        );
    }
}

#[test]
fn other_types_refuse_the_record() {
    for (schema, given, pointer, expected, found) in [
        (
            r#""type":"string""#,
            "true",
            "/x",
            "a text",
            "true or false",
        ),
        (r#""type":"string""#, "{}", "/x", "a text", "an object"),
        (r#""type":"string""#, "[]", "/x", "a text", "a list"),
        (
            r#""type":"number""#,
            r#""1,000""#,
            "/x",
            "a number",
            "a text",
        ),
        (r#""type":"number""#, r#""inf""#, "/x", "a number", "a text"),
        (
            r#""type":"number""#,
            r#""1e999""#,
            "/x",
            "a number",
            "a text",
        ),
        (
            r#""type":"integer""#,
            "2.5",
            "/x",
            "a whole number",
            "a number",
        ),
        (
            r#""type":"integer""#,
            "18446744073709551615",
            "/x",
            "a whole number",
            "a number",
        ),
        (
            r#""type":"boolean""#,
            "2",
            "/x",
            "true or false",
            "a number",
        ),
        (
            r#""type":"boolean""#,
            r#""yes""#,
            "/x",
            "true or false",
            "a text",
        ),
        (
            r#""type":"string","format":"date-time""#,
            "true",
            "/x",
            "a time",
            "true or false",
        ),
        (
            r#""type":"string","format":"date-time""#,
            "[]",
            "/x",
            "a time",
            "a list",
        ),
        (
            r#""type":"array","items":{"type":"string"}"#,
            r#""a,b""#,
            "/x",
            "a list",
            "a text",
        ),
        (
            r#""type":"array","items":{"type":"string"}"#,
            r#"["a",{}]"#,
            "/x/1",
            "a text",
            "an object",
        ),
        (
            r#""type":"array","items":{"type":"array","items":{"type":"number"}}"#,
            "[[1],[2,true]]",
            "/x/1/1",
            "a number",
            "true or false",
        ),
        (
            r#""type":"object","properties":{"a/b":{"type":"string"}}"#,
            r#"{"a/b":[]}"#,
            "/x/a~1b",
            "a text",
            "a list",
        ),
        (
            r#""type":"object","properties":{"a":{"type":"string"}}"#,
            "3",
            "/x",
            "an object",
            "a number",
        ),
        (
            r#""type":["string","number"]"#,
            "[]",
            "/x",
            "a text or a number",
            "a list",
        ),
        (r#""type":"object""#, "[]", "/x", "an object", "a list"),
    ] {
        let things = made_of(&format!(r#""x": {{ {schema} }}"#), false);
        let refused = json_of(&things, &format!(r#"{{"x":{given}}}"#));
        assert_eq!(
            refused,
            Err(wrong_type(pointer, expected, found)),
            "{schema} given {given}"
        );
    }
}

#[test]
fn references_are_translated_wherever_they_are() {
    let things = made_of(
        r#""x": { "type": "array", "items": { "type": "object", "properties": {
              "to": { "type": ["string","null"], "x-reference": "users" },
              "all": { "type": "array", "items": { "type": "string", "x-reference": "people" } } } } }"#,
        false,
    );
    assert_eq!(
        json_of(
            &things,
            r#"{"x":[{"to":7,"all":["a",8]},{"to":""},{"to":null,"all":[null,9.0]}]}"#
        )
        .unwrap(),
        r#"[{"to":"users:7","all":["people:a","people:8"]},{"to":null,"all":[]},{"to":null,"all":["people:9"]}]"#
    );
    assert_eq!(
        json_of(&things, r#"{"x":[{"all":["a",""]}]}"#),
        Err(wrong_id("/x/0/all/1", "an empty text"))
    );
    assert_eq!(
        json_of(&things, r#"{"x":[{"to":1.5}]}"#),
        Err(wrong_id("/x/0/to", "a number"))
    );
    assert_eq!(
        json_of(&things, r#"{"x":[{"to":{"id":1}}]}"#),
        Err(wrong_id("/x/0/to", "an object"))
    );
    assert_eq!(
        json_of(&things, r#"{"x":[{"to":false}]}"#),
        Err(wrong_id("/x/0/to", "true or false"))
    );
    assert_eq!(
        json_of(&things, r#"{"x":[{"to":[1]}]}"#),
        Err(wrong_id("/x/0/to", "a list"))
    );
}

#[test]
fn an_id_that_must_be_there_is() {
    let users = entity("users");
    let landed = land(&users, r#"{"offices":[{"id":12}]}"#).unwrap();
    assert_eq!(
        *cell(&users, &landed, "offices"),
        json(r#"[{"id":"offices:12"}]"#)
    );
    assert_eq!(
        land(&users, r#"{"offices":[{}]}"#),
        Err(wrong_id("/offices/0/id", "nothing"))
    );
    assert_eq!(
        land(&users, r#"{"offices":[{"id":null}]}"#),
        Err(wrong_id("/offices/0/id", "null"))
    );
    let things = made_of(
        r#""ownerId": { "type": "string", "x-reference": "users" }"#,
        false,
    );
    assert_eq!(json_of(&things, "{}"), Err(wrong_id("/ownerId", "nothing")));
}

#[test]
fn times_are_brought_into_one_form() {
    let tasks = entity("tasks");
    for (given, due, lenient) in [
        (
            r#""2025-07-02T17:19:21+02:00""#,
            text("2025-07-02T15:19:21Z"),
            0,
        ),
        (
            r#""2025-07-02T15:19:21.250Z""#,
            text("2025-07-02T15:19:21.250Z"),
            0,
        ),
        (r#""2025-07-02""#, text("2025-07-02"), 0),
        (r#""2025-07-02 15:19:21""#, text("2025-07-02T15:19:21Z"), 0),
        (r#""""#, Cell::Null, 1),
        (r#""tomorrow""#, Cell::Null, 1),
        ("1751469561", Cell::Null, 1),
        ("null", Cell::Null, 0),
    ] {
        let landed = land(&tasks, &format!(r#"{{"dueDateTime":{given}}}"#)).unwrap();
        assert_eq!(*cell(&tasks, &landed, "dueDateTime"), due, "{given}");
        assert_eq!(landed.lenient, lenient, "{given}");
    }
    let landed = land(&tasks, r#"{"created":"never"}"#).unwrap();
    assert_eq!(
        *cell(&tasks, &landed, "created"),
        text("1970-01-01T00:00:00Z")
    );
    assert_eq!(landed.lenient, 1);
}

#[test]
fn text_is_kept_letter_by_letter_but_for_nul() {
    let people = entity("people");
    let landed = land(
        &people,
        r#"{"firstName":"a\u0000\"\\\n\ud83c\udfe1","tags":["\u0000","\"\\\n\u0001é"]}"#,
    )
    .unwrap();
    assert_eq!(
        *cell(&people, &landed, "firstName"),
        text("a\u{fffd}\"\\\n🏡")
    );
    assert_eq!(
        *cell(&people, &landed, "tags"),
        json("[\"\u{fffd}\",\"\\\"\\\\\\n\\u0001é\"]")
    );
    let landed = land(&people, r#"{"assignedUserId":"a\u0000b"}"#).unwrap();
    assert_eq!(
        *cell(&people, &landed, "assignedUserId"),
        text("users:a\u{fffd}b")
    );
}

#[test]
fn what_is_not_json_is_refused() {
    let people = entity("people");
    for body in [
        "",
        " ",
        "{",
        r#"{"stage":"x"} x"#,
        r#"{"stage":"x",}"#,
        r#"{"averagePrice":1e400}"#,
        r#"{"stage":"\ud800"}"#,
        r#"{"stage":NaN}"#,
        "{'stage':1}",
        "\u{feff}{}",
        r#"{"customA":1e400}"#,
        r#"{"tags":["\udc00"]}"#,
        r#"{"stage":"a	b"}"#,
        "[1, 2",
        r#"{"surprise":[}"#,
    ] {
        assert!(
            matches!(land(&people, body), Err(Reject::NotJson(_))),
            "{body}"
        );
    }
    for body in ["[]", "[{}]", "null", "true", "-1", "1.5", r#""text""#] {
        assert_eq!(land(&people, body), Err(Reject::NotAnObject), "{body}");
    }
}

#[test]
fn nesting_has_an_end() {
    let people = entity("people");
    let nested = |depth: usize| {
        format!(
            r#"{{"customA":{}{}}}"#,
            "[".repeat(depth),
            "]".repeat(depth)
        )
    };
    let deepest = MAX_DEPTH as usize - 1;
    land(&people, &nested(deepest)).unwrap();
    assert_eq!(land(&people, &nested(deepest + 1)), Err(Reject::TooDeep));
    assert_eq!(land(&people, &nested(100_000)), Err(Reject::TooDeep));
    let objects = format!(
        r#"{{"customA":{}1{}}}"#,
        r#"{"a":"#.repeat(5000),
        "}".repeat(5000)
    );
    assert_eq!(land(&people, &objects), Err(Reject::TooDeep));
    // What is dropped may be as deep as it likes.
    let dropped = format!(r#"{{"surprise":{}{}}}"#, "[".repeat(5000), "]".repeat(5000));
    land(&people, &dropped).unwrap();
}

#[test]
fn refusals_are_one_line() {
    let people = entity("people");
    let refusal = |body| land(&people, body).unwrap_err().to_string();
    assert_eq!(
        refusal(r#"{"emails":[{"value":[]}]}"#),
        "/emails/0/value: expected a text, found a list"
    );
    assert_eq!(
        refusal(r#"{"assignedUserId":true}"#),
        "/assignedUserId: expected the app's id of a record, found true or false"
    );
    assert_eq!(refusal("[]"), "the record is not a JSON object");
}

#[test]
fn fields_of_other_kinds_are_empty() {
    let fields = entity("customFields");
    for (sent, recurring, choices) in [
        (r#"{"type":"date"}"#, Cell::Bool(false), Cell::Null),
        (
            r#"{"type":"dropdown","choices":["a"],"isRecurring":true}"#,
            Cell::Null,
            Cell::Json(r#"["a"]"#.into()),
        ),
        (r#"{"choices":[],"type":"text"}"#, Cell::Null, Cell::Null),
        (r#"{"type":"colour","choices":[]}"#, Cell::Null, Cell::Null),
    ] {
        let landed = land(&fields, sent).unwrap();
        assert_eq!(cell(&fields, &landed, "isRecurring"), &recurring, "{sent}");
        assert_eq!(cell(&fields, &landed, "choices"), &choices, "{sent}");
    }
    let columns = fields.columns();
    assert!(
        columns
            .iter()
            .find(|column| column.name == "choices")
            .unwrap()
            .nullable
    );
}
