//! `orderd orders list`: orders that match, newest first, page after page.
//! Keeps one page at a time, so `--all` may be a million orders.

use serde_json::Value;

use super::Client;
use super::show::{cell, second, table};
use crate::cli::client::encoded;
use crate::cli::{exit, output};

/// Most orders the server gives in one page.
const PAGE_ORDERS_MAX: u64 = 1_000;

const EXAMPLES: &str = "\
Examples:
  orderd orders list
  orderd orders list --status processing --priority 1
  orderd orders list --held
  orderd orders list --customer ada --all --json | jq -r '.data[].order_id'";

/// List orders, newest first
#[derive(Clone, Debug, clap::Args)]
#[command(before_help = EXAMPLES)]
pub struct Arguments {
    /// Only with this status, such as pending, processing, dead or completed
    #[arg(long)]
    status: Option<String>,
    /// Only of this customer
    #[arg(long)]
    customer: Option<String>,
    /// Only with this priority
    #[arg(long, value_parser = clap::value_parser!(u8).range(1..=3))]
    priority: Option<u8>,
    /// Only with this process
    #[arg(long, value_name = "NAME")]
    process: Option<String>,
    /// Only those that are held back
    #[arg(long)]
    held: bool,
    /// Only created at this time or later, such as 2026-11-21T03:00:00Z
    #[arg(long, value_name = "TIME")]
    created_after: Option<String>,
    /// Only created before this time
    #[arg(long, value_name = "TIME")]
    created_before: Option<String>,
    /// How many at most
    #[arg(long, short = 'n', default_value_t = 50)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..))]
    limit: u64,
    /// As many as there are
    #[arg(long, conflicts_with = "limit")]
    all: bool,
}

impl Arguments {
    fn path(&self, limit: u64, after: Option<&str>) -> String {
        let priority = self.priority.map(|priority| priority.to_string());
        let filters = [
            ("status", self.status.as_deref()),
            ("customer_id", self.customer.as_deref()),
            ("priority", priority.as_deref()),
            ("process", self.process.as_deref()),
            ("held", self.held.then_some("true")),
            ("created_after", self.created_after.as_deref()),
            ("created_before", self.created_before.as_deref()),
            ("after", after),
        ];
        let mut path = format!("/v1/orders?limit={limit}");
        for (key, value) in filters {
            if let Some(value) = value {
                path.push_str(&format!("&{key}={}", encoded(value)));
            }
        }
        path
    }
}

/// Prints page after page, with `--json` each as the server sent it.
pub(super) async fn run(arguments: &Arguments, client: &mut Client) -> anyhow::Result<u8> {
    let mut left = if arguments.all {
        u64::MAX
    } else {
        arguments.limit
    };
    let mut after: Option<String> = None;
    let mut orders = Vec::new();
    loop {
        let path = arguments.path(left.min(PAGE_ORDERS_MAX), after.as_deref());
        let answer = client.api.get(&path).await?;
        let mut page = client.accept(answer)?.json;
        if let Value::Array(data) = page["data"].take() {
            left = left.saturating_sub(data.len() as u64);
            orders.extend(data);
        }
        let has_more = page["has_more"] == true;
        after = page["next_cursor"].as_str().map(str::to_owned);
        let is_last = !has_more || after.is_none() || left == 0;
        if !client.is_json && (orders.len() as u64 >= PAGE_ORDERS_MAX || is_last) {
            print(&orders, has_more && is_last)?;
        }
        if client.is_json || orders.len() as u64 >= PAGE_ORDERS_MAX {
            orders.clear();
        }
        if is_last {
            return Ok(exit::OK);
        }
    }
}

fn print(orders: &[Value], has_more: bool) -> anyhow::Result<()> {
    if orders.is_empty() {
        eprintln!("no orders");
        return Ok(());
    }
    let mut table = table();
    table.set_header([
        "order",
        "customer",
        "items",
        "total",
        "priority",
        "status",
        "step",
        "created (UTC)",
    ]);
    for order in orders {
        table.add_row([
            cell("order_id", &order["order_id"]),
            cell("customer_id", &order["customer_id"]),
            order["items"].as_array().map_or(0, Vec::len).to_string(),
            cell("total", &order["total"]),
            cell("priority", &order["priority"]),
            status(order),
            cell("step", &order["step"]),
            second(&order["created_at"]),
        ]);
    }
    output::line(&table)?;
    if has_more {
        eprintln!("there are more: raise --limit, or use --all");
    }
    Ok(())
}

/// The status, and whether anything holds the order back.
fn status(order: &Value) -> String {
    let status = cell("status", &order["status"]);
    match order["hold"].is_null() {
        true => status,
        false => format!("{status}, held"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_go_into_the_query() {
        let arguments = Arguments {
            status: Some("dead".into()),
            customer: Some("a&b".into()),
            priority: Some(1),
            process: None,
            held: true,
            created_after: Some("2026-11-21T03:00:00+01:00".into()),
            created_before: None,
            limit: 5,
            all: false,
        };
        assert_eq!(
            arguments.path(5, Some("c=1")),
            "/v1/orders?limit=5&status=dead&customer_id=a%26b&priority=1\
             &held=true&created_after=2026-11-21T03%3A00%3A00%2B01%3A00&after=c%3D1"
        );
    }
}
