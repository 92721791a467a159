//! A store with one connected account.

use std::collections::BTreeMap;

use rollout_catalog::{Catalog, Category, Entity, EntityFile};
use rollout_store::{
    Credential, CredentialStatus, Databases, EnvStore, Lease, List, ListQuery, Migrate, Narrow,
    OneRecord, Outcome, Page, Record, ReferenceIds, Result, SYNC, Schedule, SyncPhase, SyncRow,
    SyncStatus, new_credential_id,
};
use serde_json::{Value, json};

use crate::only::Place;

/// A small entity with every kind of column and of filter.
pub const PEOPLE: &str = r##"{
  "$schema": "https://json-schema.org/draft/2020-12/schema",
  "title": "Person", "description": "A contact.", "type": "object",
  "x-entity": { "collection": "people", "core": true, "order": 2 },
  "properties": {
    "id": { "type": "string", "format": "uuid", "x-host": true },
    "name": { "type": "string" },
    "stage": { "type": ["string", "null"], "x-filter": { "param": "stage", "match": "equals" } },
    "ownerId": { "type": ["string", "null"], "x-reference": "users" },
    "price": { "type": ["number", "null"] },
    "rank": { "type": "integer", "x-filter": { "param": "rank", "match": "equals" } },
    "active": { "type": ["boolean", "null"], "x-filter": { "param": "active", "match": "equals" } },
    "fax": { "type": "string", "x-filter": { "param": "fax", "match": "digits" } },
    "tags": { "type": ["array", "null"], "items": { "type": "string" }, "x-filter": { "param": "tags", "match": "any-item" } },
    "emails": { "type": "array", "x-filter": { "param": "email", "match": "entry-value" },
      "items": { "type": "object", "required": ["value"], "properties": { "value": { "type": "string" } } } },
    "phones": { "type": "array", "x-filter": { "param": "phone", "match": "entry-digits" },
      "items": { "type": "object", "required": ["value"], "properties": { "value": { "type": "string" } } } },
    "created": { "type": ["string", "null"], "format": "date-time" },
    "rolloutUpdated": { "type": "string", "format": "date-time", "x-host": true },
    "originalIds": { "$ref": "#/$defs/originalIds", "x-host": true },
    "original": { "$ref": "#/$defs/original", "x-host": true }
  },
  "x-custom-fields": true
}"##;

pub const USERS: &str = r##"{
  "$schema": "https://json-schema.org/draft/2020-12/schema",
  "title": "User", "description": "A member of staff.", "type": "object",
  "x-entity": { "collection": "users", "core": true, "order": 1 },
  "properties": {
    "id": { "type": "string", "format": "uuid", "x-host": true },
    "name": { "type": "string" },
    "rolloutUpdated": { "type": "string", "format": "date-time", "x-host": true },
    "originalIds": { "$ref": "#/$defs/originalIds", "x-host": true },
    "original": { "$ref": "#/$defs/original", "x-host": true }
  }
}"##;

pub fn catalog_of(people: &str) -> Catalog {
    let file = |name, text| EntityFile {
        category: "crm",
        name,
        text,
    };
    Catalog::of([file("people", people), file("users", USERS)]).unwrap()
}

pub const NOW: i64 = 1_751_469_561_000;

pub const OWNER: &str = "client-1";
/// The name of the fixture's worker.
pub const WORKER: &str = "fixture";
/// A lease that lasts longer than any test.
pub const LONG: i64 = 600_000;

/// Opens an environment as a process of its own would.
pub async fn open(place: &Place, catalog: &Catalog) -> Result<EnvStore> {
    let databases = Databases::default();
    EnvStore::open(&databases, &place.location(), OWNER, catalog, Migrate::Run).await
}

/// An environment with one connected account, whose people are in their first
/// pass.
pub struct Fixture {
    pub catalog: Catalog,
    pub store: EnvStore,
    pub consumer: String,
    pub credential: Credential,
    /// The sync of people, under which pages land; none: as the API lands.
    pub lease: Option<Lease>,
    /// Last, so that it is dropped last.
    pub place: Place,
}

impl Fixture {
    pub async fn new() -> Self {
        let place = Place::new().await;
        let catalog = catalog_of(PEOPLE);
        let store = open(&place, &catalog).await.unwrap();
        let consumer = store.consumer("alice").await.unwrap().id;
        let credential = connect(&store, &consumer, "account-1").await;
        let mut fixture = Self {
            catalog,
            store,
            consumer,
            credential,
            lease: None,
            place,
        };
        fixture.claim().await;
        fixture
    }

    /// One more connected account.
    pub async fn connect(&self, external_id: &str) -> Credential {
        connect(&self.store, &self.consumer, external_id).await
    }

    /// Goes on with a new account in its first pass.
    pub async fn start_over(&mut self, external_id: &str) {
        self.credential = self.connect(external_id).await;
        self.claim().await;
    }

    /// Takes the sync of the account's people, which is due.
    pub async fn claim(&mut self) {
        let leases = self
            .store
            .claim_jobs(SYNC, WORKER, 100, LONG)
            .await
            .unwrap();
        let ours = (self.credential.id.as_str(), "people");
        let lease = leases.into_iter().find(|lease| lease.sync() == Some(ours));
        self.lease = Some(lease.expect("the sync of people is due"));
    }

    /// The same after a restart of the program.
    pub async fn reopen(self) -> Self {
        self.store.close().await;
        let store = open(&self.place, &self.catalog).await.unwrap();
        Self { store, ..self }
    }

    pub fn people(&self) -> &Entity {
        self.catalog.entity(Category::Crm, "people").unwrap()
    }

    /// A page of people, asked for now.
    pub async fn page(&self) -> Page<'_> {
        let stamp = self.store.next_stamp().await.unwrap();
        let mut page = Page::new(&self.credential, "people", stamp, NOW);
        page.lease = self.lease.as_ref();
        page
    }

    /// Lands people with a stamp of their own.
    pub async fn land(&self, people: Vec<Record>) -> Outcome {
        let mut page = self.page().await;
        page.records = people;
        self.store.land(page).await.unwrap()
    }

    pub async fn remove(&self, upstream_ids: &[&str]) -> Outcome {
        let mut page = self.page().await;
        page.deleted = upstream_ids.iter().map(|id| (*id).to_owned()).collect();
        self.store.land(page).await.unwrap()
    }

    /// From here on people are synced incrementally, still under the lease.
    pub async fn finish_first_pass(&self) {
        self.schedule(SyncPhase::Incremental).await;
    }

    /// Begins a phase past whoever has the lease, so that it stays.
    pub async fn schedule(&self, phase: SyncPhase) {
        let id = &self.credential.id;
        self.store
            .schedule_sync(id, "people", &schedule(phase), None)
            .await
            .unwrap();
    }

    pub async fn sync_row(&self) -> SyncRow {
        let id = &self.credential.id;
        self.store.sync_row(id, "people").await.unwrap().unwrap()
    }

    pub fn person(&self, upstream_id: &str, body: Value) -> Record {
        person(&self.catalog, &self.credential, upstream_id, body)
    }

    pub fn person_with_original(&self, upstream_id: &str, body: Value, original: &str) -> Record {
        Record {
            original: original.to_owned(),
            ..self.person(upstream_id, body)
        }
    }

    pub fn query(&self) -> ListQuery<'_> {
        ListQuery::new(&self.credential.id, self.people(), 100)
    }

    pub async fn list(&self, query: &ListQuery<'_>) -> (List, Vec<Value>) {
        list(&self.store, query).await
    }

    /// The app's ids of the rows that fit the filters, sorted, and the total.
    pub async fn narrowed(&self, filters: &[(&str, &[&str])]) -> (Vec<String>, i64) {
        let filters = filters.iter().map(|(field, values)| Narrow {
            field: (*field).to_owned(),
            values: values.iter().map(|value| (*value).to_owned()).collect(),
        });
        let query = ListQuery {
            filters: filters.collect(),
            ..self.query()
        };
        let (list, rows) = self.list(&query).await;
        let mut ids: Vec<String> = rows.iter().map(upstream_id).collect();
        ids.sort();
        (ids, list.total)
    }
}

/// Stores one record as a write through the API does.
pub async fn land_one(store: &EnvStore, credential: &Credential, record: Record) -> Outcome {
    let one = OneRecord {
        credential,
        entity: "people",
        record,
        references: Vec::new(),
        lenient: 0,
    };
    let page = one.page(store.next_stamp().await.unwrap());
    store.land(page).await.unwrap()
}

/// Deletes one person in the same way.
pub async fn delete_one(store: &EnvStore, credential: &Credential, upstream_id: &str) -> Outcome {
    let stamp = store.next_stamp().await.unwrap();
    let mut page = Page::new(credential, "people", stamp, NOW);
    page.deleted.push(upstream_id.to_owned());
    store.land(page).await.unwrap()
}

pub fn person(
    catalog: &Catalog,
    credential: &Credential,
    upstream_id: &str,
    body: Value,
) -> Record {
    let entity = catalog.by_name("people").unwrap();
    let mut references = ReferenceIds::new(credential);
    let landed = entity.land(&body.to_string(), &mut references).unwrap();
    Record {
        upstream_id: upstream_id.to_owned(),
        cells: landed.cells,
        original_ids: json!({"people": upstream_id}).to_string(),
        original: json!({"people": body}).to_string(),
    }
}

/// A sync that goes on at once.
pub fn schedule(phase: SyncPhase) -> Schedule {
    Schedule {
        status: SyncStatus::Done,
        phase,
        next_at: Some(NOW),
        attempts: 0,
        error: None,
        first_done_at: (phase == SyncPhase::Incremental).then_some(NOW),
    }
}

async fn connect(store: &EnvStore, consumer: &str, external_id: &str) -> Credential {
    let credential = new_credential("acme", external_id);
    let secrets = BTreeMap::new();
    store
        .insert_credential(&credential, consumer, &secrets)
        .await
        .unwrap();
    store
        .plan_sync(&credential.id, &["people", "users"], NOW)
        .await
        .unwrap();
    credential
}

pub async fn list(store: &EnvStore, query: &ListQuery<'_>) -> (List, Vec<Value>) {
    let mut out = b"[".to_vec();
    let list = store.list_json(query, &mut out).await.unwrap();
    out.push(b']');
    let text = String::from_utf8(out).unwrap();
    let rows: Vec<Value> =
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
    assert_eq!(rows.len(), list.count as usize);
    (list, rows)
}

pub fn upstream_id(row: &Value) -> String {
    row["originalIds"]["people"].as_str().unwrap().to_owned()
}

pub fn new_credential(app_key: &str, external_id: &str) -> Credential {
    let (id, created_at) = new_credential_id();
    Credential {
        id,
        app_key: app_key.to_owned(),
        plan: "api-key".to_owned(),
        label: Some("Alice's account".to_owned()),
        avatar: None,
        external_id: external_id.to_owned(),
        fields: json!({"region": "eu"}),
        entities_to_sync: json!({"notes": true}),
        status: CredentialStatus::Ok,
        created_at,
        updated_at: created_at,
    }
}
