//! Answers: a status, a body and a few headers.

use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, LOCATION};
use axum::http::{HeaderValue, Response, StatusCode};
use serde_json::{Value, json};

const CORRELATION: &str = "aeb5f871-7f07-4993-9211-075dc63e7cbf";

/// One answer on its way to the client.
#[derive(Debug, Clone)]
pub(super) struct Reply {
    pub(super) status: u16,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
    kind: &'static str,
}

impl Reply {
    pub(super) fn json(status: u16, body: &Value) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: body.to_string().into_bytes(),
            kind: "application/json;charset=utf-8",
        }
    }

    pub(super) fn no_content() -> Self {
        Self {
            body: Vec::new(),
            ..Self::json(204, &Value::Null)
        }
    }

    pub(super) fn page(status: u16, content: &str) -> Self {
        let page = format!("<!doctype html><title>HubSpot</title>{content}");
        Self {
            body: page.into_bytes(),
            kind: "text/html; charset=utf-8",
            ..Self::no_content()
        }
        .status(status)
    }

    pub(super) fn redirect(to: &str) -> Self {
        Self::no_content().status(302).header(LOCATION.as_str(), to)
    }

    fn status(self, status: u16) -> Self {
        Self { status, ..self }
    }

    /// Adds a header; names are the simulator's own.
    pub(super) fn header(mut self, name: &'static str, value: impl ToString) -> Self {
        self.headers.push((name, value.to_string()));
        self
    }

    pub(super) fn refusal(status: u16, category: &str, message: &str) -> Self {
        Self::json(status, &refusal(category, message))
    }

    pub(super) fn not_found() -> Self {
        Self::refusal(404, "OBJECT_NOT_FOUND", "resource not found")
    }

    pub(super) fn invalid(message: &str) -> Self {
        Self::refusal(400, "VALIDATION_ERROR", message)
    }

    pub(super) fn missing_scope(scope: &str) -> Self {
        let body = refusal(
            "MISSING_SCOPES",
            "This app hasn't been granted all required scopes to make this call.",
        );
        let errors = json!([{
            "message": "One or more of the following scopes are required.",
            "context": {"requiredGranularScopes": [scope]},
        }]);
        Self::json(403, &with(body, "errors", errors))
    }

    pub(super) fn limited(policy: &str, message: &str) -> Self {
        let body = json!({
            "status": "error", "message": message, "errorType": "RATE_LIMIT",
            "correlationId": CORRELATION, "policyName": policy,
        });
        Self::json(429, &body)
    }

    pub(super) fn into_response(self) -> Response<Body> {
        let has_body = !self.body.is_empty();
        let mut response = Response::new(Body::from(self.body));
        *response.status_mut() =
            StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        for (name, value) in self.headers {
            if let Ok(value) = HeaderValue::from_str(&value) {
                response.headers_mut().insert(name, value);
            }
        }
        if has_body {
            response
                .headers_mut()
                .insert(CONTENT_TYPE, HeaderValue::from_static(self.kind));
        }
        response
    }
}

fn refusal(category: &str, message: &str) -> Value {
    json!({"status": "error", "message": message, "correlationId": CORRELATION, "category": category})
}

/// An object with one more member.
pub(super) fn with(mut object: Value, name: &str, value: impl Into<Value>) -> Value {
    if let Some(members) = object.as_object_mut() {
        members.insert(name.to_owned(), value.into());
    }
    object
}

/// What a list says of its next page.
pub(super) fn paging(after: &str) -> Value {
    json!({ "next": { "after": after, "link": format!("?after={after}") } })
}
