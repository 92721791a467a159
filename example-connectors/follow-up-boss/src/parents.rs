//! What the app lists per person only: text messages and emails.
//!
//! The people come in batches and are asked about in their order, some at a time
//! in parallel. The cursor is the place in the batch: the person, by its number
//! in it, and how far that person is read. The newest come first, so a token that
//! the app refuses is replaced by `idLessThan`.

use std::borrow::Cow;

use rollout_connector::json::{self, Malformed, Object, Reader, Write, Writer};
use rollout_connector::paging::Batch;
use rollout_connector::{Cursor, Error, Page, Request, Response, send_all};

use crate::api::MAX_LIMIT;
use crate::changes::number;
use crate::mapping;
use crate::resources::Resource;

/// How many people are asked about at once.
const PARALLEL: usize = 8;

/// Where in the batch of people the next call goes on.
#[derive(Debug, Default)]
struct Place {
    person: usize,
    /// The last id read of this person; 0: none.
    id: u64,
    /// Where the app's tokens count from: only ids below this are listed; 0: all.
    below: u64,
    /// The app's token of the person's next page.
    next: Option<String>,
}

/// What belongs to these people.
pub(crate) fn read(
    resource: &Resource,
    people: &[String],
    cursor: &Cursor,
    limit: u32,
) -> Result<Page, Error> {
    let mut place: Place = match cursor.text() {
        Some(text) => Reader::new(text).object().map_err(|malformed| {
            Error::Internal(format!("the cursor is unreadable: {malformed}"))
        })?,
        None => Place::default(),
    };
    let mut batch = Batch::new(limit);
    while place.person < people.len() && !batch.is_full() {
        match place.step(resource, people, &mut batch) {
            Ok(()) => {}
            // What was read so far is not lost; the next call meets the error again.
            Err(Error::RateLimited { .. } | Error::Upstream(_)) if batch.has_items() => break,
            Err(error) => return Err(error),
        }
    }
    let done = place.person >= people.len();
    let next = match done {
        true => Cursor::START,
        false => Cursor::of_text(json::text_of(&place)),
    };
    Ok(batch.into_page(next, done))
}

impl Place {
    /// Reads the first pages of the next people, or one more page of somebody.
    fn step(
        &mut self,
        resource: &Resource,
        people: &[String],
        batch: &mut Batch,
    ) -> Result<(), Error> {
        if let (true, Some(person)) = (self.next.is_some(), people.get(self.person)) {
            let mut response = self.request(resource, person).send()?;
            if response.status == 400 {
                self.next = None;
                self.below = self.id;
                response = self.request(resource, person).send()?;
            }
            return self.take(resource, response, batch);
        }
        let asked: Vec<Request> = people
            .iter()
            .skip(self.person)
            .take(PARALLEL)
            .map(|person| of_person(resource, person))
            .collect();
        for response in send_all(asked) {
            self.take(resource, response?, batch)?;
            if self.next.is_some() {
                // The others are asked about again, after this one.
                break;
            }
        }
        Ok(())
    }

    fn request(&self, resource: &Resource, person: &str) -> Request {
        of_person(resource, person)
            .query_if("idLessThan", (self.below > 0).then_some(self.below))
            .query_if("next", self.next.as_ref())
    }

    /// Takes one page of the person, and goes on to its next one or to the next
    /// person.
    fn take(
        &mut self,
        resource: &Resource,
        response: Response,
        batch: &mut Batch,
    ) -> Result<(), Error> {
        // Somebody who is gone, or whom the key does not see, has nothing.
        let mut goes_on = false;
        if response.status != 404 {
            let response = response.listed()?;
            let mut page = mapping::page(resource, response.text()?)?;
            // Oldest first, as far as one page goes.
            page.items.sort_by_key(number);
            let last = page.items.iter().map(number).min();
            // Else a list that ignores `next` would be read for ever.
            if self.id > 0 && last.is_some_and(|last| last >= self.id) {
                return Err(Error::unexpected(format!(
                    "the app's list of {} did not go on after id {}",
                    resource.path, self.id
                )));
            }
            goes_on = page.next.is_some() && last.is_some();
            self.next = page.next;
            self.id = last.unwrap_or(self.id);
            batch.add(&response, page.items);
        }
        if !goes_on {
            *self = Self {
                person: self.person + 1,
                ..Self::default()
            };
        }
        Ok(())
    }
}

fn of_person(resource: &Resource, person: &str) -> Request {
    resource
        .list()
        .query("personId", person)
        .query("limit", MAX_LIMIT)
}

impl<'a> Object<'a> for Place {
    fn member(&mut self, name: Cow<'a, str>, value: &mut Reader<'a>) -> Result<(), Malformed> {
        match name.as_ref() {
            "person" => {
                let person = value.scalar()?.whole().unwrap_or_default();
                self.person = usize::try_from(person).unwrap_or_default();
            }
            "id" => self.id = value.scalar()?.whole().unwrap_or_default(),
            "below" => self.below = value.scalar()?.whole().unwrap_or_default(),
            "next" => self.next = value.scalar()?.text().map(Cow::into_owned),
            _ => {}
        }
        Ok(())
    }
}

impl Write for Place {
    fn write(&self, out: &mut Writer) {
        out.begin();
        out.name("person");
        out.number(self.person as f64);
        for (name, id) in [("id", self.id), ("below", self.below)] {
            out.name(name);
            out.whole(id);
        }
        if let Some(next) = &self.next {
            out.name("next");
            out.text(next);
        }
        out.end();
    }
}
