//! Tokens and sign-ins: who may, once, and what of it is kept.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::join_all;
use rollout_store::{
    CredentialChange, CredentialStatus, NewTokens, OAuthState, RefreshTurn, Tokens,
};

use super::fixture::Fixture;

const LEASE: Duration = Duration::from_secs(60);
const NEW: NewTokens = NewTokens {
    life: Some(Duration::from_secs(100)),
};

fn secrets(value: &str) -> BTreeMap<String, String> {
    BTreeMap::from([("accessToken".to_owned(), value.to_owned())])
}

impl Fixture {
    fn id(&self) -> &str {
        &self.credential.id
    }

    async fn tokens(&self) -> Option<Tokens> {
        self.store.tokens(self.id()).await.unwrap()
    }

    /// Has the credential be connected by signing in; answers its tokens' number.
    async fn signed_in(&self) -> i64 {
        let change = CredentialChange {
            secrets: Some(secrets("first")),
            tokens: Some(NEW),
            ..CredentialChange::default()
        };
        let changed = self.store.update_credential(self.id(), &change);
        changed.await.unwrap();
        self.tokens().await.unwrap().number
    }

    async fn turn(&self, number: i64, holder: &str) -> RefreshTurn {
        let turn = self.store.take_refresh(self.id(), number, holder, LEASE);
        turn.await.unwrap()
    }

    async fn replace(&self, number: i64, value: &str) -> bool {
        let (store, id) = (&self.store, self.id());
        let secrets = secrets(value);
        let stored = store.store_tokens(id, number, NEW, &secrets, None);
        stored.await.unwrap()
    }

    async fn renew(&self, holder: &str) -> bool {
        let renewed = self.store.renew_refresh(self.id(), holder, LEASE);
        renewed.await.unwrap()
    }

    async fn postpone(&self, number: i64, wait: Option<Duration>) -> Duration {
        let postponed = self.store.postpone_refresh(self.id(), number, wait);
        postponed.await.unwrap()
    }

    async fn refuse(&self, number: i64) -> bool {
        let refused = self.store.refuse_refresh(self.id(), number, "over");
        refused.await.unwrap()
    }
}

#[tokio::test]
async fn of_many_who_want_new_tokens_one_gets_them() {
    let fixture = Fixture::new().await;
    let number = fixture.signed_in().await;
    let tokens = fixture.tokens().await.unwrap();
    assert_eq!(tokens.expires_at, Some(tokens.issued_at + 100_000));
    let holders: Vec<String> = (0..20).map(|holder| format!("host-{holder}")).collect();
    let turns = join_all(holders.iter().map(|holder| fixture.turn(number, holder))).await;
    let mine = |turn: &&RefreshTurn| **turn == RefreshTurn::Mine;
    assert_eq!(turns.iter().filter(mine).count(), 1, "{turns:?}");
    let rest = turns.iter().filter(|turn| !mine(turn));
    assert!(rest.clone().all(|turn| *turn == RefreshTurn::Others));
    let winner = turns.iter().position(|turn| *turn == RefreshTurn::Mine);
    let (winner, other) = match winner.unwrap() {
        0 => (&holders[0], &holders[1]),
        at => (&holders[at], &holders[0]),
    };
    assert!(fixture.renew(winner).await);
    assert!(!fixture.renew(other).await);

    assert!(fixture.replace(number, "second").await);
    assert_eq!(fixture.turn(number, other).await, RefreshTurn::Done);
    let stored = fixture.store.secrets(fixture.id()).await.unwrap();
    assert_eq!(stored, secrets("second"));
    // Who comes too late stores nothing.
    assert!(!fixture.replace(number, "late").await);
    let stored = fixture.store.secrets(fixture.id()).await.unwrap();
    assert_eq!(stored, secrets("second"));
}

#[tokio::test]
async fn a_lease_that_ran_out_is_anybodys() {
    let fixture = Fixture::new().await;
    let number = fixture.signed_in().await;
    assert_eq!(fixture.turn(number, "dead").await, RefreshTurn::Mine);
    assert_eq!(fixture.turn(number, "next").await, RefreshTurn::Others);
    let run_out = "UPDATE host_tokens SET lease_until = lease_until - 61000";
    fixture.place.run(run_out).await;
    assert_eq!(fixture.turn(number, "next").await, RefreshTurn::Mine);
    // The answer of the one who was taken for dead counts if it is the first.
    assert!(fixture.replace(number, "of the dead").await);
    assert!(!fixture.replace(number, "of the next").await);
}

#[tokio::test]
async fn what_fails_waits_longer_and_longer() {
    let fixture = Fixture::new().await;
    let number = fixture.signed_in().await;
    for seconds in [1, 2, 4, 8] {
        let waited = fixture.postpone(number, None).await;
        assert_eq!(waited, Duration::from_secs(seconds));
        let RefreshTurn::Wait(left) = fixture.turn(number, "host").await else {
            panic!("it may be tried at once");
        };
        assert!(left <= waited && left + Duration::from_secs(5) > waited);
    }
    let said = Duration::from_secs(30);
    assert_eq!(fixture.postpone(number, Some(said)).await, said);
    let long = Duration::from_secs(10 * 24 * 3600);
    assert_eq!(fixture.postpone(number, Some(long)).await.as_secs(), 600);
    // New ones begin anew.
    assert!(fixture.replace(number, "second").await);
    assert_eq!(fixture.turn(number + 1, "host").await, RefreshTurn::Mine);
}

#[tokio::test]
async fn what_the_app_refuses_breaks_the_credential_once() {
    let fixture = Fixture::new().await;
    let number = fixture.signed_in().await;
    assert!(!fixture.refuse(number - 1).await, "others are there");
    assert!(fixture.refuse(number).await);
    let credential = fixture.store.credential(fixture.id()).await.unwrap();
    let broken = CredentialStatus::Broken("over".to_owned());
    assert_eq!(credential.unwrap().status, broken);
    let refused = RefreshTurn::Refused("over".to_owned());
    assert_eq!(fixture.turn(number, "host").await, refused);
    let told = "SELECT count(*) FROM host_outbox WHERE change = 'Broken'";
    assert_eq!(fixture.place.number(told).await, 1);
    // Signing in again is a new beginning.
    let next = fixture.signed_in().await;
    assert_eq!(next, number + 1);
    assert_eq!(fixture.turn(next, "host").await, RefreshTurn::Mine);
}

#[tokio::test]
async fn secrets_that_are_no_tokens_end_them() {
    let fixture = Fixture::new().await;
    let number = fixture.signed_in().await;
    let change = CredentialChange {
        secrets: Some(secrets("key")),
        ..CredentialChange::default()
    };
    let changed = fixture.store.update_credential(fixture.id(), &change);
    changed.await.unwrap();
    assert_eq!(fixture.tokens().await, None);
    assert_eq!(fixture.turn(number, "host").await, RefreshTurn::None);
    // The number of those that come then was never given out.
    assert!(fixture.signed_in().await > number);
}

#[tokio::test]
async fn a_sign_in_goes_on_once() {
    let fixture = Fixture::new().await;
    let store = &fixture.store;
    let minutes = Duration::from_secs(600);
    let begun = store.begin_oauth("hash", "request", "sealed", minutes);
    begun.await.unwrap();
    let all = join_all((0..20).map(|_| store.use_oauth("hash"))).await;
    let fresh = all
        .iter()
        .filter(|one| matches!(one, Ok(OAuthState::Fresh { sealed, .. }) if sealed == "sealed"));
    assert_eq!(fresh.count(), 1, "{all:?}");
    let request_id = "request".to_owned();
    let used = OAuthState::Used { request_id };
    assert_eq!(store.use_oauth("hash").await.unwrap(), used);
    let left = "SELECT count(*) FROM host_oauth_states WHERE sealed <> ''";
    assert_eq!(fixture.place.number(left).await, 0);
    let other = store.use_oauth("other").await.unwrap();
    assert_eq!(other, OAuthState::Unknown);

    let begun = store.begin_oauth("late", "request", "sealed", Duration::ZERO);
    begun.await.unwrap();
    let late = store.use_oauth("late").await.unwrap();
    assert!(matches!(late, OAuthState::Expired { .. }));
    assert_eq!(store.forget_oauth().await.unwrap(), 0, "not yet");
    let old = "UPDATE host_oauth_states SET expires_at = expires_at - 90000000";
    fixture.place.run(old).await;
    assert_eq!(store.forget_oauth().await.unwrap(), 2);
}
