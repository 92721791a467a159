//! Records as the API's JSON, written by the database.
//!
//! A row has some forty columns. Handing them over one by one costs the driver
//! an allocation or two each, three times the work of writing the record's
//! JSON inside the query and handing over one text; so that is what is done.

use rollout_catalog::{Entity, Field, Kind, Match, Only};

use super::{Dialect, Type, literal, quote};

/// Arguments per call of `concat`, well below what any database allows.
const ARGUMENTS: usize = 90;
/// As much of a text counts when lists are sorted.
pub(crate) const SORTED_LETTERS: usize = 100;

impl Dialect {
    /// An expression that gives a row as the entity's JSON object: the schema's
    /// fields in their order, then the custom fields.
    pub(crate) fn record(self, entity: &Entity, custom_fields: &str) -> String {
        let mut parts = Parts {
            dialect: self,
            expressions: Vec::new(),
            text: String::new(),
        };
        parts.literal("{");
        let mut separator = "";
        for field in entity.fields.iter().filter(|field| field.stored()) {
            match &field.only {
                None => parts.member(separator, field),
                Some(only) => parts.member_of_kinds(separator, field, only),
            }
            separator = ",";
        }
        if entity.custom_fields {
            parts.expression(self.spliced(&quote(custom_fields), separator));
        }
        parts.literal("}");
        parts.into_sql()
    }

    /// Whether a column holds one of the values in `placeholder`, a list of texts
    /// (for the digits matches: of digits).
    pub(crate) fn matches(self, matching: Match, column: &str, placeholder: &str) -> String {
        let column = quote(column);
        let wanted = self.in_list(placeholder);
        let entry = |value: &str| match self {
            Self::Sqlite => {
                format!(
                    "EXISTS (SELECT 1 FROM json_each({column}) AS entry WHERE {value} {wanted})"
                )
            }
            Self::Postgres => format!(
                "EXISTS (SELECT 1 FROM jsonb_array_elements(CASE jsonb_typeof({column}) \
                 WHEN 'array' THEN {column} ELSE '[]' END) AS entry (value) WHERE {value} {wanted})"
            ),
        };
        let (item, member) = match self {
            Self::Sqlite => ("entry.value", "json_extract(entry.value, '$.value')"),
            Self::Postgres => ("(entry.value #>> '{}')", "(entry.value ->> 'value')"),
        };
        match matching {
            Match::Equals => format!("{column} {wanted}"),
            Match::Digits => format!("{} {wanted}", self.only_digits(&column)),
            Match::AnyItem => entry(item),
            Match::EntryValue => entry(member),
            Match::EntryDigits => entry(&self.only_digits(member)),
        }
    }

    /// A text as JSON; null for none.
    fn quoted(self, column: &str) -> String {
        match self {
            Self::Sqlite => format!("json_quote({column})"),
            Self::Postgres => format!("coalesce(to_json({column})::text, 'null')"),
        }
    }

    /// A time as the API writes it: milliseconds only where there are some.
    fn time(self, column: &str) -> String {
        match self {
            Self::Sqlite => format!("json_quote({column})"),
            Self::Postgres => {
                let time = self.portable(column, Type::Time);
                format!("coalesce('\"' || {time} || '\"', 'null')")
            }
        }
    }

    /// A column as it can be read into a value: JSON and times as the API writes
    /// them are texts. What is finer than a millisecond is a date, see `time_of`.
    pub(crate) fn portable(self, column: &str, kind: Type) -> String {
        match (self, kind) {
            (Self::Postgres, Type::Json) => format!("{column}::text"),
            (Self::Postgres, Type::Time) => format!(
                "to_char({column} AT TIME ZONE 'UTC', \
                 CASE WHEN date_trunc('second', {column}) = {column} \
                 THEN 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"' \
                 WHEN date_trunc('milliseconds', {column}) = {column} \
                 THEN 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"' ELSE 'YYYY-MM-DD' END)"
            ),
            _ => column.to_owned(),
        }
    }

    /// What a list is sorted by: a text's beginning without regard to case, a time so
    /// that one without milliseconds comes before those with them.
    pub(crate) fn sort_key(self, kind: Kind, value: &str) -> String {
        match (self, kind) {
            (Self::Sqlite, Kind::Text) => format!("lower(substr({value}, 1, {SORTED_LETTERS}))"),
            (Self::Postgres, Kind::Text) => {
                format!("lower(left({value}, {SORTED_LETTERS}) COLLATE \"C\")")
            }
            (Self::Sqlite, Kind::DateTime) => format!("rtrim({value}, 'Z')"),
            _ => value.to_owned(),
        }
    }

    /// A number without a fraction if it has none, and otherwise with as many
    /// digits as it takes to read the same number back.
    fn number(self, column: &str) -> String {
        match self {
            Self::Sqlite => format!(
                "CASE WHEN {column} IS NULL THEN 'null' \
                 WHEN CAST({column} AS INTEGER) = {column} AND abs({column}) < 9007199254740992.0 \
                 THEN CAST({column} AS INTEGER) \
                 WHEN CAST(CAST({column} AS TEXT) AS REAL) = {column} THEN CAST({column} AS TEXT) \
                 ELSE printf('%!.17g', {column}) END"
            ),
            Self::Postgres => format!("coalesce({column}::text, 'null')"),
        }
    }

    /// The members of a JSON object, without its braces, to stand behind others.
    fn spliced(self, column: &str, separator: &str) -> String {
        let text = match self {
            Self::Sqlite => column.to_owned(),
            Self::Postgres => format!("{column}::text"),
        };
        format!(
            "CASE WHEN {column} IS NULL OR {text} = '{{}}' THEN '' \
             ELSE {} || substr({text}, 2, length({text}) - 2) END",
            literal(separator),
        )
    }

    /// The digits in a text, as SQL; [`digits`] is the same outside of it. The
    /// candidates were found by key, so this only ever runs on a few rows.
    fn only_digits(self, text: &str) -> String {
        match self {
            Self::Sqlite => format!(
                "(WITH RECURSIVE letter(at, sign) AS (\
                 SELECT 1, substr({text}, 1, 1) UNION ALL \
                 SELECT at + 1, substr({text}, at + 1, 1) FROM letter WHERE at < length({text})) \
                 SELECT coalesce(group_concat(sign, ''), '') FROM letter WHERE sign BETWEEN '0' AND '9')"
            ),
            Self::Postgres => format!("regexp_replace({text}, '[^0-9]', '', 'g')"),
        }
    }
}

/// The pieces of a concatenation; neighbouring literals become one.
struct Parts {
    dialect: Dialect,
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

    fn member(&mut self, separator: &str, field: &Field) {
        self.literal(separator);
        self.literal(&field.key);
        self.value(field);
    }

    /// A member that only records of some kinds have.
    fn member_of_kinds(&mut self, separator: &str, field: &Field, only: &Only) {
        let mut member = Self {
            dialect: self.dialect,
            expressions: Vec::new(),
            text: String::new(),
        };
        member.member(separator, field);
        let kinds: Vec<String> = only.values.iter().map(|kind| literal(kind)).collect();
        self.expression(format!(
            "CASE WHEN {} IN ({}) THEN {} ELSE '' END",
            quote(&only.field),
            kinds.join(", "),
            member.into_sql(),
        ));
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
            Kind::Text => self.expression(self.dialect.quoted(&column)),
            Kind::DateTime => self.expression(self.dialect.time(&column)),
            Kind::Number => self.expression(self.dialect.number(&column)),
            Kind::Json | Kind::Integer => self.expression(match self.dialect {
                Dialect::Sqlite => format!("coalesce({column}, 'null')"),
                Dialect::Postgres => format!("coalesce({column}::text, 'null')"),
            }),
            Kind::Boolean => self.expression(match self.dialect {
                Dialect::Sqlite => {
                    format!("CASE {column} WHEN 1 THEN 'true' WHEN 0 THEN 'false' ELSE 'null' END")
                }
                Dialect::Postgres => format!("coalesce({column}::text, 'null')"),
            }),
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

/// The ASCII digits in a text.
pub(crate) fn digits(text: &str) -> String {
    text.chars().filter(char::is_ascii_digit).collect()
}
