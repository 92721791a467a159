//! What leaves for the apps: how much of their rate limits is taken, and a record of
//! every request.

mod budgets;
mod calls;

pub use budgets::{BudgetAsk, BudgetLeft, BudgetLoan, BudgetUse, BudgetsLent};
pub use calls::{OutboundCall, OutboundQuery};

pub(crate) use calls::Calls;

pub(crate) const TABLES: &str = "
CREATE TABLE host_budgets (
    key {key} PRIMARY KEY,
    taken TEXT NOT NULL DEFAULT '[]',
    closed_until BIGINT,
    expires_at BIGINT NOT NULL
);
CREATE TABLE host_outbound_calls (
    id {serial},
    at BIGINT NOT NULL,
    request_id {key} NOT NULL,
    credential_id {key},
    connector TEXT NOT NULL,
    method TEXT NOT NULL,
    host TEXT NOT NULL,
    path TEXT NOT NULL,
    status BIGINT,
    failure TEXT,
    sent BIGINT NOT NULL,
    received BIGINT NOT NULL,
    milliseconds BIGINT NOT NULL,
    attempt BIGINT NOT NULL
);
CREATE INDEX host_outbound_calls_request ON host_outbound_calls (request_id, id);
CREATE INDEX host_outbound_calls_credential ON host_outbound_calls (credential_id, id);
";
