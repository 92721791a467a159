//! Databases that can't be opened: one clear line each, soon, and without the
//! password.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use rollout_store::{Control, Databases, EnvStore, Location, Migrate, Result};
use rollout_test_postgres::Server;

use super::Place;
use crate::it::fixture::{Fixture, OWNER, PEOPLE, catalog_of};

const PASSWORD: &str = "s3cret";

async fn open(url: &str) -> Result<EnvStore> {
    let databases = Databases::default();
    let (location, catalog) = (Location::parse(url).unwrap(), catalog_of(PEOPLE));
    EnvStore::open(&databases, &location, OWNER, &catalog, Migrate::Run).await
}

/// Why both kinds of database are refused.
async fn refusal(url: &str) -> String {
    let began = Instant::now();
    let (databases, location) = (Databases::default(), Location::parse(url).unwrap());
    let control = Control::open(&databases, &location, Migrate::Run);
    let (environment, control) = tokio::join!(open(url), control);
    let environment = environment.expect_err("it can't be opened").to_string();
    let control = control.expect_err("it can't be opened").to_string();
    assert!(
        began.elapsed() < Duration::from_secs(16),
        "{:?}",
        began.elapsed()
    );
    assert_eq!(environment, control);
    assert!(
        !control.contains('\n') && !control.contains(PASSWORD),
        "{control}"
    );
    control
}

/// A role of the test's own and how it finds the place's database.
fn role(place: &Place, name: &str) -> String {
    let server = Server::shared();
    server.role_with_password(name, PASSWORD, &[]).unwrap();
    server.url_of(name, PASSWORD, database(place))
}

fn database(place: &Place) -> &str {
    place.url.rsplit('/').next().unwrap()
}

fn says(said: &str, words: &[&str]) {
    for word in words {
        assert!(said.contains(word), "{word}: {said}");
    }
}

#[tokio::test]
async fn who_may_not_log_in_is_told_so() {
    let place = Place::new().await;
    let url = role(&place, "stranger").replace(PASSWORD, "wrong");
    says(&refusal(&url).await, &["password", "stranger"]);
    let url = place.url.replace(database(&place), "no_such_database");
    says(
        &refusal(&url).await,
        &["no_such_database", "does not exist"],
    );
}

#[tokio::test]
async fn a_role_needs_the_right_to_create_tables() {
    let (place, server) = (Place::new().await, Server::shared());
    let url = role(&place, "tenant");
    says(&refusal(&url).await, &["permission denied for database"]);
    let grant = format!("GRANT CREATE ON DATABASE {} TO tenant", database(&place));
    server.admin(&grant).unwrap();
    let refused = open(&url).await.expect_err("public is not the tenant's");
    says(
        &refused.to_string(),
        &["permission denied for schema public"],
    );
    // Nothing of what was refused is there.
    let left = "SELECT COUNT(*) FROM pg_namespace WHERE nspname LIKE 'host%'";
    assert_eq!(place.number(left).await, 0);
    server
        .psql(&place.url, "GRANT CREATE ON SCHEMA public TO tenant")
        .unwrap();
    open(&url).await.unwrap().close().await;
    let drop = "DROP OWNED BY tenant";
    server.psql(&place.url, drop).unwrap();
    server
        .admin("DROP OWNED BY tenant; DROP ROLE tenant")
        .unwrap();
}

#[tokio::test]
async fn a_database_of_another_encoding_is_refused() {
    let (place, server) = (Place::new().await, Server::shared());
    let name = format!("{}_latin", database(&place));
    let create = format!("CREATE DATABASE {name} ENCODING 'LATIN1' TEMPLATE template0");
    server.admin(&create).unwrap();
    says(&refusal(&server.url(&name)).await, &["LATIN1", "UTF8"]);
    server.drop_database(&server.url(&name)).unwrap();
}

#[tokio::test]
async fn a_server_that_is_not_there_is_not_waited_for() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let url = format!("postgres://ann:{PASSWORD}@127.0.0.1:{port}/crm");
    // It takes connections, and says nothing.
    says(&refusal(&url).await, &["not available", "did not answer"]);
    drop(listener);
    says(&refusal(&url).await, &["not available", "refused"]);
    let url = format!("postgres://ann:{PASSWORD}@no-such-host.invalid/crm");
    says(&refusal(&url).await, &["not available"]);
}

#[tokio::test]
async fn one_database_can_be_both() {
    let fixture = Fixture::new().await;
    let location = fixture.place.location();
    let control = Control::open(&Databases::default(), &location, Migrate::Run).await;
    let control = control.unwrap();
    assert!(control.environments().await.unwrap().is_empty());
    assert_eq!(fixture.store.all_credentials().await.unwrap().len(), 1);
    assert!(control.is_shared() && fixture.store.is_shared());
}
