//! Times as the API writes them: UTC, whole seconds, `2012-04-23T02:23:11Z`.
//!
//! Inside the simulator a moment is a count of Unix seconds. Whole seconds
//! mean that several records often carry the same time: a client which pages
//! or synchronises by time has to cope with that, so it is not smoothed over.

use time::format_description::well_known::Rfc3339;
use time::macros::format_description;
use time::{Date, Month, OffsetDateTime};

/// The present second.
pub(super) fn now() -> i64 {
    OffsetDateTime::now_utc().unix_timestamp()
}

/// `seconds` as the API writes it.
pub(super) fn iso(seconds: i64) -> String {
    let mut out = Vec::with_capacity(20);
    write_iso(&mut out, seconds);
    String::from_utf8(out).unwrap_or_default()
}

/// Appends `seconds` as the API writes it; the fast path of bulk pages.
pub(super) fn write_iso(out: &mut Vec<u8>, seconds: i64) {
    let moment = at(seconds);
    write_day(out, moment.date());
    out.push(b'T');
    write_two(out, moment.hour());
    out.push(b':');
    write_two(out, moment.minute());
    out.push(b':');
    write_two(out, moment.second());
    out.push(b'Z');
}

/// Appends the date-only form, `2012-04-23`.
pub(super) fn write_date(out: &mut Vec<u8>, seconds: i64) {
    write_day(out, at(seconds).date());
}

/// `seconds` as HTTP writes them: `Mon, 23 Apr 2012 02:23:11 GMT`.
pub(super) fn http_date(seconds: i64) -> String {
    let format = format_description!(
        "[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT"
    );
    at(seconds).format(format).unwrap_or_default()
}

/// Reads a moment: RFC 3339, `2016-11-23 01:02:03` or a bare date, both UTC.
pub(super) fn parse(text: &str) -> Option<i64> {
    let text = match text.len() {
        10 => format!("{text}T00:00:00Z"),
        _ => text.replacen(' ', "T", 1),
    };
    OffsetDateTime::parse(&text, &Rfc3339)
        .or_else(|_| OffsetDateTime::parse(&format!("{text}Z"), &Rfc3339))
        .ok()
        .map(OffsetDateTime::unix_timestamp)
}

/// Whether `text` is a calendar date in the form `yyyy-mm-dd`.
pub(super) fn is_date(text: &str) -> bool {
    let mut parts = text.splitn(3, '-');
    let mut part = |width: usize| -> Option<u16> {
        parts
            .next()
            .filter(|part| part.len() == width)?
            .parse()
            .ok()
    };
    let (Some(year), Some(month), Some(day)) = (part(4), part(2), part(2)) else {
        return false;
    };
    u8::try_from(month)
        .ok()
        .and_then(|month| Month::try_from(month).ok())
        .zip(u8::try_from(day).ok())
        .is_some_and(|(month, day)| Date::from_calendar_date(i32::from(year), month, day).is_ok())
}

fn at(seconds: i64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

fn write_day(out: &mut Vec<u8>, date: Date) {
    let (year, month, day) = date.to_calendar_date();
    let year = u16::try_from(year).unwrap_or(0);
    write_two(out, (year / 100 % 100) as u8);
    write_two(out, (year % 100) as u8);
    out.push(b'-');
    write_two(out, u8::from(month));
    out.push(b'-');
    write_two(out, day);
}

fn write_two(out: &mut Vec<u8>, number: u8) {
    out.push(b'0' + number / 10 % 10);
    out.push(b'0' + number % 10);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_written_and_read_in_the_api_form() {
        assert_eq!(iso(1_335_147_791), "2012-04-23T02:23:11Z");
        for text in [
            "2012-04-23T02:23:11Z",
            "2012-04-23 02:23:11",
            "2012-04-23T02:23:11",
            "2012-04-22T22:23:11-04:00",
        ] {
            assert_eq!(parse(text), Some(1_335_147_791), "{text}");
        }
        assert_eq!(parse("2012-04-23"), parse("2012-04-23T00:00:00Z"));
        assert_eq!(parse("yesterday"), None);
        assert_eq!(http_date(1_335_147_791), "Mon, 23 Apr 2012 02:23:11 GMT");
    }

    #[test]
    fn dates_must_exist() {
        assert!(is_date("2024-02-29"));
        assert!(!is_date("2023-02-29"));
        assert!(!is_date("2024-2-9"));
        assert!(!is_date("2024-02-29T00:00:00Z"));
    }
}
