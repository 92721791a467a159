//! The table of error codes: the only place where a code, its status, cause and remedy are written down.

use std::fmt::Write as _;

use axum::response::Html;
use http::StatusCode;

/// What the table says of one code.
#[derive(Debug, Clone, Copy)]
pub struct CodeInfo {
    /// As it stands in `errors[].code`.
    pub name: &'static str,
    /// The HTTP status it is answered with.
    pub status: StatusCode,
    /// The stable message, used unless a constructor has something more precise to say.
    pub message: &'static str,
    /// Why it happens.
    pub cause: &'static str,
    /// What to do about it.
    pub remedy: &'static str,
}

/// One row per code; the only place where a code is described.
macro_rules! codes {
    ($($code:ident = $name:literal $status:ident $message:literal cause $cause:literal remedy $remedy:literal)*) => {
        /// Every error code of the API.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Code {
            $(#[doc = $cause] $code,)*
        }

        impl Code {
            /// All codes, in the order of the table.
            pub const ALL: &'static [Code] = &[$(Code::$code,)*];

            /// The row of the table.
            pub const fn info(self) -> &'static CodeInfo {
                match self {
                    $(Code::$code => &CodeInfo {
                        name: $name, status: StatusCode::$status, message: $message, cause: $cause, remedy: $remedy,
                    },)*
                }
            }
        }
    };
}

codes! {
    Unauthorized = "unauthorized" UNAUTHORIZED "The token is missing or invalid."
        cause "The Authorization header is missing, doubled or not `Bearer <JWT>`, or the token is expired, malformed, not HS512 or not signed with this environment's client secret."
        remedy "Mint a fresh token from your client id (`iss`) and client secret. The server's log names the exact cause under the X-Request-Id; `rollout token verify TOKEN` explains it too."
    Forbidden = "forbidden" FORBIDDEN "This token may not do that."
        cause "The token is valid but its scope does not reach this operation."
        remedy "Use an environment token (`scope: \"environment\"`, no `sub`), or the scope that the operation's description names."
    IncludeDataOff = "include_data_off" FORBIDDEN "This environment does not hand out what accounts are connected with. Its operator allows it with `rollout env set NAME --include-data on`."
        cause "`includeData=true` or `currentData` was asked for, and the environment does not allow that: keys and tokens stay in the host."
        remedy "`rollout env set NAME --include-data on`, if your backend has to call the app by itself; the raw proxy does that without handing out a secret."
    CredentialHeaderMissing = "credential_header_missing" BAD_REQUEST "The header X-Rollout-Credential-Id is missing."
        cause "A category API was called without saying which connected account is meant."
        remedy "Send X-Rollout-Credential-Id with an id from GET /api/credentials."
    InvalidCredential = "invalid_credential" FORBIDDEN "The credential is not valid."
        cause "The credential id is malformed, unknown, deleted, or belongs to somebody else; the answer does not tell which."
        remedy "Use an id from GET /api/credentials, asked with the same token; connect the account again if it is gone."
    CredentialBroken = "credential_broken" FORBIDDEN "The app no longer accepts this connected account's keys. Connect the account again."
        cause "The app refused the stored key or sign-in, so writes cannot reach it. Reads go on from the last copy."
        remedy "Connect the account again (POST /api/credentials, or PUT /api/credentials/{id} with new userInputs)."
    NotFound = "not_found" NOT_FOUND "Requested resource was not found."
        cause "There is no such record, or it is not visible to this token and credential; the answer does not tell which."
        remedy "Check the id and the credential it was read with."
    UnknownRoute = "unknown_route" NOT_FOUND "There is nothing at this path."
        cause "The path is not part of the API."
        remedy "Compare the path with the OpenAPI document, e.g. /crm/api/openapi.json."
    MethodNotAllowed = "method_not_allowed" METHOD_NOT_ALLOWED "This path does not answer to that method."
        cause "The path exists, but not for this HTTP method."
        remedy "Use a method from the Allow header of the answer."
    VerbUnsupported = "verb_unsupported" METHOD_NOT_ALLOWED "The connected app does not offer this operation for this entity."
        cause "The connector's manifest does not list this operation for the entity."
        remedy "Use a method from the Allow header of the answer; GET /api/connectors lists what each connector offers."
    InvalidRequest = "invalid_request" BAD_REQUEST "The request is malformed."
        cause "The request line, a header or the encoding of the path is not valid HTTP."
        remedy "Send a well-formed request: one Host header, percent-encoded UTF-8 paths."
    WebsocketExpected = "websocket_expected" UPGRADE_REQUIRED "This path is for WebSockets."
        cause "The request does not ask for an upgrade to a WebSocket."
        remedy "Open it with a WebSocket client, by ws:// or wss://."
    UriTooLong = "uri_too_long" URI_TOO_LONG "The address is too long."
        cause "Path and query together are longer than the server reads."
        remedy "Send fewer `ids` or filters per request."
    HeadTooLarge = "head_too_large" REQUEST_HEADER_FIELDS_TOO_LARGE "The request's headers are too many or too large."
        cause "The request has more headers, or larger ones, than the server reads."
        remedy "Send fewer or smaller headers; cookies are never needed."
    UnsupportedMediaType = "unsupported_media_type" UNSUPPORTED_MEDIA_TYPE "The body must be JSON (Content-Type: application/json)."
        cause "The body was sent with a Content-Type other than application/json, or compressed."
        remedy "Send uncompressed JSON with Content-Type: application/json, or without a Content-Type."
    BodyTooLarge = "body_too_large" PAYLOAD_TOO_LARGE "The body is too large."
        cause "The body is larger than the server's limit."
        remedy "Send smaller bodies; the limit is named in the message."
    BodyTimeout = "body_timeout" REQUEST_TIMEOUT "The body did not arrive in time."
        cause "The client announced a body and sent it too slowly, or not at all."
        remedy "Send the request again."
    InvalidJson = "invalid_json" BAD_REQUEST "The body is not valid JSON."
        cause "The body cannot be parsed as JSON, or nests too deep."
        remedy "Mend the body at the line and column in the message."
    InvalidBody = "invalid_body" BAD_REQUEST "The body is not valid."
        cause "The body is JSON, but a field is unknown, missing or of the wrong type."
        remedy "Each entry of `errors` points at a place in the body and says what is expected there."
    InvalidQuery = "invalid_query" BAD_REQUEST "A query parameter is not valid."
        cause "A query parameter has a value that cannot be used."
        remedy "The message names the parameter and what it accepts."
    InvalidCursor = "invalid_cursor" BAD_REQUEST "The parameter `next` is not valid here."
        cause "`next` was altered, is older than 24 hours, or belongs to another credential, entity or set of filters."
        remedy "Start again without `next`, and follow `next` with the filters it was given for."
    UnknownConnector = "unknown_connector" BAD_REQUEST "There is no such connector."
        cause "No loaded connector has this appKey."
        remedy "Use a key from GET /api/connectors."
    UnknownPlan = "unknown_plan" BAD_REQUEST "The connector has no such plan."
        cause "The connector offers no way to connect under this plan."
        remedy "Use a plan from `authByPlan` of GET /api/connectors, or leave `plan` out."
    InvalidInputs = "invalid_inputs" BAD_REQUEST "The inputs for connecting this account are not valid."
        cause "`userInputs` lacks an input that the connector asks for, or has one of the wrong form."
        remedy "Send every input of the plan's `userInputsSchema`; each entry of `errors` names one."
    InvalidCredentials = "invalid_credentials" BAD_REQUEST "The app did not accept this key or sign-in."
        cause "While connecting, the app refused the key or the sign-in. Nothing was stored."
        remedy "Check the key in the app's own settings and that its user may use the API, then try again."
    DataNotReady = "data_not_ready" CONFLICT "Data for this credential is not ready yet. Please try again."
        cause "The first sync of the connected account has not finished."
        remedy "Try again after Retry-After, follow `sync` in GET /api/credentials, or send X-Rollout-Allow-Partial: true."
    EntityNotSynced = "entity_not_synced" CONFLICT "This entity is not synced for this credential."
        cause "The entity is opt-in and was not asked for in `entitiesToSync`."
        remedy "PUT /api/credentials/{id} with the flag that the message names."
    EntityUnavailable = "entity_unavailable" FORBIDDEN "The connected account may not read this entity."
        cause "The app does not let this account's user or plan read the entity."
        remedy "Give the account's user access in the app; the next sync notices it."
    FirstSyncFailed = "first_sync_failed" CONFLICT "The first sync of this credential failed."
        cause "The first sync ended with an error that it cannot pass by itself."
        remedy "The message says why; mend it in the app, then connect the account again."
    EnvironmentHeld = "environment_held" CONFLICT "This environment was restored from a backup and is held: it can only be read."
        cause "An environment that was restored sends nothing to apps, neither syncs nor writes, until its operator has it resume."
        remedy "`rollout env resume NAME` ends it, once no other copy of the environment is at work."
    Conflict = "conflict" CONFLICT "The request conflicts with what is there."
        cause "The app or the store already has something that excludes this change."
        remedy "Read the current state and decide again."
    WriteInProgress = "write_in_progress" CONFLICT "A request with this Idempotency-Key is under way."
        cause "The first request with this key has not ended, or its outcome is still being found out."
        remedy "Send the same request with the same key again after Retry-After: it answers what the first one came to."
    IdempotencyKeyReused = "idempotency_key_reused" UNPROCESSABLE_ENTITY "This Idempotency-Key was used for another request."
        cause "A request with this key, but with another method, path or body, was sent for this credential within the last 24 hours."
        remedy "Use a new key for every new request; repeat a key only with exactly the same request."
    UpstreamRejected = "upstream_rejected" BAD_REQUEST "The app refused these values."
        cause "The connected app found the request invalid, by rules of its own."
        remedy "Change the values as the message says."
    Unsupported = "unsupported" BAD_REQUEST "The app cannot do this."
        cause "The connected app has no way to do what was asked, for this record or with these values."
        remedy "Leave out what the message names."
    UpstreamForbidden = "upstream_forbidden" FORBIDDEN "The app does not let this account do that."
        cause "The connected account's user lacks a permission in the app."
        remedy "Give the user the permission in the app, or connect an account that has it."
    RateLimited = "rate_limited" TOO_MANY_REQUESTS "Too many requests. Please slow down."
        cause "The environment's own limit, or the connected app's, is used up for the moment."
        remedy "Try again after Retry-After, with exponential backoff and jitter."
    UpstreamFailed = "upstream_failed" BAD_GATEWAY "The app answered with an error."
        cause "The connected app failed or could not be reached."
        remedy "Try again later; the app's status page may know more."
    UpstreamTimeout = "upstream_timeout" GATEWAY_TIMEOUT "The app did not answer in time."
        cause "The connected app took longer than the time allowed for one call."
        remedy "Try again later."
    ConnectorFailed = "connector_failed" BAD_GATEWAY "The connector failed."
        cause "The connector crashed, broke its contract or went over a limit; the log names connector and reason."
        remedy "Report the X-Request-Id to the operator; a newer version of the connector may help."
    MaybeApplied = "maybe_applied" BAD_GATEWAY "The app may have made this change, but its outcome is not known yet."
        cause "The app's answer was lost, or the change could not be stored after the app made it."
        remedy "With an Idempotency-Key send the same request again: it answers what became of it. Without one do not: the change is settled in the background; read the record after a minute."
    StoreUnavailable = "store_unavailable" SERVICE_UNAVAILABLE "The database is not available at the moment."
        cause "The database refused or did not answer."
        remedy "Try again after Retry-After."
    Busy = "busy" SERVICE_UNAVAILABLE "The server is busy."
        cause "All places for calls to connectors are taken, or the server is shutting down."
        remedy "Try again after Retry-After."
    Internal = "internal" INTERNAL_SERVER_ERROR "Something went wrong on the server."
        cause "A fault in the server itself."
        remedy "Report the X-Request-Id to the operator: the log holds the reason under it."
}

impl Code {
    /// The code as it stands in bodies.
    pub const fn as_str(self) -> &'static str {
        self.info().name
    }

    /// The code's HTTP status.
    pub const fn status(self) -> StatusCode {
        self.info().status
    }
}

/// `GET /docs/errors`: the table of codes as a page, one anchor per code.
pub async fn docs() -> Html<String> {
    let escape = |text: &str| {
        text.replace('&', "&amp;")
            .replace('<', "&lt;")
            .replace('>', "&gt;")
    };
    let mut page = String::from(
        "<!doctype html><meta charset=\"utf-8\"><title>Error codes</title><h1>Error codes</h1>\
         <table><tr><th>Code<th>Status<th>Message<th>Cause<th>Remedy\n",
    );
    for info in Code::ALL.iter().map(|code| code.info()) {
        let (message, cause, remedy) = (
            escape(info.message),
            escape(info.cause),
            escape(info.remedy),
        );
        let (name, status) = (info.name, info.status.as_u16());
        // Writing to a String cannot fail.
        let _ = writeln!(
            page,
            "<tr id=\"{name}\"><td><code>{name}</code><td>{status}<td>{message}<td>{cause}<td>{remedy}"
        );
    }
    page.push_str("</table>\n");
    Html(page)
}
