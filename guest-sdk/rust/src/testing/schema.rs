//! A document against a JSON Schema, with complaints for the person who wrote the
//! document. Knows the keywords that `wit/manifest.schema.json` uses; any other is a
//! complaint too, so that none is passed over.

use regex_lite::Regex;
use serde_json::{Map, Value};

use super::nearest::did_you_mean;
use crate::error::Issue;

/// A schema document.
pub(super) struct Schema<'a>(pub(super) &'a Value);

impl Schema<'_> {
    /// Everything in `document` that is not as the schema says.
    pub(super) fn faults(&self, document: &Value) -> Vec<Issue> {
        let mut faults = Vec::new();
        self.check(self.0, document, "", &mut faults);
        faults
    }

    fn fits(&self, schema: &Value, value: &Value) -> bool {
        let mut faults = Vec::new();
        self.check(schema, value, "", &mut faults);
        faults.is_empty()
    }

    fn check(&self, schema: &Value, value: &Value, at: &str, faults: &mut Vec<Issue>) {
        let Some(keywords) = schema.as_object() else {
            return;
        };
        if let Some(wanted) = wrong_type(keywords, value) {
            faults.push(issue(at, format!("must be {wanted}, not {}", kind(value))));
            return;
        }
        for (keyword, rule) in keywords {
            self.keyword(keyword, rule, keywords, value, at, faults);
        }
    }

    fn keyword(
        &self,
        keyword: &str,
        rule: &Value,
        schema: &Map<String, Value>,
        value: &Value,
        at: &str,
        faults: &mut Vec<Issue>,
    ) {
        let mut complain = |message: String| faults.push(issue(at, message));
        let number = rule.as_u64().unwrap_or_default();
        let size = value.as_array().map_or(0, Vec::len) as u64;
        let members = value.as_object().map_or(0, Map::len) as u64;
        let length = value.as_str().map_or(0, |text| text.chars().count()) as u64;
        match keyword {
            "type" | "description" | "title" | "$schema" | "$id" | "$defs" | "then" => {}
            "$ref" => {
                let pointer = rule.as_str().and_then(|target| target.strip_prefix('#'));
                match pointer.and_then(|pointer| self.0.pointer(pointer)) {
                    Some(target) => self.check(target, value, at, faults),
                    None => complain(format!("the schema has no {rule}")),
                }
            }
            "const" if value != rule => complain(format!("must be {rule}")),
            "enum" => {
                let known = texts(rule);
                if !rule.as_array().is_some_and(|known| known.contains(value)) {
                    let shown = value.as_str().unwrap_or_default();
                    let meant = did_you_mean(shown, &known);
                    complain(format!("{value} is none of {}{meant}", known.join(", ")));
                }
            }
            "pattern" if value.is_string() => {
                let text = value.as_str().unwrap_or_default();
                match Regex::new(rule.as_str().unwrap_or_default()) {
                    Ok(pattern) if pattern.is_match(text) => {}
                    Ok(_) => {
                        let what = schema.get("description").and_then(Value::as_str);
                        complain(match what {
                            Some(what) => format!("`{text}` does not fit. {what}"),
                            None => format!("`{text}` does not match {rule}"),
                        });
                    }
                    Err(error) => complain(format!("the schema's {rule}: {error}")),
                }
            }
            "minLength" if value.is_string() && length < number => {
                complain("must not be empty".to_owned());
            }
            "maxLength" if value.is_string() && length > number => {
                complain(format!("has {length} characters; {number} at most"));
            }
            "minimum" if value.as_f64() < rule.as_f64() => complain(format!("{rule} at least")),
            "maximum" if value.as_f64() > rule.as_f64() => complain(format!("{rule} at most")),
            "minItems" if value.is_array() && size < number => {
                complain(format!("must have {number} at least"));
            }
            "maxItems" if size > number => complain(format!("has {size}; {number} at most")),
            "minProperties" if value.is_object() && members < number => {
                complain(format!("must have {number} member at least"));
            }
            "maxProperties" if members > number => {
                complain(format!("has {members} members; {number} at most"));
            }
            "uniqueItems" => {
                let list = value.as_array().into_iter().flatten();
                for (place, one) in list.clone().enumerate() {
                    if list.clone().take(place).any(|before| before == one) {
                        complain(format!("has {one} twice"));
                    }
                }
            }
            "items" => {
                for (place, one) in value.as_array().into_iter().flatten().enumerate() {
                    self.check(rule, one, &format!("{at}/{place}"), faults);
                }
            }
            "required" => {
                let missing = |name: &str| value.is_object() && value.get(name).is_none();
                for name in texts(rule).into_iter().filter(|name| missing(name)) {
                    let what = schema
                        .get("properties")
                        .and_then(|known| known.get(name)?.get("description")?.as_str())
                        .map_or(String::new(), |what| format!(". {what}"));
                    complain(format!("lacks `{name}`{what}"));
                }
            }
            "propertyNames" => {
                for name in value.as_object().into_iter().flat_map(Map::keys) {
                    let place = format!("{at}/{}", escaped(name));
                    self.check(rule, &name.as_str().into(), &place, faults);
                }
            }
            "properties" => {
                for (name, rule) in rule.as_object().into_iter().flatten() {
                    if let Some(value) = value.get(name) {
                        self.check(rule, value, &format!("{at}/{name}"), faults);
                    }
                }
            }
            "additionalProperties" => {
                let declared = schema.get("properties").and_then(Value::as_object);
                let known: Vec<&str> = declared
                    .into_iter()
                    .flat_map(Map::keys)
                    .map(String::as_str)
                    .collect();
                for (name, value) in value.as_object().into_iter().flatten() {
                    let place = format!("{at}/{}", escaped(name));
                    if known.contains(&name.as_str()) {
                        continue;
                    }
                    if rule.is_object() {
                        self.check(rule, value, &place, faults);
                    } else {
                        let meant = did_you_mean(name, &known);
                        let message = format!(
                            "there is no such member; there are {}{meant}",
                            known.join(", ")
                        );
                        faults.push(issue(&place, message));
                    }
                }
            }
            "oneOf" => self.one_of(rule, schema, value, at, faults),
            "anyOf" => {
                let rules = rule.as_array().into_iter().flatten();
                if !rules.clone().any(|rule| self.fits(rule, value)) {
                    let needs: Vec<&str> = rules
                        .flat_map(|rule| texts(rule.get("required").unwrap_or(rule)))
                        .collect();
                    complain(format!("needs one of {}", needs.join(", ")));
                }
            }
            "allOf" => {
                for rule in rule.as_array().into_iter().flatten() {
                    self.check(rule, value, at, faults);
                }
            }
            "if" => {
                if let (true, Some(then)) = (self.fits(rule, value), schema.get("then")) {
                    self.check(then, value, at, faults);
                }
            }
            "const" | "pattern" | "minLength" | "maxLength" | "minimum" | "maximum"
            | "minItems" | "maxItems" | "minProperties" | "maxProperties" => {}
            unknown => complain(format!(
                "the test kit does not know the keyword `{unknown}`"
            )),
        }
    }

    /// Where no alternative fits, the complaints of the only one of the value's type.
    fn one_of(
        &self,
        rule: &Value,
        schema: &Map<String, Value>,
        value: &Value,
        at: &str,
        faults: &mut Vec<Issue>,
    ) {
        let rules = || rule.as_array().into_iter().flatten();
        if rules().filter(|rule| self.fits(rule, value)).count() == 1 {
            return;
        }
        let of_its_type = |rule: &&Value| {
            rule.as_object()
                .is_some_and(|rule| wrong_type(rule, value).is_none())
                && (rule.get("type").is_some() || value.is_string())
        };
        let mut near = rules().filter(of_its_type);
        match (near.next(), near.next()) {
            (Some(only), None) => self.check(only, value, at, faults),
            _ => {
                let what = schema.get("description").and_then(Value::as_str);
                let what = what.unwrap_or("see wit/manifest.schema.json");
                faults.push(issue(at, format!("{value} does not fit. {what}")));
            }
        }
    }
}

pub(super) fn issue(pointer: impl Into<String>, message: impl Into<String>) -> Issue {
    Issue {
        pointer: pointer.into(),
        message: message.into(),
    }
}

/// A name as a segment of a JSON pointer.
pub(super) fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

/// The texts of a list.
pub(super) fn texts(list: &Value) -> Vec<&str> {
    list.as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect()
}

/// What the schema wants, if the value is of another type.
pub(super) fn wrong_type(schema: &Map<String, Value>, value: &Value) -> Option<String> {
    let wanted = match schema.get("type")? {
        Value::String(one) => vec![one.as_str()],
        list => texts(list),
    };
    let fits = |wanted: &&str| match *wanted {
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        "null" => value.is_null(),
        _ => false,
    };
    let named: Vec<&str> = wanted.iter().map(|wanted| named(wanted)).collect();
    (!wanted.iter().any(fits)).then(|| named.join(" or "))
}

fn named(kind: &str) -> &str {
    match kind {
        "string" => "a text",
        "boolean" => "true or false",
        "integer" => "a whole number",
        "number" => "a number",
        "array" => "a list",
        "object" => "an object",
        other => other,
    }
}

/// What a value is.
pub(super) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}
