//! P9: how soon a host with fifty installed connectors is ready. And how long it takes
//! to install one.

use anyhow::{Result, ensure};

use crate::copies;
use crate::fleet::Fleet;
use crate::measure::Summary;
use crate::programs::Programs;
use crate::report::{Goal, Report};

const CONNECTORS: u32 = 50;

/// How soon it is ready.
pub(crate) async fn start(programs: &Programs, rounds: usize) -> Result<Report> {
    let fleet = Fleet::new(programs)?;
    fleet.run(&["env", "create", "bench"])?;
    for file in copies::write(&programs.component, CONNECTORS, &fleet.file("files"))? {
        fleet.install(&file)?;
    }
    let mut ready = Vec::new();
    // The first brings files into memory.
    for round in 0..=rounds {
        let serving = fleet.serve(None).await?;
        ensure!(
            serving.connectors == CONNECTORS as usize,
            "{} connectors are ready",
            serving.connectors
        );
        if round > 0 {
            ready.push(serving.ready.as_secs_f64() * 1000.0);
        }
    }
    Ok(Report {
        id: "P9",
        title: format!("from the start to ready, {CONNECTORS} connectors installed"),
        settings: vec![
            format!("{rounds} rounds after one that isn't counted; one environment, SQLite"),
            "ready is the first 200 of /readyz, which names all connectors; asked every millisecond".into(),
        ],
        goals: vec![Goal::at_most("start to ready", Summary::of(ready), 300.0, " ms")],
        ..Report::default()
    })
}

/// How long installing takes.
pub(crate) async fn install(programs: &Programs, rounds: usize) -> Result<Report> {
    let fleet = Fleet::new(programs)?;
    fleet.run(&["env", "create", "bench"])?;
    let rounds_and_first = u32::try_from(rounds)? + 1;
    let files = copies::write(&programs.component, rounds_and_first, &fleet.file("files"))?;
    let mut took = Vec::new();
    for (round, file) in files.iter().enumerate() {
        let seconds = fleet.install(file)?.as_secs_f64();
        if round > 0 {
            took.push(seconds);
        }
    }
    let size = programs.component.len() / 1000;
    Ok(Report {
        id: "install",
        title: format!(
            "`rollout connector install` of a component of {size} KB, compiled anew each time"
        ),
        settings: vec![format!(
            "{rounds} rounds after one that isn't counted; the whole command, by the clock"
        )],
        goals: vec![Goal::at_most("installing", Summary::of(took), 1.0, " s")],
        ..Report::default()
    })
}
