//! Notes.

use std::borrow::Cow;

use rollout_connector::Id;
use rollout_connector::entities::crm;
use rollout_connector::json::{Malformed, Object, Reader, Scalar};

use super::Record;

/// A note as the app sends it.
#[derive(Default)]
pub(super) struct Note<'a> {
    id: Scalar<'a>,
    created: Scalar<'a>,
    updated: Scalar<'a>,
    created_by_id: Scalar<'a>,
    updated_by_id: Scalar<'a>,
    person_id: Scalar<'a>,
    subject: Scalar<'a>,
    body: Scalar<'a>,
    is_html: Scalar<'a>,
}

impl<'a> Object<'a> for Note<'a> {
    fn member(&mut self, name: Cow<'a, str>, value: &mut Reader<'a>) -> Result<(), Malformed> {
        match name.as_ref() {
            "id" => self.id = value.scalar()?,
            "created" => self.created = value.scalar()?,
            "updated" => self.updated = value.scalar()?,
            "createdById" => self.created_by_id = value.scalar()?,
            "updatedById" => self.updated_by_id = value.scalar()?,
            "personId" => self.person_id = value.scalar()?,
            "subject" => self.subject = value.scalar()?,
            "body" => self.body = value.scalar()?,
            "isHtml" => self.is_html = value.scalar()?,
            _ => {}
        }
        Ok(())
    }
}

impl<'a> Record<'a> for Note<'a> {
    type Entity = crm::Note<'a>;

    fn id(&self) -> Option<Id<'a>> {
        self.id.clone().id()
    }

    fn updated(&self) -> Option<&str> {
        self.updated.as_str()
    }

    fn mapped(self) -> crm::Note<'a> {
        crm::Note {
            person_id: self.person_id.id(),
            created_by_user_id: self.created_by_id.id(),
            updated_by_user_id: self.updated_by_id.id(),
            subject: self.subject.text(),
            body: self.body.text(),
            is_html: self.is_html.flag(),
            created: self.created.moment(),
            updated: self.updated.moment(),
            ..crm::Note::default()
        }
    }
}
