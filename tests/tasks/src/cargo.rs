//! Running cargo from a program that cargo itself runs.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::progress::Step;

/// What `cargo run` and `cargo test` tell the program about its own package. A build
/// started from there must not see it: build scripts would run again for nothing.
const OWN_PACKAGE: [&str; 4] = [
    "CARGO_PKG_",
    "CARGO_MANIFEST_",
    "CARGO_BIN_",
    "CARGO_CRATE_",
];

/// Something cargo built.
#[derive(Debug)]
pub(crate) struct Artifact {
    /// Name of the package it comes from.
    pub(crate) package: String,
    /// Name of the target: of a binary, the binary's.
    pub(crate) target: String,
    /// `bin`, `lib`, `cdylib`, …
    pub(crate) kinds: Vec<String>,
    /// The files made.
    pub(crate) files: Vec<PathBuf>,
    /// The program, of a binary.
    pub(crate) executable: Option<PathBuf>,
}

impl Artifact {
    /// Reads a line of cargo's JSON messages, if it tells of an artifact.
    fn of_message(line: &str) -> Option<Self> {
        let message: Value = serde_json::from_str(line).ok()?;
        if message.get("reason")?.as_str()? != "compiler-artifact" {
            return None;
        }
        let target = message.get("target")?;
        let texts = |list: &Value| -> Vec<String> {
            list.as_array()
                .into_iter()
                .flatten()
                .filter_map(|text| text.as_str().map(str::to_owned))
                .collect()
        };
        Some(Self {
            package: package_name(message.get("package_id")?.as_str()?).to_owned(),
            target: target.get("name")?.as_str()?.to_owned(),
            kinds: texts(target.get("kind")?),
            files: texts(message.get("filenames")?)
                .into_iter()
                .map(PathBuf::from)
                .collect(),
            executable: message
                .get("executable")
                .and_then(Value::as_str)
                .map(PathBuf::from),
        })
    }
}

/// The name in a package id, `path+file:///home/me/follow-up-boss#0.1.0` or
/// `path+file:///home/me/folder#name@0.1.0`.
fn package_name(id: &str) -> &str {
    let (place, version) = id.split_once('#').unwrap_or((id, ""));
    match version.split_once('@') {
        Some((name, _)) => name,
        None => place.rsplit('/').next().unwrap_or(place),
    }
}

/// Cargo, in a workspace, as if it had been called from a shell there.
pub fn cargo(workspace: &Path) -> Command {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(program);
    command.current_dir(workspace).stdin(Stdio::null());
    for (name, _) in std::env::vars_os() {
        let own = |name: &OsStr| {
            let name = name.to_string_lossy();
            OWN_PACKAGE.iter().any(|prefix| name.starts_with(prefix))
        };
        if own(&name) {
            command.env_remove(name);
        }
    }
    command
}

/// Runs `cargo build` and tells what it made. On a terminal cargo shows its progress
/// itself; elsewhere its output is kept for the case that it fails.
pub(crate) fn build(workspace: &Path, arguments: &[&str], step: &Step) -> Result<Vec<Artifact>> {
    let mut command = cargo(workspace);
    command
        .arg("build")
        .arg("--message-format=json-render-diagnostics")
        .args(arguments)
        .stdout(Stdio::piped());
    let told = if step.on_terminal() {
        step.break_line()?;
        Stdio::inherit()
    } else {
        Stdio::piped()
    };
    let mut child = command.stderr(told).spawn().context("can't run cargo")?;
    let (artifacts, told) = listen(&mut child, step)?;
    let status = child.wait()?;
    if !status.success() {
        let separator = if told.is_empty() { "" } else { "\n" };
        bail!("cargo build failed{separator}{}", told.trim_end());
    }
    Ok(artifacts)
}

/// Reads both of cargo's outputs to their ends, side by side so that neither blocks.
fn listen(child: &mut Child, step: &Step) -> Result<(Vec<Artifact>, String)> {
    let (Some(stdout), stderr) = (child.stdout.take(), child.stderr.take()) else {
        bail!("cargo's output is not there to read");
    };
    std::thread::scope(|scope| {
        let artifacts = scope.spawn(|| artifacts(stdout));
        let told = match stderr {
            Some(stderr) => told(stderr, step)?,
            None => String::new(),
        };
        match artifacts.join() {
            Ok(artifacts) => Ok((artifacts?, told)),
            Err(_) => bail!("reading cargo's messages failed"),
        }
    })
}

fn artifacts(stdout: impl Read) -> Result<Vec<Artifact>> {
    let mut artifacts = Vec::new();
    for line in BufReader::new(stdout).lines() {
        artifacts.extend(Artifact::of_message(&line?));
    }
    Ok(artifacts)
}

fn told(stderr: impl Read, step: &Step) -> Result<String> {
    let mut told = String::new();
    for line in BufReader::new(stderr).split(b'\n') {
        let line = line?;
        let line = String::from_utf8_lossy(&line);
        let at = line.trim();
        if at.starts_with("Compiling ") || at.starts_with("Downloading ") {
            step.sign_of_life(at)?;
        }
        told.push_str(&line);
        told.push('\n');
    }
    Ok(told)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const COMPONENT: &str = r#"{"reason":"compiler-artifact",
        "package_id":"path+file:///src/example-connectors/follow-up-boss#0.1.0",
        "target":{"kind":["cdylib","rlib"],"name":"follow_up_boss"},
        "filenames":["/t/release/follow_up_boss.wasm","/t/release/libfollow_up_boss.rlib"],
        "executable":null,"fresh":true}"#;

    #[test]
    fn artifacts_are_read_from_messages() {
        let artifact = Artifact::of_message(COMPONENT).unwrap();
        assert_eq!(artifact.package, "follow-up-boss");
        assert_eq!(artifact.target, "follow_up_boss");
        assert_eq!(artifact.kinds, ["cdylib", "rlib"]);
        assert_eq!(
            artifact.files.first().unwrap(),
            Path::new("/t/release/follow_up_boss.wasm")
        );
        assert_eq!(artifact.executable, None);
    }

    #[test]
    fn other_messages_are_passed_over() {
        assert!(Artifact::of_message(r#"{"reason":"build-finished","success":true}"#).is_none());
        assert!(Artifact::of_message("warning: not JSON").is_none());
    }

    #[test]
    fn package_ids_name_the_package_or_its_folder() {
        assert_eq!(package_name("path+file:///src/lofty#0.1.0"), "lofty");
        assert_eq!(package_name("path+file:///src/folder#lofty@0.1.0"), "lofty");
        assert_eq!(
            package_name("registry+https://github.com/rust-lang/crates.io-index#serde@1.0.0"),
            "serde"
        );
    }

    #[test]
    fn a_failing_build_tells_what_cargo_said() {
        let nowhere = tempfile::tempdir().unwrap();
        std::fs::write(nowhere.path().join("Cargo.toml"), "[package]\nname = 1\n").unwrap();
        let error = build(nowhere.path(), &["--offline"], &Step::silent()).unwrap_err();
        let told = format!("{error:#}");
        assert!(told.starts_with("cargo build failed\n"), "{told}");
        assert!(told.contains("Cargo.toml"), "{told}");
    }
}
