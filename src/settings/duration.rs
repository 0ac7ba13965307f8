//! Durations as people write them: `5`, `0.3`, `300ms`, `2m`, `1h`.
//!
//! Used by the options of that kind, and for every duration in a message.

use std::time::Duration;

use nom::branch::alt;
use nom::bytes::complete::tag;
use nom::character::complete::{char, digit1};
use nom::combinator::{all_consuming, opt, value};
use nom::error::Error;
use nom::sequence::preceded;
use nom::{IResult, Parser};

const NANOS_PER_SECOND: u64 = 1_000_000_000;

/// Reads a duration; a plain number is seconds.
pub fn read(text: &str) -> Option<Duration> {
    let (_, (whole, decimals, unit)) = all_consuming(parts).parse(text).ok()?;
    let whole: u64 = whole.parse().ok()?;
    let whole = match unit / NANOS_PER_SECOND {
        0 => Duration::from_millis(whole),
        seconds => Duration::from_secs(whole.checked_mul(seconds)?),
    };
    let (mut nanos, mut place) = (0, unit);
    for digit in decimals.unwrap_or_default().chars() {
        place /= 10;
        nanos += u64::from(digit.to_digit(10)?) * place;
    }
    whole.checked_add(Duration::from_nanos(nanos))
}

/// Whole part, decimals, nanoseconds in the unit.
fn parts(text: &str) -> IResult<&str, (&str, Option<&str>, u64)> {
    let unit = alt((
        value(NANOS_PER_SECOND / 1000, tag::<_, _, Error<&str>>("ms")),
        value(NANOS_PER_SECOND, tag("s")),
        value(60 * NANOS_PER_SECOND, tag("m")),
        value(3600 * NANOS_PER_SECOND, tag("h")),
    ));
    let unit = opt(unit).map(|unit| unit.unwrap_or(NANOS_PER_SECOND));
    (digit1, opt(preceded(char('.'), digit1)), unit).parse(text)
}

/// Writes a duration so that [`read`] gives it back: `50ms`, `0.3s`, `90s`, `2m`, `1h`.
pub fn show(duration: Duration) -> String {
    let (seconds, nanos) = (duration.as_secs(), duration.subsec_nanos());
    match (seconds, nanos) {
        (0, 0) => "0s".into(),
        (0, 1..100_000_000) => format!("{}ms", decimal(u64::from(nanos) / 1_000_000, nanos % 1_000_000, 6)),
        (_, 1..) => format!("{}s", self::seconds(duration)),
        _ if seconds % 3600 == 0 => format!("{}h", seconds / 3600),
        _ if seconds % 60 == 0 => format!("{}m", seconds / 60),
        _ => format!("{seconds}s"),
    }
}

/// A number of seconds: `0.3`, `90`.
pub fn seconds(duration: Duration) -> String {
    decimal(duration.as_secs(), duration.subsec_nanos(), 9)
}

fn decimal(whole: u64, fraction: u32, places: usize) -> String {
    let text = format!("{whole}.{fraction:0places$}");
    text.trim_end_matches('0').trim_end_matches('.').into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reading() {
        for (text, want, why) in [
            ("5", Some(5_000), "a plain number is seconds"),
            ("0.3", Some(300), "with decimals"),
            ("100ms", Some(100), "milliseconds"),
            ("1.5s", Some(1_500), "decimals with a unit"),
            ("2m", Some(120_000), "m is minutes, not milliseconds"),
            ("1h", Some(3_600_000), "hours"),
            ("0", Some(0), "zero is a duration; ranges are somebody else's"),
            ("0.0000000000001", Some(0), "below a nanosecond"),
            ("", None, "nothing"),
            ("-1", None, "negative"),
            (".5", None, "no digit in front"),
            ("5.", None, "no digit behind"),
            ("5 s", None, "a blank within"),
            ("5S", None, "units are lower case"),
            ("5d", None, "no days"),
            ("1e3", None, "no exponents"),
            ("99999999999999999999", None, "more than 64 bits"),
            ("18446744073709551615h", None, "more than 64 bits of seconds"),
        ] {
            assert_eq!(read(text), want.map(Duration::from_millis), "{why}: {text:?}");
        }
    }

    #[test]
    fn showing() {
        for (millis, want) in [
            (0, "0s"),
            (50, "50ms"),
            (100, "0.1s"),
            (300, "0.3s"),
            (1_000, "1s"),
            (1_500, "1.5s"),
            (60_000, "1m"),
            (90_000, "90s"),
            (3_600_000, "1h"),
        ] {
            assert_eq!(show(Duration::from_millis(millis)), want);
        }
    }

    proptest! {
        #[test]
        fn what_is_shown_can_be_read(seconds in 0u64..1 << 40, nanos in 0u32..1_000_000_000) {
            let duration = Duration::new(seconds, nanos);
            prop_assert_eq!(read(&show(duration)), Some(duration));
        }
    }
}
