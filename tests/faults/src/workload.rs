//! People who work while everything fails: clients of the API, and one who works in
//! the app itself.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::accounts::{Account, App, Known};
use crate::api::{Answer, Api, Call};
use crate::dice::Dice;
use crate::found::{Findings, Sort};
use crate::ledger::{By, Intent, Ledger, Outcome, Verb};
use crate::records::{self, Entity};

/// How long a client waits for an answer before it goes on with something else.
const CLIENT_PATIENCE: Duration = Duration::from_secs(15);
/// How long an operation is asked for after the end of the run.
const LAST_PATIENCE: Duration = Duration::from_secs(180);
/// How long one round of attempts lasts.
const ROUND: Duration = Duration::from_secs(5);
/// One answer in so many of a hundred is asked for again.
const REPEATED: u64 = 6;

/// What everybody works with.
#[derive(Clone)]
pub(crate) struct Workload {
    pub(crate) api: Api,
    pub(crate) app: Arc<App>,
    pub(crate) ledger: Ledger,
    pub(crate) findings: Findings,
    /// Set when the work is over.
    pub(crate) over: Arc<OnceLock<Instant>>,
    /// Operations that succeeded.
    pub(crate) accepted: Arc<AtomicUsize>,
}

/// What a client does.
struct Job {
    account: usize,
    entity: Entity,
    verb: Verb,
    /// The record, unless it is made.
    known: Option<Known>,
    /// The person that a new record belongs to.
    person: Option<Known>,
}

impl Workload {
    /// One client, until the work is over; then until its last answer.
    pub(crate) async fn client(self, mut dice: Dice) -> Result<()> {
        let mut under_way = JoinSet::new();
        while self.over.get().is_none() {
            let Some(job) = self.job(&mut dice) else {
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            };
            let (client, own) = (self.clone(), Dice::new(dice.roll(), "operation"));
            let mut operation = tokio::spawn(client.operate(job, own));
            match tokio::time::timeout(CLIENT_PATIENCE, &mut operation).await {
                Ok(done) => done??,
                // It goes on in the background.
                Err(_) => {
                    under_way.spawn(operation);
                }
            }
            while let Some(done) = under_way.try_join_next() {
                done???;
            }
            tokio::time::sleep(dice.millis(0, 100)).await;
        }
        while let Some(done) = under_way.join_next().await {
            done???;
        }
        Ok(())
    }

    fn job(&self, dice: &mut Dice) -> Option<Job> {
        let ready = self.app.ready();
        let account = *dice.pick(&ready)?;
        let entity = dice.weighted(&[
            (40, Entity::People),
            (35, Entity::Notes),
            (25, Entity::Tasks),
        ])?;
        let verb = dice.weighted(&[(50, Verb::Create), (38, Verb::Update), (12, Verb::Delete)])?;
        let ours = |known: &Known| known.id.is_some();
        let known = match verb {
            Verb::Create => None,
            _ => account.some(dice, |known| ours(known) && known.entity == entity),
        };
        let job = |entity, verb, known, person| Job {
            account: account.number,
            entity,
            verb,
            known,
            person,
        };
        if known.is_some() {
            return Some(job(entity, verb, known, None));
        }
        // There is nothing to change yet, or something is to be made.
        let person = account.some(dice, |known| ours(known) && known.entity == Entity::People);
        Some(match (entity, person) {
            (Entity::People, _) | (_, None) => job(Entity::People, Verb::Create, None, None),
            (_, person) => job(entity, Verb::Create, None, person),
        })
    }

    async fn operate(self, job: Job, mut dice: Dice) -> Result<()> {
        let account = self.app.accounts.get(job.account);
        let account = account.context("there is no such account")?;
        let number = self.ledger.number();
        let value = records::value(number);
        let marker = match &job.known {
            Some(known) => known.marker.clone(),
            None => records::marker(number),
        };
        let id = |known: &Option<Known>| known.as_ref().and_then(|known| known.id.clone());
        let mut call = account.call(job.entity, id(&job.known).as_deref());
        let person = id(&job.person);
        (call.method, call.body) = match job.verb {
            Verb::Create => (
                Method::POST,
                Some(job.entity.body(&marker, &value, person.as_deref())),
            ),
            Verb::Update => (Method::PUT, Some(job.entity.text(&marker, &value))),
            Verb::Delete => (Method::DELETE, None),
        };
        let bits = u128::from(dice.roll()) << 64 | u128::from(dice.roll());
        call.key = Some(Uuid::new_v8(bits.to_be_bytes()).to_string());
        let intent = Intent {
            operation: number,
            by: By::Client,
            account: account.number,
            entity: job.entity,
            verb: job.verb,
            marker: marker.clone(),
            value,
            person: job.person.as_ref().map(|person| person.marker.clone()),
            key: call.key.clone(),
        };
        self.ledger.intend(intent).await?;
        let answer = self.until_settled(&call, &mut dice, number).await;
        let outcome = match &answer {
            Some(answer) => self.outcome(&job, &marker, answer, number),
            None => Outcome::Open,
        };
        self.ledger.settle(number, outcome.clone()).await?;
        self.conclude(account, &job, marker, &outcome);
        if matches!(outcome, Outcome::Done { .. })
            && self.over.get().is_none()
            && dice.chance(REPEATED)
        {
            self.repeat(&call, &outcome, &mut dice, number).await;
        }
        Ok(())
    }

    /// Asks until there is an answer that counts, or all is over for long.
    async fn until_settled(&self, call: &Call, dice: &mut Dice, number: u64) -> Option<Answer> {
        loop {
            match self.api.ask(call, dice, ROUND).await {
                Ok(answer) => return Some(answer),
                Err(error) => {
                    let over = self.over.get();
                    if over.is_some_and(|over| over.elapsed() > LAST_PATIENCE) {
                        let text = format!("operation {number}: {error:#}");
                        self.findings.add(Sort::Open, text);
                        return None;
                    }
                }
            }
        }
    }

    fn outcome(&self, job: &Job, marker: &str, answer: &Answer, number: u64) -> Outcome {
        if !answer.is_success() {
            return Outcome::Refused {
                status: answer.status,
                code: answer.code().to_owned(),
            };
        }
        self.accepted.fetch_add(1, Ordering::Relaxed);
        if job.verb == Verb::Delete {
            return Outcome::Done {
                id: None,
                original: None,
            };
        }
        let record = &answer.body;
        let shown = job.entity.read(record).map(|(marker, _)| marker);
        if shown.as_deref() != Some(marker) {
            let text = format!("operation {number} on {marker} was answered with {record}");
            self.findings.add(Sort::Wrong, text);
        }
        let id = record.get("id").and_then(Value::as_str);
        let original = record.pointer(&format!("/originalIds/{}", job.entity.name()));
        Outcome::Done {
            id: id.map(str::to_owned),
            original: original.and_then(number_of),
        }
    }

    fn conclude(&self, account: &Account, job: &Job, marker: String, outcome: &Outcome) {
        match (job.verb, outcome) {
            (
                Verb::Create,
                Outcome::Done {
                    id: Some(id),
                    original: Some(original),
                },
            ) => account.learn(Known {
                entity: job.entity,
                marker,
                id: Some(id.clone()),
                original: *original,
            }),
            (Verb::Delete, Outcome::Done { .. }) => account.forget(&marker),
            (_, Outcome::Refused { status: 404, .. }) => account.forget(&marker),
            // Its person is gone.
            (Verb::Create, Outcome::Refused { .. }) => {
                if let Some(person) = &job.person {
                    account.forget(&person.marker);
                }
            }
            _ => {}
        }
    }

    /// The same key gives the same record again; with another body it is refused.
    async fn repeat(&self, call: &Call, outcome: &Outcome, dice: &mut Dice, number: u64) {
        let Outcome::Done { id, .. } = outcome else {
            return;
        };
        if let Ok(again) = self.api.ask(call, dice, ROUND).await {
            let shown = again.body.get("id").and_then(Value::as_str);
            if !again.is_success() || (id.is_some() && shown != id.as_deref()) {
                let text = format!(
                    "operation {number} gave record {id:?}, and with the same key and body {} {}",
                    again.status, again.body
                );
                self.findings.add(Sort::Wrong, text);
            }
        }
        let mut other = call.clone();
        let Some(body) = other.body.as_mut().and_then(Value::as_object_mut) else {
            return;
        };
        for name in ["firstName", "body", "name"] {
            if let Some(value) = body.get_mut(name) {
                *value = json!(format!("{marker} other", marker = records::marker(number)));
            }
        }
        if let Ok(other) = self.api.ask(&other, dice, ROUND).await
            && other.status != 422
        {
            let text = format!(
                "operation {number}: another body under its key is answered {} {}",
                other.status, other.body
            );
            self.findings.add(Sort::Wrong, text);
        }
    }

    /// Somebody who works in the app, until the work is over.
    pub(crate) async fn insider(self, mut dice: Dice) -> Result<()> {
        while self.over.get().is_none() {
            tokio::time::sleep(dice.millis(50, 500)).await;
            let connected = self.app.connected();
            if let Some(account) = dice.pick(&connected) {
                self.work_inside(account, &mut dice).await?;
            }
        }
        Ok(())
    }

    async fn work_inside(&self, account: &Account, dice: &mut Dice) -> Result<()> {
        let verb = dice.weighted(&[(45, Verb::Create), (45, Verb::Update), (10, Verb::Delete)]);
        let verb = verb.unwrap_or(Verb::Create);
        let known = match verb {
            Verb::Create => None,
            Verb::Update => account.some(dice, |_| true),
            // What the app erases without a trace is seen by the next full pass only:
            // it may be days away. People leave a trace.
            Verb::Delete => account.some(dice, |known| known.entity == Entity::People),
        };
        let person = account.some(dice, |known| known.entity == Entity::People);
        let (verb, entity) = match (&known, &person) {
            (Some(known), _) => (verb, known.entity),
            (None, Some(_)) => (
                Verb::Create,
                *dice.pick(&Entity::ALL).unwrap_or(&Entity::People),
            ),
            (None, None) => (Verb::Create, Entity::People),
        };
        let number = self.ledger.number();
        let value = records::value(number);
        let marker = match &known {
            Some(known) => known.marker.clone(),
            None => records::marker(number),
        };
        let intent = Intent {
            operation: number,
            by: By::App,
            account: account.number,
            entity,
            verb,
            marker: marker.clone(),
            value: value.clone(),
            person: None,
            key: None,
        };
        self.ledger.intend(intent).await?;
        let within = self.app.within(account)?;
        let mut original = known.map(|known| known.original);
        let done = match (verb, original) {
            (Verb::Update, Some(id)) => {
                within.update(entity.kind(), id, entity.text(&marker, &value))
            }
            (Verb::Delete, Some(id)) => within.trash_person(id),
            _ => {
                let person = person.map_or(0, |person| person.original);
                let native = entity.native(&marker, &value, person);
                original = Some(match entity {
                    Entity::People => within.insert_person(native),
                    Entity::Notes | Entity::Tasks => within.insert(entity.kind(), native),
                });
                true
            }
        };
        let outcome = match done {
            true => Outcome::Done { id: None, original },
            false => Outcome::Refused {
                status: 404,
                code: "gone".to_owned(),
            },
        };
        self.ledger.settle(number, outcome).await?;
        match (verb, original) {
            (Verb::Create, Some(original)) => account.learn(Known {
                entity,
                marker,
                id: None,
                original,
            }),
            (Verb::Delete, _) => account.forget(&marker),
            _ => {}
        }
        Ok(())
    }
}

/// The app's ids are numbers; an API may show them as text.
pub(crate) fn number_of(value: &Value) -> Option<u64> {
    match value {
        Value::String(text) => text.parse().ok(),
        value => value.as_u64(),
    }
}
