//! The method `oauth2`: how three apps that differ are put, and what is refused.

use rollout_catalog::Manifest;
use rollout_catalog::manifest::{ClientAuth, OAuth2, Refresh};
use serde_json::{Value, json};

use crate::catalog;

/// A manifest with this one plan.
fn with(hosts: Value, inputs: Value, oauth: Value) -> Value {
    json!({
        "contract": "0.1.0", "key": "some-app", "name": "Some App", "version": "1.0.0", "categories": ["crm"],
        "hosts": hosts,
        "fields": { "clientId": {} },
        "slots": {
            "clientSecret": { "scope": "app" },
            "accessToken": { "scope": "credential" }, "refreshToken": { "scope": "credential" }
        },
        "plans": [{ "key": "oauth", "auth": { "method": "oauth2", "inputs": inputs, "oauth2": oauth } }]
    })
}

fn shopify() -> Value {
    let inputs =
        json!([{ "key": "shop", "type": "textfield", "pattern": "[a-zA-Z0-9][a-zA-Z0-9-]*" }]);
    let oauth = json!({
        "authorizeUrl": "https://{shop}.myshopify.com/admin/oauth/authorize",
        "tokenUrl": "https://{shop}.myshopify.com/admin/oauth/access_token",
        "clientId": "clientId", "clientSecret": "clientSecret", "clientAuth": "body",
        "scopes": ["read_orders", "read_products"], "separator": ",", "pkce": false,
        "tokenParameters": { "expiring": "1" },
        "callbackMac": { "parameter": "hmac", "slot": "clientSecret" },
        "captures": {
            "accessToken": { "slot": "accessToken", "pointer": "/access_token" },
            "refreshToken": { "slot": "refreshToken", "pointer": "/refresh_token" },
            "expiresIn": "/expires_in"
        },
        "expiresIn": 3600, "refresh": "rotates", "refreshIdleDays": 90
    });
    with(json!(["{shop}.myshopify.com"]), inputs, oauth)
}

fn slack() -> Value {
    let oauth = json!({
        "authorizeUrl": "https://slack.com/oauth/v2/authorize",
        "tokenUrl": "https://slack.com/api/oauth.v2.access",
        "clientId": "clientId", "clientSecret": "clientSecret",
        "authorizeParameters": { "user_scope": "channels:read,chat:write" },
        "captures": {
            "accessToken": { "slot": "accessToken", "pointer": "/authed_user/access_token" },
            "refreshToken": { "slot": "refreshToken", "pointer": "/authed_user/refresh_token" },
            "expiresIn": "/authed_user/expires_in",
            "fields": { "team": { "pointer": "/team/id", "pattern": "T[A-Z0-9]+" } }
        },
        "refresh": "rotates", "refusedErrors": ["invalid_refresh_token", "token_revoked"]
    });
    with(json!(["slack.com"]), json!([]), oauth)
}

/// Hosts that the token endpoint's answer names.
fn salesforce() -> Value {
    let inputs = json!([{ "key": "login", "type": "dropdown", "options": ["login", "test"] }]);
    let oauth = json!({
        "authorizeUrl": "https://{login}.salesforce.com/services/oauth2/authorize",
        "tokenUrl": "https://{login}.salesforce.com/services/oauth2/token",
        "revokeUrl": "https://{login}.salesforce.com/services/oauth2/revoke",
        "clientId": "clientId", "clientSecret": "clientSecret", "clientAuth": "body", "scopes": ["api", "refresh_token"],
        "captures": {
            "accessToken": { "slot": "accessToken", "pointer": "/access_token" },
            "refreshToken": { "slot": "refreshToken", "pointer": "/refresh_token" },
            "fields": { "instance": {
                "pointer": "/instance_url", "pattern": "https://([a-z0-9-]+)[.]my[.]salesforce[.]com"
            } }
        },
        "expiresIn": 7200, "refresh": "keeps"
    });
    with(
        json!(["{login}.salesforce.com", "{instance}.my.salesforce.com"]),
        inputs,
        oauth,
    )
}

fn parse(manifest: &Value) -> Manifest {
    Manifest::parse(&manifest.to_string(), &catalog()).unwrap()
}

fn oauth(manifest: &Manifest, plan: &str) -> OAuth2 {
    manifest.plan(plan).unwrap().oauth2().unwrap().clone()
}

#[test]
fn follow_up_boss() {
    let text = include_str!("../../../../example-connectors/follow-up-boss/manifest.json");
    let manifest = Manifest::parse(text, &catalog()).unwrap();
    assert_eq!(manifest.plans[0].key, "api-key");
    let oauth = oauth(&manifest, "oauth");
    assert_eq!(oauth.response_type, "auth_code");
    assert_eq!(oauth.denied_when["response"], "denied");
    assert!(oauth.token_state && !oauth.pkce);
    assert_eq!(
        (oauth.client_auth, oauth.refresh, oauth.refresh_idle_days),
        (ClientAuth::Basic, Refresh::Rotates, Some(90))
    );
}

#[test]
fn shopify_has_a_host_for_each_shop_and_a_code_over_the_redirect() {
    let oauth = oauth(&parse(&shopify()), "oauth");
    let shop = |name: &str| oauth.token_url.resolve(|_| Some(name.to_owned()));
    assert_eq!(
        shop("Acme-2").as_deref(),
        Some("https://acme-2.myshopify.com/admin/oauth/access_token")
    );
    assert_eq!(shop("acme.evil"), None);
    assert_eq!(oauth.token_url.origin(), "https://{shop}.myshopify.com");
    assert_eq!(oauth.callback_mac.unwrap().parameter, "hmac");
}

#[test]
fn slack_nests_its_tokens() {
    let oauth = oauth(&parse(&slack()), "oauth");
    assert!(oauth.pkce, "unless the manifest says otherwise");
    assert_eq!(
        oauth.captures.access_token.pointer,
        "/authed_user/access_token"
    );
    assert_eq!(
        oauth.captures.fields["team"].value("T123"),
        Some("T123".into())
    );
    assert_eq!(oauth.captures.fields["team"].value("xT123"), None);
}

#[test]
fn a_host_may_be_told_by_the_token_endpoint_within_its_pattern() {
    let oauth = oauth(&parse(&salesforce()), "oauth");
    let instance = &oauth.captures.fields["instance"];
    assert_eq!(
        instance.value("https://acme.my.salesforce.com"),
        Some("acme".into())
    );
    for other in [
        "https://acme.my.salesforce.com.evil.example",
        "http://acme.my.salesforce.com",
        "https://a.b.my.salesforce.com",
    ] {
        assert_eq!(instance.value(other), None, "{other}");
    }
}

#[test]
fn what_does_not_fit_is_refused_with_what_to_do() {
    let cases: &[(&str, Value, &str)] = &[
        (
            "/hosts",
            json!(["other.myshopify.com"]),
            "add it to `hosts`, spelled alike",
        ),
        ("/fields", json!({}), "add `\"clientId\": {}` to `fields`"),
        (
            "/slots/clientSecret/scope",
            json!("credential"),
            "must have the scope app",
        ),
        (
            "/slots/accessToken/scope",
            json!("app"),
            "must have the scope credential",
        ),
        (
            "/plans/0/auth/inputs",
            json!([]),
            "add an input of type textfield",
        ),
        (
            "/plans/0/auth/oauth2/tokenUrl",
            json!("https://{shop}.com/token"),
            "the last two labels must be literal",
        ),
        (
            "/plans/0/auth/oauth2/tokenUrl",
            json!("http://{shop}.myshopify.com/token"),
            "tokenUrl",
        ),
        (
            "/plans/0/auth/oauth2/tokenUrl",
            json!("https://{shop}.myshopify.com/token?a=b"),
            "tokenUrl",
        ),
        (
            "/plans/0/auth/oauth2/refresh",
            json!("none"),
            "say `rotates` or `keeps`",
        ),
        (
            "/plans/0/auth/oauth2/captures/refreshToken/slot",
            json!("accessToken"),
            "declare one for each",
        ),
        (
            "/plans/0/auth/oauth2/tokenParameters",
            json!({ "grant_type": "x" }),
            "is set by the host",
        ),
        (
            "/plans/0/auth/method",
            json!("fields"),
            "goes with the methods `oauth2` and `client-credentials` only",
        ),
    ];
    parse(&shopify());
    for (place, value, expected) in cases {
        let mut manifest = shopify();
        *manifest.pointer_mut(place).unwrap() = value.clone();
        let refused = Manifest::parse(&manifest.to_string(), &catalog()).unwrap_err();
        let mut all = refused.faults.iter().map(ToString::to_string);
        assert!(
            all.any(|fault| fault.contains(expected)),
            "{place}: {refused:?}"
        );
    }
    let mut manifest = shopify();
    let auth = manifest["plans"][0]["auth"].as_object_mut().unwrap();
    auth.remove("oauth2");
    assert!(Manifest::parse(&manifest.to_string(), &catalog()).is_err());
}
