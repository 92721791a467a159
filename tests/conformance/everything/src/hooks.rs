//! The app's webhooks.

use rollout_connector::hooks::{Accepted, Inbound, News, Reply, Routed, Subscription, Topic};
use rollout_connector::{Error, Event, Hooks, MacAlgorithm, app, credential, log};
use serde_json::{Value, json};

use crate::{Everything, records};

impl Hooks for Everything {
    fn subscribe(topic: Topic) -> Result<Subscription, Error> {
        let shared = topic.hook == "shared";
        let subscription = Subscription::new(json!({
            "hook": topic.hook,
            "url": topic.url,
            "entities": topic.entities,
            "trigger": topic.trigger,
            "inputs": topic.inputs.0,
        }));
        Ok(match credential::field("account") {
            Some(account) if shared => subscription.key(account).key("all"),
            _ => subscription.expires_at(Some(1_751_469_561_000)),
        })
    }

    fn renew(topic: Topic, data: Value) -> Result<Subscription, Error> {
        Ok(Subscription::new(
            json!({ "hook": topic.hook, "before": data }),
        ))
    }

    fn unsubscribe(data: Value) -> Result<(), Error> {
        if data.get("id").and_then(Value::as_str) == Some("missing") {
            return Err(Error::NotFound("missing".to_owned()));
        }
        log::info(format!("unsubscribed {data}"));
        Ok(())
    }

    fn route(request: Inbound) -> Result<Routed, Error> {
        if let Some(token) = request.query_value("validationToken") {
            return Ok(Routed::handshake(Reply::text(200, token)));
        }
        verified(&request, app::verify_mac)?;
        let told: Value = request.json()?;
        Ok(Routed::to(texts(&told, "accounts")))
    }

    fn accept(data: Value, request: Inbound) -> Result<Accepted, Error> {
        verified(&request, credential::verify_mac)?;
        let told: Value = request.json()?;
        let news = texts(&told, "news").map(news);
        let accepted = Accepted::of(news.collect::<Result<Vec<_>, _>>()?);
        if request.query_value("quiet").is_some() {
            return Ok(accepted);
        }
        let seen = json!({
            "data": data,
            "method": request.method,
            "url": request.url(),
            "headers": request.headers,
            "receivedAt": request.received_at,
        });
        Ok(accepted.reply(Reply::json(202, &seen).header("x-seen", "yes")))
    }
}

/// The texts of a list in what the app told.
fn texts<'a>(told: &'a Value, list: &str) -> impl Iterator<Item = &'a str> {
    let list = told.get(list).and_then(Value::as_array);
    list.into_iter().flatten().filter_map(Value::as_str)
}

type Verify = fn(&str, MacAlgorithm, &[u8], &[u8]) -> Result<bool, Error>;

fn verified(request: &Inbound, verify: Verify) -> Result<(), Error> {
    let code = request.header("X-Signature").unwrap_or_default().as_bytes();
    match verify("signing", MacAlgorithm::HmacSha256, &request.body, code)? {
        true => Ok(()),
        false => Err(Error::Unauthorized("the signature is wrong".to_owned())),
    }
}

fn news(name: &str) -> Result<News, Error> {
    Ok(match name {
        "changed" => News::changed("people", ["1", "2"]),
        "something" => News::changed("people", [""; 0]),
        "items" => News::items(
            "people",
            ["whole", "gone"]
                .into_iter()
                .filter_map(records::record)
                .collect(),
        ),
        "event" => {
            let event = Event::new("e1", &json!({ "n": 1 })).occurred_at(Some(1_751_469_561_000));
            News::event("contact", event)
        }
        "due" => News::Due("message".to_owned()),
        "lapsed" => News::Lapsed,
        _ => return Err(Error::invalid("/news", format!("no such news: {name}"))),
    })
}
