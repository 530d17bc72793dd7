//! Money: an exact whole number of minor units (cents) in an ISO 4217 currency.
//!
//! No floating point anywhere: decimal text is read digit by digit. Never negative, never rounded.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// An ISO 4217 currency. Equality is by code.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Currency(iso_currency::Currency);

impl Currency {
    /// United States dollars.
    pub const USD: Self = Self(iso_currency::Currency::USD);

    /// The currency with this three-letter upper-case code, if there is one.
    pub fn from_code(code: &str) -> Option<Self> {
        let upper = code.len() == 3 && code.bytes().all(|byte| byte.is_ascii_uppercase());
        if !upper {
            return None;
        }
        iso_currency::Currency::from_code(code).map(Self)
    }

    /// The three-letter code, such as `USD`.
    pub fn code(self) -> &'static str {
        self.0.code()
    }

    /// How many decimals an amount may have: 2 for USD, 0 for JPY, 3 for KWD. Currencies without a
    /// minor unit of their own (gold, say) have 0.
    pub fn decimals(self) -> u32 {
        self.0.exponent().map_or(0, u32::from)
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// An amount of money: `minor` units of `currency`, 0 to `i64::MAX`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Money {
    minor: i64,
    currency: Currency,
}

/// Why something is not an amount of money.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum MoneyError {
    /// Below zero.
    #[error("the amount is negative")]
    Negative,
    /// More than 9,223,372,036,854,775,807 minor units.
    #[error("the amount is too large")]
    TooLarge,
    /// Not decimal digits with at most one point.
    #[error("the amount is not a decimal number")]
    NotDecimal,
    /// More decimals than the currency has; never rounded.
    #[error("the amount has more decimals than the currency")]
    TooManyDecimals,
}

impl Money {
    /// `minor` units of `currency`. Fails with `Negative` below zero.
    pub fn new(minor: i64, currency: Currency) -> Result<Self, MoneyError> {
        if minor < 0 {
            Err(MoneyError::Negative)
        } else {
            Ok(Self { minor, currency })
        }
    }

    /// Reads decimal text in major units, such as `99.99`, exactly. Trailing zeros do not count as
    /// decimals.
    pub fn parse_decimal(text: &str, currency: Currency) -> Result<Self, MoneyError> {
        if let Some(rest) = text.strip_prefix('-').filter(|rest| !rest.starts_with('-')) {
            let zero = Self::parse_decimal(rest, currency)?.minor == 0;
            return if zero {
                Self::new(0, currency)
            } else {
                Err(MoneyError::Negative)
            };
        }
        let (whole, decimals) = text.split_once('.').unwrap_or((text, "0"));
        let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        if !digits(whole) || !digits(decimals) {
            return Err(MoneyError::NotDecimal);
        }
        let decimals = decimals.trim_end_matches('0');
        let places = currency.decimals() as usize;
        if decimals.len() > places {
            return Err(MoneyError::TooManyDecimals);
        }
        let padding = std::iter::repeat_n(b'0', places - decimals.len());
        let minor = whole
            .bytes()
            .chain(decimals.bytes())
            .chain(padding)
            .try_fold(0_i64, |sum, digit| {
                sum.checked_mul(10)?.checked_add(i64::from(digit - b'0'))
            });
        minor
            .ok_or(MoneyError::TooLarge)
            .and_then(|minor| Self::new(minor, currency))
    }

    /// Minor units: cents for USD, whole yen for JPY. Never negative.
    pub fn minor(self) -> i64 {
        self.minor
    }

    /// The currency.
    pub fn currency(self) -> Currency {
        self.currency
    }
}

/// Major units with the currency's decimals and its code: `99.99 USD`.
impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let places = self.currency.decimals();
        let unit = 10_i64.pow(places);
        let (whole, rest) = (self.minor / unit, self.minor % unit);
        if places == 0 {
            return write!(f, "{whole} {}", self.currency.code());
        }
        write!(
            f,
            "{whole}.{rest:0width$} {}",
            self.currency.code(),
            width = places as usize
        )
    }
}

/// The reverse of `Display`: `99.99 USD`, or `99.99USD`.
impl FromStr for Money {
    type Err = MoneyError;

    fn from_str(text: &str) -> Result<Self, MoneyError> {
        let split = text
            .len()
            .checked_sub(3)
            .filter(|at| text.is_char_boundary(*at));
        let (amount, code) = text.split_at(split.ok_or(MoneyError::NotDecimal)?);
        let currency = Currency::from_code(code).ok_or(MoneyError::NotDecimal)?;
        Self::parse_decimal(amount.trim_end(), currency)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn currency(code: &str) -> Currency {
        Currency::from_code(code).unwrap()
    }

    #[test]
    fn decimals_follow_the_currency() {
        let parse = |text, code| Money::parse_decimal(text, currency(code)).map(Money::minor);
        assert_eq!(parse("99.99", "USD"), Ok(9_999));
        assert_eq!(parse("99.9", "USD"), Ok(9_990));
        assert_eq!(parse("1.500", "USD"), Ok(150));
        assert_eq!(parse("1.005", "USD"), Err(MoneyError::TooManyDecimals));
        assert_eq!(parse("100", "JPY"), Ok(100));
        assert_eq!(parse("100.5", "JPY"), Err(MoneyError::TooManyDecimals));
        assert_eq!(parse("1.234", "KWD"), Ok(1_234));
        assert_eq!(parse("-0.00", "USD"), Ok(0));
        assert_eq!(parse("-0.01", "USD"), Err(MoneyError::Negative));
        assert_eq!(parse("92233720368547758.07", "USD"), Ok(i64::MAX));
        assert_eq!(
            parse("92233720368547758.08", "USD"),
            Err(MoneyError::TooLarge)
        );
    }

    #[test]
    fn unknown_currencies_and_odd_texts_are_refused() {
        for code in ["usd", "XX", "ZZZ", "", "USDX", "ÄÖ"] {
            assert!(Currency::from_code(code).is_none(), "{code}");
        }
        for text in [
            "", ".", "1.", ".5", "1e3", "1,5", " 1", "0x1", "--1", "1.2.3", "٣",
        ] {
            let read = Money::parse_decimal(text, currency("USD"));
            assert_eq!(read, Err(MoneyError::NotDecimal), "{text}");
        }
    }

    proptest! {
        #[test]
        fn money_survives_the_way_through_text(minor in 0..=i64::MAX, code in "(USD|JPY|KWD|EUR)") {
            let money = Money::new(minor, currency(&code)).unwrap();
            prop_assert_eq!(money.to_string().parse(), Ok(money));
        }

        #[test]
        fn no_text_makes_it_panic(text in ".{0,24}") {
            let _ = text.parse::<Money>();
        }
    }
}
