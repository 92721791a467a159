//! Records that are read by a table.

use std::borrow::Cow;

use rollout_connector::Item;
use rollout_connector::entities::Custom;
use rollout_connector::json::{Malformed, Object, Reader, Scalar, Write, Writer};
use serde_json::Value;

use super::people::{Address, Contact, Tag, addresses, emails, tags};
use crate::resources::Resource;
use crate::table::Reads;

/// A record's members, each with the text of its value.
#[derive(Default)]
pub(crate) struct Members<'a>(Vec<(Cow<'a, str>, &'a str)>);

impl<'a> Object<'a> for Members<'a> {
    fn member(&mut self, name: Cow<'a, str>, value: &mut Reader<'a>) -> Result<(), Malformed> {
        self.0.push((name, value.raw()?));
        Ok(())
    }
}

impl<'a> Members<'a> {
    /// The value of a member. The app is not consistent about capitals
    /// (`AssignedTo` beside `assignedUserId`), so they don't matter.
    fn reader(&self, name: &str) -> Option<Reader<'a>> {
        let mut members = self.0.iter().rev();
        let (_, raw) = members.find(|(known, _)| known.eq_ignore_ascii_case(name))?;
        Some(Reader::new(raw))
    }

    pub(crate) fn scalar(&self, name: &str) -> Scalar<'a> {
        let scalar = self.reader(name).and_then(|mut value| value.scalar().ok());
        scalar.unwrap_or_default()
    }

    /// A value as a tree; `None` if it is absent or null.
    pub(crate) fn value(&self, name: &str) -> Option<Value> {
        let value = self.reader(name)?.value().ok()?;
        (!value.is_null()).then_some(value)
    }

    fn list<T: Object<'a>>(&self, name: &str) -> Option<Vec<T>> {
        self.reader(name)?.list().ok()
    }

    /// Writes what a field holds; nothing where it holds nothing.
    fn write(&self, ours: &str, theirs: &str, reads: Reads, out: &mut Writer) {
        let mut put = |value: Option<&dyn Write>| {
            if let Some(value) = value {
                out.name(ours);
                value.write(out);
            }
        };
        match reads {
            Reads::Text => put(self.scalar(theirs).text().as_ref().map(of)),
            Reads::Id => put(self.scalar(theirs).id().as_ref().map(of)),
            Reads::Moment => put(self.scalar(theirs).moment().as_ref().map(of)),
            Reads::Flag => put(self.scalar(theirs).flag().as_ref().map(of)),
            Reads::Number => put(self.scalar(theirs).number().as_ref().map(of)),
            Reads::Texts => put(self.list::<Tag<'_>>(theirs).map(tags).as_ref().map(of)),
            Reads::Contacts => {
                put(self
                    .list::<Contact<'_>>(theirs)
                    .map(emails)
                    .as_ref()
                    .map(of));
            }
            Reads::Addresses => {
                put(self
                    .list::<Address<'_>>(theirs)
                    .map(addresses)
                    .as_ref()
                    .map(of));
            }
            Reads::Ids => put(self.value(theirs).as_ref().map(ids).as_ref().map(of)),
            Reads::By(read) => put(read(self).as_ref().map(of)),
        }
    }
}

fn of(value: &impl Write) -> &dyn Write {
    value
}

/// The ids in a list of objects.
fn ids(list: &Value) -> Value {
    let entries = list.as_array().into_iter().flatten();
    entries
        .filter_map(|entry| id_of(entry.get("id")?))
        .collect()
}

/// An id as text: a number but 0, or a text but `""` and `"0"`.
pub(crate) fn id_of(value: &Value) -> Option<Value> {
    match value {
        Value::Number(number) => number
            .as_u64()
            .filter(|id| *id > 0)
            .map(|id| id.to_string().into()),
        Value::String(text) => match text.trim() {
            "" | "0" => None,
            id => Some(id.into()),
        },
        _ => None,
    }
}

/// The record in the catalogue's terms.
struct Mapped<'a, 'r>(&'r Resource, &'r Members<'a>);

impl Write for Mapped<'_, '_> {
    fn write(&self, out: &mut Writer) {
        let Self(resource, members) = self;
        out.begin();
        for field in resource.fields {
            if let Some(reads) = field.reads {
                members.write(field.ours, field.theirs, reads, out);
            }
        }
        let custom = members.0.iter().filter(|(name, _)| Custom::is_name(name));
        for (name, raw) in custom.filter(|_| resource.custom) {
            out.name(name);
            out.raw(raw);
        }
        out.end();
    }
}

/// An item of a record; none if it has no id.
pub(super) fn item(resource: &Resource, members: Members<'_>, raw: &str) -> Option<Item> {
    let is = |(name, value): (&str, &str)| members.scalar(name).as_str() == Some(value);
    let item = super::begun(
        members.scalar("id").id(),
        raw,
        members.scalar("updated").as_str(),
        resource.deleted.is_some_and(is),
    )?;
    Some(match item.deleted {
        true => item,
        false => item.body(&Mapped(resource, &members)),
    })
}
