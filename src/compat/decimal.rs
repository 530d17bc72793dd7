//! Decimal numbers as texts and whole units: amounts read exactly, amounts and averages printed
//! minimally.
//!
//! Never a float. What does not fit is refused with its reason, never rounded; only averages are
//! rounded, half up, in integers.

use serde_json::value::RawValue;

use super::json;
use super::refusal::{Code, Refusal};

/// Decimals of the currencies that the dialects know.
pub const MINOR_PLACES: u32 = 2;
/// Largest exponent that is read, in either direction.
const EXPONENT_MAX: i64 = 30;

/// A decimal number as it is written, split into its parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decimal<'a> {
    is_negative: bool,
    whole: &'a str,
    decimals: &'a str,
    exponent: i64,
}

/// Why a decimal number is not a whole count of the units that were asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Misfit {
    /// It has more decimals than the unit, trailing zeros not counted.
    TooPrecise,
    /// It is beyond what 64 bits hold, or its exponent is beyond ±30.
    TooLarge,
}

impl<'a> Decimal<'a> {
    /// Reads a number in JSON's notation: `99.99`, `-1`, `1e2`. `None` for any other text.
    pub fn parse(text: &'a str) -> Option<Self> {
        if !json::is_number(text) {
            return None;
        }
        let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
        let (is_negative, mantissa) = match mantissa.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, mantissa),
        };
        let (whole, decimals) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        // An exponent that 64 bits do not hold is beyond the limit in any case.
        let far = if exponent.starts_with('-') {
            i64::MIN
        } else {
            i64::MAX
        };
        let exponent = exponent.parse().unwrap_or(far);
        Some(Self {
            is_negative,
            whole,
            decimals: decimals.trim_end_matches('0'),
            exponent,
        })
    }

    /// Whether it is 0, however that is written.
    pub fn is_zero(&self) -> bool {
        self.decimals.is_empty() && self.whole.bytes().all(|digit| digit == b'0')
    }

    /// Whether it is below 0; `-0` is not.
    pub fn is_negative(&self) -> bool {
        self.is_negative && !self.is_zero()
    }

    /// The number in minor units of a currency with two decimals: 9999 for `99.99`.
    ///
    /// # Errors
    ///
    /// [`Misfit`]: it has no exact place there.
    pub fn minor(&self) -> Result<i64, Misfit> {
        self.units(MINOR_PLACES)
    }

    /// The number as an amount in minor units, of the field with this name.
    ///
    /// # Errors
    ///
    /// `invalid-money`, and `out-of-range` also below 0.
    pub fn amount(&self, name: &str) -> Result<i64, Refusal> {
        match self.minor() {
            Ok(minor @ 0..) => Ok(minor),
            Err(Misfit::TooPrecise) if !self.is_negative() => {
                Err(Refusal::field(Code::InvalidMoney, name))
            }
            Ok(_) | Err(_) => Err(Refusal::field(Code::OutOfRange, name)),
        }
    }

    /// The number itself, if it is whole: 8 for `8`, `8.0` and `80e-1`.
    ///
    /// # Errors
    ///
    /// [`Misfit`]: it is not whole, or too large.
    pub fn whole(&self) -> Result<i64, Misfit> {
        self.units(0)
    }

    /// The number in units of which ten to the power of `places` make one.
    ///
    /// # Errors
    ///
    /// [`Misfit`]: it has no exact place there.
    pub fn units(&self, places: u32) -> Result<i64, Misfit> {
        if self.exponent > EXPONENT_MAX {
            return Err(Misfit::TooLarge);
        }
        if self.exponent < -EXPONENT_MAX {
            return Err(Misfit::TooPrecise);
        }
        if self.is_zero() {
            return Ok(0);
        }
        // Moves the point behind the last digit that counts: what is left of it is the number.
        let count = (self.whole.len() + self.decimals.len()) as i64;
        let kept = self.whole.len() as i64 + self.exponent + i64::from(places);
        let mut digits = self.whole.bytes().chain(self.decimals.bytes());
        let cut = usize::try_from(kept.max(0)).unwrap_or(usize::MAX);
        if digits.clone().skip(cut).any(|digit| digit != b'0') {
            return Err(Misfit::TooPrecise);
        }
        let zeros = usize::try_from(kept - count).unwrap_or(0);
        let kept = digits
            .by_ref()
            .take(cut)
            .chain(std::iter::repeat_n(b'0', zeros));
        let sign = if self.is_negative { -1 } else { 1 };
        let units = kept.into_iter().try_fold(0_i64, |sum, digit| {
            sum.checked_mul(10)?
                .checked_add(sign * i64::from(digit - b'0'))
        });
        units.ok_or(Misfit::TooLarge)
    }
}

/// Prints units of which ten to the power of `places` make one, without zeros at the end: 9999 with
/// two places is `99.99`, 15000 is `150`, 10050 is `100.5`.
pub fn print(units: i64, places: u32) -> String {
    let scale = 10_u64.saturating_pow(places);
    let (whole, rest) = (units.unsigned_abs() / scale, units.unsigned_abs() % scale);
    let sign = if units < 0 { "-" } else { "" };
    if rest == 0 {
        return format!("{sign}{whole}");
    }
    let decimals = format!("{rest:0width$}", width = places as usize);
    format!("{sign}{whole}.{}", decimals.trim_end_matches('0'))
}

/// The same, as a JSON number to put into an answer.
pub fn number(units: i64, places: u32) -> Box<RawValue> {
    raw(print(units, places))
}

/// A sum and how many things it is the sum of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mean {
    /// In units of which ten to the power of `places` make one.
    pub sum: i64,
    /// Decimals of the sum: 6 for microseconds if the mean is to be in seconds.
    pub places: u32,
    /// How many there are; with none the mean is 0.
    pub count: i64,
}

impl Mean {
    /// The mean with at most `places` decimals, rounded half up, as a JSON number.
    pub fn number(self, places: u32) -> Box<RawValue> {
        number(self.units(places), places)
    }

    fn units(self, places: u32) -> i64 {
        if self.count <= 0 {
            return 0;
        }
        let power = |places| 10_i128.saturating_pow(places);
        let (sum, count) = (i128::from(self.sum), i128::from(self.count));
        let divisor = count * power(self.places.saturating_sub(places));
        let dividend = sum * power(places.saturating_sub(self.places));
        let rounded = (2 * dividend + divisor).div_euclid(2 * divisor);
        i64::try_from(rounded).unwrap_or(i64::MAX)
    }
}

/// A number that is JSON already.
fn raw(number: String) -> Box<RawValue> {
    // Digits with at most one sign and one point are always JSON.
    RawValue::from_string(number).unwrap_or_else(|_| RawValue::NULL.to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn minor(text: &str) -> Result<i64, Misfit> {
        Decimal::parse(text).unwrap().minor()
    }

    #[test]
    fn amounts_are_read_exactly() {
        for (text, expected) in [
            ("99.99", 9_999),
            ("1.500", 150),
            ("100", 10_000),
            ("1e2", 10_000),
            ("1E+2", 10_000),
            ("12345e-2", 12_345),
            ("12.3400e1", 12_340),
            ("0.00001e5", 100),
            ("100000000000000000000e-20", 100),
            ("0", 0),
            ("-0.00", 0),
            ("0e30", 0),
            ("-1.5", -150),
            ("92233720368547758.07", i64::MAX),
            ("-92233720368547758.08", i64::MIN),
        ] {
            assert_eq!(minor(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_does_not_fit_is_refused_with_its_reason() {
        for text in [
            "1.005",
            "0.001",
            "-0.001",
            "1e-3",
            "1.5e-2",
            "1e-31",
            "5e-99999999999999999999",
        ] {
            assert_eq!(minor(text), Err(Misfit::TooPrecise), "{text}");
        }
        for text in [
            "92233720368547758.08",
            "1e17",
            "1e30",
            "1e31",
            "0e31",
            "1e99999999999999999999",
        ] {
            assert_eq!(minor(text), Err(Misfit::TooLarge), "{text}");
        }
        let long = format!("1{}", "0".repeat(1 << 20));
        assert_eq!(minor(&long), Err(Misfit::TooLarge));
    }

    #[test]
    fn other_texts_are_no_decimal_numbers() {
        for text in [
            "", "+1", ".5", "1.", "01", "1e", "0x1", " 1", "1 ", "٣", "NaN", "\"1\"", "--1",
        ] {
            assert_eq!(Decimal::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn the_sign_is_told_even_of_what_does_not_fit() {
        let signs = |text| {
            let decimal = Decimal::parse(text).unwrap();
            (decimal.is_negative(), decimal.is_zero())
        };
        assert_eq!(signs("-0.001"), (true, false));
        assert_eq!(signs("-0.000"), (false, true));
        assert_eq!(signs("-1e99"), (true, false));
        assert_eq!(signs("0e99"), (false, true));
        assert_eq!(signs("0.1"), (false, false));
    }

    #[test]
    fn an_amount_is_not_negative_and_exact() {
        let amount = |text| {
            let amount = Decimal::parse(text).unwrap().amount("total");
            amount.map_err(|refusal| (refusal.code, refusal.at.into_owned()))
        };
        let refused = |code| Err((code, "/total".to_owned()));
        assert_eq!(amount("1.50"), Ok(150));
        assert_eq!(amount("-0.00"), Ok(0));
        assert_eq!(amount("1.005"), refused(Code::InvalidMoney));
        for text in ["-1", "-0.001", "1e31", "92233720368547758.08"] {
            assert_eq!(amount(text), refused(Code::OutOfRange), "{text}");
        }
    }

    #[test]
    fn whole_numbers_may_be_written_with_zeros() {
        let whole = |text| Decimal::parse(text).unwrap().whole();
        assert_eq!(whole("8.0"), Ok(8));
        assert_eq!(whole("80e-1"), Ok(8));
        assert_eq!(whole("-8"), Ok(-8));
        assert_eq!(whole("8.9"), Err(Misfit::TooPrecise));
        assert_eq!(whole("9223372036854775808"), Err(Misfit::TooLarge));
    }

    #[test]
    fn numbers_are_printed_minimally() {
        for (units, places, text) in [
            (9_999, 2, "99.99"),
            (15_000, 2, "150"),
            (10_050, 2, "100.5"),
            (0, 2, "0"),
            (1, 2, "0.01"),
            (-150, 2, "-1.5"),
            (5, 0, "5"),
            (2_005_617, 6, "2.005617"),
            (i64::MIN, 2, "-92233720368547758.08"),
        ] {
            assert_eq!(print(units, places), text);
            assert_eq!(number(units, places).get(), text);
        }
    }

    #[test]
    fn means_are_rounded_half_up() {
        let mean = |sum, places, count| Mean { sum, places, count };
        assert_eq!(mean(0, 6, 0).number(3).get(), "0");
        assert_eq!(mean(5, 0, 0).number(3).get(), "0");
        assert_eq!(mean(10_499, 6, 1).number(3).get(), "0.01");
        assert_eq!(mean(10_500, 6, 1).number(3).get(), "0.011");
        assert_eq!(mean(1, 3, 2).number(3).get(), "0.001");
        assert_eq!(mean(2, 0, 3).number(4).get(), "0.6667");
        assert_eq!(mean(1, 0, 3).number(4).get(), "0.3333");
        assert_eq!(mean(52, 0, 10).number(4).get(), "5.2");
        assert_eq!(mean(-1, 3, 2).number(3).get(), "0");
        assert_eq!(mean(i64::MAX, 0, 1).number(4).get(), "922337203685477.5807");
    }

    proptest! {
        #[test]
        fn an_amount_survives_the_way_through_text(units: i64, places in 0_u32..7) {
            let text = print(units, places);
            let decimal = Decimal::parse(&text).unwrap();
            prop_assert_eq!(decimal.units(places), Ok(units));
            prop_assert!(!text.contains('.') || !text.ends_with(['0', '.']));
        }

        #[test]
        fn an_exponent_only_moves_the_point(units: i32, shift in 0_u32..20, zeros in 0_usize..5) {
            let units = i64::from(units);
            let (zeros, text) = ("0".repeat(zeros), print(units, shift));
            let point = if text.contains('.') { "" } else { "." };
            let padded = format!("{text}{point}{zeros}");
            let padded = padded.trim_end_matches('.');
            prop_assert_eq!(minor(&format!("{padded}e{}", i64::from(shift) - 2)), Ok(units));
        }

        #[test]
        fn a_mean_is_never_off_by_more_than_half(sum in 0_i64..1 << 40, count in 1_i64..1_000) {
            let units = Mean { sum, places: 6, count }.units(6);
            let twice_off = 2 * (units * count - sum);
            prop_assert!(-count < twice_off && twice_off <= count);
        }

        #[test]
        fn no_text_makes_it_panic(text in "[-0-9.eE+]{0,30}|.{0,8}") {
            if let Some(decimal) = Decimal::parse(&text) {
                let _ = (decimal.minor(), decimal.whole(), decimal.is_negative());
            }
        }
    }
}
