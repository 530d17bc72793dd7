//! Clients that send as fast as they are answered, until the server is gone.
//! They wait for answers, never for time.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex};
use std::time::Duration;

use serde_json::Value;

use super::http::Client;
use super::ledger::{self, Ledger};

/// Clients at a time. One of them sends batches.
const CLIENTS: usize = 8;
/// Orders in a batch.
const BATCH: u64 = 6;
/// Longest time in which a server takes the orders of a cycle.
const PATIENCE: Duration = Duration::from_secs(120);

/// What the clients of a cycle have in common.
pub struct Load<'a> {
    pub ledger: &'a Ledger,
    /// The number of the next order.
    pub next: &'a AtomicU64,
    tally: Mutex<Tally>,
    counted: Condvar,
}

/// How far a cycle has come.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    pub acknowledged: Vec<(u64, String)>,
    /// Asked for, and never answered.
    pub unknown: Vec<u64>,
    is_over: bool,
}

impl<'a> Load<'a> {
    pub fn new(ledger: &'a Ledger, next: &'a AtomicU64) -> Self {
        Self {
            ledger,
            next,
            tally: Mutex::new(Tally::default()),
            counted: Condvar::new(),
        }
    }

    /// Sends until `enough` orders are acknowledged and `moment` has passed since; then `kill`.
    pub fn run(
        self,
        address: std::net::SocketAddr,
        enough: usize,
        moment: Duration,
        kill: impl FnOnce(),
    ) -> Tally {
        std::thread::scope(|scope| {
            for client in 0..CLIENTS {
                let load = &self;
                scope.spawn(move || load.client(address, client == 0));
            }
            let tally = self.tally.lock().unwrap();
            let waits = |tally: &mut Tally| tally.acknowledged.len() < enough;
            let waited = self.counted.wait_timeout_while(tally, PATIENCE, waits);
            let (tally, timeout) = waited.unwrap();
            assert!(
                !timeout.timed_out(),
                "only {} were taken",
                tally.acknowledged.len()
            );
            // Nobody ends it: this waits for the moment, and wakes early if all is over.
            let moment = self
                .counted
                .wait_timeout_while(tally, moment, |it| !it.is_over);
            drop(moment.unwrap());
            kill();
        });
        self.tally.into_inner().unwrap()
    }

    fn client(&self, address: std::net::SocketAddr, sends_batches: bool) {
        let Ok(mut client) = Client::connect(address) else {
            return;
        };
        while self.ask(&mut client, sends_batches) {}
    }

    /// One request. `false`: the server is gone.
    fn ask(&self, client: &mut Client, is_batch: bool) -> bool {
        let count = if is_batch { BATCH } else { 1 };
        let first = self.next.fetch_add(count, Ordering::Relaxed);
        let numbers: Vec<_> = (first..first + count).collect();
        numbers
            .iter()
            .for_each(|number| self.ledger.intends(*number));
        let answers = if is_batch {
            let bodies = numbers.iter().map(|number| ledger::body(*number)).collect();
            let answer = client.post("/v1/orders/batch", &Value::Array(bodies));
            answer.map(|(status, body)| items(status, &body, numbers.len()))
        } else {
            client
                .post("/v1/orders", &ledger::body(first))
                .map(|answer| vec![answer])
        };
        let Ok(answers) = answers else {
            self.tally.lock().unwrap().unknown.extend(numbers);
            return false;
        };
        for (number, (status, body)) in numbers.into_iter().zip(answers) {
            self.hear(number, status, &body);
        }
        true
    }

    fn hear(&self, number: u64, status: u16, body: &Value) {
        match (status, body["code"].as_str()) {
            (201, _) => {
                let id = body["order_id"].as_str().expect("an order has an id");
                self.ledger.was_acknowledged(number, id);
                let mut tally = self.tally.lock().unwrap();
                tally.acknowledged.push((number, id.into()));
                self.counted.notify_all();
            }
            (503, Some("outcome-unknown")) => self.tally.lock().unwrap().unknown.push(number),
            (503, _) => self.ledger.was_refused(number),
            _ => panic!("order {number} was answered with {status} {body}"),
        }
    }
}

/// The answers for the items of a batch.
fn items(status: u16, body: &Value, count: usize) -> Vec<(u16, Value)> {
    if status != 200 {
        return vec![(status, body.clone()); count];
    }
    let results = body["results"].as_array().expect("a batch has results");
    assert_eq!(results.len(), count, "{body}");
    let item = |result: &Value| {
        let status = result["status"].as_u64().expect("a result has a status");
        let body = if status == 201 {
            &result["order"]
        } else {
            &result["problem"]
        };
        (status as u16, body.clone())
    };
    results.iter().map(item).collect()
}
