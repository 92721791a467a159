//! The app's webhooks.

use std::sync::Arc;

use rollout_sandbox::hooks::{
    Accepted, Change, Inbound, News, Occurrence, Records, Routed, Subscription, Topic,
};
use rollout_sandbox::{Error, Event, LogLevel};
use serde_json::json;

use crate::app::{App, header};
use crate::guests::guests;
use crate::{document, refused};

fn topic(hook: &str) -> Topic {
    Topic {
        hook: hook.to_owned(),
        url: "https://hooks.example.com/h/abc".to_owned(),
        entities: vec!["people".to_owned()],
        trigger: None,
        inputs: "{}".to_owned(),
        extra: None,
    }
}

fn inbound(query: Option<&str>, signature: &str, body: &str) -> Inbound {
    Inbound {
        method: "POST".to_owned(),
        origin: "https://hooks.example.com".to_owned(),
        path: "/h/a%20b".to_owned(),
        query: query.map(str::to_owned),
        headers: vec![header("x-signature", signature), header("x-more", "1")],
        body: body.as_bytes().to_vec(),
        received_at: 1_751_469_561_000,
        extra: None,
    }
}

#[tokio::test]
async fn a_subscription_is_made_renewed_and_ended() {
    let guests = guests().await;
    let app = Arc::new(App::default().field("account", "acc-7"));
    let caller = guests.call(&guests.everything, &app);

    let made = caller.subscribe(&topic("people")).await.unwrap();
    assert_eq!(
        document(&made.data),
        json!({
            "hook": "people",
            "url": "https://hooks.example.com/h/abc",
            "entities": ["people"],
            "trigger": null,
            "inputs": {},
        })
    );
    assert_eq!(
        (made.expires_at, made.keys.len()),
        (Some(1_751_469_561_000), 0)
    );

    let for_trigger = Topic {
        trigger: Some("contact".into()),
        inputs: r#"{"list":7}"#.into(),
        entities: Vec::new(),
        ..topic("shared")
    };
    let shared = caller.subscribe(&for_trigger).await.unwrap();
    assert_eq!(shared.keys, ["acc-7", "all"]);
    assert_eq!(shared.expires_at, None);
    let data = document(&shared.data);
    assert_eq!(
        (&data["trigger"], &data["inputs"]),
        (&json!("contact"), &json!({ "list": 7 }))
    );

    let renewed = caller.renew(&topic("people"), r#"{"id":1}"#).await.unwrap();
    let expected = Subscription {
        data: r#"{"hook":"people","before":{"id":1}}"#.into(),
        expires_at: None,
        keys: Vec::new(),
        extra: None,
    };
    assert_eq!(renewed, expected);

    caller.unsubscribe(r#"{"id":1}"#).await.unwrap();
    assert_eq!(
        app.lines(),
        [(LogLevel::Info, r#"unsubscribed {"id":1}"#.to_owned())]
    );
    let error = refused(caller.unsubscribe(r#"{"id":"missing"}"#).await);
    assert_eq!(error, Error::NotFound("missing".into()));
}

#[tokio::test]
async fn a_shared_request_is_verified_and_routed() {
    let guests = guests().await;
    let app = Arc::new(App::default());
    let caller = guests.call(&guests.everything, &app);

    let request = inbound(None, "good", r#"{"accounts":["a","b"]}"#);
    let expected = Routed {
        keys: vec!["a".into(), "b".into()],
        reply: None,
        extra: None,
    };
    assert_eq!(caller.route(&request).await.unwrap(), expected);

    let forged = inbound(None, "bad", r#"{"accounts":["a"]}"#);
    let error = refused(caller.route(&forged).await);
    assert!(matches!(error, Error::Unauthorized(_)), "{error:?}");
    let broken = inbound(None, "good", "{");
    let error = refused(caller.route(&broken).await);
    assert!(matches!(error, Error::InvalidInput(_)), "{error:?}");

    let handshake = inbound(Some("validationToken=a%20%2B%C3%AB"), "", "");
    let routed = caller.route(&handshake).await.unwrap();
    let reply = routed.reply.unwrap();
    assert_eq!((reply.status, &*reply.body), (200, "a +ë".as_bytes()));
    assert_eq!(reply.headers, [header("content-type", "text/plain")]);
    assert!(routed.keys.is_empty());
}

#[tokio::test]
async fn a_request_is_verified_and_its_news_of_every_kind_told() {
    let guests = guests().await;
    let app = Arc::new(App::default());
    let caller = guests.call(&guests.everything, &app);
    let body = r#"{"news":["changed","something","items","event","due","lapsed"]}"#;

    let accepted = caller
        .accept("{}", &inbound(Some("quiet=1"), "good", body))
        .await
        .unwrap();
    let ids = ["whole".to_owned(), "gone".to_owned()];
    let items = caller.get("people", &ids).await.unwrap();
    let people = || "people".to_owned();
    let expected = Accepted {
        news: vec![
            News::Changed(Change {
                entity: people(),
                ids: vec!["1".into(), "2".into()],
            }),
            News::Changed(Change {
                entity: people(),
                ids: Vec::new(),
            }),
            News::Items(Records {
                entity: people(),
                items,
            }),
            News::Event(Occurrence {
                trigger: "contact".into(),
                event: Event {
                    id: "e1".into(),
                    payload: r#"{"n":1}"#.into(),
                    occurred_at: Some(1_751_469_561_000),
                    extra: None,
                },
            }),
            News::Due("message".into()),
            News::Lapsed,
        ],
        reply: None,
        extra: None,
    };
    assert_eq!(accepted, expected);

    let accepted = caller
        .accept(r#"{"id":1}"#, &inbound(Some("a=1"), "good", "{}"))
        .await
        .unwrap();
    assert_eq!(accepted.news, []);
    let reply = accepted.reply.unwrap();
    assert_eq!(reply.status, 202);
    let headers = [
        header("content-type", "application/json"),
        header("x-seen", "yes"),
    ];
    assert_eq!(reply.headers, headers);
    assert_eq!(
        document(std::str::from_utf8(&reply.body).unwrap()),
        json!({
            "data": { "id": 1 },
            "method": "POST",
            "url": "https://hooks.example.com/h/a%20b?a=1",
            "headers": [["x-signature", "good"], ["x-more", "1"]],
            "receivedAt": 1_751_469_561_000_u64,
        })
    );

    let error = refused(caller.accept("{}", &inbound(None, "bad", body)).await);
    assert!(matches!(error, Error::Unauthorized(_)), "{error:?}");
    let odd = Inbound {
        body: vec![0xff, 0xfe, 0],
        ..inbound(None, "good", "")
    };
    let error = refused(caller.accept("{}", &odd).await);
    assert!(matches!(error, Error::InvalidInput(_)), "{error:?}");
}
