//! Triggers, actions and forms.

use rollout_connector::automations::{Choice, Choices, Question, Subject};
use rollout_connector::{Actions, Cursor, Error, Event, Forms, Inputs, Mode, Polled, Triggers};
use serde_json::{Value, json};

use crate::{Everything, errors};

impl Triggers for Everything {
    fn poll(trigger: &str, inputs: Inputs, mode: Mode, cursor: Cursor) -> Result<Polled, Error> {
        if trigger != "message" {
            return Err(Error::unsupported(trigger, "polling"));
        }
        let event = |n: u64| {
            Event::new(n, &json!({ "n": n, "inputs": inputs.0 }))
                .occurred_at(n.is_multiple_of(2).then_some(n))
        };
        match mode {
            Mode::Prime => Polled::new(Vec::new(), &10),
            Mode::Sample => Polled::new(vec![event(1), event(2)], &()),
            Mode::Live => {
                let last: u64 = cursor.read()?.unwrap_or(0);
                let events = (last + 1..=last + 3).map(event).collect();
                Ok(Polled::new(events, &(last + 3))?.more(last < 3))
            }
        }
    }
}

impl Actions for Everything {
    fn execute(action: &str, inputs: Inputs, idempotency_key: &str) -> Result<Value, Error> {
        match (action, inputs.text("fail").and_then(errors::named)) {
            (_, Some(error)) => Err(error),
            ("send", _) => Ok(json!({ "inputs": inputs.0, "key": idempotency_key })),
            ("forget", _) => Ok(Value::Null),
            _ => Err(Error::unsupported(action, "executing")),
        }
    }
}

impl Forms for Everything {
    fn options(question: Question) -> Result<Choices, Error> {
        let asked = json!({
            "subject": subject(&question.subject),
            "pointer": question.pointer,
            "inputs": question.inputs.0,
            "search": question.search,
        });
        match question.page.read::<u32>()? {
            None => Choices::more([Choice::new(asked, "asked").detail("first page")], &2),
            Some(page) => Ok(Choices::last([
                Choice::new(page, "a number"),
                Choice::new("text", "a text"),
                Choice::new(Value::Null, "nothing"),
            ])),
        }
    }

    fn input_schema(of: Subject, inputs: Inputs) -> Result<Value, Error> {
        Ok(json!({ "title": subject(&of), "default": inputs.0 }))
    }

    fn payload_schema(of: Subject, inputs: Inputs) -> Result<Value, Error> {
        match of.key() {
            "forget" => Err(Error::unsupported("forget", "a payload schema")),
            _ => Ok(json!({ "description": subject(&of), "default": inputs.0 })),
        }
    }
}

fn subject(subject: &Subject) -> String {
    match subject {
        Subject::Trigger(key) => format!("trigger {key}"),
        Subject::Action(key) => format!("action {key}"),
    }
}
