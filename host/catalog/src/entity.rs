//! One entity: its fields, what may be done with it, and where it is stored.

use serde::Deserialize;
use serde_json::Value;

use crate::category::{Category, Verb};
use crate::embedded::EntityFile;
use crate::error::CatalogError;
use crate::filter::{Filter, Match, STANDARD_PARAMS};
use crate::node::{Member, Node, Object, Shape};
use crate::schema::{EntitySchema, OperationSchema, Schema, Type};
use crate::table::{CUSTOM_FIELDS, Column, Kind, snake_case};

/// An entity of the catalogue.
#[derive(Clone, Debug)]
pub struct Entity {
    /// The file's name: `textMessages`. Connectors, references and events use it.
    pub name: String,
    /// The categories it belongs to. One, except for the joint entities of [`crate::Catalog::by_name`].
    pub categories: Vec<Category>,
    /// The URL's path without a slash: `textMessages`, `smart-lists`.
    pub path: String,
    /// The array's key in list answers: `textmessages`.
    pub collection: String,
    /// The SQL table: `rollout_text_messages`.
    pub table: String,
    /// What one record is called: `Text message`.
    pub title: String,
    /// A sentence about it.
    pub description: String,
    /// Always synced.
    pub core: bool,
    /// This host's own: the API that it is compatible with has no such entity.
    pub extension: bool,
    /// The name in `entitiesToSync` that opts in; none: needs no opting in.
    pub flag: Option<String>,
    /// Place in the sync order, small first.
    pub order: u32,
    /// What can be done with its records, as far as the API goes; a connector may offer less.
    pub verbs: Vec<Verb>,
    /// Every field, in the order in which records are served.
    pub fields: Vec<Field>,
    /// The sub-actions.
    pub operations: Vec<Operation>,
    /// Whether fields named `custom…` pass.
    pub custom_fields: bool,
    /// The fields as a tree; its members are parallel to `fields`.
    pub(crate) record: Object,
    columns: Vec<Column>,
    /// Which column a field is landed in; parallel to `fields`.
    pub(crate) column_of: Vec<Option<usize>>,
    /// The column that tells kinds of records apart, if there are several.
    pub(crate) teller: Option<usize>,
}

/// A field of an entity.
#[derive(Clone, Debug)]
pub struct Field {
    /// The name in the API and in SQL.
    pub name: String,
    /// The name as it stands in JSON text, with quotes and colon: `"firstName":`.
    pub key: String,
    /// The column's kind.
    pub kind: Kind,
    /// Whether a record may have null here.
    pub nullable: bool,
    /// Made by the host; nobody sends it.
    pub host: bool,
    /// Accepted, never stored or served.
    pub write_only: bool,
    /// Whether `POST` takes it.
    pub create: Rule,
    /// Whether `PUT` takes it.
    pub update: Rule,
    /// Which records have it; none: all.
    pub only: Option<Only>,
    /// The entity whose records' ids it holds. Only for a field that is one id; ids inside lists and objects are found
    /// by [`Entity::references`].
    pub reference: Option<String>,
    /// The list's query parameter that looks at it.
    pub filter: Option<Filter>,
    /// The query parameter of `PUT` that, when true, adds to the list instead of replacing it: `mergeTags`.
    pub merge: Option<String>,
    /// The schema as the file has it.
    pub schema: Value,
}

impl Field {
    /// Whether the record's row has a column for it.
    pub fn stored(&self) -> bool {
        !self.write_only
    }
}

/// Records of an entity that comes in several kinds: those that have a certain field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Only {
    /// The field that tells the kinds apart, `type`: a text of a fixed list, set once.
    pub field: String,
    /// The kinds that have it.
    pub values: Vec<String>,
}

/// Whether a field may be in a body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Rule {
    /// It may not.
    #[default]
    No,
    /// It may.
    Optional,
    /// It must.
    Required,
}

/// A sub-action on a record.
#[derive(Clone, Debug)]
pub struct Operation {
    /// The name in manifests and for `perform`: `tags/apply`.
    pub name: String,
    /// The HTTP method: `POST`, unless the file says otherwise.
    pub method: String,
    /// The path after the record's: `tags/apply`. The name, unless the file says otherwise.
    pub path: String,
    /// A sentence about it.
    pub description: String,
    /// What its body names is taken off the record's lists, not put on them.
    pub removes: bool,
    /// The schema of its body.
    pub input: Value,
    pub(crate) node: Node,
}

impl Entity {
    /// The columns that [`Entity::land`] fills: the stored fields that connectors send, in the schema's order, and
    /// last `customFields`, if there are custom fields.
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// A field by its name.
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.fields.get(self.record.find(name, 0)?)
    }

    /// The query parameters of the list beside [`STANDARD_PARAMS`].
    pub fn filters(&self) -> impl Iterator<Item = &Filter> {
        self.fields.iter().filter_map(|field| field.filter.as_ref())
    }

    /// An operation by its name, `tags/apply`.
    pub fn operation(&self, name: &str) -> Option<&Operation> {
        self.operations
            .iter()
            .find(|operation| operation.name == name)
    }

    /// Whether a field of this name is a custom one: `custom` and then anything but a small letter, so that
    /// `customerId` is not.
    pub fn is_custom(&self, name: &str) -> bool {
        self.custom_fields
            && name
                .strip_prefix("custom")
                .and_then(|rest| rest.chars().next())
                .is_some_and(|next| !next.is_ascii_lowercase())
    }

    pub(crate) fn read(category: Category, file: EntityFile<'_>) -> Result<Entity, CatalogError> {
        let label = format!("{}/{}.json", file.category, file.name);
        let fault = |message: String| CatalogError::File {
            file: label.clone(),
            message,
        };
        let schema: EntitySchema =
            serde_json::from_str(file.text).map_err(|error| fault(error.to_string()))?;
        Entity::build(category, file.name, schema).map_err(|blame| match blame {
            Blame::File(message) => fault(message),
            Blame::Field(field, message) => CatalogError::Field {
                file: label.clone(),
                field,
                message,
            },
        })
    }

    fn build(category: Category, name: &str, schema: EntitySchema) -> Result<Entity, Blame> {
        if schema.kind != Type::Object || !schema.dialect.ends_with("/2020-12/schema") {
            return Err(Blame::File(
                "must be a JSON Schema 2020-12 of an object".into(),
            ));
        }
        let mut fields = Vec::new();
        let mut members = Vec::new();
        for (name, property) in schema.properties {
            let (field, node) = Field::read(&name, property)
                .map_err(|message| Blame::Field(name.clone(), message))?;
            members.push(Member::new(&name, node, field.create == Rule::Required));
            fields.push(field);
        }
        let mut operations = Vec::new();
        for (name, operation) in schema.operations {
            let read = Operation::read(&name, operation);
            operations.push(
                read.map_err(|message| Blame::File(format!("x-operations: {name}: {message}")))?,
            );
        }
        let head = schema.head;
        let mut entity = Entity {
            categories: vec![category],
            path: head.path.unwrap_or_else(|| name.to_owned()),
            collection: head.collection,
            table: format!("rollout_{}", snake_case(name)),
            name: name.to_owned(),
            title: schema.title,
            description: schema.description,
            core: head.core,
            extension: head.extension,
            flag: head.flag,
            order: head.order,
            verbs: head.verbs.unwrap_or_else(|| Verb::ALL.to_vec()),
            operations,
            custom_fields: schema.custom_fields,
            record: Object::new(members),
            columns: Vec::new(),
            column_of: Vec::new(),
            teller: None,
            fields,
        };
        entity.check_kinds()?;
        entity.lay_out();
        Ok(entity)
    }

    /// The field that tells kinds of records apart, if there are several, and its values.
    pub fn kinds(&self) -> Option<(&Field, &[String])> {
        let only = self.fields.iter().find_map(|field| field.only.as_ref())?;
        match &self.record.get(&only.field)?.node.shape {
            Shape::Text(values) => Some((self.field(&only.field)?, values)),
            _ => None,
        }
    }

    /// `x-only` must be about one field, which every record has and keeps.
    fn check_kinds(&self) -> Result<(), Blame> {
        let Some(by) = self.fields.iter().find_map(|field| field.only.as_ref()) else {
            return Ok(());
        };
        for field in &self.fields {
            let Some(only) = &field.only else { continue };
            let blame = |message: &str| Err(Blame::Field(field.name.clone(), message.to_owned()));
            if only.field != by.field {
                return blame("x-only: an entity's kinds are told apart by one field");
            }
            let (Some(teller), Some((_, kinds))) = (self.field(&only.field), self.kinds()) else {
                return blame("x-only: names no text field with an `enum`");
            };
            let fixed = teller.create == Rule::Required && teller.update == Rule::No;
            if teller.nullable || teller.only.is_some() || teller.write_only || !fixed {
                return blame(
                    "x-only: the field that it names must be required when a record is created, and stay",
                );
            }
            if kinds.is_empty() || !only.values.iter().all(|value| kinds.contains(value)) {
                return blame(
                    "x-only: has a value that is not in the `enum` of the field that it names",
                );
            }
        }
        Ok(())
    }

    /// Gives every field that a connector sends its column.
    fn lay_out(&mut self) {
        self.columns.clear();
        self.column_of.clear();
        for field in &self.fields {
            let landed = field.stored() && !field.host;
            self.column_of.push(landed.then_some(self.columns.len()));
            if landed {
                self.columns.push(field.column());
            }
        }
        self.columns.extend(self.custom_column());
        let only = self.fields.iter().find_map(|field| field.only.as_ref());
        self.teller = only
            .and_then(|only| self.record.find(&only.field, 0))
            .and_then(|at| self.column_of.get(at).copied().flatten());
    }

    /// The column of the custom fields, if there are any.
    pub(crate) fn custom_column(&self) -> Option<Column> {
        let column = Column {
            name: CUSTOM_FIELDS.to_owned(),
            kind: Kind::Json,
            nullable: true,
        };
        self.custom_fields.then_some(column)
    }

    /// Takes in what `other`, the same entity of another category, has beyond this one, so that one record serves
    /// both. What both have stays as strict as the stricter: a value that is null here only is never null.
    pub(crate) fn join(&mut self, other: &Entity) {
        for (field, member) in other.fields.iter().zip(&other.record.members) {
            match self.fields.iter().position(|mine| mine.name == field.name) {
                None => {
                    self.fields.push(field.clone());
                    self.record.members.push(member.clone());
                }
                Some(at) => {
                    if let (Some(mine), Some(my_member)) =
                        (self.fields.get_mut(at), self.record.members.get_mut(at))
                    {
                        my_member.node.join(&member.node);
                        mine.nullable = my_member.node.nullable;
                    }
                }
            }
        }
        for operation in &other.operations {
            if self.operation(&operation.name).is_none() {
                self.operations.push(operation.clone());
            }
        }
        self.categories.extend(&other.categories);
        self.core |= other.core;
        self.flag = self.flag.take().or_else(|| other.flag.clone());
        self.order = self.order.min(other.order);
        self.custom_fields |= other.custom_fields;
        self.verbs = Verb::ALL
            .into_iter()
            .filter(|v| self.verbs.contains(v) || other.verbs.contains(v))
            .collect();
        self.record = Object::new(std::mem::take(&mut self.record.members));
        self.lay_out();
    }
}

/// What a fault is about.
enum Blame {
    File(String),
    Field(String, String),
}

impl Field {
    /// The column that stores it.
    pub(crate) fn column(&self) -> Column {
        Column {
            name: self.name.clone(),
            kind: self.kind,
            nullable: self.nullable || self.only.is_some(),
        }
    }

    fn read(name: &str, property: Value) -> Result<(Field, Node), String> {
        let schema: Schema = Schema::deserialize(&property).map_err(|error| error.to_string())?;
        let node = Node::compile(&schema)?;
        if name == CUSTOM_FIELDS {
            return Err("this name is taken by the column of the custom fields".into());
        }
        let settable = schema.create != Rule::No || schema.update != Rule::No;
        if schema.host && (schema.write_only || settable) {
            return Err("x-host goes with none of writeOnly, x-create and x-update: nobody sends such a field".into());
        }
        if schema.write_only && !settable {
            return Err(
                "a writeOnly field needs x-create or x-update: it is of no use otherwise".into(),
            );
        }
        if schema.shared.is_some() && !schema.host {
            return Err("`$ref` is for fields of the host".into());
        }
        if schema.merge.is_some()
            && (schema.update == Rule::No || !matches!(node.shape, Shape::List(_)))
        {
            return Err("x-merge is for lists that may be updated".into());
        }
        let filter = match schema.filter {
            None => None,
            Some(filter) if STANDARD_PARAMS.contains(&filter.param.as_str()) => {
                return Err(format!(
                    "x-filter: every list has a parameter `{}` already",
                    filter.param
                ));
            }
            Some(filter) if schema.write_only || !filter.matches.suits(&node.shape) => {
                return Err("x-filter: `match` does not go with this field".into());
            }
            Some(filter) => Some(Filter {
                param: filter.param,
                field: name.to_owned(),
                matches: filter.matches,
            }),
        };
        let only = match schema.only.map(|only| only.0) {
            None => None,
            Some(_) if schema.host || schema.write_only => {
                return Err("x-only is for fields that connectors send and records show".into());
            }
            Some(mut kinds) => match (kinds.pop(), kinds.is_empty()) {
                (Some((field, values)), true) => Some(Only { field, values }),
                _ => return Err("x-only names one field and its values".into()),
            },
        };
        let field = Field {
            name: name.to_owned(),
            key: Member::new(name, node.clone(), false).key,
            kind: node.kind(),
            nullable: node.nullable,
            host: schema.host,
            write_only: schema.write_only,
            create: schema.create,
            update: schema.update,
            only,
            reference: schema.reference,
            filter,
            merge: schema.merge,
            schema: property,
        };
        Ok((field, node))
    }
}

impl Match {
    fn suits(self, shape: &Shape) -> bool {
        match (self, shape) {
            (Match::Equals, Shape::List(_) | Shape::Object(_) | Shape::Any(_)) => false,
            (Match::Equals, _) | (Match::Digits, Shape::Text(_)) => true,
            (Match::AnyItem, Shape::List(items)) => {
                matches!(items.shape, Shape::Text(_) | Shape::Reference(_))
            }
            (Match::EntryValue | Match::EntryDigits, Shape::List(items)) => match &items.shape {
                Shape::Object(entry) => entry.get("value").is_some(),
                _ => false,
            },
            _ => false,
        }
    }
}

impl Operation {
    fn read(name: &str, operation: Value) -> Result<Operation, String> {
        let operation: OperationSchema =
            serde_json::from_value(operation).map_err(|error| error.to_string())?;
        let schema: Schema =
            Schema::deserialize(&operation.input).map_err(|error| error.to_string())?;
        let node = Node::compile(&schema)?;
        if !matches!(node.shape, Shape::Object(_)) {
            return Err("`input` must be an object with properties".into());
        }
        Ok(Operation {
            name: name.to_owned(),
            method: operation.method.unwrap_or_else(|| "POST".to_owned()),
            path: operation.path.unwrap_or_else(|| name.to_owned()),
            description: operation.description,
            removes: operation.removes,
            input: operation.input,
            node,
        })
    }
}
