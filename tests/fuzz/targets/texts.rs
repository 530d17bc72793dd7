//! Small texts with a meaning: times, durations, amounts of money, what is typed to `orderd load`.
//! Whatever is read is written, and read again as the same.

use orderd::cli::load::notation::{self, Span, Weights};
use orderd::clock::{self, Timestamp};
use orderd::config::duration;
use orderd::http::render;
use orderd::order::{Currency, Money, MoneyError, OrderId};

/// One text as each of them.
pub fn all(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    time(text);
    durations(text);
    money(text);
    load(text);
    order_id(text);
}

fn time(text: &str) {
    let Some(time) = Timestamp::parse_rfc3339(text) else {
        return;
    };
    assert!(clock::is_rfc3339(text));
    assert!((0..=Timestamp::MAX.0).contains(&time.0), "{text}");
    let written = time.to_string();
    assert_eq!(written.len(), "2026-12-24T18:00:00.000000Z".len());
    assert_eq!(Timestamp::parse_rfc3339(&written), Some(time), "{text}");
    let mut rendered = Vec::new();
    render::time(&mut rendered, time);
    assert_eq!(rendered, format!("\"{written}\"").into_bytes());
}

fn durations(text: &str) {
    if let Some(time) = duration::parse(text) {
        assert_eq!(
            duration::parse(&duration::format(time)),
            Some(time),
            "{text}"
        );
        assert_eq!(duration::parse_range(text), Some((time, time)));
    }
    if let Some((from, to)) = duration::parse_range(text) {
        assert!(from <= to);
        let written = format!("{}..{}", duration::format(from), duration::format(to));
        assert_eq!(duration::parse_range(&written), Some((from, to)), "{text}");
    }
}

fn money(text: &str) {
    if let Ok(money) = text.parse::<Money>() {
        assert!(money.minor() >= 0);
        assert_eq!(money.to_string().parse(), Ok(money), "{text}");
    }
    for code in ["USD", "JPY", "KWD"] {
        let currency = Currency::from_code(code).expect("a currency");
        let read = Money::parse_decimal(text, currency);
        let Some(exact) = exact(text, currency.decimals()) else {
            continue;
        };
        assert_eq!(read.map(Money::minor), exact, "{text} {code}");
    }
}

/// The same in 128 bits. `None` if those are too few, or it is not in the plain notation.
fn exact(text: &str, places: u32) -> Option<Result<i64, MoneyError>> {
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let (whole, decimals) = unsigned.split_once('.').unwrap_or((unsigned, "0"));
    if !digits(whole) || !digits(decimals) {
        return Some(Err(MoneyError::NotDecimal));
    }
    let value: i128 = format!("{whole}{decimals}").parse().ok()?;
    let value = value.checked_mul(10_i128.pow(places))?;
    let power = 10_i128.checked_pow(u32::try_from(decimals.len()).ok()?)?;
    if value % power != 0 {
        return Some(Err(MoneyError::TooManyDecimals));
    }
    Some(match i64::try_from(value / power) {
        Ok(0) => Ok(0),
        Ok(_) if unsigned != text => Err(MoneyError::Negative),
        Ok(minor) => Ok(minor),
        Err(_) => Err(MoneyError::TooLarge),
    })
}

fn load(text: &str) {
    // What is a time in the settings of the server is the same one to the load generator.
    if let (Ok(time), Some(same)) = (notation::duration(text), duration::parse(text)) {
        assert_eq!(time, same, "{text}");
    }
    if let Ok(span) = text.parse::<Span>() {
        assert!(1 <= span.from && span.from <= span.to);
        assert_eq!(span.to_string().parse(), Ok(span), "{text}");
    }
    if let Ok(weights) = text.parse::<Weights>() {
        assert_eq!(weights.to_string().parse(), Ok(weights), "{text}");
        assert!((0..30).all(|place| (1..=3).contains(&weights.priority_at(place, 30))));
    }
    if let Ok(count) = notation::count(text) {
        assert_eq!(notation::count(&count.to_string()), Ok(count), "{text}");
        let grouped = notation::grouped(count).replace(',', "_");
        assert_eq!(notation::count(&grouped), Ok(count));
    }
}

fn order_id(text: &str) {
    let is_visible = text.bytes().all(|byte| (b'!'..=b'~').contains(&byte));
    let is_good = (1..=64).contains(&text.len()) && is_visible && text != "." && text != "..";
    let parsed = OrderId::parse(text);
    assert_eq!(parsed.is_ok(), is_good, "{text:?}");
    let Ok(id) = parsed else { return };
    let location = render::location(&id).expect("every id has an address");
    let location = location.to_str().expect("in ASCII");
    let escaped = location.strip_prefix("/v1/orders/").expect("of orders");
    assert_eq!(unescaped(escaped).as_deref(), Some(text));
}

fn unescaped(text: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let digits = [rest.next()?, rest.next()?];
                u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?
            }
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => byte,
            _ => return None,
        });
    }
    String::from_utf8(bytes).ok()
}
