//! JSON at the speed a sandbox needs.
//!
//! A page of the app's records is read once, borrowing from the answer:
//! [`Records`] walks the list and gives each record both as an [`Object`] and
//! as the very text that the app sent (for [`Item::native_raw`]), without a
//! second scan and without building a tree; [`Writer`] writes the result. [`Reader`] and [`Scalar`] are
//! lenient about types: one odd value costs its field, never the page.
//!
//! For small answers serde does as well; see [`Response::json`].
//!
//! [`Item::native_raw`]: crate::Item::native_raw
//! [`Response::json`]: crate::Response::json

mod block;
mod reader;
mod records;
mod scalar;
mod writer;

pub use reader::{Malformed, Object, Reader};
pub use records::Records;
pub use scalar::Scalar;
pub use writer::{Write, Writer, text_of};

use reader::code_unit;
/// The text with every escape of a lone UTF-16 surrogate (half an emoji, cut by
/// some program) replaced by `\ufffd`; `None` if there is none. Such text is
/// refused by JSON readers and databases alike; reading it again mended saves
/// the rest of the page.
pub fn mend_surrogates(text: &str) -> Option<String> {
    let mut mended = String::new();
    let (mut copied, mut at) = (0, 0);
    while let Some(found) = text.get(at..)?.find('\\') {
        let escape = at + found;
        at = match code_unit(text, escape) {
            Some(0xD800..=0xDBFF)
                if matches!(code_unit(text, escape + 6), Some(0xDC00..=0xDFFF)) =>
            {
                escape + 12
            }
            Some(0xD800..=0xDFFF) => {
                mended.push_str(text.get(copied..escape)?);
                mended.push_str("\\ufffd");
                copied = escape + 6;
                copied
            }
            // Any other escape: what follows the backslash is part of it. It
            // may be a character of several bytes in text that is no JSON.
            _ => {
                escape
                    + 1
                    + text
                        .get(escape + 1..)?
                        .chars()
                        .next()
                        .map_or(0, char::len_utf8)
            }
        };
    }
    mended.push_str(text.get(copied..)?);
    (copied > 0).then_some(mended)
}

#[cfg(test)]
mod tests {
    use super::mend_surrogates;

    #[test]
    fn mends_lone_surrogates_only() {
        let mended = |text| mend_surrogates(text).unwrap_or_default();
        assert_eq!(mended(r#"["\ud83d"]"#), r#"["\ufffd"]"#);
        assert_eq!(
            mended(r#""\ude00\ud83d\ud83d\ude00""#),
            r#""\ufffd\ufffd\ud83d\ude00""#
        );
        for sound in [
            r#""\ud83d\ude00 \u00eb""#,
            r#""\\ud83d""#,
            "plain",
            "\\",
            "\\é",
            "\\u12",
        ] {
            assert_eq!(mend_surrogates(sound), None, "{sound}");
        }
    }
}
