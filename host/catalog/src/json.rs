//! Writing JSON text, one value after the other, into a string that is already there.
//!
//! What these functions write is the canonical form of stored records: equal values give equal text, so a record that
//! an app sends twice compares equal without being parsed.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Appends a string with its quotes. U+0000, which SQL text cannot hold, becomes U+FFFD.
pub fn push_text(out: &mut String, text: &str) {
    out.reserve(text.len() + 2);
    out.push('"');
    let mut rest = text;
    while let Some(at) = special(rest.as_bytes()) {
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

/// Where the first byte is that a JSON string can't hold as it is. Most texts hold none, so eight are looked at at once.
fn special(bytes: &[u8]) -> Option<usize> {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    // The high bit of the lowest byte that is zero, and maybe of some above it.
    let zeros = |word: u64| word.wrapping_sub(ONES) & !word;
    let mut passed = 0;
    let mut rest = bytes;
    while let Some((eight, tail)) = rest.split_first_chunk::<8>() {
        let word = u64::from_le_bytes(*eight);
        let quote = zeros(word ^ (ONES * u64::from(b'"')));
        let backslash = zeros(word ^ (ONES * u64::from(b'\\')));
        let control = word.wrapping_sub(ONES * 0x20) & !word;
        let found = (quote | backslash | control) & HIGH;
        if found != 0 {
            return Some(passed + found.trailing_zeros() as usize / 8);
        }
        passed += 8;
        rest = tail;
    }
    let ends = |byte: &u8| matches!(byte, 0..0x20 | b'"' | b'\\');
    Some(passed + rest.iter().position(ends)?)
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

/// A JSON text as every database can store it. What JSON can say and databases
/// can't hold is replaced: U+0000 and halves of surrogate pairs by U+FFFD, a number
/// beyond the range of doubles by null. The text must be JSON.
pub fn storable(text: &str) -> Cow<'_, str> {
    let bytes = text.as_bytes();
    let mut out: Option<String> = None;
    // What stands before is in `out` already, or will be if anything is replaced.
    let mut done = 0;
    let mut at = 0;
    let mut in_text = false;
    while let Some(&byte) = bytes.get(at) {
        let start = at;
        at += 1;
        let replacement = match byte {
            b'"' => {
                in_text = !in_text;
                continue;
            }
            b'\\' if in_text => {
                let Some(unit) = unit(bytes, start) else {
                    at += 1;
                    continue;
                };
                at = start + 6;
                match unit {
                    0 => "\\ufffd",
                    0xd800..0xdc00 => match self::unit(bytes, at) {
                        Some(0xdc00..0xe000) => {
                            at += 6;
                            continue;
                        }
                        _ => "\\ufffd",
                    },
                    0xdc00..0xe000 => "\\ufffd",
                    _ => continue,
                }
            }
            b'-' | b'0'..=b'9' if !in_text => {
                let rest = bytes.get(at..).unwrap_or_default();
                let part =
                    |byte: &u8| matches!(byte, b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-');
                at += rest.iter().take_while(|byte| part(byte)).count();
                let number = text.get(start..at).unwrap_or_default();
                // Shorter ones are in range.
                let long = number.len() > 300 || number.contains(['e', 'E']);
                if !long || number.parse::<f64>().is_ok_and(f64::is_finite) {
                    continue;
                }
                "null"
            }
            _ => continue,
        };
        let out = out.get_or_insert_default();
        out.push_str(text.get(done..start).unwrap_or_default());
        out.push_str(replacement);
        done = at;
    }
    match out {
        None => Cow::Borrowed(text),
        Some(mut out) => {
            out.push_str(text.get(done..).unwrap_or_default());
            Cow::Owned(out)
        }
    }
}

/// The code unit of `\u1234` at a place; none: it is another escape.
fn unit(bytes: &[u8], at: usize) -> Option<u32> {
    let escape = bytes.get(at..at + 6)?;
    let digits = escape.strip_prefix(b"\\u")?;
    u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::{Cow, push_number, push_text, storable};

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
    fn what_databases_cannot_hold_is_replaced() {
        for (text, stored) in [
            (
                r#"{"a":"\u0000b","c":"\ud83d\ude00"}"#,
                r#"{"a":"\ufffdb","c":"\ud83d\ude00"}"#,
            ),
            (
                r#"["\ud83d","\ude00x","\ud83d\u0041"]"#,
                r#"["\ufffd","\ufffdx","\ufffd\u0041"]"#,
            ),
            (r#"[1e400,-2E+999,1e-400,12.5]"#, "[null,null,1e-400,12.5]"),
            (r#"["1e400 \\u0000 \"",1]"#, r#"["1e400 \\u0000 \"",1]"#),
            ("{}", "{}"),
        ] {
            assert_eq!(storable(text), stored);
            assert_eq!(matches!(storable(text), Cow::Borrowed(_)), text == stored);
        }
    }

    #[test]
    fn text_reads_back_as_it_was() {
        for value in [
            "",
            "plain",
            "quote \" backslash \\ slash /",
            "\u{1}\u{1f}\u{7f}\n\r\t\u{8}\u{c}",
            "naïve 🏡 \u{2028}",
            "1234567\"",
            "12345678\\9",
            "123456789012345\n7 and more than two words",
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
