//! Times, brought into the one form in which they are stored and served.
//!
//! `2025-07-02T15:19:21Z`: UTC, milliseconds only where the app has them. A date without a time of day stays a date.
//! Written by hand because every record has three or four of them, and because apps write RFC 3339 with more freedom
//! than the usual parsers allow: no zone, `+0000`, a space for the `T`, no seconds.

use std::borrow::Cow;

use serde_json::Number;

/// The time that stands where a time is needed and none is known.
pub(crate) const EPOCH: &str = "1970-01-01T00:00:00Z";

/// The canonical form of a date or time, or none if the text is neither. A time without a zone is taken as UTC.
pub(crate) fn canonical(text: &str) -> Option<Cow<'_, str>> {
    let mut cursor = Cursor(text.as_bytes());
    let date = cursor.date()?;
    if cursor.0.is_empty() {
        return Some(Cow::Borrowed(text));
    }
    cursor.one_of(b"Tt ")?;
    let hour = cursor.number(2, 23)?;
    cursor.one_of(b":")?;
    let minute = cursor.number(2, 59)?;
    let (mut second, mut millis) = (0, 0);
    if cursor.one_of(b":").is_some() {
        // 60 is a leap second; it counts as the first second of the next minute.
        second = cursor.number(2, 60)?;
        if cursor.one_of(b".,").is_some() {
            millis = cursor.millis()?;
        }
    }
    let offset = cursor.offset()?;
    if !cursor.0.is_empty() {
        return None;
    }
    if text.len() == EPOCH.len()
        && text.ends_with('Z')
        && text.as_bytes().get(10) == Some(&b'T')
        && second < 60
    {
        return Some(Cow::Borrowed(text));
    }
    let seconds = date.days() * 86_400 + (hour * 60 + minute - offset) * 60 + second;
    print(seconds, millis).map(Cow::Owned)
}

/// The second in which a date or time lies, `2025-07-02T15:19:21Z`, or none if the text is neither. A date is its midnight.
pub fn second_of(text: &str) -> Option<String> {
    let canonical = canonical(text)?;
    let seconds = EPOCH.len() - 1;
    Some(match canonical.get(..seconds) {
        Some(second) => format!("{second}Z"),
        None => format!("{canonical}T00:00:00Z"),
    })
}

/// The canonical form of a time in milliseconds since 1970, or none outside the years 1 to 9999.
pub(crate) fn from_millis(millis: i64) -> Option<String> {
    print(millis.div_euclid(1000), millis.rem_euclid(1000))
}

/// The same of a JSON number: whole, however it is written (`0`, `0.0`, `1e3`).
pub(crate) fn from_number(millis: &Number) -> Option<String> {
    let written = || {
        let millis = millis.as_f64().filter(|millis| millis.fract() == 0.0)?;
        format!("{millis:.0}").parse().ok()
    };
    from_millis(millis.as_i64().or_else(written)?)
}

fn print(seconds: i64, millis: i64) -> Option<String> {
    let date = Date::of_days(seconds.div_euclid(86_400));
    // SQL knows no year 0 and no fifth digit.
    if !(1..=9999).contains(&date.year) {
        return None;
    }
    let Date { year, month, day } = date;
    let time = seconds.rem_euclid(86_400);
    let (hour, minute, second) = (time / 3600, time / 60 % 60, time % 60);
    Some(if millis == 0 {
        format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
    } else {
        format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
    })
}

/// A day of the Gregorian calendar.
struct Date {
    year: i64,
    month: i64,
    day: i64,
}

impl Date {
    /// Days since 1970-01-01. Years run from March here, so that the leap day is the last.
    fn days(&self) -> i64 {
        let year = if self.month > 2 {
            self.year
        } else {
            self.year - 1
        };
        let era = year.div_euclid(400);
        let year_of_era = year.rem_euclid(400);
        let day_of_year = (153 * ((self.month + 9) % 12) + 2) / 5 + self.day - 1;
        era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year
            - 719_468
    }

    fn of_days(days: i64) -> Date {
        let days = days.saturating_add(719_468);
        let era = days.div_euclid(146_097);
        let day_of_era = days.rem_euclid(146_097);
        let year_of_era =
            (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let from_march = (5 * day_of_year + 2) / 153;
        let month = (from_march + 2) % 12 + 1;
        let year = era * 400 + year_of_era + i64::from(month <= 2);
        Date {
            year,
            month,
            day: day_of_year - (153 * from_march + 2) / 5 + 1,
        }
    }

    fn days_in_month(year: i64, month: i64) -> i64 {
        match month {
            2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
            2 => 28,
            4 | 6 | 9 | 11 => 30,
            _ => 31,
        }
    }
}

/// What is left of the text.
struct Cursor<'a>(&'a [u8]);

impl Cursor<'_> {
    fn one_of(&mut self, allowed: &[u8]) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        if !allowed.contains(first) {
            return None;
        }
        self.0 = rest;
        Some(*first)
    }

    /// A number of exactly so many digits.
    fn number(&mut self, digits: usize, most: i64) -> Option<i64> {
        let (digits, rest) = self.0.split_at_checked(digits)?;
        let mut number = 0;
        for digit in digits {
            number = number * 10 + i64::from(digit.is_ascii_digit().then(|| digit - b'0')?);
        }
        self.0 = rest;
        (number <= most).then_some(number)
    }

    fn date(&mut self) -> Option<Date> {
        let year = self.number(4, 9999)?;
        self.one_of(b"-")?;
        let month = self.number(2, 12)?;
        self.one_of(b"-")?;
        let day = self.number(2, Date::days_in_month(year, month))?;
        // Some databases write "no date" as 0000-00-00.
        (year > 0 && month > 0 && day > 0).then_some(Date { year, month, day })
    }

    /// The first three digits of a fraction; what follows is cut off.
    fn millis(&mut self) -> Option<i64> {
        let length = self
            .0
            .iter()
            .take_while(|byte| byte.is_ascii_digit())
            .count();
        let (digits, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        let three = digits.iter().copied().chain(*b"00").take(3);
        (length > 0).then(|| three.fold(0, |millis, digit| millis * 10 + i64::from(digit - b'0')))
    }

    /// The zone's offset in minutes.
    fn offset(&mut self) -> Option<i64> {
        match self.one_of(b"Zz+-") {
            None => Some(0),
            Some(b'Z' | b'z') => Some(0),
            Some(sign) => {
                let hours = self.number(2, 23)?;
                let _ = self.one_of(b":");
                let minutes = if self.0.is_empty() {
                    0
                } else {
                    self.number(2, 59)?
                };
                let offset = hours * 60 + minutes;
                Some(if sign == b'-' { -offset } else { offset })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{canonical, from_millis, from_number, second_of};

    #[test]
    fn a_time_lies_in_a_second() {
        for (given, expected) in [
            ("2025-07-02T15:19:21.999Z", Some("2025-07-02T15:19:21Z")),
            ("2025-07-02T15:19:21+02:00", Some("2025-07-02T13:19:21Z")),
            ("2025-07-02", Some("2025-07-02T00:00:00Z")),
            ("yesterday", None),
        ] {
            assert_eq!(second_of(given).as_deref(), expected, "{given}");
        }
    }

    #[test]
    fn times_become_utc_without_needless_milliseconds() {
        for (given, expected) in [
            ("2025-07-02T15:19:21Z", "2025-07-02T15:19:21Z"),
            ("2025-07-02t15:19:21z", "2025-07-02T15:19:21Z"),
            ("2025-07-02 15:19:21", "2025-07-02T15:19:21Z"),
            ("2025-07-02T15:19", "2025-07-02T15:19:00Z"),
            ("2025-07-02T15:19:21.000Z", "2025-07-02T15:19:21Z"),
            ("2025-07-02T15:19:21.5Z", "2025-07-02T15:19:21.500Z"),
            (
                "2025-07-02T15:19:21.123987654+00:00",
                "2025-07-02T15:19:21.123Z",
            ),
            ("2025-07-02T15:19:21+0200", "2025-07-02T13:19:21Z"),
            ("2025-07-02T15:19:21-07", "2025-07-02T22:19:21Z"),
            ("2024-12-31T23:30:00-05:30", "2025-01-01T05:00:00Z"),
            ("2024-02-29T00:00:00+00:01", "2024-02-28T23:59:00Z"),
            ("2016-12-31T23:59:60Z", "2017-01-01T00:00:00Z"),
            ("1900-03-01T00:00:00+01:00", "1900-02-28T23:00:00Z"),
            ("2025-07-02", "2025-07-02"),
        ] {
            assert_eq!(canonical(given).as_deref(), Some(expected), "{given}");
        }
    }

    #[test]
    fn other_texts_are_no_times() {
        for given in [
            "",
            "soon",
            "2025",
            "2025-7-2",
            "2025-13-01",
            "2025-02-29",
            "2100-02-29",
            "0000-00-00",
            "0000-01-01T00:00:00Z",
            "2025-07-02T24:00:00Z",
            "2025-07-02T15",
            "2025-07-02T15:19:21.Z",
            "2025-07-02T15:19.50Z",
            "2025-07-02T15:19:21Zz",
            "2025-07-02T15:19:21+24:00",
            "2025-07-02T15:19:21 UTC",
            "2025-07-02T",
            "0001-01-01T00:00:00+01:00",
            "9999-12-31T23:00:00-02:00",
            "１025-07-02",
            "+025-07-02",
            "07/02/2025",
        ] {
            assert_eq!(canonical(given), None, "{given}");
        }
    }

    #[test]
    fn milliseconds_since_1970() {
        assert_eq!(from_millis(0).as_deref(), Some("1970-01-01T00:00:00Z"));
        assert_eq!(
            from_millis(1_751_469_561_042).as_deref(),
            Some("2025-07-02T15:19:21.042Z")
        );
        assert_eq!(from_millis(-1).as_deref(), Some("1969-12-31T23:59:59.999Z"));
        assert_eq!(from_millis(i64::MAX), None);
        assert_eq!(from_millis(i64::MIN), None);
        for (text, time) in [
            ("0", Some("1970-01-01T00:00:00Z")),
            ("-1.0", Some("1969-12-31T23:59:59.999Z")),
            ("1e3", Some("1970-01-01T00:00:01Z")),
            ("0.5", None),
            ("1e300", None),
        ] {
            let number = serde_json::from_str(text).unwrap_or_else(|_| 0.into());
            assert_eq!(from_number(&number).as_deref(), time, "{text}");
        }
    }

    #[test]
    fn every_day_of_eight_centuries_reads_back() {
        for day in -150_000..150_000 {
            let text = from_millis(day * 86_400_000).unwrap_or_default();
            let shifted = text.replace("T00:00:00Z", "T01:00:00+01:00");
            assert_eq!(canonical(&shifted).as_deref(), Some(text.as_str()));
        }
    }
}
