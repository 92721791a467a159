//! Servers that are started, crashed, halted and orphaned.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread::scope;

use rustix::process::test_kill_process;

use super::*;
use crate::Right;

/// Set in the processes that a test starts to be killed.
const DOOMED: &str = "ROLLOUT_TEST_DOOMED";

fn eventually(what: &str, holds: impl Fn() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < Duration::from_secs(20), "{what}");
        sleep(Duration::from_millis(20));
    }
}

fn is_running(pid: Pid) -> bool {
    let state = fs::read_to_string(format!("/proc/{pid}/stat"));
    // A zombie is none of ours: whoever adopted it has yet to look.
    test_kill_process(pid).is_ok() && !state.is_ok_and(|stat| stat.contains(") Z "))
}

#[test]
fn every_database_is_new_and_empty() {
    let server = Server::shared();
    let databases: Vec<String> = scope(|threads| {
        let creating: Vec<_> = (0..4)
            .map(|_| threads.spawn(|| server.database().unwrap()))
            .collect();
        creating
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    });
    for url in &databases {
        server.psql(url, "CREATE TABLE lead (id int)").unwrap();
    }
    let about = server
        .psql(
            databases.first().unwrap(),
            "SELECT getdatabaseencoding(), datcollate FROM pg_database \
             WHERE datname = current_database()",
        )
        .unwrap();
    assert_eq!(about, "UTF8|C");
}

#[test]
fn a_dropped_database_is_gone() {
    let server = Server::shared();
    let url = server.database().unwrap();
    server.drop_database(&url).unwrap();
    let told = server.psql(&url, "SELECT 1").unwrap_err().to_string();
    assert!(told.contains("does not exist"), "{told}");
}

#[test]
fn what_the_server_refuses_is_told() {
    let told = Server::shared().admin("SELECT 1/0").unwrap_err();
    assert!(matches!(&told, Error::Refused(text) if text == "ERROR:  division by zero"));
}

#[test]
fn options_are_in_force() {
    let server = Server::start(Options {
        fsync: true,
        max_connections: 17,
        settings: vec![("log_statement".into(), "all".into())],
        data: None,
    })
    .unwrap();
    let show = |name: &str| server.admin(&format!("SHOW {name}")).unwrap();
    assert_eq!(show("fsync"), "on");
    assert_eq!(show("max_connections"), "17");
    assert_eq!(show("log_statement"), "all");
    assert_eq!(show("listen_addresses"), "127.0.0.1");
    assert_eq!(show("unix_socket_directories"), "");
}

#[test]
fn a_server_that_can_not_start_says_why() {
    let refused = Server::start(Options {
        settings: vec![("shared_buffers".into(), "plenty".into())],
        ..Options::default()
    });
    let Err(Error::Ended { log }) = refused else {
        panic!("it started");
    };
    assert!(log.contains("plenty"), "{log}");
}

#[test]
fn a_dropped_server_leaves_nothing() {
    let parent = tempfile::tempdir().unwrap();
    fs::set_permissions(parent.path(), PermissionsExt::from_mode(0o755)).unwrap();
    let start = || {
        Server::start(Options {
            data: Some(parent.path().to_owned()),
            ..Options::default()
        })
        .unwrap()
    };
    let [running, paused, killed] = [start(), start(), start()];
    assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 3);
    let postmasters =
        [&running, &paused, &killed].map(|server| server.state.lock().postmaster().unwrap());
    paused.pause().unwrap();
    killed.kill().unwrap();
    drop((running, paused, killed));
    assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 0);
    assert!(!postmasters.into_iter().any(is_running));
}

#[test]
fn what_was_committed_survives_a_crash_and_a_stop() {
    let server = Server::start(Options {
        fsync: true,
        ..Options::default()
    })
    .unwrap();
    let url = server.database().unwrap();
    let count = || server.psql(&url, "SELECT count(*) FROM lead");
    server
        .psql(
            &url,
            "CREATE TABLE lead AS SELECT generate_series(1, 1000) id",
        )
        .unwrap();

    server.kill().unwrap();
    assert!(count().unwrap_err().to_string().contains("refused"));
    assert!(matches!(server.kill(), Err(Error::NotRunning)));
    server.restart().unwrap();
    assert_eq!(count().unwrap(), "1000");

    server.stop_fast().unwrap();
    assert!(count().is_err());
    server.restart().unwrap();
    server.restart().unwrap();
    assert_eq!(count().unwrap(), "1000");
}

#[test]
fn a_crash_spares_no_connection() {
    let server = Server::start(Options::default()).unwrap();
    scope(|threads| {
        let asleep = threads.spawn(|| server.admin("SELECT pg_sleep(600)"));
        eventually("somebody sleeps", || {
            let sleeping = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'";
            server.admin(sleeping).unwrap() == "1"
        });
        server.kill().unwrap();
        let told = asleep.join().unwrap().unwrap_err().to_string();
        assert!(told.contains("closed the connection"), "{told}");
    });
    server.restart().unwrap();
}

#[test]
fn a_paused_server_answers_after_the_pause() {
    let server = Server::start(Options::default()).unwrap();
    server.pause().unwrap();
    scope(|threads| {
        let (answers, answer) = channel();
        let server = &server;
        threads.spawn(move || answers.send(server.admin("SELECT 1").unwrap()));
        let early = answer.recv_timeout(Duration::from_millis(300));
        assert_eq!(early, Err(RecvTimeoutError::Timeout));
        server.resume().unwrap();
        let late = answer.recv_timeout(Duration::from_secs(20));
        assert_eq!(late.as_deref(), Ok("1"));
    });
}

#[test]
fn a_role_must_give_its_password() {
    let server = Server::shared();
    let [name, password] = ["o'brien", "p@ss/w'ord %"];
    server
        .role_with_password(name, password, &[Right::CreateDatabases])
        .unwrap();
    let with =
        |password: &str, sql: &str| server.psql(&server.url_of(name, password, "postgres"), sql);
    assert_eq!(with(password, "SELECT current_user").unwrap(), name);
    with(password, "CREATE DATABASE of_its_own").unwrap();
    let refused = |outcome: Result<String, Error>| outcome.unwrap_err().to_string();
    assert!(refused(with(password, "CREATE ROLE friend")).contains("permission denied"));
    assert!(refused(with("guess", "SELECT 1")).contains("password authentication failed"));
    let silent = server.url("postgres").replace("postgres@", "o%27brien@");
    assert!(refused(server.psql(&silent, "SELECT 1")).contains("no password supplied"));
}

#[test]
fn a_taken_port_is_seen_in_the_log() {
    let first = Server::start(Options::default()).unwrap();
    let second = Server::start(Options {
        settings: vec![("port".into(), first.port().to_string())],
        ..Options::default()
    });
    let Err(Error::Ended { log }) = second else {
        panic!("two servers share a port");
    };
    assert!(log.contains(PORT_TAKEN), "{log}");
}

/// A killed process's server ends, and so does that of one that exits or panics.
#[test]
fn nothing_outlives_the_process() {
    if let Ok(fate) = std::env::var(DOOMED) {
        doomed(&fate);
    }
    for fate in ["exits", "killed", "killed while paused", "panics"] {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "server::tests::nothing_outlives_the_process"])
            .arg("--nocapture")
            .env(DOOMED, fate)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let (postmaster, folder) = told(&mut child);
        if fate.starts_with("killed") {
            assert!(is_running(postmaster) && folder.is_dir());
            child.kill().unwrap();
        }
        child.wait().unwrap();
        eventually("the server is gone", || !is_running(postmaster));
        eventually("its folder is gone", || !folder.exists());
    }
}

/// What a child does that is about to end badly.
#[allow(clippy::print_stdout)]
fn doomed(fate: &str) -> ! {
    let server = Server::shared();
    let postmaster = server.state.lock().postmaster().unwrap();
    if fate == "killed while paused" {
        server.pause().unwrap();
    }
    println!("\ndoomed {postmaster} {}", server.folder.display());
    match fate {
        "exits" => std::process::exit(0),
        "panics" => panic!("as it must"),
        _ => loop {
            sleep(Duration::from_secs(600));
        },
    }
}

/// The postmaster and the folder that a doomed child names.
fn told(child: &mut Child) -> (Pid, PathBuf) {
    let output = BufReader::new(child.stdout.take().unwrap());
    let lines = output.lines().map(Result::unwrap);
    let line = lines
        .filter_map(|line| line.strip_prefix("doomed ").map(str::to_owned))
        .next()
        .unwrap();
    let (postmaster, folder) = line.split_once(' ').unwrap();
    let postmaster = Pid::from_raw(postmaster.parse().unwrap()).unwrap();
    (postmaster, Path::new(folder).to_owned())
}
