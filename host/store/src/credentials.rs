//! Consumers, and the credentials that they connected.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::database::{FromRow, On, Row, Tx, query, statement};
use crate::outbox::Happened;
use crate::tokens::{NewTokens, drop_tokens, put_tokens};
use crate::{EnvStore, Result, StoreError, changes, ids, now, sharing, tokens};

/// A user of the product, as the product names him.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Consumer {
    /// `cons_` and a lower-case ULID.
    pub id: String,
    /// The product's name for him: the tokens' `sub`.
    pub key: String,
}

/// Whether a credential works.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CredentialStatus {
    /// It does, as far as is known.
    Ok,
    /// The app refuses it; the text says why.
    Broken(String),
}

impl CredentialStatus {
    fn columns(&self) -> (&'static str, Option<&str>) {
        match self {
            Self::Ok => ("ok", None),
            Self::Broken(reason) => ("broken", Some(reason)),
        }
    }
}

/// An account of an app that is connected.
#[derive(Clone, Debug, PartialEq)]
pub struct Credential {
    /// UUIDv7.
    pub id: String,
    /// The connector's key, canonical.
    pub app_key: String,
    /// The manifest's plan, `api-key`.
    pub plan: String,
    /// What a person calls the account.
    pub label: Option<String>,
    /// URL of a picture.
    pub avatar: Option<String>,
    /// The account at the app, as the connector names it.
    pub external_id: String,
    /// The public inputs.
    pub fields: Value,
    /// What was opted in to.
    pub entities_to_sync: Value,
    /// Whether it works.
    pub status: CredentialStatus,
    /// Milliseconds since 1970; part of the ids of its records.
    pub created_at: i64,
    /// Milliseconds since 1970.
    pub updated_at: i64,
}

impl FromRow for Credential {
    fn read(row: &Row<'_>) -> Result<Self> {
        Ok(Self {
            id: row.get("id")?,
            app_key: row.get("app_key")?,
            plan: row.get("plan")?,
            label: row.get("label")?,
            avatar: row.get("avatar")?,
            external_id: row.get("external_id")?,
            fields: serde_json::from_str(row.text("fields")?)?,
            entities_to_sync: serde_json::from_str(row.text("entities_to_sync")?)?,
            status: match row.text("status")? {
                "broken" => CredentialStatus::Broken(
                    row.get::<Option<String>>("status_reason")?
                        .unwrap_or_default(),
                ),
                _ => CredentialStatus::Ok,
            },
            created_at: row.get("created_at")?,
            updated_at: row.get("updated_at")?,
        })
    }
}

/// What changes about a credential; none: stays as it is.
#[derive(Clone, Debug, Default)]
pub struct CredentialChange {
    /// The manifest's plan.
    pub plan: Option<String>,
    /// What a person calls the account.
    pub label: Option<String>,
    /// URL of a picture.
    pub avatar: Option<String>,
    /// The public inputs, all of them.
    pub fields: Option<Value>,
    /// What is opted in to.
    pub entities_to_sync: Option<Value>,
    /// Whether it works.
    pub status: Option<CredentialStatus>,
    /// All slots, each with its sealed value; those not named are removed.
    pub secrets: Option<BTreeMap<String, String>>,
    /// Which of the secrets are tokens, if it is connected by signing in. It has none
    /// any more if secrets are given without.
    pub tokens: Option<NewTokens>,
}

impl EnvStore {
    /// The consumer of this key; made if there is none.
    pub async fn consumer(&self, key: &str) -> Result<Consumer> {
        if let Some(consumer) = self.find_consumer(key).await? {
            return Ok(consumer);
        }
        let mut tx = self.db.write().await?;
        let id = query(
            "INSERT INTO host_consumers (id, key, created_at) VALUES ($1, $2, $3) \
             ON CONFLICT (key) DO UPDATE SET key = excluded.key RETURNING id",
        )
        .bind(ids::new_consumer_id())
        .bind(key)
        .bind(now())
        .one(&mut tx)
        .await?;
        self.db.commit(tx).await?;
        Ok(Consumer {
            id,
            key: key.to_owned(),
        })
    }

    /// The consumer of this key, if there is one.
    pub async fn find_consumer(&self, key: &str) -> Result<Option<Consumer>> {
        let id = query("SELECT id FROM host_consumers WHERE key = $1").bind(key);
        let id = id.optional(&self.db).await?;
        Ok(id.map(|id| Consumer {
            id,
            key: key.to_owned(),
        }))
    }

    /// Stores a credential with its sealed secrets (slot to sealed value) for a
    /// consumer. [`StoreError::Conflict`] if the consumer has this account of
    /// this app already: find it and change it.
    pub async fn insert_credential(
        &self,
        credential: &Credential,
        consumer_id: &str,
        secrets: &BTreeMap<String, String>,
    ) -> Result<()> {
        self.insert_with_tokens(credential, consumer_id, secrets, None)
            .await
    }

    /// The same for one that is connected by signing in.
    pub async fn insert_with_tokens(
        &self,
        credential: &Credential,
        consumer_id: &str,
        secrets: &BTreeMap<String, String>,
        tokens: Option<NewTokens>,
    ) -> Result<()> {
        let mut tx = self.db.write().await?;
        // Two who connect one account at once must not both find none.
        let held = tx
            .dialect()
            .text("SELECT id FROM host_consumers WHERE id = $1 {held}");
        let held: Option<String> = statement(held).bind(consumer_id).optional(&mut tx).await?;
        held.ok_or(StoreError::NotFound("credential or consumer"))?;
        let taken = find(
            &mut tx,
            consumer_id,
            &credential.app_key,
            &credential.external_id,
        )
        .await?;
        if taken.is_some() {
            return Err(StoreError::Conflict("a credential for this account"));
        }
        let (status, reason) = credential.status.columns();
        query(
            "INSERT INTO host_credentials (id, app_key, plan, label, avatar, external_id, fields, \
             entities_to_sync, status, status_reason, created_at, updated_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
        )
        .bind(&credential.id)
        .bind(&credential.app_key)
        .bind(&credential.plan)
        .bind(&credential.label)
        .bind(&credential.avatar)
        .bind(&credential.external_id)
        .bind(credential.fields.to_string())
        .bind(credential.entities_to_sync.to_string())
        .bind(status)
        .bind(reason)
        .bind(credential.created_at)
        .bind(credential.updated_at)
        .execute(&mut tx)
        .await?;
        sharing::add_consumer(&mut tx, &credential.id, consumer_id, false).await?;
        put_secrets(&mut tx, &credential.id, secrets).await?;
        if let Some(tokens) = tokens {
            put_tokens(&mut tx, &credential.id, tokens).await?;
        }
        self.tell(&mut tx, credential, Happened::Created).await?;
        changes::note(&mut tx, &credential.id).await?;
        self.db.commit(tx).await?;
        self.signal();
        Ok(())
    }

    /// Changes a credential and answers it as it is then.
    pub async fn update_credential(
        &self,
        id: &str,
        change: &CredentialChange,
    ) -> Result<Credential> {
        let mut tx = self.db.write().await?;
        let credential = change_credential(self, &mut tx, id, change).await?;
        self.db.commit(tx).await?;
        self.signal();
        Ok(credential)
    }

    /// The same, if its tokens still have this number (none: it has no tokens). Changes
    /// nothing and answers none if they have another: somebody replaced them meanwhile.
    pub async fn update_credential_over(
        &self,
        id: &str,
        number: Option<i64>,
        change: &CredentialChange,
    ) -> Result<Option<Credential>> {
        let mut tx = self.db.write().await?;
        tokens::hold(&mut tx, id).await?;
        let found = query("SELECT number FROM host_tokens WHERE credential_id = $1").bind(id);
        if found.optional(&mut tx).await? != number {
            return Ok(None);
        }
        // What somebody is getting from the app now may be all that it still accepts.
        let others = tx.dialect().text(
            "SELECT number FROM host_tokens WHERE credential_id = $1 AND lease_until > {now}",
        );
        let others: Option<i64> = statement(others).bind(id).optional(&mut tx).await?;
        if others.is_some() {
            return Ok(None);
        }
        let credential = change_credential(self, &mut tx, id, change).await?;
        self.db.commit(tx).await?;
        self.signal();
        Ok(Some(credential))
    }

    /// Notes whether the app accepts a credential, found out with it as it was at this
    /// time (its `updated_at`). Notes nothing, and answers false, if it was changed since:
    /// what was found out is of other keys.
    pub async fn judge_credential(
        &self,
        id: &str,
        updated_at: i64,
        status: CredentialStatus,
    ) -> Result<bool> {
        let mut tx = self.db.write().await?;
        let held = tx
            .dialect()
            .text("SELECT updated_at FROM host_credentials WHERE id = $1 {held}");
        let found: Option<i64> = statement(held).bind(id).optional(&mut tx).await?;
        if found.ok_or(StoreError::NotFound("credential"))? != updated_at {
            return Ok(false);
        }
        let change = CredentialChange {
            status: Some(status),
            ..CredentialChange::default()
        };
        change_credential(self, &mut tx, id, &change).await?;
        self.db.commit(tx).await?;
        self.signal();
        Ok(true)
    }

    /// Tells what happened to a credential, and whose it is.
    pub(crate) async fn tell(
        &self,
        tx: &mut Tx,
        credential: &Credential,
        happened: Happened,
    ) -> Result<()> {
        let consumers: Vec<String> = query(
            "SELECT u.key FROM host_consumers u JOIN host_credential_consumers s \
             ON s.consumer_id = u.id WHERE s.credential_id = $1 ORDER BY u.id",
        )
        .bind(&credential.id)
        .all(&mut *tx)
        .await?;
        let reason = match &credential.status {
            CredentialStatus::Broken(reason) => Some(reason),
            CredentialStatus::Ok => None,
        };
        let data = serde_json::json!({ "consumerKeys": consumers, "reason": reason });
        let data = Some(data.to_string());
        self.outbox.credential(tx, credential, happened, data).await
    }

    /// The credential of this id.
    pub async fn credential(&self, id: &str) -> Result<Option<Credential>> {
        query("SELECT * FROM host_credentials WHERE id = $1")
            .bind(id)
            .optional(&self.db)
            .await
    }

    /// Every credential of the environment, oldest first.
    pub async fn all_credentials(&self) -> Result<Vec<Credential>> {
        query("SELECT * FROM host_credentials ORDER BY created_at, id")
            .all(&self.db)
            .await
    }

    /// The consumer's own credential for this account of this app; one that is shared
    /// with him is somebody else's.
    pub async fn find_by_external(
        &self,
        consumer_id: &str,
        app_key: &str,
        external_id: &str,
    ) -> Result<Option<Credential>> {
        find(&self.db, consumer_id, app_key, external_id).await
    }

    /// The sealed secrets of a credential, by slot.
    pub async fn secrets(&self, credential_id: &str) -> Result<BTreeMap<String, String>> {
        let rows: Vec<(String, String)> =
            query("SELECT slot, sealed FROM host_secrets WHERE credential_id = $1")
                .bind(credential_id)
                .all(&self.db)
                .await?;
        Ok(rows.into_iter().collect())
    }

    /// Stores sealed secrets; other slots stay.
    pub async fn put_secrets(
        &self,
        credential_id: &str,
        secrets: &BTreeMap<String, String>,
    ) -> Result<()> {
        let mut tx = self.db.write().await?;
        put_secrets(&mut tx, credential_id, secrets).await?;
        changes::note(&mut tx, credential_id).await?;
        self.db.commit(tx).await
    }
}

/// Changes a credential within a transaction.
pub(crate) async fn change_credential(
    store: &EnvStore,
    tx: &mut Tx,
    id: &str,
    change: &CredentialChange,
) -> Result<Credential> {
    let (status, reason) = change
        .status
        .as_ref()
        .map(CredentialStatus::columns)
        .unzip();
    let before = tx
        .dialect()
        .text("SELECT status FROM host_credentials WHERE id = $1 {held}");
    let before: Option<String> = statement(before).bind(id).optional(&mut *tx).await?;
    let row = query(
        "UPDATE host_credentials SET plan = coalesce($2, plan), label = coalesce($3, label), \
             avatar = coalesce($4, avatar), fields = coalesce($5, fields), \
             entities_to_sync = coalesce($6, entities_to_sync), \
             status_reason = CASE WHEN CAST($7 AS TEXT) IS NULL THEN status_reason ELSE $8 END, \
             status = coalesce($7, status), updated_at = $9 WHERE id = $1 RETURNING *",
    )
    .bind(id)
    .bind(&change.plan)
    .bind(&change.label)
    .bind(&change.avatar)
    .bind(change.fields.as_ref().map(Value::to_string))
    .bind(change.entities_to_sync.as_ref().map(Value::to_string))
    .bind(status)
    .bind(reason.flatten())
    .bind(now())
    .optional(&mut *tx)
    .await?;
    let credential: Credential = row.ok_or(StoreError::NotFound("credential"))?;
    if let Some(secrets) = &change.secrets {
        query("DELETE FROM host_secrets WHERE credential_id = $1")
            .bind(id)
            .execute(&mut *tx)
            .await?;
        put_secrets(tx, id, secrets).await?;
        match change.tokens {
            Some(tokens) => put_tokens(tx, id, tokens).await?,
            None => drop_tokens(tx, id).await?,
        }
    }
    let now = credential.status.columns().0;
    if before.is_some_and(|before| before != now) {
        let happened = match credential.status {
            CredentialStatus::Ok => Happened::Restored,
            CredentialStatus::Broken(_) => Happened::Broken,
        };
        store.tell(tx, &credential, happened).await?;
    }
    changes::note(tx, id).await?;
    Ok(credential)
}

async fn find<'a>(
    on: impl Into<On<'a>>,
    consumer_id: &str,
    app_key: &str,
    external_id: &str,
) -> Result<Option<Credential>> {
    let found = query(
        "SELECT c.* FROM host_credentials c \
         JOIN host_credential_consumers s ON s.credential_id = c.id \
         WHERE s.consumer_id = $1 AND s.shared = 0 AND c.app_key = $2 AND c.external_id = $3",
    );
    let found = found.bind(consumer_id).bind(app_key).bind(external_id);
    found.optional(on).await
}

pub(crate) async fn put_secrets(
    tx: &mut Tx,
    credential_id: &str,
    secrets: &BTreeMap<String, String>,
) -> Result<()> {
    for (slot, sealed) in secrets {
        query(
            "INSERT INTO host_secrets (credential_id, slot, sealed) VALUES ($1, $2, $3) \
             ON CONFLICT (credential_id, slot) DO UPDATE SET sealed = excluded.sealed",
        )
        .bind(credential_id)
        .bind(slot)
        .bind(sealed)
        .execute(&mut *tx)
        .await
        .map_err(|error| missing(error, "credential"))?;
    }
    Ok(())
}

/// A foreign key that leads to nothing means that its row is not there.
pub(crate) fn missing(error: StoreError, what: &'static str) -> StoreError {
    match error {
        StoreError::NotFound(_) => StoreError::NotFound(what),
        other => other,
    }
}
