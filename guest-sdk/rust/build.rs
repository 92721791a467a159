//! Makes a type of every entity of the catalogue (`wit/entities/CATEGORY/ENTITY.json`).
//!
//! Writing is spelled out: `None` is left out, custom fields follow the others.
//! Reading, which only writes to the app use, is derived with serde.
//! The files themselves are listed for the test kit.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

use serde_json::{Map, Value};

/// Made by the host; connectors never send them.
const HOST: &str = "x-host";

fn main() -> Result<(), Box<dyn Error>> {
    let manifest_dir = env::var("CARGO_MANIFEST_DIR")?;
    let catalogue = Path::new(&manifest_dir).join("../../wit/entities");
    println!("cargo::rerun-if-changed={}", catalogue.display());
    println!("cargo::rerun-if-changed=build.rs");
    let mut code = String::new();
    let mut files =
        String::from("/// Category, name and text.\nconst FILES: &[(&str, &str, &str)] = &[\n");
    for category in sorted(&catalogue)? {
        if category.is_dir() {
            module(&category, &mut code, &mut files)?;
        }
    }
    files.push_str("];\n");
    let out = env::var("OUT_DIR")?;
    fs::write(Path::new(&out).join("entities.rs"), code)?;
    Ok(fs::write(Path::new(&out).join("catalogue.rs"), files)?)
}

fn sorted(directory: &Path) -> Result<Vec<PathBuf>, Box<dyn Error>> {
    let mut paths = fs::read_dir(directory)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<Vec<_>, _>>()?;
    paths.sort();
    Ok(paths)
}

fn module(category: &Path, code: &mut String, files: &mut String) -> Result<(), Box<dyn Error>> {
    let name = stem(category);
    writeln!(code, "/// Entities of the category `{name}`.")?;
    writeln!(code, "pub mod {name} {{ use super::*;")?;
    for file in sorted(category)? {
        if file
            .extension()
            .is_some_and(|extension| extension == "json")
        {
            println!("cargo::rerun-if-changed={}", file.display());
            writeln!(
                files,
                "({name:?}, {:?}, include_str!({:?})),",
                stem(&file),
                file.display().to_string()
            )?;
            let schema: Value = serde_json::from_str(&fs::read_to_string(&file)?)
                .map_err(|error| format!("{}: {error}", file.display()))?;
            let title = pascal(
                schema
                    .get("title")
                    .and_then(Value::as_str)
                    .unwrap_or("Record"),
            );
            let doc = text(&schema, "description");
            let mut types = Types::default();
            types.add(&title, &schema, &format!("{doc} Entity `{}`.", stem(&file)));
            code.extend(types.0.into_values());
        }
    }
    code.push_str("}\n");
    Ok(())
}

fn stem(path: &Path) -> String {
    path.file_stem()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

/// The types of one entity, by name.
#[derive(Default)]
struct Types(BTreeMap<String, String>);

/// One field of a type.
struct Field<'a> {
    name: &'a str,
    member: String,
    kind: String,
    borrows: bool,
    doc: String,
}

impl Types {
    /// Adds the type of an object; answers whether it borrows.
    fn add(&mut self, name: &str, schema: &Value, doc: &str) -> bool {
        let empty = Map::new();
        let properties = schema
            .get("properties")
            .and_then(Value::as_object)
            .unwrap_or(&empty);
        let fields: Vec<Field<'_>> = properties
            .iter()
            .filter(|(_, schema)| schema.get(HOST).and_then(Value::as_bool) != Some(true))
            .map(|(field, schema)| self.field(name, field, schema))
            .collect();
        let custom = schema.get("x-custom-fields").and_then(Value::as_bool) == Some(true);
        let borrows = custom || fields.iter().any(|field| field.borrows);
        let code = write_type(name, &fields, custom, borrows, doc);
        self.0.insert(name.to_owned(), code.unwrap_or_default());
        borrows
    }

    fn field<'a>(&mut self, owner: &str, name: &'a str, schema: &Value) -> Field<'a> {
        let (kind, borrows) = self.kind(owner, name, schema);
        let mut doc = text(schema, "description").to_owned();
        if let Some(entity) = schema.get("x-reference").and_then(Value::as_str) {
            doc = format!("{doc} The app's id of one of `{entity}`.");
        }
        if schema.get("writeOnly").and_then(Value::as_bool) == Some(true) {
            doc = format!("{doc} Sent to the app only; never stored.");
        }
        if doc.trim().is_empty() {
            doc = format!("`{name}`.");
        }
        Field {
            name,
            member: snake(name),
            kind,
            borrows,
            doc: doc.trim().to_owned(),
        }
    }

    /// The Rust type of a schema, and whether it borrows.
    fn kind(&mut self, owner: &str, name: &str, schema: &Value) -> (String, bool) {
        let reference = schema.get("x-reference").is_some();
        match json_type(schema) {
            "string" if reference => ("Id<'a>".into(), true),
            "string" => ("Cow<'a, str>".into(), true),
            "number" => ("f64".into(), false),
            "integer" => ("i64".into(), false),
            "boolean" => ("bool".into(), false),
            "array" => {
                let item = schema.get("items").unwrap_or(&Value::Null);
                let (item, borrows) = self.kind(owner, &singular(name), item);
                (format!("Vec<{item}>"), borrows)
            }
            "object" if schema.get("properties").is_some() => {
                let nested = format!("{owner}{}", pascal(name));
                let doc = format!("`{name}` of [`{owner}`].");
                let borrows = self.add(&nested, schema, &doc);
                (format!("{nested}{}", lifetime(borrows)), borrows)
            }
            _ => ("serde_json::Value".into(), false),
        }
    }
}

fn write_type(
    name: &str,
    fields: &[Field<'_>],
    custom: bool,
    borrows: bool,
    doc: &str,
) -> Result<String, std::fmt::Error> {
    let mut code = String::new();
    let out = &mut code;
    let generics = lifetime(borrows);
    writeln!(out, "/// {doc}")?;
    writeln!(out, "#[derive(Debug, Clone, Default, Deserialize)]")?;
    if borrows {
        writeln!(out, "#[serde(default, bound(deserialize = \"'de: 'a\"))]")?;
    } else {
        writeln!(out, "#[serde(default)]")?;
    }
    writeln!(out, "pub struct {name}{generics} {{")?;
    for Field {
        name,
        member,
        kind,
        doc,
        ..
    } in fields
    {
        writeln!(out, "/// {doc}")?;
        writeln!(out, "#[serde(rename = \"{name}\")]")?;
        writeln!(out, "pub {member}: Option<{kind}>,")?;
    }
    if custom {
        writeln!(out, "/// The custom fields.")?;
        writeln!(out, "#[serde(flatten)] pub custom: Custom<'a>,")?;
    }
    writeln!(out, "}}")?;

    let anonymous = if borrows { "<'_>" } else { "" };
    writeln!(out, "impl Write for {name}{anonymous} {{")?;
    writeln!(out, "fn write(&self, out: &mut Writer) {{ out.begin();")?;
    for Field { name, member, .. } in fields {
        writeln!(
            out,
            "if let Some(value) = &self.{member} {{ out.plain_name(br#\"\"{name}\":\"#); value.write(out); }}"
        )?;
    }
    if custom {
        writeln!(out, "self.custom.write(out);")?;
    }
    writeln!(out, "out.end(); }} }}")?;
    Ok(code)
}

fn lifetime(borrows: bool) -> &'static str {
    if borrows { "<'a>" } else { "" }
}

/// The type that a schema names, leaving out null.
fn json_type(schema: &Value) -> &str {
    let kind = schema.get("type").unwrap_or(&Value::Null);
    match kind {
        Value::String(kind) => kind,
        Value::Array(kinds) => {
            let mut kinds = kinds
                .iter()
                .filter_map(Value::as_str)
                .filter(|kind| *kind != "null");
            match (kinds.next(), kinds.next()) {
                (Some(kind), None) => kind,
                _ => "any",
            }
        }
        _ => "any",
    }
}

fn text<'a>(schema: &'a Value, key: &str) -> &'a str {
    schema.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn pascal(name: &str) -> String {
    name.split(|character: char| !character.is_alphanumeric())
        .flat_map(|word| {
            let mut characters = word.chars();
            let first = characters.next().map(|first| first.to_ascii_uppercase());
            first.into_iter().chain(characters)
        })
        .collect()
}

fn snake(name: &str) -> String {
    let mut snake = String::new();
    for character in name.chars() {
        if character.is_ascii_uppercase() && !snake.is_empty() {
            snake.push('_');
        }
        snake.push(character.to_ascii_lowercase());
    }
    match snake.as_str() {
        "type" | "ref" | "use" | "move" | "match" | "box" | "where" | "in" | "for" => {
            format!("r#{snake}")
        }
        _ => snake,
    }
}

fn singular(name: &str) -> String {
    let ending = |ending, with: &str| {
        name.strip_suffix(ending)
            .map(|stem| format!("{stem}{with}"))
    };
    ending("ies", "y")
        .or_else(|| ending("sses", "ss"))
        .or_else(|| ending("s", ""))
        .unwrap_or_else(|| name.to_owned())
}
