//! The programs of `examples/clients`, run as their readers run them, and what the
//! README quotes of them.

use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};

use rollout_test_apps::follow_up_boss::{Dataset, Fault, Hold};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader, Lines};
use tokio::process::{Child, ChildStderr, ChildStdout, Command};

use crate::api_writes::original;
use crate::fixtures::{API_KEY, PATIENCE, Setup, Stage, app, until, within};

const README: &str = include_str!("../../README.md");

/// More than two pages of a hundred.
const PEOPLE: usize = 260;

const CONSUMER: &str = "clients";

/// How a program says that it waits.
const AGAIN: &str = "again in ";

/// One of the programs.
struct Program {
    file: &'static str,
    /// What runs it, and the other tools that it calls.
    tools: &'static [&'static str],
    /// The language of its blocks in the README.
    language: &'static str,
}

const NODE: Program = Program {
    file: "people.mjs",
    tools: &["node"],
    language: "js",
};
const PYTHON: Program = Program {
    file: "people.py",
    tools: &["python3"],
    language: "python",
};
const SHELL: Program = Program {
    file: "people.sh",
    tools: &["bash", "curl", "openssl", "jq"],
    language: "bash",
};

/// A program that runs.
struct Running {
    child: Child,
    output: Lines<BufReader<ChildStdout>>,
    errors: Lines<BufReader<ChildStderr>>,
    /// The lines of `errors` that were read.
    told: Vec<String>,
}

/// One that has ended.
struct Ended {
    status: ExitStatus,
    /// What it printed since it was last read, without the lines about the sync.
    output: Vec<String>,
    errors: Vec<String>,
}

impl Program {
    fn path(&self) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../../examples/clients")
            .join(self.file)
    }

    /// Runs it for this host, with this key of the account; an empty one is none.
    fn start(&self, stage: &Stage, api_key: &str) -> Running {
        for tool in self.tools {
            let found = std::process::Command::new(tool).arg("--version").output();
            assert!(
                found.is_ok(),
                "{tool} can't be run, which {} needs: install Node 20, Python 3.9 or newer, bash, curl, \
                 openssl and jq (Debian: apt-get install nodejs python3 bash curl openssl jq)",
                self.file
            );
        }
        let keys = stage.host.keys();
        let mut command = Command::new(self.tools[0]);
        command
            .arg(self.path())
            .env("ROLLOUT_URL", stage.host.url())
            .env("ROLLOUT_CLIENT_ID", &keys.client_id)
            .env("ROLLOUT_CLIENT_SECRET", &keys.client_secret)
            .env("CONSUMER", CONSUMER)
            .env("APP_KEY", "follow-up-boss")
            .env("API_KEY", api_key)
            // The host is no address for a proxy.
            .env("NO_PROXY", "127.0.0.1")
            .env("no_proxy", "127.0.0.1")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let mut child = command.spawn().expect("the program starts");
        let output = child.stdout.take().expect("it was piped");
        let errors = child.stderr.take().expect("it was piped");
        Running {
            child,
            output: BufReader::new(output).lines(),
            errors: BufReader::new(errors).lines(),
            told: Vec::new(),
        }
    }

    /// Runs it to its end.
    async fn run(&self, stage: &Stage, api_key: &str) -> Ended {
        self.start(stage, api_key).end().await
    }

    /// What stands between `region NAME` and `endregion`, once per region.
    fn regions(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.path()).expect("the program is there");
        let mut regions = Vec::new();
        let mut open: Option<String> = None;
        for line in text.lines() {
            let comment = line.trim_start_matches(['/', '#', ' ']);
            let comment = (comment != line).then_some(comment);
            if comment.is_some_and(|words| words.starts_with("region ")) {
                assert!(open.replace(String::new()).is_none(), "{line}");
            } else if comment == Some("endregion") {
                regions.push(open.take().expect("a region ends that began"));
            } else if let Some(region) = &mut open {
                region.push_str(line);
                region.push('\n');
            }
        }
        assert!(open.is_none(), "a region of {} has no end", self.file);
        regions
    }
}

/// The next line, if there is one.
async fn next(lines: &mut Lines<BufReader<impl AsyncRead + Unpin>>) -> Option<String> {
    let line = within(PATIENCE, "the program's next line", lines.next_line());
    line.await.expect("what it prints is text")
}

impl Running {
    /// The next line that it prints.
    async fn line(&mut self) -> String {
        if let Some(line) = next(&mut self.output).await {
            return line;
        }
        while let Some(line) = next(&mut self.errors).await {
            self.told.push(line);
        }
        panic!("it ended: {:#?}", self.told);
    }

    /// Waits until it asks again, and for this reason.
    async fn asks_again(&mut self, reason: &str) {
        while let Some(line) = next(&mut self.errors).await {
            let found = line.starts_with(AGAIN) && line.contains(reason);
            self.told.push(line);
            if found {
                return;
            }
        }
        panic!("no {reason} in {:#?}", self.told);
    }

    async fn end(mut self) -> Ended {
        let mut output = Vec::new();
        while let Some(line) = next(&mut self.output).await {
            output.push(line);
        }
        output.retain(|line| !line.starts_with("syncing: "));
        while let Some(line) = next(&mut self.errors).await {
            self.told.push(line);
        }
        let status = within(PATIENCE, "the program's end", self.child.wait()).await;
        Ended {
            status: status.expect("it is our child"),
            output,
            errors: self.told,
        }
    }
}

impl Ended {
    /// It did what it should.
    #[track_caller]
    fn succeeded(&self) {
        assert!(
            self.status.success(),
            "{:#?}\n{:#?}",
            self.output,
            self.errors
        );
    }

    /// What follows these words in a line of their own.
    #[track_caller]
    fn told(&self, words: &str) -> &str {
        let told = self.output.iter().find_map(|line| line.strip_prefix(words));
        told.unwrap_or_else(|| panic!("no {words:?} in {:#?}\n{:#?}", self.output, self.errors))
    }
}

/// The people at the app, but those in its trash.
fn people(stage: &Stage) -> Vec<Value> {
    let mut people = stage.app.people();
    people.retain(|person| person["stage"] != "Trash");
    people
}

/// Those whom the programs made, as the app has them.
fn made(stage: &Stage) -> Vec<Value> {
    let mut people = people(stage);
    people.retain(|person| person["emails"][0]["value"] == "ada@example.com");
    people
}

/// It printed whom it made, who is at the app and in the store as it was to be.
async fn assert_made(stage: &Stage, credential: &str, ended: &Ended) {
    assert_eq!(ended.told("updated "), "Ada Lovelace: Buyer, Met in person");
    let id = ended.told("created Ada Lovelace: ");
    let account = stage.host.client(CONSUMER).of(credential);
    let ours = account.get(&format!("/crm/api/people/{id}")).await.ok();
    let theirs = stage.app.person(original(&ours, "people"));
    let theirs = theirs.expect("the person is at the app");
    for person in [&ours, &theirs] {
        assert_eq!(person["lastName"], "Lovelace");
        assert_eq!(person["tags"], json!(["Buyer", "Met in person"]));
        assert_eq!(person["emails"][0]["value"], "ada@example.com");
    }
}

/// Everything that a program does, with an account of its own.
async fn does_what_it_says(program: &Program) {
    let stage = Stage::set_with(app(Dataset::messy(3, PEOPLE)), |setup: Setup| {
        setup
            .set("sync.poll_interval", "1h")
            .set("work.settle_patience", "1s")
            // What a refusal says in full is in the log then, too.
            .set("log.level", "debug")
    })
    .await;
    let before = people(&stage).len();
    assert!(before > 200, "{before}");
    assert!(made(&stage).is_empty());

    // It waits until the first sync is complete, and says so.
    let hold = Hold::new();
    let held = Fault::Held(hold.clone());
    stage.app.fail_next_at("/v1/people", 1, held);
    let mut running = program.start(&stage, API_KEY);
    let connected = running.line().await;
    let syncing = running.line().await;
    assert!(syncing.starts_with("syncing: 0 of "), "{syncing}");
    hold.release();
    let ended = running.end().await;
    ended.succeeded();
    let (_, credential) = connected.split_once(": credential ").expect(&connected);
    assert_eq!(ended.told("read "), format!("{before} people"));
    assert_made(&stage, credential, &ended).await;
    assert_eq!(made(&stage).len(), 1);
    assert!(!ended.errors.iter().any(|line| line.starts_with(AGAIN)));

    // Connected again, the account is the same. The app refuses the next write for the
    // moment; then it makes the person, and its answer is lost.
    let limited = Fault::RateLimited { retry_after: 1 };
    stage.app.fail_next_at("/v1/people", usize::MAX, limited);
    let mut running = program.start(&stage, API_KEY);
    running.asks_again(": 429, ").await;
    stage.app.clear_faults();
    stage
        .app
        .fail_next_at("/v1/people", usize::MAX, Fault::Lost);
    running.asks_again("maybe_applied").await;
    // Nor can the host find out, as long as this lasts.
    running.asks_again("write_in_progress").await;
    stage.app.clear_faults();
    let ended = running.end().await;
    ended.succeeded();
    assert_eq!(ended.output[0], connected);
    assert_eq!(ended.told("read "), format!("{} people", before + 1));
    assert_made(&stage, credential, &ended).await;
    assert_eq!(made(&stage).len(), 2, "{:#?}", ended.errors);

    // What can't be mended by waiting ends it, with what the host says and its log knows.
    let ended = program.run(&stage, "fka_not_a_key").await;
    assert_eq!(ended.status.code(), Some(1), "{:?}", ended.errors);
    assert!(ended.output.is_empty(), "{:?}", ended.output);
    let start = "POST /api/credentials: 400, request id ";
    let told = ended.errors[0].strip_prefix(start);
    let told = told.expect(&ended.errors[0]);
    let (request, body) = told.split_once(": ").expect(told);
    let body: Value = serde_json::from_str(body).expect("the body that the host sent");
    assert_eq!(body["errors"][0]["code"], "invalid_credentials");
    until("the request is in the log", async || {
        stage.host.log().contains(request).then_some(())
    })
    .await;

    let ended = program.run(&stage, "").await;
    assert_eq!(ended.status.code(), Some(1));
    let told = &ended.errors[0];
    assert!(told.starts_with("not set: API_KEY;"), "{told}");
    assert_eq!(made(&stage).len(), 2);
}

#[tokio::test]
async fn the_client_in_node_does_what_it_says() {
    does_what_it_says(&NODE).await;
}

#[tokio::test]
async fn the_client_in_python_does_what_it_says() {
    does_what_it_says(&PYTHON).await;
}

#[tokio::test]
async fn the_client_in_shell_does_what_it_says() {
    does_what_it_says(&SHELL).await;
}

/// What stands in the README in a block of this language, block by block.
fn blocks(language: &str) -> Vec<String> {
    let begin = format!("```{language}\n");
    let mut blocks = Vec::new();
    let mut rest = README;
    while let Some((_, from)) = rest.split_once(&begin) {
        let (block, after) = from.split_once("```\n").expect("a block ends");
        blocks.push(block.to_owned());
        rest = after;
    }
    blocks
}

#[test]
fn the_readme_quotes_the_programs() {
    for program in [NODE, PYTHON, SHELL] {
        let regions = program.regions();
        assert!(!regions.is_empty(), "{} has no region", program.file);
        assert_eq!(regions, blocks(program.language), "{}", program.file);
        assert!(README.contains(&format!("examples/clients/{}", program.file)));
    }
}
