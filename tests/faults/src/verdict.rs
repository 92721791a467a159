//! What became of everything: the ledger against the app, the app against the
//! hosts' copy, and the events feed against both.

mod copy;
mod events;
mod promises;

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::accounts::{Account, App};
use crate::api::{Api, Call};
use crate::dice::Dice;
use crate::feed::{self, View};
use crate::found::{Difference, Sort};
use crate::hosts::Cluster;
use crate::ledger::Operation;
use crate::records::Entity;
use crate::relay::Relay;
use copy::Shown;
use promises::Found;

/// What is compared.
pub(crate) struct Court<'a> {
    pub(crate) app: &'a App,
    pub(crate) api: &'a Api,
    pub(crate) cluster: &'a Cluster,
    pub(crate) http: reqwest::Client,
    pub(crate) relay: &'a Relay,
    pub(crate) operations: &'a [Operation],
    /// The feed's readers.
    pub(crate) readers: &'a [(View, Vec<feed::Event>)],
}

/// What was found, and how much there was to look at.
#[derive(Default)]
pub(crate) struct Verdict {
    pub(crate) differences: Vec<Difference>,
    pub(crate) records: usize,
    pub(crate) events: usize,
}

impl Court<'_> {
    /// What was promised, against what the app has. Nothing changes it any more.
    pub(crate) fn promises(&self) -> Result<Vec<Difference>> {
        let mut differences = Vec::new();
        for account in self.app.connected() {
            let within = self.app.within(account)?;
            let mut there: BTreeMap<String, Vec<Found>> = BTreeMap::new();
            for entity in Entity::ALL {
                for record in within.all(entity.kind()) {
                    if let Some((marker, value)) = entity.read(&record) {
                        let found = Found {
                            original: original(&record).unwrap_or(0),
                            value,
                            live: is_live(&record),
                        };
                        there.entry(marker).or_default().push(found);
                    }
                }
            }
            let mine = |operation: &&Operation| operation.intent.account == account.number;
            let operations: Vec<&Operation> = self.operations.iter().filter(mine).collect();
            let made = |marker: &str| self.relay.made(marker);
            differences.extend(promises::check(&operations, &there, made));
        }
        Ok(differences)
    }

    /// The copy and the feed. Asked again, it may be better: pages still land.
    pub(crate) async fn rest(&self, dice: &mut Dice) -> Result<Verdict> {
        let mut verdict = Verdict::default();
        let mut shown = Vec::new();
        for account in self.app.connected() {
            verdict.differences.extend(self.credential(account).await);
            for (number, host) in self.cluster.all().iter().enumerate() {
                let mut all = Vec::new();
                for entity in Entity::ALL {
                    let call = account.call(entity, None);
                    match self.api.list(&host.url(), &call).await {
                        Ok(records) => {
                            let (found, known) =
                                self.copy(account, entity, &records, number).await?;
                            verdict.differences.extend(found);
                            all.push((entity, known));
                        }
                        Err(error) => verdict.differences.push(Difference::new(
                            Sort::Host,
                            format!("host {number}, account {}: {error:#}", account.number),
                        )),
                    }
                }
                if number == 0 {
                    verdict.records += all.iter().map(|(_, known)| known.len()).sum::<usize>();
                    shown.push((account, all));
                }
            }
        }
        match self.feeds(&shown, dice).await {
            Ok((differences, events)) => {
                verdict.differences.extend(differences);
                verdict.events = events;
            }
            Err(error) => {
                let text = format!("the feed can't be read: {error:#}");
                verdict.differences.push(Difference::new(Sort::Gap, text));
            }
        }
        Ok(verdict)
    }

    /// One entity of one account, as a host shows it.
    async fn copy(
        &self,
        account: &Account,
        entity: Entity,
        records: &[Value],
        host: usize,
    ) -> Result<(Vec<Difference>, Shown)> {
        let within = self.app.within(account)?;
        let mut there = BTreeMap::new();
        for record in within.all(entity.kind()) {
            if is_live(&record)
                && let Some(id) = original(&record)
            {
                there.insert(id, record);
            }
        }
        let (mut differences, shown) = copy::check(entity, &there, records);
        let mut lost = Vec::new();
        for id in there.keys().filter(|id| !shown.contains_key(id)) {
            // The app hides some from everybody.
            if !self.is_hidden(account, entity, *id).await? {
                let text = format!("{} {id} of the app is not in the copy", entity.name());
                lost.push(Difference::new(Sort::Lost, text));
            }
        }
        differences.extend(lost);
        for difference in &mut differences {
            difference.text = format!(
                "host {host}, account {}: {}",
                account.number, difference.text
            );
        }
        Ok((differences, shown))
    }

    async fn is_hidden(&self, account: &Account, entity: Entity, id: u64) -> Result<bool> {
        let address = format!("{}/v1/{}/{id}", self.app.url(), entity.name());
        let asked = (self.http.get(address)).header("Authorization", account.authorization());
        Ok(asked.send().await?.status().as_u16() == 404)
    }

    /// There is one credential for an account, and it works.
    async fn credential(&self, account: &Account) -> Vec<Difference> {
        let call = Call {
            consumer: Some(account.consumer()),
            ..Call::get("/api/credentials")
        };
        let mut differences = Vec::new();
        let mut add = |sort, text: String| {
            let text = format!("account {}: {text}", account.number);
            differences.push(Difference::new(sort, text));
        };
        for (number, host) in self.cluster.all().iter().enumerate() {
            let answer = match self.api.at(&host.url(), &call).await {
                Ok(answer) => answer,
                Err(error) => {
                    add(Sort::Host, format!("host {number}: {error:#}"));
                    continue;
                }
            };
            let all = answer.body.as_array().map(Vec::as_slice);
            match all {
                Some([one]) => {
                    let text = |pointer| one.pointer(pointer).and_then(Value::as_str);
                    let states = (text("/id"), text("/status"), text("/sync/status"));
                    if states != (account.credential(), Some("ok"), Some("done")) {
                        add(Sort::Wrong, format!("host {number} shows {one}"));
                    }
                }
                Some([]) | None => add(Sort::Lost, format!("host {number}: {}", answer.body)),
                Some(_) => add(Sort::Double, format!("host {number}: {}", answer.body)),
            }
        }
        differences
    }

    async fn feeds(
        &self,
        shown: &[(&Account, Vec<(Entity, Shown)>)],
        dice: &mut Dice,
    ) -> Result<(Vec<Difference>, usize)> {
        let full = feed::read(self.api, View::Full, dice).await?;
        let plain = feed::read(self.api, View::Plain, dice).await?;
        let mut differences = feed::is_part(&plain, &full);
        for (view, seen) in self.readers {
            let there = match view {
                View::Full => &full,
                View::Plain => &plain,
            };
            differences.extend(feed::compare(*view, seen, there));
        }
        for (account, all) in shown {
            let credential = account.credential().context("it is connected")?;
            for (entity, shown) in all {
                let lives = events::Lives {
                    entity: *entity,
                    credential,
                    shown,
                    before: account
                        .before
                        .get()
                        .copied()
                        .unwrap_or_default()
                        .of(*entity),
                    // One that never was: all may have come with the first sync.
                    ready: (account.ready.get()).map_or(u64::MAX, |ready| ready.of(*entity)),
                    made: &self.made(account, *entity),
                };
                differences.extend(lives.check(View::Full, &full));
                differences.extend(lives.check(View::Plain, &plain));
            }
        }
        differences.extend(events::identities(&full, &self.app.connected()));
        Ok((differences, full.len()))
    }

    /// Our ids of the records that clients were told they had made.
    fn made(&self, account: &Account, entity: Entity) -> Vec<String> {
        promises::made(self.operations, account.number, entity)
    }
}

fn original(record: &Value) -> Option<u64> {
    record.get("id")?.as_u64()
}

fn is_live(record: &Value) -> bool {
    record.get("stage").and_then(Value::as_str) != Some("Trash")
}
