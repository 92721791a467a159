//! Triggers, actions and forms.

use super::{object, wire};
use crate::automations::{Choice, Choices, Event, Inputs, Mode, Polled, Question, Subject};
use crate::bindings::{actions, forms, triggers};
use crate::capability::{Actions, Forms, Triggers};
use crate::error::Error;
use crate::records::Cursor;

use actions::exports::rollout::connector::actions as actions_wire;
use forms::exports::rollout::connector::forms as forms_wire;
use triggers::exports::rollout::connector::triggers as triggers_wire;

impl<T: Triggers> triggers_wire::Guest for T {
    fn poll(
        trigger: String,
        inputs: String,
        mode: triggers_wire::PollMode,
        cursor: Option<String>,
    ) -> Result<triggers_wire::PollOutput, wire::Error> {
        let mode = match mode {
            triggers_wire::PollMode::Live => Mode::Live,
            triggers_wire::PollMode::Prime => Mode::Prime,
            triggers_wire::PollMode::Sample => Mode::Sample,
        };
        let Polled {
            events,
            cursor,
            more,
        } = <T as Triggers>::poll(&trigger, read(&inputs)?, mode, Cursor(cursor))?;
        Ok(triggers_wire::PollOutput {
            events: events.into_iter().map(event).collect(),
            cursor: cursor.0,
            more,
            extra: None,
        })
    }
}

impl<T: Actions> actions_wire::Guest for T {
    fn execute(
        action: String,
        inputs: String,
        idempotency_key: String,
    ) -> Result<String, wire::Error> {
        let output = <T as Actions>::execute(&action, read(&inputs)?, &idempotency_key)?;
        Ok(output.to_string())
    }
}

impl<T: Forms> forms_wire::Guest for T {
    fn options(question: forms_wire::Question) -> Result<forms_wire::Choices, wire::Error> {
        let Choices { choices, next } = <T as Forms>::options(Question {
            subject: subject(question.subject),
            pointer: question.pointer,
            inputs: read(&question.inputs)?,
            search: question.search,
            page: Cursor(question.page),
        })?;
        Ok(forms_wire::Choices {
            choices: choices.into_iter().map(choice).collect(),
            next: next.0,
            extra: None,
        })
    }

    fn input_schema(of: forms_wire::Subject, inputs: String) -> Result<String, wire::Error> {
        let schema = <T as Forms>::input_schema(subject(of), read(&inputs)?)?;
        Ok(schema.to_string())
    }

    fn payload_schema(of: forms_wire::Subject, inputs: String) -> Result<String, wire::Error> {
        let schema = <T as Forms>::payload_schema(subject(of), read(&inputs)?)?;
        Ok(schema.to_string())
    }
}

pub(super) fn read(inputs: &str) -> Result<Inputs, Error> {
    object(inputs).map(Inputs)
}

pub(super) fn event(event: Event) -> wire::Event {
    wire::Event {
        id: event.id,
        payload: event.payload,
        occurred_at: event.occurred_at,
        extra: None,
    }
}

fn subject(subject: forms_wire::Subject) -> Subject {
    match subject {
        forms_wire::Subject::Trigger(key) => Subject::Trigger(key),
        forms_wire::Subject::Action(key) => Subject::Action(key),
    }
}

fn choice(choice: Choice) -> forms_wire::Choice {
    forms_wire::Choice {
        value: choice.value.to_string(),
        label: choice.label,
        detail: choice.detail,
        extra: None,
    }
}
