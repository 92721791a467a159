//! Logins for customers' own SQL on an environment's Postgres database.
//!
//! Such a login reads the entities' tables, owns one schema of its own name for
//! views, tables and functions, and reaches nothing else: not the host's
//! schemas, no triggers, no tables beside ours. What it wants in our tables, an
//! index, it asks for with a function; see `index_requests`.

use crate::database::{Tx, query, statement};
use crate::dialect::{Dialect, literal, quote};
use crate::erase::CustomerSchemas;
use crate::{EnvStore, Result, StoreError};

/// Connections of one login at once.
const CONNECTIONS: u32 = 10;

/// Takes away what [`ENTRANCE`] makes.
pub(crate) const DROP_FUNCTIONS: &str = "DROP FUNCTION IF EXISTS public.rollout_create_index(text, text[]) CASCADE; \
     DROP VIEW IF EXISTS public.rollout_index_requests CASCADE";

/// How customers ask for indexes, and see what became of it.
const ENTRANCE: &str = "
CREATE OR REPLACE FUNCTION public.rollout_create_index(table_name text, columns text[])
RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $function$
DECLARE number bigint;
BEGIN
    IF coalesce(length($1), 0) NOT BETWEEN 1 AND 63 OR coalesce(cardinality($2), 0) NOT BETWEEN 1 AND 3
       OR EXISTS (SELECT 1 FROM unnest($2) AS wanted (name) WHERE coalesce(length(name), 0) NOT BETWEEN 1 AND 63)
    THEN
        RAISE EXCEPTION 'name a table and one to three of its columns';
    END IF;
    IF (SELECT count(*) FROM host.host_index_requests r
        WHERE r.requested_by = session_user AND r.state = 'waiting') >= 20
    THEN
        RAISE EXCEPTION 'twenty of your requests are waiting already';
    END IF;
    INSERT INTO host.host_index_requests AS r (table_name, columns, requested_by, requested_at, state)
    VALUES ($1, array_to_json($2)::text, session_user,
            (extract(epoch FROM clock_timestamp()) * 1000)::bigint, 'waiting')
    RETURNING r.id INTO number;
    PERFORM pg_notify('rollout_work', (SELECT value FROM host.host_meta WHERE key = 'owner'));
    RETURN number;
END $function$;
REVOKE ALL ON FUNCTION public.rollout_create_index(text, text[]) FROM PUBLIC;
CREATE OR REPLACE VIEW public.rollout_index_requests WITH (security_barrier) AS
SELECT id, table_name, columns, to_timestamp(requested_at / 1000.0) AS requested_at, state, reason
FROM host.host_index_requests WHERE requested_by = session_user";

impl EnvStore {
    /// Makes a login of this name, which begins with `rollout_`. The password is
    /// given as Postgres stores it, `SCRAM-SHA-256$…`: so it is in nobody's log.
    pub async fn create_customer_login(&self, login: &str, password_hash: &str) -> Result<()> {
        let mut tx = self.on_postgres().await?;
        let (user, able, database): (String, bool, String) = query(
            "SELECT current_user::text, rolcreaterole OR rolsuper, current_database()::text \
             FROM pg_roles WHERE rolname = current_user",
        )
        .one(&mut tx)
        .await?;
        if !able {
            return Err(StoreError::Refused(format!(
                "the host's login may not make others: let a superuser run ALTER ROLE {} CREATEROLE",
                quote(&user)
            )));
        }
        let (name, database) = (quote(login), quote(&database));
        let make = format!(
            "CREATE ROLE {name} LOGIN PASSWORD {password} CONNECTION LIMIT {CONNECTIONS}; \
             GRANT {name} TO CURRENT_USER; \
             ALTER ROLE {name} IN DATABASE {database} SET search_path = {name}, public; \
             ALTER ROLE {name} IN DATABASE {database} SET statement_timeout = '60s'; \
             ALTER ROLE {name} IN DATABASE {database} SET idle_in_transaction_session_timeout = '60s'; \
             GRANT CONNECT ON DATABASE {database} TO {name}; \
             CREATE SCHEMA {name} AUTHORIZATION {name}; \
             GRANT USAGE ON SCHEMA public TO {name}; \
             {ENTRANCE}; \
             GRANT EXECUTE ON FUNCTION public.rollout_create_index(text, text[]) TO {name}; \
             GRANT SELECT ON public.rollout_index_requests TO {name}; \
             ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO {name}",
            password = literal(password_hash),
        );
        statement(make).script(&mut tx).await?;
        for table in self.tables() {
            let table = Dialect::Postgres.entity_table(&table.entity.table);
            statement(format!("GRANT SELECT ON {table} TO {name}"))
                .execute(&mut tx)
                .await?;
        }
        // Databases that were upgraded from before version 15 let everybody in.
        let open = query("SELECT has_schema_privilege($1, 'public', 'CREATE')").bind(login);
        if open.one::<bool>(&mut tx).await? {
            return Err(StoreError::Refused(
                "everybody may make tables in the schema public: let its owner run \
                 REVOKE CREATE ON SCHEMA public FROM PUBLIC"
                    .to_owned(),
            ));
        }
        self.db.commit(tx).await
    }

    /// The logins that were made, by name.
    pub async fn customer_logins(&self) -> Result<Vec<String>> {
        let mut tx = self.on_postgres().await?;
        logins(&mut tx).await
    }

    /// Removes a login; [`StoreError::NotFound`] if there is none.
    pub async fn drop_customer_login(&self, login: &str, schemas: CustomerSchemas) -> Result<()> {
        let mut tx = self.on_postgres().await?;
        if !logins(&mut tx).await?.iter().any(|one| one == login) {
            return Err(StoreError::NotFound("login"));
        }
        drop_login(&mut tx, login, schemas).await?;
        self.db.commit(tx).await
    }

    async fn on_postgres(&self) -> Result<Tx> {
        let tx = self.db.write().await?;
        match tx.dialect() {
            Dialect::Postgres => Ok(tx),
            Dialect::Sqlite => Err(StoreError::Refused("a file has no logins".to_owned())),
        }
    }
}

/// The logins that were made in this database: each has its schema here.
pub(crate) async fn logins(tx: &mut Tx) -> Result<Vec<String>> {
    query(
        "SELECT r.rolname::text FROM pg_roles r JOIN pg_namespace n ON n.nspname = r.rolname \
         WHERE r.rolname LIKE 'rollout\\_%' AND n.nspowner = r.oid AND r.rolcanlogin ORDER BY 1",
    )
    .all(tx)
    .await
}

pub(crate) async fn drop_login(tx: &mut Tx, login: &str, schemas: CustomerSchemas) -> Result<()> {
    let name = quote(login);
    let schema = match schemas {
        CustomerSchemas::Drop => format!("DROP SCHEMA {name} CASCADE; "),
        CustomerSchemas::Keep => String::new(),
    };
    // Those who are at work under it would go on.
    let sessions =
        query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = $1");
    sessions.bind(login).execute(&mut *tx).await?;
    let drop = format!(
        "{schema}REASSIGN OWNED BY {name} TO CURRENT_USER; DROP OWNED BY {name}; DROP ROLE {name}"
    );
    statement(drop).script(tx).await
}
