//! The CRM's entities as they are documented: field by field.

use rollout_catalog::Rule;
use rollout_catalog::Rule::{No, Optional, Required};

/// name, type (`|null` where it may be null), POST, PUT
pub(super) type Documented = (&'static str, &'static str, Rule, Rule);

pub(super) const EVERY_RECORD: &[Documented] = &[
    ("id", "text", No, No),
    ("created", "time", No, No),
    ("updated", "time|null", No, No),
    ("rolloutUpdated", "time", No, No),
    ("originalIds", "object", No, No),
    ("original", "object", No, No),
];

const PEOPLE: &[Documented] = &[
    ("name", "text", No, No),
    ("firstName", "text", Required, Optional),
    ("lastName", "text", Required, Optional),
    ("assignedUserId", "text|null", Optional, Optional),
    ("assignedPondId", "text|null", Optional, Optional),
    ("officeId", "text|null", Optional, Optional),
    ("timeframeId", "text|null", Optional, Optional),
    ("stage", "text", Optional, Optional),
    ("stageId", "text|null", Optional, Optional),
    ("tags", "list|null", Optional, Optional),
    ("created", "time|null", No, No),
    ("addresses", "list", Optional, Optional),
    ("emails", "list", Optional, Optional),
    ("phones", "list", Optional, Optional),
    ("source", "text", Optional, Optional),
    ("sourceId", "text|null", Optional, Optional),
    ("systemSource", "text|null", Optional, Optional),
    ("averageBeds", "number|null", Optional, Optional),
    ("averagePrice", "number|null", Optional, Optional),
    ("birthday", "text|null", Optional, Optional),
    ("rating", "number", Optional, Optional),
    ("lastActivity", "time|null", Optional, Optional),
    ("lastActivityType", "text", Optional, Optional),
    ("contactTypes", "list", Optional, Optional),
    ("jobTitle", "text", Optional, Optional),
    ("companyName", "text", Optional, Optional),
    ("communicationsConsent", "object", Optional, Optional),
];

const NOTES: &[Documented] = &[
    ("personId", "text|null", Required, Optional),
    ("assignedUserId", "text|null", Optional, Optional),
    ("createdByUserId", "text|null", No, No),
    ("updatedByUserId", "text|null", No, No),
    ("subject", "text", Optional, Optional),
    ("body", "text", Optional, Optional),
    ("isHtml", "boolean", Optional, Optional),
];

const USERS: &[Documented] = &[
    ("firstName", "text", Required, Optional),
    ("lastName", "text", Required, Optional),
    ("email", "text", Required, Optional),
    ("phone", "text", Required, Optional),
    ("role", "text", Required, Optional),
    ("status", "text", Required, Optional),
    ("timezone", "text", Optional, Optional),
    ("created", "time|null", No, No),
    ("teamId", "text|null", No, No),
    ("address", "object|null", Required, No),
    ("username", "text", Required, Optional),
    ("type", "text", Required, No),
    ("offices", "list", No, No),
    ("participatingOfficeIds", "list", Optional, Optional),
    ("password", "text", Optional, No),
];

const TASKS: &[Documented] = &[
    ("name", "text", Optional, Optional),
    ("type", "text", Optional, Optional),
    ("personId", "text|null", Required, Optional),
    ("assignedUserId", "text|null", Optional, Optional),
    ("dueDateTime", "time|null", Optional, Optional),
    ("isCompleted", "boolean|null", Optional, Optional),
];

const SMART_LISTS: &[Documented] = &[
    ("name", "text", Required, Optional),
    ("conditions", "list", Required, Optional),
    ("description", "text", Optional, Optional),
    ("isFub2", "boolean", Optional, Optional),
    ("shared", "boolean", Optional, Optional),
    ("userId", "text|null", Optional, Optional),
    ("sortBy", "text", Optional, Optional),
    ("columns", "list", Optional, Optional),
    ("sharedWith", "object", Optional, Optional),
    ("created", "time|null", No, No),
];

const CALLS: &[Documented] = &[
    ("personId", "text|null", Required, Optional),
    ("phone", "text", Required, Optional),
    ("isIncoming", "boolean", Required, Optional),
    ("userId", "text|null", Optional, Optional),
    ("note", "text", Optional, Optional),
    ("outcome", "text", Optional, Optional),
    ("duration", "number|null", Optional, Optional),
    ("toNumber", "text|null", Optional, Optional),
    ("fromNumber", "text|null", Optional, Optional),
    ("recordingUrl", "text|null", Optional, Optional),
];

const TEAMS: &[Documented] = &[
    ("name", "text", Required, Optional),
    ("email", "text", Optional, Optional),
    ("address", "text", Optional, Optional),
    ("phone", "text", Optional, Optional),
    ("city", "text", Optional, Optional),
    ("zip", "text", Optional, Optional),
    ("created", "time|null", No, No),
];

const TEXT_MESSAGES: &[Documented] = &[
    ("personId", "text|null", Required, Optional),
    ("message", "text", Required, Optional),
    ("isIncoming", "boolean", Required, Optional),
    ("userId", "text|null", Optional, Optional),
    ("externalLabel", "text|null", Optional, Optional),
    ("externalUrl", "text|null", Optional, Optional),
    ("toNumber", "text", Optional, Optional),
    ("fromNumber", "text", Optional, Optional),
    ("status", "text", No, Optional),
    ("sent", "time|null", No, Optional),
    ("created", "time|null", No, No),
];

const EMAIL_MESSAGES: &[Documented] = &[
    ("subject", "text", Required, No),
    ("body", "text", Required, No),
    ("sender", "object", Required, No),
    ("recipients", "list", Required, No),
    ("personId", "text|null", Optional, No),
    ("userId", "text|null", Optional, No),
    ("threadId", "text|null", Optional, No),
    ("isRead", "boolean|null", No, No),
    ("isStarred", "boolean|null", No, No),
    ("isIncoming", "boolean|null", No, No),
    ("sent", "time|null", No, No),
    ("received", "time|null", No, No),
    ("created", "time|null", No, No),
];

const APPOINTMENTS: &[Documented] = &[
    ("personId", "text|null", Required, Optional),
    ("appointmentTypeId", "text", Required, Optional),
    ("title", "text", Required, Optional),
    ("location", "text", Required, Optional),
    ("userId", "text|null", Optional, Optional),
    ("appointmentOutcomeId", "text|null", Optional, Optional),
    ("description", "text", Optional, Optional),
    ("isAllDay", "boolean", Optional, Optional),
    ("startsAt", "time|null", Optional, Optional),
    ("endsAt", "time|null", Optional, Optional),
    ("type", "text", No, No),
    ("invitees", "list", No, No),
    ("created", "time|null", No, No),
];

const APPOINTMENT_TYPES: &[Documented] = &[
    ("name", "text", Required, Optional),
    ("orderWeight", "number|null", Required, Optional),
];

const LISTS: &[Documented] = &[
    ("name", "text", Optional, Optional),
    ("isFavorite", "boolean|null", Optional, Optional),
    ("description", "text", Optional, Optional),
    ("peopleParticipantIds", "list", No, No),
    ("created", "time|null", No, No),
];

const CUSTOM_FIELDS: &[Documented] = &[
    ("label", "text", Required, Required),
    ("name", "text", Required, Required),
    ("type", "text", Required, No),
    ("isRecurring", "boolean", Required, Optional),
    ("choices", "list", Required, Optional),
];

const EVENTS: &[Documented] = &[
    ("personId", "text|null", Optional, Optional),
    ("noteId", "text|null", Optional, Optional),
    ("propertyId", "text|null", Optional, Optional),
    ("occurredAt", "time|null", Optional, Optional),
    ("message", "text", Optional, Optional),
    ("description", "text", Optional, Optional),
    ("source", "text", Optional, Optional),
    ("system", "text", Optional, Optional),
    ("type", "text", Optional, Optional),
    ("pageTitle", "text", Optional, Optional),
    ("pageUrl", "text", Optional, Optional),
    ("pageReferrer", "text", Optional, Optional),
    ("pageDuration", "number|null", Optional, Optional),
    ("updated", "time", No, No),
];

const OFFICES: &[Documented] = &[
    ("name", "text", Required, Optional),
    ("phone", "text", Required, Optional),
    ("email", "text", Required, Optional),
    ("company", "text", Required, Optional),
    ("address", "object", Optional, Optional),
    ("timezone", "text", Optional, Optional),
    ("requiresTemplate", "boolean", Optional, Optional),
    ("updated", "time", No, No),
];

const DEALS: &[Documented] = &[
    ("name", "text", Required, Optional),
    ("stageId", "text|null", Required, Optional),
    ("description", "text", Optional, Optional),
    ("peopleIds", "list", Optional, Optional),
    ("userIds", "list", Optional, Optional),
    ("price", "number|null", Optional, Optional),
    ("commissionValue", "number|null", Optional, Optional),
    ("agentCommission", "number|null", Optional, Optional),
    ("teamCommission", "number|null", Optional, Optional),
    ("orderWeight", "number|null", Optional, Optional),
    ("projectedCloseDate", "time|null", Optional, Optional),
    ("earnestMoneyDueDate", "time|null", Optional, Optional),
    ("mutualAcceptanceDate", "time|null", Optional, Optional),
    ("dueDiligenceDate", "time|null", Optional, Optional),
    ("finalWalkThroughDate", "time|null", Optional, Optional),
    ("possessionDate", "time|null", Optional, Optional),
    ("status", "text", No, No),
    ("pipelineId", "text|null", No, No),
    ("enteredStageAt", "time|null", No, No),
    ("created", "time|null", No, No),
];

const PIPELINES: &[Documented] = &[
    ("name", "text", Required, Optional),
    ("description", "text", Optional, Optional),
    ("orderWeight", "number|null", Optional, Optional),
    ("stages", "list", Optional, Optional),
    ("created", "time|null", No, No),
];

const STAGES: &[Documented] = &[
    ("name", "text", Required, Optional),
    ("orderWeight", "number|null", Optional, Optional),
    ("isProtected", "boolean|null", No, No),
    ("created", "time|null", No, No),
];

const RELATIONSHIPS: &[Documented] = &[
    ("personId", "text|null", Required, Optional),
    ("firstName", "text", Optional, Optional),
    ("lastName", "text", Optional, Optional),
    ("type", "text", Optional, Optional),
    ("emails", "list", Optional, Optional),
    ("phones", "list", Optional, Optional),
    ("addresses", "list", Optional, Optional),
    ("name", "text", No, No),
    ("created", "time|null", No, No),
];

/// Every entity of the CRM and its fields beside [`EVERY_RECORD`].
pub(super) const ENTITIES: &[(&str, &[Documented])] = &[
    ("people", PEOPLE),
    ("notes", NOTES),
    ("users", USERS),
    ("tasks", TASKS),
    ("smartLists", SMART_LISTS),
    ("calls", CALLS),
    ("teams", TEAMS),
    ("textMessages", TEXT_MESSAGES),
    ("emailMessages", EMAIL_MESSAGES),
    ("appointments", APPOINTMENTS),
    ("appointmentTypes", APPOINTMENT_TYPES),
    ("appointmentOutcomes", APPOINTMENT_TYPES),
    ("lists", LISTS),
    ("customFields", CUSTOM_FIELDS),
    ("events", EVENTS),
    ("offices", OFFICES),
    ("deals", DEALS),
    ("pipelines", PIPELINES),
    ("stages", STAGES),
    ("relationships", RELATIONSHIPS),
];

/// Entities whose records the app does not date.
pub(super) const UNDATED: [&str; 3] = ["appointmentTypes", "appointmentOutcomes", "customFields"];
