//! The app's webhooks.

use super::automations::{event, read};
use super::{document, item, wire};
use crate::bindings::hooks;
use crate::capability::Hooks;
use crate::error::Error;
use crate::hooks::{Accepted, Inbound, News, Reply, Routed, Subscription, Topic};

use hooks::exports::rollout::connector::hooks as hooks_wire;

impl<T: Hooks> hooks_wire::Guest for T {
    fn subscribe(of: hooks_wire::Topic) -> Result<hooks_wire::Subscription, wire::Error> {
        Ok(subscription(<T as Hooks>::subscribe(topic(of)?)?))
    }

    fn renew(of: hooks_wire::Topic, data: String) -> Result<hooks_wire::Subscription, wire::Error> {
        let renewed = <T as Hooks>::renew(topic(of)?, document(&data)?)?;
        Ok(subscription(renewed))
    }

    fn unsubscribe(data: String) -> Result<(), wire::Error> {
        Ok(<T as Hooks>::unsubscribe(document(&data)?)?)
    }

    fn route(request: hooks_wire::Inbound) -> Result<hooks_wire::Routed, wire::Error> {
        let Routed { keys, reply: to } = <T as Hooks>::route(inbound(request))?;
        Ok(hooks_wire::Routed {
            keys,
            reply: to.map(reply),
            extra: None,
        })
    }

    fn accept(
        data: String,
        request: hooks_wire::Inbound,
    ) -> Result<hooks_wire::Accepted, wire::Error> {
        let Accepted {
            news: told,
            reply: to,
        } = <T as Hooks>::accept(document(&data)?, inbound(request))?;
        Ok(hooks_wire::Accepted {
            news: told.into_iter().map(news).collect(),
            reply: to.map(reply),
            extra: None,
        })
    }
}

fn topic(topic: hooks_wire::Topic) -> Result<Topic, Error> {
    Ok(Topic {
        hook: topic.hook,
        url: topic.url,
        entities: topic.entities,
        trigger: topic.trigger,
        inputs: read(&topic.inputs)?,
    })
}

fn subscription(subscription: Subscription) -> hooks_wire::Subscription {
    hooks_wire::Subscription {
        data: subscription.data.to_string(),
        expires_at: subscription.expires_at,
        keys: subscription.keys,
        extra: None,
    }
}

fn inbound(request: hooks_wire::Inbound) -> Inbound {
    Inbound {
        method: request.method,
        origin: request.origin,
        path: request.path,
        query: request.query,
        headers: request
            .headers
            .into_iter()
            .map(|header| (header.name, header.value))
            .collect(),
        body: request.body,
        received_at: request.received_at,
    }
}

fn reply(reply: Reply) -> hooks_wire::Reply {
    hooks_wire::Reply {
        status: reply.status,
        headers: reply
            .headers
            .into_iter()
            .map(|(name, value)| wire::Header { name, value })
            .collect(),
        body: reply.body,
        extra: None,
    }
}

fn news(news: News) -> hooks_wire::News {
    match news {
        News::Changed { entity, ids } => {
            hooks_wire::News::Changed(hooks_wire::Change { entity, ids })
        }
        News::Items { entity, items } => hooks_wire::News::Items(hooks_wire::Records {
            entity,
            items: items.into_iter().map(item).collect(),
        }),
        News::Event {
            trigger,
            event: happened,
        } => hooks_wire::News::Event(hooks_wire::Occurrence {
            trigger,
            event: event(happened),
        }),
        News::Due(trigger) => hooks_wire::News::Due(trigger),
        News::Lapsed => hooks_wire::News::Lapsed,
    }
}
