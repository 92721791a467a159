//! Whether a URL's path lies under a prefix that a binding names.
//!
//! A secret bound to `/v1/leads` must not reach `/v1/admin` because an app
//! reads a path otherwise than we do. So a path that some server could climb
//! out of, by decoding it (even twice) before it looks at the segments, is not
//! plain, and no prefix covers it.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

/// Apps that decode more often than this don't exist; attackers' paths do.
const DECODINGS: usize = 4;

/// True if every server reads the path of a parsed URL, which has no dot
/// segments of its own, as a way down.
pub(crate) fn is_plain(path: &str) -> bool {
    let Some(decoded) = decode(path) else {
        return false;
    };
    decoded
        .split(['/', '\\'])
        // Some servers cut `..;x` down to `..`.
        .map(|segment| segment.split(';').next().unwrap_or(segment).trim())
        .all(|segment| segment != "." && segment != "..")
}

/// True if a plain path is the prefix or lies under it, segment by segment.
pub(crate) fn is_under(path: &str, prefix: &str) -> bool {
    path.strip_prefix(prefix)
        .is_some_and(|rest| rest.is_empty() || prefix.ends_with('/') || rest.starts_with('/'))
}

/// Decodes until nothing changes. `None` for what is not a sound encoding of
/// text, or never ends.
fn decode(path: &str) -> Option<Cow<'_, str>> {
    let mut decoded = Cow::Borrowed(path);
    for _ in 0..DECODINGS {
        if !decoded.contains('%') {
            return Some(decoded);
        }
        if !is_sound(&decoded) {
            return None;
        }
        decoded = Cow::Owned(
            percent_decode_str(&decoded)
                .decode_utf8()
                .ok()?
                .into_owned(),
        );
    }
    (!decoded.contains('%')).then_some(decoded)
}

/// True if every `%` begins an escape of two hexadecimal digits.
fn is_sound(path: &str) -> bool {
    path.split('%').skip(1).all(|escape| {
        let mut digits = escape.bytes();
        let mut digit = || digits.next().is_some_and(|byte| byte.is_ascii_hexdigit());
        digit() && digit()
    })
}

#[cfg(test)]
mod tests {
    #![allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing
    )]

    use proptest::prelude::*;
    use url::Url;

    use super::*;

    fn covered(path: &str, prefix: &str) -> bool {
        let url = Url::parse(&format!("https://api.example.com{path}")).unwrap();
        is_plain(url.path()) && is_under(url.path(), prefix)
    }

    #[test]
    fn prefixes_end_at_segments() {
        let cases = [
            ("/v1", "/v1", true),
            ("/v1/", "/v1", true),
            ("/v1/people", "/v1", true),
            ("/v1/people/1", "/v1/people", true),
            ("/v1?x=/v2", "/v1", true),
            ("/v1//people", "/v1", true),
            ("/v1/a%20b/c%C3%A9", "/v1", true),
            ("/v1/a%2Fb", "/v1", true),
            ("/v1/100%25", "/v1", false),
            ("/v1/people", "/", true),
            ("/", "/", true),
            ("/v1/people", "/v1/", true),
            ("/v1/a%20b/c", "/v1/a%20b", true),
            ("/v1", "/v1/", false),
            ("/v10", "/v1", false),
            ("/v1.json", "/v1", false),
            ("/V1", "/v1", false),
            ("/v2", "/v1", false),
            ("/", "/v1", false),
            ("//v1", "/v1", false),
            ("/x/v1", "/v1", false),
            ("/v1;a=b/people", "/v1", false),
        ];
        for (path, prefix, expected) in cases {
            assert_eq!(covered(path, prefix), expected, "{path} under {prefix}");
        }
    }

    #[test]
    fn no_spelling_climbs_out() {
        let hostile = [
            "/v1/../admin",
            "/v1/./../admin",
            "/v1/%2e%2e/admin",
            "/v1/%2E%2E/admin",
            "/v1/.%2e/admin",
            "/v1/%2e./admin",
            "/v1\\..\\admin",
            "/v1/..\\admin",
            "/v1/..%2fadmin",
            "/v1/..%2Fadmin",
            "/v1/..%5cadmin",
            "/v1/%2e%2e%2fadmin",
            "/v1/%2e%2e%5cadmin",
            "/v1%2f..%2fadmin",
            "/v1/%252e%252e/admin",
            "/v1/%252e%252e%252fadmin",
            "/v1/..%252fadmin",
            "/v1/%25252e%25252e/admin",
            "/v1/%2525252525252e/admin",
            "/v1/..;/admin",
            "/v1/..;x=y/admin",
            "/v1/%2e%2e;/admin",
            "/v1/..%3b/admin",
            "/v1/%c0%ae%c0%ae/admin",
            "/v1/%u002e%u002e/admin",
            "/v1/%%32%65%%32%65/admin",
            "/v1/%",
            "/v1/%2",
            "/v1/%zz",
            "/v1/%ff",
            "/v1/.. /admin",
            "/v1/..%20/admin",
            "/v1/..%09/admin",
            "/v1/\t../admin",
            "/%76%31/people",
            "/v1%2fpeople",
            "/v1/people/..",
            "/v1/people/../..",
            "/v1/a/%2e%2e/%2e%2e/admin",
        ];
        for path in hostile {
            // Where the parser itself resolves the dots to a place under the
            // prefix, that place is what is sent.
            let sent = Url::parse(&format!("https://api.example.com{path}")).unwrap();
            let stays = !sent.path().contains('%')
                && !sent.path().contains("..")
                && (sent.path() == "/v1" || sent.path().starts_with("/v1/"));
            assert_eq!(
                covered(path, "/v1"),
                stays,
                "{path} is sent as {}",
                sent.path()
            );
        }
    }

    /// The paths that servers of every temper would look up.
    fn readings(path: &str) -> Vec<String> {
        let mut texts = vec![path.to_owned()];
        for round in 0..3 {
            let decoded = percent_decode_str(&texts[round])
                .decode_utf8_lossy()
                .into_owned();
            texts.push(decoded);
        }
        texts.iter().map(|text| resolve(text)).collect()
    }

    fn resolve(path: &str) -> String {
        let mut kept: Vec<String> = Vec::new();
        for segment in path.replace('\\', "/").split('/') {
            match segment.split(';').next().unwrap() {
                "" | "." => {}
                ".." => drop(kept.pop()),
                name => kept.push(name.to_owned()),
            }
        }
        format!("/{}", kept.join("/"))
    }

    proptest! {
        #[test]
        fn a_covered_path_is_under_the_prefix_in_every_reading(
            pieces in prop::collection::vec(
                prop::sample::select(vec![
                    "/", "/", "v1", "v1/", "/v1/", "admin", ".", "..", "%2e", "%2E", "%2f", "%5c", "\\", ";",
                    "%25", "%252e", "%252f", "2e", "2f", "%", "%00", " ", "%20", "a", "x=y",
                ]),
                0..12,
            ),
        ) {
            let path = format!("/v1{}", pieces.concat());
            if let Ok(url) = Url::parse(&format!("https://api.example.com{path}"))
                && is_plain(url.path())
                && is_under(url.path(), "/v1")
            {
                for reading in readings(url.path()) {
                    prop_assert!(reading == "/v1" || reading.starts_with("/v1/"), "{path} reads as {reading}");
                }
            }
        }
    }
}
