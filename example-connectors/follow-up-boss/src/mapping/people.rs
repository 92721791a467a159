//! People.

use std::borrow::Cow;

use rollout_connector::Id;
use rollout_connector::entities::Custom;
use rollout_connector::entities::crm::{self, PersonAddress, PersonEmail, PersonPhone};
use rollout_connector::json::{Malformed, Object, Reader, Scalar};

use super::{NO_SOURCE, Record};

/// The stage that means "deleted".
const TRASH: &str = "Trash";

/// A person as the app sends it.
#[derive(Default)]
pub(super) struct Person<'a> {
    id: Scalar<'a>,
    created: Scalar<'a>,
    updated: Scalar<'a>,
    last_activity: Scalar<'a>,
    name: Scalar<'a>,
    first_name: Scalar<'a>,
    last_name: Scalar<'a>,
    stage: Scalar<'a>,
    stage_id: Scalar<'a>,
    source: Scalar<'a>,
    price: Scalar<'a>,
    assigned_user_id: Scalar<'a>,
    assigned_pond_id: Scalar<'a>,
    timeframe_id: Scalar<'a>,
    tags: Option<Vec<Tag<'a>>>,
    emails: Option<Vec<Contact<'a>>>,
    phones: Option<Vec<Contact<'a>>>,
    addresses: Option<Vec<Address<'a>>>,
    custom: Custom<'a>,
}

impl<'a> Object<'a> for Person<'a> {
    fn member(&mut self, name: Cow<'a, str>, value: &mut Reader<'a>) -> Result<(), Malformed> {
        match name.as_ref() {
            "id" => self.id = value.scalar()?,
            "created" => self.created = value.scalar()?,
            "updated" => self.updated = value.scalar()?,
            "lastActivity" => self.last_activity = value.scalar()?,
            "name" => self.name = value.scalar()?,
            "firstName" => self.first_name = value.scalar()?,
            "lastName" => self.last_name = value.scalar()?,
            "stage" => self.stage = value.scalar()?,
            "stageId" => self.stage_id = value.scalar()?,
            "source" => self.source = value.scalar()?,
            "price" => self.price = value.scalar()?,
            "assignedUserId" => self.assigned_user_id = value.scalar()?,
            "assignedPondId" => self.assigned_pond_id = value.scalar()?,
            "timeframeId" => self.timeframe_id = value.scalar()?,
            "tags" => self.tags = Some(value.list()?),
            "emails" => self.emails = Some(value.list()?),
            "phones" => self.phones = Some(value.list()?),
            "addresses" => self.addresses = Some(value.list()?),
            custom if Custom::is_name(custom) => self.custom.insert_raw(name, value.raw()?),
            _ => {}
        }
        Ok(())
    }
}

impl<'a> Record<'a> for Person<'a> {
    type Entity = crm::Person<'a>;

    fn id(&self) -> Option<Id<'a>> {
        self.id.clone().id()
    }

    fn updated(&self) -> Option<&str> {
        self.updated.as_str()
    }

    fn is_deleted(&self) -> bool {
        self.stage.as_str() == Some(TRASH)
    }

    fn mapped(self) -> crm::Person<'a> {
        let first_name = self.first_name.text();
        let last_name = self.last_name.text();
        crm::Person {
            name: self
                .name
                .text()
                .or_else(|| full_name(&first_name, &last_name)),
            first_name,
            last_name,
            assigned_user_id: self.assigned_user_id.id(),
            assigned_pond_id: self.assigned_pond_id.id(),
            timeframe_id: self.timeframe_id.id(),
            stage: self.stage.text(),
            stage_id: self.stage_id.id(),
            tags: self.tags.map(tags),
            created: self.created.moment(),
            updated: self.updated.moment(),
            last_activity: self.last_activity.moment(),
            addresses: self.addresses.map(addresses),
            emails: self.emails.map(emails),
            phones: self.phones.map(phones),
            source: self.source.text().map(|source| match source.as_ref() {
                NO_SOURCE => Cow::Borrowed(""),
                _ => source,
            }),
            average_price: self.price.number(),
            custom: self.custom,
            ..crm::Person::default()
        }
    }
}

fn full_name<'a>(
    first: &Option<Cow<'a, str>>,
    last: &Option<Cow<'a, str>>,
) -> Option<Cow<'a, str>> {
    let parts = [first.as_deref(), last.as_deref()];
    let parts: Vec<&str> = parts.into_iter().flatten().map(str::trim).collect();
    (!parts.is_empty()).then(|| parts.join(" ").trim().to_owned().into())
}

/// A tag: its name, or in old records an object that holds it.
#[derive(Default)]
pub(super) struct Tag<'a> {
    name: Scalar<'a>,
}

impl<'a> Object<'a> for Tag<'a> {
    fn member(&mut self, name: Cow<'a, str>, value: &mut Reader<'a>) -> Result<(), Malformed> {
        if name == "name" {
            self.name = value.scalar()?;
        }
        Ok(())
    }

    fn scalar(&mut self, value: Scalar<'a>) {
        self.name = value;
    }
}

pub(super) fn tags(tags: Vec<Tag<'_>>) -> Vec<Cow<'_, str>> {
    tags.into_iter()
        .filter_map(|tag| tag.name.text())
        .filter(|name| !name.is_empty())
        .collect()
}

/// An email or a phone.
#[derive(Default)]
pub(super) struct Contact<'a> {
    value: Scalar<'a>,
    kind: Scalar<'a>,
    status: Scalar<'a>,
    is_primary: Scalar<'a>,
}

impl<'a> Object<'a> for Contact<'a> {
    fn member(&mut self, name: Cow<'a, str>, value: &mut Reader<'a>) -> Result<(), Malformed> {
        match name.as_ref() {
            "value" => self.value = value.scalar()?,
            "type" => self.kind = value.scalar()?,
            "status" => self.status = value.scalar()?,
            "isPrimary" => self.is_primary = value.scalar()?,
            _ => {}
        }
        Ok(())
    }

    fn scalar(&mut self, value: Scalar<'a>) {
        self.value = value;
    }
}

impl<'a> Contact<'a> {
    /// The value, if there is one; an entry without it says nothing.
    fn value(&mut self) -> Option<Cow<'a, str>> {
        std::mem::take(&mut self.value)
            .text()
            .filter(|value| !value.is_empty())
    }

    fn email(mut self) -> Option<PersonEmail<'a>> {
        Some(PersonEmail {
            value: Some(self.value()?),
            is_primary: self.is_primary.flag(),
            r#type: self.kind.text(),
            status: self.status.text(),
        })
    }

    fn phone(mut self) -> Option<PersonPhone<'a>> {
        Some(PersonPhone {
            value: Some(self.value()?),
            is_primary: self.is_primary.flag(),
            r#type: self.kind.text(),
            status: self.status.text(),
        })
    }
}

pub(super) fn emails(emails: Vec<Contact<'_>>) -> Vec<PersonEmail<'_>> {
    emails.into_iter().filter_map(Contact::email).collect()
}

pub(super) fn phones(phones: Vec<Contact<'_>>) -> Vec<PersonPhone<'_>> {
    phones.into_iter().filter_map(Contact::phone).collect()
}

#[derive(Default)]
pub(super) struct Address<'a> {
    kind: Scalar<'a>,
    street: Scalar<'a>,
    city: Scalar<'a>,
    state: Scalar<'a>,
    code: Scalar<'a>,
    country: Scalar<'a>,
}

impl<'a> Object<'a> for Address<'a> {
    fn member(&mut self, name: Cow<'a, str>, value: &mut Reader<'a>) -> Result<(), Malformed> {
        match name.as_ref() {
            "type" => self.kind = value.scalar()?,
            "street" => self.street = value.scalar()?,
            "city" => self.city = value.scalar()?,
            "state" => self.state = value.scalar()?,
            "code" => self.code = value.scalar()?,
            "country" => self.country = value.scalar()?,
            _ => {}
        }
        Ok(())
    }
}

/// Addresses that say at least something beside their type.
pub(super) fn addresses(addresses: Vec<Address<'_>>) -> Vec<PersonAddress<'_>> {
    addresses
        .into_iter()
        .map(|address| PersonAddress {
            r#type: address.kind.text(),
            street: address.street.text(),
            city: address.city.text(),
            state: address.state.text(),
            code: address.code.text(),
            country: address.country.text(),
        })
        .filter(|address| {
            let parts = [
                &address.street,
                &address.city,
                &address.state,
                &address.code,
                &address.country,
            ];
            parts.into_iter().flatten().any(|part| !part.is_empty())
        })
        .collect()
}
