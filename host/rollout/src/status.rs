//! `rollout status`: how the accounts of every environment are, while hosts serve or
//! not.

#![expect(clippy::print_stdout, reason = "a command's answer goes there")]

use std::path::Path;

use anyhow::Result;
use rollout_catalog::Catalog;
use rollout_store::{
    BudgetUse, Credential, CredentialStatus, EnvStore, Environment, Quarantined, SyncRow,
    SyncStatus, api_time, now,
};
use serde::Serialize;

use crate::commands::block_on;
use crate::config::Config;
use crate::installation::Installation;

/// Records set aside that are shown of an entity.
const ASIDE: u32 = 5;

/// An environment and its accounts.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct OfEnvironment {
    name: String,
    held: bool,
    /// Why its database can't be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    credentials: Vec<OfCredential>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct OfCredential {
    id: String,
    app_key: String,
    label: Option<String>,
    /// `ok` or `broken`.
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    paused: bool,
    /// When the entity that waits longest was synced last; none: a first sync is not
    /// complete.
    last_synced_at: Option<String>,
    lag_seconds: Option<i64>,
    entities: Vec<OfEntity>,
    budgets: Vec<OfBudget>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct OfEntity {
    name: String,
    status: &'static str,
    records: i64,
    total: Option<i64>,
    last_synced_at: Option<String>,
    next_at: Option<String>,
    /// Failures in a row.
    failures: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    last_full_pass_at: Option<String>,
    full_pass_running: bool,
    /// Records that the last full pass missed, which wait for a confirmation.
    #[serde(skip_serializing_if = "Option::is_none")]
    missing: Option<i64>,
    quarantined: i64,
    /// Some of them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    quarantine: Vec<Aside>,
}

#[derive(Serialize)]
struct Aside {
    id: String,
    reason: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct OfBudget {
    /// The limit, and who shares it.
    limit: String,
    /// Requests that count against it now.
    used: i64,
    reset_at: Option<String>,
    /// The app asked for patience until then.
    closed_until: Option<String>,
}

pub(crate) fn run(data: &Path, config: &Config, as_json: bool) -> Result<()> {
    block_on(async {
        let installation = Installation::open(config, data, false).await?;
        let catalog = Catalog::embedded()?;
        let mut all = Vec::new();
        for environment in installation.control.environments().await? {
            all.push(of_environment(&installation, &catalog, environment).await);
        }
        if as_json {
            println!("{}", serde_json::to_string_pretty(&all)?);
        } else {
            all.iter().for_each(show);
        }
        Ok(())
    })
}

/// One whose database does not answer keeps the others from nothing.
async fn of_environment(
    installation: &Installation,
    catalog: &Catalog,
    environment: Environment,
) -> OfEnvironment {
    let read = async {
        let store = installation.store(&environment, catalog).await?;
        let credentials = credentials(&store).await;
        store.close().await;
        Ok::<_, anyhow::Error>(credentials?)
    };
    let (credentials, error) = match read.await {
        Ok(credentials) => (credentials, None),
        Err(error) => (Vec::new(), Some(format!("{error:#}"))),
    };
    OfEnvironment {
        name: environment.name,
        held: environment.held,
        error,
        credentials,
    }
}

async fn credentials(store: &EnvStore) -> rollout_store::Result<Vec<OfCredential>> {
    let budgets = store.budgets_in_use().await?;
    let all = store.all_credentials().await?;
    let ids: Vec<String> = all.iter().map(|one| one.id.clone()).collect();
    let mut rows = store.sync_rows_of(&ids).await?;
    let mut shown = Vec::with_capacity(all.len());
    for credential in all {
        let rows = rows.remove(&credential.id).unwrap_or_default();
        let mut entities = Vec::with_capacity(rows.len());
        for row in &rows {
            let aside = match row.quarantined {
                0 => Vec::new(),
                _ => store.quarantine(&credential.id, &row.entity, ASIDE).await?,
            };
            entities.push(entity(row, aside));
        }
        shown.push(of_credential(credential, &rows, entities, &budgets));
    }
    Ok(shown)
}

fn of_credential(
    credential: Credential,
    rows: &[SyncRow],
    entities: Vec<OfEntity>,
    budgets: &[BudgetUse],
) -> OfCredential {
    let read = rows
        .iter()
        .filter(|row| row.schedule.status != SyncStatus::Unavailable);
    let synced: Option<Vec<i64>> = read.map(|row| row.synced_at).collect();
    let oldest = synced.and_then(|all| all.into_iter().min());
    let own = [
        format!("{} account {}", credential.app_key, credential.external_id),
        format!("{} credential {}", credential.app_key, credential.id),
        format!("{} app", credential.app_key),
    ];
    let is_own = |key: &str| {
        let rest = own.iter().filter_map(|own| key.strip_prefix(own.as_str()));
        rest.into_iter()
            .any(|rest| rest.is_empty() || rest.starts_with(' '))
    };
    let budgets = budgets.iter().filter(|budget| is_own(&budget.key));
    let (status, reason) = match credential.status {
        CredentialStatus::Ok => ("ok", None),
        CredentialStatus::Broken(reason) => ("broken", Some(reason)),
    };
    OfCredential {
        id: credential.id,
        app_key: credential.app_key,
        label: credential.label,
        status,
        reason,
        paused: rows.iter().any(|row| row.settings.paused),
        last_synced_at: moment(oldest),
        lag_seconds: oldest.map(|at| now().saturating_sub(at) / 1000),
        entities,
        budgets: budgets.map(budget).collect(),
    }
}

fn entity(row: &SyncRow, aside: Vec<Quarantined>) -> OfEntity {
    let full_error = row.full.as_ref().and_then(|full| full.error.clone());
    let full_failures = row.full.as_ref().map_or(0, |full| full.attempts);
    let aside = aside.into_iter().map(|one| Aside {
        id: one.upstream_id,
        reason: one.reason,
    });
    OfEntity {
        name: row.entity.clone(),
        status: match row.missing {
            Some(_) => "needs-confirmation",
            None => row.schedule.status.as_str(),
        },
        records: row.records,
        total: row.total,
        last_synced_at: moment(row.synced_at),
        next_at: moment(row.schedule.next_at),
        failures: row.schedule.attempts.max(full_failures),
        error: row.schedule.error.clone().or(full_error),
        last_full_pass_at: moment(row.full_done_at),
        full_pass_running: row.full.is_some(),
        missing: row.missing,
        quarantined: row.quarantined,
        quarantine: aside.collect(),
    }
}

fn budget(budget: &BudgetUse) -> OfBudget {
    OfBudget {
        limit: budget.key.clone(),
        used: budget.requests,
        reset_at: moment(Some(budget.expires_at)),
        closed_until: moment(budget.closed_until),
    }
}

fn moment(at: Option<i64>) -> Option<String> {
    at.and_then(|at| api_time(at).ok())
}

/// What a person reads: one line for each account, and one for whatever is wrong.
fn show(environment: &OfEnvironment) {
    let held = if environment.held { ", held" } else { "" };
    let count = environment.credentials.len();
    println!("{}: {count} accounts{held}", environment.name);
    if let Some(error) = &environment.error {
        println!("  can't be read: {error}");
    }
    for credential in &environment.credentials {
        let label = credential.label.as_deref().unwrap_or_default();
        let lag = match credential.lag_seconds {
            Some(seconds) => format!("synced {seconds} s ago"),
            None => "first sync not complete".to_owned(),
        };
        let records: i64 = credential.entities.iter().map(|one| one.records).sum();
        let paused = if credential.paused { ", paused" } else { "" };
        println!(
            "  {} {} ({}): {}, {lag}, {records} records{paused}",
            credential.id,
            credential.app_key,
            printable(label),
            credential.status
        );
        if let Some(reason) = &credential.reason {
            println!("    {}", printable(reason));
        }
        for entity in &credential.entities {
            show_trouble(entity);
        }
        for budget in &credential.budgets {
            if let Some(until) = &budget.closed_until {
                println!("    the app asked for patience until {until}");
            }
        }
    }
}

fn show_trouble(entity: &OfEntity) {
    let name = &entity.name;
    if let Some(missing) = entity.missing {
        println!(
            "    {name}: {missing} of {} records are missing: POST /api/credentials/ID/sync \
             {{\"confirmDeletes\": true}} if they are deleted",
            entity.records
        );
    }
    if let Some(error) = &entity.error {
        println!("    {name}: {}: {}", entity.status, printable(error));
    }
    if entity.quarantined > 0 {
        println!("    {name}: {} records set aside", entity.quarantined);
        for one in &entity.quarantine {
            println!("      {}: {}", printable(&one.id), printable(&one.reason));
        }
    }
}

/// What apps say may hold what a terminal obeys.
fn printable(text: &str) -> String {
    text.replace(char::is_control, " ")
}
