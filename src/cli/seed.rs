//! `orderd seed`: sends some sample orders that look like a shop's, so that a new server has
//! something to show, or the sample data that an older service came with. It is for looking at, not
//! for measuring: `orderd load` does that.

mod dialect;
mod samples;

use clap::builder::PossibleValuesParser;
use comfy_table::Table;
use serde_json::{Value, json};

use self::dialect::Rows;
use super::api::{Api, Server};
use super::exit::Failure;
use super::load::mix;
use crate::order::Dialect;

const EXAMPLES: &str = "\
Examples:
  orderd seed                             50 orders that look like a shop's
  orderd seed --orders 500 --seed 7       always the same 500
  orderd seed --dialect orders_api        the sample data of an older service
  orderd seed --dialect api_v1 --hold     the same, and its open orders stay open";

/// Sends sample orders that look like a shop's, or those of an older service
#[derive(Clone, Debug, clap::Args)]
#[command(before_help = EXAMPLES)]
pub struct Arguments {
    /// How many
    #[arg(long, short = 'n', default_value_t = 50)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub orders: u32,
    /// Where to send them, and under which key.
    #[command(flatten)]
    pub server: Server,
    /// Chooses the orders; without it each time others [default: chosen by the key]
    #[arg(long)]
    pub seed: Option<u64>,
    /// Send the sample data of an older service instead; a second time changes nothing
    #[arg(long, value_name = "NAME", value_parser = dialects())]
    #[arg(conflicts_with_all = ["orders", "seed"])]
    pub dialect: Option<String>,
    /// Hold back its open orders, so that they stay open
    #[arg(long, requires = "dialect")]
    pub hold: bool,
    /// Print the created orders as JSON, one a line
    #[arg(long)]
    pub json: bool,
}

fn dialects() -> PossibleValuesParser {
    PossibleValuesParser::new(Dialect::ALL.map(Dialect::name))
}

const CUSTOMERS: [(&str, &str); 8] = [
    ("ada", "12 Analytical Row, London"),
    ("grace", "7 Harbour Street, Arlington"),
    ("edsger", "Plataanstraat 5, Nuenen"),
    ("barbara", "32 Vassar Street, Cambridge"),
    ("niklaus", "Clausiusstrasse 59, Zürich"),
    ("margaret", "575 Technology Square, Cambridge"),
    ("kristen", "Gaustadalléen 23, Oslo"),
    ("leslie", "1 Byzantine Way, Menlo Park"),
];

/// SKU and price in cents.
const GOODS: [(&str, u64); 10] = [
    ("espresso-beans-1kg", 2_490),
    ("filter-papers-100", 450),
    ("kettle-gooseneck", 7_900),
    ("mug-stoneware", 1_600),
    ("grinder-hand", 11_900),
    ("scale-0.1g", 3_450),
    ("tea-sencha-100g", 1_280),
    ("honey-lavender-250g", 990),
    ("biscuits-almond", 620),
    ("gift-card-wrap", 0),
];

const PRIORITIES: [u8; 5] = [1, 2, 2, 2, 3];
const CHANNELS: [&str; 3] = ["web", "app", "till"];
const NOTES: [&str; 4] = [
    "leave with the neighbour",
    "a gift: no invoice in the box",
    "ring twice",
    "call ahead",
];

/// Sends the orders and prints what became of them.
///
/// # Errors
///
/// No server at the address, or it refused an order.
pub fn run(arguments: &Arguments) -> anyhow::Result<u8> {
    if let Some(dialect) = &arguments.dialect {
        return insert(arguments, dialect);
    }
    let mut api = Api::new(&arguments.server)?;
    // The same orders under the same key.
    let chosen = arguments.seed.unwrap_or_else(|| seed_of(api.key()));
    let created = runtime()?.block_on(create(&mut api, chosen, arguments.orders))?;
    if arguments.json {
        for order in &created {
            super::output::line(order)?;
        }
    } else {
        super::output::line(&table(&created))?;
        eprintln!(
            "{} orders created; see them with `orderd orders list`",
            created.len()
        );
    }
    Ok(super::exit::OK)
}

fn insert(arguments: &Arguments, dialect: &str) -> anyhow::Result<u8> {
    let rows = Rows {
        dialect,
        server: &arguments.server,
        is_held: arguments.hold,
        is_json: arguments.json,
    };
    runtime()?.block_on(dialect::insert(rows))
}

fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
}

fn seed_of(key: &str) -> u64 {
    key.bytes().fold(0, |seed, byte| mix(seed, byte.into()))
}

async fn create(api: &mut Api, seed: u64, orders: u32) -> anyhow::Result<Vec<Value>> {
    let mut created = Vec::new();
    for number in 0..u64::from(orders) {
        let body = sample_order(seed, number).to_string();
        let answer = api.post("/v1/orders", &body, None).await?.success();
        let refused = |failure: Failure| failure.about(format_args!("order {number} of {orders}"));
        created.push(answer.map_err(refused)?.json);
    }
    Ok(created)
}

/// Order `number` of a seed: always the same one, and its lines add up to its total.
fn sample_order(seed: u64, number: u64) -> Value {
    let draw = |what: u64, below: usize| (mix(seed ^ (what << 40), number) % below as u64) as usize;
    let (customer, address) = CUSTOMERS[draw(1, CUSTOMERS.len())];
    let first = draw(2, GOODS.len());
    let mut total = 0;
    let mut items = Vec::new();
    for place in 0..=draw(3, 4) {
        let (sku, price) = GOODS[(first + place * 3) % GOODS.len()];
        let quantity = 1 + draw(4 + place as u64, 3) as u64;
        total += price * quantity;
        items.push(json!({"sku": sku, "quantity": quantity, "unit_price": price}));
    }
    let mut order = json!({
        "customer_id": customer,
        "items": items,
        "total": {"amount": total, "currency": "EUR"},
        "priority": PRIORITIES[draw(20, PRIORITIES.len())],
        "address": address,
        "metadata": {"channel": CHANNELS[draw(21, CHANNELS.len())]},
    });
    if draw(22, 3) == 0 {
        order["notes"] = NOTES[draw(23, NOTES.len())].into();
    }
    order
}

fn table(orders: &[Value]) -> Table {
    let mut table = Table::new();
    table.set_header(["order", "customer", "items", "total", "priority", "status"]);
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    for order in orders {
        let amount = order["total"]["amount"].as_u64().unwrap_or_default();
        table.add_row([
            text(&order["order_id"]),
            text(&order["customer_id"]),
            order["items"].as_array().map_or(0, Vec::len).to_string(),
            format!("{}.{:02} EUR", amount / 100, amount % 100),
            order["priority"].to_string(),
            text(&order["status"]),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_order_is_the_same_each_time_and_adds_up() {
        for number in 0..200 {
            let order = sample_order(42, number);
            assert_eq!(order, sample_order(42, number));
            let items = order["items"].as_array().unwrap();
            let sum: u64 = items
                .iter()
                .map(|item| {
                    item["quantity"].as_u64().unwrap() * item["unit_price"].as_u64().unwrap()
                })
                .sum();
            assert_eq!(order["total"]["amount"], sum);
            assert!((1..=4).contains(&items.len()));
        }
    }

    #[test]
    fn the_table_has_a_row_for_each_order() {
        let order = json!({"order_id": "o-1", "customer_id": "ada", "items": [1, 2],
            "total": {"amount": 1_205, "currency": "EUR"}, "priority": 2, "status": "pending"});
        let table = table(&[order]).to_string();
        assert!(
            table.contains("o-1") && table.contains("12.05 EUR"),
            "{table}"
        );
    }
}
