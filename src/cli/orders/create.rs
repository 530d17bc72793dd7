//! `orderd orders create`: composes an order from flags, or takes it from a file, and sends it.
//!
//! Amounts are read as decimals of the total's currency, exactly. What an order must be is checked
//! by the server, which says it better.

use std::io::Read;

use serde_json::{Map, Value, json};

use super::Client;
use crate::cli::exit::{self, Failure, OrFail};
use crate::cli::output;
use crate::order::{Currency, Money};

/// The way out if a file cannot be read.
pub(super) const NAME_ANOTHER: &str = "name a file that can be read, or - for stdin";

const EXAMPLES: &str = "\
Examples:
  orderd orders create --customer ada --item tea:2:4.50 --item mug:1:16 --total '25.00 EUR'
  orderd orders create --id A-1001 --customer ada --item tea:2 --total '9.00 EUR' --priority 1
  orderd orders create --file order.json --wait 30 --idempotency-key shop-17
  generate-order | orderd orders create --file -";

/// Create an order and print its id
#[derive(Clone, Debug, clap::Args)]
#[command(before_help = EXAMPLES)]
pub struct Arguments {
    /// Who orders
    #[arg(long, required_unless_present = "file", conflicts_with = "file")]
    customer: Option<String>,
    /// A line of the order; the unit price is in the total's currency. May be repeated
    #[arg(long = "item", value_name = "SKU:QUANTITY[:UNIT_PRICE]")]
    #[arg(required_unless_present = "file", conflicts_with = "file")]
    items: Vec<String>,
    /// What it costs, such as '99.99 USD'
    #[arg(long, required_unless_present = "file", conflicts_with = "file")]
    #[arg(value_parser = money, value_name = "AMOUNT CURRENCY")]
    total: Option<Money>,
    /// 1 (high), 2 (medium) or 3 (low) [default: the server's, 2]
    #[arg(long, conflicts_with = "file", value_parser = clap::value_parser!(u8).range(1..=3))]
    priority: Option<u8>,
    /// Which process it goes through [default: default]
    #[arg(long, conflicts_with = "file", value_name = "NAME")]
    process: Option<String>,
    /// The order's id; a second order with it is refused [default: the server chooses]
    #[arg(long, conflicts_with = "file")]
    id: Option<String>,
    /// Where it goes
    #[arg(long, conflicts_with = "file")]
    address: Option<String>,
    /// Whatever else is to be said
    #[arg(long, conflicts_with = "file")]
    notes: Option<String>,
    /// Start it at this time, such as 2026-11-27T08:00:00Z [default: at once]
    #[arg(long, conflicts_with = "file", value_name = "TIME")]
    start_at: Option<String>,
    /// Let it expire if it has not started by this time
    #[arg(long, conflicts_with = "file", value_name = "TIME")]
    expires_at: Option<String>,
    /// Hold it back from the start, for this reason, until it is released
    #[arg(long, conflicts_with = "file", value_name = "REASON")]
    hold: Option<String>,
    /// Send the JSON of this file instead, or of stdin with -
    #[arg(long, short)]
    file: Option<String>,
    /// Wait up to this many seconds until the order has ended
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..=60))]
    wait: Option<u32>,
}

/// Sends the order and prints its id.
pub(super) async fn run(arguments: &Arguments, client: &mut Client) -> anyhow::Result<u8> {
    let body = match &arguments.file {
        Some(name) => read(name)?,
        None => composed(arguments)?.to_string(),
    };
    let answer = client.api.post("/v1/orders", &body, arguments.wait).await?;
    let answer = client.accept(answer)?;
    if !client.is_json {
        let text = |key: &str| answer.json[key].as_str().unwrap_or("-").to_owned();
        let (id, status) = (text("order_id"), text("status"));
        eprintln!("the order is {status}; follow it with `orderd orders watch {id}`");
        output::line(&id)?;
    }
    Ok(exit::OK)
}

fn read(name: &str) -> anyhow::Result<String> {
    if name == "-" {
        let mut text = String::new();
        std::io::stdin()
            .read_to_string(&mut text)
            .or_fail("cannot read stdin", "send the JSON of an order")?;
        return Ok(text);
    }
    let read = std::fs::read_to_string(name);
    Ok(read.or_fail(format_args!("cannot read {name}"), NAME_ANOTHER)?)
}

fn composed(arguments: &Arguments) -> Result<Value, Failure> {
    let Some(total) = arguments.total else {
        return Err(Failure::new(
            exit::USAGE,
            "--total is missing",
            "say what it costs, such as --total '9.00 EUR'",
        ));
    };
    let items: Result<Vec<Value>, Failure> = arguments
        .items
        .iter()
        .map(|text| item(text, total.currency()))
        .collect();
    let mut order = Map::new();
    let texts = [
        ("order_id", &arguments.id),
        ("customer_id", &arguments.customer),
        ("process", &arguments.process),
        ("address", &arguments.address),
        ("notes", &arguments.notes),
        ("start_at", &arguments.start_at),
        ("expires_at", &arguments.expires_at),
    ];
    for (key, text) in texts {
        if let Some(text) = text {
            order.insert(key.into(), text.as_str().into());
        }
    }
    order.insert("items".into(), items?.into());
    let (amount, currency) = (total.minor(), total.currency().code());
    order.insert(
        "total".into(),
        json!({ "amount": amount, "currency": currency }),
    );
    if let Some(priority) = arguments.priority {
        order.insert("priority".into(), priority.into());
    }
    if let Some(reason) = &arguments.hold {
        order.insert("hold".into(), json!({ "reason": reason }));
    }
    Ok(order.into())
}

/// Reads `SKU:QUANTITY[:UNIT_PRICE]` from behind, because a SKU may hold colons.
fn item(text: &str, currency: Currency) -> Result<Value, Failure> {
    let priced = || {
        let (rest, price) = text.rsplit_once(':')?;
        let (sku, quantity) = rest.rsplit_once(':')?;
        let quantity: i64 = quantity.parse().ok()?;
        let price = Money::parse_decimal(price, currency).ok()?.minor();
        Some(json!({ "sku": sku, "quantity": quantity, "unit_price": price }))
    };
    let unpriced = || {
        let (sku, quantity) = text.rsplit_once(':')?;
        let quantity: i64 = quantity.parse().ok()?;
        Some(json!({ "sku": sku, "quantity": quantity }))
    };
    priced().or_else(unpriced).ok_or_else(|| {
        let code = currency.code();
        let way_out = format!(
            "it must be SKU:QUANTITY or SKU:QUANTITY:UNIT_PRICE, such as tea:2:4.50, with a \
             price in {code}"
        );
        Failure::new(exit::USAGE, format_args!("--item is {text:?}"), way_out)
    })
}

/// Reads `99.99 USD`.
fn money(text: &str) -> Result<Money, String> {
    let form = "it must be an amount and a currency such as '99.99 USD'";
    let (amount, code) = text
        .trim()
        .rsplit_once(' ')
        .ok_or_else(|| form.to_owned())?;
    let currency = Currency::from_code(code.trim())
        .ok_or_else(|| format!("there is no currency {:?}; {form}", code.trim()))?;
    Money::parse_decimal(amount.trim(), currency).map_err(|error| format!("{error}; {form}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Whole {
        #[command(flatten)]
        arguments: Arguments,
    }

    fn parse(words: &[&str]) -> Result<Arguments, String> {
        let whole = Whole::try_parse_from([&["create"], words].concat());
        whole
            .map(|whole| whole.arguments)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn flags_make_an_order() {
        let words = [
            "--customer",
            "ada",
            "--item",
            "tea:2:4.50",
            "--item",
            "urn:isbn:3:1",
            "--item",
            "x:1",
            "--total",
            "13.5 EUR",
            "--priority",
            "1",
            "--id",
            "A-1",
            "--hold",
            "fraud?",
            "--start-at",
            "2026-11-27T08:00:00Z",
            "--expires-at",
            "2026-11-28T08:00:00Z",
        ];
        let order = composed(&parse(&words).unwrap()).unwrap();
        let expected = json!({
            "order_id": "A-1",
            "customer_id": "ada",
            "items": [
                {"sku": "tea", "quantity": 2, "unit_price": 450},
                {"sku": "urn:isbn", "quantity": 3, "unit_price": 100},
                {"sku": "x", "quantity": 1},
            ],
            "total": {"amount": 1350, "currency": "EUR"},
            "priority": 1,
            "hold": {"reason": "fraud?"},
            "start_at": "2026-11-27T08:00:00Z",
            "expires_at": "2026-11-28T08:00:00Z",
        });
        assert_eq!(order, expected);
    }

    #[test]
    fn amounts_follow_the_currency() {
        assert_eq!(money("99.99 USD").unwrap().minor(), 9_999);
        assert_eq!(money("100 JPY").unwrap().minor(), 100);
        for bad in ["99.99", "99.999 USD", "1 XQQ", "-1 USD", "one USD"] {
            assert!(money(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_is_no_item_is_named() {
        let euro = Currency::from_code("EUR").unwrap();
        for bad in ["tea", "tea:two", "tea:2:4.505", ""] {
            let failure = item(bad, euro).unwrap_err();
            assert_eq!(failure.code, exit::USAGE);
            assert!(failure.message.contains("SKU:QUANTITY"), "{bad}");
        }
    }

    #[test]
    fn a_file_excludes_the_other_flags_and_replaces_them() {
        assert!(parse(&["--file", "-"]).is_ok());
        assert!(parse(&["--file", "-", "--customer", "ada"]).is_err());
        assert!(parse(&["--customer", "ada"]).is_err());
    }
}
