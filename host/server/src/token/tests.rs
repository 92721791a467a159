#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use super::*;
use http::HeaderValue;
use http_body_util::BodyExt;
use serde_json::{Value, json};

const NOW: u64 = 1_800_000_000;
const SECRET: &str = "a-client-secret-as-printed-which-is-never-decoded-64-bytes-long-0";
const HEADER: &str = r#"{"alg":"HS512","typ":"JWT"}"#;

fn b64(text: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(text)
}

/// A token with this header and these claims, taken literally, signed with `algorithm` and `secret`.
fn signed_with(algorithm: Algorithm, secret: &str, header: &str, claims: &str) -> String {
    let signed = format!("{}.{}", b64(header), b64(claims));
    let signature = crypto::sign(
        signed.as_bytes(),
        &EncodingKey::from_secret(secret.as_bytes()),
        algorithm,
    )
    .unwrap();
    format!("{signed}.{signature}")
}

fn signed(header: &str, claims: &str) -> String {
    signed_with(Algorithm::HS512, SECRET, header, claims)
}

fn good() -> String {
    mint(
        "client",
        SECRET,
        Some("alice"),
        None,
        NOW,
        Duration::from_secs(900),
    )
    .unwrap()
}

fn check(token: &str) -> Result<Claims, TokenError> {
    verify(token, &[SECRET.as_bytes()], NOW)
}

#[test]
fn a_minted_token_verifies() {
    let claims = check(&good()).unwrap();
    assert_eq!(claims.issuer.as_deref(), Some("client"));
    assert_eq!(claims.subject.as_deref(), Some("alice"));
    assert_eq!(claims.scope, Scope::Consumer("alice".to_owned()));
    assert_eq!(claims.expires_at, NOW + 900);
    assert_eq!(issuer(&good()).unwrap().as_deref(), Some("client"));
}

#[test]
fn an_independent_implementation_agrees() {
    // The documented sample: any HS512 library, claims in its own order, ES-style `typ`, no spaces.
    #[derive(serde::Serialize)]
    struct Sample {
        iss: &'static str,
        sub: &'static str,
        iat: u64,
        exp: u64,
    }
    let sample = Sample {
        iss: "client",
        sub: "bob",
        iat: NOW,
        exp: NOW + 900,
    };
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    let token =
        jsonwebtoken::encode(&jsonwebtoken::Header::new(Algorithm::HS512), &sample, &key).unwrap();
    assert_eq!(check(&token).unwrap().subject.as_deref(), Some("bob"));
}

#[test]
fn scopes() {
    let mint = |sub, scope| mint("client", SECRET, sub, scope, NOW, Duration::from_secs(60));
    assert_eq!(
        check(&mint(None, Some("environment")).unwrap())
            .unwrap()
            .scope,
        Scope::Environment
    );
    let proxy = check(&mint(Some("alice"), Some("proxy")).unwrap()).unwrap();
    assert_eq!(
        proxy.scope,
        Scope::Proxy {
            sub: "alice".to_owned()
        }
    );
    let other = check(&mint(Some("alice"), Some("read write environment")).unwrap()).unwrap();
    assert_eq!(
        other.scope,
        Scope::Consumer("alice".to_owned()),
        "a foreign scope gives nothing"
    );
    assert_eq!(mint(None, None), Err(TokenError::Subject));
    assert_eq!(mint(None, Some("proxy")), Err(TokenError::Subject));
    assert_eq!(mint(Some(""), None), Err(TokenError::Subject));
}

#[test]
fn both_secrets_verify_during_a_rotation() {
    let new = "the-new-secret-that-is-long-enough-too-and-some-more-characters-1";
    for secret in [SECRET, new] {
        let token = mint(
            "client",
            secret,
            Some("a"),
            None,
            NOW,
            Duration::from_secs(60),
        )
        .unwrap();
        assert!(verify(&token, &[SECRET.as_bytes(), new.as_bytes()], NOW).is_ok());
        assert_eq!(verify(&token, &[], NOW), Err(TokenError::Signature));
    }
    let claims = json!({"sub": "a", "exp": NOW}).to_string();
    let unkeyed = signed_with(Algorithm::HS512, "", HEADER, &claims);
    assert_eq!(
        verify(&unkeyed, &[b""], NOW),
        Err(TokenError::Signature),
        "an empty secret verifies nothing"
    );
}

#[test]
fn the_leeway_is_sixty_seconds_each_way() {
    let token = |claims: Value| signed(HEADER, &claims.to_string());
    let at = |exp: u64, nbf: u64, iat: u64| {
        check(&token(
            json!({"sub": "a", "exp": exp, "nbf": nbf, "iat": iat}),
        ))
    };
    assert!(at(NOW - 60, NOW, NOW).is_ok());
    assert_eq!(at(NOW - 61, NOW, NOW), Err(TokenError::Expired(61)));
    assert!(at(NOW, NOW + 60, NOW).is_ok());
    assert_eq!(at(NOW, NOW + 61, NOW), Err(TokenError::NotYetValid(61)));
    assert!(at(NOW, NOW, NOW + 60).is_ok());
    assert_eq!(at(NOW, NOW, NOW + 61), Err(TokenError::IssuedInFuture(61)));
}

/// Every token that must be refused, with the name of its trick.
fn hostile() -> Vec<(String, String)> {
    let fine = json!({"iss": "client", "sub": "alice", "exp": NOW + 900}).to_string();
    let good = good();
    let (head, signature) = good.rsplit_once('.').unwrap();
    let mut cases: Vec<(String, String)> = Vec::new();
    let mut case = |name: &str, token: String| cases.push((name.to_owned(), token));

    case("empty", String::new());
    case("a word", "token".to_owned());
    case("two parts", head.to_owned());
    case("four parts", format!("{good}.x"));
    case("empty parts", "..".to_owned());
    case("a JWE's five parts", format!("{good}.x.y"));
    case("no signature", format!("{head}."));
    case("truncated signature", good[..good.len() - 2].to_owned());
    case("longer signature", format!("{good}AA"));
    case(
        "too long",
        signed(
            HEADER,
            &json!({"sub": "a", "exp": NOW + 9, "pad": "x".repeat(MAX_TOKEN)}).to_string(),
        ),
    );
    case("padded signature", format!("{good}=="));
    case("padded claims", {
        let (header, claims) = head.split_once('.').unwrap();
        format!("{header}.{claims}=.{signature}")
    });
    case("standard alphabet", format!("{head}.{}", "+/".repeat(43)));
    case("white space", format!(" {good}"));
    case("a line break", format!("{good}\n"));
    case("two tokens", format!("{good},{good}"));
    for bit in [0, 7, 200, 511] {
        let mut raw = URL_SAFE_NO_PAD.decode(signature).unwrap();
        raw[bit / 8] ^= 1 << (bit % 8);
        case(
            &format!("signature bit {bit}"),
            format!("{head}.{}", b64(raw)),
        );
    }
    // 64 bytes leave four spare bits in the last of 86 characters: the same bytes, written differently.
    let spare = signature.strip_suffix(['A', 'Q', 'g', 'w']).unwrap();
    let last = signature.chars().last().unwrap();
    case(
        "spare bits",
        format!("{head}.{spare}{}", char::from(last as u8 + 1)),
    );
    case("other claims under the signature", {
        let (header, _) = head.split_once('.').unwrap();
        format!(
            "{header}.{}.{signature}",
            b64(fine.replace("alice", "mallory"))
        )
    });

    let none = |alg: &str| format!("{}.{}.", b64(format!(r#"{{"alg":"{alg}"}}"#)), b64(&fine));
    for alg in ["none", "None", "NONE", "nOnE", ""] {
        case(&format!("alg {alg:?} without signature"), none(alg));
        case(
            &format!("alg {alg:?} with signature"),
            format!("{}{signature}", none(alg)),
        );
    }
    for alg in [
        "HS256", "HS384", "hs512", "HS512 ", "RS256", "RS512", "ES512", "PS512", "EdDSA",
    ] {
        case(
            &format!("alg {alg}"),
            signed(&format!(r#"{{"alg":"{alg}"}}"#), &fine),
        );
    }
    for algorithm in [Algorithm::HS256, Algorithm::HS384] {
        case(
            &format!("signed with {algorithm:?}"),
            signed_with(algorithm, SECRET, HEADER, &fine),
        );
        let honest = format!(r#"{{"alg":"{algorithm:?}","typ":"JWT"}}"#);
        case(
            &format!("honestly {algorithm:?}"),
            signed_with(algorithm, SECRET, &honest, &fine),
        );
    }
    case(
        "another secret",
        signed_with(Algorithm::HS512, "another-secret", HEADER, &fine),
    );
    case(
        "the empty secret",
        signed_with(Algorithm::HS512, "", HEADER, &fine),
    );
    case(
        "the secret decoded",
        signed_with(Algorithm::HS512, &b64(SECRET), HEADER, &fine),
    );

    for header in [
        r#"{"alg":"HS512","crit":["exp"]}"#,
        r#"{"alg":"HS512","crit":[]}"#,
        r#"{"alg":"HS512","kid":"../../dev/null"}"#,
        r#"{"alg":"HS512","jku":"https://evil.example/keys"}"#,
        r#"{"alg":"HS512","x5u":"https://evil.example/cert"}"#,
        r#"{"alg":"HS512","jwk":{"kty":"oct","k":"AA"}}"#,
        r#"{"alg":"HS512","b64":false}"#,
        r#"{"alg":"HS512","zip":"DEF"}"#,
        r#"{"alg":"HS512","typ":"JWE"}"#,
        r#"{"alg":"HS512","typ":null}"#,
        r#"{"alg":"none","alg":"HS512"}"#,
        r#"{"alg":"HS512","alg":"HS512"}"#,
        r#"{"alg":"HS512","\u0061lg":"HS512"}"#,
        r#"{"alg":["HS512"]}"#,
        r#"{"alg":null}"#,
        r#"{"typ":"JWT"}"#,
        r#"["HS512"]"#,
        r#""HS512""#,
        r#"{"alg":"HS512"} {}"#,
        r#"{"alg":"HS512""#,
        "",
        "\u{FEFF}{\"alg\":\"HS512\"}",
    ] {
        case(&format!("header {header}"), signed(header, &fine));
    }
    for claims in [
        r#"{"sub":"a"}"#,
        r#"{"sub":"a","exp":null}"#,
        r#"{"sub":"a","exp":"1900000000"}"#,
        r#"{"sub":"a","exp":1900000000.0}"#,
        r#"{"sub":"a","exp":1.9e9}"#,
        r#"{"sub":"a","exp":-1}"#,
        r#"{"sub":"a","exp":0}"#,
        r#"{"sub":"a","exp":true}"#,
        r#"{"sub":"a","exp":[1900000000]}"#,
        r#"{"sub":"a","exp":18446744073709551615}"#,
        r#"{"sub":"a","exp":18446744073709551616}"#,
        r#"{"sub":"a","exp":1e308}"#,
        r#"{"sub":"a","exp":1900000000000}"#,
        r#"{"sub":"a","exp":1700000000}"#,
        r#"{"sub":"a","exp":1700000000,"exp":1900000000}"#,
        r#"{"sub":"a","exp":1900000000,"exp":1900000000}"#,
        r#"{"sub":"a","exp":1900000000,"\u0065xp":1900000000}"#,
        r#"{"sub":"a","exp":1900000000,"nbf":1890000000}"#,
        r#"{"sub":"a","exp":1900000000,"nbf":"0"}"#,
        r#"{"sub":"a","exp":1900000000,"nbf":0.5}"#,
        r#"{"sub":"a","exp":1900000000,"nbf":-1}"#,
        r#"{"sub":"a","exp":1900000000,"nbf":null}"#,
        r#"{"sub":"a","exp":1900000000,"iat":1890000000}"#,
        r#"{"sub":"a","exp":1900000000,"iat":"now"}"#,
        r#"{"sub":"a","sub":"b","exp":1900000000}"#,
        r#"{"iss":"a","iss":"b","sub":"a","exp":1900000000}"#,
        r#"{"sub":"a","exp":1900000000,"org":1,"org":2}"#,
        r#"{"exp":1900000000}"#,
        r#"{"sub":"","exp":1900000000}"#,
        r#"{"sub":null,"exp":1900000000}"#,
        r#"{"sub":7,"exp":1900000000}"#,
        r#"{"sub":["a"],"exp":1900000000}"#,
        r#"{"sub":"a\u0000b","exp":1900000000}"#,
        r#"{"sub":"\ud800","exp":1900000000}"#,
        r#"{"sub":"","scope":"environment","exp":1900000000}"#,
        r#"{"scope":"proxy","exp":1900000000}"#,
        r#"{"scope":"Environment","exp":1900000000}"#,
        r#"{"scope":["environment"],"exp":1900000000}"#,
        r#"{"scope":null,"sub":"a","exp":1900000000}"#,
        r#"{"iss":7,"sub":"a","exp":1900000000}"#,
        r#"{"iss":null,"sub":"a","exp":1900000000}"#,
        r#"[{"sub":"a","exp":1900000000}]"#,
        r#"{"sub":"a","exp":1900000000}{}"#,
        "null",
        "",
    ] {
        case(&format!("claims {claims}"), signed(HEADER, claims));
    }
    case("claims that are not UTF-8", {
        let mut claims = br#"{"sub":"a"#.to_vec();
        claims.extend_from_slice(b"\xff\",\"exp\":1900000000}");
        let signed = format!("{}.{}", b64(HEADER), b64(claims));
        let key = EncodingKey::from_secret(SECRET.as_bytes());
        let signature = crypto::sign(signed.as_bytes(), &key, Algorithm::HS512).unwrap();
        format!("{signed}.{signature}")
    });
    let deep = format!(r#"{{"sub":"a","exp":1900000000,"x":{}}}"#, "[".repeat(3000));
    case("claims nested deep", signed(HEADER, &deep));
    let many: String = (0..500).map(|n| format!(r#","{n}":0"#)).collect();
    case(
        "500 claims",
        signed(HEADER, &format!(r#"{{"sub":"a","exp":1900000000{many}}}"#)),
    );
    let long = json!({"sub": "a".repeat(MAX_SUBJECT + 1), "exp": NOW + 9}).to_string();
    case("a long subject", signed(HEADER, &long));
    cases
}

#[tokio::test]
async fn hostile_tokens_are_refused_with_one_body() {
    use axum::response::IntoResponse;
    let mut answers = std::collections::BTreeSet::new();
    for (name, token) in hostile() {
        let cause = check(&token).expect_err(&name);
        let response = ApiError::from(cause).into_response();
        let headers = format!("{} {:?}", response.status(), response.headers());
        answers.insert((
            headers,
            response.into_body().collect().await.unwrap().to_bytes(),
        ));
    }
    assert_eq!(answers.len(), 1, "all refusals look alike: {answers:?}");
}

#[test]
fn the_look_at_the_issuer_survives_hostile_tokens() {
    for (_, token) in hostile() {
        let _ = issuer(&token);
    }
    assert!(issuer("..").is_err());
    assert_eq!(issuer(&signed(HEADER, r#"{"sub":"a","exp":1}"#)), Ok(None));
}

#[test]
fn claims_of_the_product_are_left_alone() {
    let claims = format!(
        r#"{{"sub":"a","exp":{},"aud":["x"],"org":{{"id":1,"id":2}},"jti":"j"}}"#,
        NOW + 5
    );
    assert!(check(&signed(HEADER, &claims)).is_ok());
    assert!(check(&signed(r#"{"typ":"jwt","alg":"HS512"}"#, &claims)).is_ok());
    assert!(check(&signed(r#"{"alg":"HS512"}"#, &claims)).is_ok());
}

#[test]
fn exactly_one_bearer_header() {
    let of = |values: &[&'static [u8]]| {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(AUTHORIZATION, HeaderValue::from_bytes(value).unwrap());
        }
        bearer(&headers).map(str::to_owned)
    };
    assert_eq!(of(&[b"Bearer abc"]).as_deref(), Ok("abc"));
    assert_eq!(of(&[b"bEARER abc"]).as_deref(), Ok("abc"));
    assert_eq!(of(&[]), Err(TokenError::Missing));
    assert_eq!(
        of(&[b"Bearer abc", b"Bearer abc"]),
        Err(TokenError::SeveralHeaders)
    );
    for wrong in [
        &b"Bearer"[..],
        b"Bearer ",
        b"Basic abc",
        b"abc",
        b"Bearer\tabc",
        b"",
        b"Bearer \xff",
    ] {
        assert_eq!(of(&[wrong]), Err(TokenError::NotBearer), "{wrong:?}");
    }
    // More than one space ends up in the token, where it is no base64.
    assert!(check(&of(&[b"Bearer  abc"]).unwrap()).is_err());
}

#[test]
fn refusals_never_repeat_the_token() {
    let token = good();
    for problem in [
        check(&token[1..]),
        verify(&token, &[b"another"], NOW),
        verify(&token, &[SECRET.as_bytes()], NOW * 2),
    ] {
        let text = problem.unwrap_err().to_string();
        assert!(token.split('.').all(|part| !text.contains(part)), "{text}");
    }
}
