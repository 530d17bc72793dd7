//! The arguments of `orderd load`: what may be written, and what it means ([`Settings`]).
//! Relations between arguments are checked once, here; nothing below checks them again.

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{FalseyValueParser, PossibleValue, PossibleValuesParser, RangedI64ValueParser};

use super::notation::{Span, Weights, count, duration};
use super::thresholds::Threshold;
use crate::cli::client::Target;
use crate::cli::exit::{self, Failure};
use crate::cli::scenario::{self, Scenario};

/// Seconds that are sent when neither `--duration` nor `--orders` nor `--file` is given.
const DURATION_DEFAULT: Duration = Duration::from_secs(10);
/// The most orders one run may make: their numbers have nine digits.
pub const ORDERS_MAX: u64 = 999_999_999;
/// The server, unless another is named.
const URL_DEFAULT: &str = "http://127.0.0.1:7070";
/// Where dialects and the native API are found together.
const NATIVE_URL_OF_DIALECTS: &str = "http://localhost:8080";
/// How long orders may take to end after a run.
const PATIENCE_DEFAULT: Duration = Duration::from_secs(60);
/// The same after a scenario, whose orders all come at once and then work for seconds.
const SCENARIO_PATIENCE: Duration = Duration::from_secs(300);
/// What a scenario asks of a run besides the thresholds of the command line.
const SCENARIO_THRESHOLD: &str = "accepted==100%";
/// Arguments whose values are a scenario's to choose.
const FIXED_BY_SCENARIO: [&str; 14] = [
    "connections",
    "rate",
    "duration",
    "orders",
    "batch",
    "priorities",
    "customers",
    "items",
    "process",
    "client_ids",
    "no_client_ids",
    "file",
    "pace",
    "timeout",
];

const EXAMPLES: &str = "\
Examples:
  orderd load                                    64 connections, 10 seconds, as fast as they can
  orderd load --connections 256 --duration 1m --threshold 'p99<15ms'
  orderd load --rate 10k --duration 30s          open loop: 10,000 orders/s, whatever happens
  orderd load --batch 100 --orders 1m            100 orders a request, a million in all
  orderd load --file orders.ndjson.gz            real orders, with a reconciliation at the end
  orderd load --file orders.ndjson --pace 100    at their own pace, 100 times as fast
  orderd load --scenario api_v1_1000             what the load tool of an older service sends

Thresholds: min mean p50 p75 p90 p95 p99 p99.9 p99.99 max refused_p99 (times), accepted_rate
request_rate final_rate (per second), accepted existing refused errors aborted missing open dead
(counts, or % of the orders sent); compared with < <= > >= ==.

Exit codes: 0 all is well, 1 an order is missing, doubled, ended twice or still open (or a line of
a file got no answer), 2 usage, 4 no server answers, 99 a threshold was missed.";

/// Sends orders at a server and proves that every acknowledged one exists and ended exactly once
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// Server to send to [default: http://127.0.0.1:7070, or the usual port of the scenario]
    #[arg(long)]
    pub url: Option<String>,
    /// Send what the load tool of an older service sends (docs/compatibility.md)
    #[arg(long, value_name = "NAME", value_parser = scenarios())]
    #[arg(conflicts_with_all = FIXED_BY_SCENARIO)]
    pub scenario: Option<String>,
    /// Let a scenario send that tool's own ids, without the suffix that makes them fresh
    #[arg(long, requires = "scenario")]
    pub exact_ids: bool,
    /// Native API where the orders of a scenario are read back [default: port 8080]
    #[arg(long, value_name = "URL", env = "ORDERD_URL")]
    pub native_url: Option<String>,
    /// Connections; in the closed loop each sends as soon as it is answered
    #[arg(long, short, default_value_t = 64, value_parser = at_most(20_000))]
    pub connections: u32,
    /// Threads that send
    #[arg(long, default_value_t = 1, value_parser = at_most(256))]
    pub threads: u32,
    /// Open loop: orders per second at fixed times; latency counts from the planned time
    #[arg(long, value_parser = count, value_name = "ORDERS/S")]
    pub rate: Option<u64>,
    /// How long to send, such as 10s, 1m or 250ms [default: 10s without --orders and --file]
    #[arg(long, short, value_parser = duration)]
    pub duration: Option<Duration>,
    /// How many orders to send at most, such as 50000, 100k or 1m
    #[arg(long, short = 'n', value_parser = count)]
    pub orders: Option<u64>,
    /// Orders per request; more than 1 goes to the batch route
    #[arg(long, short, default_value_t = 1, value_parser = at_most(10_000))]
    pub batch: u32,
    /// Shares of the priorities 1 (high), 2 and 3 (low)
    #[arg(long, default_value = "1:2:7", conflicts_with = "file")]
    pub priorities: Weights,
    /// Distinct customers
    #[arg(long, default_value = "10k", value_parser = count, conflicts_with = "file")]
    pub customers: u64,
    /// Items per order: a number or a range, at most 1000
    #[arg(long, default_value = "1..5", conflicts_with = "file")]
    pub items: Span,
    /// Process that the orders go through [default: the server's]
    #[arg(long, value_name = "NAME", conflicts_with = "file")]
    pub process: Option<String>,
    /// Choose the order ids, load-RUN-N (this is the default)
    #[arg(long, overrides_with = "no_client_ids", conflicts_with = "file")]
    pub client_ids: bool,
    /// Let the server choose the order ids
    #[arg(long, conflicts_with = "file")]
    pub no_client_ids: bool,
    /// Seed of the generated orders: the same seed makes the same orders
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Send the orders of this file, one JSON object a line, plain or gzip
    #[arg(long, short)]
    pub file: Option<PathBuf>,
    /// Send a file at its own pace (metadata.placed_at), this many times as fast
    #[arg(long, value_name = "FACTOR", value_parser = pace)]
    #[arg(requires = "file", conflicts_with = "rate")]
    pub pace: Option<f64>,
    /// How long a request may wait for its answer
    #[arg(long, default_value = "30s", value_parser = duration)]
    pub timeout: Duration,
    /// How long requests on their way are waited for when the sending is over
    #[arg(long, default_value = "5s", value_parser = duration)]
    pub grace: Duration,
    /// What the run must reach, such as 'p99<15ms' or 'refused<1%'; may be repeated
    #[arg(long, short, value_name = "METRIC<LIMIT")]
    pub threshold: Vec<Threshold>,
    /// Do not read the orders back at the end
    #[arg(long)]
    pub no_verify: bool,
    /// How long to wait at the end until every order has ended [default: 60s, scenarios 5m]
    #[arg(long, value_parser = duration, conflicts_with = "no_verify")]
    pub verify_timeout: Option<Duration>,
    /// Orders still open at the end are no failure
    #[arg(long, conflicts_with = "no_verify")]
    pub allow_open: bool,
    /// Print one JSON document instead of the report
    #[arg(long)]
    pub json: bool,
    /// Plain progress lines instead of the live screen
    #[arg(long)]
    pub no_tui: bool,
    /// No colours
    #[arg(long, env = "NO_COLOR", value_parser = FalseyValueParser::new(), hide_env_values = true)]
    pub no_color: bool,
}

/// How fast orders are sent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Tempo {
    /// Closed loop: each connection as soon as it is answered.
    Closed,
    /// Open loop: this many orders per second, at least 1.
    Rate(u64),
    /// As the file's orders were placed, this many times as fast; above 0.
    Pace(f64),
}

/// What the arguments mean.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where orders are sent.
    pub target: Target,
    /// Where they are read back.
    pub native: Target,
    /// What is sent instead of generated orders.
    pub scenario: Option<Scenario>,
    /// What the run must reach.
    pub thresholds: Vec<Threshold>,
    /// How long orders may take to end after the run.
    pub patience: Duration,
    /// How fast.
    pub tempo: Tempo,
    /// When to stop sending, if not when the orders are used up.
    pub duration: Option<Duration>,
    /// The most orders to send.
    pub orders_max: u64,
    /// Where the orders come from.
    pub file: Option<PathBuf>,
    /// The rest, as it was written.
    pub arguments: Arguments,
}

impl Settings {
    /// Checks the relations between the arguments.
    ///
    /// # Errors
    ///
    /// A [`Failure`] with the usage code that names the argument, its value and the bound.
    pub fn check(arguments: &Arguments) -> Result<Self, Failure> {
        let usage = |what: String, must_be: &str| Err(Failure::new(exit::USAGE, what, must_be));
        let scenario = arguments.scenario.as_deref().and_then(scenario::named);
        let (target, native) = targets(arguments, scenario)?;
        let tempo = match (arguments.rate, arguments.pace) {
            (Some(0), _) => return usage("--rate is 0".to_owned(), "it must be at least 1"),
            (Some(rate), _) => Tempo::Rate(rate),
            (None, Some(factor)) => Tempo::Pace(factor),
            (None, None) => Tempo::Closed,
        };
        let orders_max = arguments.orders.unwrap_or(ORDERS_MAX);
        if orders_max == 0 || orders_max > ORDERS_MAX {
            let must_be = format!("it must be 1 to {ORDERS_MAX}");
            return usage(format!("--orders is {orders_max}"), &must_be);
        }
        if arguments.customers == 0 || arguments.customers > 99_999_999 {
            let what = format!("--customers is {}", arguments.customers);
            return usage(what, "it must be 1 to 99,999,999");
        }
        if arguments.items.to > 1_000 {
            let what = format!("--items is {}", arguments.items);
            return usage(what, "an order has at most 1000");
        }
        if arguments
            .duration
            .is_some_and(|duration| duration.is_zero())
        {
            return usage("--duration is 0".to_owned(), "it must be longer");
        }
        let (orders, file) = (&arguments.orders, &arguments.file);
        let bounded = orders.is_some() || file.is_some() || scenario.is_some();
        let duration = match arguments.duration {
            None if !bounded => Some(DURATION_DEFAULT),
            duration => duration,
        };
        Ok(Self {
            target,
            native,
            scenario: scenario.cloned(),
            thresholds: thresholds(arguments),
            patience: patience(arguments),
            tempo,
            duration,
            orders_max,
            file: arguments.file.clone(),
            arguments: arguments.clone(),
        })
    }
}

/// Where orders are sent, and where they are read back.
fn targets(
    arguments: &Arguments,
    scenario: Option<&Scenario>,
) -> Result<(Target, Target), Failure> {
    let (url, native_url) = (arguments.url.as_deref(), arguments.native_url.as_deref());
    let Some(scenario) = scenario else {
        let target = Target::parse(url.or(native_url).unwrap_or(URL_DEFAULT))?;
        return Ok((target.clone(), target));
    };
    let target = Target::parse(url.unwrap_or(&scenario.url()))?;
    let native = match native_url {
        Some(url) => Target::parse(url)?,
        None if scenario.door.dialect.has_native_api() => target.clone(),
        None => Target::parse(NATIVE_URL_OF_DIALECTS)?,
    };
    Ok((target, native))
}

fn thresholds(arguments: &Arguments) -> Vec<Threshold> {
    let of_scenario = arguments.scenario.iter();
    let of_scenario = of_scenario.filter_map(|_| SCENARIO_THRESHOLD.parse().ok());
    of_scenario
        .chain(arguments.threshold.iter().cloned())
        .collect()
}

fn patience(arguments: &Arguments) -> Duration {
    let default = match arguments.scenario {
        Some(_) => SCENARIO_PATIENCE,
        None => PATIENCE_DEFAULT,
    };
    arguments.verify_timeout.unwrap_or(default)
}

/// The names of all scenarios, each with what it sends.
fn scenarios() -> PossibleValuesParser {
    let value =
        |scenario: &'static Scenario| PossibleValue::new(scenario.name).help(scenario.about);
    PossibleValuesParser::new(scenario::all().map(value))
}

fn at_most(max: i64) -> RangedI64ValueParser<u32> {
    clap::value_parser!(u32).range(1..=max)
}

fn pace(text: &str) -> Result<f64, String> {
    match text.trim_end_matches(['x', 'X']).parse::<f64>() {
        Ok(factor) if factor.is_finite() && factor > 0.0 => Ok(factor),
        _ => Err(format!(
            "'{text}' is not a factor above 0 such as 1, 100 or 0.5"
        )),
    }
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

    fn check(arguments: &str) -> Result<Settings, String> {
        let words = std::iter::once("load").chain(arguments.split_whitespace());
        let whole = Whole::try_parse_from(words).map_err(|error| error.to_string())?;
        Settings::check(&whole.arguments).map_err(|failure| failure.message)
    }

    #[test]
    fn the_defaults_are_a_closed_loop_of_ten_seconds_with_client_ids() {
        let settings = check("").unwrap();
        assert_eq!(settings.tempo, Tempo::Closed);
        assert_eq!(settings.duration, Some(Duration::from_secs(10)));
        assert_eq!(settings.arguments.connections, 64);
        assert!(!settings.arguments.no_client_ids);
        assert!(!settings.arguments.no_color);
    }

    #[test]
    fn a_number_of_orders_or_a_file_has_no_time_limit_of_its_own() {
        assert_eq!(check("--orders 1m").unwrap().duration, None);
        assert_eq!(check("--file a.ndjson").unwrap().duration, None);
        let both = check("--orders 5 --duration 1m").unwrap();
        assert_eq!(
            (both.orders_max, both.duration),
            (5, Some(Duration::from_secs(60)))
        );
    }

    #[test]
    fn a_scenario_knows_its_port_and_is_read_back_where_the_native_api_is() {
        for (arguments, url, native) in [
            ("", "127.0.0.1:7070", "127.0.0.1:7070"),
            ("--native-url http://a:1", "a:1", "a:1"),
            ("--url b:2 --native-url a:1", "b:2", "b:2"),
            ("--scenario realtime", "localhost:8080", "localhost:8080"),
            ("--scenario realtime --url b:2", "b:2", "b:2"),
            ("--scenario api_v1_1000", "localhost:8000", "localhost:8080"),
            (
                "--scenario orders_api_1000 --native-url a:1",
                "localhost:3000",
                "a:1",
            ),
        ] {
            let settings = check(arguments).unwrap();
            let read = (settings.target.authority(), settings.native.authority());
            assert_eq!(read, (url, native), "{arguments}");
        }
        let settings = check("--scenario realtime --threshold p99<1s").unwrap();
        let thresholds = settings.thresholds.iter().map(Threshold::to_string);
        assert_eq!(thresholds.collect::<Vec<_>>(), ["accepted==100%", "p99<1s"]);
        assert_eq!(
            (settings.duration, settings.patience),
            (None, SCENARIO_PATIENCE)
        );
    }

    #[test]
    fn names_what_does_not_go_together() {
        for arguments in [
            "--rate 0",
            "--orders 0",
            "--orders 1000000000",
            "--duration 0s",
            "--customers 0",
            "--items 1..2000",
            "--batch 10001",
            "--connections 0",
            "--pace 2",
            "--file a --rate 5 --pace 2",
            "--file a --pace 0",
            "--file a --process b",
            "--url https://x",
            "--url http://x/y",
            "--threshold p98<1ms",
            "--scenario unheard_of",
            "--scenario realtime --rate 5",
            "--scenario realtime --connections 64",
            "--exact-ids",
        ] {
            assert!(check(arguments).is_err(), "{arguments}");
        }
    }
}
