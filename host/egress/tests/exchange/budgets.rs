//! The app's rate limits are kept, by several processes together.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::http::StatusCode;
use futures_util::future::join_all;
use parking_lot::Mutex;
use rollout_egress::{EgressConfig, Failure, Grant, Request, Response, Rule};

use crate::app::{App, get, grant, policy, post};
use crate::ledger::{Ledger, allowance, process, rule};

const SECOND: Duration = Duration::from_secs(1);
const URL: &str = "https://api.example.com/v1/people/7";

fn of(rules: Vec<Rule>, ledger: &Arc<Ledger>) -> Grant {
    grant(policy()).within(allowance(&process(ledger), rules))
}

/// The shortest time in which the app got one request more than `limit`.
fn tightest(arrivals: &Mutex<Vec<Instant>>, limit: usize) -> Option<Duration> {
    let arrivals = arrivals.lock();
    let spans = arrivals.windows(limit + 1);
    spans.map(|span| span[limit] - span[0]).min()
}

/// An app that notes when it was asked.
async fn noting() -> (App, Arc<Mutex<Vec<Instant>>>) {
    let arrivals = Arc::new(Mutex::new(Vec::new()));
    let noted = arrivals.clone();
    let router = Router::new().fallback(move || {
        noted.lock().push(Instant::now());
        async { "{}" }
    });
    (App::serving(router).await, arrivals)
}

fn waits(outcome: Result<Response, Failure>) -> Duration {
    match outcome {
        Err(Failure::Budget(Some(wait))) => wait,
        other => panic!("not out of budget: {other:?}"),
    }
}

#[tokio::test]
async fn two_processes_together_keep_a_limit_and_use_it() {
    let (app, arrivals) = noting().await;
    let ledger = Arc::default();
    let limit = 20;
    let grants = [0, 1].map(|_| of(vec![rule("all", limit, SECOND)], &ledger));
    let began = Instant::now();
    let calls = (0..60).map(|number| app.egress.send(&grants[number % 2], get(URL)));
    let outcomes = join_all(calls).await;
    let answered = outcomes.iter().filter(|one| one.is_ok()).count();
    assert_eq!(answered, app.reached());
    // Those that would have had to wait for more than two seconds were told when.
    for refused in outcomes.into_iter().filter(Result::is_err) {
        assert!(waits(refused) < 2 * SECOND);
    }
    assert!(answered >= 40, "{answered} in {:?}", began.elapsed());
    let tightest = tightest(&arrivals, limit as usize).unwrap();
    assert!(tightest >= SECOND, "{tightest:?}");
}

#[tokio::test]
async fn a_busy_account_asks_now_and_then_and_in_tenths() {
    let app = App::echoing().await;
    let ledger = Arc::new(Ledger::default());
    let grant = of(vec![rule("all", 1000, SECOND)], &ledger);
    for _ in 0..300 {
        app.egress.send(&grant, get(URL)).await.unwrap();
    }
    let asked = ledger.asked.lock();
    assert!(asked.len() < 60, "it asked {} times", asked.len());
    let wanted: Vec<u32> = asked.iter().map(|asks| asks[0].wanted).collect();
    assert_eq!(wanted[..4], [1, 2, 4, 8]);
    assert!(wanted.iter().all(|wanted| *wanted <= 100), "{wanted:?}");
}

#[tokio::test]
async fn only_rules_that_fit_count_and_each_counts_once() {
    let app = App::echoing().await;
    let ledger = Arc::new(Ledger::default());
    let minute = 60 * SECOND;
    let notes = Rule {
        path: Some("/v1/notes".to_owned()),
        ..rule("notes", 1, minute)
    };
    let writes = Rule {
        methods: vec!["POST".to_owned()],
        ..rule("writes", 2, minute)
    };
    // Of two with one key the tighter one counts.
    let all = [rule("all", 90, minute), rule("all", 5, minute)];
    let rules = [vec![notes, writes], all.into()].concat();
    let grant = of(rules, &ledger);
    let send = |request: Request| app.egress.send(&grant, request);
    let note = || get("https://api.example.com/v1/notes/1");
    let write = || post(URL, "text/plain", "x");
    send(note()).await.unwrap();
    assert!(waits(send(note()).await) > 50 * SECOND);
    send(get("https://api.example.com/v1/notesofold"))
        .await
        .unwrap();
    send(write()).await.unwrap();
    send(write()).await.unwrap();
    assert!(waits(send(write()).await) > 50 * SECOND);
    // What was refused was not taken from the others.
    send(get(URL)).await.unwrap();
    assert!(waits(send(get(URL)).await) > 50 * SECOND);
    assert_eq!(app.reached(), 5);
}

#[tokio::test]
async fn background_work_leaves_the_last_tenth() {
    let app = App::echoing().await;
    let ledger = Arc::default();
    let budgets = process(&ledger);
    let minute = || vec![rule("all", 10, 60 * SECOND)];
    let work = grant(policy()).within(budgets.allowance("account", minute(), true));
    for _ in 0..9 {
        app.egress.send(&work, get(URL)).await.unwrap();
    }
    waits(app.egress.send(&work, get(URL)).await);
    let asked = grant(policy()).within(allowance(&budgets, minute()));
    app.egress.send(&asked, get(URL)).await.unwrap();
    waits(app.egress.send(&asked, get(URL)).await);
}

#[tokio::test]
async fn an_app_that_asks_for_patience_gets_it_from_all() {
    let answer = |status: u16, after: &'static str| {
        let status = StatusCode::from_u16(status).unwrap();
        move || async move { (status, [("retry-after", after)], "") }
    };
    let plain = || async { StatusCode::SERVICE_UNAVAILABLE };
    let router = Router::new()
        .route("/slow", axum::routing::any(answer(429, "600")))
        .route("/down", axum::routing::any(answer(503, "7200")))
        .route("/broken", axum::routing::any(plain))
        .fallback(|| async { "{}" });
    let app = App::serving(router).await;
    let at = |path: &str| get(&format!("https://api.example.com{path}"));
    for (path, least, most) in [("/slow", 590, 600), ("/down", 3590, 3600)] {
        let ledger = Arc::default();
        let grants = [0, 1].map(|_| of(Vec::new(), &ledger));
        // What is only broken is not closed.
        app.egress.send(&grants[0], at("/broken")).await.unwrap();
        app.egress.send(&grants[0], at("/ok")).await.unwrap();
        let reached = app.reached();
        app.egress.send(&grants[0], at(path)).await.unwrap();
        for grant in &grants {
            let wait = waits(app.egress.send(grant, at("/ok")).await);
            assert!(wait > least * SECOND && wait <= most * SECOND, "{wait:?}");
        }
        // Another account's budgets are its own.
        let other = process(&ledger).allowance("another", Vec::new(), false);
        let other = grant(policy()).within(other);
        app.egress.send(&other, at("/ok")).await.unwrap();
        assert_eq!(app.reached(), reached + 2);
    }
}

#[tokio::test]
async fn a_short_patience_is_waited_for_within_the_call() {
    let app = App::echoing().await;
    let ledger = Arc::default();
    let grant = of(vec![rule("all", 1, SECOND / 2)], &ledger);
    app.egress.send(&grant, get(URL)).await.unwrap();
    let began = Instant::now();
    app.egress.send(&grant, get(URL)).await.unwrap();
    assert!(began.elapsed() >= SECOND / 2);
    // Not if the request may not take that long.
    let hasty = Request {
        timeout: Some(SECOND / 10),
        ..get(URL)
    };
    assert!(waits(app.egress.send(&grant, hasty).await) > SECOND / 10);
    assert_eq!(app.reached(), 2);
}

#[tokio::test]
async fn without_an_answer_of_the_lender_nothing_leaves() {
    let app = App::echoing().await;
    let ledger = Arc::new(Ledger::default());
    *ledger.gone.lock() = true;
    let grant = of(vec![rule("all", 10, SECOND)], &ledger);
    assert!(!grant.was_unlent());
    let refused = app.egress.send(&grant, post(URL, "text/plain", "x")).await;
    let Err(Failure::Unavailable(text)) = refused else {
        panic!("{refused:?}");
    };
    assert_eq!(text, "the ledger is closed for today");
    assert!(grant.was_unlent() && !grant.wrote());
    assert_eq!(app.reached(), 0);
    *ledger.gone.lock() = false;
    app.egress.send(&grant, get(URL)).await.unwrap();
}

#[tokio::test]
async fn simulators_may_be_spared() {
    let config = EgressConfig {
        limit_simulators: false,
        ..EgressConfig::default()
    };
    let app = App::configured(Router::new().fallback(|| async { "{}" }), config).await;
    let ledger = Arc::new(Ledger::default());
    let grant = of(vec![rule("all", 1, 60 * SECOND)], &ledger);
    for _ in 0..5 {
        app.egress.send(&grant, get(URL)).await.unwrap();
    }
    assert!(ledger.asked.lock().is_empty());
}
