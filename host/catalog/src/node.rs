//! What a value may be: a schema compiled into the tree that reading and checking walk along.

use std::collections::HashMap;

use crate::schema::{Schema, Type};
use crate::table::Kind;

/// A place in a document and what may stand there.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) shape: Shape,
    pub(crate) nullable: bool,
}

#[derive(Clone, Debug)]
pub(crate) enum Shape {
    /// Text, one of these if there are any.
    Text(Vec<String>),
    /// The id of a record of this entity.
    Reference(String),
    Time,
    Number,
    Integer,
    Boolean,
    List(Box<Node>),
    Object(Object),
    /// Any JSON of these types, kept as it is; none means all.
    Any(Vec<Type>),
}

/// An object with known members.
#[derive(Clone, Debug, Default)]
pub(crate) struct Object {
    pub(crate) members: Vec<Member>,
    places: HashMap<String, usize>,
}

#[derive(Clone, Debug)]
pub(crate) struct Member {
    pub(crate) name: String,
    /// The name as it stands in JSON text: with quotes and colon.
    pub(crate) key: String,
    pub(crate) node: Node,
    pub(crate) required: bool,
}

impl Object {
    pub(crate) fn new(members: Vec<Member>) -> Object {
        let places = members
            .iter()
            .enumerate()
            .map(|(at, member)| (member.name.clone(), at))
            .collect();
        Object { members, places }
    }

    /// Where a member is. Documents mostly have their keys in the schema's order and lack some, so `expected` and those
    /// behind it are tried first.
    pub(crate) fn find(&self, name: &str, expected: usize) -> Option<usize> {
        const AHEAD: usize = 6;
        let ahead = self.members.get(expected..).unwrap_or_default();
        let near = ahead
            .iter()
            .take(AHEAD)
            .position(|member| member.name == name);
        near.map(|at| expected + at)
            .or_else(|| self.places.get(name).copied())
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Member> {
        self.members.get(*self.places.get(name)?)
    }
}

impl Member {
    pub(crate) fn new(name: &str, node: Node, required: bool) -> Member {
        let mut key = String::new();
        crate::json::push_text(&mut key, name);
        key.push(':');
        Member {
            name: name.to_owned(),
            key,
            node,
            required,
        }
    }
}

impl Node {
    /// The kind of column that holds such a value.
    pub(crate) fn kind(&self) -> Kind {
        match self.shape {
            Shape::Text(_) | Shape::Reference(_) => Kind::Text,
            Shape::Time => Kind::DateTime,
            Shape::Number => Kind::Number,
            Shape::Integer => Kind::Integer,
            Shape::Boolean => Kind::Boolean,
            Shape::List(_) | Shape::Object(_) | Shape::Any(_) => Kind::Json,
        }
    }

    pub(crate) fn compile(schema: &Schema) -> Result<Node, String> {
        if let Some(shared) = &schema.shared {
            return match shared.as_str() {
                "#/$defs/originalIds" | "#/$defs/original" => Ok(Node {
                    shape: Shape::Any(vec![Type::Object]),
                    nullable: false,
                }),
                other => Err(format!(
                    "`$ref` is {other}; only #/$defs/originalIds and #/$defs/original are shared"
                )),
            };
        }
        let types = &schema.types.0;
        let nullable = types.is_empty() || types.contains(&Type::Null);
        let types: Vec<Type> = types
            .iter()
            .copied()
            .filter(|kind| *kind != Type::Null)
            .collect();
        let shape = match types.as_slice() {
            [Type::String] => Shape::text(schema)?,
            [Type::Number] => Shape::Number,
            [Type::Integer] => Shape::Integer,
            [Type::Boolean] => Shape::Boolean,
            [Type::Array] if schema.items.is_some() => Shape::list(schema)?,
            [Type::Object] if schema.properties.is_some() => Shape::object(schema)?,
            _ => Shape::Any(types),
        };
        shape.suits(schema)?;
        let node = Node { shape, nullable };
        for example in &schema.examples {
            node.check(example).map_err(|issues| {
                let issues = issues
                    .iter()
                    .map(|one| format!("{} {}", one.pointer, one.message));
                let issues: Vec<String> = issues.collect();
                format!("`examples`: {example}: {}", issues.join("; "))
            })?;
        }
        Ok(node)
    }

    fn compile_part(schema: &Schema) -> Result<Node, String> {
        if schema.says_what_only_a_field_can() {
            return Err("x-host, x-create, x-update, x-filter, x-merge and writeOnly are for whole fields only".into());
        }
        Node::compile(schema)
    }
}

impl Shape {
    /// What stands there, for people.
    pub(crate) fn expected(&self) -> &'static str {
        match self {
            Shape::Text(_) => "a text",
            Shape::Reference(_) => "the id of a record, as a text",
            Shape::Time => "a time",
            Shape::Number => "a number",
            Shape::Integer => "a whole number",
            Shape::Boolean => "true or false",
            Shape::List(_) => "a list",
            Shape::Object(_) => "an object",
            Shape::Any(types) => match types.as_slice() {
                [Type::Array] => "a list",
                [Type::Object] => "an object",
                [Type::String, Type::Number] => "a text or a number",
                _ => "a value of another type",
            },
        }
    }

    fn text(schema: &Schema) -> Result<Shape, String> {
        if let Some(entity) = &schema.reference {
            return Ok(Shape::Reference(entity.clone()));
        }
        match schema.format.as_deref() {
            Some("date-time") => Ok(Shape::Time),
            Some("uuid") | None => Ok(Shape::Text(schema.one_of.clone())),
            Some(other) => Err(format!(
                "`format` is {other}; only date-time and uuid are known"
            )),
        }
    }

    fn list(schema: &Schema) -> Result<Shape, String> {
        match &schema.items {
            Some(items) => Ok(Shape::List(Box::new(Node::compile_part(items)?))),
            None => Ok(Shape::Any(vec![Type::Array])),
        }
    }

    fn object(schema: &Schema) -> Result<Shape, String> {
        let mut members = Vec::new();
        for (name, part) in schema
            .properties
            .iter()
            .flat_map(|properties| &properties.0)
        {
            let node = Node::compile_part(part).map_err(|message| format!("{name}: {message}"))?;
            members.push(Member::new(name, node, schema.required.contains(name)));
        }
        match schema
            .required
            .iter()
            .find(|name| !members.iter().any(|member| member.name == **name))
        {
            Some(unknown) => Err(format!(
                "`required` names `{unknown}`, which is not among the properties"
            )),
            None => Ok(Shape::Object(Object::new(members))),
        }
    }

    /// Keywords that would be without effect are mistakes.
    fn suits(&self, schema: &Schema) -> Result<(), String> {
        let text = matches!(self, Shape::Text(_) | Shape::Reference(_) | Shape::Time);
        let stray = [
            (
                "x-reference",
                schema.reference.is_some() && !matches!(self, Shape::Reference(_)),
            ),
            ("format", schema.format.is_some() && !text),
            (
                "enum",
                !schema.one_of.is_empty() && !matches!(self, Shape::Text(_)),
            ),
            (
                "items",
                schema.items.is_some() && !matches!(self, Shape::List(_)),
            ),
            (
                "properties",
                schema.properties.is_some() && !matches!(self, Shape::Object(_)),
            ),
            (
                "required",
                !schema.required.is_empty() && !matches!(self, Shape::Object(_)),
            ),
        ];
        match stray.iter().find(|(_, stray)| *stray) {
            Some((keyword, _)) => Err(format!("`{keyword}` does not go with this type")),
            None => Ok(()),
        }
    }
}

impl Node {
    /// Takes in the members that another category's schema has beyond this one's. Null stays only where both have it.
    pub(crate) fn join(&mut self, other: &Node) {
        self.nullable &= other.nullable;
        match (&mut self.shape, &other.shape) {
            (Shape::List(mine), Shape::List(theirs)) => mine.join(theirs),
            (Shape::Object(mine), Shape::Object(theirs)) => {
                let mut members = std::mem::take(&mut mine.members);
                for member in &theirs.members {
                    match members.iter_mut().find(|known| known.name == member.name) {
                        Some(known) => known.node.join(&member.node),
                        None => members.push(member.clone()),
                    }
                }
                *mine = Object::new(members);
            }
            _ => {}
        }
    }
}
