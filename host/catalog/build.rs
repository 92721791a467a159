//! Lists the files of `wit/entities` for `embedded.rs`, so that a new entity needs a file and nothing else.

use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs, io};

const ENTITIES: &str = "../../wit/entities";

fn main() -> io::Result<()> {
    let mut list = String::from("pub(crate) const FILES: &[EntityFile<'static>] = &[\n");
    println!("cargo::rerun-if-changed={ENTITIES}");
    for category in sorted(Path::new(ENTITIES))? {
        // A README stands beside the folders.
        if !Path::new(ENTITIES).join(&category).is_dir() {
            continue;
        }
        println!("cargo::rerun-if-changed={ENTITIES}/{category}");
        for file in sorted(&Path::new(ENTITIES).join(&category))? {
            let Some(name) = file.strip_suffix(".json") else {
                continue;
            };
            println!("cargo::rerun-if-changed={ENTITIES}/{category}/{file}");
            let path = format!("/{ENTITIES}/{category}/{file}");
            writeln!(
                list,
                "    EntityFile {{ category: {category:?}, name: {name:?}, text: include_str!(concat!(env!(\"CARGO_MANIFEST_DIR\"), {path:?})) }},"
            )
            .map_err(io::Error::other)?;
        }
    }
    list.push_str("];\n");
    let out = env::var("OUT_DIR").map_err(io::Error::other)?;
    fs::write(Path::new(&out).join("entity_files.rs"), list)
}

/// The names in a folder, sorted: the order of a directory differs between machines.
fn sorted(folder: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}
