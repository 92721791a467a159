//! The store: which environments there are, and what each of them holds.
//!
//! [`Control`] is the small database that names environments; [`EnvStore`] is
//! one environment's own: consumers, credentials with their sealed secrets, how
//! far each entity is synced, and the synced records in one table per entity.
//! Rows, cursor and counts of a page become true in one transaction.
//!
//! The store knows tables, not meanings: secrets are sealed by its callers,
//! records were read by the catalogue, and nothing here calls anybody else.

mod challenges;
mod changes;
mod clock;
mod control;
mod credentials;
mod customers;
mod data_keys;
mod database;
mod dialect;
mod environment;
mod erase;
mod error;
mod full_passes;
mod ids;
mod index_requests;
mod jobs;
mod keys;
mod landing;
mod loading;
mod migrations;
mod oauth_states;
mod outbound;
mod outbox;
mod purge;
mod reading;
mod rereads;
mod sharing;
mod signals;
mod state;
mod sync_completed;
mod sync_state;
mod table;
mod tokens;
mod transfer;
mod webhooks;
mod writes;

pub use challenges::Challenge;
pub use changes::Changes;
pub use clock::{after, ago, api_time, millis, now, parse_time};
pub use control::{
    Act, AppKeys, AppSetting, Control, Environment, Installed, KeysHeld, NewConnector,
    NewEnvironment, SealedIn, SettingKind, Use,
};
pub use credentials::{Consumer, Credential, CredentialChange, CredentialStatus};
pub use data_keys::{DataKeys, SealedSecret, StoredKey};
pub use database::{Databases, Location, LocationError};
pub use environment::EnvStore;
pub use erase::{CustomerSchemas, environment_in, erase};
pub use error::{Result, StoreError};
pub use full_passes::{FullEnd, FullPage, FullPass, Missing, SyncSettings};
pub use ids::{RecordIds, Reference, ReferenceIds, new_credential_id, record_id};
pub use jobs::{HOUSE, Lease, NewJob, Queue, SETTLE, SYNC};
pub use landing::{Cursor, OneRecord, Outcome, Page, Record};
pub use loading::Loaded;
pub use migrations::Migrate;
pub use oauth_states::OAuthState;
pub use outbound::{
    BudgetAsk, BudgetLeft, BudgetLoan, BudgetUse, BudgetsLent, OutboundCall, OutboundQuery,
};
pub use outbox::{
    CREDENTIAL, EVENT_IDS_MAX, EVENTS_MAX, Event, EventQuery, Events, Happened, utc_time,
};
pub use purge::Records;
pub use reading::{COUNTED_MAX, IDS_MAX, LIMIT_MAX, List, ListQuery, Narrow, OFFSET_MAX, Place};
pub use sharing::Holder;
pub use signals::Signals;
pub use state::{Expected, STATE_KEY_MAX, STATE_KEYS_MAX, STATE_VALUE_MAX, StateValue};
pub use sync_state::{Ask, Quarantined, Schedule, SyncPhase, SyncRow, SyncStatus};
pub use tokens::{NewTokens, RefreshTurn, Tokens};
pub use transfer::backup_note;
pub use webhooks::{
    ANY_EVENT, Attempt, DELIVER, Delivery, DeliveryState, Due, FAN_OUT, NewDelivery, News, Next,
    Subscriber, WEBHOOKS_MAX, Wanted, Webhook, WebhookChange,
};
pub use writes::{Begun, Candidate, NewWrite, OpenWrite};
