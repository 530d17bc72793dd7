//! Reading of JSON as the dialects need it: the tree agrees with `serde_json` on what is JSON and
//! what it says, fields are found as the rules of their names say, and numbers are worth what they
//! are in exact arithmetic.

use orderd::compat::decimal::{self, Decimal, Mean, Misfit};
use orderd::compat::fields::{Fields, Reading};
use orderd::compat::json::{self, DEPTH_MAX, Json};
use orderd::compat::refusal::Code;
use serde_json::Value;
use serde_json::value::RawValue;

use super::input::Input;

/// A body.
pub fn tree(body: &[u8]) {
    let theirs = serde_json::from_slice::<&RawValue>(body);
    match json::read(body) {
        Ok(ours) => {
            assert!(theirs.is_ok(), "accepted, and no JSON: {theirs:?}");
            // Numbers such as 1e999 are JSON, but serde_json has no value for them.
            if let Ok(value) = serde_json::from_slice::<Value>(body) {
                assert!(is_same(&ours, &value), "{ours:?} is not {value:?}");
            }
            fields(body, &ours);
        }
        Err(refusal) if refusal.code == Code::TooDeep => {
            let brackets = body.iter().filter(|byte| b"[{".contains(byte)).count();
            assert!(brackets > DEPTH_MAX, "{brackets} brackets are not too deep");
        }
        Err(refusal) => {
            assert_eq!(refusal.code, Code::MalformedJson);
            // Their reader gives up at 128 levels, and does not look at escapes of raw values.
            let is_json = serde_json::from_slice::<Value>(body).is_ok();
            assert!(!is_json, "JSON was refused: {}", refusal.at);
        }
    }
}

/// The tree as `serde_json` has it: the last of repeated keys counts, numbers by their value.
fn is_same(ours: &Json<'_>, theirs: &Value) -> bool {
    match (ours, theirs) {
        (Json::Null, Value::Null) => true,
        (Json::Bool(a), Value::Bool(b)) => a == b,
        (Json::Number(a), Value::Number(b)) => serde_json::from_str(a).ok().as_ref() == Some(b),
        (Json::Text(a), Value::String(b)) => a == b,
        (Json::List(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| is_same(a, b))
        }
        (Json::Object(a), Value::Object(b)) => {
            a.iter().all(|(key, _)| b.contains_key(&**key))
                && b.iter().all(|(key, b)| {
                    let last = a.iter().rev().find(|(own, _)| own == key);
                    last.is_some_and(|(_, a)| is_same(a, b))
                })
        }
        _ => false,
    }
}

fn fields(body: &[u8], tree: &Json<'_>) {
    for reading in [Reading::Loose, Reading::Exact] {
        let Ok(fields) = Fields::read(body, reading) else {
            let is_empty = reading == Reading::Loose && *tree == Json::Null;
            assert!(!matches!(tree, Json::Object(_)) && !is_empty);
            continue;
        };
        let Json::Object(members) = tree else {
            continue;
        };
        for (key, _) in members {
            let matches = |own: &str| match reading {
                Reading::Exact => own == key,
                Reading::Loose => own.eq_ignore_ascii_case(key),
            };
            let last = members.iter().rev().find(|(own, _)| matches(own));
            let last = last.map(|(_, value)| value);
            let last = last.filter(|it| **it != Json::Null || reading == Reading::Exact);
            assert_eq!(fields.get(key), last);
            assert_eq!(
                fields.text(key).is_err(),
                is_other(last, |it| { matches!(it, Json::Text(_)) })
            );
            if let Ok(Some(whole)) = fields.integer(key) {
                assert!(matches!(last, Some(Json::Number(text)) if text.parse() == Ok(whole)));
            }
            let _ = (fields.texts(key), fields.amount(key), fields.decimal(key));
        }
        let names: Vec<&str> = members.iter().map(|(key, _)| &**key).collect();
        assert!(fields.only(&names).is_ok());
        assert_eq!(fields.only(&[]).is_ok(), names.is_empty());
    }
}

fn is_other(value: Option<&Json<'_>>, is_wanted: fn(&Json<'_>) -> bool) -> bool {
    value.is_some_and(|value| !is_wanted(value))
}

/// A number as text: what it is worth is computed again, with 128 bits.
pub fn number(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let is_json = serde_json::from_str::<&RawValue>(text).is_ok();
    let first = text.bytes().next().unwrap_or_default();
    let is_number = is_json && text.trim() == text && (first == b'-' || first.is_ascii_digit());
    let Some(decimal) = Decimal::parse(text) else {
        assert!(!is_number, "{text} is a number");
        return;
    };
    assert!(is_number, "{text} is no number");
    for places in [0, 2, 3, 6] {
        let units = decimal.units(places);
        if let Some(expected) = exact(text, places) {
            assert_eq!(units, expected, "{text} with {places} places");
        }
        let Ok(units) = units else { continue };
        assert_eq!(decimal.is_zero(), units == 0);
        assert_eq!(decimal.is_negative(), units < 0);
        let printed = decimal::print(units, places);
        let again = Decimal::parse(&printed).expect("what is printed is a number");
        assert_eq!(
            again.units(places),
            Ok(units),
            "{text} was printed as {printed}"
        );
        assert_eq!(decimal::number(units, places).get(), printed);
    }
}

/// The same by other means: mantissa and exponent in 128 bits. `None` if those are too few.
fn exact(text: &str, places: u32) -> Option<Result<i64, Misfit>> {
    let lower = text.to_ascii_lowercase();
    let (mantissa, exponent) = lower.split_once('e').unwrap_or((&lower, "0"));
    let exponent: i64 = exponent.parse().ok()?;
    let (whole, decimals) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits: i128 = format!("{whole}{decimals}").parse().ok()?;
    if exponent > 30 {
        return Some(Err(Misfit::TooLarge));
    }
    if exponent < -30 {
        return Some(Err(Misfit::TooPrecise));
    }
    let shift = exponent + i64::from(places) - i64::try_from(decimals.len()).ok()?;
    let power = 10_i128.checked_pow(u32::try_from(shift.unsigned_abs()).ok()?)?;
    let units = match shift {
        0.. => digits.checked_mul(power)?,
        _ if digits % power != 0 => return Some(Err(Misfit::TooPrecise)),
        _ => digits / power,
    };
    Some(i64::try_from(units).map_err(|_| Misfit::TooLarge))
}

/// A mean is the nearest number of its decimals, and half goes up.
pub fn mean(bytes: &[u8]) {
    let mut input = Input(bytes);
    let (sum, count) = (input.number(), input.number());
    let (places, shown) = (u32::from(input.byte() % 7), u32::from(input.byte() % 7));
    let mean = Mean { sum, places, count };
    let printed = mean.number(shown);
    let decimal = Decimal::parse(printed.get()).expect("a mean is a number");
    let units = i128::from(
        decimal
            .units(shown)
            .expect("with no more decimals than asked for"),
    );
    if count <= 0 {
        assert_eq!(units, 0);
        return;
    }
    // How far off it is, in halves of a unit of `shown` decimals, times count and scale.
    let scale = |places| 10_i128.pow(places);
    let (sum, count) = (i128::from(sum), i128::from(count));
    let twice_off = 2 * (units * count * scale(places) - sum * scale(shown));
    let unit = count * scale(places);
    let is_nearest = -unit < twice_off && twice_off <= unit;
    assert!(
        is_nearest || units == i128::from(i64::MAX),
        "{mean:?} is no {printed}"
    );
}
