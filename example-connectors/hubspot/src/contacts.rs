//! The app's contacts in the catalogue's terms.
//!
//! `mapping.md` is the table of this module and is checked by the tests. Records are
//! read leniently: a value of an odd type is left out (it stays in the native record),
//! it never costs the record or the page. Texts are borrowed from the app's answer
//! until they are written out.

use std::borrow::Cow;

use rollout_connector::entities::crm::{Person, PersonAddress, PersonEmail, PersonPhone};
use rollout_connector::json::{Malformed, Object, Reader, Records, Scalar, mend_surrogates};
use rollout_connector::{Error, Item, log, time};
use serde_json::Value;

/// The properties that are read; the app shows others only if asked for.
pub(crate) const PROPERTIES: [&str; 22] = [
    "firstname",
    "lastname",
    "email",
    "hs_additional_emails",
    "phone",
    "mobilephone",
    "address",
    "city",
    "state",
    "zip",
    "country",
    "jobtitle",
    "company",
    "lifecyclestage",
    "hubspot_owner_id",
    "date_of_birth",
    "hs_analytics_source",
    "hs_object_source_label",
    "notes_last_updated",
    "createdate",
    "lastmodifieddate",
    "hs_merged_object_ids",
];

/// What stands between the values of a property that has several.
pub(crate) const SEPARATOR: char = ';';

/// The type of the phone that the app keeps apart.
pub(crate) const MOBILE: &str = "mobile";

/// [`PROPERTIES`] as a body names them.
pub(crate) fn properties() -> Value {
    PROPERTIES.as_slice().into()
}

/// A list answer of the app.
#[derive(Debug, Default)]
pub(crate) struct Contacts {
    /// The contacts that have an id.
    pub(crate) items: Vec<Item>,
    /// The token of the next page.
    pub(crate) after: Option<String>,
    /// How many contacts there are in all, where the app says.
    pub(crate) total: Option<u64>,
}

/// Maps a list answer.
pub(crate) fn page(answer: &str) -> Result<Contacts, Error> {
    read(answer).or_else(|error| read(&mend_surrogates(answer).ok_or(error)?))
}

fn read(answer: &str) -> Result<Contacts, Error> {
    let mut records = Records::<Contact<'_>>::in_answer(answer, "results")?;
    let mut items = Vec::new();
    for record in records.by_ref() {
        let (raw, contact) = record?;
        match contact.item(raw) {
            Some(item) => items.push(item),
            None => log::warn("a contact without an id was left out"),
        }
    }
    let paging = match records.beside("paging")? {
        Some(paging) => Reader::new(paging).value()?,
        None => Value::Null,
    };
    let after = paging.pointer("/next/after").and_then(Value::as_str);
    Ok(Contacts {
        items,
        after: after.map(str::to_owned),
        total: records
            .beside("total")?
            .and_then(|total| total.parse().ok()),
    })
}

/// A contact as the app sends it.
#[derive(Default)]
struct Contact<'a> {
    id: Scalar<'a>,
    archived: Scalar<'a>,
    archived_at: Scalar<'a>,
    properties: Properties<'a>,
}

impl<'a> Object<'a> for Contact<'a> {
    fn member(&mut self, name: Cow<'a, str>, value: &mut Reader<'a>) -> Result<(), Malformed> {
        match name.as_ref() {
            "id" => self.id = value.scalar()?,
            "archived" => self.archived = value.scalar()?,
            "archivedAt" => self.archived_at = value.scalar()?,
            "properties" => self.properties = value.object()?,
            _ => {}
        }
        Ok(())
    }
}

impl Contact<'_> {
    fn item(self, raw: &str) -> Option<Item> {
        let id = self.id.id()?.to_string();
        if self.archived.flag() == Some(true) {
            return Some(Item {
                updated_at: self.archived_at.as_str().and_then(time::parse),
                ..Item::deleted(id)
            });
        }
        let mut properties = self.properties;
        let merged = text(&mut properties.merged).unwrap_or_default();
        let merged_ids = parts(&merged).filter(|merged| *merged != id);
        let merged_ids = merged_ids.map(str::to_owned).collect();
        let person = properties.person();
        let updated_at = person.updated.as_deref().and_then(time::parse);
        Some(Item {
            updated_at,
            merged_ids,
            ..Item::new(id).native_raw(raw).body(&person)
        })
    }
}

/// A contact's properties.
#[derive(Default)]
struct Properties<'a> {
    first_name: Scalar<'a>,
    last_name: Scalar<'a>,
    email: Scalar<'a>,
    further_emails: Scalar<'a>,
    phone: Scalar<'a>,
    mobile: Scalar<'a>,
    street: Scalar<'a>,
    city: Scalar<'a>,
    state: Scalar<'a>,
    code: Scalar<'a>,
    country: Scalar<'a>,
    job_title: Scalar<'a>,
    company: Scalar<'a>,
    stage: Scalar<'a>,
    owner: Scalar<'a>,
    birthday: Scalar<'a>,
    source: Scalar<'a>,
    made_by: Scalar<'a>,
    last_activity: Scalar<'a>,
    created: Scalar<'a>,
    updated: Scalar<'a>,
    merged: Scalar<'a>,
}

impl<'a> Object<'a> for Properties<'a> {
    fn member(&mut self, name: Cow<'a, str>, value: &mut Reader<'a>) -> Result<(), Malformed> {
        let property = match name.as_ref() {
            "firstname" => &mut self.first_name,
            "lastname" => &mut self.last_name,
            "email" => &mut self.email,
            "hs_additional_emails" => &mut self.further_emails,
            "phone" => &mut self.phone,
            "mobilephone" => &mut self.mobile,
            "address" => &mut self.street,
            "city" => &mut self.city,
            "state" => &mut self.state,
            "zip" => &mut self.code,
            "country" => &mut self.country,
            "jobtitle" => &mut self.job_title,
            "company" => &mut self.company,
            "lifecyclestage" => &mut self.stage,
            "hubspot_owner_id" => &mut self.owner,
            "date_of_birth" => &mut self.birthday,
            "hs_analytics_source" => &mut self.source,
            "hs_object_source_label" => &mut self.made_by,
            "notes_last_updated" => &mut self.last_activity,
            "createdate" => &mut self.created,
            "lastmodifieddate" => &mut self.updated,
            "hs_merged_object_ids" => &mut self.merged,
            _ => return Ok(()),
        };
        *property = value.scalar()?;
        Ok(())
    }
}

impl<'a> Properties<'a> {
    fn person(mut self) -> Person<'a> {
        let first_name = text(&mut self.first_name);
        let last_name = text(&mut self.last_name);
        Person {
            name: full_name(first_name.as_deref(), last_name.as_deref()),
            first_name,
            last_name,
            assigned_user_id: self.owner.id(),
            stage: text(&mut self.stage),
            created: moment(self.created),
            updated: moment(self.updated),
            addresses: Some(addresses(PersonAddress {
                street: text(&mut self.street),
                city: text(&mut self.city),
                state: text(&mut self.state),
                code: text(&mut self.code),
                country: text(&mut self.country),
                r#type: None,
            })),
            emails: Some(emails(
                text(&mut self.email),
                text(&mut self.further_emails),
            )),
            phones: Some(phones(text(&mut self.phone), text(&mut self.mobile))),
            source: text(&mut self.source),
            system_source: text(&mut self.made_by),
            birthday: text(&mut self.birthday),
            last_activity: moment(self.last_activity),
            job_title: text(&mut self.job_title),
            company_name: text(&mut self.company),
            ..Person::default()
        }
    }
}

/// A text that says something.
fn text<'a>(value: &mut Scalar<'a>) -> Option<Cow<'a, str>> {
    let text = std::mem::take(value).text();
    text.filter(|text| !text.trim().is_empty())
}

/// A moment, which some answers have in milliseconds since 1970.
fn moment(value: Scalar<'_>) -> Option<Cow<'_, str>> {
    let ms = match &value {
        Scalar::Whole(ms) => Some(*ms),
        Scalar::Text(text) => text.parse().ok(),
        _ => None,
    };
    match ms {
        Some(ms) => Some(time::format(ms).into()),
        None => value.moment(),
    }
}

/// The values of a property that has several.
fn parts(text: &str) -> impl Iterator<Item = &str> {
    let parts = text.split(SEPARATOR).map(str::trim);
    parts.filter(|part| !part.is_empty())
}

fn full_name<'a>(first: Option<&str>, last: Option<&str>) -> Option<Cow<'a, str>> {
    let parts = [first, last].into_iter().flatten().map(str::trim);
    let name = parts.collect::<Vec<_>>().join(" ");
    (!name.is_empty()).then(|| name.into())
}

/// The address, if it says anything.
fn addresses(address: PersonAddress<'_>) -> Vec<PersonAddress<'_>> {
    let says = address.street.is_some()
        || address.city.is_some()
        || address.state.is_some()
        || address.code.is_some()
        || address.country.is_some();
    says.then_some(address).into_iter().collect()
}

fn emails<'a>(
    primary: Option<Cow<'a, str>>,
    further: Option<Cow<'a, str>>,
) -> Vec<PersonEmail<'a>> {
    let email = |value, is_primary| PersonEmail {
        value: Some(value),
        is_primary: Some(is_primary),
        ..PersonEmail::default()
    };
    let further = further.unwrap_or_default();
    let others = parts(&further).filter(|other| Some(*other) != primary.as_deref());
    let others: Vec<_> = others
        .map(|other| email(other.to_owned().into(), false))
        .collect();
    let primary = primary.map(|primary| email(primary, true));
    primary.into_iter().chain(others).collect()
}

fn phones<'a>(number: Option<Cow<'a, str>>, mobile: Option<Cow<'a, str>>) -> Vec<PersonPhone<'a>> {
    let kinds = [(number, None), (mobile, Some(Cow::Borrowed(MOBILE)))];
    let there = kinds.into_iter().filter(|(value, _)| value.is_some());
    let phone = |(place, (value, kind))| PersonPhone {
        value,
        r#type: kind,
        is_primary: Some(place == 0),
        ..PersonPhone::default()
    };
    there.enumerate().map(phone).collect()
}
