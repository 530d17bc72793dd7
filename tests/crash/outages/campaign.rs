//! Cycles of load, trouble, and service again; in the end everything that was told is compared with
//! everything that is there.
//!
//! The server itself is never touched: it must live through all of it.

use std::ops::Range;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::Duration;

use orderd::clock::monotonic;
use rand::rngs::StdRng;
use rand::{Rng, RngExt, SeedableRng};

use super::super::feed::Feed;
use super::super::http::Client;
use super::super::journal::Journal;
use super::super::load::Load;
use super::super::machines::Machine;
use super::super::proxy::Proxy;
use super::super::reckoning::{self, Reckoning};
use super::super::rest;
use super::super::server::{self, Server, Wishes, pause};
use super::super::workers;
use super::figures::Figures;
use super::trouble::{Chooser, Trouble};

/// Longest time in which a server takes the orders of a cycle.
const PATIENCE: Duration = Duration::from_secs(60);
/// Longest until orders are taken again before it is called stuck.
const STUCK: Duration = Duration::from_secs(30);
/// One that writes, four for single orders, two for lists, one for what is kept beside orders.
const SESSIONS: u64 = 8;
/// Longest until sessions that were given up have ended.
const SESSIONS_END: Duration = Duration::from_secs(10);

/// What a campaign is told.
pub struct Settings {
    pub cycles: u32,
    pub seed: u64,
    /// Orders that are acknowledged between two outages.
    pub enough: Range<u64>,
    pub lasting_ms: Range<u64>,
}

/// A server that reaches its database through a proxy, and who asks it.
struct Scene<'a> {
    machine: &'a dyn Machine,
    proxy: Proxy,
    load: Load,
}

/// Makes the outages, and reckons.
pub fn run(settings: Settings, machine: &dyn Machine) -> Figures {
    let began_at = monotonic();
    let folder = tempfile::tempdir().unwrap();
    let proxy = Proxy::before(&machine.url(), machine.socket());
    let url = machine.url_by(proxy.port);
    std::fs::write(folder.path().join("store.url"), &url).unwrap();
    let load = Load::new(Journal::new(&folder.path().join("journal")));
    load.may_be_refused.store(true, Ordering::Relaxed);
    let scene = Scene {
        machine,
        proxy,
        load,
    };
    let mut figures = Figures {
        store: url.split(':').next().unwrap().into(),
        seed: settings.seed,
        ..Figures::default()
    };
    let server = Server::start(folder.path(), &Wishes::default());
    scene.load.journal.starts();
    let random = StdRng::seed_from_u64(settings.seed);
    let mut chooser = Chooser::new(random, settings.lasting_ms);
    let (address, seed) = (server.address, chooser.random.next_u64());
    scene.load.run(address, seed, || {
        for cycle in 1..=settings.cycles {
            let enough = chooser.random.random_range(settings.enough.clone());
            scene.cycle(&chooser.next(), enough, (&server, &mut figures));
            println!(
                "outage {cycle} of {}, {} s: {} acknowledged",
                settings.cycles,
                began_at.elapsed().as_secs(),
                scene.load.journal.acknowledged(),
            );
        }
        server.terminate();
        server.ends();
    });
    scene.reckon(folder.path(), &mut figures);
    figures.seconds = began_at.elapsed().as_secs();
    figures
}

impl Scene<'_> {
    /// Load, trouble, and service again.
    fn cycle(&self, trouble: &Trouble, enough: u64, (server, figures): (&Server, &mut Figures)) {
        let journal = &self.load.journal;
        let goal = journal.acknowledged() + enough;
        journal.wait_for(goal, PATIENCE);
        let name = trouble.kind.name();
        if self.load.is_broken.load(Ordering::Relaxed) || journal.acknowledged() < goal {
            self.load
                .complain(format!("stuck, or a connection broke, before: {name}"));
        }
        let held = trouble.begin(self.machine, &self.proxy);
        pause(trouble.lasting);
        if server.client().get("/livez").map(|reply| reply.status).ok() != Some(200) {
            self.load.complain(format!("it does not live: {name}"));
        }
        let has_met = trouble.end(self.machine, &self.proxy, held);
        figures.missed += u32::from(!has_met);
        let ended_at = monotonic();
        journal.wait_for(journal.acknowledged() + 1, STUCK);
        figures.resumed.add(ended_at.elapsed());
        *figures.outages.entry(name).or_default() += 1;
        let mut sessions = self.machine.sessions();
        while sessions > SESSIONS && ended_at.elapsed() < SESSIONS_END {
            pause(Duration::from_millis(50));
            sessions = self.machine.sessions();
        }
        figures.sessions_max = figures.sessions_max.max(sessions);
        if sessions > SESSIONS {
            self.load
                .complain(format!("{sessions} sessions after: {name}"));
        }
    }

    /// Starts the server once more, lets everything end, and compares.
    fn reckon(&self, folder: &Path, figures: &mut Figures) {
        let server = Server::start(folder, &Wishes::default());
        self.load.journal.starts();
        let mut client = server.client();
        rest::bring(&self.load, &mut client);
        let orders = rest::pages(&mut client, "/v1/orders?limit=1000");
        let mut feed = Feed::default();
        feed.follow(&mut client, 1, u64::MAX);
        let stats = client.get("/v1/stats").unwrap().json();
        let book = self.load.journal.read();
        let mut found = Reckoning::of(&book, &orders, &feed);
        workers::reckon(&self.load.shared().work, &orders, &mut found);
        if let Some(wrong) = reckoning::counters(&stats, &orders) {
            found.complain(wrong);
        }
        self.all_is_as_it_was_told(&mut client, &feed, &mut found);
        server.terminate();
        server.ends();
        if let Err(wrong) = server::verify(folder) {
            found.complain(wrong);
        }
        let shared = &mut *self.load.shared();
        for complaint in shared.complaints.drain(..) {
            found.complain(complaint);
        }
        figures.acknowledged = self.load.journal.acknowledged();
        figures.orders = orders.len() as u64;
        figures.requests = shared.counts;
        figures.refused_within = std::mem::take(&mut shared.refused_within);
        figures.reckoning = found;
    }

    fn all_is_as_it_was_told(&self, client: &mut Client, feed: &Feed, found: &mut Reckoning) {
        let shared = &mut *self.load.shared();
        for (number, id, request) in shared.acknowledged.drain(..) {
            let reply = client.get(&format!("/v1/orders/{id}")).unwrap();
            if reply.status != 200 || !request.is_same(&reply.json(), number) {
                found.lost += 1;
                found.complain(format!("{number} was told {id}; there is {}", reply.text()));
            }
        }
        for (name, events) in shared.changed.drain(..) {
            let made = feed.by.get(&name).copied().unwrap_or_default();
            found.change(&name, Some(events), made);
        }
    }
}
