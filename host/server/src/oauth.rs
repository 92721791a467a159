//! `/api/oauth`: accounts that are connected by signing in at the app, in a window that
//! the product's page opens.
//!
//! The window ends on a page of ours that tells the page which opened it what became of
//! the sign-in, and closes. It tells the origin that began the sign-in, if a browser said
//! which one that was; otherwise any, since only who began it knows its `requestId`.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, ORIGIN, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderValue, StatusCode};
use rollout_connectors::{
    ConnectError, Finished, ProxyFailure, SignIn, SignInError, TokenError, environment_of_state,
    random,
};
use serde_json::{Value, json};

use crate::credentials::{known, map, object, refused, text, wrong};
use crate::error::ApiError;
use crate::host::{Host, cause};

/// Begins to connect an account: where the person signs in.
pub(crate) async fn authorize_url(
    State(host): State<Arc<Host>>,
    request: Request,
) -> Result<Json<Value>, ApiError> {
    let asker = host.asker(request.headers())?;
    asker.may_change()?;
    let opener = origin(request.headers());
    let mut body = object(request, host.settings.body_bytes).await?;
    known(&body, &["appKey", "customParams", "entitiesToSync", "plan"])?;
    let sign_in = SignIn {
        app_key: text(&mut body, "appKey")?.ok_or_else(|| wrong("appKey", "is required"))?,
        plan: text(&mut body, "plan")?,
        custom_params: map(&mut body, "customParams")?.unwrap_or_default(),
        entities_to_sync: map(&mut body, "entitiesToSync")?,
        opener,
    };
    let consumer = asker.consumer().await?;
    let redirect_url = host.settings.redirect_url(&asker.environment.name);
    let begun = host
        .connectors
        .begin_sign_in(&asker.environment, &consumer, sign_in, &redirect_url)
        .await
        .map_err(refused)?;
    let url = simulated(&host, begun.url);
    Ok(Json(json!({"url": url, "requestId": begun.request_id})))
}

/// The origin of the page that asks, if a browser says it. What is opaque to browsers
/// (`null`, a scheme of an app's own) can't be told anything by its name.
fn origin(headers: &HeaderMap) -> Option<String> {
    let text = headers.get(ORIGIN)?.to_str().ok()?;
    let origin = url::Url::parse(text).ok()?.origin();
    (origin.ascii_serialization() == text).then(|| text.to_owned())
}

/// In development people sign in where the host's own requests go, too: at the simulator.
fn simulated(host: &Host, url: String) -> String {
    let mut upstreams = host.settings.dev_upstreams.iter();
    upstreams
        .find_map(|(app, simulator)| {
            let rest = url.strip_prefix(app.trim_end_matches('/'))?;
            let whole = rest.is_empty() || rest.starts_with(['/', '?']);
            whole.then(|| format!("{}{rest}", simulator.trim_end_matches('/')))
        })
        .unwrap_or(url)
}

/// Where the app sends the person back to.
pub(crate) async fn redirect(State(host): State<Arc<Host>>, request: Request) -> Response {
    let query = request.uri().query().unwrap_or_default();
    let pairs = url::form_urlencoded::parse(query.as_bytes());
    let parameters: Vec<(String, String)> = pairs.into_owned().collect();
    let state = parameters.iter().find(|(name, _)| name == "state");
    let client_id = state.and_then(|(_, state)| environment_of_state(state));
    let environment = client_id.and_then(|id| host.environments.by_client_id(id));
    let cause = cause(&request);
    let finished = match environment {
        None => Finished {
            request_id: None,
            opener: None,
            outcome: Err(SignInError::Unknown),
        },
        Some(environment) => {
            let connectors = host.connectors.clone();
            // A code is good once: who closes the window meanwhile has signed in all the same.
            let finishing = tokio::spawn(async move {
                connectors
                    .finish_sign_in(&environment, &parameters, &cause)
                    .await
            });
            match finishing.await {
                Ok(finished) => finished,
                Err(error) => return ApiError::internal(error).into_response(),
            }
        }
    };
    page(finished)
}

/// What the person is told, and the page that opened the window.
fn page(finished: Finished) -> Response {
    let Finished {
        request_id,
        opener,
        outcome,
    } = finished;
    let (status, title, words, told) = match outcome {
        Ok(live) => {
            let told = json!({"ok": true, "credential": {"id": live.credential.id}});
            let words = "You can close this window.".to_owned();
            (StatusCode::OK, "Connected", words, told)
        }
        Err(error) => {
            let (status, words) = refusal(error);
            let told = json!({"ok": false, "error": words});
            (status, "Not connected", words, told)
        }
    };
    let message = request_id.map(|request_id| {
        let mut told = told;
        if let Some(told) = told.as_object_mut() {
            told.insert("type".into(), json!("credential-added"));
            told.insert("requestId".into(), json!(request_id));
        }
        json!({"_rollout": told})
    });
    let message = message.map(|message| (message, opener.unwrap_or_else(|| "*".to_owned())));
    render(status, title, &words, message.as_ref())
}

/// The status and words of a refusal.
fn refusal(error: SignInError) -> (StatusCode, String) {
    let words = error.to_string();
    let status = match error {
        SignInError::Unknown | SignInError::Said { .. } | SignInError::Forged { .. } => {
            StatusCode::BAD_REQUEST
        }
        SignInError::Expired | SignInError::Used => StatusCode::GONE,
        SignInError::Held | SignInError::Changed => StatusCode::CONFLICT,
        SignInError::Denied { .. } => StatusCode::FORBIDDEN,
        SignInError::Token(error) => return (token_status(&error), logged(error, words)),
        SignInError::Connect(ConnectError::Refused(said)) => {
            return (StatusCode::BAD_REQUEST, said);
        }
        SignInError::Connect(error) => {
            let detail = error.to_string();
            let refused = refused(error);
            tracing::warn!(detail, "a sign-in could not be ended");
            return (refused.code().status(), refused.message().to_owned());
        }
    };
    (status, words)
}

fn token_status(error: &TokenError) -> StatusCode {
    match error {
        TokenError::Refused { .. } => StatusCode::BAD_REQUEST,
        TokenError::NotConfigured { .. } => StatusCode::CONFLICT,
        TokenError::Said { status: 429, .. }
        | TokenError::Failed {
            failure: ProxyFailure::Budget(_) | ProxyFailure::Unavailable(_),
            ..
        } => StatusCode::SERVICE_UNAVAILABLE,
        TokenError::Failed {
            failure: ProxyFailure::Timeout,
            ..
        } => StatusCode::GATEWAY_TIMEOUT,
        TokenError::Said { .. } | TokenError::Failed { .. } | TokenError::NotSignedIn { .. } => {
            StatusCode::BAD_GATEWAY
        }
        TokenError::Vault(_) => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// The words for the person; what is the operator's to know is in the log.
fn logged(error: TokenError, words: String) -> String {
    tracing::warn!(%error, "a sign-in got no tokens");
    match error {
        TokenError::Vault(_) => ApiError::internal(error).message().to_owned(),
        _ => words,
    }
}

/// The page, with a message and the origin that it is for. It has no scripts and styles
/// but its own, and lets go of its opener's window only by closing.
fn render(
    status: StatusCode,
    title: &str,
    words: &str,
    message: Option<&(Value, String)>,
) -> Response {
    let nonce = random();
    let script = message.map(|(message, origin)| {
        // What a page may not read as the script's end.
        let literal = |value: &Value| value.to_string().replace('<', "\\u003c");
        let (message, origin) = (literal(message), literal(&json!(origin)));
        format!(
            "<script nonce=\"{nonce}\">if (window.opener) {{ \
             window.opener.postMessage({message}, {origin}); window.close(); }}</script>"
        )
    });
    let page = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>{title}</title>\
         <style nonce=\"{nonce}\">body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 32em; \
         margin: 20vh auto; padding: 0 1em; }}</style></head>\
         <body><h1>{title}</h1><p>{}</p>{}</body></html>",
        escaped(words),
        script.unwrap_or_default(),
    );
    let policy = format!(
        "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    let headers: [(HeaderName, HeaderValue); 4] = [
        (
            CONTENT_TYPE,
            HeaderValue::from_static("text/html; charset=utf-8"),
        ),
        (CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
        (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    ];
    let mut response = (status, headers, page).into_response();
    if let Ok(policy) = HeaderValue::try_from(policy) {
        response
            .headers_mut()
            .insert(CONTENT_SECURITY_POLICY, policy);
    }
    response
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use axum::body::to_bytes;

    use super::*;

    async fn rendered(words: &str, message: Option<&(Value, String)>) -> (Response<()>, String) {
        let response = render(StatusCode::OK, "Title", words, message);
        let (parts, body) = response.into_parts();
        let body = to_bytes(body, usize::MAX).await.unwrap();
        let text = String::from_utf8(body.to_vec()).unwrap();
        (Response::from_parts(parts, ()), text)
    }

    #[tokio::test]
    async fn what_an_app_says_is_no_part_of_the_page() {
        let bad = "</script><script>alert(1)</script>\"><img src=x>";
        let message = (json!({"_rollout": {"error": bad}}), bad.to_owned());
        let (_, page) = rendered(bad, Some(&message)).await;
        assert_eq!(page.matches("<script").count(), 1);
        assert_eq!(page.matches("</script").count(), 1);
        assert!(!page.contains("<img"));
    }

    #[test]
    fn an_origin_is_what_a_browser_says() {
        let of = |text: &str| {
            let headers = HeaderMap::from_iter([(ORIGIN, HeaderValue::from_str(text).unwrap())]);
            origin(&headers)
        };
        for good in ["https://app.example.com", "http://127.0.0.1:3000"] {
            assert_eq!(of(good).as_deref(), Some(good));
        }
        for bad in [
            "null",
            "*",
            "capacitor://localhost",
            "https://app.example.com/",
            "https://app.example.com:443",
            "https://app.example.com/\"",
        ] {
            assert_eq!(of(bad), None, "{bad}");
        }
        assert_eq!(origin(&HeaderMap::new()), None);
    }

    #[tokio::test]
    async fn a_page_runs_its_own_script_only_and_keeps_its_opener() {
        let message = (
            json!({"_rollout": {}}),
            "https://app.example.com".to_owned(),
        );
        let (one, page) = rendered("words", Some(&message)).await;
        let (two, _) = rendered("words", Some(&message)).await;
        let policy = |response: &Response<()>| {
            let policy = response.headers().get(CONTENT_SECURITY_POLICY).unwrap();
            policy.to_str().unwrap().to_owned()
        };
        assert_ne!(policy(&one), policy(&two), "a nonce is new each time");
        assert!(!policy(&one).contains("unsafe"));
        let nonce = policy(&one);
        let (_, nonce) = nonce.split_once("script-src 'nonce-").unwrap();
        let (nonce, _) = nonce.split_once('\'').unwrap();
        assert!(page.contains(&format!("<script nonce=\"{nonce}\">")));
        let headers = one.headers();
        assert!(!headers.contains_key("cross-origin-opener-policy"));
        assert_eq!(headers.get(CACHE_CONTROL).unwrap(), "no-store");
        assert_eq!(headers.get(REFERRER_POLICY).unwrap(), "no-referrer");
        let (_, silent) = rendered("words", None).await;
        assert!(!silent.contains("<script"));
    }
}
