//! How times are written in settings: `250ms`, `10s`, `1m30s`, and ranges such as `1s..10s`.
//!
//! Pure text, in both directions. A number without a unit is refused: it would be read as seconds
//! by some and as milliseconds by others.

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serializer, de};

const UNITS: [(&str, u64); 6] = [
    ("d", 86_400_000_000),
    ("h", 3_600_000_000),
    ("m", 60_000_000),
    ("s", 1_000_000),
    ("ms", 1_000),
    ("us", 1),
];

/// Reads a time: whole numbers, each with a unit (`us`, `ms`, `s`, `m`, `h`, `d`).
///
/// `None` if it is something else, or longer than 500,000 years.
pub fn parse(text: &str) -> Option<Duration> {
    let mut rest = text.trim();
    let mut micros = 0_u64;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, tail) = rest.split_at(digits);
        let letters = tail.bytes().take_while(u8::is_ascii_alphabetic).count();
        let (unit, tail) = tail.split_at(letters);
        let (_, scale) = UNITS.into_iter().find(|(name, _)| *name == unit)?;
        let part = number.parse::<u64>().ok()?.checked_mul(scale)?;
        micros = micros.checked_add(part)?;
        rest = tail;
    }
    Some(Duration::from_micros(micros))
}

/// Reads a range of times, `1s..10s`, or one time, which is both ends.
///
/// `None` if it is something else, or ends before it begins.
pub fn parse_range(text: &str) -> Option<(Duration, Duration)> {
    let (from, to) = text.split_once("..").unwrap_or((text, text));
    let range = (parse(from)?, parse(to)?);
    (range.0 <= range.1).then_some(range)
}

/// Writes a time with the largest unit that needs no fraction: `90s`, `10m`, `0s`.
pub fn format(time: Duration) -> String {
    let micros = time.as_micros();
    if micros == 0 {
        return "0s".into();
    }
    let fits = |(_, scale): &&(&str, u64)| micros.is_multiple_of(u128::from(*scale));
    let (unit, scale) = UNITS.iter().find(fits).unwrap_or(&("us", 1));
    format!("{}{unit}", micros / u128::from(*scale))
}

/// For `#[serde(with = "duration")]`: writes as [`format`] does.
pub(super) fn serialize<S: Serializer>(time: &Duration, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&format(*time))
}

/// For `#[serde(with = "duration")]`: reads as [`parse`] does.
pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(from)?;
    parse(&text).ok_or_else(|| de::Error::custom("not a time"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_times_with_units_and_nothing_else() {
        assert_eq!(parse("250ms"), Some(Duration::from_millis(250)));
        assert_eq!(parse("1m30s"), Some(Duration::from_secs(90)));
        assert_eq!(parse("0s"), Some(Duration::ZERO));
        for bad in [
            "",
            "10",
            "s",
            "1.5s",
            "-1s",
            "10x",
            "1s 2",
            "99999999999999d",
        ] {
            assert_eq!(parse(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn reads_ranges_that_do_not_run_backwards() {
        let seconds = |from, to| Some((Duration::from_secs(from), Duration::from_secs(to)));
        assert_eq!(parse_range("1s..10s"), seconds(1, 10));
        assert_eq!(parse_range("0s"), seconds(0, 0));
        for bad in ["10s..1s", "1s..", "..", "1..10s", "1s...2s"] {
            assert_eq!(parse_range(bad), None, "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(micros in 0_u64..1 << 60) {
            let time = Duration::from_micros(micros);
            prop_assert_eq!(parse(&format(time)), Some(time));
        }
    }
}
