//! Tasks.

use std::borrow::Cow;

use rollout_connector::Id;
use rollout_connector::entities::crm;
use rollout_connector::json::{Malformed, Object, Reader, Scalar};

use super::Record;

/// A task as the app sends it. It isn't consistent about capitals (`AssignedTo`
/// beside `assignedUserId`), so names are compared without regard to case.
#[derive(Default)]
pub(super) struct Task<'a> {
    id: Scalar<'a>,
    created: Scalar<'a>,
    updated: Scalar<'a>,
    name: Scalar<'a>,
    kind: Scalar<'a>,
    person_id: Scalar<'a>,
    assigned_user_id: Scalar<'a>,
    due_date: Scalar<'a>,
    due_date_time: Scalar<'a>,
    is_completed: Scalar<'a>,
}

impl<'a> Object<'a> for Task<'a> {
    fn member(&mut self, name: Cow<'a, str>, value: &mut Reader<'a>) -> Result<(), Malformed> {
        let fields: [(&str, &mut Scalar<'a>); 10] = [
            ("id", &mut self.id),
            ("created", &mut self.created),
            ("updated", &mut self.updated),
            ("name", &mut self.name),
            ("type", &mut self.kind),
            ("personId", &mut self.person_id),
            ("assignedUserId", &mut self.assigned_user_id),
            ("dueDate", &mut self.due_date),
            ("dueDateTime", &mut self.due_date_time),
            ("isCompleted", &mut self.is_completed),
        ];
        let mut fields = fields.into_iter();
        if let Some((_, field)) = fields.find(|(known, _)| known.eq_ignore_ascii_case(&name)) {
            *field = value.scalar()?;
        }
        Ok(())
    }
}

impl<'a> Record<'a> for Task<'a> {
    type Entity = crm::Task<'a>;

    fn id(&self) -> Option<Id<'a>> {
        self.id.clone().id()
    }

    fn updated(&self) -> Option<&str> {
        self.updated.as_str()
    }

    fn mapped(self) -> crm::Task<'a> {
        crm::Task {
            name: self.name.text(),
            r#type: self.kind.text(),
            person_id: self.person_id.id(),
            assigned_user_id: self.assigned_user_id.id(),
            due_date_time: self
                .due_date_time
                .moment()
                .or_else(|| self.due_date.moment()),
            is_completed: self.is_completed.flag(),
            created: self.created.moment(),
            updated: self.updated.moment(),
        }
    }
}
