//! What a program written for this one app would do: a bare axum server, in a
//! process of its own, that takes a record, maps it with the connector's code
//! compiled natively, sends it to the app with reqwest, and stores what the app
//! answers in one durable transaction.
//!
//! It asks for no token, knows no tenants, checks no body against a schema, and
//! keeps no account of writes under way: a client that asks twice, or a crash
//! between app and database, is not provided for.

use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use axum::Router;
use axum::extract::{Path as Segment, State};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::serve::ListenerExt;
use bytes::Bytes;
use follow_up_boss::FollowUpBoss;
use http::StatusCode;
use http::header::CONTENT_TYPE;
use rollout_catalog::{Catalog, Category, Entity};
use rollout_connector::http::{Failure, Request};
use rollout_connector::testing::{FakeApp, Reply};
use rollout_connector::{Entities, Item, Write, Written};
use rollout_store::{
    Credential, CredentialStatus, Databases, EnvStore, Location, Migrate, Page, Record,
    ReferenceIds, SYNC, Schedule, SyncPhase, SyncStatus, new_credential_id, now,
};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tokio::runtime::Handle;

const API: &str = "https://api.followupboss.com";

/// What the server needs to know.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Setup {
    pub(crate) database: PathBuf,
    /// The simulator, and its key.
    pub(crate) app: SocketAddr,
    pub(crate) api_key: String,
    /// The entities that are written.
    pub(crate) entities: Vec<String>,
}

struct Native {
    setup: Setup,
    client: reqwest::Client,
    catalog: Catalog,
    store: EnvStore,
    credential: Credential,
}

pub(crate) async fn serve(setup: &Path) -> Result<()> {
    let setup: Setup = serde_json::from_slice(&std::fs::read(setup)?)?;
    let catalog = Catalog::embedded()?;
    let location = Location::File(setup.database.clone());
    let databases = Databases::default();
    let open = EnvStore::open(&databases, &location, "bench", &catalog, Migrate::Run);
    let store = open.await?;
    let credential = account(&store, &setup.entities).await?;
    let native = Native {
        setup,
        client: reqwest::Client::builder().build()?,
        catalog,
        store,
        credential,
    };
    let app = Router::new()
        .route("/{entity}", post(create))
        .with_state(Arc::new(native));
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    writeln!(std::io::stdout(), "{}", listener.local_addr()?)?;
    let listener = listener.tap_io(|stream| {
        // A socket that refuses the option works all the same.
        let _ = stream.set_nodelay(true);
    });
    axum::serve(listener, app).await?;
    Ok(())
}

/// An account whose first sync is over, as the host's is.
async fn account(store: &EnvStore, entities: &[String]) -> Result<Credential> {
    let (id, created_at) = new_credential_id();
    let credential = Credential {
        id,
        app_key: "follow-up-boss".into(),
        plan: "api-key".into(),
        label: None,
        avatar: None,
        external_id: "1:1".into(),
        fields: json!({}),
        entities_to_sync: json!({}),
        status: CredentialStatus::Ok,
        created_at,
        updated_at: created_at,
    };
    let consumer = store.consumer("bench").await?.id;
    let none = Default::default();
    store
        .insert_credential(&credential, &consumer, &none)
        .await?;
    let entities: Vec<&str> = entities.iter().map(String::as_str).collect();
    store
        .plan_sync(&credential.id, &entities, created_at)
        .await?;
    for lease in store.claim_jobs(SYNC, "bench", 100, 3_600_000).await? {
        let stamp = store.next_stamp().await?;
        // A sync's job is named after its credential and entity.
        let entity = lease.name.rsplit('/').next().unwrap_or_default();
        let mut page = Page::new(&credential, entity, stamp, now());
        page.lease = Some(&lease);
        page.schedule = Some(Schedule {
            status: SyncStatus::Done,
            phase: SyncPhase::Incremental,
            next_at: None,
            attempts: 0,
            error: None,
            first_done_at: Some(now()),
        });
        store.land(page).await?;
    }
    Ok(credential)
}

async fn create(
    State(native): State<Arc<Native>>,
    Segment(entity): Segment<String>,
    body: Bytes,
) -> Response {
    match native.create(entity, &body).await {
        Ok(record) => {
            let json = [(CONTENT_TYPE, "application/json")];
            (StatusCode::CREATED, json, record).into_response()
        }
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error:#}")).into_response(),
    }
}

impl Native {
    async fn create(self: Arc<Self>, entity: String, body: &[u8]) -> Result<String> {
        let body: Value = serde_json::from_slice(body)?;
        let entity = self.catalog.entity(Category::Crm, &entity);
        let entity = entity.context("no such entity")?.clone();
        let (native, name) = (Arc::clone(&self), entity.name.clone());
        // The connector's code waits for its requests.
        let item = tokio::task::spawn_blocking(move || native.ask(&name, body)).await??;
        self.keep(&entity, &item).await
    }

    /// Lets the connector's code send the record to the app.
    fn ask(self: Arc<Self>, entity: &str, body: Value) -> Result<Item> {
        let handle = Handle::current();
        let app = FakeApp::new().answer(move |request| {
            Some(
                handle
                    .block_on(self.send(request))
                    .unwrap_or_else(|error| Reply::failure(Failure::Connection(error.to_string()))),
            )
        });
        let _running = app.start();
        match FollowUpBoss::create(entity, Write::of(body)) {
            Ok(Written::Item(item)) => Ok(item),
            other => bail!("the app's answer: {other:?}"),
        }
    }

    async fn send(&self, request: &Request) -> Result<Reply> {
        let url = request
            .url
            .replacen(API, &format!("http://{}", self.setup.app), 1);
        let mut send = self.client.request(request.method.parse()?, url);
        for (name, value) in &request.headers {
            send = send.header(name, value);
        }
        if request.authenticate {
            send = send.basic_auth(&self.setup.api_key, Some(""));
        }
        if let Some(body) = &request.body {
            send = send.body(body.clone());
        }
        let answer = send.send().await?;
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let reply = Reply::text(status, answer.text().await?);
        Ok(headers.iter().fold(reply, |reply, (name, value)| {
            reply.header(name.as_str(), value.to_str().unwrap_or_default())
        }))
    }

    /// Stores the record, and shows it as it is stored.
    async fn keep(&self, entity: &Entity, item: &Item) -> Result<String> {
        let mut references = ReferenceIds::new(&self.credential);
        let landed = entity.land(&item.body, &mut references)?;
        let native: &RawValue = serde_json::from_str(item.native.as_deref().unwrap_or("{}"))?;
        let stamp = self.store.next_stamp().await?;
        let mut page = Page::new(&self.credential, &entity.name, stamp, now());
        page.records.push(Record {
            upstream_id: item.id.clone(),
            cells: landed.cells,
            original_ids: format!("{{\"{}\":{}}}", entity.name, item.id),
            original: format!("{{\"{}\":{native}}}", entity.name),
        });
        page.references = references.into_references();
        let outcome = self.store.land(page).await?;
        let id = outcome.created.first().context("nothing was created")?;
        let record = self.store.get_json(&self.credential.id, entity, id).await?;
        record.context("the record is not there")
    }
}
