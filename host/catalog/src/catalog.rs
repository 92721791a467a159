//! All entities together: found by category and path, by name, and as tables.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::category::Category;
use crate::embedded::{EntityFile, FILES};
use crate::entity::Entity;
use crate::error::CatalogError;
use crate::table::{CUSTOM_FIELDS, Table};

/// Names that clients may send in `entitiesToSync` although no entity here has them: Rollout documents them, and a
/// product that opts in to everything must not fail.
const DOCUMENTED_FLAGS: [&str; 14] = [
    "notes",
    "tasks",
    "calls",
    "textMessages",
    "emailMessages",
    "appointments",
    "events",
    "emailThreads",
    "documents",
    "sources",
    "timeframes",
    "offices",
    "borrowers",
    "properties",
];

/// The catalogue of entities.
#[derive(Clone, Debug)]
pub struct Catalog {
    /// Every entity of every category, in sync order within its category.
    entities: Vec<Arc<Entity>>,
    /// One entity per name, with what all its categories have.
    joint: BTreeMap<String, Arc<Entity>>,
    tables: Vec<Table>,
    flags: BTreeSet<String>,
}

impl Catalog {
    /// Grows by one whenever an entity file changes what is stored. Rows carry it, so that an older binary beside a
    /// newer one never rewrites what the newer one stored.
    pub const VERSION: u32 = 1;

    /// The catalogue that is compiled in.
    pub fn embedded() -> Result<Catalog, CatalogError> {
        Catalog::of(FILES.iter().copied())
    }

    /// A catalogue of these files.
    pub fn of<'a>(
        files: impl IntoIterator<Item = EntityFile<'a>>,
    ) -> Result<Catalog, CatalogError> {
        let mut entities: Vec<Arc<Entity>> = Vec::new();
        let mut tables: Vec<Table> = Vec::new();
        let mut joint: BTreeMap<String, Arc<Entity>> = BTreeMap::new();
        for file in files {
            let label = format!("{}/{}.json", file.category, file.name);
            let fault = |message: String| CatalogError::File {
                file: label.clone(),
                message,
            };
            let category: Category = file
                .category
                .parse()
                .map_err(|error| fault(format!("{error}")))?;
            let entity = Arc::new(Entity::read(category, file)?);
            if let Some(other) = entities.iter().find(|other| other.clashes_with(&entity)) {
                return Err(fault(format!(
                    "`{}` of the same category has the same path, or an entity of the same name has another \
                     collection, or of another name the same table",
                    other.name
                )));
            }
            add_to_table(&mut tables, &entity, &label)?;
            match joint.get_mut(&entity.name) {
                Some(known) => Arc::make_mut(known).join(&entity),
                None => {
                    joint.insert(entity.name.clone(), Arc::clone(&entity));
                }
            }
            entities.push(entity);
        }
        entities.sort_by(|a, b| {
            (&a.categories, a.order, &a.name).cmp(&(&b.categories, b.order, &b.name))
        });
        tables.sort_by(|a, b| a.name.cmp(&b.name));
        let flags = entities.iter().filter_map(|entity| entity.flag.clone());
        let flags = flags.chain(DOCUMENTED_FLAGS.map(str::to_owned)).collect();
        Ok(Catalog {
            entities,
            joint,
            tables,
            flags,
        })
    }

    /// Every entity of every category; within a category in sync order.
    pub fn entities(&self) -> impl Iterator<Item = &Arc<Entity>> {
        self.entities.iter()
    }

    /// The entities of one category, in sync order.
    pub fn entities_of(&self, category: Category) -> impl Iterator<Item = &Arc<Entity>> {
        self.entities
            .iter()
            .filter(move |entity| entity.categories.contains(&category))
    }

    /// The categories that have entities.
    pub fn categories(&self) -> impl Iterator<Item = Category> {
        Category::ALL
            .into_iter()
            .filter(|category| self.entities_of(*category).next().is_some())
    }

    /// The entity that a category serves under this path: what an endpoint works with.
    pub fn entity(&self, category: Category, path: &str) -> Option<&Arc<Entity>> {
        self.entities_of(category)
            .find(|entity| entity.path == path)
    }

    /// The entity of this name, `people`: what synchronising works with. If several categories have the name, it has
    /// the fields of them all, because a connector sends a record once for all categories.
    pub fn by_name(&self, name: &str) -> Option<&Arc<Entity>> {
        self.joint.get(name)
    }

    /// The entities as [`Catalog::by_name`] finds them, sorted by name.
    pub fn names(&self) -> impl Iterator<Item = &Arc<Entity>> {
        self.joint.values()
    }

    /// The names that `entitiesToSync` may have, sorted. Some belong to no entity (yet) and have no effect.
    pub fn flags(&self) -> impl Iterator<Item = &str> {
        self.flags.iter().map(String::as_str)
    }

    /// The tables, sorted by name.
    pub fn tables(&self) -> &[Table] {
        &self.tables
    }
}

impl Entity {
    /// Whether the two cannot be in one catalogue.
    fn clashes_with(&self, other: &Entity) -> bool {
        let same_url = self.categories == other.categories && self.path == other.path;
        let same_name = self.name == other.name;
        same_url
            || same_name != (self.table == other.table)
            || (same_name && self.collection != other.collection)
    }
}

/// Gives the entity's table the columns that it still lacks.
fn add_to_table(tables: &mut Vec<Table>, entity: &Entity, file: &str) -> Result<(), CatalogError> {
    let known = tables
        .iter()
        .position(|table| table.name == entity.table)
        .map(|at| tables.remove(at));
    let Table { name, mut columns } = known.unwrap_or_else(|| Table {
        name: entity.table.clone(),
        columns: Vec::new(),
    });
    // The custom fields stay last.
    let custom = columns
        .pop_if(|last| last.name == CUSTOM_FIELDS)
        .or_else(|| entity.custom_column());
    let mut names = BTreeSet::new();
    for field in entity.fields.iter().filter(|field| field.stored()) {
        // SQLite compares the names of columns without case.
        if !names.insert(field.name.to_ascii_lowercase()) {
            return Err(CatalogError::Field {
                file: file.to_owned(),
                field: field.name.clone(),
                message: "differs from another field only in upper and lower case".to_owned(),
            });
        }
        match columns
            .iter_mut()
            .find(|column| column.name.eq_ignore_ascii_case(&field.name))
        {
            None => columns.push(field.column()),
            Some(column) if column.kind == field.kind && column.name == field.name => {
                column.nullable &= field.nullable;
            }
            Some(column) => {
                return Err(CatalogError::TwoKinds {
                    file: file.to_owned(),
                    table: name,
                    column: field.name.clone(),
                    first: column.kind,
                    second: field.kind,
                });
            }
        }
    }
    columns.extend(custom);
    tables.push(Table { name, columns });
    Ok(())
}
