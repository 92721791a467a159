//! The `next` of a list: where the following page begins, bound to the
//! credential, entity and filters that it was given for, and good for a day.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use rollout_store::Place;
use sha2::Sha256;

/// How long a cursor is good for, in seconds.
const LIFETIME: u64 = 24 * 3600;
/// The row's number and the time of issue.
const PAYLOAD: usize = 16;
/// Bytes of the code that are kept.
const CODE: usize = 12;
/// What stands before the value that a sorted list goes on behind.
const VALUE: u8 = 1;

/// Why a cursor is refused; for the log.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum BadCursor {
    #[error("it is not one of ours")]
    Malformed,
    #[error("it was made for another credential, entity or filter")]
    Foreign,
    #[error("it is older than a day")]
    Expired,
}

/// What a cursor is bound to.
pub(crate) struct Binding<'a> {
    /// The environment's client secret.
    pub(crate) key: &'a [u8],
    pub(crate) credential: &'a str,
    pub(crate) entity: &'a str,
    /// The list's filters in one canonical text.
    pub(crate) filters: &'a str,
}

impl Binding<'_> {
    /// The cursor of a place, issued at `now` (Unix seconds).
    pub(crate) fn cursor(&self, place: &Place, now: u64) -> String {
        let mut bytes = Vec::with_capacity(PAYLOAD + CODE);
        bytes.extend_from_slice(&place.seq.to_be_bytes());
        bytes.extend_from_slice(&now.to_be_bytes());
        let value: Vec<u8> = match &place.value {
            Some(text) => [&[VALUE], text.as_bytes()].concat(),
            None => Vec::new(),
        };
        let code = self.code(&bytes, &value);
        bytes.extend(code.iter().take(CODE));
        bytes.extend(value);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// The place of a cursor.
    pub(crate) fn place(&self, cursor: &str, now: u64) -> Result<Place, BadCursor> {
        let bytes = URL_SAFE_NO_PAD
            .decode(cursor)
            .map_err(|_| BadCursor::Malformed)?;
        let (payload, rest) = bytes
            .split_at_checked(PAYLOAD)
            .ok_or(BadCursor::Malformed)?;
        let (code, value) = rest.split_at_checked(CODE).ok_or(BadCursor::Malformed)?;
        let expected = self.code(payload, value);
        let differs = code
            .iter()
            .zip(expected)
            .fold(0, |differs, (given, right)| differs | (given ^ right));
        if differs != 0 {
            return Err(BadCursor::Foreign);
        }
        let (seq, issued) = payload.split_at_checked(8).ok_or(BadCursor::Malformed)?;
        let number = |bytes: &[u8]| bytes.try_into().map_err(|_| BadCursor::Malformed);
        let issued = u64::from_be_bytes(number(issued)?);
        if now > issued.saturating_add(LIFETIME) {
            return Err(BadCursor::Expired);
        }
        let value = match value {
            [VALUE, text @ ..] => {
                Some(String::from_utf8(text.to_vec()).map_err(|_| BadCursor::Malformed)?)
            }
            _ => None,
        };
        Ok(Place {
            seq: i64::from_be_bytes(number(seq)?),
            value,
        })
    }

    fn code(&self, payload: &[u8], value: &[u8]) -> Vec<u8> {
        // HMAC takes keys of any length.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(self.key) else {
            return Vec::new();
        };
        mac.update(b"list cursor\0");
        mac.update(payload);
        for part in [self.credential, self.entity, self.filters] {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part.as_bytes());
        }
        mac.update(value);
        mac.finalize().into_bytes().to_vec()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;

    const NOW: u64 = 1_800_000_000;

    fn binding<'a>(credential: &'a str, filters: &'a str) -> Binding<'a> {
        Binding {
            key: b"secret",
            credential,
            entity: "people",
            filters,
        }
    }

    #[test]
    fn a_cursor_is_good_where_and_while_it_was_given() {
        let ours = binding("c1", "tags=a");
        for value in [None, Some(""), Some("Åsa")] {
            let place = at(42, value);
            let cursor = ours.cursor(&place, NOW);
            assert_eq!(ours.place(&cursor, NOW + LIFETIME), Ok(place));
        }
        let cursor = ours.cursor(&at(42, None), NOW);
        assert_eq!(
            ours.place(&cursor, NOW + LIFETIME + 1),
            Err(BadCursor::Expired)
        );
        for other in [
            binding("c2", "tags=a"),
            binding("c1", "tags=b"),
            binding("c1t", "ags=a"),
        ] {
            assert_eq!(other.place(&cursor, NOW), Err(BadCursor::Foreign));
        }
    }

    fn at(seq: i64, value: Option<&str>) -> Place {
        Place {
            seq,
            value: value.map(str::to_owned),
        }
    }

    #[test]
    fn altered_and_made_up_cursors_are_refused() {
        let ours = binding("c1", "");
        for value in [None, Some(""), Some("Ada")] {
            let cursor = ours.cursor(&at(42, value), NOW);
            for place in 0..cursor.len() {
                let mut bytes = cursor.clone().into_bytes();
                bytes[place] = if bytes[place] == b'A' { b'B' } else { b'A' };
                let altered = String::from_utf8(bytes).unwrap();
                assert!(ours.place(&altered, NOW).is_err(), "{altered}");
            }
        }
        for made_up in ["", "x", "%%%", "AAAA", "null", "eyJzaW5jZUlkIjoxfQ"] {
            assert_eq!(ours.place(made_up, NOW), Err(BadCursor::Malformed));
        }
    }
}
