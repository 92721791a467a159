//! What a connector implements: one trait per capability.
//!
//! A connector is a type without a value; the host instantiates the component
//! afresh for every call, so there is nothing to keep between calls.
//! [`export!`](crate::export) turns the type into a component.

use serde_json::Value;

use crate::automations::{Choices, Inputs, Mode, Polled, Question, Subject};
use crate::error::Error;
use crate::hooks::{Accepted, Inbound, Routed, Subscription, Topic};
use crate::records::{Cursor, Item, Page, Scope, Write, Written};

/// What the connector says of itself. Every connector implements it.
pub trait Manifest {
    /// The manifest as JSON text (`wit/manifest.schema.json`). Must not depend
    /// on anything: the host calls it twice and compares.
    fn describe() -> String;
}

/// Proof that a credential works. Every connector implements it.
pub trait Auth {
    /// Makes one cheap authenticated request and says whose credential it is.
    fn probe() -> Result<Account, Error>;
}

/// The account behind a credential.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Account {
    /// What a person recognises it by.
    pub label: String,
    /// An `https` URL of a picture.
    pub avatar: Option<String>,
    /// The app's id of what the credential sees: of the account, and of the
    /// user too where users of one account see different things.
    pub external_id: String,
    /// Public fields learned from the app, readable by
    /// [`credential::field`](crate::credential::field).
    pub fields: Vec<(String, String)>,
}

impl Account {
    /// An account with its external id and its label.
    pub fn new(external_id: impl ToString, label: impl Into<String>) -> Self {
        Self {
            external_id: external_id.to_string(),
            label: label.into(),
            ..Self::default()
        }
    }

    /// Adds a public field.
    #[must_use]
    pub fn field(mut self, name: &str, value: impl ToString) -> Self {
        self.fields.push((name.to_owned(), value.to_string()));
        self
    }
}

/// Signing in to apps that have neither keys nor OAuth.
pub trait Login {
    /// Signs in. `public_inputs` is an object of the inputs that are not
    /// secret; passwords are slots, usable in requests made during this call.
    fn sign_in(public_inputs: Value) -> Result<SignIn, Error>;

    /// Goes on after a challenge. What the person entered is in the slot `answer`.
    fn answer(state: Value) -> Result<SignIn, Error>;
}

/// How far signing in came.
#[derive(Debug, Clone, PartialEq)]
pub enum SignIn {
    /// Signed in; the session's secrets were captured.
    Done {
        /// When the session ends, in milliseconds since the Unix epoch, if the app says.
        expires_at: Option<u64>,
    },
    /// The app wants a further proof, for example a code sent by mail.
    Challenge {
        /// A short title for the person.
        title: String,
        /// What to do, for the person.
        message: String,
        /// What [`Login::answer`] needs to go on.
        state: Value,
    },
}

/// Records: reading what changed, and writing. Verbs that aren't implemented
/// answer [`Error::Unsupported`].
pub trait Entities {
    /// Reads the next page: a pure function of its arguments and of what the
    /// app answers. `limit` is how many items the host would like.
    fn changes(entity: &str, scope: Scope, cursor: Cursor, limit: u32) -> Result<Page, Error> {
        let _ = (scope, cursor, limit);
        Err(Error::unsupported(entity, "list"))
    }

    /// Reads records by id. One that is absent from the answer is unknown; only
    /// an item that is `deleted` says that the record is gone.
    fn get(entity: &str, ids: &[String]) -> Result<Vec<Item>, Error> {
        let _ = ids;
        Err(Error::unsupported(entity, "get"))
    }

    /// Creates a record.
    fn create(entity: &str, write: Write) -> Result<Written, Error> {
        let _ = write;
        Err(Error::unsupported(entity, "create"))
    }

    /// Changes a record.
    fn update(entity: &str, id: &str, write: Write) -> Result<Written, Error> {
        let _ = (id, write);
        Err(Error::unsupported(entity, "update"))
    }

    /// Deletes a record. One that is gone already is [`Error::NotFound`].
    fn delete(entity: &str, id: &str, idempotency_key: &str) -> Result<(), Error> {
        let _ = (id, idempotency_key);
        Err(Error::unsupported(entity, "delete"))
    }

    /// Carries out an operation of the catalogue, for example `tags/apply` on
    /// `people`; `write.body` is its input.
    fn perform(entity: &str, id: &str, operation: &str, write: Write) -> Result<Written, Error> {
        let _ = (id, write);
        Err(Error::unsupported(entity, operation))
    }
}

/// The app's own webhooks. Functions that aren't implemented answer
/// [`Error::Unsupported`]; types and an example are in [`hooks`](crate::hooks).
pub trait Hooks {
    /// Makes a subscription at the app. With a shared hook there may be nothing
    /// to ask the app for: the answer then only says the keys of the account.
    fn subscribe(topic: Topic) -> Result<Subscription, Error> {
        Err(Error::unsupported(&topic.hook, "subscribing"))
    }

    /// Renews a subscription, or makes it anew if the app has dropped it. Unless
    /// implemented, it is only made anew.
    fn renew(topic: Topic, data: Value) -> Result<Subscription, Error> {
        let _ = data;
        Self::subscribe(topic)
    }

    /// Ends a subscription. One that is gone already is [`Error::NotFound`].
    fn unsubscribe(data: Value) -> Result<(), Error> {
        let _ = data;
        Err(Error::unsupported("hooks", "unsubscribing"))
    }

    /// Says whom a request to a shared hook is for, and answers handshakes.
    /// There is no credential; verify the request with [`app`](crate::app).
    fn route(request: Inbound) -> Result<Routed, Error> {
        let _ = request;
        Err(Error::unsupported("hooks", "routing"))
    }

    /// Verifies a request for one subscription and says what it tells.
    /// [`Error::Unauthorized`]: it is not the app's.
    fn accept(data: Value, request: Inbound) -> Result<Accepted, Error> {
        let _ = (data, request);
        Err(Error::unsupported("hooks", "accepting"))
    }
}

/// Triggers: events found by polling. Types and an example are in
/// [`automations`](crate::automations).
pub trait Triggers {
    /// Looks for events: a pure function of its arguments and of what the app
    /// answers. With [`Mode::Prime`] only the cursor counts.
    fn poll(trigger: &str, inputs: Inputs, mode: Mode, cursor: Cursor) -> Result<Polled, Error> {
        let _ = (inputs, mode, cursor);
        Err(Error::unsupported(trigger, "polling"))
    }
}

/// Actions: what can be done in the app.
pub trait Actions {
    /// Carries out an action; the answer is what its output schema says. The key
    /// is the same for every attempt at the same thing.
    fn execute(action: &str, inputs: Inputs, idempotency_key: &str) -> Result<Value, Error> {
        let _ = (inputs, idempotency_key);
        Err(Error::unsupported(action, "executing"))
    }
}

/// Forms: choices and schemas that depend on the account or on what is entered.
/// Functions that aren't implemented answer [`Error::Unsupported`].
pub trait Forms {
    /// The choices of an input that the manifest marks with `x-options`.
    fn options(question: Question) -> Result<Choices, Error> {
        Err(Error::unsupported(question.subject.key(), "options"))
    }

    /// The JSON Schema of the inputs, in place of the manifest's.
    fn input_schema(subject: Subject, inputs: Inputs) -> Result<Value, Error> {
        let _ = inputs;
        Err(Error::unsupported(subject.key(), "an input schema"))
    }

    /// The JSON Schema of a trigger's payload or an action's output, in place of
    /// the manifest's.
    fn payload_schema(subject: Subject, inputs: Inputs) -> Result<Value, Error> {
        let _ = inputs;
        Err(Error::unsupported(subject.key(), "a payload schema"))
    }
}
