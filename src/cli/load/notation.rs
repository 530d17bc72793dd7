//! How people write amounts on the command line and how they are shown to them:
//! `250ms`, `1m30s`, `100k`, `1..5`, `1:2:7`. Pure text, in both directions.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

const NANOS: [(&str, u64); 6] = [
    ("ns", 1),
    ("us", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

/// Reads a time such as `10s`, `250ms`, `1.5s` or `1m30s`.
///
/// # Errors
///
/// A sentence for people if a unit is missing or unknown, or the time is over 500 years.
pub fn duration(text: &str) -> Result<Duration, String> {
    let bad = || format!("'{text}' is not a time such as 250ms, 10s, 1m30s or 2h");
    let mut nanos: u64 = 0;
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err(bad());
    }
    while !rest.is_empty() {
        let number = leading(rest, |c| c.is_ascii_digit() || c == '.');
        let unit = leading(&rest[number.len()..], |c| c.is_ascii_alphabetic());
        let (_, scale) = NANOS
            .into_iter()
            .find(|(name, _)| *name == unit)
            .ok_or_else(bad)?;
        let part = scaled(number, scale).ok_or_else(bad)?;
        nanos = nanos.checked_add(part).ok_or_else(bad)?;
        rest = &rest[number.len() + unit.len()..];
    }
    Ok(Duration::from_nanos(nanos))
}

/// Reads a count such as `5000`, `1_000_000`, `100k` or `2m`.
///
/// # Errors
///
/// A sentence for people if it is anything else.
pub fn count(text: &str) -> Result<u64, String> {
    let bad = || format!("'{text}' is not a count such as 5000, 100k or 2m");
    let plain = text.trim().replace('_', "").to_ascii_lowercase();
    let (digits, scale) = match plain.strip_suffix(['k', 'm']) {
        Some(digits) if plain.ends_with('k') => (digits, 1_000),
        Some(digits) => (digits, 1_000_000),
        None => (plain.as_str(), 1),
    };
    scaled(digits, scale).ok_or_else(bad)
}

/// `number` (digits, perhaps with a fraction) times `scale`, exact or nothing.
fn scaled(number: &str, scale: u64) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() || fraction.len() > 9 || fraction.contains('.') {
        return None;
    }
    let mut total = whole.parse::<u64>().ok()?.checked_mul(scale)?;
    let mut weight = scale;
    for digit in fraction.bytes() {
        if !digit.is_ascii_digit() || !weight.is_multiple_of(10) {
            return None;
        }
        weight /= 10;
        total = total.checked_add(u64::from(digit - b'0') * weight)?;
    }
    Some(total)
}

fn leading(text: &str, wanted: impl Fn(char) -> bool) -> &str {
    let end = text.find(|c| !wanted(c)).unwrap_or(text.len());
    &text[..end]
}

/// From one count to another, both inclusive and at least 1: `1..5` or `3`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The smallest.
    pub from: u32,
    /// The largest, not below the smallest.
    pub to: u32,
}

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (from, to) = text.split_once("..").unwrap_or((text, text));
        match (
            from.trim().parse(),
            to.trim().trim_start_matches('=').parse(),
        ) {
            (Ok(from), Ok(to)) if 1 <= from && from <= to => Ok(Self { from, to }),
            _ => Err(format!(
                "'{text}' is not a range such as 1..5, or a number from 1"
            )),
        }
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..{}", self.from, self.to)
    }
}

/// The shares of the priorities 1 (high), 2 and 3 (low): `1:2:7`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Weights(pub [u32; 3]);

impl Weights {
    /// The priority (1 to 3) of place `index` out of `count` places, so that all places together
    /// have these shares.
    pub fn priority_at(self, index: usize, count: usize) -> u8 {
        let [high, medium, low] = self.0.map(u128::from);
        let place = (index as u128 * (high + medium + low)) / (count.max(1) as u128);
        match place {
            place if place < high => 1,
            place if place < high + medium => 2,
            _ => 3,
        }
    }
}

impl FromStr for Weights {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || format!("'{text}' is not three shares such as 1:2:7, not all of them 0");
        let parts: Result<Vec<u32>, _> = text.split(':').map(|part| part.trim().parse()).collect();
        let weights: [u32; 3] = parts.map_err(|_| bad())?.try_into().map_err(|_| bad())?;
        if weights == [0; 3] {
            Err(bad())
        } else {
            Ok(Self(weights))
        }
    }
}

impl fmt::Display for Weights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [high, medium, low] = self.0;
        write!(f, "{high}:{medium}:{low}")
    }
}

/// A count with thousands separated: `1,234,567`.
pub fn grouped(count: impl Into<i128>) -> String {
    let count: i128 = count.into();
    let digits = count.unsigned_abs().to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3 + 1);
    if count < 0 {
        text.push('-');
    }
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A time in microseconds with three significant digits: `850 µs`, `3.21 ms`, `12.5 s`.
pub fn micros(us: u64) -> String {
    match us {
        0..1_000 => format!("{us} µs"),
        1_000..1_000_000 => format!("{} ms", three_digits(us)),
        _ => format!("{} s", three_digits(us / 1_000)),
    }
}

/// Thousandths as a decimal number with three significant digits.
fn three_digits(thousandths: u64) -> String {
    let (whole, rest) = (thousandths / 1_000, thousandths % 1_000);
    match whole {
        0..10 => format!("{whole}.{:02}", rest / 10),
        10..100 => format!("{whole}.{}", rest / 100),
        _ => grouped(whole),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_times() {
        let cases = [
            ("10s", 10_000),
            ("250ms", 250),
            ("1m", 60_000),
            ("1m30s", 90_000),
            ("1.5s", 1_500),
            ("2h", 7_200_000),
            ("0s", 0),
        ];
        for (text, ms) in cases {
            assert_eq!(duration(text), Ok(Duration::from_millis(ms)), "{text}");
        }
        for text in [
            "",
            "10",
            "s",
            "10 s",
            "-1s",
            "1.5.2s",
            "1d",
            "1..s",
            "99999999999h",
            "1.5ns",
        ] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn reads_counts() {
        let cases = [
            ("5000", 5_000),
            ("1_000", 1_000),
            ("100k", 100_000),
            ("2m", 2_000_000),
            ("1.5K", 1_500),
        ];
        for (text, expected) in cases {
            assert_eq!(count(text), Ok(expected), "{text}");
        }
        for text in ["", "k", "-1", "1.5", "1e3", "99999999999999999999"] {
            assert!(count(text).is_err(), "{text}");
        }
    }

    #[test]
    fn reads_ranges_and_shares() {
        assert_eq!("1..5".parse(), Ok(Span { from: 1, to: 5 }));
        assert_eq!("3".parse(), Ok(Span { from: 3, to: 3 }));
        for text in ["0..2", "5..1", "", "a", "1..2..3"] {
            assert!(text.parse::<Span>().is_err(), "{text}");
        }
        assert_eq!("1:2:7".parse(), Ok(Weights([1, 2, 7])));
        for text in ["1:2", "0:0:0", "1:2:3:4", "a:b:c", "-1:1:1"] {
            assert!(text.parse::<Weights>().is_err(), "{text}");
        }
    }

    #[test]
    fn shares_are_kept_exactly_over_all_places() {
        let counts = (0..1_000).fold([0; 3], |mut counts, index| {
            counts[usize::from(Weights([1, 2, 7]).priority_at(index, 1_000)) - 1] += 1;
            counts
        });
        assert_eq!(counts, [100, 200, 700]);
        assert_eq!(Weights([0, 0, 1]).priority_at(0, 1), 3);
    }

    #[test]
    fn shows_amounts() {
        assert_eq!(grouped(1_234_567), "1,234,567");
        assert_eq!(grouped(-1_000), "-1,000");
        assert_eq!(grouped(999), "999");
        assert_eq!(micros(850), "850 µs");
        assert_eq!(micros(3_219), "3.21 ms");
        assert_eq!(micros(32_190), "32.1 ms");
        assert_eq!(micros(321_900), "321 ms");
        assert_eq!(micros(12_500_000), "12.5 s");
    }
}
