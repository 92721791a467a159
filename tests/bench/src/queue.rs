//! A thousand calls at once: all wait for their turn, and none fails for lack of one.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use async_trait::async_trait;
use futures_util::future::join_all;
use rollout_sandbox::{Caller, Host, ReadScope, http};

use crate::instance::Ours;
use crate::load::Load;
use crate::measure::Summary;
use crate::page::sample;
use crate::programs::Programs;
use crate::report::{Goal, Report, number};
use crate::stage::{App, Stage};

const CALLS: usize = 1000;
/// How long the app takes to answer each of them, in the sandbox alone.
const APP: Duration = Duration::from_millis(20);
const PEOPLE: u64 = 100;

/// An app that takes its time.
struct Slow(Vec<u8>);

#[async_trait]
impl Host for Slow {
    async fn send(&self, _: http::Request) -> Result<http::Response, http::Failure> {
        tokio::time::sleep(APP).await;
        Ok(http::Response {
            status: 200,
            headers: Vec::new(),
            body: self.0.clone(),
            extra: None,
        })
    }
}

pub(crate) async fn measure(programs: &Programs, rounds: usize) -> Result<Report> {
    let ours = Ours::load(programs.component.clone()).await?;
    let host: Arc<dyn Host> = Arc::new(Slow(sample().await?.into_bytes()));
    let (mut failed, mut seconds) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        let began = Instant::now();
        let calls = (0..CALLS).map(|_| async {
            let caller = Caller::new(&ours.sandbox, &ours.component, host.clone());
            caller.changes("people", &ReadScope::Full, None, 100).await
        });
        let done = join_all(calls).await;
        seconds.push(began.elapsed().as_secs_f64());
        failed.push(done.iter().filter(|one| one.is_err()).count() as f64);
    }

    let app = App::start(programs, PEOPLE).await?;
    let mut stage = Stage::start(programs, &app).await?;
    let synced = stage.connect().await?;
    let body = stage.file("person.json");
    std::fs::write(&body, r#"{"firstName":"Ada","lastName":"Byron"}"#)?;
    let load = Load {
        address: stage.address,
        path: "/crm/api/people".into(),
        headers: stage.headers(&synced.credential)?,
        body: Some(body),
        clients: CALLS,
        // One request each: the time is over when it is answered.
        millis: 1,
    };
    let (mut slowest, mut made) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        // An answer other than 201 fails it.
        let outcome = load.apart(&programs.own)?;
        ensure!(outcome.requests > 0, "no request was made");
        slowest.push(outcome.p99 as f64 / 1e6);
        made.push(outcome.requests as f64);
    }
    let (seconds, slowest, made) = (
        Summary::of(seconds),
        Summary::of(slowest),
        Summary::of(made),
    );
    let limits = ours.sandbox.limits();
    Ok(Report {
        id: "queue",
        title: format!("{CALLS} calls at once"),
        settings: vec![
            format!(
                "{rounds} rounds; {} calls run at once, of one connector {}; a call may wait {} s",
                limits.calls,
                limits.calls / 4,
                limits.queue.as_secs()
            ),
            format!(
                "the sandbox alone: a page of 100 people each, from an app that takes {} ms",
                APP.as_millis()
            ),
            format!(
                "the host: a POST /crm/api/people from each of {CALLS} connections, of one account"
            ),
        ],
        notes: vec![
            format!(
                "the sandbox alone: all are answered within {} s",
                number(seconds.max)
            ),
            format!(
                "the host: {} writes are made, 99 of 100 within {} s ({}–{})",
                number(made.median),
                number(slowest.median),
                number(slowest.min),
                number(slowest.max)
            ),
        ],
        goals: vec![Goal::at_most(
            "calls that fail",
            Summary::of(failed),
            0.0,
            "",
        )],
        ..Report::default()
    })
}
