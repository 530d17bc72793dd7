//! `orderd dead`: looks at dead letters at a server and lets them try again.
//!
//! Goes through them page by page. Nothing is tried again without a filter or `--all`.

use serde_json::{Map, Value, json};

use super::api::{Server, plain};
use super::client::encoded;
use super::orders::Client;
use super::orders::show::{cell, second, table};
use super::{Globals, exit, output};
use crate::cli::exit::Failure;

/// Orders in one request.
const PAGE_ORDERS_MAX: u64 = 1_000;

const EXAMPLES: &str = "\
Examples:
  orderd dead list
  orderd dead list --step payment --failure 'timed out'
  orderd dead list --created-after 2026-11-21T00:00:00Z
  orderd dead replay --step payment --dry-run
  orderd dead replay --step payment --reason 'the bank is back' --by ada
  orderd dead replay --all";

/// Look at dead orders and let them try again
#[derive(Clone, Debug, clap::Args)]
#[command(before_help = EXAMPLES)]
pub struct Arguments {
    #[command(flatten)]
    server: Server,
    #[command(subcommand)]
    command: Command,
}

#[derive(Clone, Debug, clap::Subcommand)]
enum Command {
    List(List),
    Replay(Replay),
}

/// List dead orders, newest first
#[derive(Clone, Debug, clap::Args)]
struct List {
    #[command(flatten)]
    filter: Filter,
    /// How many at most
    #[arg(long, short = 'n', default_value_t = 50)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..))]
    limit: u64,
    /// As many as there are
    #[arg(long, conflicts_with = "limit")]
    all: bool,
}

/// Let dead orders try again, with as many attempts as at first
#[derive(Clone, Debug, clap::Args)]
struct Replay {
    #[command(flatten)]
    filter: Filter,
    /// All of them, without a filter
    #[arg(long)]
    all: bool,
    /// Only count them
    #[arg(long)]
    dry_run: bool,
    /// Why, for the orders' histories
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Who asks, for the orders' histories
    #[arg(long, value_name = "NAME", env = "ORDERD_BY")]
    by: Option<String>,
}

/// Which dead orders.
#[derive(Clone, Debug, Default, clap::Args)]
struct Filter {
    /// Only of this process
    #[arg(long, value_name = "NAME")]
    process: Option<String>,
    /// Only those that died at this step
    #[arg(long, value_name = "NAME")]
    step: Option<String>,
    /// Only of this customer
    #[arg(long)]
    customer: Option<String>,
    /// Only with this priority
    #[arg(long, value_parser = clap::value_parser!(u8).range(1..=3))]
    priority: Option<u8>,
    /// Only those whose last failure contains this
    #[arg(long, value_name = "TEXT")]
    failure: Option<String>,
    /// Only those created at this time or later, such as 2026-11-21T03:00:00Z
    #[arg(long, value_name = "TIME")]
    created_after: Option<String>,
    /// Only those created before this time
    #[arg(long, value_name = "TIME")]
    created_before: Option<String>,
}

impl Filter {
    fn texts(&self) -> [(&'static str, Option<&str>); 6] {
        [
            ("process", self.process.as_deref()),
            ("step", self.step.as_deref()),
            ("customer_id", self.customer.as_deref()),
            ("failure", self.failure.as_deref()),
            ("created_after", self.created_after.as_deref()),
            ("created_before", self.created_before.as_deref()),
        ]
    }

    fn is_empty(&self) -> bool {
        self.priority.is_none() && self.texts().iter().all(|(_, text)| text.is_none())
    }

    fn path(&self, limit: u64, after: Option<&str>) -> String {
        let mut path = format!("/v1/dead-letters?limit={limit}");
        let priority = self.priority.map(|priority| priority.to_string());
        let others = [("priority", priority.as_deref()), ("after", after)];
        for (key, text) in self.texts().into_iter().chain(others) {
            if let Some(text) = text {
                path.push_str(&format!("&{key}={}", encoded(text)));
            }
        }
        path
    }

    fn json(&self) -> Value {
        let mut filter = Map::new();
        for (key, text) in self.texts() {
            if let Some(text) = text {
                filter.insert(key.into(), text.into());
            }
        }
        if let Some(priority) = self.priority {
            filter.insert("priority".into(), priority.into());
        }
        filter.into()
    }
}

/// Runs the command.
///
/// # Errors
///
/// Bad usage, no server at the address, or what the server refused.
pub fn run(arguments: &Arguments, globals: &Globals) -> anyhow::Result<u8> {
    let mut client = Client::new(&arguments.server, globals)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        match &arguments.command {
            Command::List(arguments) => list(arguments, &mut client).await,
            Command::Replay(arguments) => replay(arguments, &mut client).await,
        }
    })
}

/// Prints page after page, with `--json` each as the server sent it.
async fn list(arguments: &List, client: &mut Client) -> anyhow::Result<u8> {
    let mut left = if arguments.all {
        u64::MAX
    } else {
        arguments.limit
    };
    let mut after: Option<String> = None;
    let mut is_any = false;
    while left > 0 {
        let limit = left.min(PAGE_ORDERS_MAX);
        let path = arguments.filter.path(limit, after.as_deref());
        let answer = client.api.get(&path).await?;
        let page = client.accept(answer)?.json;
        let orders = page["data"].as_array().cloned().unwrap_or_default();
        left = left.saturating_sub(orders.len() as u64);
        is_any |= !orders.is_empty();
        if !client.is_json && !orders.is_empty() {
            output::line(&letters(&orders))?;
        }
        after = page["next_cursor"].as_str().map(str::to_owned);
        if page["has_more"] != true || after.is_none() {
            break;
        }
        if left == 0 && !client.is_json {
            eprintln!("there are more: raise --limit, or use --all");
        }
    }
    if !is_any && !client.is_json {
        eprintln!("no dead orders");
    }
    Ok(exit::OK)
}

fn letters(orders: &[Value]) -> comfy_table::Table {
    let mut table = table();
    table.set_header([
        "order",
        "customer",
        "process",
        "step",
        "attempts",
        "dead since (UTC)",
        "last failure",
    ]);
    for order in orders {
        table.add_row([
            cell("order_id", &order["order_id"]),
            cell("customer_id", &order["customer_id"]),
            cell("process", &order["process"]),
            cell("step", &order["step"]),
            cell("attempt", &order["attempt"]),
            second(&order["dead_since"]),
            cell("reason", &order["reason"]),
        ]);
    }
    table
}

/// Replays page after page and adds up what became of them.
async fn replay(arguments: &Replay, client: &mut Client) -> anyhow::Result<u8> {
    if arguments.filter.is_empty() && !arguments.all {
        let what = "it is not said which dead orders are to try again";
        let way_out = "name them, such as --step payment, or use --all";
        return Err(Failure::new(exit::USAGE, what, way_out).into());
    }
    let (mut matched, mut replayed, mut skipped) = (0, 0, 0);
    let mut request = request(arguments);
    loop {
        let path = "/v1/dead-letters/replay";
        let answer = client.api.post(path, &request.to_string(), None).await;
        let page = answer.and_then(|answer| Ok(client.accept(answer)?.json));
        let page = page.inspect_err(|_| {
            if matched > 0 {
                let told = told(arguments.dry_run, matched, replayed, skipped);
                eprintln!("until it failed: {told}; start it again to go on");
            }
        })?;
        let count = |key: &str| page[key].as_u64().unwrap_or(0);
        matched += count("matched");
        replayed += count("replayed");
        skipped += count("skipped");
        if page["has_more"] != true || page["next_cursor"].is_null() {
            break;
        }
        eprintln!("{matched} so far");
        request["after"] = page["next_cursor"].clone();
    }
    if !client.is_json {
        output::line(&told(arguments.dry_run, matched, replayed, skipped))?;
    }
    Ok(exit::OK)
}

fn request(arguments: &Replay) -> Value {
    let mut request = json!({
        "filter": arguments.filter.json(),
        "dry_run": arguments.dry_run,
        "limit": PAGE_ORDERS_MAX,
    });
    for (key, text) in [("reason", &arguments.reason), ("by", &arguments.by)] {
        if let Some(text) = text {
            request[key] = text.as_str().into();
        }
    }
    request
}

fn told(is_dry_run: bool, matched: u64, replayed: u64, skipped: u64) -> String {
    match (is_dry_run, skipped) {
        (true, _) => format!("{matched} would be tried again"),
        (false, 0) => format!("{replayed} are tried again"),
        (false, _) => plain(&format!(
            "{replayed} are tried again; {skipped} were changed in between and left alone"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter() -> Filter {
        Filter {
            step: Some("pay".into()),
            failure: Some("timed out".into()),
            priority: Some(1),
            ..Filter::default()
        }
    }

    #[test]
    fn a_filter_goes_into_a_query_and_into_a_body() {
        assert_eq!(
            filter().path(5, Some("c1")),
            "/v1/dead-letters?limit=5&step=pay&failure=timed%20out&priority=1&after=c1"
        );
        let expected = json!({"step": "pay", "failure": "timed out", "priority": 1});
        assert_eq!(filter().json(), expected);
        assert!(Filter::default().is_empty() && !filter().is_empty());
    }

    #[test]
    fn what_became_of_them_is_one_line() {
        assert_eq!(told(true, 5, 0, 0), "5 would be tried again");
        assert_eq!(told(false, 5, 5, 0), "5 are tried again");
        let skipped = "4 are tried again; 1 were changed in between and left alone";
        assert_eq!(told(false, 5, 4, 1), skipped);
    }
}
