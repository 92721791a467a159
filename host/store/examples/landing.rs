//! How fast pages land and lists are read.
//!
//! `cargo run --release -p rollout-store --example landing -- [PEOPLE] [PER_PAGE] [postgres | --postgres URL]`
//!
//! Lands that many people into a new SQLite file, again unchanged, again with
//! every tenth changed, and reads lists. With `--postgres` it does so in an empty
//! Postgres database, with `postgres` on a server of its own that writes to disk
//! as a real one does. Only the store's calls are timed, not making the records.
//! CPU time is this process's during those calls, not the server's.

#![allow(clippy::print_stdout)]

use std::error::Error;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use rollout_catalog::{Catalog, Category, Entity};
use rollout_store::{
    Credential, CredentialStatus, Cursor, Databases, EnvStore, Lease, ListQuery, Location, Migrate,
    Narrow, Page, Place, Record, ReferenceIds, SYNC, Schedule, SyncPhase, SyncStatus,
    new_credential_id,
};
use rollout_test_postgres::{Options, Server};
use sqlx::Connection as _;

type Outcome<T> = Result<T, Box<dyn Error>>;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Outcome<()> {
    let directory = tempfile::tempdir()?;
    let Arguments {
        people,
        per_page,
        location,
        server: _server,
    } = Arguments::read(directory.path())?;
    let catalog = Catalog::embedded()?;
    let databases = Databases::default();
    let store = EnvStore::open(&databases, &location, "bench", &catalog, Migrate::Run).await?;
    let consumer = store.consumer("bench").await?;
    let (id, created_at) = new_credential_id();
    let credential = Credential {
        id,
        app_key: "bench".into(),
        plan: "api-key".into(),
        label: None,
        avatar: None,
        external_id: "account".into(),
        fields: serde_json::json!({}),
        entities_to_sync: serde_json::json!({}),
        status: CredentialStatus::Ok,
        created_at,
        updated_at: created_at,
    };
    store
        .insert_credential(&credential, &consumer.id, &Default::default())
        .await?;
    store
        .plan_sync(&credential.id, &["people"], created_at)
        .await?;
    let entity = catalog
        .by_name("people")
        .ok_or("the catalogue has people")?;
    println!(
        "{location}: {people} people, {} columns, pages of {per_page}",
        entity.columns().len() + 11
    );

    let leases = store.claim_jobs(SYNC, "bench", 1, 3_600_000).await?;
    let lease = leases.first().ok_or("the sync is due")?;
    for (name, round) in [("new", 0), ("unchanged", 0), ("every tenth changed", 1)] {
        if name != "new" && std::env::var("NEWONLY").is_ok() {
            continue;
        }
        let mut stopwatch = Stopwatch::default();
        let mut peak_log = 0;
        let tenth = people.div_ceil(10).max(1);
        for start in (0..people).step_by(per_page) {
            let end = people.min(start + per_page);
            let mut page = page(&store, &credential, entity, start..end, round).await?;
            page.lease = Some(lease);
            stopwatch.start();
            store.land(page).await?;
            stopwatch.stop();
            if let Location::File(path) = &location {
                peak_log = peak_log.max(fs::metadata(path.with_extension("sqlite-wal"))?.len());
            }
            if end / tenth != start / tenth && people >= 500_000 {
                println!(
                    "  {end}: {:.0} records/s so far",
                    end as f64 / stopwatch.wall.as_secs_f64()
                );
            }
        }
        let (wall, cpu) = (stopwatch.wall.as_secs_f64(), stopwatch.cpu.as_secs_f64());
        println!(
            "{name}: {:.0} records/s, {:.1} us CPU per record, log at most {} MB, peak RSS {} MB",
            people as f64 / wall,
            cpu * 1e6 / people as f64,
            peak_log >> 20,
            peak_rss()? >> 10,
        );
    }
    println!("database: {} MB", size(&location).await? >> 20);
    if std::env::var("LANDONLY").is_ok() {
        return Ok(());
    }

    let done = Schedule {
        status: SyncStatus::Done,
        phase: SyncPhase::Incremental,
        next_at: None,
        attempts: 0,
        error: None,
        first_done_at: Some(created_at),
    };
    finish(&store, lease, &done).await?;
    let view = catalog
        .entity(Category::Crm, "people")
        .ok_or("the catalogue has people")?;
    let narrow = |field: &str, value: String| Narrow {
        field: field.into(),
        values: vec![value],
    };
    let middle = people / 2;
    let plain = ListQuery::new(&credential.id, view, 100);
    let after = ListQuery {
        after: Some(Place {
            seq: i64::try_from(middle)?,
            value: None,
        }),
        ..plain.clone()
    };
    let email = ListQuery {
        filters: vec![narrow("emails", format!("person{middle}@example.com"))],
        ..plain.clone()
    };
    let phone = ListQuery {
        filters: vec![narrow("phones", format!("1555{middle:07}"))],
        ..plain.clone()
    };
    let tag = ListQuery {
        filters: vec![narrow("tags", "Buyer".into())],
        ..plain.clone()
    };
    let tags = ListQuery {
        filters: vec![Narrow {
            field: "tags".into(),
            values: vec!["Group 3".into(), "Group 4".into()],
        }],
        ..plain.clone()
    };
    let offset = ListQuery {
        offset: 10_000,
        ..plain.clone()
    };
    let sorted = ListQuery {
        sort: Some(view.sort("-lastName")?),
        ..plain.clone()
    };
    for (name, query, rounds) in [
        ("100 people, sorted by name", &sorted, 20),
        ("100 people, first page", &plain, 500),
        ("100 people, from the middle", &after, 500),
        ("100 people at offset 10000", &offset, 100),
        ("by email", &email, 500),
        ("by phone", &phone, 500),
        ("by a tag that all have", &tag, 20),
        ("by two tags", &tags, 20),
    ] {
        let mut stopwatch = Stopwatch::default();
        let mut out = Vec::new();
        stopwatch.start();
        for _ in 0..rounds {
            out.clear();
            store.list_json(query, &mut out).await?;
        }
        stopwatch.stop();
        let list = store.list_json(query, &mut Vec::new()).await?;
        println!(
            "{name}: {:.0} us, {:.0} us CPU, {} bytes, total {}",
            stopwatch.wall.as_secs_f64() * 1e6 / f64::from(rounds),
            stopwatch.cpu.as_secs_f64() * 1e6 / f64::from(rounds),
            out.len(),
            list.total,
        );
    }
    let mut stopwatch = Stopwatch::default();
    stopwatch.start();
    store.delete_credential(&credential.id).await?;
    println!(
        "deleting the credential: {:.1} s, peak RSS {} MB",
        stopwatch.stop().as_secs_f64(),
        peak_rss()? >> 10
    );
    store.close().await;
    Ok(())
}

/// What to measure, and where.
struct Arguments {
    people: usize,
    per_page: usize,
    location: Location,
    /// Lives as long as it is used.
    server: Option<Server>,
}

impl Arguments {
    fn read(directory: &Path) -> Outcome<Self> {
        let mut location = Location::File(directory.join("bench.sqlite"));
        let mut server = None;
        let mut numbers = [100_000, 500];
        let mut next = numbers.iter_mut();
        let mut arguments = std::env::args().skip(1);
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--postgres" => {
                    let url = arguments.next().ok_or("--postgres needs a URL")?;
                    location = Location::parse(&url)?;
                }
                "postgres" => {
                    let own = Server::start(Options {
                        fsync: true,
                        ..Options::default()
                    })?;
                    location = Location::parse(&own.database()?)?;
                    server = Some(own);
                }
                number => *next.next().ok_or("too many arguments")? = number.parse()?,
            }
        }
        let [people, per_page] = numbers;
        Ok(Self {
            people,
            per_page,
            location,
            server,
        })
    }
}

/// Bytes on the disk.
async fn size(location: &Location) -> Outcome<u64> {
    match location {
        Location::File(path) => Ok(fs::metadata(path)?.len()),
        Location::Postgres(url) => {
            let mut connection = sqlx::PgConnection::connect(url).await?;
            let size = sqlx::query_scalar("SELECT pg_database_size(current_database())");
            let size: i64 = size.fetch_one(&mut connection).await?;
            Ok(size.unsigned_abs())
        }
    }
}

/// Ends the first pass, as the sync does.
async fn finish(store: &EnvStore, lease: &Lease, done: &Schedule) -> Outcome<()> {
    let (credential, entity) = lease.sync().ok_or("it is a sync's lease")?;
    store
        .schedule_sync(credential, entity, done, Some(lease))
        .await?;
    Ok(())
}

async fn page<'a>(
    store: &EnvStore,
    credential: &'a Credential,
    entity: &Entity,
    people: std::ops::Range<usize>,
    round: usize,
) -> Outcome<Page<'a>> {
    let mut page = Page::new(
        credential,
        "people",
        store.next_stamp().await?,
        1_751_469_561_000,
    );
    let mut references = ReferenceIds::new(credential);
    for n in people.clone() {
        let landed = entity.land(
            &person(n, if n % 10 == 0 { round } else { 0 }),
            &mut references,
        )?;
        page.records.push(Record {
            upstream_id: n.to_string(),
            cells: landed.cells,
            original_ids: format!(r#"{{"people":{n}}}"#),
            original: format!(
                r#"{{"people":{{"id":{n},"background":"{}"}}}}"#,
                "As the app has it. ".repeat(64)
            ),
        });
    }
    page.references = references.into_references();
    page.cursor = Cursor::At(people.end.to_string());
    Ok(page)
}

/// A person as the example connector sends him.
fn person(n: usize, round: usize) -> String {
    format!(
        r#"{{"name":"First{n} Last{n}","firstName":"First{n}","lastName":"Last{n}","assignedUserId":"{user}",
        "stage":"Lead","stageId":"{stage}","tags":["Buyer","Group {group}"],"created":"2024-03-01T10:00:00Z",
        "updated":"2025-07-02T15:19:21Z","addresses":[{{"type":"home","street":"{n} Main St","city":"Springfield",
        "state":"IL","code":"62701","country":"US"}}],"emails":[{{"value":"person{n}@example.com","type":"home",
        "status":"Valid","isPrimary":true}},{{"value":"work{n}@example.org","type":"work","status":null,
        "isPrimary":false}}],"phones":[{{"value":"+1 (555) {area:03}-{line:04}","type":"mobile","status":"Valid",
        "isPrimary":true}}],"source":"Zillow","averagePrice":{price},"lastActivity":"2025-07-01T08:00:00Z",
        "lastActivityType":"round {round}","contactTypes":["Buyer"],"jobTitle":"Engineer","companyName":"Acme",
        "communicationsConsent":{{"email":true,"call":true,"text":false}},"customClosing":"2025-09-01",
        "customScore":{n}}}"#,
        user = n % 40,
        stage = n % 8,
        group = n % 500,
        area = n / 10_000 % 1000,
        line = n % 10_000,
        price = 250_000 + n % 1000,
    )
}

#[derive(Default)]
struct Stopwatch {
    wall: Duration,
    cpu: Duration,
    since: Option<(Instant, Duration)>,
}

impl Stopwatch {
    fn start(&mut self) {
        self.since = Some((Instant::now(), cpu_time()));
    }

    fn stop(&mut self) -> Duration {
        if let Some((wall, cpu)) = self.since.take() {
            self.wall += wall.elapsed();
            self.cpu += cpu_time().saturating_sub(cpu);
        }
        self.wall
    }
}

/// User and system time of all threads, from the scheduler's nanosecond counts.
fn cpu_time() -> Duration {
    let threads = fs::read_dir("/proc/self/task")
        .into_iter()
        .flatten()
        .flatten();
    let nanos = threads.filter_map(|thread| {
        let counts = fs::read_to_string(thread.path().join("schedstat")).ok()?;
        counts.split(' ').next()?.parse::<u64>().ok()
    });
    Duration::from_nanos(nanos.sum())
}

/// The most memory the process had at a time, in KiB.
fn peak_rss() -> Outcome<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .ok_or("VmHWM is there")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}
