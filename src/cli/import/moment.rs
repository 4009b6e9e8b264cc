//! Dates and times as people write them, read by a pattern in the letters of `strftime`.
//!
//! Reading is lenient where no meaning is lost (`Jun 2 1998` and `JUN 02  1998` fit `%b %d %Y`) and
//! strict where one might be: a year has the digits that the pattern says.

use std::fmt;

use nubo_core::time::{Date, Timestamp};

const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];
const WEEKDAYS: [&str; 7] = [
    "monday",
    "tuesday",
    "wednesday",
    "thursday",
    "friday",
    "saturday",
    "sunday",
];
/// The letters a pattern may hold, for messages.
const LETTERS: &str = "%Y %y %m %b %B %d %e %a %A %H %I %p %M %S %f %z %s %F %T %D %%";

/// How dates or times are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    text: String,
    parts: Vec<Part>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Literal(char),
    /// Any amount of white space.
    Space,
    Year,
    YearOfCentury,
    Month,
    MonthName,
    Day,
    WeekdayName,
    Hour,
    HourOfHalf,
    HalfDay,
    Minute,
    Second,
    /// Digits behind the point of the seconds.
    Fraction,
    /// Distance from UTC: `+02:00`, `+0200` or `Z`.
    Offset,
    /// Seconds since 1970-01-01T00:00:00Z.
    Epoch,
}

/// What was read.
#[derive(Debug, Default)]
struct Moment {
    year: i64,
    month: i64,
    day: i64,
    hour: i64,
    afternoon: bool,
    minute: i64,
    second: i64,
    millis: i64,
    /// In minutes.
    offset: i64,
    epoch: Option<i64>,
}

/// The text is not what the pattern describes.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no {what} of the form `{pattern}`")]
pub struct Mismatch {
    text: String,
    what: &'static str,
    pattern: String,
}

impl Pattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// What is wrong with it, without a full stop.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        add_parts(text, &mut parts)?;
        let has = |wanted: &[Part]| parts.iter().any(|part| wanted.contains(part));
        let whole_day = has(&[Part::Year, Part::YearOfCentury])
            && has(&[Part::Month, Part::MonthName])
            && has(&[Part::Day]);
        if !whole_day && !has(&[Part::Epoch]) {
            return Err(format!(
                "`{text}` does not say which day it is: that takes year (%Y), month (%m or %b) and \
                 day (%d)"
            ));
        }
        if has(&[Part::HourOfHalf]) != has(&[Part::HalfDay]) {
            return Err(format!(
                "`{text}` needs both %I (the hour up to 12) and %p (AM or PM), or %H alone"
            ));
        }
        Ok(Self {
            text: text.to_owned(),
            parts,
        })
    }

    /// Reads a date.
    ///
    /// # Errors
    /// When the text does not fit, or there is no such day.
    pub fn date(&self, text: &str) -> Result<Date, Mismatch> {
        let moment = self.read(text).filter(|moment| moment.in_range());
        let date = moment.and_then(|moment| match moment.epoch {
            Some(_) => moment.timestamp().map(Timestamp::date),
            None => moment.day_text().parse().ok(),
        });
        date.ok_or_else(|| self.mismatch(text, "date"))
    }

    /// Reads a point in time, in UTC where the text names no other zone. Without a time of day it
    /// is midnight.
    ///
    /// # Errors
    /// When the text does not fit, or there is no such moment.
    pub fn timestamp(&self, text: &str) -> Result<Timestamp, Mismatch> {
        let moment = self.read(text).filter(|moment| moment.in_range());
        moment
            .and_then(|moment| moment.timestamp())
            .ok_or_else(|| self.mismatch(text, "timestamp"))
    }

    fn mismatch(&self, text: &str, what: &'static str) -> Mismatch {
        let mut shown: String = text.chars().take(60).collect();
        if shown.len() < text.len() {
            shown.push_str("...");
        }
        Mismatch {
            text: shown,
            what,
            pattern: self.text.clone(),
        }
    }

    fn read(&self, text: &str) -> Option<Moment> {
        let mut rest = text.trim();
        let mut moment = Moment::default();
        for part in &self.parts {
            let rest = &mut rest;
            match part {
                Part::Literal(letter) => *rest = rest.strip_prefix(*letter)?,
                Part::Space => *rest = rest.trim_start(),
                Part::Year => moment.year = number(rest, 4, 4)?,
                // As POSIX has it: 69 to 99 are of the 20th century.
                Part::YearOfCentury => {
                    let year = number(rest, 2, 2)?;
                    moment.year = if year < 69 { 2000 + year } else { 1900 + year };
                }
                Part::Month => moment.month = number(rest, 1, 2)?,
                Part::MonthName => moment.month = name(rest, &MONTHS)? + 1,
                Part::Day => moment.day = number(rest, 1, 2)?,
                Part::WeekdayName => {
                    name(rest, &WEEKDAYS)?;
                }
                Part::Hour => moment.hour = number(rest, 1, 2)?,
                Part::HourOfHalf => {
                    let hour = number(rest, 1, 2)?;
                    moment.hour = (1..=12).contains(&hour).then_some(hour % 12)?;
                }
                Part::HalfDay => moment.afternoon = name(rest, &["am", "pm"])? == 1,
                Part::Minute => moment.minute = number(rest, 1, 2)?,
                Part::Second => moment.second = number(rest, 1, 2)?,
                Part::Fraction => moment.millis = fraction(rest)?,
                Part::Offset => moment.offset = offset(rest)?,
                Part::Epoch => {
                    let negative = rest.strip_prefix('-');
                    *rest = negative.unwrap_or(rest);
                    let seconds = number(rest, 1, 12)?;
                    moment.epoch = Some(if negative.is_some() {
                        -seconds
                    } else {
                        seconds
                    });
                }
            }
        }
        rest.is_empty().then_some(moment)
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Moment {
    /// Whether the time of day exists; whether the day does, the calendar says.
    fn in_range(&self) -> bool {
        self.hour < 24 && self.minute < 60 && self.second < 60
    }

    fn day_text(&self) -> String {
        format!("{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }

    fn timestamp(&self) -> Option<Timestamp> {
        if let Some(seconds) = self.epoch {
            let millis = seconds * 1000 + self.millis;
            // What lies outside the calendar would be moved into it.
            return Some(Timestamp::from_millis(millis)).filter(|time| time.millis() == millis);
        }
        let hour = self.hour + if self.afternoon { 12 } else { 0 };
        let sign = if self.offset < 0 { '-' } else { '+' };
        let distance = self.offset.abs();
        let text = format!(
            "{}T{hour:02}:{:02}:{:02}.{:03}{sign}{:02}:{:02}",
            self.day_text(),
            self.minute,
            self.second,
            self.millis,
            distance / 60,
            distance % 60
        );
        text.parse().ok()
    }
}

fn add_parts(text: &str, parts: &mut Vec<Part>) -> Result<(), String> {
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        let part = match letter {
            '%' => match letters.next() {
                Some('Y') => Part::Year,
                Some('y') => Part::YearOfCentury,
                Some('m') => Part::Month,
                Some('b' | 'B' | 'h') => Part::MonthName,
                Some('d') => Part::Day,
                Some('e') => {
                    parts.push(Part::Space);
                    Part::Day
                }
                Some('a' | 'A') => Part::WeekdayName,
                Some('H') => Part::Hour,
                Some('I') => Part::HourOfHalf,
                Some('p') => Part::HalfDay,
                Some('M') => Part::Minute,
                Some('S') => Part::Second,
                Some('f') => Part::Fraction,
                Some('z') => Part::Offset,
                Some('s') => Part::Epoch,
                Some('F') => {
                    add_parts("%Y-%m-%d", parts)?;
                    continue;
                }
                Some('T') => {
                    add_parts("%H:%M:%S", parts)?;
                    continue;
                }
                Some('D') => {
                    add_parts("%m/%d/%y", parts)?;
                    continue;
                }
                Some('%') => Part::Literal('%'),
                Some(other) => {
                    return Err(format!("`%{other}` means nothing; there are {LETTERS}"));
                }
                None => return Err("a `%` at the end means nothing".to_owned()),
            },
            space if space.is_whitespace() => Part::Space,
            other => Part::Literal(other),
        };
        parts.push(part);
    }
    Ok(())
}

/// Takes a number with at least `least` and at most `most` digits off the front.
fn number(rest: &mut &str, least: usize, most: usize) -> Option<i64> {
    let digits = rest
        .bytes()
        .take(most)
        .take_while(u8::is_ascii_digit)
        .count();
    if digits < least {
        return None;
    }
    let (number, behind) = rest.split_at(digits);
    *rest = behind;
    number.parse().ok()
}

/// Takes a name, or its first three letters, off the front, in either case. Says which it was.
fn name(rest: &mut &str, names: &[&str]) -> Option<i64> {
    let starts = |name: &str| {
        rest.get(..name.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(name))
    };
    let short = |name: &str| name.len().min(3);
    let (index, length) = (0..).zip(names).find_map(|(index, name)| {
        let length = [name.len(), short(name)]
            .into_iter()
            .find(|length| starts(&name[..*length]));
        Some((index, length?))
    })?;
    *rest = &rest[length..];
    Some(index)
}

/// Takes decimals off the front; what is finer than a millisecond is cut off.
fn fraction(rest: &mut &str) -> Option<i64> {
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    let (decimals, behind) = rest.split_at(digits);
    *rest = behind;
    let millis: String = decimals.chars().chain("000".chars()).take(3).collect();
    if digits == 0 {
        None
    } else {
        millis.parse().ok()
    }
}

/// Takes a distance from UTC off the front, in minutes.
fn offset(rest: &mut &str) -> Option<i64> {
    if let Some(behind) = rest.strip_prefix(['Z', 'z']) {
        *rest = behind;
        return Some(0);
    }
    let negative = rest.starts_with('-');
    *rest = rest.strip_prefix(['+', '-'])?;
    let hours = number(rest, 2, 2)?;
    *rest = rest.strip_prefix(':').unwrap_or(rest);
    let minutes = number(rest, 2, 2)?;
    let distance = (hours < 24 && minutes < 60).then_some(hours * 60 + minutes)?;
    Some(if negative { -distance } else { distance })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn date(pattern: &str, text: &str) -> Option<String> {
        let date = Pattern::parse(pattern).unwrap().date(text);
        date.ok().map(|date| date.to_string())
    }

    fn timestamp(pattern: &str, text: &str) -> Option<String> {
        let time = Pattern::parse(pattern).unwrap().timestamp(text);
        time.ok().map(|time| time.to_string())
    }

    #[test]
    fn dates_are_read_as_people_write_them() {
        for (pattern, text, expected) in [
            ("%b %d %Y", "Jun 12 1998", "1998-06-12"),
            ("%b %d %Y", "  jun  2 1998 ", "1998-06-02"),
            ("%b %d %Y", "September 30 2046", "2046-09-30"),
            ("%B %e, %Y", "May 3, 2001", "2001-05-03"),
            ("%d/%m/%y", "1/12/68", "2068-12-01"),
            ("%d/%m/%y", "1/12/69", "1969-12-01"),
            ("%Y%m%d", "19980612", "1998-06-12"),
            ("%A, %d. %B %Y", "Friday, 12. June 1998", "1998-06-12"),
            ("%F", "2024-02-29", "2024-02-29"),
            ("%s", "-1", "1969-12-31"),
        ] {
            assert_eq!(date(pattern, text).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_may_mean_something_else_is_refused() {
        for (pattern, text) in [
            ("%b %d %Y", "Feb 30 2001"),
            ("%b %d %Y", "Jun 12 98"),
            ("%b %d %Y", "Jun 12 1998 or so"),
            ("%b %d %Y", "Juni 12 1998"),
            ("%b %d %Y", "12 Jun 1998"),
            ("%b %d %Y", ""),
            ("%d/%m/%Y", "6/13/1998"),
            ("%F", "0000-01-01"),
            ("%b %d %Y", "Jän 12 1998"),
        ] {
            assert_eq!(date(pattern, text), None, "{text}");
        }
        let pattern = Pattern::parse("%b %d %Y").unwrap();
        assert_eq!(
            pattern.date("soon").unwrap_err().to_string(),
            "`soon` is no date of the form `%b %d %Y`"
        );
    }

    #[test]
    fn timestamps_are_utc_unless_they_say_otherwise() {
        for (pattern, text, expected) in [
            ("%F %T", "1998-06-12 23:59:59", "1998-06-12T23:59:59.000Z"),
            ("%F %H:%M", "1998-06-12 7:05", "1998-06-12T07:05:00.000Z"),
            (
                "%FT%T.%f%z",
                "1998-06-12T23:00:00.1239+02:00",
                "1998-06-12T21:00:00.123Z",
            ),
            (
                "%F %T %z",
                "1998-06-12 23:00:00 -0030",
                "1998-06-12T23:30:00.000Z",
            ),
            (
                "%F %T%z",
                "1998-06-12 23:00:00Z",
                "1998-06-12T23:00:00.000Z",
            ),
            (
                "%m/%d/%Y %I:%M %p",
                "6/12/1998 12:30 am",
                "1998-06-12T00:30:00.000Z",
            ),
            (
                "%m/%d/%Y %I:%M%p",
                "6/12/1998 12:30PM",
                "1998-06-12T12:30:00.000Z",
            ),
            ("%d.%m.%Y", "12.6.1998", "1998-06-12T00:00:00.000Z"),
            ("%s", "1000000000", "2001-09-09T01:46:40.000Z"),
        ] {
            assert_eq!(
                timestamp(pattern, text).as_deref(),
                Some(expected),
                "{text}"
            );
        }
        for (pattern, text) in [
            ("%F %T", "1998-06-12 24:00:00"),
            ("%F %T", "1998-06-12 23:60:00"),
            ("%F %I %p", "1998-06-12 13 PM"),
            ("%F %z", "1998-06-12 +25:00"),
            ("%s", "999999999999"),
        ] {
            assert_eq!(timestamp(pattern, text), None, "{text}");
        }
    }

    #[test]
    fn patterns_that_say_too_little_are_refused() {
        for (pattern, expected) in [
            ("%b %Y", "which day"),
            ("%H:%M", "which day"),
            ("%q %F", "`%q` means nothing"),
            ("%F %", "at the end"),
            ("%F %I:%M", "%p"),
            ("%F %H:%M %p", "%I"),
        ] {
            let message = Pattern::parse(pattern).unwrap_err();
            assert!(message.contains(expected), "{pattern}: {message}");
        }
    }
}
