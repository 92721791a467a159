//! Writing JSON text, one value after the other, into a string that is already there.
//!
//! What these functions write is the canonical form of stored records: equal values give equal text, so a record that
//! an app sends twice compares equal without being parsed.

use std::fmt::Write as _;

/// Appends a string with its quotes. U+0000, which SQL text cannot hold, becomes U+FFFD.
pub fn push_text(out: &mut String, text: &str) {
    out.reserve(text.len() + 2);
    out.push('"');
    let mut rest = text;
    while let Some(at) = rest
        .bytes()
        .position(|byte| byte < 0x20 || byte == b'"' || byte == b'\\')
    {
        let (plain, from) = rest.split_at(at);
        out.push_str(plain);
        let mut letters = from.chars();
        match letters.next() {
            Some('"') => out.push_str("\\\""),
            Some('\\') => out.push_str("\\\\"),
            Some('\n') => out.push_str("\\n"),
            Some('\r') => out.push_str("\\r"),
            Some('\t') => out.push_str("\\t"),
            Some('\0') => out.push(char::REPLACEMENT_CHARACTER),
            Some(control) => {
                // Writing to a string cannot fail.
                let _ = write!(out, "\\u{:04x}", u32::from(control));
            }
            None => {}
        }
        rest = letters.as_str();
    }
    out.push_str(rest);
    out.push('"');
}

/// Appends a number in its shortest form, a whole one without a fraction: `450000`, `0.5`, `1e300`. What JSON cannot
/// express (infinity, not a number) becomes null.
pub fn push_number(out: &mut String, number: f64) {
    /// Up to here every whole number has its own floating-point value.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    let size = number.abs();
    let _ = if !number.is_finite() {
        write!(out, "null")
    } else if size == 0.0 {
        write!(out, "0")
    } else if (1e-5..EXACT).contains(&size) {
        write!(out, "{number}")
    } else {
        write!(out, "{number:e}")
    };
}

/// Appends a whole number.
pub fn push_integer(out: &mut String, number: i64) {
    let _ = write!(out, "{number}");
}

/// Appends `true` or `false`.
pub fn push_bool(out: &mut String, value: bool) {
    out.push_str(if value { "true" } else { "false" });
}

/// Escapes a JSON object's key for use in a JSON pointer and appends it with its slash.
pub(crate) fn push_pointer(pointer: &mut String, segment: &str) {
    pointer.push('/');
    for letter in segment.chars() {
        match letter {
            '~' => pointer.push_str("~0"),
            '/' => pointer.push_str("~1"),
            other => pointer.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::{push_number, push_text};

    fn text(value: &str) -> String {
        let mut out = String::new();
        push_text(&mut out, value);
        out
    }

    fn number(value: f64) -> String {
        let mut out = String::new();
        push_number(&mut out, value);
        out
    }

    #[test]
    fn text_reads_back_as_it_was() {
        for value in [
            "",
            "plain",
            "quote \" backslash \\ slash /",
            "\u{1}\u{1f}\u{7f}\n\r\t\u{8}\u{c}",
            "naïve 🏡 \u{2028}",
        ] {
            assert_eq!(serde_json::from_str::<String>(&text(value)).unwrap(), value);
        }
        assert_eq!(text("a\0b"), "\"a\u{fffd}b\"");
    }

    #[test]
    fn numbers_read_back_as_they_were_and_have_one_form() {
        for value in [
            0.5,
            -1.25,
            450_000.0,
            1e300,
            -1e-300,
            1e16,
            123_456_789.125,
            f64::MAX,
            f64::MIN_POSITIVE,
        ] {
            assert_eq!(serde_json::from_str::<f64>(&number(value)).unwrap(), value);
        }
        assert_eq!(number(450_000.0), "450000");
        assert_eq!(number(-0.0), "0");
        assert_eq!(number(1e300), "1e300");
        assert_eq!(number(f64::INFINITY), "null");
    }
}
