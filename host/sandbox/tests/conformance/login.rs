//! Signing in.

use std::sync::Arc;

use rollout_sandbox::{Challenge, Error, Outcome, Session, http};
use serde_json::json;

use crate::app::{App, response};
use crate::guests::guests;
use crate::{document, refused};

#[tokio::test]
async fn signing_in_ends_in_a_session_or_in_a_challenge() {
    let guests = guests().await;
    let app = Arc::new(App::default());
    let caller = guests.call(&guests.everything, &app);
    for (inputs, expires_at) in [
        ("{}", None),
        (r#"{"expiresAt":1751469561000}"#, Some(1_751_469_561_000)),
    ] {
        let outcome = caller.sign_in(inputs).await.unwrap();
        assert_eq!(outcome, Outcome::Done(Session { expires_at }));
    }
    let outcome = caller
        .sign_in(r#"{"challenge":true,"user":"ada"}"#)
        .await
        .unwrap();
    let expected = Outcome::Challenge(Challenge {
        title: "Code".into(),
        message: "Enter the code".into(),
        state: r#"{"user":"ada"}"#.into(),
    });
    assert_eq!(outcome, expected);
}

#[tokio::test]
async fn an_answer_places_one_secret_and_captures_another() {
    let guests = guests().await;
    let app = Arc::new(App::default().on("/answer", response(200, "")));
    let caller = guests.call(&guests.everything, &app);
    let outcome = caller.answer(r#"{"user":"ada"}"#).await.unwrap();
    assert_eq!(outcome, Outcome::Done(Session { expires_at: None }));
    let request = &app.requests()[0];
    assert_eq!(request.secrets[0].slot, "answer");
    assert_eq!(
        request.secrets[0].place,
        http::Place::JsonPointer("/code".into())
    );
    assert_eq!(
        request.capture[0].source,
        http::Source::Cookie("session".into())
    );
    let body = String::from_utf8(request.body.clone().unwrap()).unwrap();
    assert_eq!(document(&body), json!({ "user": "ada" }));

    let app = Arc::new(App::default().on("/answer", response(401, "wrong code")));
    let error = refused(guests.call(&guests.everything, &app).answer("{}").await);
    assert_eq!(error, Error::Unauthorized("wrong code".into()));
}
