//! Lists the files that `rollout connector new` writes: the template, the SDK, and what
//! the SDK is built from. There is no second copy of them in the repository.

use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs, io};

const ROOT: &str = "../..";
const FOLDERS: [&str; 3] = ["guest-sdk/template", "guest-sdk/rust", "wit"];
const FILES: [&str; 2] = ["Cargo.toml", "LICENSE"];

fn main() -> io::Result<()> {
    let mut paths = Vec::new();
    for folder in FOLDERS {
        collect(folder, &mut paths)?;
    }
    paths.extend(FILES.map(str::to_owned));
    let mut list = String::from("const FILES: &[(&str, &str)] = &[\n");
    for path in paths {
        println!("cargo::rerun-if-changed={ROOT}/{path}");
        let file = format!("/{ROOT}/{path}");
        writeln!(
            list,
            "    ({path:?}, include_str!(concat!(env!(\"CARGO_MANIFEST_DIR\"), {file:?}))),"
        )
        .map_err(io::Error::other)?;
    }
    list.push_str("];\n");
    let out = env::var("OUT_DIR").map_err(io::Error::other)?;
    fs::write(Path::new(&out).join("new_connector.rs"), list)
}

/// The files below a folder, sorted, without what cargo has built there.
fn collect(folder: &str, paths: &mut Vec<String>) -> io::Result<()> {
    let mut names = Vec::new();
    for entry in fs::read_dir(Path::new(ROOT).join(folder))? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    let built = names.iter().any(|name| name == "target");
    if !built {
        // Tells of new files. A folder is looked through as a whole, `target` too.
        println!("cargo::rerun-if-changed={ROOT}/{folder}");
    }
    for name in names {
        let path = format!("{folder}/{name}");
        if Path::new(ROOT).join(&path).is_dir() {
            if name != "target" {
                collect(&path, paths)?;
            }
        } else {
            paths.push(path);
        }
    }
    Ok(())
}
