//! One run, from an empty folder to a verdict.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tokio::task::JoinSet;

use crate::accounts::{Account, App};
use crate::api::{Api, Call};
use crate::database::Database;
use crate::dice::Dice;
use crate::faults::Stage;
use crate::feed::{Reader, View};
use crate::found::{Findings, Sort};
use crate::hosts::{Cluster, Surroundings};
use crate::ledger::{self, Ledger, Outcome};
use crate::options::Options;
use crate::plan::Plan;
use crate::records::Entity;
use crate::relay::Relay;
use crate::summary::Summary;
use crate::verdict::Court;
use crate::workload::Workload;

/// How long a first sync may take, faults included.
const FIRST_SYNC: Duration = Duration::from_secs(600);
/// How long it may take until every account was polled after the last change.
const QUIET: Duration = Duration::from_secs(120);
/// Polls after which a change has certainly been seen: one may have begun before it,
/// the next lands it when the one after begins.
const POLLS: usize = 3;
/// How long the copy may take to be right after that.
const LANDING: Duration = Duration::from_secs(60);

/// Hears what happens, line by line.
pub type Say = Arc<dyn Fn(&str) + Send + Sync>;

/// Runs a scenario: hosts fail while people work, and in the end everything that was
/// promised must be there.
///
/// # Errors
/// The scenario could not be played to its end; that something is lost is no error
/// but what the summary says.
pub async fn run(options: &Options, say: Say) -> Result<Summary> {
    say(&format!(
        "{} faults, seed {}, {:?}, {} hosts",
        options.faults, options.seed, options.store, options.hosts
    ));
    say(&format!("again: {}", options.command_line()));
    let (folder, temporary) = match &options.folder {
        Some(folder) => {
            std::fs::create_dir_all(folder)?;
            (folder.clone(), false)
        }
        None => {
            let folder = tempfile::Builder::new()
                .prefix("rollout-faults-")
                .tempdir()?;
            (folder.keep(), true)
        }
    };
    let outcome = play(options, &say, &folder).await;
    match &outcome {
        Ok(summary) if temporary && summary.is_clean() => {
            std::fs::remove_dir_all(&folder)
                .with_context(|| format!("can't remove {}", folder.display()))?;
        }
        _ => say(&format!("ledger and logs are in {}", folder.display())),
    }
    outcome.with_context(|| format!("seed {}", options.seed))
}

/// All that plays a part.
struct Play<'a> {
    options: &'a Options,
    say: &'a Say,
    began: Instant,
    ledger: Ledger,
    ledger_file: PathBuf,
    stage: Stage,
    over: Arc<OnceLock<Instant>>,
    accepted: Arc<AtomicUsize>,
}

async fn play(options: &Options, say: &Say, folder: &Path) -> Result<Summary> {
    let (database, left_out) = Database::start(options.store, folder).await?;
    if let Some(left_out) = left_out {
        say(&left_out);
    }
    let plan = Plan::new(options, database.has_disk())?;
    let app = Arc::new(App::start(&plan.accounts)?);
    let relay = Relay::start(app.url(), options.seed).await?;
    let around = Surroundings {
        app: relay.url(),
        databases: database.urls().await?,
        folder,
        data: database.folder().unwrap_or(folder),
    };
    let cluster = Arc::new(Cluster::start(options, around).await?);
    let findings = Findings::default();
    let api = Api::new(cluster.clone(), findings.clone())?;
    let ledger_file = folder.join("ledger.jsonl");
    let play = Play {
        options,
        say,
        began: Instant::now(),
        ledger: Ledger::create(&ledger_file)?,
        ledger_file,
        stage: Stage {
            cluster,
            database: Arc::new(database),
            relay,
            app,
            api,
            findings,
        },
        over: Arc::default(),
        accepted: Arc::default(),
    };
    play.all(&plan).await
}

impl Play<'_> {
    async fn all(&self, plan: &Plan) -> Result<Summary> {
        let mut connecting = JoinSet::new();
        for account in &self.stage.app.accounts {
            if account.plan.before == 0 {
                self.connect(&mut connecting, account.number);
            }
        }
        while let Some(connected) = connecting.join_next().await {
            connected??;
        }
        self.say("the first accounts are synced; the work begins");

        let mut work = JoinSet::new();
        let workload = Workload {
            api: self.stage.api.clone(),
            app: self.stage.app.clone(),
            ledger: self.ledger.clone(),
            findings: self.stage.findings.clone(),
            over: self.over.clone(),
            accepted: self.accepted.clone(),
        };
        for number in 0..self.options.clients.max(1) {
            let dice = self.dice(&format!("client {number}"));
            work.spawn(workload.clone().client(dice));
        }
        work.spawn(workload.insider(self.dice("insider")));
        let readers = [View::Full, View::Plain].map(|view| {
            let (api, findings) = (self.stage.api.clone(), self.stage.findings.clone());
            (view, Reader::new(api, view, findings))
        });
        for (view, reader) in &readers {
            let dice = self.dice(&format!("{view:?} reader"));
            work.spawn(reader.clone().follow(dice, self.over.clone()));
        }

        let mut summary = Summary::of(self.options);
        self.faults(plan, &mut connecting, &mut summary).await?;
        // Everybody's last words come after the last fault.
        tokio::time::sleep(Duration::from_secs(2)).await;
        let _ = self.over.set(Instant::now());
        self.say("the last fault is over; waiting for open answers");
        while let Some(done) = work.join_next().await {
            done??;
        }
        while let Some(connected) = connecting.join_next().await {
            connected??;
        }
        self.stage.look_after_hosts().await?;
        self.say("waiting until all is quiet");
        self.quiet().await;
        self.say("comparing");
        let seen: Vec<_> = (readers.iter())
            .map(|(view, reader)| (*view, reader.seen()))
            .collect();
        self.judge(&seen, &mut summary).await?;
        summary.took = self.began.elapsed();
        Ok(summary)
    }

    async fn faults(
        &self,
        plan: &Plan,
        connecting: &mut JoinSet<Result<()>>,
        summary: &mut Summary,
    ) -> Result<()> {
        for (number, step) in (1..).zip(&plan.steps) {
            for account in &self.stage.app.accounts {
                if account.plan.before == number {
                    self.say(&format!("connecting account {}", account.number));
                    self.connect(connecting, account.number);
                }
            }
            tokio::time::sleep(step.wait).await;
            self.stage.look_after_hosts().await?;
            let told = format!("fault {number}: {}", step.fault);
            self.ledger.fault(number, step.fault.to_string()).await?;
            self.say(&told);
            let recovery = self.stage.suffer(&step.fault).await.context(told)?;
            if let Some(recovery) = recovery {
                self.say(&format!("recovered in {recovery:?}"));
                summary.recoveries.push(recovery);
            } else if step.calm {
                let recovery = self.stage.recover_since(Instant::now()).await??;
                self.say(&format!("all well after {recovery:?}"));
            }
            summary.count(step.fault.name());
        }
        Ok(())
    }

    /// Connects an account, and waits in the background until its first sync is
    /// complete.
    fn connect(&self, connecting: &mut JoinSet<Result<()>>, number: usize) {
        let (stage, ledger, over) = (self.stage.clone(), self.ledger.clone(), self.over.clone());
        let mut dice = self.dice(&format!("connecting {number}"));
        connecting.spawn(async move {
            let account = stage.app.accounts.get(number);
            let account = account.context("there is no such account")?;
            let _ = account.before.set(stage.app.marks(account)?);
            let connected = stage
                .api
                .ask(&account.connect(), &mut dice, FIRST_SYNC)
                .await?;
            if !connected.is_success() {
                bail!(
                    "account {number} can't be connected: {} {}",
                    connected.status,
                    connected.body
                );
            }
            account.connected(&connected.body)?;
            ledger.first_sync(number, false).await?;
            if let Err(error) = first_sync(&stage, account, &mut dice, &over).await {
                let text = format!("account {number}: {error:#}");
                stage.findings.add(Sort::Host, text);
                return Ok(());
            }
            let _ = account.ready.set(stage.app.marks(account)?);
            ledger.first_sync(number, true).await
        });
    }

    /// Waits until every account was polled several times.
    async fn quiet(&self) {
        let app = &self.stage.app;
        let listed = || -> Vec<(usize, Entity, usize)> {
            let accounts = app.connected().into_iter();
            accounts
                .flat_map(|account| {
                    Entity::ALL.map(|entity| {
                        let relay = &self.stage.relay;
                        let listed = relay.listed(&account.authorization(), entity.name());
                        (account.number, entity, listed.times)
                    })
                })
                .collect()
        };
        let (asked, before) = (Instant::now(), listed());
        loop {
            let now = listed();
            let mut late = before.iter().zip(&now);
            let late = late.find(|(before, now)| now.2 < before.2 + POLLS);
            let Some(((account, entity, _), _)) = late else {
                return;
            };
            if asked.elapsed() > QUIET {
                let text = format!("account {account}: {} are polled no more", entity.name());
                self.stage.findings.add(Sort::Host, text);
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn judge(
        &self,
        seen: &[(View, Vec<crate::feed::Event>)],
        summary: &mut Summary,
    ) -> Result<()> {
        let operations = ledger::read(&self.ledger_file)?;
        let stage = &self.stage;
        let court = Court {
            app: &stage.app,
            api: &stage.api,
            cluster: &stage.cluster,
            http: reqwest::Client::new(),
            relay: &stage.relay,
            operations: &operations,
            readers: seen,
        };
        let mut dice = self.dice("verdict");
        let asked = Instant::now();
        let rest = loop {
            let rest = court.rest(&mut dice).await?;
            let Some(first) = rest.differences.first() else {
                break rest;
            };
            if asked.elapsed() > LANDING {
                break rest;
            }
            let (number, first) = (rest.differences.len(), &first.text);
            self.say(&format!(
                "comparing again: {number} differences yet, such as {first}"
            ));
            tokio::time::sleep(Duration::from_secs(1)).await;
        };
        summary.differences = stage.findings.all();
        summary.differences.extend(court.promises()?);
        summary.differences.extend(rest.differences);
        summary.accepted = self.accepted.load(Ordering::Relaxed);
        let outcomes = |is: fn(&Outcome) -> bool| {
            let all = operations.iter();
            all.filter(|operation| is(&operation.outcome)).count()
        };
        summary.operations = operations.len();
        summary.refused = outcomes(|outcome| matches!(outcome, Outcome::Refused { .. }));
        summary.records = rest.records;
        summary.events = rest.events;
        summary.accounts = stage.app.connected().len();
        Ok(())
    }

    fn dice(&self, stream: &str) -> Dice {
        Dice::new(self.options.seed, stream)
    }

    fn say(&self, text: &str) {
        let seconds = self.began.elapsed().as_secs_f64();
        (self.say)(&format!("{seconds:8.1} s  {text}"));
    }
}

/// Waits for a first sync, which may take its time while hosts fail, and little when
/// that is over.
async fn first_sync(
    stage: &Stage,
    account: &Account,
    dice: &mut Dice,
    over: &OnceLock<Instant>,
) -> Result<()> {
    let id = account.credential().context("it is connected")?;
    let call = Call {
        consumer: Some(account.consumer()),
        ..Call::get(format!("/api/credentials/{id}"))
    };
    let asked = Instant::now();
    loop {
        let answer = stage.api.ask(&call, dice, FIRST_SYNC).await?;
        let status = answer.body.pointer("/sync/status");
        if status.and_then(serde_json::Value::as_str) == Some("done") {
            return Ok(());
        }
        let late = over.get().is_some_and(|over| over.elapsed() > QUIET);
        if late || asked.elapsed() > FIRST_SYNC {
            bail!("the first sync is not complete: {}", answer.body);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
