//! The properties of contacts, and what their values may be.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// A contact's values by property. What has none is not in it.
pub(super) type Values = BTreeMap<String, String>;

/// What a property's values are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Email,
    Number,
    Moment,
    Choice(&'static [&'static str]),
}

/// A property.
#[derive(Debug, Clone, Copy)]
pub(super) struct Property {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) read_only: bool,
}

/// The stages in their order; a contact moves forward only.
pub(super) const STAGES: [&str; 8] = [
    "subscriber",
    "lead",
    "marketingqualifiedlead",
    "salesqualifiedlead",
    "opportunity",
    "customer",
    "evangelist",
    "other",
];

const fn own(name: &'static str, kind: Kind) -> Property {
    Property {
        name,
        kind,
        read_only: false,
    }
}

const fn fixed(name: &'static str, kind: Kind) -> Property {
    Property {
        name,
        kind,
        read_only: true,
    }
}

const PROPERTIES: [Property; 26] = [
    own("firstname", Kind::Text),
    own("lastname", Kind::Text),
    own("email", Kind::Email),
    own("hs_additional_emails", Kind::Text),
    own("phone", Kind::Text),
    own("mobilephone", Kind::Text),
    own("address", Kind::Text),
    own("city", Kind::Text),
    own("state", Kind::Text),
    own("zip", Kind::Text),
    own("country", Kind::Text),
    own("jobtitle", Kind::Text),
    own("company", Kind::Text),
    own("website", Kind::Text),
    own("date_of_birth", Kind::Text),
    own("lifecyclestage", Kind::Choice(&STAGES)),
    own("hs_lead_status", Kind::Text),
    own("hubspot_owner_id", Kind::Number),
    own("numemployees", Kind::Text),
    fixed("hs_analytics_source", Kind::Text),
    fixed("hs_object_source_label", Kind::Text),
    fixed("notes_last_updated", Kind::Moment),
    fixed("createdate", Kind::Moment),
    fixed("lastmodifieddate", Kind::Moment),
    fixed("hs_object_id", Kind::Number),
    fixed("hs_merged_object_ids", Kind::Text),
];

/// The property of this name.
pub(super) fn known(name: &str) -> Option<Property> {
    PROPERTIES.iter().find(|one| one.name == name).copied()
}

/// All of them, as `/crm/v3/properties/contacts` has them.
pub(super) fn described() -> Value {
    let described = PROPERTIES.iter().map(|property| {
        let (kind, field) = match property.kind {
            Kind::Text | Kind::Email => ("string", "text"),
            Kind::Number => ("number", "number"),
            Kind::Moment => ("datetime", "date"),
            Kind::Choice(_) => ("enumeration", "radio"),
        };
        let choices = match property.kind {
            Kind::Choice(choices) => choices,
            _ => &[],
        };
        let options = choices.iter().enumerate().map(
            |(at, value)| json!({"label": value, "value": value, "displayOrder": at, "hidden": false}),
        );
        json!({
            "name": property.name, "label": property.name, "type": kind, "fieldType": field,
            "groupName": "contactinformation", "hubspotDefined": true,
            "hasUniqueValue": property.name == "email", "options": options.collect::<Vec<_>>(),
            "modificationMetadata": {"readOnlyValue": property.read_only},
        })
    });
    described.collect()
}

/// The values in a JSON object: numbers and flags become texts, null is none.
pub(super) fn of(object: &Value) -> Values {
    let values = object.as_object().into_iter().flatten();
    values
        .map(|(name, value)| {
            let text = match value {
                Value::String(text) => text.clone(),
                Value::Null => String::new(),
                other => other.to_string(),
            };
            (name.clone(), text)
        })
        .collect()
}

/// What is wrong with values that are to be written, as the app puts it.
pub(super) fn complaints(values: &Values) -> Vec<Value> {
    let complaint = |name: &str, code: &str, message: String| json!({"isValid": false, "message": message, "error": code, "name": name, "localizedErrorMessage": message});
    let check = |(name, value): (&String, &String)| {
        let Some(property) = known(name) else {
            let said = format!("Property \"{name}\" does not exist");
            return Some(complaint(name, "PROPERTY_DOESNT_EXIST", said));
        };
        if property.read_only {
            let said = format!("\"{name}\" is a read only property; its value cannot be set.");
            return Some(complaint(name, "READ_ONLY_VALUE", said));
        }
        if value.is_empty() {
            return None;
        }
        match property.kind {
            Kind::Email if !is_email(value) => {
                let said = format!("Email address {value} is invalid");
                Some(complaint(name, "INVALID_EMAIL", said))
            }
            Kind::Text if name == "hs_additional_emails" => {
                let odd = value
                    .split(';')
                    .find(|one| !one.is_empty() && !is_email(one))?;
                let said = format!("Email address {odd} is invalid");
                Some(complaint(name, "INVALID_EMAIL", said))
            }
            Kind::Number if value.parse::<i64>().is_err() => {
                let said = format!("{value} was not a valid integer.");
                Some(complaint(name, "INVALID_INTEGER", said))
            }
            Kind::Choice(choices) if !choices.contains(&value.as_str()) => {
                let choices = choices.join(", ");
                let said = format!("{value} was not one of the allowed options: [{choices}]");
                Some(complaint(name, "INVALID_OPTION", said))
            }
            _ => None,
        }
    };
    values.iter().filter_map(check).collect()
}

fn is_email(text: &str) -> bool {
    let parts = text.trim().split_once('@');
    parts.is_some_and(|(name, host)| {
        !name.is_empty() && host.contains('.') && !host.contains(['@', ' '])
    })
}

/// Milliseconds since 1970 as the app writes them: `2024-03-01T10:00:00.000Z`.
pub(super) fn iso(ms: u64) -> String {
    let moment = OffsetDateTime::from_unix_timestamp_nanos(i128::from(ms) * 1_000_000);
    let moment = moment.unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let (hour, minute, second, milli) = moment.time().as_hms_milli();
    format!(
        "{:04}-{:02}-{:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z",
        moment.year(),
        u8::from(moment.month()),
        moment.day()
    )
}

/// A moment in either form that the app takes, in milliseconds since 1970.
pub(super) fn moment(text: &str) -> Option<i128> {
    let parsed = || OffsetDateTime::parse(text, &Rfc3339).ok();
    let ms = |moment: OffsetDateTime| moment.unix_timestamp_nanos() / 1_000_000;
    text.parse().ok().or_else(|| parsed().map(ms))
}

/// The present moment in milliseconds since 1970.
pub(super) fn now() -> u64 {
    let ms = OffsetDateTime::now_utc().unix_timestamp_nanos() / 1_000_000;
    u64::try_from(ms).unwrap_or_default()
}
