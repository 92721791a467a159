//! `/docs`: the API's documents to read and to try, from the binary alone.
//!
//! The viewer is Swagger UI as published. It reads this host's own OpenAPI documents
//! and asks nobody else; the page may load and call nothing but this host.

use std::sync::{Arc, LazyLock};

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Redirect, Response};
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use rollout_catalog::{Catalog, Category};
use utoipa_swagger_ui::{Config, SwaggerFile, Url};

use crate::error::ApiError;
use crate::host::Host;

/// The viewer's styles stand in the page; its pictures are data. It may call this
/// host also under the address that the documents name.
fn policy(public_url: &str) -> String {
    format!(
        "default-src 'self'; connect-src 'self' {public_url}; style-src 'self' 'unsafe-inline'; \
         img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
    )
}

/// `/docs` itself: the page's relative addresses need the slash.
pub(crate) async fn root() -> Redirect {
    Redirect::permanent("/docs/")
}

/// The page.
pub(crate) async fn page(State(host): State<Arc<Host>>) -> Result<Response, ApiError> {
    file(&host, "index.html")
}

/// What the page is made of.
pub(crate) async fn part(
    State(host): State<Arc<Host>>,
    Path(path): Path<String>,
) -> Result<Response, ApiError> {
    file(&host, &path)
}

fn file(host: &Host, path: &str) -> Result<Response, ApiError> {
    let found = utoipa_swagger_ui::serve(path, host.docs.clone());
    let found = found.map_err(ApiError::internal)?;
    let SwaggerFile {
        bytes,
        content_type,
        ..
    } = found.ok_or_else(ApiError::unknown_route)?;
    let policy = policy(&host.settings.public_url);
    let headers = [
        (CONTENT_TYPE, content_type.as_str()),
        (CONTENT_SECURITY_POLICY, policy.as_str()),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (CACHE_CONTROL, "public, max-age=3600"),
    ];
    Ok((headers, bytes.into_owned()).into_response())
}

/// How the viewer shows the documents of these categories.
pub(crate) fn viewer(catalog: &Catalog) -> Config<'static> {
    /// Every category's name and the path of its document: the viewer borrows them.
    static DOCUMENTS: LazyLock<Vec<(Category, String, String)>> = LazyLock::new(|| {
        let paths = Category::ALL.map(|category| {
            let path = format!("/{category}/api/openapi.json");
            (category, category.to_string(), path)
        });
        paths.into()
    });
    let served: Vec<Category> = catalog.categories().collect();
    let documents = DOCUMENTS.iter();
    let documents = documents.filter(|(category, _, _)| served.contains(category));
    let documents = documents.map(|(_, name, path)| Url::new(name, path));
    Config::new(documents)
        .deep_linking(true)
        .display_request_duration(true)
        .filter(true)
        .persist_authorization(false)
        .try_it_out_enabled(true)
}
