//! Cycles of start, load, kill; then everything that was told is compared with what is there.
//! It decides when to kill, and nothing else.

use std::fmt;
use std::path::Path;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use orderd::clock::monotonic;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::Value;

use super::http::Client;
use super::ledger::{Ledger, Reckoning, body, id, is_same};
use super::load::{Load, Tally};
use super::server::{self, Server};

/// Longest time in which all orders must have ended after the last kill.
const REST_MAX: Duration = Duration::from_secs(120);

/// What a campaign has shown.
#[derive(Debug, Default)]
pub struct Figures {
    pub cycles: u32,
    pub orders: u64,
    pub acknowledged: u64,
    /// Kills that hit a server while somebody waited for an answer.
    pub busy_kills: u32,
    /// Kills during a start.
    pub stumbles: u32,
    /// Orders that nobody was told about, sent again: accepted then, or found.
    pub sent_again: [u64; 2],
    /// Times that `orderd verify` had nothing to say.
    pub verified: u32,
    pub slowest_recovery: Duration,
    pub reckoning: Reckoning,
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [accepted, found] = self.sent_again;
        writeln!(f, "cycles            {:>8}", self.cycles)?;
        writeln!(f, "busy kills        {:>8}", self.busy_kills)?;
        writeln!(f, "kills in a start  {:>8}", self.stumbles)?;
        writeln!(f, "orders            {:>8}", self.orders)?;
        writeln!(f, "acknowledged      {:>8}", self.acknowledged)?;
        writeln!(f, "sent again        {accepted:>8} accepted, {found} found")?;
        writeln!(f, "lost              {:>8}", self.reckoning.lost)?;
        writeln!(f, "doubled           {:>8}", self.reckoning.doubled)?;
        writeln!(f, "ended twice       {:>8}", self.reckoning.ended_twice)?;
        writeln!(f, "verified          {:>8}", self.verified)?;
        write!(
            f,
            "slowest recovery  {:>8} ms",
            self.slowest_recovery.as_millis()
        )
    }
}

struct Campaign<'a> {
    folder: &'a Path,
    ledger: Ledger,
    next: AtomicU64,
    random: StdRng,
    figures: Figures,
}

/// Runs so many cycles on fresh data.
pub fn run(cycles: u32, seed: u64) -> Figures {
    let folder = tempfile::tempdir().unwrap();
    let mut campaign = Campaign {
        folder: folder.path(),
        ledger: Ledger::new(&folder.path().join("ledger")),
        next: AtomicU64::new(1),
        random: StdRng::seed_from_u64(seed),
        figures: Figures::default(),
    };
    let mut before = Tally::default();
    for _ in 0..cycles {
        before = campaign.cycle(&before);
    }
    campaign.end(&before);
    campaign.figures
}

impl Campaign<'_> {
    /// Starts the server, looks after what was told before the last kill, and kills it under load.
    fn cycle(&mut self, before: &Tally) -> Tally {
        if self.random.random_ratio(1, 3) {
            let moment = Duration::from_micros(self.random.random_range(0..40_000));
            Server::stumble(self.folder, moment);
            self.figures.stumbles += 1;
        }
        let server = self.start();
        self.look_after(&mut server.client(), before);
        let enough = self.random.random_range(50..1_500);
        let moment = Duration::from_micros(self.random.random_range(0..30_000));
        let load = Load::new(&self.ledger, &self.next);
        let tally = load.run(server.address, enough, moment, || server.kill());
        self.figures.cycles += 1;
        self.figures.acknowledged += tally.acknowledged.len() as u64;
        self.figures.busy_kills += u32::from(!tally.unknown.is_empty());
        if self.figures.cycles.is_multiple_of(5) {
            self.verify();
        }
        tally
    }

    fn start(&mut self) -> Server {
        let server = Server::start(self.folder);
        let took = server.recover();
        self.figures.slowest_recovery = self.figures.slowest_recovery.max(took);
        server
    }

    fn verify(&mut self) {
        match server::verify(self.folder) {
            Ok(()) => self.figures.verified += 1,
            Err(wrong) => self.figures.reckoning.complaints.push(wrong),
        }
    }

    /// What was acknowledged is there; what was not answered is sent again if it has an id.
    fn look_after(&mut self, client: &mut Client, before: &Tally) {
        for (number, id) in &before.acknowledged {
            let (status, order) = client.get(&format!("/v1/orders/{id}")).unwrap();
            if status != 200 || !is_same(&order, *number) {
                let complaint = format!("{number} was acknowledged as {id}: {status} {order}");
                self.figures.reckoning.lost += 1;
                self.figures.reckoning.complaints.push(complaint);
            }
        }
        for number in &before.unknown {
            if let Some(id) = id(*number) {
                self.send_again(client, *number, &id);
            }
        }
    }

    fn send_again(&mut self, client: &mut Client, number: u64, id: &str) {
        let (status, answer) = client.post("/v1/orders", &body(number)).unwrap();
        let sent_again = &mut self.figures.sent_again;
        match status {
            201 => sent_again[0] += 1,
            409 => sent_again[1] += 1,
            _ => panic!("{number} was sent again: {status} {answer}"),
        }
        assert_eq!(answer["order_id"], *id, "{answer}");
        self.ledger.was_acknowledged(number, id);
        let (status, order) = client.get(&format!("/v1/orders/{id}")).unwrap();
        assert!(status == 200 && is_same(&order, number), "{status} {order}");
    }

    /// Lets everything end, reads everything back, and reckons.
    fn end(&mut self, before: &Tally) {
        let server = self.start();
        let mut client = server.client();
        self.look_after(&mut client, before);
        let started = monotonic();
        while open(&mut client) > 0 {
            assert!(
                started.elapsed() < REST_MAX,
                "{} did not end",
                open(&mut client)
            );
        }
        let orders = pages(&mut client, "/v1/orders?limit=1000");
        let events = pages(&mut client, "/v1/events?limit=1000");
        self.figures.orders = orders.len() as u64;
        let reckoning = Reckoning::of(&self.ledger.read(), &orders, &events);
        let sum = &mut self.figures.reckoning;
        sum.lost += reckoning.lost;
        sum.doubled += reckoning.doubled;
        sum.ended_twice += reckoning.ended_twice;
        sum.complaints.extend(reckoning.complaints);
        server.stop();
        self.verify();
    }
}

fn open(client: &mut Client) -> u64 {
    let (_, stats) = client.get("/v1/stats").unwrap();
    let open = stats["orders"]["open"].as_u64();
    open.unwrap_or_else(|| panic!("no count of open orders: {stats}"))
}

/// Everything that a list has, page by page.
fn pages(client: &mut Client, path: &str) -> Vec<Value> {
    let mut all = Vec::new();
    let mut cursor = String::new();
    loop {
        let (status, mut page) = client.get(&format!("{path}{cursor}")).unwrap();
        assert_eq!(status, 200, "{page}");
        if let Value::Array(data) = page["data"].take() {
            all.extend(data);
        }
        match page["next_cursor"].as_str() {
            Some(next) if page["has_more"] == true => cursor = format!("&after={next}"),
            _ => return all,
        }
    }
}
