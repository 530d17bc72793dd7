//! Cycles of orders, a full disk, and room again; then everything that was told is compared with
//! what is there. Each cycle asks for all that must go on while the disk is full.

use std::fmt;
use std::time::Duration;

use orderd::clock::monotonic;
use serde_json::{Value, json};

use super::disk::SmallDisk;
use super::ledger::{Ledger, Reckoning, body, is_same};
use super::server::{Place, Server};
use crate::http::Client;

/// Orders that are open when the disk is filled.
const ORDERS: u64 = 1_500;
/// Orders in a request.
const BATCH: u64 = 100;
/// Outcomes that must be stored while the disk is full.
const OUTCOMES: u64 = 1_000;
/// Longest time for anything but to begin again.
const PATIENCE: Duration = Duration::from_secs(60);
/// Longest time from room on the disk to the first order that is taken.
const RESUMES_WITHIN: Duration = Duration::from_secs(5);

/// What a campaign has shown.
#[derive(Debug, Default)]
pub struct Figures {
    pub survived: u32,
    killed: u32,
    stopped: u32,
    acknowledged: u64,
    refused: u64,
    /// Least and sum of what was completed while a disk was full.
    outcomes: Option<(u64, u64)>,
    /// Cycles in which the reserve was given up.
    pub reserve_used: u32,
    reads: u64,
    changes: u64,
    slowest_refusal: Duration,
    slowest_resumption: Duration,
    pub reckoning: Reckoning,
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (least, sum) = self.outcomes.unwrap_or_default();
        let (killed, stopped) = (self.killed, self.stopped);
        writeln!(f, "survived cycles     {:>8}", self.survived)?;
        writeln!(
            f,
            "started while full  {killed:>8} after kill -9, {stopped} after a drain"
        )?;
        writeln!(f, "acknowledged        {:>8}", self.acknowledged)?;
        writeln!(f, "refused while full  {:>8}", self.refused)?;
        writeln!(f, "lost                {:>8}", self.reckoning.lost)?;
        writeln!(f, "doubled             {:>8}", self.reckoning.doubled)?;
        writeln!(f, "ended twice         {:>8}", self.reckoning.ended_twice)?;
        writeln!(
            f,
            "done while full     {sum:>8}, {least} or more in each cycle"
        )?;
        writeln!(f, "used the reserve    {:>8} cycles", self.reserve_used)?;
        writeln!(f, "read while full     {:>8}", self.reads)?;
        writeln!(f, "changed while full  {:>8}", self.changes)?;
        let [refusal, resumption] = [self.slowest_refusal, self.slowest_resumption];
        writeln!(f, "slowest refusal     {:>8} ms", refusal.as_millis())?;
        write!(f, "slowest to resume   {:>8.2} s", resumption.as_secs_f64())
    }
}

struct Campaign<'a> {
    disk: &'a SmallDisk,
    place: Place,
    ledger: Ledger,
    next: u64,
    figures: Figures,
}

/// Runs so many cycles on fresh data.
pub fn run(cycles: u32, disk: &SmallDisk) -> Figures {
    let elsewhere = tempfile::tempdir().unwrap();
    let mut campaign = Campaign {
        disk,
        place: Place::new(disk.path()),
        ledger: Ledger::new(&elsewhere.path().join("ledger")),
        next: 1,
        figures: Figures::default(),
    };
    let mut server = campaign.place.start();
    for cycle in 0..cycles {
        server = campaign.cycle(cycle, server);
        campaign.figures.survived += 1;
    }
    campaign.end(server);
    campaign.figures
}

impl Campaign<'_> {
    fn cycle(&mut self, cycle: u32, mut server: Server) -> Server {
        let mut client = server.client();
        let told = self.accept(&mut client);
        let reserve = stat(&mut client, "/storage/reserve_bytes");
        self.disk.fill();
        let done = completed(&mut client);
        self.is_refused(&mut client);
        if cycle % 3 == 1 {
            server.kill();
            self.figures.killed += 1;
            server = self.place.start();
            client = server.client();
            self.is_refused(&mut client);
        }
        self.change(&mut client, &told);
        let began_at = monotonic();
        while completed(&mut client) < done + OUTCOMES {
            self.read(&mut client, &told);
            let (_, stats) = client.get("/v1/stats").unwrap().pair();
            assert!(began_at.elapsed() < PATIENCE, "cycle {cycle}: {stats:#}");
        }
        self.is_refused(&mut client);
        let is_used = stat(&mut client, "/storage/reserve_bytes") < reserve;
        self.figures.reserve_used += u32::from(is_used);
        let outcomes = completed(&mut client) - done;
        let (least, sum) = self.figures.outcomes.unwrap_or((u64::MAX, 0));
        self.figures.outcomes = Some((least.min(outcomes), sum + outcomes));
        if cycle % 3 == 2 {
            server.stop();
            self.figures.stopped += 1;
            // Whatever the end of the server gave back.
            self.disk.fill();
            server = self.place.start();
            client = server.client();
            self.is_refused(&mut client);
            self.read(&mut client, &told);
        }
        self.disk.drain();
        self.resumes(&mut client);
        server
    }

    /// Has some orders accepted, which they must be; answers with their numbers and ids.
    fn accept(&mut self, client: &mut Client) -> Vec<(u64, String)> {
        let mut told = Vec::new();
        for _ in 0..ORDERS / BATCH {
            let numbers = self.next..self.next + BATCH;
            self.next = numbers.end;
            numbers
                .clone()
                .for_each(|number| self.ledger.intends(number));
            let bodies = numbers.clone().map(body).collect();
            let bodies = Value::Array(bodies).to_string();
            let answer = client.post("/v1/orders/batch", "", &bodies);
            let (status, answer) = answer.unwrap().pair();
            assert_eq!(status, 200, "{answer}");
            let results = answer["results"].as_array().unwrap();
            for (number, result) in numbers.zip(results) {
                assert_eq!(result["status"], 201, "{result}");
                let id = result["order"]["order_id"].as_str().unwrap();
                self.ledger.was_acknowledged(number, id);
                told.push((number, id.to_owned()));
            }
        }
        self.figures.acknowledged += told.len() as u64;
        told
    }

    /// One order. `true`: it was taken; otherwise it was refused for want of room.
    fn send(&mut self, client: &mut Client) -> bool {
        let number = self.next;
        self.next += 1;
        self.ledger.intends(number);
        let (status, answer) = client
            .post("/v1/orders", "", &body(number).to_string())
            .unwrap()
            .pair();
        if status == 201 {
            let id = answer["order_id"].as_str().unwrap();
            self.ledger.was_acknowledged(number, id);
            self.figures.acknowledged += 1;
            return true;
        }
        assert_eq!((status, &answer["code"]), (503, &json!("storage-full")));
        self.ledger.was_refused(number);
        self.figures.refused += 1;
        false
    }

    /// New orders are refused, at the latest after some were sent; and the server says so.
    fn is_refused(&mut self, client: &mut Client) {
        let began_at = monotonic();
        while self.send(client) {
            assert!(began_at.elapsed() < PATIENCE, "orders are still taken");
        }
        let sent_at = monotonic();
        assert!(!self.send(client), "an order was taken in between");
        let took = sent_at.elapsed();
        self.figures.slowest_refusal = self.figures.slowest_refusal.max(took);
        let (status, ready) = client.get("/readyz").unwrap().pair();
        assert_eq!((status, &ready["checks"]["storage"]), (503, &json!("full")));
        assert_eq!(client.get("/livez").unwrap().status, 200);
    }

    fn read(&mut self, client: &mut Client, told: &[(u64, String)]) {
        for (number, id) in told.iter().step_by(50) {
            let (status, order) = client.get(&format!("/v1/orders/{id}")).unwrap().pair();
            assert!(
                status == 200 && is_same(&order, *number),
                "{status} {order}"
            );
            self.figures.reads += 1;
        }
        let (status, page) = client.get("/v1/orders?limit=10").unwrap().pair();
        assert_eq!(status, 200, "{page}");
    }

    /// Cancels a few; some have ended already.
    fn change(&mut self, client: &mut Client, told: &[(u64, String)]) {
        for (_, id) in told.iter().rev().take(20) {
            let path = format!("/v1/orders/{id}/cancel");
            let (status, answer) = client.post(&path, "", "{}").unwrap().pair();
            assert!(matches!(status, 200 | 409), "{status} {answer}");
            self.figures.changes += u64::from(status == 200);
        }
    }

    fn resumes(&mut self, client: &mut Client) {
        let drained_at = monotonic();
        while !self.send(client) {
            assert!(drained_at.elapsed() < RESUMES_WITHIN, "still refused");
        }
        let took = drained_at.elapsed();
        self.figures.slowest_resumption = self.figures.slowest_resumption.max(took);
    }

    /// Lets everything end, reads everything back, and reckons.
    fn end(&mut self, server: Server) {
        let mut client = server.client();
        let began_at = monotonic();
        while stat(&mut client, "/orders/open") > 0 {
            assert!(began_at.elapsed() < PATIENCE, "some orders do not end");
        }
        let orders = pages(&mut client, "/v1/orders?limit=1000");
        let events = pages(&mut client, "/v1/events?limit=1000");
        let reckoning = Reckoning::of(&self.ledger.read(), &orders, &events);
        self.figures.reckoning = reckoning;
        let said = server.stop();
        let complaints = &mut self.figures.reckoning.complaints;
        if said.contains("ERROR") {
            complaints.push(said);
        }
        complaints.extend(self.place.verify().err());
    }
}

fn stat(client: &mut Client, pointer: &str) -> u64 {
    let (_, stats) = client.get("/v1/stats").unwrap().pair();
    let number = stats.pointer(pointer).and_then(Value::as_u64);
    number.unwrap_or_else(|| panic!("no {pointer}: {stats:#}"))
}

fn completed(client: &mut Client) -> u64 {
    stat(client, "/orders/by_status/completed")
}

/// Everything that a list has, page by page.
fn pages(client: &mut Client, path: &str) -> Vec<Value> {
    let mut all = Vec::new();
    let mut cursor = String::new();
    loop {
        let (status, mut page) = client.get(&format!("{path}{cursor}")).unwrap().pair();
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
