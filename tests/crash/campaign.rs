//! Cycles of start, check, load, end; and after some of them everything that was told is compared
//! with everything that is there, and the next cycle begins on an empty store.
//!
//! Decides what happens when, and nothing else.

use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use orderd::clock::monotonic;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tempfile::TempDir;

use super::chosen;
use super::databases::Place;
use super::feed::Feed;
use super::figures::Figures;
use super::http::Client;
use super::journal::Journal;
use super::load::Load;
use super::plan::{End, Fault, Plan, Planner};
use super::reckoning::{self, Reckoning};
use super::rest;
use super::second;
use super::server::{self, Server, Wishes, pause};
use super::workers;

/// Longest time in which a server takes the orders of a cycle.
const PATIENCE: Duration = Duration::from_secs(60);
/// Longest time in which a point is reached.
const POINT_PATIENCE: Duration = Duration::from_secs(10);
/// Cycles between two runs of `orderd verify`.
const VERIFY_EVERY: u32 = 10;

/// What a campaign is told.
pub struct Settings {
    pub cycles: u32,
    /// Cycles on one store.
    pub epoch: u32,
    pub seed: u64,
    /// Orders that are acknowledged before the end of a cycle comes.
    pub enough: std::ops::Range<u64>,
}

/// One store, and all that was asked of it and told about it.
struct Epoch {
    folder: TempDir,
    place: Box<dyn Place>,
    load: Load,
    feed: Feed,
    /// Starts so far that took orders.
    run: u32,
}

pub struct Campaign {
    settings: Settings,
    planner: Planner,
    figures: Figures,
    started: Instant,
}

/// Runs the cycles; stops early if something is wrong, and keeps the data then.
pub fn run(settings: Settings) -> Figures {
    let random = StdRng::seed_from_u64(settings.seed);
    let is_file = chosen::place().url().starts_with("sqlite:");
    let mut campaign = Campaign {
        planner: Planner::new(random, settings.enough.clone(), is_file),
        figures: Figures {
            seed: settings.seed,
            ..Figures::default()
        },
        started: monotonic(),
        settings,
    };
    while campaign.figures.cycles < campaign.settings.cycles {
        let epoch = campaign.epoch();
        if !campaign.figures.reckoning.is_clean() {
            println!("the data is kept in {}", epoch.folder.keep().display());
            break;
        }
    }
    campaign.figures.seconds = campaign.started.elapsed().as_secs();
    campaign.figures
}

impl Campaign {
    fn epoch(&mut self) -> Epoch {
        let folder = tempfile::tempdir().unwrap();
        let journal = Journal::new(&folder.path().join("journal"));
        let place = chosen::place();
        std::fs::write(folder.path().join("store.url"), place.url()).unwrap();
        self.figures.store = place.url().split(':').next().unwrap().into();
        let mut epoch = Epoch {
            folder,
            place,
            load: Load::new(journal),
            feed: Feed::default(),
            run: 0,
        };
        let left = self.settings.cycles - self.figures.cycles;
        for cycle in 0..self.settings.epoch.min(left) {
            self.cycle(&mut epoch, cycle == 0);
            self.collect(&mut epoch);
            if !self.figures.reckoning.is_clean() {
                return epoch;
            }
        }
        self.end(&mut epoch);
        self.collect(&mut epoch);
        self.progress();
        epoch
    }

    /// Starts the server, looks after what was told before, and ends it under load.
    fn cycle(&mut self, epoch: &mut Epoch, is_fresh: bool) {
        let plan = self.planner.next(is_fresh);
        for stumble in &plan.stumbles {
            let has_died = Server::stumble(epoch.folder.path(), stumble);
            match stumble {
                Ok(fault) => self.count(fault, has_died),
                Err(_) => *self.figures.ends.entry("kill -9 in a start").or_default() += 1,
            }
        }
        let server = self.start(epoch, &wishes(&plan.end));
        self.look_after(epoch, &mut server.client());
        let before = epoch.load.journal.acknowledged();
        let unheard = epoch.load.shared().counts.unheard;
        let (address, seed) = (server.address, self.planner.random.next_u64());
        let load = &epoch.load;
        load.run(address, seed, || self.finish(load, server, &plan));
        self.figures.cycles += 1;
        self.figures.empty_cycles += u32::from(load.journal.acknowledged() == before);
        self.figures.busy_ends += u32::from(load.shared().counts.unheard > unheard);
        if self.figures.cycles.is_multiple_of(VERIFY_EVERY) {
            self.verify(epoch.folder.path());
            self.progress();
        }
    }

    fn start(&mut self, epoch: &mut Epoch, wishes: &Wishes) -> Server {
        let server = Server::start(epoch.folder.path(), wishes);
        self.figures.ready.add(server.ready());
        self.figures.recovered.add(server.recover());
        epoch.load.journal.starts();
        epoch.run += 1;
        server
    }

    /// Lets the load go on until enough is acknowledged, then ends the server as planned.
    fn finish(&mut self, load: &Load, server: Server, plan: &Plan) {
        let goal = load.journal.acknowledged() + plan.enough;
        load.journal.wait_for(goal, PATIENCE);
        let lives_on = |load: &Load| {
            if load.is_broken.load(Ordering::Relaxed) || load.journal.acknowledged() < goal {
                load.complain("a connection broke, or nothing was answered, before the end".into());
            }
        };
        lives_on(load);
        let name = match &plan.end {
            End::Moment(moment) => {
                pause(*moment);
                lives_on(load);
                server.kill();
                "kill -9 at a random moment"
            }
            End::Point(fault) | End::Reopening(_, fault) => {
                server.arm();
                let has_died = server.dies(POINT_PATIENCE, false);
                self.count(fault, has_died);
                "death at a point"
            }
            End::Failure(_, moment) => {
                server.arm();
                load.journal.wait_for(goal + plan.enough, PATIENCE);
                pause(*moment);
                lives_on(load);
                let stats = server.client().get("/metrics").unwrap();
                let metrics = String::from_utf8_lossy(&stats.body).into_owned();
                if !metrics.contains("orderd_store_reopened_total 1\n") {
                    load.complain(format!("the store was not opened anew: {metrics}"));
                }
                server.kill();
                "kill -9 after a failed commit"
            }
            End::Drain => {
                server.terminate();
                server.ends();
                "SIGTERM, in order"
            }
            End::Draining(fault) => {
                server.terminate();
                let has_died = server.dies(PATIENCE, !fault.delay.is_zero());
                self.count(fault, has_died);
                "death at a point of a drain"
            }
        };
        *self.figures.ends.entry(name).or_default() += 1;
    }

    fn count(&mut self, fault: &Fault, has_died: bool) {
        let figures = &mut self.figures;
        let counts = if has_died {
            &mut figures.points
        } else {
            &mut figures.missed
        };
        *counts.entry(fault.point).or_default() += 1;
    }

    /// What was acknowledged in the run before is there, as it was sent, and what was changed is
    /// changed; the feed goes on where it stood.
    fn look_after(&mut self, epoch: &mut Epoch, client: &mut Client) {
        epoch.feed.follow(client, epoch.run, u64::MAX);
        let shared = &mut *epoch.load.shared();
        let found = &mut self.figures.reckoning;
        for (number, id, request) in shared.acknowledged.drain(..) {
            let reply = client.get(&format!("/v1/orders/{id}")).unwrap();
            if reply.status != 200 || !request.is_same(&reply.json(), number) {
                found.lost += 1;
                found.complain(format!("{number} was told {id}; there is {}", reply.text()));
            }
        }
        for (name, events) in shared.changed.drain(..) {
            let made = epoch.feed.by.get(&name).copied().unwrap_or_default();
            found.change(&name, Some(events), made);
        }
    }

    /// Takes over what the clients and the feed complain about.
    fn collect(&mut self, epoch: &mut Epoch) {
        let found = &mut self.figures.reckoning;
        for complaint in epoch.load.shared().complaints.drain(..) {
            found.complain(complaint);
        }
        for complaint in epoch.feed.complaints.drain(..) {
            found.complain(complaint);
        }
    }

    fn verify(&mut self, folder: &Path) {
        match server::verify(folder) {
            Ok(()) => self.figures.verified += 1,
            Err(wrong) => self.figures.reckoning.complain(wrong),
        }
    }

    /// Lets everything end, reads everything back, and reckons.
    fn end(&mut self, epoch: &mut Epoch) {
        let server = self.start(epoch, &Wishes::default());
        let mut client = server.client();
        self.look_after(epoch, &mut client);
        rest::bring(&epoch.load, &mut client);
        let orders = rest::pages(&mut client, "/v1/orders?limit=1000");
        epoch.feed.follow(&mut client, epoch.run, u64::MAX);
        let stats = client.get("/v1/stats").unwrap().json();
        let book = epoch.load.journal.read();
        let mut found = Reckoning::of(&book, &orders, &epoch.feed);
        workers::reckon(&epoch.load.shared().work, &orders, &mut found);
        if let Some(wrong) = reckoning::counters(&stats, &orders) {
            found.complain(wrong);
        }
        if !epoch.feed.is_unchanged(&mut client) {
            found.complain("the feed is not what it was".into());
        }
        server.terminate();
        server.ends();
        self.verify(epoch.folder.path());
        let figures = &mut self.figures;
        if let Some(file) = epoch.place.url().strip_prefix("sqlite:") {
            found.add(second::opinion(file.as_ref(), &book));
            figures.second_opinions += 1;
        }
        figures.orders += orders.len() as u64;
        figures.events += epoch.feed.events;
        figures.acknowledged += epoch.load.journal.acknowledged();
        figures.requests.add(&epoch.load.shared().counts);
        figures.reckoning.add(found);
    }

    fn progress(&self) {
        let figures = &self.figures;
        let wrong = &figures.reckoning;
        println!(
            "cycle {} of {}, {} s: {} acknowledged in finished stores, {} lost, {} doubled, {} \
             ended twice, {} complaints, {} points died at",
            figures.cycles,
            self.settings.cycles,
            self.started.elapsed().as_secs(),
            figures.acknowledged,
            wrong.lost,
            wrong.doubled,
            wrong.ended_twice,
            wrong.complaints.len(),
            figures.points.len(),
        );
    }
}

/// What the server is told so that it ends like this.
fn wishes(end: &End) -> Wishes {
    let (failure, fault, is_armed_later) = match end {
        End::Moment(_) | End::Drain => (None, None, false),
        End::Point(fault) => (None, Some(fault), true),
        End::Draining(fault) => (None, Some(fault), false),
        End::Reopening(failure, fault) => (Some(*failure), Some(fault), true),
        End::Failure(failure, _) => (Some(*failure), None, true),
    };
    Wishes {
        fault: fault.cloned(),
        failure,
        is_armed_later,
        ..Wishes::default()
    }
}
