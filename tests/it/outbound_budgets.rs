//! Apps' rate limits are kept by all hosts together. The simulated app counts its
//! windows itself and answers 429 to one request too many.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use rollout_test_apps::follow_up_boss::{Config, Dataset, Fault, RateLimits, Simulator};
use serde_json::json;

use crate::api_writes::{ada, path};
use crate::fixtures::{API_KEY, Answer, Client, HostUnderTest, Setup, app_of, database, until};

/// The longest that these tests wait by their own clock for more budget.
const WINDOW: Duration = Duration::from_secs(10);

/// An app that limits everybody as it limits registered systems, which is what the
/// manifest says.
fn limiting() -> Simulator {
    let registered = RateLimits::default().registered;
    let limits = RateLimits {
        unregistered: registered,
        ..RateLimits::default()
    };
    Simulator::start(Config::new(Dataset::demo()).limits(limits)).expect("the simulator starts")
}

fn keeping(app: &Simulator) -> Setup {
    Setup::against(app)
        .set("dev.rate_limits", true)
        .set("sync.poll_interval", "1h")
}

/// Two hosts on one Postgres with the same account, and everybody's client at each.
async fn two(app: &Simulator) -> [(HostUnderTest, Client); 2] {
    let setup = keeping(app).on(&database());
    let one = HostUnderTest::start(setup.clone()).await;
    let other = one.beside(setup).await;
    let account = one.client("shared").connect_synced(API_KEY).await;
    let at = |host: &HostUnderTest| host.admin().of(account.credential());
    [(at(&one), one), (at(&other), other)].map(|(client, host)| (host, client))
}

fn through(account: &Client, path: &str) -> String {
    format!("/api/proxy/{}{path}", account.credential())
}

/// How long a refusal says to wait.
fn patience(answer: &Answer) -> Duration {
    answer.refused(429, "rate_limited");
    let seconds = answer.header("retry-after").expect("Retry-After");
    Duration::from_secs(seconds.parse().unwrap())
}

/// Statuses with which the app answered.
fn refusals(app: &Simulator) -> usize {
    app.requests()
        .iter()
        .filter(|one| one.status == 429)
        .count()
}

/// Asks again and again, as long as the host lets it; answers how often it did.
async fn draw(account: &Client, until: Instant) -> usize {
    let mut answered = 0;
    while Instant::now() < until {
        let answer = account.get(&through(account, "/v1/identity")).await;
        if answer.status == 200 {
            answered += 1;
        } else {
            let wait = patience(&answer);
            assert!(wait <= WINDOW + Duration::from_secs(2), "{wait:?}");
            tokio::time::sleep(wait.min(until.saturating_duration_since(Instant::now()))).await;
        }
    }
    answered
}

#[tokio::test]
async fn two_hosts_together_keep_an_accounts_limits_and_use_them() {
    let app = limiting();
    let [(_one, here), (_other, there)] = two(&app).await;
    let before = app.requests().len();
    let until = Instant::now() + 5 * WINDOW / 2;
    let draws = (0..16).map(|number| {
        let account = if number % 2 == 0 { &here } else { &there };
        draw(account, until)
    });
    let answered: usize = join_all(draws).await.into_iter().sum();
    assert_eq!(refusals(&app), 0, "the app had to refuse requests");
    assert_eq!(app.requests().len() - before, answered);
    // Two windows and a half of 250, of which the hosts use nine tenths, less what
    // the first sync had taken of the first.
    assert!(answered >= 500, "{answered} requests were let through");
}

#[tokio::test]
async fn a_tighter_limit_of_some_requests_is_kept_too() {
    let app = limiting();
    let [(_one, here), (_other, there)] = two(&app).await;
    let person = here.get("/crm/api/people?limit=1").await.ok()["people"][0].clone();
    // Their first sync is held to the same limit.
    for account in [&here, &there] {
        until("notes can be written", async || {
            let answer = account.get("/crm/api/notes?limit=1").await;
            (answer.status == 200).then_some(())
        })
        .await;
    }
    let notes = (0..30).map(|number| {
        let account = if number % 2 == 0 { &here } else { &there };
        let note = json!({"personId": person["id"], "body": format!("note {number}")});
        async move { account.post("/crm/api/notes", note).await }
    });
    let answers = join_all(notes).await;
    let made = answers.iter().filter(|one| one.status == 201).count();
    for refused in answers.iter().filter(|one| one.status != 201) {
        patience(refused);
    }
    assert!((1..=10).contains(&made), "{made} of 30 at once");
    assert_eq!(refusals(&app), 0);
    // What was refused never reached the app, and other requests are not held up.
    let posted = app.requests();
    let posted = posted
        .iter()
        .filter(|one| one.method == "POST" && one.path == "/v1/notes");
    assert_eq!(posted.count(), made);
    here.post("/crm/api/people", ada()).await.with(201);
}

#[tokio::test]
async fn an_app_that_asks_for_patience_is_left_alone_by_all_hosts() {
    let app = limiting();
    let [(_one, here), (_other, there)] = two(&app).await;
    let person = here.post("/crm/api/people", ada()).await.with(201);
    app.fail_next(1, Fault::RateLimited { retry_after: 600 });
    let refused = here
        .put(&path("people", &person), json!({"lastName": "King"}))
        .await;
    assert!(patience(&refused) > 50 * WINDOW);
    let asked = app.requests().len();
    let still = here.get(&through(&here, "/v1/identity")).await;
    assert!(patience(&still) > 50 * WINDOW);
    assert_eq!(app.requests().len(), asked);
    // The other host may still believe for a second that it is open.
    until("the other host knows", async || {
        let answer = there.get(&through(&there, "/v1/identity")).await;
        (answer.status == 429).then(|| patience(&answer))
    })
    .await;
    let asked = app.requests().len();
    let write = there.post("/crm/api/people", ada()).await;
    assert!(patience(&write) > 50 * WINDOW);
    assert_eq!(app.requests().len(), asked);
    assert_eq!(refusals(&app), 1);
}

#[tokio::test]
async fn a_simulator_may_be_spared_and_what_was_taken_outlives_the_host() {
    let app = app_of(Config::new(Dataset::demo()));
    let mut host = HostUnderTest::start(keeping(&app)).await;
    let account = host.client("restarted").connect_synced(API_KEY).await;
    let account = host.admin().of(account.credential());
    let note = |account: &Client| {
        let (account, path) = (account.clone(), through(account, "/v1/notes?limit=1"));
        async move { account.get(&path).await }
    };
    let answers = join_all((0..20).map(|_| note(&account))).await;
    assert!(answers.iter().any(|one| one.status == 429));
    host.kill();
    host.restart().await;
    let account = host.admin().of(account.credential());
    // Nothing is forgotten: there is no second burst of ten.
    let answers = join_all((0..20).map(|_| note(&account))).await;
    let let_in = answers.iter().filter(|one| one.status == 200).count();
    assert!(let_in < 10, "{let_in} after the restart");
    host.set_up(|setup| setup.set("dev.rate_limits", false));
    host.restart().await;
    let account = host.admin().of(account.credential());
    let answers = join_all((0..20).map(|_| note(&account))).await;
    assert!(answers.iter().all(|one| one.status == 200));
}
