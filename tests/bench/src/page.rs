//! P2: a page of 100 people through the connector, in a fresh instance, against
//! the same code compiled natively; and what the host does with a record then.

use std::hint::black_box;
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use follow_up_boss::FollowUpBoss;
use rollout_catalog::Catalog;
use rollout_connector::testing::{FakeApp, Reply};
use rollout_connector::{Cursor, Entities, Scope};
use rollout_sandbox::{Caller, Host, Item, ReadScope};
use rollout_store::{Credential, CredentialStatus, ReferenceIds, new_credential_id};
use rollout_test_apps::follow_up_boss::{Config, Dataset, RateLimits, Simulator};
use serde_json::value::RawValue;

use crate::canned::Canned;
use crate::instance::{Ours, runtime};
use crate::measure::{Process, Round, Side};
use crate::report::{Goal, Report, Row};
use crate::wire::Client;

const PEOPLE: u32 = 100;
const PAGES: u32 = 200;
const ENTITY: &str = "people";

pub(crate) fn measure(rounds: usize, component: &[u8]) -> Result<Report> {
    let runtime = runtime()?;
    let body = runtime.block_on(sample())?;
    let ours = runtime.block_on(Ours::load(component.to_vec()))?;
    let host: Arc<dyn Host> = Arc::new(Canned(body.clone().into_bytes()));
    let guest = async || -> Result<Vec<Item>> {
        let caller = Caller::new(&ours.sandbox, &ours.component, host.clone());
        let page = caller
            .changes(ENTITY, &ReadScope::Full, None, PEOPLE)
            .await?;
        Ok(page.items)
    };

    let answer = body.clone();
    let app = FakeApp::new()
        .answer(move |_| Some(Reply::text(200, &answer)))
        .start();
    let native = || -> Result<Vec<rollout_connector::Item>> {
        let page = FollowUpBoss::changes(ENTITY, Scope::Full, Cursor::START, PEOPLE);
        app.take_requests();
        match page {
            Ok(page) => Ok(page.items),
            Err(error) => bail!("the connector, compiled natively: {error:?}"),
        }
    };

    let items = runtime.block_on(guest())?;
    let same = native()?;
    ensure!(
        items.len() == PEOPLE as usize
            && items
                .iter()
                .map(|item| &item.body)
                .eq(same.iter().map(|item| &item.body)),
        "guest and native code map the page differently"
    );
    let bytes: usize = items.iter().map(|item| item.body.len()).sum();

    let landing = Landing::new()?;
    let mut sides = [
        Side::new("guest, fresh instance"),
        Side::new("native"),
        Side::new("guest, empty call (floor, as P1)"),
        Side::new("host: Entity::land and the check of the native document, per record"),
    ];
    // The first round warms all up.
    for round in 0..=rounds {
        for (at, side) in sides.iter_mut().enumerate() {
            let done = match at {
                0 => Round::of(PAGES, || runtime.block_on(guest()).map(black_box).map(drop))?,
                1 => Round::of(PAGES, || native().map(black_box).map(drop))?,
                2 => Round::of(PAGES * 10, || runtime.block_on(ours.refused_get(&host)))?,
                _ => {
                    let pages = Round::of(PAGES, || landing.land(&items))?;
                    let operations = pages.operations * f64::from(PEOPLE);
                    Round {
                        operations,
                        ..pages
                    }
                }
            };
            if round > 0 {
                side.add(done, Process::own().peak_rss()?);
            }
        }
    }
    let [guest, native, _, landed] = &sides;
    Ok(Report {
        id: "P2",
        title: format!(
            "a page of {PEOPLE} people: {} bytes as the app sends them, mapped to {bytes}",
            body.len()
        ),
        settings: vec![
            format!("{rounds} rounds of {PAGES} pages, interleaved, one thread; all sides share the process"),
            "guest and native: entities.changes, full, answered at once; items end as Rust strings in the host".into(),
        ],
        rows: sides.iter().map(Row::from).collect(),
        notes: vec![],
        goals: vec![
            Goal::at_most("guest against native", guest.times(native), 1.3, "x"),
            Goal::at_most("guest against native, CPU", guest.cpu_times(native), 1.3, "x"),
            Goal::at_most("host validation per record", landed.micros(), 5.0, " µs"),
        ],
    })
}

/// The page, from the simulator, as the connector asks for it.
pub(crate) async fn sample() -> Result<String> {
    let simulator =
        Simulator::start(Config::new(Dataset::bulk(100_000)).limits(RateLimits::off()))?;
    let mut client = Client::connect(simulator.address()).await?;
    // Basic: the key, and no password.
    let header = [("authorization", "Basic ZmthX2RlbW86")];
    let path = "/v1/people?fields=allFields&includeTrash=true&sort=id&limit=100";
    let answer = client.get(path, &header).await?;
    ensure!(
        answer.status == 200,
        "the simulator answered {}",
        answer.status
    );
    String::from_utf8(answer.body).context("the simulator's page is not text")
}

/// What the host does to make a row of an item.
struct Landing {
    catalog: Catalog,
    credential: Credential,
}

impl Landing {
    fn new() -> Result<Self> {
        let (id, created_at) = new_credential_id();
        Ok(Self {
            catalog: Catalog::embedded()?,
            credential: Credential {
                id,
                app_key: "follow-up-boss".into(),
                plan: "api-key".into(),
                label: None,
                avatar: None,
                external_id: "1:1".into(),
                fields: serde_json::json!({}),
                entities_to_sync: serde_json::json!({}),
                status: CredentialStatus::Ok,
                created_at,
                updated_at: created_at,
            },
        })
    }

    fn land(&self, items: &[Item]) -> Result<()> {
        let entity = self
            .catalog
            .by_name(ENTITY)
            .context("the catalogue has people")?;
        let mut references = ReferenceIds::new(&self.credential);
        for item in items {
            black_box(entity.land(&item.body, &mut references)?);
            let native = item.native.as_deref().unwrap_or("{}");
            black_box(serde_json::from_str::<&RawValue>(native)?);
        }
        black_box(references.into_references());
        Ok(())
    }
}
