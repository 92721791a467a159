//! `rollout connector new`: a connector that builds and passes its tests as it stands.
//!
//! The template is a connector of its own, `guest-sdk/template`, tested like any other.
//! The SDK is on no registry, so the program carries its sources and puts them into the
//! new folder, `sdk`: whoever has the program alone can build. They lie there as in the
//! repository, because the SDK finds the contract and the catalogue beside itself.

#![expect(clippy::print_stdout, reason = "a command's answer goes there")]

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use rollout_catalog::Catalog;
use rollout_catalog::manifest::Manifest;
use serde_json::Value;

include!(concat!(env!("OUT_DIR"), "/new_connector.rs"));

/// Where the template is among [`FILES`], and where it has the SDK.
const TEMPLATE: &str = "guest-sdk/template/";
const SDK_OF_TEMPLATE: &str = "path = \"../rust\"";

/// Where the SDK is among [`FILES`].
const SDK: &str = "guest-sdk/rust";

/// What kind of app the connector is for.
#[derive(Clone, Copy, clap::ValueEnum)]
pub(crate) enum Category {
    /// People, and what is done with them.
    Crm,
}

impl Category {
    /// The key of the template's connector.
    fn template_key(self) -> &'static str {
        match self {
            Self::Crm => "tiny-crm",
        }
    }
}

/// What to make.
pub(crate) struct New<'a> {
    pub(crate) name: &'a str,
    pub(crate) dir: Option<&'a Path>,
    pub(crate) category: Category,
    /// The SDK's folder in a checkout, to use in place of a copy.
    pub(crate) sdk: Option<&'a Path>,
}

pub(crate) fn run(new: New<'_>) -> Result<()> {
    check_key(new.name)?;
    let dir = new.dir.unwrap_or(Path::new(new.name));
    let files = files(&new)?;
    place(dir, &files)?;

    let (name, dir) = (new.name, dir.display());
    let file = snake(name);
    println!("{dir} holds a connector for the app `{name}`. What to do next:");
    println!();
    println!("  cd {dir}");
    println!("  cargo test");
    println!("  rustup target add wasm32-wasip2     # once");
    println!("  cargo build --release --target wasm32-wasip2");
    println!("  rollout connector inspect target/wasm32-wasip2/release/{file}.wasm");
    println!("  rollout serve --connectors target/wasm32-wasip2/release");
    println!();
    println!("README.md says how to make it the connector of your app.");
    Ok(())
}

/// Checks the name as the manifest's key: it will be one.
fn check_key(name: &str) -> Result<()> {
    let mut manifest: Value = serde_json::from_str(embedded("guest-sdk/template/manifest.json")?)?;
    if let Some(key) = manifest.get_mut("key") {
        *key = name.into();
    }
    match Manifest::parse(&manifest.to_string(), &Catalog::embedded()?) {
        Ok(_) => Ok(()),
        Err(error) if error.faults.iter().all(|fault| fault.pointer == "/key") => bail!(
            "`{name}` is no app key: lower-case words of letters and digits, joined by hyphens, such as `tiny-crm`, \
             64 characters at most"
        ),
        Err(error) => Err(error).context("the template"),
    }
}

/// What the folder will hold: path and text of each file.
fn files(new: &New<'_>) -> Result<Vec<(PathBuf, String)>> {
    let names = Names::of(new.name);
    let key = new.category.template_key();
    let template = Names::of(key);
    let sdk = match new.sdk {
        Some(sdk) => checkout(sdk)?,
        None => PathBuf::from("sdk").join(SDK),
    };
    let sdk = toml::Value::from(sdk.to_string_lossy().into_owned());

    let mut files = Vec::new();
    for (path, text) in FILES {
        if let Some(path) = path.strip_prefix(TEMPLATE) {
            let text = names.in_place_of(&template, text);
            let text = text.replace(SDK_OF_TEMPLATE, &format!("path = {sdk}"));
            files.push((PathBuf::from(path), text));
        } else if new.sdk.is_none() {
            let text = match *path {
                "Cargo.toml" => sdk_workspace(text)?,
                _ => (*text).to_owned(),
            };
            files.push((Path::new("sdk").join(path), text));
        }
    }
    Ok(files)
}

/// The absolute path of the SDK in a checkout.
fn checkout(sdk: &Path) -> Result<PathBuf> {
    let shown = sdk.display();
    let manifest = fs::read_to_string(sdk.join("Cargo.toml")).unwrap_or_default();
    if !manifest.contains("name = \"rollout-connector\"") {
        bail!("{shown} is not the SDK; name the folder {SDK} of a checkout");
    }
    fs::canonicalize(sdk).with_context(|| format!("can't open {shown}"))
}

/// The repository's workspace as far as the SDK inherits from it.
fn sdk_workspace(repository: &str) -> Result<String> {
    let whole: toml::Table = toml::from_str(repository)?;
    let sdk: toml::Table = toml::from_str(embedded("guest-sdk/rust/Cargo.toml")?)?;
    let mut used = Vec::new();
    dependencies(&sdk, &mut used);

    let whole = whole.get("workspace").and_then(toml::Value::as_table);
    let mut workspace = whole
        .context("the repository's Cargo.toml has no workspace")?
        .clone();
    workspace.retain(|key, _| matches!(key, "resolver" | "package" | "dependencies" | "lints"));
    workspace.insert("members".to_owned(), vec![SDK].into());
    if let Some(known) = workspace
        .get_mut("dependencies")
        .and_then(toml::Value::as_table_mut)
    {
        known.retain(|name, _| used.iter().any(|used| used == name));
    }
    let text = toml::to_string(&toml::Table::from_iter([(
        "workspace".to_owned(),
        toml::Value::Table(workspace),
    )]))?;
    Ok(format!(
        "# The SDK for connectors, as it is in Rollout's repository.\n{text}"
    ))
}

/// The names of all dependencies in a package's manifest, whatever they are for.
fn dependencies(table: &toml::Table, names: &mut Vec<String>) {
    for (key, value) in table {
        match value {
            toml::Value::Table(table) if key.ends_with("dependencies") => {
                names.extend(table.keys().cloned());
            }
            toml::Value::Table(table) => dependencies(table, names),
            _ => {}
        }
    }
}

fn embedded(path: &str) -> Result<&'static str> {
    let found = FILES.iter().find(|(known, _)| *known == path);
    found
        .map(|(_, text)| *text)
        .with_context(|| format!("{path} is not in this program"))
}

/// Writes the files beside `dir` and renames: it is there as a whole or not at all.
fn place(dir: &Path, files: &[(PathBuf, String)]) -> Result<()> {
    let shown = dir.display();
    let name = dir
        .file_name()
        .with_context(|| format!("`{shown}` is no new folder; give it a name"))?;
    let there = fs::read_dir(dir).map(|mut entries| entries.next().is_some());
    match there {
        Ok(false) => {}
        Ok(true) => bail!("{shown} is there and not empty; name another folder with --dir DIR"),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(error).with_context(|| format!("can't use {shown}")),
    }
    let parent = match dir.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let new = parent.join(format!(
        ".{}.new-{}",
        name.to_string_lossy(),
        std::process::id()
    ));
    let placed = write(&new, files).and_then(|()| fs::rename(&new, dir));
    if placed.is_err() {
        // Whatever is left there is of no use; that it went wrong is said below.
        let _ = fs::remove_dir_all(&new);
    }
    placed.with_context(|| format!("can't write {shown}"))
}

fn write(folder: &Path, files: &[(PathBuf, String)]) -> std::io::Result<()> {
    for (path, text) in files {
        let file = folder.join(path);
        if let Some(parent) = file.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(file, text)?;
    }
    Ok(())
}

/// A key in the spellings in which it appears.
struct Names([String; 5]);

impl Names {
    fn of(key: &str) -> Self {
        let words = || key.split('-');
        let title = words().map(capital).collect::<Vec<_>>().join(" ");
        Self([
            key.to_owned(),
            snake(key),
            words().map(capital).collect(),
            // As people write it.
            title.replace("Crm", "CRM"),
            words().collect(),
        ])
    }

    /// The text with each spelling in place of the other's.
    fn in_place_of(&self, other: &Self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        let found = |rest: &str| {
            let places = other.0.iter().zip(&self.0);
            places
                .filter_map(|(from, to)| Some((rest.find(from.as_str())?, from.len(), to.clone())))
                .min_by_key(|(at, ..)| *at)
        };
        while let Some((at, length, to)) = found(rest) {
            let (before, after) = rest.split_at(at);
            out.push_str(before);
            out.push_str(&to);
            rest = after.get(length..).unwrap_or_default();
        }
        out + rest
    }
}

fn snake(key: &str) -> String {
    key.replace('-', "_")
}

fn capital(word: &str) -> String {
    let mut letters = word.chars();
    let first = letters.next().map(|first| first.to_ascii_uppercase());
    first.into_iter().chain(letters).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn every_spelling_is_replaced_once() {
        let names = |key| Names::of(key);
        let text = "tiny-crm tiny_crm TinyCrm `Tiny CRM` api.tinycrm.example";
        assert_eq!(
            names("box").in_place_of(&names("tiny-crm"), text),
            "box box Box `Box` api.box.example"
        );
        assert_eq!(
            names("my-tinycrm").in_place_of(&names("tiny-crm"), text),
            "my-tinycrm my_tinycrm MyTinycrm `My Tinycrm` api.mytinycrm.example"
        );
    }

    #[test]
    fn keys_are_those_of_manifests() {
        check_key("tiny-crm").unwrap();
        check_key("x1").unwrap();
        for name in [
            "",
            "Tiny",
            "tiny_crm",
            "-tiny",
            "tiny-",
            "1crm",
            "a b",
            "../x",
            "\"",
            &"a".repeat(65),
        ] {
            let told = check_key(name).unwrap_err().to_string();
            assert!(told.contains("is no app key"), "{name}: {told}");
        }
    }

    /// Whatever the SDK inherits stands in the workspace that is made for it.
    #[test]
    fn the_sdks_workspace_has_what_it_inherits_and_no_more() {
        let text = sdk_workspace(embedded("Cargo.toml").unwrap()).unwrap();
        let made: toml::Table = toml::from_str(&text).unwrap();
        let workspace = made.get("workspace").unwrap().as_table().unwrap();
        let known = workspace.get("dependencies").unwrap().as_table().unwrap();
        let mut used = Vec::new();
        let sdk = toml::from_str(embedded("guest-sdk/rust/Cargo.toml").unwrap()).unwrap();
        dependencies(&sdk, &mut used);
        used.sort();
        used.dedup();
        let mut known: Vec<_> = known.keys().cloned().collect();
        known.sort();
        assert_eq!(known, used);
        assert!(workspace.contains_key("package") && workspace.contains_key("lints"));
    }
}
