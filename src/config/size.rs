//! How sizes are written in settings: `512MiB`, `2GiB`, `0`, or `auto`.
//!
//! Pure text, in both directions. Units are those of memory: a KiB has 1,024 bytes.

use serde::{Deserialize, Deserializer, Serializer, de};

const UNITS: [(&str, u64); 5] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("B", 1),
];

/// The word for a size that is chosen by the program.
const AUTO: &str = "auto";

/// Reads a size: a whole number with its unit, or 0.
///
/// `None` if it is something else, or more than there are bytes.
pub fn parse(text: &str) -> Option<u64> {
    let text = text.trim();
    if text == "0" {
        return Some(0);
    }
    let (number, scale) = UNITS
        .into_iter()
        .find_map(|(unit, scale)| Some((text.strip_suffix(unit)?, scale)))?;
    let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    is_number
        .then_some(number)?
        .parse::<u64>()
        .ok()?
        .checked_mul(scale)
}

/// Writes a size with the largest unit that needs no fraction: `256MiB`, `0`.
pub fn format(bytes: u64) -> String {
    if bytes == 0 {
        return "0".into();
    }
    let fits = |(_, scale): &&(&str, u64)| bytes.is_multiple_of(*scale);
    let (unit, scale) = UNITS.iter().find(fits).unwrap_or(&("B", 1));
    format!("{}{unit}", bytes / scale)
}

/// For `#[serde(with = "size")]`: `None` is `auto`.
pub(super) fn serialize<S: Serializer>(size: &Option<u64>, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&size.map_or_else(|| AUTO.to_owned(), format))
}

/// For `#[serde(with = "size")]`: reads as [`parse`] does; `auto` is `None`.
pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u64>, D::Error> {
    let text = String::deserialize(from)?;
    if text == AUTO {
        return Ok(None);
    }
    let size = parse(&text).ok_or_else(|| de::Error::custom("not a size"))?;
    Ok(Some(size))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_sizes_with_units_and_nothing_else() {
        assert_eq!(parse("512MiB"), Some(512 << 20));
        assert_eq!(parse("2GiB"), Some(2 << 30));
        assert_eq!(parse("0"), Some(0));
        for bad in [
            "",
            "512",
            "MiB",
            "1.5GiB",
            "-1B",
            "+1B",
            "1MB",
            "99999999TiB",
        ] {
            assert_eq!(parse(bad), None, "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(bytes: u64) {
            prop_assert_eq!(parse(&format(bytes)), Some(bytes));
        }
    }
}
