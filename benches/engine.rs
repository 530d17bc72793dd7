//! How many orders a second the engine takes and works off without HTTP, every commit on disk.
//!
//! Prints figures and judges none: `cargo bench --bench engine [-- ORDERS [IN_FLIGHT]]`.

use std::sync::Arc;
use std::time::Duration;

use orderd::clock::{SystemClock, monotonic};
use orderd::engine::{Engine, Settings, Start};
use orderd::order::{
    Currency, Money, NewOrder, Priority, Process, ProcessIndex, ShardNumber, Simulate, Spelling,
    StepKind, WantedId,
};
use orderd::store::sqlite::Sqlite;
use rand::SeedableRng;
use rand::rngs::StdRng;

/// What was ordered: two lines.
const PAYLOAD: &str = r#"{"items":[{"sku":"A-100","quantity":2,"unit_price":4500},
{"sku":"B-7","quantity":1,"amount":999}]}"#;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let numbers: Vec<u64> = std::env::args()
        .filter_map(|word| word.parse().ok())
        .collect();
    let orders = numbers.first().copied().unwrap_or(500_000);
    let in_flight = numbers.get(1).copied().unwrap_or(256);
    let runtime = tokio::runtime::Runtime::new()?;
    for (name, work) in [("accept", hours()), ("accept to completed", nothing())] {
        let folder = tempfile::tempdir()?;
        let engine = engine(folder.path(), work)?;
        let took = runtime.block_on(run(&engine, orders, in_flight));
        let stats = runtime
            .block_on(engine.handle().stats())
            .ok_or("the engine has ended")?;
        let per_second = orders as f64 / took.as_secs_f64();
        println!(
            "{name:20} {per_second:9.0} orders/s   {:5.1} orders/commit   p50 {} us, p99 {} us",
            stats.commit_orders.average(),
            stats.commit_time.p50,
            stats.commit_time.p99,
        );
        engine.handle().drain();
        engine.join()?;
    }
    Ok(())
}

/// Work that does not end during the run.
fn hours() -> Simulate {
    Simulate {
        shortest_us: 36_000_000_000,
        longest_us: 36_000_000_000,
        ..Simulate::default()
    }
}

/// Work that takes no time.
fn nothing() -> Simulate {
    Simulate {
        shortest_us: 0,
        longest_us: 0,
        ..Simulate::default()
    }
}

fn engine(folder: &std::path::Path, work: Simulate) -> Result<Engine, Box<dyn std::error::Error>> {
    let mut process = Process::built_in();
    process.steps[0].kind = StepKind::Simulate(work);
    Ok(Engine::start(Start {
        store: Arc::new(Sqlite::open(&folder.join("orders.db"), 1)?),
        shard: ShardNumber(0),
        processes: vec![process],
        settings: Settings {
            open_orders_max: 100_000_000,
            ..Settings::default()
        },
        clock: Arc::new(SystemClock::default()),
        random: StdRng::seed_from_u64(1),
    })?)
}

/// Keeps `in_flight` submits going until `orders` are accepted.
async fn run(engine: &Engine, orders: u64, in_flight: u64) -> Duration {
    let began_at = monotonic();
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..in_flight {
        let handle = engine.handle();
        tasks.spawn(async move {
            for _ in 0..orders / in_flight {
                assert!(
                    handle.submit(Box::new(order()), false).await.is_ok(),
                    "not accepted"
                );
            }
        });
    }
    tasks.join_all().await;
    began_at.elapsed()
}

fn order() -> NewOrder {
    let currency = Currency::from_code("USD");
    let total = currency.and_then(|currency| Money::new(9_999, currency).ok());
    NewOrder {
        id: WantedId::Made(Spelling::Uuid),
        idempotency_key: None,
        customer_id: "customer-4711".into(),
        total: total.unwrap_or_else(|| unreachable!("USD is a currency")),
        item_count: 1,
        priority: Priority::Medium,
        process: ProcessIndex(0),
        payload: PAYLOAD.into(),
        start_at: None,
        expires_at: None,
        hold: None,
        past: None,
    }
}
