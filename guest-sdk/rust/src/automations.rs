//! Triggers, actions and forms: what people build automations from.
//!
//! ```
//! use rollout_connector::automations::{Event, Inputs, Mode, Polled};
//! use rollout_connector::{Actions, Cursor, Error, Request, Triggers};
//! use serde::Deserialize;
//! use serde_json::{Value, json};
//!
//! const API: &str = "https://api.tinycrm.example/v2";
//! struct TinyCrm;
//!
//! #[derive(Deserialize)]
//! struct Message {
//!     id: u64,
//!     text: String,
//! }
//!
//! impl Triggers for TinyCrm {
//!     fn poll(_: &str, inputs: Inputs, _: Mode, cursor: Cursor) -> Result<Polled, Error> {
//!         let since: u64 = cursor.read()?.unwrap_or(0);
//!         let response = Request::get(format!("{API}/messages"))
//!             .query_if("channel", inputs.text("channel"))
//!             .query("after", since)
//!             .authenticate()
//!             .send()?
//!             .success()?;
//!         let messages: Vec<Message> = response.json()?;
//!         let newest = messages.last().map_or(since, |last| last.id);
//!         let event = |one: &Message| Event::new(one.id, &json!({ "text": one.text }));
//!         Polled::new(messages.iter().map(event).collect(), &newest)
//!     }
//! }
//!
//! impl Actions for TinyCrm {
//!     fn execute(action: &str, inputs: Inputs, key: &str) -> Result<Value, Error> {
//!         match action {
//!             "send" => Request::post(format!("{API}/messages"))
//!                 .json(&json!({ "text": inputs.text("text"), "key": key }))
//!                 .authenticate()
//!                 .send()?
//!                 .success()?
//!                 .json(),
//!             _ => Err(Error::unsupported(action, "executing")),
//!         }
//!     }
//! }
//! ```

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::error::Error;
use crate::json;
use crate::records::Cursor;

/// What a person entered for a trigger or an action: a JSON object that its
/// input schema accepts.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Inputs(pub Map<String, Value>);

impl Inputs {
    /// Inputs of this JSON object; for tests.
    pub fn of(inputs: Value) -> Self {
        match inputs {
            Value::Object(inputs) => Self(inputs),
            _ => Self::default(),
        }
    }

    /// The text of an input; `None` if it is absent, null or no text.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name)?.as_str()
    }

    /// The inputs as a type of the connector's own.
    pub fn parse<'a, T: Deserialize<'a>>(&'a self) -> Result<T, Error> {
        T::deserialize(&self.0).map_err(|error| Error::invalid("", error.to_string()))
    }
}

/// Something that happened in the app.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Event {
    /// The same for every report of one occurrence.
    pub id: String,
    /// What happened, as JSON text.
    pub payload: String,
    /// When it happened, in milliseconds since the Unix epoch, if the app says.
    pub occurred_at: Option<u64>,
}

impl Event {
    /// An event with its id and what happened.
    pub fn new(id: impl ToString, payload: &impl json::Write) -> Self {
        Self {
            id: id.to_string(),
            payload: json::text_of(payload),
            occurred_at: None,
        }
    }

    /// Adds when it happened.
    #[must_use]
    pub fn occurred_at(mut self, moment_ms: Option<u64>) -> Self {
        self.occurred_at = moment_ms;
        self
    }

    /// The payload as a JSON document, null if it is none; for tests.
    pub fn document(&self) -> Value {
        serde_json::from_str(&self.payload).unwrap_or_default()
    }
}

/// What a poll is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mode {
    /// What happened since the cursor.
    Live,
    /// The beginning: only the cursor counts, nothing fires.
    Prime,
    /// A handful of recent events to show to a person.
    Sample,
}

/// What a poll found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Polled {
    /// The events, oldest first.
    pub events: Vec<Event>,
    /// The cursor of the next poll.
    pub cursor: Cursor,
    /// True if there is more to be had at once.
    pub more: bool,
}

impl Polled {
    /// Events, oldest first, and where the next poll goes on; `&()` makes it
    /// begin anew.
    pub fn new(events: Vec<Event>, cursor: &impl Serialize) -> Result<Self, Error> {
        Ok(Self {
            events,
            cursor: Cursor::at(cursor)?,
            more: false,
        })
    }

    /// Says that there is more to be had at once.
    #[must_use]
    pub fn more(mut self, more: bool) -> Self {
        self.more = more;
        self
    }
}

/// Whose form is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// The trigger of this key.
    Trigger(String),
    /// The action of this key.
    Action(String),
}

impl Subject {
    /// The trigger's or the action's key.
    pub fn key(&self) -> &str {
        match self {
            Self::Trigger(key) | Self::Action(key) => key,
        }
    }
}

/// A question for the choices of an input.
#[derive(Debug, Clone, PartialEq)]
pub struct Question {
    /// Whose input.
    pub subject: Subject,
    /// RFC 6901 JSON pointer to the input, for example `/calendar`.
    pub pointer: String,
    /// What is entered so far.
    pub inputs: Inputs,
    /// What the person typed to find a choice.
    pub search: Option<String>,
    /// Where to go on; [`Cursor::START`] for the first page.
    pub page: Cursor,
}

/// One thing to choose.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Choice {
    /// What the input then holds.
    pub value: Value,
    /// What the person sees.
    pub label: String,
    /// A second line, where labels may be alike.
    pub detail: Option<String>,
}

impl Choice {
    /// A choice with its value and its label.
    pub fn new(value: impl Into<Value>, label: impl Into<String>) -> Self {
        Self {
            value: value.into(),
            label: label.into(),
            detail: None,
        }
    }

    /// Adds a second line.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }
}

/// A page of choices.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Choices {
    /// The choices, in the order in which they are shown.
    pub choices: Vec<Choice>,
    /// Where to go on; [`Cursor::START`] on the last page.
    pub next: Cursor,
}

impl Choices {
    /// All choices, or the last page of them.
    pub fn last(choices: impl IntoIterator<Item = Choice>) -> Self {
        Self {
            choices: choices.into_iter().collect(),
            next: Cursor::START,
        }
    }

    /// A page after which the next one begins at `next`.
    pub fn more(
        choices: impl IntoIterator<Item = Choice>,
        next: &impl Serialize,
    ) -> Result<Self, Error> {
        Ok(Self {
            next: Cursor::at(next)?,
            ..Self::last(choices)
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::json;

    use super::*;
    use crate::{Actions, Forms, Triggers};

    #[test]
    fn inputs_are_read_by_name_or_as_a_type() {
        #[derive(Debug, PartialEq, Deserialize)]
        struct Typed<'a> {
            text: &'a str,
            count: Option<u8>,
        }
        let inputs = Inputs::of(json!({ "text": "hi", "none": null, "count": 300 }));
        assert_eq!(inputs.text("text"), Some("hi"));
        assert_eq!((inputs.text("none"), inputs.text("count")), (None, None));
        assert!(matches!(
            inputs.parse::<Typed<'_>>(),
            Err(Error::InvalidInput(_))
        ));
        let inputs = Inputs::of(json!({ "text": "hi" }));
        let typed = Typed {
            text: "hi",
            count: None,
        };
        assert_eq!(inputs.parse::<Typed<'_>>().unwrap(), typed);
        assert_eq!(Inputs::of(json!([1])), Inputs::default());
    }

    #[test]
    fn polls_and_choices_say_where_to_go_on() {
        let event = Event::new(7, &json!({ "a": [1] })).occurred_at(Some(5));
        assert_eq!((event.id.as_str(), event.occurred_at), ("7", Some(5)));
        assert_eq!(event.document(), json!({ "a": [1] }));
        let polled = Polled::new(vec![event], &json!({ "at": 1 }))
            .unwrap()
            .more(true);
        assert_eq!(
            (polled.cursor.text(), polled.more),
            (Some(r#"{"at":1}"#), true)
        );
        assert_eq!(Polled::new(Vec::new(), &()).unwrap().cursor, Cursor::START);

        let choice = Choice::new(1, "one").detail("the first");
        let page = Choices::more([choice.clone()], &2).unwrap();
        assert_eq!((page.choices, page.next.text()), (vec![choice], Some("2")));
        assert_eq!(Choices::last([]).next, Cursor::START);
    }

    struct Nothing;
    impl Triggers for Nothing {}
    impl Actions for Nothing {}
    impl Forms for Nothing {}

    #[test]
    fn what_is_not_implemented_is_unsupported() {
        let none = Inputs::default;
        let subject = || Subject::Action("send".into());
        let question = Question {
            subject: subject(),
            pointer: String::new(),
            inputs: none(),
            search: None,
            page: Cursor::START,
        };
        for error in [
            Nothing::poll("t", none(), Mode::Live, Cursor::START).unwrap_err(),
            Nothing::execute("send", none(), "k").unwrap_err(),
            Nothing::options(question).unwrap_err(),
            Nothing::input_schema(subject(), none()).unwrap_err(),
            Nothing::payload_schema(subject(), none()).unwrap_err(),
        ] {
            assert!(matches!(error, Error::Unsupported(_)), "{error}");
        }
    }
}
