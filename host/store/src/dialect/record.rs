//! Records as the API's JSON, written by the database.
//!
//! A row has some forty columns. Handing them over one by one costs the driver
//! an allocation or two each, three times the work of writing the record's
//! JSON inside the query and handing over one text; so that is what is done.

use rollout_catalog::{Entity, Field, Kind, Match};

use super::{in_list, literal, quote};

/// Arguments per call of `concat`, well below what any database allows.
const ARGUMENTS: usize = 90;

/// An expression that gives a row as the entity's JSON object: the schema's
/// fields in their order, then the custom fields.
pub(crate) fn record(entity: &Entity, custom_fields: &str) -> String {
    let mut parts = Parts::default();
    parts.literal("{");
    let mut separator = "";
    for field in entity.fields.iter().filter(|field| field.stored()) {
        parts.literal(separator);
        parts.literal(&field.key);
        parts.value(field);
        separator = ",";
    }
    if entity.custom_fields {
        parts.expression(spliced(&quote(custom_fields), separator));
    }
    parts.literal("}");
    parts.into_sql()
}

/// The pieces of a concatenation; neighbouring literals become one.
#[derive(Default)]
struct Parts {
    expressions: Vec<String>,
    text: String,
}

impl Parts {
    fn literal(&mut self, text: &str) {
        self.text.push_str(text);
    }

    fn expression(&mut self, sql: String) {
        self.flush();
        self.expressions.push(sql);
    }

    fn value(&mut self, field: &Field) {
        let column = quote(&field.name);
        match field.kind {
            // An id is a UUID: nothing in it needs escaping.
            Kind::Text if field.host && !field.nullable => {
                self.literal("\"");
                self.expression(column);
                self.literal("\"");
            }
            Kind::Text | Kind::DateTime => self.expression(format!("json_quote({column})")),
            Kind::Json => self.expression(format!("coalesce({column}, 'null')")),
            Kind::Integer => self.expression(format!("coalesce({column}, 'null')")),
            Kind::Boolean => self.expression(format!(
                "CASE {column} WHEN 1 THEN 'true' WHEN 0 THEN 'false' ELSE 'null' END"
            )),
            Kind::Number => self.expression(number(&column)),
        }
    }

    fn flush(&mut self) {
        if !self.text.is_empty() {
            self.expressions.push(literal(&self.text));
            self.text.clear();
        }
    }

    fn into_sql(mut self) -> String {
        self.flush();
        let groups = self.expressions.chunks(ARGUMENTS);
        let groups: Vec<String> = groups
            .map(|group| format!("concat({})", group.join(", ")))
            .collect();
        groups.join(" || ")
    }
}

/// A number without a fraction if it has none, and otherwise with as many
/// digits as it takes to read the same number back.
fn number(column: &str) -> String {
    format!(
        "CASE WHEN {column} IS NULL THEN 'null' \
         WHEN CAST({column} AS INTEGER) = {column} AND abs({column}) < 9007199254740992.0 \
         THEN CAST({column} AS INTEGER) \
         WHEN CAST(CAST({column} AS TEXT) AS REAL) = {column} THEN CAST({column} AS TEXT) \
         ELSE printf('%!.17g', {column}) END"
    )
}

/// The members of a JSON object, without its braces, to stand behind others.
fn spliced(column: &str, separator: &str) -> String {
    format!(
        "CASE WHEN {column} IS NULL OR {column} = '{{}}' THEN '' \
         ELSE {} || substr({column}, 2, length({column}) - 2) END",
        literal(separator),
    )
}

/// Whether a column holds one of the values in `placeholder`, a JSON array of
/// texts (for the digits matches: of digits).
pub(crate) fn matches(matching: Match, column: &str, placeholder: &str) -> String {
    let column = quote(column);
    let wanted = in_list(placeholder);
    let entry = |value: &str| {
        format!("EXISTS (SELECT 1 FROM json_each({column}) AS entry WHERE {value} {wanted})")
    };
    match matching {
        Match::Equals => format!("{column} {wanted}"),
        Match::Digits => format!("{} {wanted}", only_digits(&column)),
        Match::AnyItem => entry("entry.value"),
        Match::EntryValue => entry("json_extract(entry.value, '$.value')"),
        Match::EntryDigits => entry(&only_digits("json_extract(entry.value, '$.value')")),
    }
}

/// The digits in a text, as SQL; [`digits`] is the same outside of it. The
/// candidates were found by key, so this only ever runs on a few rows.
fn only_digits(text: &str) -> String {
    format!(
        "(WITH RECURSIVE letter(at, sign) AS (\
         SELECT 1, substr({text}, 1, 1) UNION ALL \
         SELECT at + 1, substr({text}, at + 1, 1) FROM letter WHERE at < length({text})) \
         SELECT coalesce(group_concat(sign, ''), '') FROM letter WHERE sign BETWEEN '0' AND '9')"
    )
}

/// The ASCII digits in a text.
pub(crate) fn digits(text: &str) -> String {
    text.chars().filter(char::is_ascii_digit).collect()
}
