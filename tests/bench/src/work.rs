//! The store under load, on SQLite and on Postgres: pages that land, jobs that
//! are claimed and finished under leases, and how soon an entered job starts.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use async_trait::async_trait;
use parking_lot::Mutex;
use rollout_catalog::Catalog;
use rollout_connectors::{Environment, Environments, client_secret_context};
use rollout_store::{
    AppKeys, Credential, CredentialStatus, Databases, EnvStore, Lease, Location, Migrate, NewJob,
    Page, Queue, Record, ReferenceIds, SYNC, StoreError, new_credential_id, now,
};
use rollout_test_postgres::{Options, Server};
use rollout_work::{Handler, Leases, Queued, Settings, Workers};
use serde_json::json;
use tempfile::TempDir;
use tokio::sync::watch;

use crate::keys::keyring;
use crate::measure::{Process, Round, Side, Summary, process_cpu};
use crate::programs::data;
use crate::report::{Goal, Report, Row, number};

const PEOPLE: usize = 50_000;
const PER_PAGE: usize = 500;
const JOBS: usize = 40_000;
const BATCH: i64 = 500;
const LANES: usize = 1_000;
const LEASE: i64 = 60_000;
const CLAIMERS: usize = 2;
/// Jobs that are entered one by one, each when the one before has started.
const IDLE_JOBS: usize = 400;
/// Jobs per second of the load, and for how long.
const LOAD: u64 = 1_000;
const LOADED: Duration = Duration::from_secs(5);

const BENCH: Queue = Queue {
    name: "bench",
    per_lane: 100,
};

/// A database that is measured, with durable commits.
struct Place {
    name: &'static str,
    location: Location,
    _folder: Option<TempDir>,
}

impl Place {
    fn all(server: &Server) -> Result<[Self; 2]> {
        let folder = TempDir::new_in(data()?)?;
        let file: PathBuf = folder.path().join("bench.sqlite");
        Ok([
            Self {
                name: "SQLite",
                location: Location::File(file),
                _folder: Some(folder),
            },
            Self {
                name: "Postgres",
                location: Location::parse(&server.database()?)?,
                _folder: None,
            },
        ])
    }
}

/// A store with everything around it.
struct Bench {
    store: Arc<EnvStore>,
    environment: Arc<Environment>,
    signals: Arc<rollout_store::Signals>,
    catalog: Catalog,
    consumer: String,
}

pub(crate) async fn measure(rounds: usize) -> Result<Report> {
    let server = Server::start(Options {
        fsync: true,
        data: Some(data()?).filter(|folder| may_enter(folder)),
        ..Options::default()
    })?;
    let mut report = Report {
        id: "store",
        title: format!(
            "pages of {PER_PAGE} people; jobs in batches of {BATCH} over {LANES} lanes, {CLAIMERS} at once"
        ),
        settings: vec![
            format!(
                "{rounds} rounds of {PEOPLE} people and {JOBS} jobs; fsync and synchronous commit on"
            ),
            "CPU and memory are this process's; a Postgres server's come on top".into(),
        ],
        ..Report::default()
    };
    for place in Place::all(&server)? {
        let bench = Bench::open(&place).await?;
        let side = |what: &str| Side::new(format!("{}: {what}", place.name));
        let (mut new, mut both, mut same, mut jobs) = (
            side("new people"),
            side("new people of two accounts at once, records made meanwhile"),
            side("unchanged people"),
            side("jobs, claimed and finished"),
        );
        for round in 0..rounds {
            let credential = bench.connect(round).await?;
            let lease = bench.lease(&credential).await?;
            let rss = || Process::own().peak_rss();
            new.add(bench.land(&credential, &lease).await?, rss()?);
            same.add(bench.land(&credential, &lease).await?, rss()?);
            jobs.add(bench.jobs().await?, rss()?);
            bench.store.delete_credential(&credential.id).await?;
            both.add(bench.land_two(rounds + round).await?, rss()?);
        }
        for side in [&new, &both, &same, &jobs] {
            report.rows.push(Row::from(side));
        }
        if place.name == "Postgres" {
            let at_least = |what: &str, side: &Side, goal| {
                Goal::at_least(
                    format!("{what} a second on Postgres"),
                    side.rate(),
                    goal,
                    "",
                )
            };
            report.goals.push(at_least("new people", &new, 25_000.0));
            report
                .goals
                .push(at_least("new people of two accounts", &both, 25_000.0));
            report
                .goals
                .push(at_least("unchanged people", &same, 40_000.0));
            report
                .goals
                .push(at_least("leased, fenced jobs", &jobs, 20_000.0));
        }
        bench.latency(&place, &mut report).await?;
    }
    Ok(report)
}

/// Whether the server's user may enter this folder: another one than ours if we are
/// root.
fn may_enter(folder: &Path) -> bool {
    let for_all = |folder: &Path| {
        let there = std::fs::metadata(folder);
        there.is_ok_and(|there| there.permissions().mode() & 0o001 != 0)
    };
    !rustix::process::geteuid().is_root() || folder.ancestors().all(for_all)
}

impl Bench {
    async fn open(place: &Place) -> Result<Self> {
        let databases = Databases::default();
        let catalog = Catalog::embedded()?;
        let open = EnvStore::open(&databases, &place.location, "bench", &catalog, Migrate::Run);
        let store = open.await?;
        let consumer = store.consumer("bench").await?.id;
        let folder = TempDir::new_in(data()?)?;
        let keys = keyring(folder.path()).await?;
        let name = "bench".to_owned();
        let secret = keys
            .vault()
            .seal(&client_secret_context(&name), b"secret")?;
        let stored = rollout_store::Environment {
            name,
            client_id: "bench".to_owned(),
            client_secret_sealed: secret,
            database_url_sealed: None,
            app_keys: AppKeys::Canonical,
            old_secret: None,
            held: false,
            include_data: false,
            created_at: now(),
        };
        let environment = Arc::new(Environment::open(&stored, store, keys).await?);
        Ok(Self {
            store: environment.store().clone(),
            environment,
            signals: databases.signals(),
            catalog,
            consumer,
        })
    }

    async fn connect(&self, round: usize) -> Result<Credential> {
        let (id, created_at) = new_credential_id();
        let credential = Credential {
            id,
            app_key: "bench".into(),
            plan: "api-key".into(),
            label: None,
            avatar: None,
            external_id: round.to_string(),
            fields: json!({}),
            entities_to_sync: json!({}),
            status: CredentialStatus::Ok,
            created_at,
            updated_at: created_at,
        };
        let none = Default::default();
        self.store
            .insert_credential(&credential, &self.consumer, &none)
            .await?;
        self.store
            .plan_sync(&credential.id, &["people"], created_at)
            .await?;
        Ok(credential)
    }

    async fn lease(&self, credential: &Credential) -> Result<Lease> {
        let mut leases = self.store.claim_jobs(SYNC, "bench", 1, 3_600_000).await?;
        leases.retain(|lease| lease.lane == credential.id);
        leases.pop().context("the sync is due")
    }

    /// Lands everybody; making the records is not measured.
    async fn land(&self, credential: &Credential, lease: &Lease) -> Result<Round> {
        let entity = self.catalog.by_name("people").context("there are people")?;
        let (mut wall, mut cpu) = (Duration::ZERO, Duration::ZERO);
        for start in (0..PEOPLE).step_by(PER_PAGE) {
            let stamp = self.store.next_stamp().await?;
            let mut page = Page::new(credential, "people", stamp, now());
            let mut references = ReferenceIds::new(credential);
            for n in start..start + PER_PAGE {
                let body = person(n);
                page.records.push(Record {
                    upstream_id: n.to_string(),
                    cells: entity.land(&body, &mut references)?.cells,
                    original_ids: format!("{{\"people\":{n}}}"),
                    original: format!("{{\"people\":{body}}}"),
                });
            }
            page.references = references.into_references();
            page.lease = Some(lease);
            let (began, before) = (Instant::now(), process_cpu());
            self.store.land(page).await?;
            wall += began.elapsed();
            cpu += process_cpu().saturating_sub(before);
        }
        Ok(Round {
            operations: PEOPLE as f64,
            wall,
            cpu,
        })
    }

    /// Lands everybody of two accounts at once, as two syncs do: what one makes ready
    /// while the other waits for the database is part of the time.
    async fn land_two(&self, round: usize) -> Result<Round> {
        let one = self.connect(round).await?;
        let its = self.lease(&one).await?;
        let other = self.connect(round + 1_000_000).await?;
        let others = self.lease(&other).await?;
        let (began, before) = (Instant::now(), process_cpu());
        let landed = tokio::join!(self.land(&one, &its), self.land(&other, &others));
        let wall = began.elapsed();
        let cpu = process_cpu().saturating_sub(before);
        let operations = landed.0?.operations + landed.1?.operations;
        for credential in [one, other] {
            self.store.delete_credential(&credential.id).await?;
        }
        Ok(Round {
            operations,
            wall,
            cpu,
        })
    }

    /// Claims and finishes jobs; entering them is not measured.
    async fn jobs(&self) -> Result<Round> {
        let job = |n: usize| NewJob {
            lane: format!("lane {}", n % LANES),
            name: n.to_string(),
            due_at: 0,
        };
        for start in (0..JOBS).step_by(1000) {
            let jobs = (start..start + 1000).map(job).collect();
            self.store.enter_jobs(BENCH, jobs).await?;
        }
        let (began, before) = (Instant::now(), process_cpu());
        let claimer = |name: String| {
            let store = self.store.clone();
            async move {
                let mut done = 0;
                loop {
                    let leases = store.claim_jobs(BENCH, &name, BATCH, LEASE).await?;
                    if leases.is_empty() && store.next_job_in(BENCH).await?.is_none() {
                        return Ok::<u64, StoreError>(done);
                    }
                    done += store.finish_jobs(BENCH, &leases).await?;
                }
            }
        };
        let claimers = (0..CLAIMERS).map(|n| tokio::spawn(claimer(n.to_string())));
        let claimers: Vec<_> = claimers.collect();
        let mut done = 0;
        for claimer in claimers {
            done += claimer.await??;
        }
        anyhow::ensure!(done == JOBS as u64, "{done} jobs were done, {JOBS} entered");
        Ok(Round {
            operations: JOBS as f64,
            wall: began.elapsed(),
            cpu: process_cpu().saturating_sub(before),
        })
    }

    /// From before a job is entered until its handler begins.
    async fn latency(&self, place: &Place, report: &mut Report) -> Result<()> {
        let started = Arc::new(Starts::new());
        let settings = Settings {
            lease: Duration::from_secs(15),
            renew: Duration::from_secs(5),
        };
        let environments = Arc::new(Environments::default());
        environments.add(self.environment.clone());
        let workers = Workers::new(
            environments,
            self.signals.clone(),
            Leases::new("bench", settings),
            vec![Queued {
                queue: BENCH,
                parallel: 256,
                handler: Box::new(Worker(started.clone())),
            }],
        );
        let (stop, stopped) = watch::channel(false);
        let working = tokio::spawn(workers.run(stopped));
        let clock = started.clock;
        let enter = async |n: usize| {
            let job = NewJob {
                lane: format!("lane {}", n % LANES),
                name: format!("{n}/{}", clock.elapsed().as_micros()),
                due_at: 0,
            };
            self.store.enter_jobs(BENCH, vec![job]).await
        };
        for n in 0..IDLE_JOBS {
            enter(n).await?;
            while started.waits.lock().len() <= n {
                started.begun.notified().await;
            }
        }
        let idle = std::mem::take(&mut *started.waits.lock());
        let began = Instant::now();
        let mut beat = tokio::time::interval(Duration::from_millis(10));
        let mut entered = 0;
        while began.elapsed() < LOADED {
            beat.tick().await;
            let jobs = (0..LOAD / 100).map(|n| NewJob {
                lane: format!("lane {n}"),
                name: format!("{entered}.{n}/{}", clock.elapsed().as_micros()),
                due_at: 0,
            });
            self.store.enter_jobs(BENCH, jobs.collect()).await?;
            entered += 1;
        }
        let all = usize::try_from(entered * LOAD / 100)?;
        while started.waits.lock().len() < all {
            started.begun.notified().await;
        }
        let loaded = std::mem::take(&mut *started.waits.lock());
        let rate = all as f64 / began.elapsed().as_secs_f64();
        let _ = stop.send(true);
        working.await?;
        let (p50, p99) = (percent(&idle, 50), percent(&idle, 99));
        report.notes.push(format!(
            "{}: an entered job starts after {} µs when nothing else is to be done (p99 {} µs)",
            place.name,
            number(p50),
            number(p99),
        ));
        let under_load = percent(&loaded, 99);
        report.notes.push(format!(
            "{}: with {} jobs a second entered and done one by one, after {} µs, p99 {} µs",
            place.name,
            number(rate),
            number(percent(&loaded, 50)),
            number(under_load),
        ));
        let only = |value: f64| Summary::of([value / 1000.0]);
        report.goals.push(Goal::at_most(
            format!("{}: enqueue to start, idle, p50", place.name),
            only(p50),
            10.0,
            " ms",
        ));
        report.goals.push(Goal::at_most(
            format!("{}: enqueue to start, loaded, p99", place.name),
            only(under_load),
            50.0,
            " ms",
        ));
        Ok(())
    }
}

/// Notes how long after their entering jobs begin.
struct Starts {
    /// What the times in the jobs' names are counted from.
    clock: Instant,
    waits: Mutex<Vec<u128>>,
    begun: tokio::sync::Notify,
}

impl Starts {
    fn new() -> Self {
        Self {
            clock: Instant::now(),
            waits: Mutex::default(),
            begun: tokio::sync::Notify::new(),
        }
    }
}

/// Finishes jobs as soon as they begin.
struct Worker(Arc<Starts>);

#[async_trait]
impl Handler for Worker {
    async fn run(
        &self,
        environment: &Arc<Environment>,
        lease: &Lease,
        _stop: &watch::Receiver<bool>,
    ) -> Result<(), StoreError> {
        let entered = lease
            .name
            .split_once('/')
            .and_then(|(_, at)| at.parse::<u128>().ok());
        if let Some(entered) = entered {
            let wait = self.0.clock.elapsed().as_micros().saturating_sub(entered);
            self.0.waits.lock().push(wait);
        }
        environment.store().finish_job(lease).await?;
        self.0.begun.notify_one();
        Ok(())
    }
}

fn percent(waits: &[u128], percent: usize) -> f64 {
    let mut waits = waits.to_vec();
    waits.sort_unstable();
    let at = (waits.len().saturating_sub(1)) * percent / 100;
    waits.get(at).map_or(0.0, |wait| *wait as f64)
}

/// A person as large as they usually are.
fn person(n: usize) -> String {
    json!({
        "name": format!("Person {n} Example"),
        "firstName": format!("Person {n}"),
        "lastName": "Example",
        "created": "2024-03-01T10:00:00Z",
        "updated": "2025-03-01T10:00:00Z",
        "stage": "Lead",
        "source": "Website",
        "tags": ["Buyer", format!("Group {}", n % 10)],
        "emails": [{"value": format!("person{n}@example.com"), "type": "home", "isPrimary": 1}],
        "phones": [{"value": format!("1555{n:07}"), "type": "mobile", "isPrimary": 1}],
        "addresses": [{"street": "1 Main Street", "city": "Springfield", "state": "IL", "code": "62701"}],
        "background": "Looks for a house with a garden, three bedrooms and a quiet street. ".repeat(4),
    })
    .to_string()
}
