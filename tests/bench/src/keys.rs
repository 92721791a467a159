//! Keys: what a call pays for them, and a rotation of a hundred thousand secrets while
//! the host goes on answering.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use cap_std::ambient_authority;
use cap_std::fs::Dir;
use rollout_catalog::Catalog;
use rollout_connectors::{Environment, Keyring, client_secret_context, credential_slot_context};
use rollout_sandbox::Grants;
use rollout_server::token;
use rollout_store::{
    AppKeys, Control, Credential, CredentialStatus, Databases, EnvStore, Location, Migrate,
    new_credential_id, now,
};
use rollout_test_postgres::{Options, Server};
use rollout_vault::{KEY_FILE, KeySource, Masters};
use serde_json::json;
use tempfile::TempDir;

use crate::child::Child;
use crate::measure::{Round, Side, Summary};
use crate::programs::{Programs, data};
use crate::report::{Goal, Report, Row, number};
use crate::stage::free;
use crate::wire::Client;

/// Credentials, and slots of each.
const CREDENTIALS: usize = 10_000;
const SLOTS: usize = 10;
/// Connections that read meanwhile.
const READERS: usize = 4;
const CALLS: u32 = 20_000;
/// What a rotation may take, in seconds; what a call may pay, in microseconds.
const ROTATION: f64 = 60.0;
const CALL: f64 = 15.0;
const SECRET: &str = "fka_0a1B2c3D4e5F6g7H8i9JkLmNoPqRsTuV";
const CLIENT_SECRET: &str = "a-client-secret-of-sixty-four-bytes-0123456789-0123456789-012345";

/// The keys of an installation, whose control database and master key are in a folder.
pub(crate) async fn keyring(folder: &Path) -> Result<Arc<Keyring>> {
    let databases = Databases::default();
    let file = Location::File(folder.join("control.sqlite"));
    let control = Control::open(&databases, &file, Migrate::Run).await?;
    let dir = Dir::open_ambient_dir(folder, ambient_authority())?;
    let source = KeySource::file(dir, KEY_FILE, KEY_FILE);
    let keys = source.read_or_create().await?;
    let masters = Arc::new(Masters::new(source, keys));
    let keyring = Keyring::of_installation(masters, control.data_keys()).await?;
    control.close().await;
    Ok(Arc::new(keyring))
}

pub(crate) async fn measure(programs: &Programs, rounds: usize) -> Result<Report> {
    let mut report = Report {
        id: "keys",
        title: format!(
            "what a call pays for keys, and a rotation of {} secrets while {READERS} connections read",
            number((CREDENTIALS * SLOTS) as f64)
        ),
        settings: vec![format!(
            "{rounds} rounds of {CALLS} calls; one rotation on each database"
        )],
        ..Report::default()
    };
    calls(programs, rounds, &mut report).await?;
    let server = Server::start(Options {
        fsync: true,
        ..Options::default()
    })?;
    for (name, url) in [("SQLite", None), ("Postgres", Some(server.database()?))] {
        rotation(programs, name, url, &mut report).await?;
    }
    Ok(report)
}

/// Everything between a request's head and its call, part by part.
async fn calls(programs: &Programs, rounds: usize, report: &mut Report) -> Result<()> {
    let folder = TempDir::new_in(data()?)?;
    let installation = keyring(folder.path()).await?;
    let catalog = Catalog::embedded()?;
    let place = Location::File(folder.path().join("env.sqlite"));
    let store = EnvStore::open(
        &Databases::default(),
        &place,
        "ci_bench",
        &catalog,
        Migrate::Run,
    )
    .await?;
    let name = "bench".to_owned();
    let context = client_secret_context(&name);
    let stored = rollout_store::Environment {
        client_secret_sealed: installation
            .vault()
            .seal(&context, CLIENT_SECRET.as_bytes())?,
        client_id: "ci_bench".to_owned(),
        database_url_sealed: None,
        app_keys: AppKeys::Canonical,
        old_secret: None,
        held: false,
        include_data: false,
        created_at: now(),
        name,
    };
    let environment = Environment::open(&stored, store, installation.clone()).await?;
    let consumer = environment.consumer("customer-1").await?;
    let credential = credential("1");
    let inputs = BTreeMap::from([("apiKey".to_owned(), SECRET.to_owned())]);
    let sealed = environment.seal(&credential.id, &inputs)?;
    environment
        .store()
        .insert_credential(&credential, &consumer.id, &sealed)
        .await?;
    environment.load(&credential.id).await?;
    let sandbox = rollout_sandbox::Sandbox::new(rollout_sandbox::Limits::default())?;
    let component = programs.component.clone();
    let connector =
        rollout_connectors::Connector::load(&sandbox, &catalog, component, Grants::default())
            .await?;

    let at = u64::try_from(now() / 1000)?;
    let day = Duration::from_secs(86_400);
    let token = token::mint("ci_bench", CLIENT_SECRET, Some("customer-1"), None, at, day)?;
    let text = sealed.get("apiKey").context("it has a key")?;
    let context = credential_slot_context(&environment.name, &credential.id, "apiKey");
    let keys = Keyring::open(
        "ci_bench",
        installation.masters().clone(),
        environment.store().data_keys(),
    )
    .await?;
    let check = || -> Result<()> {
        let issuer = token::issuer(black_box(&token))?;
        ensure!(issuer.as_deref() == Some("ci_bench"));
        let secrets = environment.secrets();
        black_box(token::verify(&token, &secrets.valid(now()), at)?);
        Ok(())
    };
    let tenant = || -> Result<_> {
        let live = environment.credential(black_box(&credential.id));
        let live = live.context("it is there")?;
        ensure!(live.belongs_to(&consumer.id));
        Ok(live)
    };
    let unseal = || -> Result<()> {
        black_box(keys.vault().open(&context, black_box(text))?);
        Ok(())
    };
    // With the rules and all slots of the account, as a call begins.
    let account = || -> Result<()> {
        let live = tenant()?;
        black_box(environment.account(&connector, &live)?);
        Ok(())
    };
    let [
        mut tokens,
        mut tenants,
        mut unsealings,
        mut accounts,
        mut whole,
    ] = [
        "the token",
        "the tenant",
        "unsealing one secret",
        "the tenant, and the account with its rules and opened secrets",
        "token, tenant and unsealing together",
    ]
    .map(Side::new);
    for _ in 0..rounds {
        tokens.add(Round::of(CALLS, check)?, 0);
        tenants.add(Round::of(CALLS, || tenant().map(drop))?, 0);
        unsealings.add(Round::of(CALLS, unseal)?, 0);
        accounts.add(Round::of(CALLS, account)?, 0);
        let all = || {
            check()?;
            tenant()?;
            unseal()
        };
        whole.add(Round::of(CALLS, all)?, 0);
    }
    let goal = Goal::at_most(
        "token, tenant and unsealing of a call",
        whole.micros(),
        CALL,
        " µs",
    );
    report.goals.push(goal);
    for side in [&tokens, &tenants, &unsealings, &accounts, &whole] {
        report.rows.push(Row::from(side));
    }
    Ok(())
}

fn credential(account: &str) -> Credential {
    let (id, created_at) = new_credential_id();
    Credential {
        id,
        app_key: "follow-up-boss".into(),
        plan: "api-key".into(),
        label: None,
        avatar: None,
        external_id: account.to_owned(),
        fields: json!({}),
        entities_to_sync: json!({}),
        status: CredentialStatus::Ok,
        created_at,
        updated_at: created_at,
    }
}

/// Rotates the keys of a host that serves.
async fn rotation(
    programs: &Programs,
    name: &str,
    url: Option<String>,
    report: &mut Report,
) -> Result<()> {
    let folder = TempDir::new_in(data()?)?;
    let config = folder.path().join("rollout.toml");
    std::fs::write(&config, "[sync]\npoll_interval = \"1h\"\n")?;
    let rollout = |arguments: &[&str]| {
        let mut command = Command::new(&programs.host);
        command
            .arg("--config")
            .arg(&config)
            .arg("--data-dir")
            .arg(folder.path())
            .args(arguments);
        command
    };
    let ok = |arguments: &[&str]| -> Result<String> {
        let output = rollout(arguments).output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "rollout {arguments:?}: {said}");
        Ok(String::from_utf8(output.stdout)?)
    };
    let mut create = vec!["env", "create", "bench", "--client-id", "ci_bench"];
    if let Some(url) = &url {
        create.extend(["--database-url", url]);
    }
    ok(&create)?;
    let place = match &url {
        Some(url) => Location::parse(url)?,
        None => Location::File(folder.path().join("env/bench.sqlite")),
    };
    let credential = fill(folder.path(), &place).await?;

    // No connectors: nothing is asked of any app.
    let address = free()?;
    let log = folder.path().join("host.log");
    let mut serve = rollout(&["serve", "--listen", &address.to_string()]);
    let mut host = Child::start("the host", &mut serve, &log)?;
    let token = ok(&["token", "--env", "bench", "--sub", "bench", "--ttl", "1h"])?;
    let bearer = format!("Bearer {}", token.trim());
    let path = format!("/api/credentials/{credential}");
    let began = Instant::now();
    loop {
        host.check()?;
        if let Ok(mut client) = Client::connect(address).await
            && let Ok(answer) = client.get(&path, &[("authorization", &bearer)]).await
            && answer.status == 200
        {
            break;
        }
        ensure!(
            began.elapsed() < Duration::from_secs(60),
            "the host is not ready"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }

    let stop = Arc::<AtomicBool>::default();
    let readers: Vec<_> = (0..READERS)
        .map(|_| tokio::spawn(read(address, path.clone(), bearer.clone(), stop.clone())))
        .collect();
    let alone = Instant::now();
    tokio::time::sleep(Duration::from_secs(2)).await;
    let before = alone.elapsed();
    let rotating = Instant::now();
    let mut rotate = tokio::process::Command::from(rollout(&["key", "rotate"]));
    let done = rotate.output().await?;
    let took = rotating.elapsed();
    stop.store(true, Ordering::Relaxed);
    let (mut requests, mut failed, mut slowest) = (0, 0, Duration::ZERO);
    for reader in readers {
        let read = reader.await??;
        requests += read.requests;
        failed += read.failed;
        slowest = slowest.max(read.slowest);
    }
    let said = String::from_utf8_lossy(&done.stdout).into_owned();
    ensure!(
        done.status.success(),
        "{}",
        String::from_utf8_lossy(&done.stderr)
    );
    let moved = format!("environment `bench`: {} secrets", CREDENTIALS * SLOTS);
    let secrets = said
        .lines()
        .find(|line| line.starts_with("environment `bench`"));
    let secrets = secrets.context("the environment was rotated")?;
    let count = secrets
        .split(' ')
        .nth(2)
        .and_then(|count| count.parse::<usize>().ok());
    ensure!(count >= Some(CREDENTIALS * SLOTS), "{secrets}, not {moved}");
    let whole = before + took;
    report.notes.push(format!(
        "{name}: {} reads in {:.1} s, {failed} failed, the slowest took {:.1} ms",
        number(requests as f64),
        whole.as_secs_f64(),
        slowest.as_secs_f64() * 1e3,
    ));
    let one = |value: f64| Summary::of([value]);
    report.goals.push(Goal::at_most(
        format!("rotation on {name}"),
        one(took.as_secs_f64()),
        ROTATION,
        " s",
    ));
    report.goals.push(Goal::at_most(
        format!("failed reads during a rotation on {name}"),
        one(failed as f64),
        0.0,
        "",
    ));
    Ok(())
}

/// Enters the credentials, sealed as the host seals them. Answers the first one's id.
async fn fill(folder: &Path, place: &Location) -> Result<String> {
    let catalog = Catalog::embedded()?;
    let databases = Databases::default();
    let store = EnvStore::open(&databases, place, "ci_bench", &catalog, Migrate::Run).await?;
    let masters = keyring(folder).await?.masters().clone();
    let keys = Keyring::open("ci_bench", masters, store.data_keys()).await?;
    let consumer = store.consumer("bench").await?;
    let mut first = None;
    for n in 0..CREDENTIALS {
        let credential = credential(&n.to_string());
        let mut sealed = BTreeMap::new();
        for slot in (0..SLOTS).map(|slot| format!("slot{slot}")) {
            let context = credential_slot_context("bench", &credential.id, &slot);
            sealed.insert(
                slot.clone(),
                keys.vault().seal(&context, SECRET.as_bytes())?,
            );
        }
        store
            .insert_credential(&credential, &consumer.id, &sealed)
            .await?;
        first.get_or_insert(credential.id);
    }
    store.close().await;
    first.context("there are some")
}

/// What a reader met.
#[derive(Default)]
struct Read {
    requests: u64,
    failed: u64,
    slowest: Duration,
}

async fn read(
    address: std::net::SocketAddr,
    path: String,
    bearer: String,
    stop: Arc<AtomicBool>,
) -> Result<Read> {
    let mut client = Client::connect(address).await?;
    let mut read = Read::default();
    while !stop.load(Ordering::Relaxed) {
        let began = Instant::now();
        let answer = client.get(&path, &[("authorization", &bearer)]).await?;
        read.requests += 1;
        read.failed += u64::from(answer.status != 200);
        read.slowest = read.slowest.max(began.elapsed());
    }
    Ok(read)
}
