//! What an account holds at first: nothing much, a small pretty set, a large
//! messy one, or any number of people by formula.
//!
//! Every set has the same custom fields and at least three users: 1 the owner,
//! 2 a broker (admin), 3 an agent.

use serde_json::{Value, json};

use super::bulk::Bulk;
use super::columns::AGENTS;
use super::filters::digits;
use super::made::{About, made};
use super::messy;
use super::moments;
use super::records::{Kind, Record, STAGES};
use super::setup;

/// Initial records of an account.
#[derive(Debug, Clone, Default)]
pub struct Dataset {
    pub(super) records: Vec<(Kind, Record)>,
    pub(super) bulk: Vec<Bulk>,
}

impl Dataset {
    /// Users, and how an account is set up: custom fields, stages, pipelines,
    /// appointment types, teams and the like.
    pub fn empty() -> Self {
        let mut dataset = Self::default();
        for (id, name) in (1..).zip(AGENTS) {
            dataset.add(Kind::Users, user(id, name));
        }
        setup::furnish(&mut dataset);
        dataset
    }

    /// A dozen tidy people with notes, tasks, and a few of everything else, for
    /// demonstrations.
    pub fn demo() -> Self {
        let mut dataset = Self::empty();
        for (id, person) in (1..).zip(DEMO_PEOPLE) {
            dataset.add(Kind::People, demo_person(id, person));
        }
        for (id, (person, subject, body)) in (1..).zip(DEMO_NOTES) {
            let author = 1 + id % 3;
            dataset.add(
                Kind::Notes,
                note(id, person, author, day(120 + id), subject, body, false),
            );
        }
        for (id, (person, kind, name, done)) in (1..).zip(DEMO_TASKS) {
            let (_, first, last, ..) = demo_entry(person);
            dataset.add(
                Kind::Tasks,
                task(
                    id,
                    (person, &format!("{first} {last}")),
                    1 + person % 3,
                    day(125 + id),
                    (kind, name),
                    done,
                ),
            );
        }
        for (kind, people) in DEMO_MADE {
            for (id, person) in (1..).zip(people) {
                let Value::Object(person) = demo_person(*person, demo_entry(*person)) else {
                    continue;
                };
                let about = About {
                    id,
                    person: &person,
                    created: day(130 + id),
                    updated: day(140 + id),
                };
                if let Some(record) = made(kind, about) {
                    dataset.add(kind, demo_oddity(kind, record).into());
                }
            }
        }
        dataset
    }

    /// `people` people as years of imports leave them, with notes and tasks;
    /// the same seed gives the same data.
    pub fn messy(seed: u64, people: usize) -> Self {
        messy::dataset(seed, people)
    }

    /// `people` uniform people by formula, with ids from 1; nothing belongs to
    /// them unless ordered with [`Dataset::each`].
    pub fn bulk(people: u64) -> Self {
        Self {
            bulk: vec![Bulk::people(people)],
            ..Self::empty()
        }
    }

    /// The same set with so many records of a kind for each bulk person, by
    /// formula as well: notes, tasks, calls, text messages, emails, events,
    /// appointments, deals or relationships. Other kinds are left as they are.
    pub fn each(mut self, kind: Kind, per_person: u64) -> Self {
        let made = self
            .bulk
            .first()
            .and_then(|people| people.each(kind, per_person));
        self.bulk
            .retain(|bulk| made.is_none() || bulk.kind() != kind);
        self.bulk.extend(made);
        self
    }

    /// The same set with one more record, a JSON object; without an `id` it
    /// gets the next free one.
    pub fn with(mut self, kind: Kind, record: Value) -> Self {
        self.add(kind, record);
        self
    }

    pub(super) fn add(&mut self, kind: Kind, record: Value) {
        if let Value::Object(record) = record {
            self.records.push((kind, record));
        }
    }
}

/// Noon of the n-th day of 2025.
fn day(number: u64) -> i64 {
    1_735_732_800 + number as i64 * 86_400
}

fn user(id: u64, name: &str) -> Value {
    let (first, last) = name.split_once(' ').unwrap_or((name, ""));
    let mail = format!("{}@sunrise.example", first.to_lowercase());
    let (role, owner) = match id {
        1 => ("Broker", true),
        2 => ("Broker", false),
        _ => ("Agent", false),
    };
    json!({
        "id": id, "created": moments::iso(day(0)), "updated": moments::iso(day(id)),
        "name": name, "firstName": first, "lastName": last, "email": mail,
        "phone": format!("555-010-{:04}", 100 + id), "role": role, "status": "Active",
        "timezone": "America/Los_Angeles", "beta": false, "isOwner": owner,
        "leadEmailAddress": format!("{}.sunrise@leads.example", first.to_lowercase()),
        "groups": [{ "id": 1, "name": "All agents" }], "teamLeaderOf": [],
    })
}

/// A note as the API sends it.
pub(super) fn note(
    id: u64,
    person: u64,
    author: u64,
    at: i64,
    subject: &str,
    body: &str,
    is_html: bool,
) -> Value {
    let name = agent(author);
    json!({
        "id": id, "created": moments::iso(at), "updated": moments::iso(at),
        "createdBy": name, "updatedBy": name, "createdById": author,
        "personId": person, "subject": subject, "body": body,
        "type": "Note", "isHtml": is_html,
    })
}

/// A task as the API sends it, for a person given by id and name.
pub(super) fn task(
    id: u64,
    (person, person_name): (u64, &str),
    assignee: u64,
    at: i64,
    (kind, name): (&str, &str),
    done: bool,
) -> Value {
    let assignee_name = agent(assignee);
    let due = moments::iso(at + 7 * 86_400);
    json!({
        "id": id, "created": moments::iso(at), "updated": moments::iso(at + 3600),
        "completed": done.then(|| moments::iso(at + 3600)),
        "createdBy": assignee_name, "updatedBy": assignee_name, "createdById": assignee,
        "personId": person, "AssignedTo": assignee_name, "assignedUserId": assignee,
        "name": name, "type": kind, "isCompleted": u8::from(done),
        "dueDate": due.get(..10), "dueDateTime": null,
        "person": (person != 0).then(|| json!({ "id": person, "name": person_name })),
    })
}

/// The name of a built-in user.
pub(super) fn agent(id: u64) -> &'static str {
    let index = usize::try_from(id).unwrap_or(0).wrapping_sub(1);
    AGENTS.get(index).copied().unwrap_or_default()
}

/// A stage by its position, the last but one at most (never the trash).
pub(super) fn stage(position: usize) -> (&'static str, u64) {
    STAGES
        .get(position % (STAGES.len() - 1))
        .copied()
        .unwrap_or_default()
}

/// A few records of the demonstration are like those that surprise programs:
/// an unknown caller, an archived and a deleted deal.
fn demo_oddity(kind: Kind, mut record: Record) -> Record {
    let id = record.get("id").and_then(Value::as_u64);
    let changes = match (kind, id) {
        (Kind::Calls, Some(8)) => json!({
            "personId": 0, "name": "", "firstName": "", "lastName": "",
            "createdById": -1, "updatedById": -1,
        }),
        (Kind::Deals, Some(4)) => json!({ "status": "Archived" }),
        (Kind::Deals, Some(5)) => json!({ "status": "Deleted" }),
        _ => return record,
    };
    if let Value::Object(changes) = changes {
        record.extend(changes);
    }
    record
}

/// What the people of the demonstration have besides notes and tasks.
static DEMO_MADE: [(Kind, &[u64]); 7] = [
    (Kind::Calls, &[1, 2, 3, 4, 5, 6, 6, 9]),
    (Kind::TextMessages, &[1, 1, 2, 4, 7, 7]),
    (Kind::Emails, &[2, 3, 3, 5, 8]),
    (Kind::Events, &[1, 1, 2, 4, 7, 11, 12, 12]),
    (Kind::Appointments, &[3, 4, 5, 6, 8]),
    (Kind::Deals, &[3, 6, 7, 8, 10]),
    (Kind::PeopleRelationships, &[2, 5, 10]),
];

type DemoPerson = (
    usize,
    &'static str,
    &'static str,
    &'static str,
    u64,
    &'static [&'static str],
    &'static str,
);

fn demo_entry(id: u64) -> DemoPerson {
    let index = usize::try_from(id).unwrap_or(0).wrapping_sub(1);
    DEMO_PEOPLE.get(index).copied().unwrap_or_default()
}

fn demo_person(id: u64, (position, first, last, city, price, labels, source): DemoPerson) -> Value {
    let (stage, stage_id) = stage(position);
    let assignee = 1 + id % 3;
    let mail = format!("{}.{}@example.com", first, last).to_lowercase();
    let phone = format!("555-020-{:04}", 1000 + id * 37);
    let (city, state) = city.split_once(", ").unwrap_or((city, ""));
    json!({
        "id": id, "created": moments::iso(day(id * 9)), "updated": moments::iso(day(100 + id * 2)),
        "createdVia": "Manually", "lastActivity": moments::iso(day(100 + id * 2)),
        "name": format!("{first} {last}"), "firstName": first, "lastName": last,
        "stage": stage, "stageId": stage_id, "source": source, "sourceUrl": "",
        "contacted": u8::from(position > 0), "price": price,
        "assignedLenderId": null, "assignedLenderName": null,
        "assignedUserId": assignee, "assignedPondId": null, "assignedTo": agent(assignee),
        "tags": labels,
        "emails": [{ "value": mail, "type": "home", "status": "Valid", "isPrimary": 1 }],
        "phones": [{
            "value": phone, "type": "mobile", "status": "Valid", "isPrimary": 1,
            "normalized": digits(&phone), "isLandline": 0, "relationshipId": 0,
        }],
        "addresses": [{
            "type": "home", "street": format!("{} High Oak St", 100 + id * 7), "city": city,
            "state": state, "code": format!("{:05}", 97000 + id * 31), "country": "US",
        }],
        "picture": null, "background": null, "collaborators": [],
        "timeframeId": null, "timeframeStatus": null, "timeframeUpdated": null,
        "relationships": [],
        "customPreferredArea": if id.is_multiple_of(2) { "Lakefront" } else { "Downtown" },
        "customLoanAmount": price * 8 / 10,
    })
}

/// Stage, first and last name, city, price, tags, source.
const DEMO_PEOPLE: [DemoPerson; 12] = [
    (
        0,
        "Olivia",
        "Bennett",
        "Portland, OR",
        449_000,
        &["Buyer"],
        "MyAwesomeWebsite.com",
    ),
    (
        1,
        "Marcus",
        "Lindqvist",
        "Seattle, WA",
        615_000,
        &["Buyer", "First-time"],
        "Zillow",
    ),
    (
        2,
        "Priya",
        "Raman",
        "Bellevue, WA",
        880_000,
        &["Seller"],
        "Referral",
    ),
    (
        3,
        "Diego",
        "Fuentes",
        "Tacoma, WA",
        395_000,
        &["Buyer"],
        "Open House",
    ),
    (
        4,
        "Hannah",
        "Cole",
        "Olympia, WA",
        520_000,
        &["Buyer", "Relocation"],
        "Realtor.com",
    ),
    (
        5,
        "Wei",
        "Zhang",
        "Kirkland, WA",
        1_150_000,
        &["Buyer", "Investor"],
        "Referral",
    ),
    (
        6,
        "Amelia",
        "Okafor",
        "Renton, WA",
        470_000,
        &["Seller", "Buyer"],
        "Zillow",
    ),
    (
        7,
        "Jonas",
        "Keller",
        "Everett, WA",
        505_000,
        &["Buyer"],
        "MyAwesomeWebsite.com",
    ),
    (
        8,
        "Sofia",
        "Marchetti",
        "Spokane, WA",
        345_000,
        &["Seller"],
        "<unspecified>",
    ),
    (
        9,
        "Liam",
        "Gallagher",
        "Vancouver, WA",
        410_000,
        &["Past client"],
        "Referral",
    ),
    (
        0,
        "Noor",
        "Haddad",
        "Redmond, WA",
        725_000,
        &["Buyer"],
        "Facebook Ads",
    ),
    (
        1,
        "Grace",
        "Whitfield",
        "Salem, OR",
        365_000,
        &["Buyer", "First-time"],
        "Google Ads",
    ),
];

const DEMO_NOTES: [(u64, &str, &str); 8] = [
    (
        1,
        "First call",
        "Wants three bedrooms and a garden, walking distance to a school.",
    ),
    (2, "Financing", "Pre-approved up to 630k with her bank."),
    (
        3,
        "Listing",
        "Would like to list in spring. Photos once the kitchen is done.",
    ),
    (
        4,
        "Open house",
        "Came with his sister, liked the corner unit.",
    ),
    (
        5,
        "Relocation",
        "New job starts in September, prefers to rent back for a month.",
    ),
    (6, "Portfolio", "Looking for a duplex or a fourplex."),
    (6, "Follow-up", "Sent three comparable sales."),
    (10, "Anniversary", "Two years in the house this month."),
];

const DEMO_TASKS: [(u64, &str, &str, bool); 8] = [
    (1, "Call", "Call back about the school district", false),
    (2, "Email", "Send the lender checklist", true),
    (
        3,
        "Appointment",
        "Walk through with the photographer",
        false,
    ),
    (4, "Showing", "Second showing of the corner unit", false),
    (5, "Follow Up", "Ask about the moving date", true),
    (6, "Text", "Text the fourplex address", false),
    (8, "Closing", "Prepare the closing documents", false),
    (10, "Thank You", "Send an anniversary card", false),
];
