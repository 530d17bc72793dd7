//! Webhooks: a receiver that is away while events pile up, and what it gets once it is back.
//!
//! An event that never comes, or comes before an earlier one of its order, makes the run void.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use orderd::clock::monotonic;
use serde::Deserialize;

use super::http;
use super::load::{Amount, Sending};
use super::overload::lines;
use super::record::{Block, Record};
use super::server::{Server, Side, Work};
use super::stage::{Stage, figures};
use super::tables::Table;

/// The name in the record.
pub const NAME: &str = "webhooks";
const SIDE: Side = Side::Orderd(Work::Instant);
/// Events of an order that is done at once: accepted, started, completed.
const EVENTS_EACH: u64 = 3;
/// Orders whose events pile up.
const ORDERS: u64 = 33_334;
const ORDERS_QUICK: u64 = 2_000;
const PATIENCE: Duration = Duration::from_secs(200);
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// A receiver that comes back to everything that happened while it was away.
///
/// # Errors
///
/// A server failed, or the receiver does not get everything in order.
pub fn measure(stage: &mut Stage) -> anyhow::Result<()> {
    for round in 1..=stage.plan.rounds {
        play(stage, round)?;
    }
    Ok(())
}

fn play(stage: &mut Stage, round: u32) -> anyhow::Result<()> {
    let orders = if stage.plan.quick {
        ORDERS_QUICK
    } else {
        ORDERS
    };
    let events = orders * EVENTS_EACH;
    stage.announce(format!("webhooks {round}: {events} events pile up"));
    let folder = stage.fresh()?;
    let mut server = Server::start(&stage.programs, SIDE, folder.path())?;
    // Nobody listens there before the receiver is back.
    let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let body = format!("{{\"url\":\"http://{address}/\"}}");
    let made = http::post(server.address, "/v1/webhooks", "application/json", &body)?;
    ensure!(made.status == 201, "the webhook was not made");
    let sending = Sending {
        address: server.address,
        amount: Amount::Orders(orders),
        connections: 4,
    };
    sending.run(stage)?;
    server.wait_until(PATIENCE, |stats| stats.completed == orders)?;
    let before = server.memory()?.resident_bytes;
    let window = stage.open_window(&server)?;
    stage.announce(format!("webhooks {round}: the receiver is back"));
    let (back_at, receiver) = (monotonic(), Receiver::start(address)?);
    let mut peak = before;
    while receiver.events() < events {
        server.must_be_alive()?;
        if back_at.elapsed() > PATIENCE {
            bail!("{} of {events} events came", receiver.events());
        }
        peak = peak.max(server.memory()?.resident_bytes);
        sleep(LOOK_EVERY);
    }
    let took = back_at.elapsed().as_secs_f64();
    let taken = receiver.taken();
    ensure!(
        taken.out_of_order == 0,
        "{} events came before earlier ones of their order",
        taken.out_of_order
    );
    let first = taken.first_at.context("nothing came")?;
    let waited = first.duration_since(back_at).as_secs_f64();
    let mut all = window.close(&server, events as f64)?;
    all.extend(figures([
        ("events", taken.events as f64),
        ("doubled", taken.doubled as f64),
        ("seconds_until_first", waited),
        ("seconds_until_all", took),
        ("events_per_second", taken.events as f64 / (took - waited)),
        ("growth_mib", (peak - before) / 1_048_576.0),
    ]));
    stage.keep(Block {
        measure: NAME.to_owned(),
        side: SIDE.name().to_owned(),
        round,
        figures: all,
    })
}

/// What came.
#[derive(Debug, Default)]
struct Taken {
    /// The latest version of each order.
    versions: HashMap<String, u64>,
    events: u64,
    doubled: u64,
    out_of_order: u64,
    first_at: Option<Instant>,
}

#[derive(Deserialize)]
struct Message {
    data: Event,
}

#[derive(Deserialize)]
struct Event {
    order_id: String,
    version: u64,
}

impl Taken {
    fn take(&mut self, Event { order_id, version }: Event) {
        let before = self.versions.entry(order_id).or_default();
        if version <= *before {
            self.doubled += 1;
            return;
        }
        if version != *before + 1 {
            self.out_of_order += 1;
        }
        *before = version;
        self.events += 1;
    }
}

/// Takes everything, in a thread of its own until the program ends.
struct Receiver(Arc<Mutex<Taken>>);

impl Receiver {
    fn start(address: SocketAddr) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let taken = Arc::new(Mutex::new(Taken::default()));
        let own = Arc::clone(&taken);
        std::thread::spawn(move || runtime.block_on(serve(listener, own)));
        Ok(Self(taken))
    }

    fn events(&self) -> u64 {
        lock(&self.0).events
    }

    fn taken(&self) -> Taken {
        std::mem::take(&mut *lock(&self.0))
    }
}

fn lock(taken: &Mutex<Taken>) -> std::sync::MutexGuard<'_, Taken> {
    taken.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn serve(listener: TcpListener, taken: Arc<Mutex<Taken>>) -> anyhow::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    loop {
        let (stream, _) = listener.accept().await?;
        let taken = Arc::clone(&taken);
        let service = service_fn(move |request| answer(request, Arc::clone(&taken)));
        let connection = hyper::server::conn::http1::Builder::new();
        tokio::spawn(connection.serve_connection(TokioIo::new(stream), service));
    }
}

async fn answer(
    request: Request<Incoming>,
    taken: Arc<Mutex<Taken>>,
) -> Result<Response<Empty<Bytes>>, Infallible> {
    let mut response = Response::new(Empty::new());
    let body = request.into_body().collect().await;
    let body = body
        .map(http_body_util::Collected::to_bytes)
        .unwrap_or_default();
    match serde_json::from_slice::<Message>(&body) {
        Ok(message) => {
            let mut taken = lock(&taken);
            taken.first_at.get_or_insert_with(monotonic);
            taken.take(message.data);
        }
        Err(_) => *response.status_mut() = hyper::StatusCode::BAD_REQUEST,
    }
    Ok(response)
}

/// The figures with their goals.
pub fn table(record: &Record) -> Table {
    const LINES: [(&str, &str, usize, &str); 6] = [
        (
            "events that the receiver got, in order per order",
            "events",
            0,
            "all",
        ),
        ("of these more than once", "doubled", 0, ""),
        (
            "until the first, after it was back (s)",
            "seconds_until_first",
            1,
            "",
        ),
        ("until the last (s)", "seconds_until_all", 1, ""),
        ("between them (1/s)", "events_per_second", 0, ""),
        ("growth of the server's memory (MiB)", "growth_mib", 1, ""),
    ];
    let title = "Webhooks: a receiver that was away for 100,000 events";
    lines(title, record, (NAME, SIDE), &LINES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_is_that_of_each_order() {
        let mut taken = Taken::default();
        let mut take = |order: &str, version| {
            let order_id = order.to_owned();
            taken.take(Event { order_id, version });
        };
        for (order, version) in [("a", 1), ("b", 1), ("a", 2), ("a", 2), ("b", 3)] {
            take(order, version);
        }
        assert_eq!((taken.events, taken.doubled, taken.out_of_order), (4, 1, 1));
    }
}
