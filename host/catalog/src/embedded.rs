//! The entity files, compiled in.

/// One entity file: `wit/entities/CATEGORY/NAME.json`.
#[derive(Clone, Copy, Debug)]
pub struct EntityFile<'a> {
    /// The folder's name.
    pub category: &'a str,
    /// The file's name without `.json`; the entity's name.
    pub name: &'a str,
    /// What is in it.
    pub text: &'a str,
}

include!(concat!(env!("OUT_DIR"), "/entity_files.rs"));
