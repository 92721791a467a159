//! Installing connectors while a host serves: versions, permissions, grants, and files
//! that nobody should run.

use std::path::{Path, PathBuf};

use rollout_test_apps::follow_up_boss::Dataset;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::cli_commands::refusal;
use crate::fixtures::{API_KEY, Client, HostUnderTest, Setup, app, built, until};

/// A host without connectors, the built ones, and a folder for altered ones.
struct Bench {
    host: HostUnderTest,
    folder: TempDir,
}

impl Bench {
    async fn new(setup: Setup) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("none")).unwrap();
        let setup = setup.connectors(folder.path().join("none"));
        let host = HostUnderTest::start(setup).await;
        Self { host, folder }
    }

    /// The connector with parts of its manifest put in place of others of equal length.
    fn altered(&self, name: &str, changes: &[(&str, &str)]) -> PathBuf {
        let mut bytes = std::fs::read(built().connectors.join("follow-up-boss.wasm")).unwrap();
        for (old, new) in changes {
            assert_eq!(old.len(), new.len());
            let at = bytes.windows(old.len());
            let at = at.into_iter().position(|part| part == old.as_bytes());
            let at = at.unwrap_or_else(|| panic!("{old} is not in the connector"));
            bytes[at..at + new.len()].copy_from_slice(new.as_bytes());
        }
        let file = self.folder.path().join(name);
        std::fs::write(&file, bytes).unwrap();
        file
    }

    fn install(&self, file: &Path, more: &[&str]) -> std::process::Output {
        let mut arguments = vec!["connector", "install", file.to_str().unwrap()];
        arguments.extend(more);
        self.host.rollout(&arguments)
    }

    #[track_caller]
    fn installed(&self, file: &Path, more: &[&str]) -> String {
        let output = self.install(file, more);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Version and environments of each installed version.
    fn list(&self) -> Vec<(String, Value)> {
        let list = self.host.rollout_ok(&["connector", "list", "--json"]);
        let list: Vec<Value> = serde_json::from_str(&list).unwrap();
        let mut list: Vec<(String, Value)> = list
            .into_iter()
            .map(|one| {
                let version = one["version"].as_str().unwrap().to_owned();
                (version, one["environments"].clone())
            })
            .collect();
        list.sort_by(|a, b| a.0.cmp(&b.0));
        list
    }
}

const VERSION_2: (&str, &str) = (r#""version": "0.1.0""#, r#""version": "0.2.0""#);
const VERSION_3: (&str, &str) = (r#""version": "0.1.0""#, r#""version": "0.3.0""#);
/// What tells a version by the name that it is shown under.
const NAME_2: (&str, &str) = (r#""name": "Follow Up Boss""#, r#""name": "Follow Up Two!""#);
const NAME_3: (&str, &str) = (r#""name": "Follow Up Boss""#, r#""name": "Follow Up 3 !!""#);
/// A secret that may go to every path of its host.
const WIDER: (&str, &str) = (
    r#""paths": ["/v1"], "place": "basic-user""#,
    r#""place": "basic-user"                  "#,
);

/// Waits until the connector is served under this name.
async fn served(client: &Client, name: &str) {
    until("the connector is taken up", async || {
        let all = client.get("/api/connectors").await.ok();
        (all["follow-up-boss"]["name"] == name).then_some(())
    })
    .await;
}

#[tokio::test]
async fn versions_are_installed_promoted_and_rolled_back_while_a_host_serves() {
    let app = app(Dataset::demo());
    let bench = Bench::new(Setup::against(&app).set("sync.poll_interval", "100ms")).await;
    let dev = bench.host.client("installing");
    let none = dev.get("/api/connectors").await.ok();
    assert_eq!(none, json!({}));
    let said = bench.installed(&built().connectors.join("follow-up-boss.wasm"), &[]);
    assert!(said.contains("calls api.followupboss.com"), "{said}");
    assert!(said.contains("used by all environments"), "{said}");
    served(&dev, "Follow Up Boss").await;
    let account = dev.connect_synced(API_KEY).await;
    assert!(!account.all("people", "").await.is_empty());

    // Another version, for one environment of two.
    let two = bench.altered("two.wasm", &[VERSION_2, NAME_2]);
    let line = refusal(&bench.install(&two, &["--env", "shop"]));
    assert!(line.contains("no environment `shop`"), "{line}");
    let shop = bench.host.create_environment("shop");
    let shop = bench
        .host
        .client_with_token(&shop.sign(&shop.claims("shopper")));
    shop.served().await;
    bench.installed(&two, &["--env", "shop"]);
    served(&shop, "Follow Up Two!").await;
    served(&dev, "Follow Up Boss").await;
    assert_eq!(
        bench.list(),
        [
            ("0.1.0".to_owned(), json!(["*"])),
            ("0.2.0".to_owned(), json!(["shop"])),
        ]
    );

    // To everybody, under work, and back.
    let promote = ["connector", "promote", "follow-up-boss@0.2.0"];
    bench.host.rollout_ok(&promote);
    served(&dev, "Follow Up Two!").await;
    account
        .post(
            "/crm/api/people",
            json!({"firstName": "Ada", "lastName": "Byron"}),
        )
        .await
        .with(201);
    bench
        .host
        .rollout_ok(&["connector", "rollback", "follow-up-boss"]);
    served(&dev, "Follow Up Boss").await;
    bench
        .host
        .rollout_ok(&["connector", "rollback", "follow-up-boss", "--env", "shop"]);
    served(&shop, "Follow Up Boss").await;
    account
        .post(
            "/crm/api/people",
            json!({"firstName": "Ben", "lastName": "Bo"}),
        )
        .await
        .with(201);

    for (arguments, words) in [
        (
            vec!["promote", "follow-up-boss@9.9.9"],
            "there are: 0.2.0, 0.1.0",
        ),
        (
            vec!["promote", "other@1.0.0"],
            "no connector `other` is installed",
        ),
        (vec!["promote", "follow-up-boss"], "is not KEY@VERSION"),
        (
            vec!["rollback", "follow-up-boss", "--env", "shop"],
            "no version",
        ),
        (vec!["remove", "follow-up-boss"], "--yes"),
        (vec!["remove", "other"], "is installed"),
    ] {
        let arguments: Vec<&str> = ["connector"].into_iter().chain(arguments).collect();
        let line = refusal(&bench.host.rollout(&arguments));
        assert!(line.contains(words), "{arguments:?}: {line}");
    }
    bench
        .host
        .rollout_ok(&["connector", "remove", "follow-up-boss", "--yes"]);
    until("the connector is gone", async || {
        let all = dev.get("/api/connectors").await.ok();
        (all == json!({})).then_some(())
    })
    .await;
    // Its accounts stay, for when it is installed again.
    let read = account.get("/crm/api/people").await;
    read.refused(502, "connector_failed");
    let history = bench.host.rollout_ok(&["connector", "history"]);
    for act in [
        "installed follow-up-boss@0.1.0",
        "promoted",
        "rolled back",
        "removed",
    ] {
        assert!(history.contains(act), "{act}: {history}");
    }
}

#[tokio::test]
async fn what_may_do_more_is_accepted_first() {
    let bench = Bench::new(Setup::plain()).await;
    let dev = bench.host.client("careful");
    bench.installed(&built().connectors.join("follow-up-boss.wasm"), &[]);
    served(&dev, "Follow Up Boss").await;

    let wider = bench.altered("wider.wasm", &[VERSION_2, NAME_2, WIDER]);
    let output = bench.install(&wider, &[]);
    assert_eq!(output.status.code(), Some(2));
    let line = String::from_utf8(output.stderr).unwrap();
    let named =
        line.contains("secret apiKey to api.followupboss.com /") && line.contains("--accept");
    assert!(named && line.trim_end().lines().count() == 1, "{line}");
    // The whole difference, for whoever decides.
    let shown = String::from_utf8(output.stdout).unwrap();
    assert!(shown.contains("+ secret apiKey"), "{shown}");
    assert_eq!(bench.list(), [("0.1.0".to_owned(), json!(["*"]))]);

    bench.installed(&wider, &["--accept"]);
    served(&dev, "Follow Up Two!").await;
    // What may do less is no question, and neither is the same once more.
    let narrower = bench.altered("narrower.wasm", &[VERSION_3, NAME_3]);
    let said = bench.installed(&narrower, &[]);
    assert!(said.contains("- secret apiKey"), "{said}");
    served(&dev, "Follow Up 3 !!").await;
    bench.installed(&narrower, &[]);
    // An environment that gets the wider one later is asked for, too.
    let output = bench
        .host
        .rollout(&["connector", "promote", "follow-up-boss@0.2.0"]);
    assert_eq!(output.status.code(), Some(2));

    let line =
        refusal_of(&bench.install(&bench.altered("again.wasm", &[VERSION_2]), &["--accept"]));
    assert!(line.contains("with other bytes"), "{line}");
}

/// The line of a command that had something to show before.
#[track_caller]
fn refusal_of(output: &std::process::Output) -> String {
    let line = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(output.status.code(), Some(2), "{line}");
    assert_eq!(line.trim_end().lines().count(), 1, "{line}");
    line
}

#[tokio::test]
async fn strange_files_are_refused_and_leave_nothing() {
    let limits = Setup::plain()
        .set("sandbox.compile", "1s")
        .set("sandbox.compile_memory", 256 * 1024 * 1024)
        .set("sandbox.component_bytes", 4 * 1024 * 1024);
    let bench = Bench::new(limits).await;
    let good = std::fs::read(built().connectors.join("follow-up-boss.wasm")).unwrap();
    let bomb = |functions: usize, adds: usize| {
        let body = "local.get 0 i32.const 3 i32.mul local.set 0 ".repeat(adds);
        let function = format!("(func (param i32) {body})");
        let text = format!("(component (core module {}))", function.repeat(functions));
        wat::parse_str(text).unwrap()
    };
    let cases: [(&str, Vec<u8>, &str); 7] = [
        ("empty", Vec::new(), "not WebAssembly"),
        (
            "core",
            b"\0asm\x01\0\0\0".to_vec(),
            "--target wasm32-wasip2",
        ),
        ("cut", good[..good.len() / 2].to_vec(), "refused"),
        (
            "machine-code",
            std::fs::read(&built().host).unwrap()[..100_000].to_vec(),
            "machine code",
        ),
        (
            "large",
            vec![0; 4 * 1024 * 1024 + 1],
            "sandbox.component_bytes",
        ),
        ("bomb", bomb(1, 250_000), "compiling it"),
        (
            "no-connector",
            wat::parse_str("(component)").unwrap(),
            "does not export",
        ),
    ];
    for (name, bytes, words) in cases {
        let file = bench.folder.path().join(name);
        std::fs::write(&file, bytes).unwrap();
        let line = refusal(&bench.install(&file, &[]));
        assert!(
            line.contains(words) && line.contains(name),
            "{name}: {line}"
        );
    }
    let line = refusal(&bench.install(Path::new("/nowhere/x.wasm"), &[]));
    assert!(line.contains("/nowhere/x.wasm"), "{line}");
    assert!(bench.list().is_empty());
    // The host served all the while.
    assert_eq!(bench.host.stranger().get("/readyz").await.status, 200);
}

#[tokio::test]
async fn artifacts_that_others_wrote_are_not_run() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::copy(
        built().connectors.join("follow-up-boss.wasm"),
        folder.path().join("follow-up-boss.wasm"),
    )
    .unwrap();
    let mut host = HostUnderTest::start(Setup::plain().connectors(folder.path())).await;
    let artifacts = host.data().join("artifacts");
    let kept = || {
        let all = std::fs::read_dir(&artifacts).unwrap();
        let all: Vec<PathBuf> = all.map(|one| one.unwrap().path()).collect();
        assert_eq!(all.len(), 1, "{all:?}");
        all.into_iter().next().unwrap()
    };
    let file = kept();
    let right = std::fs::read(&file).unwrap();
    host.stop();
    // Code that would crash, under the seal of the right one.
    let mut wrong = right.clone();
    for byte in wrong.iter_mut().skip(4096).step_by(97) {
        *byte = !*byte;
    }
    for content in [wrong, Vec::new(), right[..40].to_vec()] {
        std::fs::write(&file, content).unwrap();
        host.restart().await;
        let ready = host.stranger().get("/readyz").await.ok();
        assert_eq!(ready["connectors"], json!(["follow-up-boss"]));
        // It was compiled anew, and kept.
        assert_eq!(std::fs::read(kept()).unwrap().len(), right.len());
        host.stop();
    }
    // What is kept right is taken as it is.
    let written = std::fs::metadata(&file).unwrap().modified().unwrap();
    host.restart().await;
    assert_eq!(
        std::fs::metadata(&file).unwrap().modified().unwrap(),
        written
    );
}

#[tokio::test]
async fn secrets_are_shown_to_whom_it_is_granted_for_as_long_as_it_is() {
    let folder = tokio::task::spawn_blocking(rollout_tasks::build_conformance);
    let file = folder.await.unwrap().unwrap().join("revealing.wasm");
    let bench = Bench::new(Setup::plain()).await;
    let line = refusal(&bench.install(&file, &[]));
    let command = "rollout connector grant conformance-revealing raw-secrets";
    assert!(line.contains(command), "{line}");
    bench
        .host
        .rollout_ok(&["connector", "grant", "conformance-revealing", "raw-secrets"]);
    let said = bench.installed(&file, &[]);
    assert!(said.contains("reads secrets in clear"), "{said}");
    let dev = bench.host.client("trusting");
    let connect = async || {
        let body = json!({
            "appKey": "conformance-revealing",
            "userInputs": {"password": "a planted password"},
        });
        dev.post("/api/credentials", body).await
    };
    until("the connector is taken up", async || {
        let all = dev.get("/api/connectors").await.ok();
        all["conformance-revealing"].is_object().then_some(())
    })
    .await;
    assert!(connect().await.status < 300);

    bench.host.rollout_ok(&[
        "connector",
        "revoke",
        "conformance-revealing",
        "raw-secrets",
    ]);
    until("the connector is out of use", async || {
        let all = dev.get("/api/connectors").await.ok();
        (all == json!({})).then_some(())
    })
    .await;
    assert!(connect().await.status >= 400);
    let history = bench.host.rollout_ok(&["connector", "history"]);
    let acts: Vec<&str> = history
        .lines()
        .filter(|line| line.contains("raw-secrets"))
        .collect();
    assert_eq!(acts.len(), 2, "{history}");
    assert!(!bench.host.log().contains("a planted password"));
}
