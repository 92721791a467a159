//! Times as the store has them: milliseconds since 1970.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;

use crate::{Result, StoreError};

/// The present time in milliseconds since 1970, as all times in the store.
pub fn now() -> i64 {
    millis(
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default(),
    )
}

/// The time this long from now.
pub fn after(wait: Duration) -> i64 {
    now().saturating_add(millis(wait))
}

/// The time this long ago.
pub fn ago(age: Duration) -> i64 {
    now().saturating_sub(millis(age))
}

/// A span in milliseconds.
pub fn millis(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}

/// A time as the API writes it, or any other of RFC 3339, in milliseconds since 1970.
pub fn parse_time(text: &str) -> Option<i64> {
    let time = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    i64::try_from(time.unix_timestamp_nanos() / 1_000_000).ok()
}

/// A time in milliseconds since 1970 as the API writes it, `2025-07-02T15:19:21Z`.
/// [`StoreError::Limit`] if it lies outside of the years 0 to 9999.
pub fn api_time(millis: i64) -> Result<String> {
    let format = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]Z");
    OffsetDateTime::from_unix_timestamp(millis.div_euclid(1000))
        .ok()
        .and_then(|time| time.format(format).ok())
        .ok_or(StoreError::Limit(
            "a time lies within the years that can be written",
        ))
}
