//! The app, the accounts in it, and what the run knows of them.

use std::sync::OnceLock;

use anyhow::{Context, Result};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use parking_lot::Mutex;
use rollout_test_apps::follow_up_boss::{
    self, AccountConfig, Config, Dataset, RateLimits, Simulator,
};
use serde_json::{Value, json};

use crate::api::Call;
use crate::dice::Dice;
use crate::plan::PlannedAccount;
use crate::records::Entity;

/// Records that somebody may still be working on, newest last.
const ROSTER: usize = 60;

/// The app.
pub(crate) struct App {
    simulator: Simulator,
    pub(crate) accounts: Vec<Account>,
}

/// An account.
pub(crate) struct Account {
    pub(crate) number: usize,
    pub(crate) plan: PlannedAccount,
    /// The key that connects it.
    key: String,
    /// Set when it is connected.
    credential: OnceLock<String>,
    /// The highest ids before it was connected.
    pub(crate) before: OnceLock<Marks>,
    /// The highest ids when its first sync was complete.
    pub(crate) ready: OnceLock<Marks>,
    roster: Mutex<Vec<Known>>,
}

/// A record that the run made and has not deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Known {
    pub(crate) entity: Entity,
    pub(crate) marker: String,
    /// Our id, if it was made through the API.
    pub(crate) id: Option<String>,
    /// The app's id.
    pub(crate) original: u64,
}

/// The highest id of each entity: ids rise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Marks([u64; 3]);

impl Marks {
    pub(crate) fn of(self, entity: Entity) -> u64 {
        let [people, notes, tasks] = self.0;
        match entity {
            Entity::People => people,
            Entity::Notes => notes,
            Entity::Tasks => tasks,
        }
    }
}

impl App {
    /// Starts the app, which fails at nothing by itself.
    pub(crate) fn start(plan: &[PlannedAccount]) -> Result<Self> {
        let accounts: Vec<Account> = (plan.iter().cloned().enumerate())
            .map(|(number, plan)| Account {
                number,
                plan,
                key: format!("fka_account_{number}"),
                credential: OnceLock::new(),
                before: OnceLock::new(),
                ready: OnceLock::new(),
                roster: Mutex::default(),
            })
            .collect();
        let mut configs = accounts.iter().map(|account| {
            let people = Dataset::messy(account.plan.seed, account.plan.people);
            AccountConfig::new(people)
                .id(account.id())
                .key(account.key.clone(), 1)
        });
        let first = configs.next().context("there are no accounts")?;
        let config = configs.fold(Config::of(first), Config::account);
        Ok(Self {
            simulator: Simulator::start(config.limits(RateLimits::off()))?,
            accounts,
        })
    }

    /// Where it is.
    pub(crate) fn url(&self) -> &str {
        self.simulator.url()
    }

    /// An account, as the app has it.
    pub(crate) fn within(&self, account: &Account) -> Result<&follow_up_boss::Account> {
        let within = self.simulator.account(account.id());
        within.context("the app lacks an account")
    }

    /// The highest ids now.
    pub(crate) fn marks(&self, account: &Account) -> Result<Marks> {
        let within = self.within(account)?;
        let highest = |entity: Entity| {
            let all = within.all(entity.kind());
            let ids = all.iter().filter_map(|record| record.get("id")?.as_u64());
            ids.max().unwrap_or(0)
        };
        Ok(Marks(Entity::ALL.map(highest)))
    }

    /// The accounts that are connected.
    pub(crate) fn connected(&self) -> Vec<&Account> {
        let accounts = self.accounts.iter();
        accounts
            .filter(|account| account.credential.get().is_some())
            .collect()
    }

    /// The accounts whose first sync is complete.
    pub(crate) fn ready(&self) -> Vec<&Account> {
        let accounts = self.accounts.iter();
        accounts
            .filter(|account| account.ready.get().is_some())
            .collect()
    }
}

impl Account {
    /// The app's number of it.
    fn id(&self) -> u64 {
        self.number as u64 + 1
    }

    /// The product's user who connects it.
    pub(crate) fn consumer(&self) -> String {
        format!("customer-{}", self.number)
    }

    /// What the hosts send to the app as `Authorization`.
    pub(crate) fn authorization(&self) -> String {
        format!("Basic {}", STANDARD.encode(format!("{}:", self.key)))
    }

    /// Its credential, once it is connected.
    pub(crate) fn credential(&self) -> Option<&str> {
        self.credential.get().map(String::as_str)
    }

    /// The call that connects it.
    pub(crate) fn connect(&self) -> Call {
        Call {
            method: reqwest::Method::POST,
            consumer: Some(self.consumer()),
            body: Some(json!({
                "appKey": "follow-up-boss",
                "userInputs": {"apiKey": self.key},
                "entitiesToSync": {"notes": true, "tasks": true},
            })),
            ..Call::get("/api/credentials")
        }
    }

    /// It is connected.
    pub(crate) fn connected(&self, credential: &Value) -> Result<()> {
        let id = credential.get("id").and_then(Value::as_str);
        let id = id.context("a credential without an id")?;
        let _ = self.credential.set(id.to_owned());
        Ok(())
    }

    /// A call about its records, or one of them.
    pub(crate) fn call(&self, entity: Entity, id: Option<&str>) -> Call {
        let path = format!("/crm/api/{}", entity.name());
        Call {
            consumer: Some(self.consumer()),
            credential: self.credential.get().cloned(),
            ..Call::get(match id {
                Some(id) => format!("{path}/{id}"),
                None => path,
            })
        }
    }

    /// Takes a record into the roster.
    pub(crate) fn learn(&self, known: Known) {
        let mut roster = self.roster.lock();
        roster.push(known);
        let surplus = roster.len().saturating_sub(ROSTER);
        roster.drain(..surplus);
    }

    /// Takes a record out of it.
    pub(crate) fn forget(&self, marker: &str) {
        self.roster.lock().retain(|known| known.marker != marker);
    }

    /// A record of the roster.
    pub(crate) fn some(&self, dice: &mut Dice, fits: impl Fn(&Known) -> bool) -> Option<Known> {
        let roster = self.roster.lock();
        let fitting: Vec<&Known> = roster.iter().filter(|known| fits(known)).collect();
        dice.pick(&fitting).map(|known| (*known).clone())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn accounts_are_apart_and_their_ids_rise() {
        let plan = [10, 20].map(|people| PlannedAccount {
            people,
            seed: 1,
            before: 0,
        });
        let app = App::start(&plan).unwrap();
        let [one, two] = app.accounts.as_slice() else {
            unreachable!()
        };
        assert_ne!(one.authorization(), two.authorization());
        let before = app.marks(two).unwrap();
        let native = Entity::Notes.native("fault-1", "value-1", 1);
        let made = app
            .within(two)
            .unwrap()
            .insert(Entity::Notes.kind(), native);
        let after = app.marks(two).unwrap();
        assert!(before.of(Entity::Notes) < made);
        assert_eq!(after.of(Entity::Notes), made);
        assert_eq!(before.of(Entity::Tasks), after.of(Entity::Tasks));
        assert!(app.connected().is_empty() && app.ready().is_empty());
    }

    #[test]
    fn the_roster_is_short() {
        let app = App::start(&[PlannedAccount {
            people: 1,
            seed: 1,
            before: 0,
        }])
        .unwrap();
        let account = app.accounts.first().unwrap();
        for number in 0..100 {
            account.learn(Known {
                entity: Entity::People,
                marker: crate::records::marker(number),
                id: None,
                original: number,
            });
        }
        account.forget("fault-99");
        let mut dice = Dice::new(1, "roster");
        for _ in 0..200 {
            let known = account.some(&mut dice, |_| true).unwrap();
            assert!((40..99).contains(&known.original), "{known:?}");
        }
        assert_eq!(account.some(&mut dice, |known| known.id.is_some()), None);
    }
}
