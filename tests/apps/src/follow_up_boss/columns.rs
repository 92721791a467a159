//! What each field of a formula person says.
//!
//! A column writes one field as JSON straight into a page. Choices among the
//! texts below depend on the id alone; none of these texts needs escaping.

use super::bulk::{Bulk, START};
use super::moments;

const FIRST_NAMES: [&str; 16] = [
    "James", "Mary", "Zoë", "John", "Patricia", "José", "Linda", "Michael", "Chloé", "William",
    "Nguyễn", "David", "Susan", "Søren", "Jessica", "Thomas",
];
const LAST_NAMES: [&str; 16] = [
    "Smith",
    "Johnson",
    "Müller",
    "Williams",
    "O'Brien",
    "García",
    "Jones",
    "Miller",
    "Davis",
    "Martínez",
    "Hernández",
    "Lopez",
    "Wilson",
    "Anderson",
    "Taylor",
    "Van der Berg",
];
const STREETS: [&str; 8] = [
    "High Oak St",
    "Maple Avenue",
    "Lakeview Drive",
    "Cedar Court",
    "Washington Blvd",
    "Sunset Terrace",
    "Willow Lane",
    "River Road",
];
const CITIES: [(&str, &str); 8] = [
    ("Rochester", "WA"),
    ("Austin", "TX"),
    ("Portland", "OR"),
    ("Phoenix", "AZ"),
    ("Tampa", "FL"),
    ("Boise", "ID"),
    ("Denver", "CO"),
    ("Nashville", "TN"),
];
const SOURCES: [&str; 8] = [
    "MyAwesomeWebsite.com",
    "Zillow",
    "<unspecified>",
    "Realtor.com",
    "Open House",
    "Referral",
    "Facebook Ads",
    "Google Ads",
];
const STAGES: [(&str, u64); 4] = [
    ("Lead", 2),
    ("Attempted contact", 3),
    ("Nurture", 11),
    ("Showing homes", 7),
];
const AREAS: [&str; 4] = ["Downtown", "Northside", "Lakefront", "Suburbs"];
/// The users of the bulk data set.
pub(super) const AGENTS: [&str; 3] = ["Tom Minch", "Ana Souza", "Kenji Sato"];

/// Scatters ids, so that neighbours differ (the finalizer of SplitMix64).
pub(super) fn mix(id: u64) -> u64 {
    let id = id.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let id = (id ^ (id >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let id = (id ^ (id >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    id ^ (id >> 31)
}

/// A formula person about to be written.
pub(super) struct Person<'a> {
    id: u64,
    mixed: u64,
    bulk: &'a Bulk,
}

impl<'a> Person<'a> {
    pub(super) fn new(bulk: &'a Bulk, id: u64) -> Self {
        Self {
            id,
            mixed: mix(id),
            bulk,
        }
    }

    /// One of several values, chosen by the id; `salt` tells choices apart.
    fn pick<T: Copy + Default>(&self, from: &[T], salt: u32) -> T {
        let index = (self.mixed.rotate_right(salt * 8) & 0xFFFF) as usize % from.len().max(1);
        from.get(index).copied().unwrap_or_default()
    }

    /// Its stage, by name and id.
    pub(super) fn stage(&self) -> (&'static str, u64) {
        self.pick(&STAGES, 3)
    }

    fn agent(&self) -> u64 {
        1 + self.mixed % 3
    }

    fn house(&self) -> u64 {
        1 + self.mixed / 7 % 9_800
    }

    fn zip(&self) -> u64 {
        10_000 + self.mixed / 11 % 90_000
    }

    fn first_name(&self) -> &'static str {
        self.pick(&FIRST_NAMES, 1)
    }

    fn last_name(&self) -> &'static str {
        self.pick(&LAST_NAMES, 2)
    }
}

/// A field of formula people and how it is written.
pub(super) struct Column {
    pub(super) name: &'static str,
    pub(super) write: fn(&Person<'_>, &mut Vec<u8>),
}

const fn column(name: &'static str, write: fn(&Person<'_>, &mut Vec<u8>)) -> Column {
    Column { name, write }
}

pub(super) static COLUMNS: [Column; 36] = [
    column("id", |person, out| put_number(out, person.id)),
    column("created", |person, out| {
        put_moment(out, person.bulk.created(person.id))
    }),
    column("updated", |person, out| {
        put_moment(out, person.bulk.updated(person.id))
    }),
    column("createdVia", |_, out| put(out, "\"API\"")),
    column("lastActivity", |person, out| {
        put_moment(out, person.bulk.updated(person.id))
    }),
    column("name", |person, out| {
        put_texts(out, &[person.first_name(), " ", person.last_name()]);
    }),
    column("firstName", |person, out| {
        put_texts(out, &[person.first_name()])
    }),
    column("lastName", |person, out| {
        put_texts(out, &[person.last_name()])
    }),
    column("stage", |person, out| put_texts(out, &[person.stage().0])),
    column("stageId", |person, out| put_number(out, person.stage().1)),
    column("source", |person, out| {
        put_texts(out, &[person.pick(&SOURCES, 4)])
    }),
    column("sourceUrl", |person, out| {
        put(out, "\"https://www.example.com/listings/");
        put_number(out, person.mixed % 1_000_000);
        put(out, "?utm_source=portal\"");
    }),
    column("contacted", |person, out| put_number(out, person.mixed & 1)),
    column("price", |person, out| {
        put_number(out, 150_000 + person.mixed % 900 * 1000)
    }),
    column("assignedLenderId", put_null),
    column("assignedLenderName", put_null),
    column("assignedUserId", |person, out| {
        put_number(out, person.agent())
    }),
    column("assignedPondId", put_null),
    column("assignedTo", |person, out| {
        let name = AGENTS.get((person.agent() - 1) as usize);
        put_texts(out, &[name.copied().unwrap_or_default()]);
    }),
    column("tags", |person, out| {
        put(
            out,
            if person.mixed & 2 == 0 {
                "[\"Buyer\",\"Batch "
            } else {
                "[\"Seller\",\"Batch "
            },
        );
        put_number(out, person.id % 50);
        put(out, "\",\"Newsletter\"]");
    }),
    column("emails", |person, out| {
        put(out, "[{\"value\":\"person");
        put_number(out, person.id);
        put(
            out,
            "@example.com\",\"type\":\"home\",\"status\":\"Valid\",\"isPrimary\":1},{\"value\":\"p",
        );
        put_number(out, person.id);
        put(out, ".work@example.org\",\"type\":\"work\",\"status\":\"");
        put(
            out,
            if person.mixed % 16 == 0 {
                "Invalid"
            } else {
                "Valid"
            },
        );
        put(out, "\",\"isPrimary\":0}]");
    }),
    column("phones", |person, out| {
        out.push(b'[');
        put_phone(
            out,
            b'2',
            person.id,
            "mobile\",\"status\":\"Valid\",\"isPrimary\":1,",
        );
        out.push(b',');
        put_phone(
            out,
            b'3',
            person.id,
            "work\",\"status\":\"Valid\",\"isPrimary\":0,",
        );
        out.push(b']');
    }),
    column("addresses", |person, out| {
        let (city, state) = person.pick(&CITIES, 5);
        put(out, "[{\"type\":\"home\",\"street\":\"");
        put_number(out, person.house());
        put(out, " ");
        put(out, person.pick(&STREETS, 6));
        put(out, "\",\"city\":\"");
        put(out, city);
        put(out, "\",\"state\":\"");
        put(out, state);
        put(out, "\",\"code\":\"");
        put_number(out, person.zip());
        put(out, "\",\"country\":\"US\"}]");
    }),
    column("picture", put_null),
    column("background", |person, out| {
        put(out, "\"Looking for ");
        put_number(out, 1 + person.mixed % 5);
        put(out, " bedrooms near ");
        put(out, person.pick(&AREAS, 7));
        put(out, ".\"");
    }),
    column("collaborators", |_, out| put(out, "[]")),
    column("timeframeId", |person, out| {
        put_number(out, 1 + person.mixed % 4)
    }),
    column("timeframeStatus", put_null),
    column("timeframeUpdated", put_null),
    column("relationships", |_, out| put(out, "[]")),
    column("customBirthday", |person, out| {
        out.push(b'"');
        moments::write_date(
            out,
            START - (8_000 + person.mixed as i64 % 15_000).abs() * 86_400,
        );
        out.push(b'"');
    }),
    column("customPreferredArea", |person, out| {
        put_texts(out, &[person.pick(&AREAS, 7)])
    }),
    column("customLoanAmount", |person, out| {
        put_number(out, 100_000 + person.mixed % 700 * 1000);
    }),
    column("customCloseDate", put_null),
    column("customSpouseName", |person, out| {
        put_texts(out, &[person.pick(&FIRST_NAMES, 0)])
    }),
    column("customNotesForAgent", |_, out| {
        put(out, "\"Prefers text messages after 5 pm.\"")
    }),
];

fn put(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(text.as_bytes());
}

fn put_null(_: &Person<'_>, out: &mut Vec<u8>) {
    put(out, "null");
}

/// A JSON string of parts which need no escaping.
fn put_texts(out: &mut Vec<u8>, parts: &[&str]) {
    out.push(b'"');
    for part in parts {
        put(out, part);
    }
    out.push(b'"');
}

fn put_moment(out: &mut Vec<u8>, seconds: i64) {
    out.push(b'"');
    moments::write_iso(out, seconds);
    out.push(b'"');
}

fn put_number(out: &mut Vec<u8>, number: u64) {
    let start = out.len();
    let mut rest = number;
    loop {
        out.push(b'0' + (rest % 10) as u8);
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    if let Some(digits) = out.get_mut(start..) {
        digits.reverse();
    }
}

fn put_phone(out: &mut Vec<u8>, line: u8, id: u64, kind: &str) {
    let mut digits = Vec::with_capacity(12);
    put_number(&mut digits, 1_000_000_000 + id % 1_000_000_000);
    if let Some(first) = digits.first_mut() {
        *first = line;
    }
    put(out, "{\"value\":\"");
    out.extend_from_slice(&digits);
    put(out, "\",\"type\":\"");
    put(out, kind);
    put(out, "\"normalized\":\"");
    out.extend_from_slice(&digits);
    put(out, "\",\"isLandline\":0,\"relationshipId\":0}");
}
