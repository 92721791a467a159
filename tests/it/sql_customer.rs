//! Customers' own SQL on Postgres: what their logins may, and what they may not;
//! and how an environment gets there.

use std::time::Duration;

use rollout_test_apps::follow_up_boss::{Dataset, Simulator};
use rollout_test_postgres::{Right, Server};
use serde_json::{Value, json};

use crate::cli_commands::refusal;
use crate::cli_environments::everything;
use crate::fixtures::{API_KEY, Client, HostUnderTest, Setup, app, until, within};

fn server() -> &'static Server {
    Server::shared()
}

fn setup(app: &Simulator) -> Setup {
    Setup::against(app).set("sync.poll_interval", "100ms")
}

/// A database whose owner may make logins, or may not: its URL.
fn database_of(role: &str, rights: &[Right]) -> String {
    let server = server();
    server
        .role_with_password(role, "host's own", rights)
        .unwrap();
    let url = server.database().unwrap();
    let name = url.rsplit('/').next().unwrap();
    server
        .admin(&format!("ALTER DATABASE {name} OWNER TO {role}"))
        .unwrap();
    server.url_of(role, "host's own", name)
}

/// A host whose control and `dev` are there, and an account that it synced.
async fn synced_on(app: &Simulator, url: &str) -> (HostUnderTest, Client) {
    let host = HostUnderTest::start(setup(app).on(url)).await;
    let account = host.client("customer-1").connect_synced(API_KEY).await;
    (host, account)
}

fn sql_user(host: &HostUnderTest) -> (String, String) {
    let made = host.rollout_ok(&["env", "sql-user", "create", "dev", "--json"]);
    let made: Value = serde_json::from_str(&made).unwrap();
    let names: Vec<&String> = made.as_object().unwrap().keys().collect();
    assert_eq!(names, ["name", "user", "databaseUrl"]);
    let text = |key: &str| made[key].as_str().unwrap().to_owned();
    (text("user"), text("databaseUrl"))
}

#[tokio::test]
async fn a_customer_reads_records_and_has_a_place_of_his_own() {
    let app = app(Dataset::demo());
    let (host, account) = synced_on(&app, &database_of("landlord", &[Right::CreateRoles])).await;
    let (user, url) = sql_user(&host);
    assert!(user.starts_with("rollout_dev_"), "{user}");
    let password = url.split([':', '@']).nth(2).unwrap();
    let ask = |sql: &str| server().psql(&url, sql);
    let ok = |sql: &str| ask(sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
    let refused = |sql: &str, word: &str| {
        let error = ask(sql).expect_err(sql).to_string();
        assert!(error.contains(word), "{sql}: {error}");
    };

    let people = account.all("people", "").await;
    assert_eq!(
        ok("SELECT count(*) FROM rollout_people"),
        people.len().to_string()
    );
    for table in ["users", "notes", "tasks"] {
        ok(&format!("SELECT * FROM rollout_{table}"));
    }
    // Views, tables and functions lie in the user's own schema.
    ok(
        "CREATE VIEW leads AS SELECT \"id\", \"firstName\" FROM rollout_people WHERE \"stage\" = 'Lead'; \
        CREATE TABLE marks (id text PRIMARY KEY, mark int); \
        CREATE FUNCTION twice(int) RETURNS int LANGUAGE sql AS 'SELECT $1 * 2'",
    );
    let own = format!(
        "SELECT schemaname FROM pg_views WHERE viewname = 'leads' AND schemaname = '{user}'"
    );
    assert_eq!(ok(&own), user);
    ok("INSERT INTO marks SELECT \"id\", twice(2) FROM rollout_people");
    assert_eq!(ok("SHOW statement_timeout"), "1min");
    assert_eq!(ok("SHOW idle_in_transaction_session_timeout"), "1min");
    let limit = server().admin(&format!(
        "SELECT rolconnlimit FROM pg_roles WHERE rolname = '{user}'"
    ));
    assert_eq!(limit.unwrap(), "10");

    for sql in [
        "DELETE FROM rollout_people",
        "UPDATE rollout_people SET \"stage\" = 'Lead'",
        "INSERT INTO rollout_notes DEFAULT VALUES",
        "TRUNCATE rollout_tasks",
        "CREATE TABLE public.mine (id int)",
        "CREATE TRIGGER peek BEFORE INSERT ON rollout_people EXECUTE FUNCTION suppress_redundant_updates_trigger()",
        "CREATE SCHEMA another",
        "SELECT * FROM host.host_secrets",
        "SELECT * FROM host.host_credentials",
        "SELECT * FROM host_control.host_environments",
        "INSERT INTO host.host_index_requests DEFAULT VALUES",
        "SELECT nextval('host.host_stamps')",
        "CREATE ROLE friend",
    ] {
        refused(sql, "permission denied");
    }
    refused(
        "CREATE INDEX ON rollout_people (\"stage\")",
        "must be owner",
    );
    refused(
        "ALTER TABLE rollout_people ADD COLUMN mine int",
        "must be owner",
    );
    refused("SET ROLE landlord", "permission denied");

    // Of two customers, neither sees the other's.
    let (other, other_url) = sql_user(&host);
    let error = server()
        .psql(&other_url, &format!("SELECT * FROM \"{user}\".marks"))
        .unwrap_err();
    assert!(error.to_string().contains("permission denied"), "{error}");
    let listed: Value =
        serde_json::from_str(&host.rollout_ok(&["env", "sql-user", "list", "--json"])).unwrap();
    let listed: Vec<&str> = listed
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["user"].as_str().unwrap())
        .collect();
    let mut expected = vec![user.as_str(), other.as_str()];
    expected.sort_unstable();
    assert_eq!(listed, expected);

    // The records go on changing under the views.
    let person = json!({"firstName": "Ada", "lastName": "Byron", "stage": "Lead"});
    let ada = account.post("/crm/api/people", person).await.with(201);
    let found = format!(
        "SELECT \"firstName\" FROM leads WHERE \"id\" = '{}'",
        ada["id"].as_str().unwrap()
    );
    assert_eq!(ok(&found), "Ada");

    let told = host.rollout_ok(&["env", "sql-user", "remove", &user]);
    assert!(told.contains("stays"), "{told}");
    ask("SELECT 1").expect_err("the login is gone");
    host.rollout_ok(&["env", "sql-user", "remove", &other, "--drop-schema"]);
    let schemas = server().psql(
        &host_url(&host),
        &format!("SELECT count(*) FROM pg_namespace WHERE nspname IN ('{user}', '{other}')"),
    );
    assert_eq!(schemas.unwrap(), "1");
    let line = refusal(&host.rollout(&["env", "sql-user", "remove", &user]));
    assert!(line.contains(&user), "{line}");
    assert!(!host.log().contains(password));
}

/// Where the host's environment is, as the superuser reaches it.
fn host_url(host: &HostUnderTest) -> String {
    let listed: Value = serde_json::from_str(&host.rollout_ok(&["env", "list", "--json"])).unwrap();
    let url = listed[0]["databaseUrl"].as_str().unwrap();
    server().url(url.rsplit('/').next().unwrap())
}

#[tokio::test]
async fn a_customer_asks_for_indexes() {
    let app = app(Dataset::demo());
    let (host, account) = synced_on(&app, &database_of("indexer", &[Right::CreateRoles])).await;
    let (_, url) = sql_user(&host);
    let (_, other) = sql_user(&host);
    let ok = |sql: &str| {
        server()
            .psql(&url, sql)
            .unwrap_or_else(|error| panic!("{sql}: {error}"))
    };
    let requests = [
        ("rollout_people", "{stage}", "done"),
        ("rollout_people", "{created,id}", "done"),
        ("rollout_people", "{stage}", "done"),
        ("rollout_people", "{original}", "refused"),
        ("rollout_people", "{stage,source}", "refused"),
        ("rollout_people", "{nothing}", "refused"),
        ("rollout_people", "{\"stage) WHERE (true\"}", "refused"),
        ("host_secrets", "{slot}", "refused"),
    ];
    let began = std::time::Instant::now();
    let mut numbers = Vec::new();
    for (table, columns, _) in requests {
        numbers.push(ok(&format!(
            "SELECT rollout_create_index('{table}', '{columns}')"
        )));
    }
    // Nobody has to look for a minute: the host is told.
    let settled = until("all are settled", async || {
        let waiting = "SELECT count(*) FROM rollout_index_requests WHERE state = 'waiting'";
        (ok(waiting) == "0").then_some(())
    });
    within(Duration::from_secs(30), "requests", settled).await;
    println!("settled after {:?}", began.elapsed());
    for (number, (table, columns, expected)) in numbers.iter().zip(requests) {
        let state = format!("SELECT state, reason FROM rollout_index_requests WHERE id = {number}");
        let state = ok(&state);
        assert!(state.starts_with(expected), "{table} {columns}: {state}");
        assert!(
            expected == "done" || state.len() > "refused|".len(),
            "{state}"
        );
    }
    let made = "SELECT indexdef FROM pg_indexes WHERE indexname LIKE 'rollout\\_asked\\_%' ORDER BY indexname";
    let made = ok(made);
    assert_eq!(made.lines().count(), 2, "{made}");
    assert!(
        made.contains("USING hash (stage)") && made.contains("(created, id)"),
        "{made}"
    );
    let valid = "SELECT count(*) FROM pg_index WHERE NOT indisvalid";
    assert_eq!(ok(valid), "0");

    // Others' requests are not shown, the function is for these logins alone.
    let seen = server().psql(&other, "SELECT count(*) FROM rollout_index_requests");
    assert_eq!(seen.unwrap(), "0");
    for (table, columns) in [
        ("rollout_people", "{}"),
        ("rollout_people", "{a,b,c,d}"),
        ("", "{a}"),
    ] {
        let ask = format!("SELECT rollout_create_index('{table}', '{columns}')");
        server().psql(&url, &ask).expect_err(&ask);
    }
    // Long texts are stored as before.
    // On a new connection: psql held up this thread, and the old one with it.
    let account = host.client("customer-1").of(account.credential());
    let long = "x".repeat(100_000);
    let person = json!({"firstName": "Long", "lastName": long});
    account.post("/crm/api/people", person).await.with(201);
}

#[tokio::test]
async fn without_rights_or_a_server_the_command_says_what_to_do() {
    let app = app(Dataset::demo());
    let host = HostUnderTest::start(setup(&app).on(&database_of("plain", &[]))).await;
    let line = refusal(&host.rollout(&["env", "sql-user", "create", "dev"]));
    assert!(line.contains("ALTER ROLE \"plain\" CREATEROLE"), "{line}");
    let file = HostUnderTest::start(setup(&app)).await;
    let line = refusal(&file.rollout(&["env", "sql-user", "create", "dev"]));
    assert!(line.contains("dev.sqlite?mode=ro"), "{line}");
}

#[tokio::test]
async fn an_environment_moves_to_postgres_and_back() {
    let app = app(Dataset::messy(5, 300));
    let host = HostUnderTest::start(setup(&app)).await;
    let account = host.client("customer-1").connect_synced(API_KEY).await;
    for n in 0..3 {
        let person = json!({"firstName": "Ada", "lastName": format!("{n}"), "tags": ["Buyer"]});
        account.post("/crm/api/people", person).await.with(201);
    }
    let before = everything(&account).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("sqlite.backup");
    let file = file.to_str().unwrap();
    host.rollout_ok(&["env", "backup", "dev", file]);
    let last = host
        .sql()
        .await
        .value::<i64>("SELECT seq FROM sqlite_sequence WHERE name = 'rollout_people'")
        .await;
    drop(host.client("nobody"));
    let mut host = host;
    host.stop();

    let url = database_of("mover", &[Right::CreateRoles]);
    let moved = host.beside_after(setup(&app), |other| {
        other.rollout_ok(&["env", "restore", file, "--database-url", &url, "--resume"]);
        let line = refusal(&other.rollout(&[
            "env",
            "restore",
            file,
            "--database-url",
            &url,
            "--name",
            "b",
        ]));
        assert!(line.contains("client id"), "{line}");
    });
    let moved = moved.await;
    let there = moved.client("customer-1").of(account.credential());
    assert_eq!(everything(&there).await, before);
    // What comes now is newer than all that was there.
    let person = json!({"firstName": "Grace", "lastName": "Hopper"});
    let made = there.post("/crm/api/people", person).await.with(201);
    let first = there.get("/crm/api/people?limit=1").await.ok();
    assert_eq!(first["people"][0]["id"], made["id"]);
    let seq = format!(
        "SELECT host_seq FROM rollout_people WHERE \"id\" = '{}'",
        made["id"].as_str().unwrap()
    );
    let seq: i64 = server().psql(&url, &seq).unwrap().parse().unwrap();
    assert!(seq > last, "{seq} {last}");
    // Syncing goes on from where it was, and nothing is there twice.
    let count = there.all("people", "").await.len();
    app.insert_person(json!({"firstName": "Edsger", "lastName": "Dijkstra", "stage": "Lead"}));
    let synced = until("the app's new record is there", async || {
        let all = there.all("people", "").await;
        (all[0]["firstName"] == "Edsger").then_some(all)
    });
    assert_eq!(synced.await.len(), count + 1);

    let after = everything(&there).await;
    let file = folder.path().join("postgres.backup");
    let file = file.to_str().unwrap();
    moved.rollout_ok(&["env", "backup", "dev", file]);
    drop(moved);
    let back = host.beside_after(setup(&app), |other| {
        other.rollout_ok(&["env", "restore", file, "--name", "again"]);
    });
    let back = back.await;
    let here = back.client("customer-1").of(account.credential());
    assert_eq!(everything(&here).await, after);
    back.rollout_ok(&["env", "resume", "again"]);
    let works = until("writes are taken", async || {
        let person = json!({"firstName": "Barbara", "lastName": "Liskov"});
        let wrote = here.post("/crm/api/people", person).await;
        (wrote.status == 201).then_some(())
    });
    within(Duration::from_secs(5), "the environment resumes", works).await;
}

#[tokio::test]
async fn a_deleted_environment_leaves_a_postgres_database_empty() {
    let app = app(Dataset::demo());
    let control = database_of("eraser", &[Right::CreateRoles]);
    let (host, _) = synced_on(&app, &control).await;
    let shop = server().database().unwrap();
    let name = shop.rsplit('/').next().unwrap();
    server()
        .admin(&format!("ALTER DATABASE {name} OWNER TO eraser"))
        .unwrap();
    let url = server().url_of("eraser", "host's own", name);
    let keys = host.rollout_ok(&["env", "create", "shop", "--database-url", &url, "--json"]);
    let keys = crate::fixtures::Keys::of_json(&keys);
    let client = host.client_with_token(&keys.token("customer-1"));
    client.served().await;
    client.connect_synced(API_KEY).await;
    let made = host.rollout_ok(&["env", "sql-user", "create", "shop", "--json"]);
    let made: Value = serde_json::from_str(&made).unwrap();
    let (user, sql) = (
        made["user"].as_str().unwrap(),
        made["databaseUrl"].as_str().unwrap(),
    );
    server().psql(sql, "CREATE VIEW names AS SELECT \"firstName\" FROM rollout_people; CREATE TABLE own (id int)").unwrap();

    let told = host.rollout_ok(&["env", "delete", "shop", "--yes"]);
    assert!(
        told.contains(user) && !told.contains("host's own"),
        "{told}"
    );
    let left = |what: &str| server().psql(&shop, what).unwrap();
    let tables = "SELECT table_schema || '.' || table_name FROM information_schema.tables \
                  WHERE table_schema NOT IN ('pg_catalog', 'information_schema')";
    assert_eq!(left(tables), format!("{user}.own"));
    let schemas = "SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'host%'";
    assert_eq!(left(schemas), "0");
    assert_eq!(
        left(&format!(
            "SELECT count(*) FROM pg_roles WHERE rolname = '{user}'"
        )),
        "0"
    );
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(left(schemas), "0", "nobody makes it again");
    client
        .get("/api/credentials")
        .await
        .refused(401, "unauthorized");
    host.admin().get("/api/credentials").await.ok();
}

/// A catalogue that gains a field adds a column; views that customers have on the
/// table go on.
#[tokio::test]
async fn views_survive_new_columns() {
    let app = app(Dataset::demo());
    let (mut host, _) = synced_on(&app, &database_of("grower", &[Right::CreateRoles])).await;
    let (_, url) = sql_user(&host);
    let ok = |sql: &str| {
        server()
            .psql(&url, sql)
            .unwrap_or_else(|error| panic!("{sql}: {error}"))
    };
    let admin = host_url(&host);
    // As the program was before it knew a field.
    host.stop();
    server()
        .psql(
            &admin,
            "ALTER TABLE rollout_people DROP COLUMN \"jobTitle\"",
        )
        .unwrap();
    ok("CREATE VIEW all_people AS SELECT * FROM rollout_people");
    let before = ok("SELECT count(*) FROM all_people");
    host.restart().await;
    assert_eq!(ok("SELECT count(*) FROM all_people"), before);
    ok("SELECT \"jobTitle\" FROM rollout_people");
}
