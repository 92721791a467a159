//! The table of contents.

use std::sync::Arc;

use axum::Router;
use axum::handler::Handler;
use axum::routing::{self, MethodRouter};
use http::Method;
use rollout_catalog::{Catalog, Category};

use crate::edge::{method_not_allowed, unknown_route};
use crate::host::Host;
use crate::{
    connectors, credentials, docs, error, feed, health, link, oauth, openapi, otp, outbound, proxy,
    records, sync, webhooks,
};

/// What a host that only works answers: its health.
pub fn health_router(host: Arc<Host>) -> Router {
    finished(Table::health().router, host)
}

/// Every route of the host.
pub fn router(host: Arc<Host>) -> Router {
    finished(Table::whole(host.catalog()).router, host)
}

/// Every route with its methods, as the router has them.
pub fn routes(catalog: &Catalog) -> Vec<Route> {
    Table::whole(catalog).routes
}

/// A path, what it answers to, and whom.
#[derive(Debug, Clone)]
pub struct Route {
    /// With its parameters in braces: `/api/credentials/{id}`.
    pub path: String,
    /// The methods, HEAD and OPTIONS apart.
    pub methods: Vec<Method>,
    /// Whom it answers.
    pub access: Access,
}

/// Whom a route answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Everybody, without a token.
    Anyone,
    /// Bearers of a token of a consumer, or of the environment.
    Bearer,
    /// Bearers of a token with a scope of its own: for the environment or the proxy.
    Scope,
}

impl Access {
    /// In one word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Anyone => "anyone",
            Self::Bearer => "bearer",
            Self::Scope => "scope",
        }
    }
}

/// A router, and what is in it.
#[derive(Default)]
struct Table {
    router: Router<Arc<Host>>,
    routes: Vec<Route>,
}

impl Table {
    fn health() -> Self {
        Self::default()
            .at("/healthz", Access::Anyone, [get(health::alive)])
            .at("/readyz", Access::Anyone, [get(health::ready)])
    }

    fn whole(catalog: &Catalog) -> Self {
        use Access::{Anyone, Bearer, Scope};
        let table = Self::health()
            .at("/docs", Anyone, [get(docs::root)])
            .at("/docs/", Anyone, [get(docs::page)])
            .at("/docs/errors", Anyone, [get(error::docs)])
            .at("/docs/{*part}", Anyone, [get(docs::part)])
            .at("/link.js", Anyone, [get(link::script)])
            .at("/link-react.js", Anyone, [get(link::react)])
            .at("/link.d.ts", Anyone, [get(link::types)])
            .at("/link/{part}", Anyone, [get(link::demo)])
            .at("/link/demo/token", Anyone, [post(link::demo_token)])
            .at("/api/events-feed", Scope, [get(feed::all)])
            .at("/api/outbound-calls", Scope, [get(outbound::list)])
            .at("/api/connectors", Bearer, [get(connectors::list)])
            .at(
                "/api/connectors/{key}/icon",
                Anyone,
                [get(connectors::icon)],
            )
            .at(
                "/api/credentials",
                Bearer,
                [
                    get(credentials::list),
                    post(credentials::connect),
                    delete(credentials::delete),
                ],
            )
            .at(
                "/api/credentials/{id}",
                Bearer,
                [
                    get(credentials::read),
                    put(credentials::change),
                    patch(credentials::data::write_back),
                ],
            )
            .at("/api/credentials/{id}/sync", Bearer, [post(sync::at_once)])
            .at(
                "/api/credentials/{id}/consumers",
                Scope,
                [
                    get(credentials::consumers::list),
                    post(credentials::consumers::share),
                ],
            )
            .at(
                "/api/credentials/{id}/consumers/{consumer}",
                Scope,
                [delete(credentials::consumers::unshare)],
            )
            .at(
                "/api/credentials/import",
                Scope,
                [post(credentials::import::import)],
            )
            .at("/api/auth/otp/{id}", Anyone, [get(otp::socket)])
            .at(
                "/api/oauth/authorize-url",
                Bearer,
                [post(oauth::authorize_url)],
            )
            .at(
                "/api/oauth/redirect",
                Anyone,
                [get(oauth::redirect), no_head()],
            )
            .webhooks("/api", Scope)
            .at("/api/proxy/{credential}/{*path}", Scope, [any(proxy::pass)]);
        catalog.categories().fold(table, Self::category)
    }

    fn category(self, category: Category) -> Self {
        use Access::{Anyone, Bearer};
        let records = Self::default()
            .at("/openapi.json", Anyone, [get(openapi::document)])
            .at("/events-feed", Bearer, [get(feed::of_account)])
            .webhooks("", Bearer)
            .at(
                "/{entity}",
                Bearer,
                [
                    get(records::list),
                    post(records::create),
                    other_methods(records::other_method),
                ],
            )
            .at(
                "/{entity}/{id}",
                Bearer,
                [
                    get(records::read),
                    put(records::update),
                    delete(records::delete),
                    other_methods(records::other_method),
                ],
            )
            .at(
                "/{entity}/{id}/{*operation}",
                Bearer,
                [any(records::perform)],
            );
        let prefix = format!("/{category}/api");
        let Self { router, mut routes } = self;
        routes.extend(records.routes.into_iter().map(|route| Route {
            path: format!("{prefix}{}", route.path),
            ..route
        }));
        let records = records.router.layer(axum::Extension(category));
        Self {
            router: router.nest(&prefix, records),
            routes,
        }
    }

    /// Subscriptions: of the environment, or of an account in a category.
    fn webhooks(self, prefix: &str, access: Access) -> Self {
        let at = |rest: &str| format!("{prefix}/webhooks{rest}");
        self.at(
            &at(""),
            access,
            [get(webhooks::list), post(webhooks::create)],
        )
        .at(
            &at("/{webhook}"),
            access,
            [
                get(webhooks::read),
                put(webhooks::update),
                delete(webhooks::delete),
            ],
        )
        .at(&at("/{webhook}/ping"), access, [post(webhooks::ping)])
        .at(
            &at("/{webhook}/deliveries"),
            access,
            [get(webhooks::deliveries)],
        )
        .at(
            &at("/{webhook}/deliveries/{number}"),
            access,
            [get(webhooks::delivery)],
        )
        .at(
            &at("/{webhook}/deliveries/{number}/resend"),
            access,
            [post(webhooks::resend)],
        )
    }

    /// Adds a path with all that it answers to.
    fn at<const N: usize>(mut self, path: &str, access: Access, answers: [Answers; N]) -> Self {
        let mut methods = Vec::new();
        let mut all = MethodRouter::new();
        for one in answers {
            methods.extend(one.methods);
            all = all.merge(one.by);
        }
        self.routes.push(Route {
            path: path.to_owned(),
            methods,
            access,
        });
        self.router = self.router.route(path, all);
        self
    }
}

fn finished(router: Router<Arc<Host>>, host: Arc<Host>) -> Router {
    router
        .fallback(unknown_route)
        .method_not_allowed_fallback(method_not_allowed)
        .with_state(host)
}

/// What answers a path's methods.
struct Answers {
    methods: Vec<Method>,
    by: MethodRouter<Arc<Host>>,
}

/// One function for each method: `get(handler)`.
macro_rules! methods {
    ($($name:ident $method:ident)*) => {
        $(fn $name<H: Handler<T, Arc<Host>>, T: 'static>(handler: H) -> Answers {
            Answers { methods: vec![Method::$method], by: routing::$name(handler) }
        })*
    };
}

methods! { get GET post POST put PUT patch PATCH delete DELETE }

fn any<H: Handler<T, Arc<Host>>, T: 'static>(handler: H) -> Answers {
    Answers {
        methods: vec![
            Method::GET,
            Method::POST,
            Method::PUT,
            Method::PATCH,
            Method::DELETE,
        ],
        by: routing::any(handler),
    }
}

/// What answers the methods that a path does not have.
fn other_methods<H: Handler<T, Arc<Host>>, T: 'static>(handler: H) -> Answers {
    Answers {
        methods: Vec::new(),
        by: MethodRouter::new().fallback(handler),
    }
}

/// A path whose GET does something is not looked at with HEAD.
fn no_head() -> Answers {
    Answers {
        methods: Vec::new(),
        by: routing::head(method_not_allowed),
    }
}
