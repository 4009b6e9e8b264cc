//! Points in time, calendar dates and lengths of time, as documents hold them.
//!
//! Their texts are what goes over the wire, and they sort as the times they stand for.

use std::{fmt, str::FromStr};

use time::{OffsetDateTime, format_description::well_known::Rfc3339, macros::format_description};

const DAY_MS: i64 = 86_400_000;
/// 0001-01-01T00:00:00.000Z; with [`LAST_MS`], what four digits of a year can say.
const FIRST_MS: i64 = -62_135_596_800_000;
/// 9999-12-31T23:59:59.999Z.
const LAST_MS: i64 = 253_402_300_799_999;

/// A point in time to the millisecond, UTC, in the years 1 to 9999. Written as RFC 3339 with three
/// decimals: `2026-11-21T21:45:00.123Z`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The point this many milliseconds after 1970-01-01T00:00:00Z, moved into the years 1 to 9999.
    pub fn from_millis(millis: i64) -> Self {
        Self(millis.clamp(FIRST_MS, LAST_MS))
    }

    /// Milliseconds since 1970-01-01T00:00:00Z.
    pub const fn millis(self) -> i64 {
        self.0
    }

    /// The day it falls on, in UTC.
    pub fn date(self) -> Date {
        Date(self.0.div_euclid(DAY_MS) as i32)
    }

    /// Its text in ASCII. Every document has two of them, for which the ways of `fmt` are long.
    pub fn text(self) -> [u8; 24] {
        let in_day = self.0.rem_euclid(DAY_MS);
        let (seconds, millis) = (in_day / 1000, in_day % 1000);
        let mut text = *b"0000-00-00T00:00:00.000Z";
        text[..10].copy_from_slice(&self.date().text());
        put_digits(&mut text[11..13], seconds / 3600);
        put_digits(&mut text[14..16], seconds / 60 % 60);
        put_digits(&mut text[17..19], seconds % 60);
        put_digits(&mut text[20..23], millis);
        text
    }
}

/// Fills a place with the last digits of a number.
fn put_digits(place: &mut [u8], mut number: i64) {
    for digit in place.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(str::from_utf8(&self.text()).map_err(|_| fmt::Error)?)
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Timestamp {
    type Err = NotATime;

    /// RFC 3339 with any offset and any number of decimals; what is finer than a millisecond is
    /// cut off.
    fn from_str(text: &str) -> Result<Self, NotATime> {
        const WHAT: NotATime =
            NotATime("is not a timestamp such as 2026-11-21T21:45:00.123Z (RFC 3339)");
        let moment = OffsetDateTime::parse(text, &Rfc3339).map_err(|_| WHAT)?;
        let millis = moment.unix_timestamp_nanos().div_euclid(1_000_000);
        i64::try_from(millis)
            .ok()
            .filter(|millis| (FIRST_MS..=LAST_MS).contains(millis))
            .map(Self)
            .ok_or(WHAT)
    }
}

/// A calendar date in the years 1 to 9999, written `2026-11-21`. Counts the days since 1970-01-01.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Date(i32);

/// Julian day number of 1970-01-01.
const EPOCH_JULIAN_DAY: i32 = 2_440_588;

impl Date {
    /// The date this many days after 1970-01-01, moved into the years 1 to 9999.
    pub fn from_days(days: i32) -> Self {
        Self(0).add_days(days)
    }

    /// Days since 1970-01-01.
    pub const fn days(self) -> i32 {
        self.0
    }

    /// The same day and month `years` later; 29 February becomes 28 February where there is none.
    pub fn add_years(self, years: i32) -> Self {
        let date = self.civil();
        let year = (date.year() + years).clamp(1, 9999);
        let moved = date
            .replace_year(year)
            .or_else(|_| date.replace_day(28).and_then(|d| d.replace_year(year)))
            .unwrap_or(date);
        Self(moved.to_julian_day() - EPOCH_JULIAN_DAY)
    }

    /// The date this many days later, within the years 1 to 9999.
    pub fn add_days(self, days: i32) -> Self {
        let first = FIRST_MS.div_euclid(DAY_MS) as i32;
        let last = LAST_MS.div_euclid(DAY_MS) as i32;
        Self(self.0.saturating_add(days).clamp(first, last))
    }

    /// Its text in ASCII.
    pub fn text(self) -> [u8; 10] {
        let (year, month, day) = self.civil().to_calendar_date();
        let mut text = *b"0000-00-00";
        put_digits(&mut text[..4], i64::from(year));
        put_digits(&mut text[5..7], i64::from(u8::from(month)));
        put_digits(&mut text[8..], i64::from(day));
        text
    }

    fn civil(self) -> time::Date {
        time::Date::from_julian_day(self.0 + EPOCH_JULIAN_DAY).unwrap_or(time::Date::MIN)
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(str::from_utf8(&self.text()).map_err(|_| fmt::Error)?)
    }
}

impl fmt::Debug for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Date {
    type Err = NotATime;

    fn from_str(text: &str) -> Result<Self, NotATime> {
        const WHAT: NotATime = NotATime("is not a date such as 2026-11-21");
        if text.len() != 10 {
            return Err(WHAT);
        }
        let format = format_description!("[year]-[month]-[day]");
        let date = time::Date::parse(text, format).map_err(|_| WHAT)?;
        if date.year() < 1 {
            return Err(WHAT);
        }
        Ok(Self(date.to_julian_day() - EPOCH_JULIAN_DAY))
    }
}

/// A length of time to the millisecond, written as an ISO 8601 duration of days, hours, minutes
/// and seconds: `P1DT2H30M`, `PT0.250S`, `-PT5M`. Months and years have no fixed length and are
/// refused.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Duration(i64);

impl Duration {
    /// The length of this many milliseconds.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// Its milliseconds.
    pub const fn millis(self) -> i64 {
        self.0
    }
}

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 < 0 {
            f.write_str("-")?;
        }
        let total = self.0.unsigned_abs();
        let (days, in_day) = (total / DAY_MS as u64, total % DAY_MS as u64);
        f.write_str("P")?;
        if days > 0 {
            write!(f, "{days}D")?;
        }
        if in_day > 0 || days == 0 {
            f.write_str("T")?;
        }
        let (hours, minutes) = (in_day / 3_600_000, in_day / 60_000 % 60);
        let (seconds, millis) = (in_day / 1000 % 60, in_day % 1000);
        if hours > 0 {
            write!(f, "{hours}H")?;
        }
        if minutes > 0 {
            write!(f, "{minutes}M")?;
        }
        if millis > 0 {
            write!(f, "{seconds}.{millis:03}S")?;
        } else if seconds > 0 || total == 0 {
            write!(f, "{seconds}S")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Duration {
    type Err = NotATime;

    fn from_str(text: &str) -> Result<Self, NotATime> {
        const WHAT: NotATime =
            NotATime("is not a duration such as P1DT2H30M (ISO 8601, without months and years)");
        let (negative, rest) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let rest = rest.strip_prefix('P').ok_or(WHAT)?;
        let (days, clock) = match rest.split_once('T') {
            Some((_, "")) => return Err(WHAT),
            Some((days, clock)) => (days, clock),
            None => (rest, ""),
        };
        if days.is_empty() && clock.is_empty() {
            return Err(WHAT);
        }
        let units_of_days = [('W', 7 * DAY_MS), ('D', DAY_MS)];
        let units_of_clock = [('H', 3_600_000), ('M', 60_000), ('S', 1000)];
        let total = sum_of_parts(days, &units_of_days)
            .zip(sum_of_parts(clock, &units_of_clock))
            .and_then(|(days, clock)| days.checked_add(clock))
            .ok_or(WHAT)?;
        Ok(Self(if negative { -total } else { total }))
    }
}

/// Adds up parts such as `2H30M`, each unit at most once and in the order given; only the last
/// unit of the clock may have decimals, of which three count.
fn sum_of_parts(mut text: &str, units: &[(char, i64)]) -> Option<i64> {
    let mut total = 0i64;
    let mut allowed = units;
    while !text.is_empty() {
        let end = text.find(|c: char| c.is_ascii_alphabetic())?;
        let unit = text[end..].chars().next()?;
        let at = allowed.iter().position(|(name, _)| *name == unit)?;
        let size = allowed[at].1;
        allowed = &allowed[at + 1..];
        let number = &text[..end];
        let (whole, decimals) = match number.split_once('.') {
            Some((whole, decimals)) if unit == 'S' && !decimals.is_empty() => (whole, decimals),
            Some(_) => return None,
            None => (number, ""),
        };
        let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
        if whole.is_empty() || !digits(whole) || !digits(decimals) {
            return None;
        }
        let millis: String = decimals.chars().chain("000".chars()).take(3).collect();
        total = whole
            .parse::<i64>()
            .ok()?
            .checked_mul(size)?
            .checked_add(millis.parse().ok()?)?
            .checked_add(total)?;
        text = &text[end + 1..];
    }
    Some(total)
}

/// The text does not stand for such a time; says what would.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NotATime(&'static str);

#[cfg(test)]
mod tests {
    use super::*;

    fn timestamp(text: &str) -> String {
        text.parse::<Timestamp>()
            .map_or_else(|error| error.to_string(), |t| t.to_string())
    }

    #[test]
    fn timestamps_become_utc_milliseconds() {
        assert_eq!(
            timestamp("2026-11-21T21:45:00.123456Z"),
            "2026-11-21T21:45:00.123Z"
        );
        assert_eq!(
            timestamp("2026-11-21T23:45:00+02:00"),
            "2026-11-21T21:45:00.000Z"
        );
        assert_eq!(
            timestamp("1969-12-31T23:59:59.999Z"),
            "1969-12-31T23:59:59.999Z"
        );
        assert_eq!(
            timestamp("0001-01-01T00:00:00Z"),
            "0001-01-01T00:00:00.000Z"
        );
        assert_eq!(
            Timestamp::from_millis(i64::MAX).to_string(),
            "9999-12-31T23:59:59.999Z"
        );
        for wrong in [
            "2026-02-30T00:00:00Z",
            "2026-11-21",
            "0001-01-01T00:00:00+01:00",
            "now",
        ] {
            assert!(wrong.parse::<Timestamp>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn dates_are_those_of_the_calendar() {
        let leap: Date = "2024-02-29".parse().unwrap();
        assert_eq!(leap.add_years(-1).to_string(), "2023-02-28");
        assert_eq!(leap.add_years(4).to_string(), "2028-02-29");
        assert_eq!(leap.add_days(1).to_string(), "2024-03-01");
        assert_eq!(Timestamp::from_millis(0).date().to_string(), "1970-01-01");
        for wrong in ["2023-02-29", "2023-2-1", "0000-01-01", "+2023-01-01"] {
            assert!(wrong.parse::<Date>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn durations_have_one_spelling() {
        for (written, canonical) in [
            ("P1W", "P7D"),
            ("PT90M", "PT1H30M"),
            ("PT0.25S", "PT0.250S"),
            ("-PT1S", "-PT1S"),
            ("PT0S", "PT0S"),
            ("P1DT2H30M", "P1DT2H30M"),
        ] {
            assert_eq!(written.parse::<Duration>().unwrap().to_string(), canonical);
        }
        for wrong in [
            "P", "PT", "P1M", "P1Y", "1D", "PT1S1H", "PT1.5H", "PT-1S", "P1DT",
        ] {
            assert!(wrong.parse::<Duration>().is_err(), "{wrong}");
        }
    }
}
