//! How long an app asks to be left alone.

use std::time::{Duration, SystemTime};

use http::header::{HeaderMap, RETRY_AFTER};

/// What an answer 429 without a time means.
const UNSAID: Duration = Duration::from_secs(1);

/// How long an answer asks for patience: 429, and 503 that says until when.
pub(crate) fn patience(status: u16, headers: &HeaderMap) -> Option<Duration> {
    match status {
        429 => Some(said(headers).unwrap_or(UNSAID)),
        503 => said(headers),
        _ => None,
    }
}

/// What the header `Retry-After` says, if there is a readable one.
pub(crate) fn said(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    read(text, SystemTime::now())
}

/// A number of seconds, or a date.
fn read(text: &str, now: SystemTime) -> Option<Duration> {
    if let Ok(seconds) = text.parse::<f64>() {
        // What is out of all bounds is bounded by whoever waits.
        return Duration::try_from_secs_f64(seconds).ok();
    }
    let until = httpdate::parse_http_date(text).ok()?;
    Some(until.duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use http::HeaderValue;

    use super::*;

    fn asked(status: u16, text: &'static str) -> Option<Duration> {
        let headers = HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_static(text))]);
        patience(status, &headers)
    }

    #[test]
    fn seconds_and_dates_are_read() {
        let seconds = Duration::from_secs;
        assert_eq!(asked(429, "7"), Some(seconds(7)));
        assert_eq!(asked(503, " 1.5 "), Some(Duration::from_millis(1500)));
        assert_eq!(asked(429, "0"), Some(Duration::ZERO));
        let past = "Sun, 06 Nov 1994 08:49:37 GMT";
        assert_eq!(asked(503, past), Some(Duration::ZERO));
        let now = httpdate::parse_http_date(past).unwrap() - seconds(90);
        assert_eq!(read(past, now), Some(seconds(90)));
    }

    #[test]
    fn what_says_nothing_asks_for_little_or_nothing() {
        for text in ["", "soon", "-3", "NaN", "inf", "1e300"] {
            assert_eq!(asked(429, text), Some(UNSAID), "{text}");
            assert_eq!(asked(503, text), None, "{text}");
        }
        assert_eq!(patience(429, &HeaderMap::new()), Some(UNSAID));
        assert_eq!(patience(503, &HeaderMap::new()), None);
        assert_eq!(asked(200, "7"), None);
        assert_eq!(asked(500, "7"), None);
    }
}
