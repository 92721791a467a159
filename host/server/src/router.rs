//! The table of contents.

use std::sync::Arc;

use axum::Router;
use axum::routing::{any, get, post};

use crate::edge::{method_not_allowed, unknown_route};
use crate::host::Host;
use crate::{
    connectors, credentials, docs, error, feed, health, oauth, openapi, outbound, proxy, records,
};

/// What a host that only works answers: its health.
pub fn health_router(host: Arc<Host>) -> Router {
    Router::new()
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready))
        .fallback(unknown_route)
        .method_not_allowed_fallback(method_not_allowed)
        .with_state(host)
}

/// Every route of the host.
pub fn router(host: Arc<Host>) -> Router {
    let mut router = Router::new()
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready))
        .route("/docs", get(docs::root))
        .route("/docs/", get(docs::page))
        .route("/docs/errors", get(error::docs))
        .route("/docs/{*part}", get(docs::part))
        .route("/api/events-feed", get(feed::all))
        .route("/api/outbound-calls", get(outbound::list))
        .route("/api/connectors", get(connectors::list))
        .route("/api/connectors/{key}/icon", get(connectors::icon))
        .route(
            "/api/credentials",
            get(credentials::list)
                .post(credentials::connect)
                .delete(credentials::delete),
        )
        .route("/api/oauth/authorize-url", post(oauth::authorize_url))
        .route(
            "/api/oauth/redirect",
            get(oauth::redirect).head(method_not_allowed),
        )
        .route("/api/proxy/{credential}/{*path}", any(proxy::pass))
        .route(
            "/api/credentials/{id}",
            get(credentials::read).put(credentials::change),
        );
    for category in host.catalog().categories() {
        let records = Router::new()
            .route("/openapi.json", get(openapi::document))
            .route("/events-feed", get(feed::of_account))
            .route(
                "/{entity}",
                get(records::list)
                    .post(records::create)
                    .fallback(records::other_method),
            )
            .route(
                "/{entity}/{id}",
                get(records::read)
                    .put(records::update)
                    .delete(records::delete)
                    .fallback(records::other_method),
            )
            .route("/{entity}/{id}/{*operation}", any(records::perform))
            .layer(axum::Extension(category));
        router = router.nest(&format!("/{category}/api"), records);
    }
    router
        .fallback(unknown_route)
        .method_not_allowed_fallback(method_not_allowed)
        .with_state(host)
}
