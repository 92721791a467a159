//! Records that belong to people, made by formula from the person and a
//! number: the same shapes serve the demonstration, bulk and messy sets.

use serde_json::{Value, json};

use super::columns::AGENTS;
use super::data::agent;
use super::moments;
use super::records::{Kind, Record};

/// What the app sends in place of a text message that programs may not read.
pub(super) const HIDDEN_TEXT: &str = "* Body is hidden for privacy reasons *";

/// What the app sends in place of subject and body of such an email.
pub(super) const HIDDEN_EMAIL: &str = "[CONTENT HIDDEN]";

const DAY: i64 = 86_400;

/// What a record is made from.
#[derive(Debug, Clone, Copy)]
pub(super) struct About<'a> {
    pub(super) id: u64,
    /// The person, with all its fields.
    pub(super) person: &'a Record,
    pub(super) created: i64,
    pub(super) updated: i64,
}

/// A record of a kind that belongs to people; nothing for other kinds.
pub(super) fn made(kind: Kind, about: About<'_>) -> Option<Record> {
    let record = match kind {
        Kind::Notes => note(about),
        Kind::Tasks => task(about),
        Kind::Calls => call(about),
        Kind::TextMessages => text_message(about),
        Kind::Emails => email(about),
        Kind::Events => event(about),
        Kind::Appointments => appointment(about),
        Kind::Deals => deal(about),
        Kind::PeopleRelationships => relationship(about),
        _ => return None,
    };
    match record {
        Value::Object(record) => Some(record),
        _ => None,
    }
}

impl<'a> About<'a> {
    fn person_id(&self) -> u64 {
        let id = self.person.get("id").and_then(Value::as_u64);
        id.unwrap_or_default()
    }

    fn text(&self, field: &str) -> &'a str {
        let text = self.person.get(field).and_then(Value::as_str);
        text.unwrap_or_default()
    }

    fn contact(&self, list: &str) -> &'a str {
        let first = self.person.get(list).and_then(Value::as_array);
        first
            .and_then(|items| items.first()?.get("value")?.as_str())
            .unwrap_or_default()
    }

    fn user(&self) -> u64 {
        1 + self.id % AGENTS.len() as u64
    }

    fn pick<T: Copy + Default>(&self, from: &[T]) -> T {
        let index = self.id % from.len().max(1) as u64;
        let index = usize::try_from(index).unwrap_or_default();
        from.get(index).copied().unwrap_or_default()
    }

    fn is_even(&self) -> bool {
        self.id.is_multiple_of(2)
    }
}

/// The phone of a user.
fn line(user: u64) -> String {
    format!("555-010-{:04}", 100 + user)
}

/// The address of a user.
fn mailbox(user: u64) -> String {
    let first = agent(user).split(' ').next().unwrap_or_default();
    format!("{}@sunrise.example", first.to_lowercase())
}

fn note(about: About<'_>) -> Value {
    let (body, subject) = about.pick(&[
        ("Left a voicemail.", "Call"),
        ("Prefers to be reached in the evening.", ""),
        ("Sent three comparable sales.", "Follow-up"),
    ]);
    super::data::note(
        about.id,
        about.person_id(),
        about.user(),
        about.created,
        subject,
        body,
        false,
    )
}

fn task(about: About<'_>) -> Value {
    let kind = about.pick(&["Follow Up", "Call", "Email", "Text"]);
    super::data::task(
        about.id,
        (about.person_id(), about.text("name")),
        about.user(),
        about.created,
        (kind, "Get in touch"),
        about.id.is_multiple_of(3),
    )
}

fn call(about: About<'_>) -> Value {
    let (outcome, note, duration) = about.pick(&[
        (
            "Interested",
            "Wants to see the corner unit on Saturday.",
            412,
        ),
        ("No Answer", "", 0),
        ("Left Message", "Asked to call back about the lender.", 38),
        ("Not Interested", "Bought elsewhere.", 95),
        ("Busy", "", 0),
    ]);
    let phone = about.contact("phones");
    let incoming = about.id.is_multiple_of(3);
    let own = line(about.user());
    let (from, to) = if incoming {
        (phone, own.as_str())
    } else {
        (own.as_str(), phone)
    };
    json!({
        "id": about.id, "relationshipId": 0, "created": moments::iso(about.created),
        "updated": moments::iso(about.updated), "createdById": about.user(),
        "updatedById": about.user(), "personId": about.person_id(), "name": about.text("name"),
        "firstName": about.text("firstName"), "lastName": about.text("lastName"),
        "userId": about.user(), "userName": agent(about.user()), "phone": phone,
        "fromNumber": from, "toNumber": to, "note": note, "outcome": outcome,
        "isIncoming": incoming, "duration": duration,
        "ringDuration": (duration > 0).then_some(9),
        "recordingUrl": (duration > 0).then_some("* Recording URL is hidden for privacy reasons *"),
        "startedAt": moments::iso(about.created - duration),
    })
}

fn text_message(about: About<'_>) -> Value {
    let incoming = about.is_even();
    let phone = about.contact("phones");
    let own = line(about.user());
    let (from, to) = if incoming {
        (phone, own.as_str())
    } else {
        (own.as_str(), phone)
    };
    let message = about.pick(&[
        "Are we still on for Saturday?",
        "Here is the address: 118 High Oak St.",
        "Thank you, see you there!",
        HIDDEN_TEXT,
        "The lender needs the last two pay slips 📄",
    ]);
    json!({
        "id": about.id, "created": moments::iso(about.created),
        "updated": moments::iso(about.updated), "createdById": about.user(),
        "updatedById": about.user(), "personId": about.person_id(), "name": about.text("name"),
        "firstName": about.text("firstName"), "lastName": about.text("lastName"),
        "picture": null, "userId": about.user(), "userName": agent(about.user()),
        "status": if incoming { "Received" } else { "Delivered" }, "message": message,
        "fromNumber": from, "toNumber": to, "sent": moments::iso(about.created),
        "isIncoming": incoming, "archived": false, "read": true, "sharedInboxId": 0,
        "actionPlanId": null, "groupTextId": null, "isExternal": false, "externalUrl": null,
        "externalLabel": null, "systemId": null, "media": [], "systemName": null,
        "_threadId": about.person_id(),
    })
}

fn email(about: About<'_>) -> Value {
    let incoming = about.is_even();
    let (subject, body) = about.pick(&[
        (
            "Your search in Lakefront",
            "Three new listings match what you told me.",
        ),
        ("Re: Showing on Saturday", "Ten o'clock works for us."),
        (HIDDEN_EMAIL, HIDDEN_EMAIL),
        ("Documents", "Please find the disclosure attached."),
    ]);
    let person = json!({ "name": about.text("name"), "email": about.contact("emails") });
    let user = json!({ "name": agent(about.user()), "email": mailbox(about.user()) });
    let (from, to) = if incoming {
        (person, user)
    } else {
        (user, person)
    };
    json!({
        "id": about.id, "created": moments::iso(about.created),
        "updated": moments::iso(about.updated), "date": moments::iso(about.created),
        "personId": about.person_id(), "userId": about.user(), "userName": agent(about.user()),
        "threadId": format!("thread-{}", about.person_id()), "subject": subject, "body": body,
        "bodyExcerpt": body, "from": [from], "to": [to], "cc": [], "bcc": [],
        "status": if incoming { "Received" } else { "Sent" }, "bounced": false,
        "hasAttachments": subject == "Documents", "emailTemplateId": null,
        "relatedPeople": [{ "personId": about.person_id(), "sentByPerson": incoming }],
    })
}

fn event(about: About<'_>) -> Value {
    let (kind, message) = about.pick(&[
        ("Property Inquiry", "Is this one still available?"),
        ("Registration", ""),
        ("Viewed Property", ""),
        ("General Inquiry", "Please call me back."),
        ("Visited Website", ""),
    ]);
    let property = matches!(kind, "Property Inquiry" | "Viewed Property").then(|| {
        json!({
            "id": about.id, "street": format!("{} High Oak St", 100 + about.id * 3),
            "city": "Rochester", "state": "WA", "code": "98579",
            "mlsNumber": format!("{}", 1_400_000 + about.id), "price": "449000", "forRent": 0,
            "url": "https://homes.example/listing", "type": "Residential",
            "bedrooms": "3", "bathrooms": "2.0", "area": "2888", "lot": null,
        })
    });
    json!({
        "id": about.id, "created": moments::iso(about.created),
        "updated": moments::iso(about.updated), "occurred": moments::iso(about.created - 60),
        "personId": about.person_id(), "message": message, "description": "", "additional": [],
        "noteId": null, "source": about.text("source"), "type": kind,
        "pageTitle": (kind == "Visited Website").then_some("Homes by the lake"),
        "pageUrl": (kind == "Visited Website").then_some("https://homes.example/lake"),
        "pageDuration": 0, "property": property, "propertySearch": null,
    })
}

fn appointment(about: About<'_>) -> Value {
    let (title, type_id, kind) = about.pick(&[
        ("Buyer consultation", 2, "Buyer consultation"),
        (
            "Walk through with the photographer",
            1,
            "Listing appointment",
        ),
        ("Showing of the corner unit", 3, "Showing"),
    ]);
    let outcome = about.is_even().then_some((1, "Met"));
    let start = about.created + 3 * DAY;
    json!({
        "id": about.id, "created": moments::iso(about.created),
        "updated": moments::iso(about.updated), "createdById": about.user(),
        "updatedById": about.user(), "title": title, "description": "",
        "start": moments::iso(start), "end": moments::iso(start + 3600),
        "timezone": "America/Los_Angeles", "allDay": false, "originFub": true,
        "location": "118 High Oak St", "invitees": [
            {
                "userId": about.user(), "personId": null, "relationshipId": null,
                "name": agent(about.user()), "email": mailbox(about.user()), "picture": null,
            },
            {
                "userId": null, "personId": about.person_id(), "relationshipId": null,
                "name": about.text("name"), "email": about.contact("emails"),
            },
        ],
        "typeId": type_id, "outcomeId": outcome.map(|(id, _)| id), "isEditable": true,
        "detailsVisible": true, "type": kind, "outcome": outcome.map(|(_, name)| name),
        "externalEventLink": null, "externalCalendarId": null, "isDeletable": true,
    })
}

fn deal(about: About<'_>) -> Value {
    let (stage, stage_name, pipeline, pipeline_name) = about.pick(&[
        (14, "Offer", 1, "Buyers"),
        (15, "Under contract", 1, "Buyers"),
        (17, "Listed", 2, "Sellers"),
        (19, "Sold", 2, "Sellers"),
    ]);
    let price = about.person.get("price").and_then(Value::as_f64);
    let price = price.map_or(400_000, |price| price as i64);
    let close = moments::iso(about.created + 45 * DAY);
    json!({
        "id": about.id, "name": format!("{} High Oak St", 100 + about.id * 7), "type": 0,
        "status": "Active", "price": price, "createdAt": moments::iso(about.created),
        "orderWeight": about.id * 1000, "description": "", "projectedCloseDate": close.get(..10),
        "pipelineId": pipeline, "pipelineName": pipeline_name, "stageId": stage,
        "stageName": stage_name, "enteredStageAt": moments::iso(about.created),
        "commissionValue": price / 40, "agentCommission": price / 80,
        "teamCommission": price / 80, "earnestMoneyDueDate": null,
        "mutualAcceptanceDate": null, "dueDiligenceDate": null, "finalWalkThroughDate": null,
        "possessionDate": null,
        "people": [{ "id": about.person_id(), "name": about.text("name"), "avatar": "" }],
        "users": [{ "id": about.user(), "name": agent(about.user()), "picture": null }],
        "customDealType": "Residential",
    })
}

fn relationship(about: About<'_>) -> Value {
    let (first, kind) = about.pick(&[("Robin", "Spouse"), ("Alex", "Child"), ("Kim", "Parent")]);
    let last = about.text("lastName");
    json!({
        "id": about.id, "created": moments::iso(about.created),
        "updated": moments::iso(about.updated), "createdById": about.user(),
        "personId": about.person_id(), "name": format!("{first} {last}"), "firstName": first,
        "lastName": last, "type": kind, "isPriority": kind == "Spouse", "picture": null,
        "emails": [{
            "value": format!("{}{}@example.net", first.to_lowercase(), about.id), "type": "home",
            "status": "Valid", "isPrimary": 1,
        }],
        "phones": [], "addresses": [],
    })
}
