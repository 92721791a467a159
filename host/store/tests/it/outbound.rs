//! Budgets that several processes draw on, and the records of what left.

use std::time::{Duration, Instant};

use rollout_store::{BudgetAsk, BudgetLoan, BudgetsLent, EnvStore, OutboundCall, OutboundQuery};

use super::fixture::{Fixture, open};

const WINDOW: Duration = Duration::from_secs(1);

fn ask(key: &str, limit: i64, wanted: i64) -> BudgetAsk {
    BudgetAsk {
        key: key.to_owned(),
        limit,
        window: 1000,
        wanted,
    }
}

/// What is lent of one budget.
async fn lend(store: &EnvStore, ask: &BudgetAsk) -> BudgetLoan {
    match store
        .lend_requests("an account", std::slice::from_ref(ask))
        .await
    {
        Ok(BudgetsLent::Loans(loans)) => loans[0],
        other => panic!("not lent: {other:?}"),
    }
}

async fn sleep(milliseconds: i64) {
    tokio::time::sleep(Duration::from_millis(milliseconds as u64)).await;
}

/// Asks at random, and lets what is lent leave at random within its time. Answers when
/// each request left.
async fn draw(store: EnvStore, limit: i64, until: Instant) -> Vec<Instant> {
    let mut left = Vec::new();
    while Instant::now() < until {
        let wanted = rand::random_range(1..=limit.div_euclid(10) + 1);
        let asked = Instant::now();
        match lend(&store, &ask("shared", limit, wanted)).await {
            BudgetLoan::Requests { requests, good_for } => {
                let now = Instant::now();
                let last = asked + Duration::from_millis(good_for as u64);
                for _ in 0..requests {
                    let place = rand::random_range(0.0..=1.0);
                    // What comes too late is lost.
                    if let Some(time) = last.checked_duration_since(now) {
                        left.push(now + time.mul_f64(place));
                    }
                }
            }
            BudgetLoan::Wait(wait) => sleep(wait).await,
        }
        if rand::random_bool(0.25) {
            sleep(rand::random_range(0..60)).await;
        }
    }
    left
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn processes_share_a_limit_that_no_window_exceeds() {
    let fixture = Fixture::new().await;
    for limit in [3, 50] {
        let until = Instant::now() + 5 * WINDOW;
        let mut processes = Vec::new();
        for _ in 0..4 {
            let store = open(&fixture.place, &fixture.catalog).await.unwrap();
            processes.push(tokio::spawn(draw(store, limit, until)));
        }
        let mut left = Vec::new();
        for process in processes {
            left.extend(process.await.unwrap());
        }
        left.sort();
        let most = limit as usize;
        for span in left.windows(most + 1) {
            let within = span[most] - span[0];
            assert!(within >= WINDOW, "{} requests within {within:?}", most + 1);
        }
        // Five windows; the last may have begun to be used only.
        let all = left.len();
        assert!(
            all * 2 >= most * 5,
            "{all} requests under a limit of {most}"
        );
        // The next round begins with a budget that nothing was taken of.
        tokio::time::sleep(WINDOW + WINDOW / 5).await;
    }
}

#[tokio::test]
async fn a_limit_with_less_room_leaves_the_rest_to_others() {
    let fixture = Fixture::new().await;
    let lent = |loan| match loan {
        BudgetLoan::Requests { requests, .. } => requests,
        BudgetLoan::Wait(_) => 0,
    };
    let day = |limit| BudgetAsk {
        window: 86_400_000,
        ..ask("b", limit, 100)
    };
    assert_eq!(lent(lend(&fixture.store, &day(90)).await), 90);
    assert_eq!(lent(lend(&fixture.store, &day(90)).await), 0);
    assert_eq!(lent(lend(&fixture.store, &day(100)).await), 10);
    assert_eq!(lent(lend(&fixture.store, &day(100)).await), 0);
}

#[tokio::test]
async fn an_account_that_is_closed_is_closed_to_all() {
    let fixture = Fixture::new().await;
    let other = open(&fixture.place, &fixture.catalog).await.unwrap();
    let (here, there) = (&fixture.store, &other);
    here.close_account("a", 60_000).await.unwrap();
    // A shorter time changes nothing.
    there.close_account("a", 1_000).await.unwrap();
    for asks in [vec![], vec![ask("k", 5, 1)]] {
        let lent = there.lend_requests("a", &asks).await.unwrap();
        let BudgetsLent::Closed(wait) = lent else {
            panic!("{lent:?}");
        };
        assert!((50_000..=60_000).contains(&wait), "{wait}");
        let open = there.lend_requests("b", &asks).await.unwrap();
        assert!(matches!(open, BudgetsLent::Loans(loans) if loans.len() == asks.len()));
    }
    // Nothing was taken from what is closed.
    let taken = "SELECT COUNT(*) FROM host_budgets WHERE key = 'k' AND taken <> '[]'";
    assert_eq!(fixture.place.number(taken).await, 1);
    fixture
        .place
        .run("UPDATE host_budgets SET closed_until = 1, expires_at = 1 WHERE key = 'a'")
        .await;
    let open = there.lend_requests("a", &[]).await.unwrap();
    assert_eq!(open, BudgetsLent::Loans(vec![]));
    assert_eq!(there.forget_budgets().await.unwrap(), 1);
}

fn call(number: i64, request: &str, credential: Option<&str>) -> OutboundCall {
    OutboundCall {
        at: number,
        request_id: request.to_owned(),
        credential_id: credential.map(str::to_owned),
        connector: "acme".to_owned(),
        method: "GET".to_owned(),
        host: "api.acme.example".to_owned(),
        path: format!("/v1/people/{number}"),
        status: (number % 2 == 0).then_some(200),
        failure: (number % 2 == 1).then(|| "timeout".to_owned()),
        sent: 0,
        received: number * 10,
        milliseconds: 7,
        attempt: 1,
    }
}

/// The times of the calls, which tell them apart.
async fn times(place: &Fixture, query: OutboundQuery<'_>) -> Vec<i64> {
    let found = place.store.outbound_calls(&query).await.unwrap();
    found.iter().map(|(_, call)| call.at).collect()
}

#[tokio::test]
async fn calls_are_found_newest_first_and_cleared_away_oldest_first() {
    let fixture = Fixture::new().await;
    let all: Vec<OutboundCall> = (1..=700)
        .map(|number| match number % 3 {
            0 => call(number, "r0", Some("c1")),
            1 => call(number, "r1", None),
            _ => call(number, "r1", Some("c2")),
        })
        .collect();
    fixture.store.record_outbound_calls(&all).await.unwrap();
    let query = OutboundQuery {
        limit: 3,
        ..OutboundQuery::default()
    };
    assert_eq!(times(&fixture, query).await, [700, 699, 698]);
    let found = fixture.store.outbound_calls(&query).await.unwrap();
    assert_eq!(found[2].1, all[697]);
    let before = OutboundQuery {
        before: Some(found[2].0),
        ..query
    };
    assert_eq!(times(&fixture, before).await, [697, 696, 695]);
    let of_request = OutboundQuery {
        request_id: Some("r1"),
        ..query
    };
    assert_eq!(times(&fixture, of_request).await, [700, 698, 697]);
    let of_both = OutboundQuery {
        credential_id: Some("c2"),
        ..of_request
    };
    assert_eq!(times(&fixture, of_both).await, [698, 695, 692]);
    let foreign = OutboundQuery {
        credential_id: Some("c3"),
        ..query
    };
    assert!(times(&fixture, foreign).await.is_empty());

    let everything = OutboundQuery {
        limit: 1000,
        ..query
    };
    let gone = fixture.store.forget_outbound_calls(101, 1000).await;
    assert_eq!(gone.unwrap(), 100);
    assert_eq!(times(&fixture, everything).await.last(), Some(&101));
    let gone = fixture.store.forget_outbound_calls(0, 50).await;
    assert_eq!(gone.unwrap(), 550);
    assert_eq!(times(&fixture, everything).await.last(), Some(&651));
    let gone = fixture.store.forget_outbound_calls(10_000, 50).await;
    assert_eq!(gone.unwrap(), 50);
    assert!(times(&fixture, everything).await.is_empty());
}
