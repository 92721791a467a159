//! The OpenAPI document of a category, from which clients are generated.
//!
//! Nothing in it is written for one endpoint: paths, schemas and examples come from the entities, and what can go
//! wrong from the [`Refusal`]s that the server hands in.

mod answers;
mod examples;
mod parameters;
mod paths;
mod schemas;

use serde_json::{Map, Value, json};

use self::paths::Paths;
use crate::catalog::Catalog;
use crate::category::Category;

/// Said of entities that clients of other hosts do not know.
const EXTENSION: &str = " An extension of this host: not in the original API.";

/// What is asked of a category.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// A page of records.
    List,
    /// One record.
    Get,
    /// A new record.
    Create,
    /// Changes of a record.
    Update,
    /// A record's end.
    Delete,
    /// An operation on a record, `tags/apply`.
    Perform,
    /// What happened to the account's records.
    Feed,
}

impl Ask {
    /// All that can be asked.
    pub const ALL: [Ask; 7] = [
        Ask::List,
        Ask::Get,
        Ask::Create,
        Ask::Update,
        Ask::Delete,
        Ask::Perform,
        Ask::Feed,
    ];

    /// Whether nothing is changed by it.
    fn reads(self) -> bool {
        matches!(self, Ask::List | Ask::Get | Ask::Feed)
    }
}

/// An error answer, for the document.
#[derive(Clone, Debug)]
pub struct Refusal {
    /// As it stands in `errors[].code`.
    pub code: &'static str,
    /// The HTTP status.
    pub status: u16,
    /// Why it happens, in a sentence.
    pub cause: &'static str,
    /// A body with this code.
    pub example: Value,
    /// The headers that it has beside those of every answer, in lower case: `retry-after`.
    pub headers: Vec<String>,
    /// What it can be the answer to.
    pub to: Vec<Ask>,
}

/// The document for `category`, in OpenAPI 3.1. `server_url` is where the paths begin:
/// `https://crm.example.com/api`. `refusals` are all error answers.
pub fn openapi(
    catalog: &Catalog,
    category: Category,
    server_url: &str,
    refusals: &[Refusal],
) -> Value {
    let writer = Paths {
        server_url,
        refusals,
    };
    let mut paths = Map::new();
    let mut schemas = schemas::shared();
    let mut tags = Vec::new();
    for entity in catalog.entities_of(category) {
        paths.extend(writer.of(entity));
        schemas.extend(schemas::of(entity));
        let extension = if entity.extension { EXTENSION } else { "" };
        let description = format!("{}{extension}", entity.description);
        tags.push(json!({ "name": entity.path, "description": description }));
    }
    paths.insert("/events-feed".into(), writer.feed());
    tags.push(
        json!({ "name": "events-feed", "description": "What happened to records, in order." }),
    );
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": title(category),
            "version": format!("{}.0.0", Catalog::VERSION),
            "description": "One API for every connected app. Reads are answered from this host's own copy, which is kept \
                            in step with the app; writes go to the app at once."
        },
        "servers": [{ "url": server_url }],
        "security": [{ "token": [], "credential": [] }],
        "tags": tags,
        "paths": paths,
        "components": {
            "securitySchemes": {
                "token": {
                    "type": "http", "scheme": "bearer", "bearerFormat": "JWT",
                    "description": "A token signed with the environment's client secret, HS512. `sub` is the consumer."
                },
                "credential": {
                    "type": "apiKey", "in": "header", "name": "X-Rollout-Credential-Id",
                    "description": "The credential whose records are meant."
                }
            },
            "parameters": parameters::shared(),
            "responses": answers::refused(refusals),
            "headers": answers::headers(),
            "examples": answers::examples(refusals),
            "schemas": schemas
        }
    })
}

fn title(category: Category) -> &'static str {
    match category {
        Category::Crm => "CRM API",
        Category::Tms => "Transaction management API",
        Category::Los => "Loan origination API",
        Category::Email => "Email API",
        Category::Calendar => "Calendar API",
    }
}

/// `Text message` as `TextMessage`, `tags/apply` as `TagsApply`: the words of generated code.
fn pascal_case(text: &str) -> String {
    let words = text
        .split(|letter: char| !letter.is_alphanumeric())
        .filter(|word| !word.is_empty());
    words
        .flat_map(|word| {
            let mut letters = word.chars();
            let first = letters
                .next()
                .into_iter()
                .flat_map(char::to_uppercase)
                .collect::<String>();
            [first, letters.as_str().to_owned()]
        })
        .collect()
}
