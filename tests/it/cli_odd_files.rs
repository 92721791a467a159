//! Installing what came by mail: files that are none, that have no end, that can't be
//! read or kept, and commands that are cut off.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::cli_commands::refusal;
use crate::fixtures::{HostUnderTest, PATIENCE, Setup, built, command};

/// An installation, and a folder for files.
struct Desk {
    folder: TempDir,
}

impl Desk {
    fn new() -> Self {
        let desk = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        let made = desk.rollout(&["env", "create", "shop"]);
        assert!(made.status.success());
        desk
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn command(&self) -> Command {
        let mut command = command();
        command.arg("--data-dir").arg(self.file("data"));
        command
    }

    fn rollout(&self, arguments: &[&str]) -> Output {
        self.command().args(arguments).output().unwrap()
    }

    fn installing(&self, file: &Path) -> Command {
        let mut command = self.command();
        command.args(["connector", "install"]).arg(file);
        command
    }

    fn installed(&self) -> String {
        let list = self.rollout(&["connector", "list", "--json"]);
        assert!(list.status.success());
        String::from_utf8(list.stdout).unwrap().trim().to_owned()
    }
}

fn connector() -> PathBuf {
    built().connectors.join("follow-up-boss.wasm")
}

/// Runs a command that must end soon, whatever it was given.
fn soon(mut command: Command) -> Output {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let started = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if started.elapsed() > PATIENCE {
            child.kill().unwrap();
            panic!("{command:?} goes on");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    child.wait_with_output().unwrap()
}

#[tokio::test]
async fn what_is_no_file_is_refused_at_once() {
    let desk = Desk::new();
    let pipe = desk.file("pipe.wasm");
    assert!(
        Command::new("mkfifo")
            .arg(&pipe)
            .status()
            .unwrap()
            .success()
    );
    for folder in ["folder.wasm", "shut"] {
        std::fs::create_dir(desk.file(folder)).unwrap();
    }
    std::os::unix::fs::symlink("nowhere", desk.file("dangling.wasm")).unwrap();
    std::os::unix::fs::symlink("round.wasm", desk.file("round.wasm")).unwrap();
    std::os::unix::fs::symlink("/dev/zero", desk.file("zero.wasm")).unwrap();
    // A hole takes no place on the disk.
    let large = std::fs::File::create(desk.file("large.wasm")).unwrap();
    large.set_len(100 << 20).unwrap();
    std::fs::write(desk.file("two\nlines.wasm"), "\0asm").unwrap();
    std::fs::write(desk.file("\u{1b}[31mred.wasm"), "\0asm").unwrap();
    std::os::unix::net::UnixListener::bind(desk.file("socket.wasm")).unwrap();

    for (name, words) in [
        ("pipe.wasm", "is a pipe or a device"),
        ("folder.wasm", "is a folder: name the .wasm file in it"),
        ("dangling.wasm", "can't read"),
        ("round.wasm", "can't read"),
        ("nothing.wasm", "can't read"),
        ("zero.wasm", "is a pipe or a device"),
        ("socket.wasm", "is a pipe or a device"),
        ("/dev/zero", "is a pipe or a device"),
        ("/dev/stdin", "is a pipe or a device"),
        ("large.wasm", "sandbox.component_bytes"),
        ("two\nlines.wasm", "is refused"),
        ("\u{1b}[31mred.wasm", "is refused"),
        ("large.wasm/inside", "can't read"),
    ] {
        for act in ["install", "inspect"] {
            let mut command = desk.command();
            command.args(["connector", act]).arg(desk.file(name));
            let output = soon(command);
            let line = refusal(&output);
            assert!(line.contains(words), "{act} {name:?}: {line}");
            let shown = name.replace(char::is_control, " ");
            assert!(line.contains(&shown), "{act} {name:?}: {line}");
            assert!(!line.trim_end().contains(char::is_control), "{line:?}");
        }
    }
    assert_eq!(desk.installed(), "[]");
    // What leads to a good file is one.
    std::os::unix::fs::symlink(connector(), desk.file("good.wasm")).unwrap();
    assert!(
        soon(desk.installing(&desk.file("good.wasm")))
            .status
            .success()
    );
    assert!(desk.installed().contains("follow-up-boss"));
}

/// A host that finds such things in its folder of connectors serves the others.
#[tokio::test]
async fn a_folder_with_what_is_no_file_is_served() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("a-pipe.wasm");
    assert!(
        Command::new("mkfifo")
            .arg(&pipe)
            .status()
            .unwrap()
            .success()
    );
    std::fs::create_dir(folder.path().join("b-folder.wasm")).unwrap();
    std::fs::copy(connector(), folder.path().join("c-good.wasm")).unwrap();
    let host = HostUnderTest::start(Setup::plain().connectors(folder.path())).await;
    let ready = host.stranger().get("/readyz").await.ok();
    assert_eq!(ready["connectors"], serde_json::json!(["follow-up-boss"]));
    let log = host.log();
    for name in ["a-pipe.wasm", "b-folder.wasm"] {
        let said = log.lines().find(|line| line.contains(name));
        assert!(
            said.is_some_and(|line| line.contains("it is not a file")),
            "{log}"
        );
    }
}

/// Cut off at any moment, a command has installed the connector or has not.
#[tokio::test]
async fn a_command_that_is_killed_leaves_nothing_by_halves() {
    let desk = Desk::new();
    let mut installed = false;
    for tenths in 0..12 {
        let mut child = desk
            .installing(&connector())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(tenths * 100));
        child.kill().unwrap();
        child.wait().unwrap();
        let list = desk.installed();
        assert!(!installed || list != "[]", "it is gone again");
        installed = list != "[]";
        if installed {
            // Whole, too.
            let promoted = desk.rollout(&["connector", "promote", "follow-up-boss@0.1.0"]);
            assert!(promoted.status.success(), "{promoted:?}");
        }
    }
    assert!(soon(desk.installing(&connector())).status.success());
    assert!(desk.installed().contains("follow-up-boss"));
}

/// On a disk without room the command fails in one line, and works once there is some.
#[tokio::test]
async fn a_full_disk_is_said_and_leaves_nothing() {
    let desk = Desk::new();
    // The disk is there for this script alone.
    let script = r#"
        set -e
        mount -t tmpfs -o size=16m tmpfs "$1"
        "$2" --data-dir "$1/data" env create shop >/dev/null
        left=$(($(stat -f -c '%a * %S' "$1") - 300 * 1024))
        head -c $left /dev/zero >"$1/filler"
        "$2" --data-dir "$1/data" connector install "$3" && exit 77
        echo "failed with $?"
        ls "$1/data/artifacts"
        "$2" --data-dir "$1/data" connector list --json
        rm "$1/filler"
        "$2" --data-dir "$1/data" connector install "$3"
        "$2" --data-dir "$1/data" connector list --json"#;
    let disk = desk.file("disk");
    std::fs::create_dir(&disk).unwrap();
    let output = in_mounts()
        .args(["sh", "-c", script, "sh"])
        .args([&disk, &built().host, &connector()])
        .output()
        .unwrap();
    let (out, said) = (
        String::from_utf8_lossy(&output.stdout).into_owned(),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    );
    assert!(output.status.success(), "{out}{said}");
    let lines: Vec<&str> = said.lines().collect();
    let [line] = lines[..] else {
        panic!("{said}");
    };
    assert!(
        line.contains("follow-up-boss@0.1.0 can't be stored, and nothing is changed")
            && line.contains("full"),
        "{line}"
    );
    let (failed, then) = out.split_once("failed with 2\n").unwrap();
    assert!(!failed.contains("is installed"), "{out}");
    // No compiled code that lacks its end, and no line of the connector.
    assert!(then.starts_with("[]\n"), "{out}");
    assert!(
        then.contains("is installed and used by all environments"),
        "{out}"
    );
    assert!(
        then.trim_end().ends_with(']') && then.contains("\"follow-up-boss\""),
        "{out}"
    );
}

/// A program in mounts of its own; who is not root becomes it there.
fn in_mounts() -> Command {
    let ways: [&[&str]; 2] = [&["--mount"], &["--user", "--map-root-user", "--mount"]];
    let way = ways.into_iter().find(|way| {
        let mut probe = Command::new("unshare");
        probe.args(*way).arg("true").stderr(Stdio::null());
        probe.status().is_ok_and(|status| status.success())
    });
    let mut command = Command::new("unshare");
    command.args(way.expect("mounts of one's own: run as root, or allow user namespaces"));
    command
}
