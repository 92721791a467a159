//! Users.

use std::borrow::Cow;

use rollout_connector::Id;
use rollout_connector::entities::crm;
use rollout_connector::json::{Malformed, Object, Reader, Scalar};

use super::{Record, split_name};

/// The status that means "deleted".
const DELETED: &str = "Deleted";

/// A user as the app sends it.
#[derive(Default)]
pub(super) struct User<'a> {
    id: Scalar<'a>,
    created: Scalar<'a>,
    updated: Scalar<'a>,
    name: Scalar<'a>,
    first_name: Scalar<'a>,
    last_name: Scalar<'a>,
    email: Scalar<'a>,
    phone: Scalar<'a>,
    role: Scalar<'a>,
    status: Scalar<'a>,
    timezone: Scalar<'a>,
    is_owner: Scalar<'a>,
}

impl<'a> Object<'a> for User<'a> {
    fn member(&mut self, name: Cow<'a, str>, value: &mut Reader<'a>) -> Result<(), Malformed> {
        match name.as_ref() {
            "id" => self.id = value.scalar()?,
            "created" => self.created = value.scalar()?,
            "updated" => self.updated = value.scalar()?,
            "name" => self.name = value.scalar()?,
            "firstName" => self.first_name = value.scalar()?,
            "lastName" => self.last_name = value.scalar()?,
            "email" => self.email = value.scalar()?,
            "phone" => self.phone = value.scalar()?,
            "role" => self.role = value.scalar()?,
            "status" => self.status = value.scalar()?,
            "timezone" | "timeZone" => self.timezone = value.scalar()?,
            "isOwner" => self.is_owner = value.scalar()?,
            _ => {}
        }
        Ok(())
    }
}

impl<'a> Record<'a> for User<'a> {
    type Entity = crm::User<'a>;

    fn id(&self) -> Option<Id<'a>> {
        self.id.clone().id()
    }

    fn updated(&self) -> Option<&str> {
        self.updated.as_str()
    }

    fn is_deleted(&self) -> bool {
        self.status.as_str() == Some(DELETED)
    }

    fn mapped(self) -> crm::User<'a> {
        let role = self.role.text();
        let email = self.email.text();
        let (mut first_name, mut last_name) = (self.first_name.text(), self.last_name.text());
        if let (None, None, Some(name)) = (&first_name, &last_name, self.name.as_str()) {
            let (first, last) = split_name(name);
            (first_name, last_name) = (Some(first.to_owned().into()), Some(last.to_owned().into()));
        }
        crm::User {
            r#type: kind(role.as_deref(), self.is_owner.flag()),
            first_name,
            last_name,
            username: email.clone(),
            email,
            phone: self.phone.text(),
            role,
            status: self.status.text(),
            timezone: self.timezone.text(),
            created: self.created.moment(),
            updated: self.updated.moment(),
            ..crm::User::default()
        }
    }
}

/// What the app's screens call the user: brokers are `Owner` or `Admin`.
fn kind(role: Option<&str>, is_owner: Option<bool>) -> Option<Cow<'static, str>> {
    match (role, is_owner) {
        (_, Some(true)) => Some("Owner".into()),
        (Some("Broker"), _) => Some("Admin".into()),
        (role, _) => role.map(|role| role.to_owned().into()),
    }
}
