//! Requests that nobody thought of: [schemathesis](https://schemathesis.readthedocs.io)
//! makes them of the served document, and holds the answers against it.
//!
//! Only with the feature `schemathesis`, since it takes Python packages that
//! `tests/schemathesis/run` installs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::api_contract::{Stage, id_of, is_id};
use crate::fixtures::now;

/// How long it goes on, in seconds.
const SECONDS: &str = "ROLLOUT_SCHEMATHESIS_SECONDS";
/// What the requests are made of.
const SEED: &str = "ROLLOUT_SCHEMATHESIS_SEED";

fn setting(name: &str) -> u64 {
    let text = std::env::var(name).unwrap_or_else(|_| panic!("{name}: use tests/schemathesis/run"));
    text.parse()
        .unwrap_or_else(|_| panic!("{name} is a number"))
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// A program of the virtual environment.
fn installed(program: &str) -> Command {
    let folder = std::env::var("ROLLOUT_SCHEMATHESIS").expect("use tests/schemathesis/run");
    Command::new(Path::new(&folder).join("bin").join(program))
}

#[tokio::test]
async fn the_document_is_openapi() {
    let stage = Stage::set().await;
    let file = stage.host.folder().join("openapi.json");
    std::fs::write(&file, stage.document.whole.to_string()).unwrap();
    let checked = installed("openapi-spec-validator")
        .args(["--schema", "3.1"])
        .arg(&file)
        .status();
    assert!(checked.expect("it is installed").success());
}

#[tokio::test]
async fn the_host_withstands_what_is_made_of_its_document() {
    let stage = Stage::set().await;
    let seconds = setting(SECONDS);
    let mut claims = stage.host.keys().claims("contract");
    claims["exp"] = json!(now() + seconds + 600);
    let token = stage.host.keys().sign(&claims);
    let folder = repository().join("tests/schemathesis");
    // What generated bodies can't know: records that are there.
    let known = json!({"ids": stage.ids, "references": stage.references(), "records": stage.records().await});
    let known_file = stage.host.folder().join("known.json");
    std::fs::write(&known_file, known.to_string()).unwrap();
    let mut run = installed("schemathesis");
    run.current_dir(stage.host.folder())
        .env("PYTHONPATH", &folder)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("ROLLOUT_KNOWN", &known_file)
        .env("ROLLOUT_TOKEN", token)
        .env("ROLLOUT_CREDENTIAL", stage.account.credential())
        .arg("--config-file")
        .arg(folder.join("schemathesis.toml"))
        .args(["run", &format!("{}/openapi.json", stage.document.server())])
        .args(["--seed", &setting(SEED).to_string()])
        .args(["--max-time", &seconds.to_string()])
        .args(["--report-ndjson-path", "events.ndjson"])
        .stdin(Stdio::null());
    let ended = run.status().expect("schemathesis is installed");
    if let Ok(keep) = std::env::var("ROLLOUT_SCHEMATHESIS_KEEP") {
        for file in ["events.ndjson", "host.log", "openapi.json"] {
            let _ = std::fs::copy(stage.host.folder().join(file), Path::new(&keep).join(file));
        }
    }
    let log = stage.host.log();
    let faults: Vec<&str> = log.lines().filter(|line| line.contains("panic")).collect();
    assert!(faults.is_empty(), "{faults:#?}");
    assert!(ended.success(), "schemathesis found something: see above");
    // The host is there as before; the stage's client still holds connections of that time.
    let client = stage.host.client("contract");
    let account = client.of(stage.account.credential());
    account.get("/crm/api/people").await.ok();
}

/// For bodies that are made up: what names records, and of which there are how many.
impl Stage {
    /// The ids of all records, by path.
    async fn records(&self) -> BTreeMap<String, Vec<String>> {
        let mut all = BTreeMap::new();
        for operation in self.document.operations() {
            let path = operation.collection();
            if operation.of_record().is_none() && !self.offer(path).is_null() {
                let records = self.account.all(path, "limit=1000").await;
                all.insert(path.to_owned(), records.iter().map(id_of).collect());
            }
        }
        all
    }

    /// The fields that hold ids, by path and name, each with a real id; none: the app has
    /// no such records.
    fn references(&self) -> BTreeMap<String, BTreeMap<String, Option<String>>> {
        let mut fields: BTreeMap<String, BTreeMap<String, Option<String>>> = BTreeMap::new();
        for operation in self.document.operations() {
            let answers = operation.spec["responses"].as_object().unwrap().values();
            for told in answers.chain([&operation.spec["requestBody"]]) {
                for example in self.document.examples(told).values() {
                    let of_path = fields.entry(operation.collection().to_owned()).or_default();
                    named(example, "", &mut |name, id| {
                        if name != "id" {
                            of_path.insert(name.to_owned(), self.ids.get(id).cloned());
                        }
                    });
                }
            }
        }
        fields
    }
}

/// Shows every id of an example with its field's name.
fn named(example: &Value, name: &str, see: &mut dyn FnMut(&str, &str)) {
    match example {
        Value::String(text) if is_id(text) => see(name, text),
        Value::Array(items) => items.iter().for_each(|item| named(item, name, see)),
        Value::Object(members) => {
            members
                .iter()
                .for_each(|(name, value)| named(value, name, see));
        }
        _ => {}
    }
}
