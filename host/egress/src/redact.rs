//! Blanks exact secret values in text that leaves the host's hands.
//!
//! This is defence in depth: what keeps a secret from a connector is that it is
//! only ever sent to the places it is bound to. But an app may echo a key in an
//! error text or a header, so every answer, record, log line and error passes
//! here.
//!
//! A value is looked for as it is, percent-encoded, escaped as in JSON, and in
//! base64 at every alignment (so also inside `user:password`). Values of at
//! least [`LONG`] characters are blanked everywhere; shorter ones would blank
//! innocent words in records, so they are blanked in logs and errors only
//! ([`Redactor::redact_strict`]).
//!
//! One pass over the text finds all forms of all values: a vectorised matcher
//! for few forms (about 15 µs for 125 KB), an automaton for many. The matcher
//! keeps copies of the values in memory; a redactor lives as long as the
//! [`crate::Access`] that holds the values themselves.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;
use std::sync::OnceLock;

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind, packed};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use percent_encoding::{AsciiSet, CONTROLS, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::Secret;
use crate::placement::COMPONENT;

/// From this many characters on, a value is blanked everywhere.
pub const LONG: usize = 20;

/// From this many characters on, a value is blanked in logs and errors.
pub const SHORT: usize = 4;

/// What stands in a value's place.
pub const BLANK: &str = "[redacted]";

/// What percent-encoders escape: they differ in how much.
const ESCAPED: [&AsciiSet; 4] = [
    COMPONENT,
    NON_ALPHANUMERIC,
    // JavaScript's encodeURIComponent.
    &COMPONENT
        .remove(b'!')
        .remove(b'*')
        .remove(b'\'')
        .remove(b'(')
        .remove(b')'),
    // Only what no URL may hold.
    &CONTROLS
        .add(b' ')
        .add(b'"')
        .add(b'<')
        .add(b'>')
        .add(b'`')
        .add(b'{')
        .add(b'}')
        .add(b'%'),
];

/// Finds and blanks a fixed set of secret values.
pub struct Redactor {
    values: Vec<Secret>,
    everywhere: Option<Matcher>,
    /// Built at the first use: most calls log nothing and fail nowhere.
    strict: OnceLock<Option<Matcher>>,
}

impl Redactor {
    /// A redactor for these values. Takes a few microseconds per value.
    #[must_use]
    pub fn new(values: impl IntoIterator<Item = Secret>) -> Redactor {
        let values: Vec<Secret> = values.into_iter().collect();
        Redactor {
            everywhere: Matcher::new(&values, LONG),
            strict: OnceLock::new(),
            values,
        }
    }

    /// For what a connector, a record or an API answer shows: values of at
    /// least [`LONG`] characters.
    #[must_use]
    pub fn redact<'a>(&self, text: &'a str) -> Cow<'a, str> {
        blank_text(self.everywhere.as_ref(), text)
    }

    /// Like [`Redactor::redact`], for bytes that need not be text.
    #[must_use]
    pub fn redact_bytes<'a>(&self, bytes: &'a [u8]) -> Cow<'a, [u8]> {
        blank(self.everywhere.as_ref(), bytes)
    }

    /// For logs and errors: values of at least [`SHORT`] characters.
    #[must_use]
    pub fn redact_strict<'a>(&self, text: &'a str) -> Cow<'a, str> {
        blank_text(self.strict(), text)
    }

    /// Like [`Redactor::redact_strict`], for bytes that need not be text.
    pub(crate) fn redact_bytes_strict<'a>(&self, bytes: &'a [u8]) -> Cow<'a, [u8]> {
        blank(self.strict(), bytes)
    }

    fn strict(&self) -> Option<&Matcher> {
        self.strict
            .get_or_init(|| Matcher::new(&self.values, SHORT))
            .as_ref()
    }
}

impl fmt::Debug for Redactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Redactor({} values)", self.values.len())
    }
}

enum Matcher {
    Packed(packed::Searcher),
    Automaton(AhoCorasick),
}

impl Matcher {
    /// `None` if no value has `shortest` characters.
    fn new(values: &[Secret], shortest: usize) -> Option<Matcher> {
        let forms: BTreeSet<Vec<u8>> = values
            .iter()
            .map(Secret::expose)
            .filter(|value| value.chars().count() >= shortest)
            .flat_map(forms)
            .filter(|form| form.len() >= SHORT)
            .collect();
        if forms.is_empty() {
            return None;
        }
        // Longest first wins, so that the whole of a form goes and not the
        // part that happens to be a form as well.
        let packed = packed::Config::new()
            .match_kind(packed::MatchKind::LeftmostLongest)
            .builder()
            .extend(&forms)
            .build();
        if let Some(packed) = packed {
            return Some(Matcher::Packed(packed));
        }
        // Too many forms, or a processor without vector instructions. The
        // automaton's tables have 32-bit indices; values would have to be
        // gigabytes for it to fail.
        AhoCorasick::builder()
            .match_kind(MatchKind::LeftmostLongest)
            .kind(Some(AhoCorasickKind::ContiguousNFA))
            .build(&forms)
            .ok()
            .map(Matcher::Automaton)
    }

    fn each(&self, text: &[u8], mut found: impl FnMut(usize, usize)) {
        match self {
            Matcher::Packed(searcher) => {
                searcher
                    .find_iter(text)
                    .for_each(|hit| found(hit.start(), hit.end()));
            }
            Matcher::Automaton(automaton) => {
                automaton
                    .find_iter(text)
                    .for_each(|hit| found(hit.start(), hit.end()));
            }
        }
    }
}

fn blank<'a>(matcher: Option<&Matcher>, text: &'a [u8]) -> Cow<'a, [u8]> {
    let Some(matcher) = matcher else {
        return Cow::Borrowed(text);
    };
    let mut clean: Option<Vec<u8>> = None;
    let mut copied = 0;
    matcher.each(text, |start, end| {
        let clean = clean.get_or_insert_with(|| Vec::with_capacity(text.len()));
        clean.extend_from_slice(text.get(copied..start).unwrap_or_default());
        clean.extend_from_slice(BLANK.as_bytes());
        copied = end;
    });
    match clean {
        None => Cow::Borrowed(text),
        Some(mut clean) => {
            clean.extend_from_slice(text.get(copied..).unwrap_or_default());
            Cow::Owned(clean)
        }
    }
}

fn blank_text<'a>(matcher: Option<&Matcher>, text: &'a str) -> Cow<'a, str> {
    match blank(matcher, text.as_bytes()) {
        Cow::Borrowed(_) => Cow::Borrowed(text),
        // Forms are text, so cutting them out of text leaves text.
        Cow::Owned(clean) => Cow::Owned(String::from_utf8_lossy(&clean).into_owned()),
    }
}

/// All the ways in which a value is looked for.
fn forms(value: &str) -> Vec<Vec<u8>> {
    let mut texts = vec![value.to_owned()];

    for set in ESCAPED {
        let encoded = utf8_percent_encode(value, set).to_string();
        texts.push(encoded.replace("%20", "+"));
        texts.push(encoded);
    }
    texts.push(url::form_urlencoded::byte_serialize(value.as_bytes()).collect());
    let lower: Vec<String> = texts.iter().map(|text| lower_case_escapes(text)).collect();
    texts.extend(lower);

    texts.extend([
        json(value, |_| false, false),
        json(value, |character| !character.is_ascii(), false),
        json(value, |character| !character.is_ascii(), true),
        // Escapes that encoders add so that JSON can stand in HTML.
        json(value, |character| "<>&".contains(character), false),
        json(
            value,
            |character| "<>&'\"+`".contains(character) || !character.is_ascii(),
            true,
        ),
    ]);

    let bytes = value.as_bytes();
    texts.extend([STANDARD.encode(bytes), STANDARD_NO_PAD.encode(bytes)]);
    texts.extend([URL_SAFE.encode(bytes), URL_SAFE_NO_PAD.encode(bytes)]);
    for offset in 0..3 {
        texts.push(inner_base64(bytes, offset, &STANDARD_NO_PAD));
        texts.push(inner_base64(bytes, offset, &URL_SAFE_NO_PAD));
    }

    let slashes: Vec<String> = texts
        .iter()
        .filter(|text| text.contains('/'))
        .map(|text| text.replace('/', "\\/"))
        .collect();
    texts.extend(slashes);
    texts.into_iter().map(String::into_bytes).collect()
}

/// `%2F` as `%2f`.
fn lower_case_escapes(encoded: &str) -> String {
    let mut rest = 0_u8;
    encoded
        .chars()
        .map(|character| {
            if character == '%' {
                rest = 3;
            }
            let escape = rest > 0;
            rest = rest.saturating_sub(1);
            if escape {
                character.to_ascii_lowercase()
            } else {
                character
            }
        })
        .collect()
}

/// The inside of a JSON string; `also` says which characters are written as
/// `\uXXXX` beyond those that must be escaped.
fn json(value: &str, also: impl Fn(char) -> bool, upper: bool) -> String {
    let mut text = String::with_capacity(value.len());
    for character in value.chars() {
        match character {
            _ if also(character) => {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    text += &if upper {
                        format!("\\u{unit:04X}")
                    } else {
                        format!("\\u{unit:04x}")
                    };
                }
            }
            '"' => text += "\\\"",
            '\\' => text += "\\\\",
            '\n' => text += "\\n",
            '\r' => text += "\\r",
            '\t' => text += "\\t",
            '\u{8}' => text += "\\b",
            '\u{c}' => text += "\\f",
            control if control < ' ' => text += &format!("\\u{:04x}", u32::from(control)),
            plain => text.push(plain),
        }
    }
    text
}

/// The base64 characters that a value gives wherever it stands `offset` bytes
/// (modulo three) into a longer text: those at its ends also depend on its
/// neighbours and are left out.
fn inner_base64(value: &[u8], offset: usize, engine: &impl Engine) -> String {
    let text = engine.encode([[0; 2].get(..offset).unwrap_or_default(), value].concat());
    let head = if offset == 0 { 0 } else { offset + 1 };
    let tail = usize::from(!(offset + value.len()).is_multiple_of(3));
    text.get(head..text.len().saturating_sub(tail))
        .unwrap_or_default()
        .to_owned()
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

    use super::*;

    const KEY: &str = "fka_0a1B2c3D4e5F6g7H8i9J";
    const ODD: &str = "p/+=& \"q\"\\ <ключ>'🔑\tend";

    fn redactor(values: &[&str]) -> Redactor {
        Redactor::new(values.iter().map(|value| Secret::from((*value).to_owned())))
    }

    #[test]
    fn a_value_is_blanked_in_every_encoding() {
        for secret in [KEY, ODD] {
            let redactor = redactor(&[secret]);
            let json = serde_json::to_string(secret).unwrap();
            let json = json[1..json.len() - 1].to_owned();
            let component = utf8_percent_encode(secret, NON_ALPHANUMERIC).to_string();
            let pair = format!("user:{secret}");
            let seen = [
                secret.to_owned(),
                json.clone(),
                json.replace('/', "\\/"),
                utf8_percent_encode(secret, COMPONENT).to_string(),
                lower_case_escapes(&utf8_percent_encode(secret, COMPONENT).to_string()),
                url::form_urlencoded::byte_serialize(secret.as_bytes()).collect(),
                STANDARD.encode(secret),
                STANDARD_NO_PAD.encode(secret),
                URL_SAFE.encode(secret),
                URL_SAFE_NO_PAD.encode(secret),
            ];
            for text in seen {
                let around = format!("before {text} after {text}");
                assert_eq!(
                    redactor.redact(&around),
                    "before [redacted] after [redacted]",
                    "{text}"
                );
                assert_eq!(
                    &*redactor.redact_bytes(around.as_bytes()),
                    b"before [redacted] after [redacted]"
                );
                assert!(!redactor.redact_strict(&around).contains(&text));
            }
            assert_eq!(redactor.redact(&component), BLANK);
            // Inside a longer base64 text at any alignment, few characters stay.
            for before in ["", "a", "ab", "abc", "user:", "some@user.example:"] {
                for after in ["", "x", "xy", "xyz"] {
                    for engine in [&STANDARD, &URL_SAFE] {
                        let whole = engine.encode(format!("{before}{secret}{after}"));
                        let clean = redactor.redact(&whole);
                        let left = clean.len() - BLANK.len();
                        assert!(clean.contains(BLANK), "{before} {after}");
                        assert!(left <= (before.len() + after.len()) * 4 / 3 + 8, "{clean}");
                    }
                }
            }
            assert!(
                !redactor
                    .redact(&STANDARD.encode(&pair))
                    .contains(&STANDARD.encode(secret)[8..16])
            );
        }
    }

    #[test]
    fn escapes_of_other_json_writers() {
        let secret = "ab+cd/ef&gh<ij>kl'mn=op é";
        let redactor = redactor(&[secret]);
        let seen = [
            r"ab\u002Bcd/ef\u0026gh\u003Cij\u003Ekl\u0027mn=op \u00E9",
            r"ab+cd/ef\u0026gh\u003cij\u003ekl'mn=op é",
            r"ab+cd\/ef&gh<ij>kl'mn=op \u00e9",
        ];
        for text in seen {
            assert_eq!(redactor.redact(text), BLANK, "{text}");
        }
    }

    #[test]
    fn short_values_go_only_where_nobody_reads_records() {
        let redactor = redactor(&[
            "hunter2",
            "abc",
            "",
            "12345678901234567890",
            "1234567890123456789",
        ]);
        let text = "hunter2 abc 1234567890123456789 12345678901234567890";
        assert_eq!(
            redactor.redact(text),
            "hunter2 abc 1234567890123456789 [redacted]"
        );
        assert_eq!(
            redactor.redact_strict(text),
            "[redacted] abc [redacted] [redacted]"
        );
        assert_eq!(redactor.redact_strict("aHVudGVyMg=="), BLANK);
    }

    #[test]
    fn the_longest_form_wins() {
        let long = format!("{KEY}-and-more");
        let redactor = redactor(&[KEY, &long]);
        assert_eq!(
            redactor.redact(&format!("{long}|{KEY}|{long}{KEY}")),
            format!("{BLANK}|{BLANK}|{BLANK}{BLANK}")
        );
    }

    #[test]
    fn text_without_secrets_is_not_copied() {
        for redactor in [redactor(&[]), redactor(&["short"]), redactor(&[KEY])] {
            assert!(matches!(redactor.redact("nothing here"), Cow::Borrowed(_)));
            assert!(matches!(
                redactor.redact_bytes(&[0xff, 0, 1]),
                Cow::Borrowed(_)
            ));
        }
    }

    #[test]
    fn many_values_and_bytes_that_are_not_text() {
        let values: Vec<String> = (0..100).map(|number| format!("{KEY}{number:03}")).collect();
        let many = Redactor::new(values.iter().map(|value| Secret::from(value.clone())));
        assert!(matches!(many.everywhere, Some(Matcher::Automaton(_))));
        for value in &values {
            assert_eq!(many.redact(&format!("<{value}>")), "<[redacted]>");
        }
        let mut bytes = vec![0xff, 0xfe];
        bytes.extend_from_slice(values[7].as_bytes());
        bytes.push(0xff);
        assert_eq!(
            many.redact_bytes(&bytes),
            [&[0xff, 0xfe][..], BLANK.as_bytes(), &[0xff]].concat()
        );
    }

    #[test]
    fn debug_shows_no_value() {
        assert_eq!(format!("{:?}", redactor(&[KEY])), "Redactor(1 values)");
    }

    proptest! {
        #[test]
        fn no_form_of_a_secret_survives(
            secrets in prop::collection::vec("[ -~é🔑]{20,40}", 1..4),
            noise in prop::collection::vec("[ -~é🔑]{0,40}", 4..5),
            form in 0_usize..6,
        ) {
            let redactor = Redactor::new(secrets.iter().cloned().map(Secret::from));
            let encode = |secret: &str| match form {
                0 => secret.to_owned(),
                1 => utf8_percent_encode(secret, COMPONENT).to_string(),
                2 => { let text = serde_json::to_string(secret).unwrap(); text[1..text.len() - 1].to_owned() }
                3 => STANDARD.encode(secret),
                4 => URL_SAFE_NO_PAD.encode(secret),
                _ => url::form_urlencoded::byte_serialize(secret.as_bytes()).collect(),
            };
            let mut text = String::new();
            for (index, secret) in secrets.iter().enumerate() {
                text += &noise[index];
                text += &encode(secret);
            }
            text += &noise[3];
            let clean = redactor.redact(&text);
            for secret in &secrets {
                prop_assert!(!clean.contains(&encode(secret)), "{clean}");
            }
            // Nothing is lost before the first blank but what was a secret.
            prop_assert!(clean.contains(BLANK));
            prop_assert_eq!(redactor.redact_bytes(text.as_bytes()), clean.as_bytes());
        }

        #[test]
        fn innocent_text_is_left_alone(text in ".{0,200}") {
            let redactor = redactor(&[KEY, ODD]);
            prop_assert_eq!(redactor.redact(&text), text.as_str());
        }
    }
}
