#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod passing;
mod reading;
mod serving;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path, Request};
use axum::response::Response;
use axum::routing::{any, get, post};
use http_body_util::BodyExt;
use serde_json::Value;

use super::*;

/// A router with one route of each kind that the edge has to deal with.
fn routes() -> Router {
    Router::new()
        .route(
            "/api/connectors",
            get(async || "connectors").post(async || "posted"),
        )
        .route("/api/records/{id}", get(async |Path(id): Path<String>| id))
        .route(
            "/crm/api/people",
            get(async |request: Request| request.uri().to_string()),
        )
        .route("/crm/api/openapi.json", get(async || "openapi"))
        .route("/healthz", get(async || "ok"))
        .route("/panics", get(panics))
        .route(
            "/plain",
            get(async || (StatusCode::IM_A_TEAPOT, "short and stout")),
        )
        .route(
            "/page",
            get(async || {
                (
                    StatusCode::NOT_FOUND,
                    axum::response::Html("<p>no such link"),
                )
            }),
        )
        .route(
            "/broken",
            get(async || Err::<(), _>(ApiError::internal("secret detail"))),
        )
        .route(
            "/json",
            post(async |request: Request| {
                read_json(request, 1000)
                    .await
                    .map(|body| format!("{body:?}"))
            }),
        )
        .route(
            "/whoami",
            any(async |request: Request| {
                request
                    .extensions()
                    .get::<RequestId>()
                    .unwrap()
                    .as_str()
                    .to_owned()
            }),
        )
        .fallback(unknown_route)
        .method_not_allowed_fallback(method_not_allowed)
}

async fn panics() {
    panic!("at the disco");
}

fn edge() -> Router {
    around(routes(), EdgeOptions::default())
}

async fn send(app: &Router, request: Request) -> Response {
    use tower::ServiceExt;
    app.clone().oneshot(request).await.unwrap()
}

fn request(method: &str, path: &str, headers: &[(&str, &str)]) -> Request {
    let mut builder = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        builder = builder.header(*name, *value);
    }
    builder.body(Body::empty()).unwrap()
}

async fn ask(method: &str, path: &str, headers: &[(&str, &str)]) -> Response {
    send(&edge(), request(method, path, headers)).await
}

async fn text(response: Response) -> String {
    String::from_utf8(
        response
            .into_body()
            .collect()
            .await
            .unwrap()
            .to_bytes()
            .to_vec(),
    )
    .unwrap()
}

/// The code of an error answer that is well-formed in every respect.
async fn code(response: Response) -> (u16, String) {
    let status = response.status().as_u16();
    assert_eq!(response.headers()["content-type"], "application/json");
    assert!(response.headers().contains_key("x-request-id"));
    let body: Value = serde_json::from_str(&text(response).await).unwrap();
    assert!(body["errorMessage"].is_string(), "{body}");
    (
        status,
        body["errors"][0]["code"].as_str().unwrap().to_owned(),
    )
}

fn is(status: u16, code: &str) -> (u16, String) {
    (status, code.to_owned())
}

fn streamed(pieces: usize, piece: &'static [u8]) -> Body {
    let chunks = (0..pieces).map(move |_| Ok::<_, std::io::Error>(Bytes::from_static(piece)));
    Body::from_stream(futures_util::stream::iter(chunks))
}
