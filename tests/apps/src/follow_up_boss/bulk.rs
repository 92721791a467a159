//! People by formula: any number of them in no memory.
//!
//! Person `id` of `1..=people` is a function of the id. `created` and
//! `updated` rise with the id, three and five people sharing a second, so that
//! ranges and pages sorted by any of the three are found by bisection. Records
//! are written straight into the page's buffer, about 1.25 KB each; a record
//! as a value is read back from that, so there is one formula only.
//!
//! Formula people can be filtered by id, by time, by email and by phone (the
//! latter two contain the id), and sorted by `id`, `created` and `updated`;
//! other filters and orders are refused with 400. An agent's key sees all of
//! them. Those changed by request are kept as ordinary records from then on.
//!
//! What belongs to formula people can be given by formula too: so many records
//! of a kind for each person, in the order of the people. They can be filtered
//! by anything, quickly by id, by time and by person.

use std::ops::Range;

use serde_json::Value;

use super::columns::{COLUMNS, Column, Person};
use super::filters::Check;
use super::made::{About, made};
use super::moments;
use super::paging::{Mark, Selection};
use super::records::{Kind, Record, Resource};

/// 2023-01-01T00:00:00Z.
pub(super) const START: i64 = 1_672_531_200;
const MONTH: i64 = 30 * 86_400;
const TWO_YEARS: i64 = 2 * 365 * 86_400;

/// A number of people, or of what belongs to them, given by a formula.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Bulk {
    kind: Kind,
    count: u64,
    /// How many of these records each person has: 1 for people themselves.
    per_person: u64,
    /// A third of the seconds between two groups sharing `created`, a fifth
    /// of those between two sharing `updated`.
    pace: i64,
}

/// What a list's filters leave of the formula people.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Narrowed {
    /// Only these can pass; the checks are still to be made.
    Candidates(Vec<u64>),
    /// Exactly those from the first to the last id.
    Range(u64, u64),
    /// There is no formula for a filter by this field.
    Unsupported(String),
}

impl Bulk {
    pub(super) fn people(count: u64) -> Self {
        Self::new(Kind::People, count, 1)
    }

    /// So many records of a kind for each of these people, if the kind is one
    /// that belongs to people.
    pub(super) fn each(&self, kind: Kind, per_person: u64) -> Option<Self> {
        let bulk = Self::new(kind, self.count.saturating_mul(per_person), per_person);
        made(kind, bulk.about(1, &Record::new())).map(|_| bulk)
    }

    fn new(kind: Kind, count: u64, per_person: u64) -> Self {
        let records = i64::try_from(count.max(1)).unwrap_or(i64::MAX);
        Self {
            kind,
            count,
            per_person,
            pace: (TWO_YEARS / records).clamp(1, 1200),
        }
    }

    pub(super) fn kind(&self) -> Kind {
        self.kind
    }

    pub(super) fn last_id(&self) -> u64 {
        self.count
    }

    /// The person a record belongs to.
    fn owner(&self, id: u64) -> u64 {
        id.saturating_sub(1) / self.per_person.max(1) + 1
    }

    fn about<'a>(&self, id: u64, person: &'a Record) -> About<'a> {
        About {
            id,
            person,
            created: self.created(id),
            updated: self.updated(id),
        }
    }

    pub(super) fn ids(&self) -> impl Iterator<Item = u64> {
        1..=self.count
    }

    pub(super) fn holds(&self, id: u64) -> bool {
        (1..=self.count).contains(&id)
    }

    pub(super) fn created(&self, id: u64) -> i64 {
        START + (id / 3) as i64 * 3 * self.pace
    }

    pub(super) fn updated(&self, id: u64) -> i64 {
        START + MONTH + (id / 5) as i64 * 5 * self.pace
    }

    /// The id of a person's stage.
    pub(super) fn stage(&self, id: u64) -> u64 {
        Person::new(self, id).stage().1
    }

    /// The value people are sorted by, for the fields that rise with the id.
    pub(super) fn key(&self, field: &str, id: u64) -> Option<i64> {
        match field {
            "id" => Some(id as i64),
            "created" | "createdAt" => Some(self.created(id)),
            "updated" => Some(self.updated(id)),
            _ => None,
        }
    }

    pub(super) fn mark(&self, field: &str, id: u64) -> Mark {
        let since = match field {
            "id" => Value::from(id),
            _ => moments::iso(self.key(field, id).unwrap_or_default()).into(),
        };
        Mark { since, id }
    }

    /// How many people from the first on satisfy a condition which, once
    /// false, stays so.
    pub(super) fn count_while(&self, holds: impl Fn(u64) -> bool) -> u64 {
        let (mut low, mut high) = (0, self.count);
        while low < high {
            let middle = high - (high - low) / 2;
            if holds(middle) {
                low = middle;
            } else {
                high = middle - 1;
            }
        }
        low
    }

    pub(super) fn narrow(&self, checks: &[Check]) -> Narrowed {
        let mut candidates: Option<Vec<u64>> = None;
        let (mut first, mut last) = (1, self.count);
        let mut unsupported = None;
        for check in checks {
            let ids: Vec<u64> = match check {
                Check::Numbers { field: "id", any } => any
                    .iter()
                    .filter_map(|id| u64::try_from(*id).ok())
                    .collect(),
                Check::Numbers {
                    field: "personId",
                    any,
                }
                | Check::Members {
                    field: "personId",
                    any,
                    ..
                }
                | Check::Members {
                    list: "people",
                    any,
                    ..
                } => any
                    .iter()
                    .flat_map(|person| self.of_person(*person))
                    .collect(),
                Check::Value {
                    list: "emails",
                    value,
                } => email_owner(value).into_iter().collect(),
                Check::Phone { digits } => phone_owner(digits).into_iter().collect(),
                Check::Above { field: "id", bound } => {
                    first = first.max(self.count_while(|id| id as f64 <= *bound) + 1);
                    continue;
                }
                Check::Below { field: "id", bound } => {
                    last = last.min(self.count_while(|id| (id as f64) < *bound));
                    continue;
                }
                Check::After {
                    field: field @ ("created" | "createdAt" | "updated"),
                    at,
                } => {
                    let until = self.count_while(|id| self.key(field, id) <= Some(*at));
                    first = first.max(until + 1);
                    continue;
                }
                Check::Before {
                    field: field @ ("created" | "createdAt" | "updated"),
                    at,
                } => {
                    last = last.min(self.count_while(|id| self.key(field, id) < Some(*at)));
                    continue;
                }
                other => {
                    unsupported = Some(other.field().to_owned());
                    continue;
                }
            };
            candidates = Some(match candidates {
                Some(earlier) => earlier.into_iter().filter(|id| ids.contains(id)).collect(),
                None => ids,
            });
        }
        match (candidates, unsupported) {
            (Some(mut ids), _) => {
                ids.retain(|id| self.holds(*id));
                ids.sort_unstable();
                ids.dedup();
                Narrowed::Candidates(ids)
            }
            (None, Some(field)) if self.kind == Kind::People => Narrowed::Unsupported(field),
            (None, Some(_)) => Narrowed::Candidates((first..=last).collect()),
            (None, None) => Narrowed::Range(first, last),
        }
    }

    /// The ids of a person's records.
    fn of_person(&self, person: i64) -> Range<u64> {
        let person = u64::try_from(person).unwrap_or_default();
        let end = person.saturating_mul(self.per_person);
        match person {
            0 => 0..0,
            _ => end - self.per_person.min(end) + 1..end.saturating_add(1),
        }
    }

    /// A record with all its fields.
    pub(super) fn record(&self, id: u64) -> Record {
        if self.kind != Kind::People {
            // The formula of the people does not depend on how many there are,
            // but for their times, which do not show here.
            let person = Self::people(self.count).record(self.owner(id));
            return made(self.kind, self.about(id, &person)).unwrap_or_default();
        }
        let resource = Resource::of(Kind::People);
        let mut json = Vec::with_capacity(2048);
        self.write(
            &mut json,
            id,
            &self.columns(resource, &Selection::everything(resource)),
        );
        serde_json::from_slice(&json).unwrap_or_default()
    }

    /// The columns a selection shows, chosen once per page.
    pub(super) fn columns(
        &self,
        resource: &Resource,
        selection: &Selection,
    ) -> Vec<&'static Column> {
        COLUMNS
            .iter()
            .filter(|column| selection.shows(resource, column.name))
            .collect()
    }

    /// Appends a person as JSON.
    pub(super) fn write(&self, out: &mut Vec<u8>, id: u64, columns: &[&Column]) {
        let person = Person::new(self, id);
        out.push(b'{');
        for (position, column) in columns.iter().enumerate() {
            if position > 0 {
                out.push(b',');
            }
            out.push(b'"');
            out.extend_from_slice(column.name.as_bytes());
            out.extend_from_slice(b"\":");
            (column.write)(&person, out);
        }
        out.push(b'}');
    }
}

/// The person whose email this would be, `person17@...` or `p17.home@...`.
fn email_owner(email: &str) -> Option<u64> {
    let local = email.split('@').next()?;
    let digits: String = local.chars().filter(char::is_ascii_digit).collect();
    digits.parse().ok()
}

/// The person whose phone this would be: `2` or `3` and nine digits of id.
fn phone_owner(digits: &str) -> Option<u64> {
    let id = digits.strip_prefix(['2', '3'])?;
    (id.len() == 9).then(|| id.parse().ok()).flatten()
}
