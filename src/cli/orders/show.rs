//! `orderd orders get`: one order, with its items. Also how an order's parts are shown elsewhere.
//! Only lays out what the server said.

use comfy_table::{Table, presets};
use serde_json::Value;

use super::Client;
use crate::cli::api::plain;
use crate::cli::client::encoded;
use crate::cli::{exit, output};
use crate::order::{Currency, Money};

/// Show one order
#[derive(Clone, Debug, clap::Args)]
pub struct Arguments {
    /// The order's id
    id: String,
}

/// Fields of an order beside its items, in the order in which they are shown.
const FIELDS: [(&str, &str); 20] = [
    ("order", "order_id"),
    ("status", "status"),
    ("reason", "reason"),
    ("held", "hold"),
    ("step", "step"),
    ("attempt", "attempt"),
    ("ready", "ready_at"),
    ("customer", "customer_id"),
    ("total", "total"),
    ("priority", "priority"),
    ("process", "process"),
    ("address", "address"),
    ("notes", "notes"),
    ("starts", "start_at"),
    ("expires", "expires_at"),
    ("created", "created_at"),
    ("imported", "imported_at"),
    ("started", "started_at"),
    ("changed", "updated_at"),
    ("ended", "ended_at"),
];

/// Asks for the order and shows it.
pub(super) async fn run(arguments: &Arguments, client: &mut Client) -> anyhow::Result<u8> {
    let path = format!("/v1/orders/{}", encoded(&arguments.id));
    let answer = client.api.get(&path).await?;
    let answer = client.accept(answer)?;
    if !client.is_json {
        output::line(&fields(&answer.json))?;
        output::line(&items(&answer.json))?;
    }
    Ok(exit::OK)
}

fn fields(order: &Value) -> Table {
    let mut table = table();
    table.load_style(presets::NOTHING);
    for (name, key) in FIELDS {
        let value = &order[key];
        let is_idle = key == "attempt" && *value == 0;
        if !value.is_null() && !is_idle {
            table.add_row([name.to_owned(), cell(key, value)]);
        }
    }
    for (step, output) in order["outputs"].as_object().into_iter().flatten() {
        let said = match (&output["label"], &output["text"]) {
            (Value::String(label), Value::String(text)) => plain(&format!("{label}: {text}")),
            _ => plain(&output.to_string()),
        };
        table.add_row([plain(step), said]);
    }
    for (key, value) in order["metadata"].as_object().into_iter().flatten() {
        table.add_row([plain(key), cell("metadata", value)]);
    }
    table
}

fn items(order: &Value) -> Table {
    let currency = order["total"]["currency"].as_str().unwrap_or_default();
    let mut table = table();
    table.set_header(["item", "quantity", "unit price", "amount"]);
    for item in order["items"].as_array().into_iter().flatten() {
        if let Some(name) = item.as_str() {
            table.add_row([plain(name)]);
            continue;
        }
        let price = |key: &str| {
            let minor = item[key].as_i64();
            minor.map_or_else(String::new, |minor| amount(minor, currency))
        };
        table.add_row([
            cell("sku", &item["sku"]),
            cell("quantity", &item["quantity"]),
            price("unit_price"),
            price("amount"),
        ]);
    }
    table
}

/// A table that reads well without a terminal too.
pub(in crate::cli) fn table() -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED);
    table
}

/// A field as it is shown in a table.
pub(in crate::cli) fn cell(key: &str, value: &Value) -> String {
    match (key, value) {
        (_, Value::Null) => String::new(),
        ("total", total) => {
            let currency = total["currency"].as_str().unwrap_or_default();
            amount(total["amount"].as_i64().unwrap_or_default(), currency)
        }
        ("hold", hold) => held(hold),
        ("priority", Value::Number(number)) => match number.as_u64() {
            Some(1) => "1 (high)".into(),
            Some(2) => "2 (medium)".into(),
            Some(3) => "3 (low)".into(),
            _ => number.to_string(),
        },
        (_, Value::String(text)) => plain(text),
        (_, other) => plain(&other.to_string()),
    }
}

/// Why an order is held back, by whom and until when.
pub(super) fn held(hold: &Value) -> String {
    let mut text = plain(hold["reason"].as_str().unwrap_or_default());
    if let Some(by) = hold["by"].as_str() {
        text.push_str(&format!(", by {}", plain(by)));
    }
    if hold["until"].is_string() {
        text.push_str(&format!(", until {} UTC", second(&hold["until"])));
    }
    text
}

/// Minor units as decimals, or as they are if the currency is not known here.
fn amount(minor: i64, code: &str) -> String {
    let money = Currency::from_code(code).and_then(|currency| Money::new(minor, currency).ok());
    money.map_or_else(
        || format!("{minor} {}", plain(code)),
        |money| money.to_string(),
    )
}

/// A time to the second, for tables.
pub(in crate::cli) fn second(time: &Value) -> String {
    let text = time.as_str().unwrap_or_default();
    text.get(..19).unwrap_or(text).replace('T', " ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_order_is_shown_whole() {
        let order = json!({
            "order_id": "A-1", "customer_id": "ada", "status": "pending", "attempt": 0,
            "priority": 1,
            "items": ["a gift", {"sku": "tea\u{1b}", "quantity": 2, "unit_price": 450}],
            "total": {"amount": 900, "currency": "EUR"}, "metadata": {"channel": "web"},
        });
        let text = format!("{}\n{}", fields(&order), items(&order));
        for part in [
            "A-1",
            "9.00 EUR",
            "1 (high)",
            "channel",
            "a gift",
            "4.50 EUR",
            "tea\u{fffd}",
        ] {
            assert!(text.contains(part), "{part} is not in\n{text}");
        }
        assert!(!text.contains("attempt"), "{text}");
    }

    #[test]
    fn times_are_cut_to_the_second() {
        assert_eq!(
            second(&json!("2026-11-21T03:24:10.123456Z")),
            "2026-11-21 03:24:10"
        );
        assert_eq!(second(&Value::Null), "");
    }
}
