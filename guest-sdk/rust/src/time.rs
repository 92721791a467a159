//! Moments: RFC 3339 text to milliseconds since the Unix epoch and back.
//!
//! The calendar is the proleptic Gregorian one, UTC, without leap seconds
//! (`:60` counts as the next second's beginning).

use std::borrow::Cow;
use std::time::{SystemTime, UNIX_EPOCH};

const DAY_MS: i64 = 86_400_000;

/// The present moment, in milliseconds since the Unix epoch. In tests it is the
/// fake app's [`now`](crate::testing::FakeApp::now_ms), if that is set.
pub fn now_ms() -> u64 {
    crate::backend::fixed_now_ms().unwrap_or_else(|| {
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(0))
    })
}

/// Reads `2025-07-02T15:19:21Z`, with any offset, fraction, a space in place of
/// `T`, no zone (UTC is meant), or a date alone (midnight). Moments before 1970
/// and text that is no moment are `None`.
pub fn parse(text: &str) -> Option<u64> {
    let moment = canonical(text).or_else(|| parse_signed(text.trim()))?;
    u64::try_from(moment).ok()
}

/// Reads the very form that [`format()`] writes for whole seconds, which is the
/// usual one, without looking for anything.
#[rustfmt::skip]
fn canonical(text: &str) -> Option<i64> {
    let &[y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2, b'T', h1, h2, b':', n1, n2, b':', s1, s2, b'Z'] =
        text.as_bytes()
    else {
        return None;
    };
    let mut sound = true;
    let mut two = |tens: u8, ones: u8| {
        sound &= tens.is_ascii_digit() & ones.is_ascii_digit();
        i64::from(tens.wrapping_sub(b'0')) * 10 + i64::from(ones.wrapping_sub(b'0'))
    };
    let (year, month, day) = (two(y1, y2) * 100 + two(y3, y4), two(m1, m2), two(d1, d2));
    let (hour, minute, second) = (two(h1, h2), two(n1, n2), two(s1, s2));
    let valid = sound
        && (1..=12).contains(&month)
        && day >= 1
        && day <= days_in(year, month)
        && hour <= 23
        && minute <= 59
        && second <= 60;
    valid.then(|| {
        days_from_civil(year, month, day) * DAY_MS + ((hour * 60 + minute) * 60 + second) * 1000
    })
}

fn parse_signed(text: &str) -> Option<i64> {
    let (date, rest) = text.split_at_checked(10)?;
    let day = parse_date(date)?;
    if rest.is_empty() {
        return Some(day * DAY_MS);
    }
    let rest = rest.strip_prefix(['T', 't', ' '])?;
    let zone_at = rest.find(['Z', 'z', '+', '-']).unwrap_or(rest.len());
    let (clock, zone) = rest.split_at_checked(zone_at)?;
    Some(day * DAY_MS + parse_clock(clock)? - parse_zone(zone)?)
}

fn parse_date(text: &str) -> Option<i64> {
    let bytes = text.as_bytes();
    if bytes.get(4) != Some(&b'-') || bytes.get(7) != Some(&b'-') {
        return None;
    }
    let year = digits(text.get(0..4)?)?;
    let month = digits(text.get(5..7)?)?;
    let day = digits(text.get(8..10)?)?;
    let valid = (1..=12).contains(&month) && day >= 1 && day <= days_in(year, month);
    valid.then(|| days_from_civil(year, month, day))
}

fn parse_clock(text: &str) -> Option<i64> {
    let mut parts = text.splitn(3, ':');
    let hour = two_digits(parts.next()?)?;
    let minute = two_digits(parts.next()?)?;
    let (second, fraction) = match parts.next() {
        None => (0, 0),
        Some(text) => match text.split_once(['.', ',']) {
            None => (two_digits(text)?, 0),
            Some((second, fraction)) => (two_digits(second)?, milliseconds(fraction)?),
        },
    };
    let valid = hour <= 23 && minute <= 59 && second <= 60;
    valid.then_some(((hour * 60 + minute) * 60 + second) * 1000 + fraction)
}

/// The first three digits of a fraction of a second.
fn milliseconds(fraction: &str) -> Option<i64> {
    digits(fraction)?;
    let mut padded: String = fraction.chars().take(3).collect();
    while padded.len() < 3 {
        padded.push('0');
    }
    digits(&padded)
}

fn parse_zone(text: &str) -> Option<i64> {
    let (sign, text) = match text.split_at_checked(1) {
        None | Some(("Z" | "z", "")) => return Some(0),
        Some(("+", rest)) => (1, rest),
        Some(("-", rest)) => (-1, rest),
        Some(_) => return None,
    };
    let (hours, minutes) = match text.split_once(':') {
        Some(parts) => parts,
        None => text.split_at_checked(2)?,
    };
    let hours = two_digits(hours)?;
    let minutes = if minutes.is_empty() {
        0
    } else {
        two_digits(minutes)?
    };
    (hours <= 23 && minutes <= 59).then_some(sign * (hours * 60 + minutes) * 60_000)
}

fn two_digits(text: &str) -> Option<i64> {
    (text.len() == 2).then(|| digits(text)).flatten()
}

fn digits(text: &str) -> Option<i64> {
    let valid = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    valid.then(|| text.get(..text.len().min(18))?.parse().ok())?
}

fn days_in(year: i64, month: i64) -> i64 {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since 1970-01-01, after Howard Hinnant's `days_from_civil`: years begin
/// in March, so that the leap day is the last day of a year.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 {
        shifted + 3
    } else {
        shifted - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

/// Writes a moment as `2025-07-02T15:19:21Z`, with milliseconds only if there are any.
pub fn format(ms: u64) -> String {
    let ms = i64::try_from(ms).unwrap_or(i64::MAX);
    let (year, month, day) = civil_from_days(ms.div_euclid(DAY_MS));
    let clock = ms.rem_euclid(DAY_MS);
    let (hour, minute) = (clock / 3_600_000, clock / 60_000 % 60);
    let (second, fraction) = (clock / 1000 % 60, clock % 1000);
    let mut text = format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}");
    if fraction != 0 {
        text.push_str(&format!(".{fraction:03}"));
    }
    text.push('Z');
    text
}

/// A moment in the form of [`format()`]; text that has this form already, which
/// is the usual case, is passed through without a copy. A date alone stays a
/// date. Text that is no moment is `None`.
pub fn normalize(text: Cow<'_, str>) -> Option<Cow<'_, str>> {
    if canonical(&text).is_some() {
        return Some(text);
    }
    let moment = parse_signed(text.trim())?;
    if text.len() == 10 {
        return Some(text);
    }
    u64::try_from(moment).ok().map(|ms| Cow::Owned(format(ms)))
}

/// True for `YYYY-MM-DD`.
pub fn is_date(text: &str) -> bool {
    text.len() == 10 && parse_date(text).is_some()
}

/// Reads an HTTP date such as `Sun, 06 Nov 1994 08:49:37 GMT`.
pub fn parse_http_date(text: &str) -> Option<u64> {
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let (_, text) = text.split_once(", ")?;
    let mut words = text.split(' ');
    let day = two_digits(words.next()?)?;
    let name = words.next()?;
    let month = MONTHS.iter().zip(1..).find(|(known, _)| **known == name)?.1;
    let year = digits(words.next()?)?;
    let clock = parse_clock(words.next()?)?;
    if words.next()? != "GMT" || day < 1 || day > days_in(year, month) {
        return None;
    }
    u64::try_from(days_from_civil(year, month, day) * DAY_MS + clock).ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn reads_every_usual_form() {
        let expected = Some(1_751_469_561_000);
        for text in [
            "2025-07-02T15:19:21Z",
            "2025-07-02T15:19:21.000Z",
            "2025-07-02 15:19:21",
            "2025-07-02t15:19:21+00:00",
            "2025-07-02T17:19:21+02:00",
            "2025-07-02T08:19:21-0700",
            "2025-07-02T15:19:21",
            " 2025-07-02T15:19:21Z ",
        ] {
            assert_eq!(parse(text), expected, "{text}");
        }
        assert_eq!(parse("1970-01-01"), Some(0));
        assert_eq!(parse("2000-02-29T23:59:59.9876Z"), Some(951_868_799_987));
    }

    #[test]
    fn refuses_what_is_no_moment() {
        for text in [
            "",
            "now",
            "0000-00-00 00:00:00",
            "2025-02-29",
            "2025-13-01",
            "2025-07-02T24:00:00Z",
            "2025-07-02T15:19:21Zulu",
            "2025-07-02T15:19:2",
            "2025-07-02Tx",
            "20250702",
            "é025-07-02é",
            "1969-12-31T23:59:59Z",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn formats_what_it_parses() {
        for ms in [0, 1, 951_827_696_000, 1_751_469_561_789, 4_102_444_800_000] {
            assert_eq!(parse(&format(ms)), Some(ms));
        }
        assert_eq!(format(1_751_469_561_000), "2025-07-02T15:19:21Z");
    }

    #[test]
    fn normalizes_without_copying_the_usual_form() {
        let usual = normalize(Cow::Borrowed("2025-07-02T15:19:21Z")).unwrap();
        assert!(matches!(usual, Cow::Borrowed("2025-07-02T15:19:21Z")));
        let other = normalize(Cow::Borrowed("2025-07-02 17:19:21.5+02:00")).unwrap();
        assert_eq!(other, "2025-07-02T15:19:21.500Z");
        assert_eq!(
            normalize(Cow::Borrowed("2025-07-02")).unwrap(),
            "2025-07-02"
        );
        assert_eq!(normalize(Cow::Borrowed("2025-99-02T15:19:21Z")), None);
    }

    #[test]
    fn reads_http_dates() {
        assert_eq!(
            parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT"),
            Some(784_111_777_000)
        );
        assert_eq!(parse_http_date("Sun, 31 Feb 1994 08:49:37 GMT"), None);
        assert_eq!(parse_http_date("120"), None);
    }
}
