//! Triggers, actions and forms.

use std::sync::Arc;

use rollout_sandbox::forms::{Choice, Choices, Question, Subject};
use rollout_sandbox::{Error, Event, PollMode, PollOutput};
use serde_json::json;

use crate::app::App;
use crate::guests::guests;
use crate::{document, refused};

fn event(n: u64) -> Event {
    Event {
        id: n.to_string(),
        payload: format!(r#"{{"n":{n},"inputs":{{"channel":"c"}}}}"#),
        occurred_at: n.is_multiple_of(2).then_some(n),
        extra: None,
    }
}

#[tokio::test]
async fn a_poll_goes_on_where_the_one_before_ended() {
    let guests = guests().await;
    let app = Arc::new(App::default());
    let caller = guests.call(&guests.everything, &app);
    let inputs = r#"{"channel":"c"}"#;
    for (mode, cursor, events, next, more) in [
        (PollMode::Prime, None, vec![], Some("10"), false),
        (
            PollMode::Sample,
            None,
            vec![event(1), event(2)],
            None,
            false,
        ),
        (
            PollMode::Live,
            None,
            vec![event(1), event(2), event(3)],
            Some("3"),
            true,
        ),
        (
            PollMode::Live,
            Some("3"),
            vec![event(4), event(5), event(6)],
            Some("6"),
            false,
        ),
    ] {
        let output = caller.poll("message", inputs, mode, cursor).await.unwrap();
        let expected = PollOutput {
            events,
            cursor: next.map(str::to_owned),
            more,
            extra: None,
        };
        assert_eq!(output, expected, "{mode:?} {cursor:?}");
        // The same arguments, the same answer.
        let again = caller.poll("message", inputs, mode, cursor).await.unwrap();
        assert_eq!(again, expected);
    }
    for (trigger, inputs, cursor) in [
        ("burn", "{}", None),
        ("message", "7", None),
        ("message", "{}", Some("{")),
    ] {
        let error = refused(caller.poll(trigger, inputs, PollMode::Live, cursor).await);
        assert!(
            matches!(error, Error::Unsupported(_) | Error::Internal(_)),
            "{trigger} {inputs} {cursor:?}: {error:?}"
        );
    }
}

#[tokio::test]
async fn an_action_gets_its_inputs_and_its_key() {
    let guests = guests().await;
    let app = Arc::new(App::default());
    let caller = guests.call(&guests.everything, &app);
    let output = caller
        .execute("send", r#"{"text":"Zoë 😀"}"#, "key-1")
        .await
        .unwrap();
    assert_eq!(
        document(&output),
        json!({ "inputs": { "text": "Zoë 😀" }, "key": "key-1" })
    );
    assert_eq!(caller.execute("forget", "{}", "").await.unwrap(), "null");
    let error = refused(caller.execute("burn", "{}", "").await);
    assert!(matches!(error, Error::Unsupported(_)), "{error:?}");
    let error = refused(caller.execute("send", r#"{"fail":"halted"}"#, "").await);
    assert_eq!(error, Error::Halted("halted".into()));
}

#[tokio::test]
async fn choices_come_page_by_page() {
    let guests = guests().await;
    let app = Arc::new(App::default());
    let caller = guests.call(&guests.everything, &app);
    let question = Question {
        subject: Subject::Trigger("message".into()),
        pointer: "/channel".into(),
        inputs: r#"{"a":1}"#.into(),
        search: Some("gen".into()),
        page: None,
        extra: None,
    };
    let first = caller.options(&question).await.unwrap();
    assert_eq!(
        document(&first.choices[0].value),
        json!({ "subject": "trigger message", "pointer": "/channel", "inputs": { "a": 1 }, "search": "gen" })
    );
    assert_eq!(first.choices[0].label, "asked");
    assert_eq!(first.choices[0].detail.as_deref(), Some("first page"));
    assert_eq!(first.next.as_deref(), Some("2"));

    let choice = |value: &str, label: &str| Choice {
        value: value.to_owned(),
        label: label.to_owned(),
        detail: None,
        extra: None,
    };
    let last = Choices {
        choices: vec![
            choice("2", "a number"),
            choice(r#""text""#, "a text"),
            choice("null", "nothing"),
        ],
        next: None,
        extra: None,
    };
    let second = Question {
        page: first.next,
        search: None,
        ..question
    };
    assert_eq!(caller.options(&second).await.unwrap(), last);
}

#[tokio::test]
async fn schemas_depend_on_the_subject_and_what_is_entered() {
    let guests = guests().await;
    let app = Arc::new(App::default());
    let caller = guests.call(&guests.everything, &app);
    let (trigger, action) = (
        Subject::Trigger("message".into()),
        Subject::Action("send".into()),
    );
    let schema = caller.input_schema(&action, r#"{"a":1}"#).await.unwrap();
    assert_eq!(
        document(&schema),
        json!({ "title": "action send", "default": { "a": 1 } })
    );
    let schema = caller.payload_schema(&trigger, "{}").await.unwrap();
    assert_eq!(
        document(&schema),
        json!({ "description": "trigger message", "default": {} })
    );
    let error = refused(
        caller
            .payload_schema(&Subject::Action("forget".into()), "{}")
            .await,
    );
    assert!(matches!(error, Error::Unsupported(_)), "{error:?}");
}
