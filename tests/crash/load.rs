//! Clients that ask for everything a server can do, as fast as they are answered, until it is gone:
//! creates alone and in batches, the same again, imports, changes, dead letters, reads, work.
//!
//! They wait for answers, and not for time, unless everything is refused.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use orderd::clock::monotonic;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::Value;

use super::changes::{self, Change};
use super::figures::Times;
use super::http::{Client, Reply};
use super::journal::Journal;
use super::request::{Guard, Request, Route};
use super::server::pause;
use super::workers;

/// Clients at a time.
const CLIENTS: u64 = 8;
/// Pause of a client that is refused because the database is away.
const BREATH: Duration = Duration::from_millis(5);
/// Most answers that are kept to be asked for again.
const KEPT_MAX: usize = 200;
/// Most orders that wait to be changed.
const IDLE_MAX: usize = 1_000;

/// What the clients have in common, over all runs of a server on one store.
pub struct Load {
    pub journal: Journal,
    next: AtomicU64,
    next_change: AtomicU64,
    pub shared: Mutex<Shared>,
    /// A connection broke, or was closed.
    pub is_broken: AtomicBool,
    /// Anything may be refused for a while: the server's database comes and goes.
    pub may_be_refused: AtomicBool,
}

#[derive(Default)]
pub struct Shared {
    /// Not answered, or refused: to be sent again.
    again: VecDeque<Request>,
    /// Being sent by somebody at this moment: to be sent by somebody else, too.
    twins: VecDeque<Request>,
    /// Acknowledged under a key: the answer must never change.
    kept: Vec<(Request, Reply)>,
    /// Acknowledged in this run.
    pub acknowledged: Vec<(u64, String, Request)>,
    /// Every order that was ever acknowledged, with its id.
    told: HashMap<u64, String>,
    /// Acknowledged orders that nobody changes at the moment.
    pub idle: Vec<Idle>,
    /// Changes under a key that were not answered.
    pub changes_again: Vec<Change>,
    /// Changes of this run that were answered, and how many events must bear their name.
    pub changed: Vec<(String, u64)>,
    /// How long it took until orders were refused.
    pub refused_within: Times,
    /// What workers were told.
    pub work: workers::Told,
    /// What must not be.
    pub complaints: Vec<String>,
    pub counts: Counts,
}

/// An order that may be changed by whoever takes it out.
pub struct Idle {
    pub number: u64,
    pub id: String,
    pub priority: u64,
}

/// How often what was done: a load in which something never happens proves little.
#[derive(Clone, Copy, Debug, Default, serde::Serialize)]
pub struct Counts {
    pub requests: u64,
    pub duplicates: u64,
    pub retries: u64,
    pub changes: u64,
    pub dead_letters_replayed: u64,
    pub imported: u64,
    pub reads: u64,
    /// Leases that were asked for.
    pub work: u64,
    pub refused: u64,
    pub unheard: u64,
}

impl Counts {
    pub fn add(&mut self, other: &Self) {
        self.requests += other.requests;
        self.duplicates += other.duplicates;
        self.retries += other.retries;
        self.changes += other.changes;
        self.dead_letters_replayed += other.dead_letters_replayed;
        self.imported += other.imported;
        self.reads += other.reads;
        self.work += other.work;
        self.refused += other.refused;
        self.unheard += other.unheard;
    }
}

/// Whether a client goes on.
pub type Went = std::io::Result<()>;

impl Load {
    pub fn new(journal: Journal) -> Self {
        Self {
            journal,
            next: AtomicU64::new(1),
            next_change: AtomicU64::new(1),
            shared: Mutex::default(),
            is_broken: AtomicBool::new(false),
            may_be_refused: AtomicBool::new(false),
        }
    }

    /// Sends until the server is gone, while `watch` looks on; answers with what that says.
    pub fn run<T>(&self, address: SocketAddr, seed: u64, watch: impl FnOnce() -> T) -> T {
        self.is_broken.store(false, Ordering::Relaxed);
        self.journal.calm();
        std::thread::scope(|scope| {
            scope.spawn(|| self.journal.keep_flushing());
            let clients: Vec<_> = (0..CLIENTS)
                .map(|client| {
                    let random = StdRng::seed_from_u64(seed.wrapping_mul(CLIENTS) + client);
                    scope.spawn(move || self.client(address, random))
                })
                .collect();
            let watched = watch();
            let ends: Vec<_> = clients.into_iter().map(|client| client.join()).collect();
            self.journal.close();
            assert!(ends.iter().all(Result::is_ok), "a client failed");
            watched
        })
    }

    fn client(&self, address: SocketAddr, mut random: StdRng) {
        if let Ok(mut client) = Client::connect(address) {
            while self.act(&mut client, &mut random).is_ok() {}
        }
        self.is_broken.store(true, Ordering::Relaxed);
        self.journal.alarm();
    }

    fn act(&self, client: &mut Client, random: &mut StdRng) -> Went {
        if let Some(request) = self.waiting() {
            return self.ask(client, request, random);
        }
        if changes::ask_again(self, client)? {
            return Ok(());
        }
        match random.random_range(0..100) {
            0..47 => {
                let mut request = Request::draw(random);
                request.first = self.next.fetch_add(request.count, Ordering::Relaxed);
                self.ask(client, request, random)
            }
            47..55 => workers::work(self, client, random),
            55..63 => self.ask_for_a_kept_answer(client, random),
            63..80 => changes::change_some_order(self, client, random),
            80..86 => changes::replay_dead_letters(self, client, random),
            _ => self.read(client, random),
        }
    }

    pub fn shared(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap()
    }

    pub fn complain(&self, complaint: String) {
        let complaints = &mut self.shared().complaints;
        if complaints.len() < 20 {
            complaints.push(complaint);
        }
    }

    /// A name for the next change, which only that bears.
    pub fn change_name(&self) -> String {
        format!("c-{}", self.next_change.fetch_add(1, Ordering::Relaxed))
    }

    /// A request that was not answered, or is just being sent by somebody else.
    fn waiting(&self) -> Option<Request> {
        let shared = &mut *self.shared();
        if let Some(request) = shared.again.pop_front() {
            shared.counts.retries += 1;
            return Some(request);
        }
        let twin = shared.twins.pop_front();
        shared.counts.duplicates += u64::from(twin.is_some());
        twin
    }

    /// Sends a request; one in twenty is sent by somebody else at the same time, another one in
    /// twenty is sent again afterwards.
    fn ask(&self, client: &mut Client, request: Request, random: &mut StdRng) -> Went {
        let is_guarded = request.guard != Guard::Bare;
        if is_guarded && random.random_ratio(1, 20) {
            self.shared().twins.push_back(request);
        }
        self.ask_once(client, request)?;
        if is_guarded && random.random_ratio(1, 20) {
            self.shared().counts.duplicates += 1;
            self.ask_once(client, request)?;
        }
        Ok(())
    }

    fn ask_once(&self, client: &mut Client, request: Request) -> Went {
        self.journal.asks(&request);
        let asked_at = monotonic();
        let answered = client.post(request.path(), &request.headers(), &request.body());
        self.shared().counts.requests += 1;
        match answered {
            Ok(reply) => {
                if reply.status == 503 {
                    self.shared().refused_within.add(asked_at.elapsed());
                    self.take_breath();
                }
                self.hear(request, reply)
            }
            Err(error) => {
                self.is_unheard(request);
                Err(error)
            }
        }
    }

    /// Waits a moment before the next request to a server that refuses everything.
    pub fn take_breath(&self) {
        if self.may_be_refused.load(Ordering::Relaxed) {
            pause(BREATH);
        }
    }

    /// Nobody knows what became of it.
    fn is_unheard(&self, request: Request) {
        self.journal.hears_nothing(&request);
        let shared = &mut *self.shared();
        shared.counts.unheard += 1;
        shared.send_again(request);
    }

    fn hear(&self, request: Request, reply: Reply) -> Went {
        let items = items(&request, &reply);
        let mut accepted = 0;
        for (number, (status, body)) in request.numbers().zip(items) {
            let code = body["code"].as_str().unwrap_or_default();
            match (status, code) {
                (201, _) | (409, "order-exists") => {
                    accepted += u64::from(status == 201);
                    self.accepted(&request, number, &body);
                }
                (503, "outcome-unknown") => self.is_unheard(request),
                (503, _) | (409, "idempotency-key-in-use") => {
                    self.journal.is_refused(number);
                    let shared = &mut *self.shared();
                    shared.counts.refused += 1;
                    shared.send_again(request);
                }
                _ => self.complain(format!("{number} was answered {status} {body}")),
            }
        }
        let is_last = reply.is_last;
        if accepted == request.count && matches!(request.guard, Guard::Key | Guard::ItemKeys) {
            self.keep(request, reply);
        }
        if is_last {
            return Err(std::io::Error::other("the server closes"));
        }
        Ok(())
    }

    fn accepted(&self, request: &Request, number: u64, body: &Value) {
        let Some(id) = body["order_id"].as_str() else {
            return self.complain(format!("{number} has no id: {body}"));
        };
        let mut shared = self.shared();
        let known = shared.told.insert(number, id.to_owned());
        self.journal.is_told(number, id, u64::from(known.is_none()));
        if known.as_ref().is_some_and(|known| known != id) {
            drop(shared);
            return self.complain(format!("{number} is {known:?} and {id}"));
        }
        if known.is_some() {
            return;
        }
        shared.acknowledged.push((number, id.to_owned(), *request));
        shared.counts.imported += u64::from(request.route == Route::Import);
        if request.route != Route::Import && shared.idle.len() < IDLE_MAX {
            let (id, priority) = (id.to_owned(), Request::priority(number));
            shared.idle.push(Idle {
                number,
                id,
                priority,
            });
        }
    }

    /// The first answer is kept; every further one must be the same.
    fn keep(&self, request: Request, reply: Reply) {
        let shared = &mut *self.shared();
        if let Some(first) = shared.kept.iter().find(|(kept, _)| *kept == request) {
            let (first, second) = (first.1.text(), reply.text());
            if !shared.is_kept(&request, &reply) {
                shared
                    .complaints
                    .push(format!("{request}: first {first}, then {second}"));
            }
        } else if shared.kept.len() < KEPT_MAX {
            shared.kept.push((request, reply));
        } else {
            let place = request.first as usize % KEPT_MAX;
            shared.kept[place] = (request, reply);
        }
    }

    /// Sends a request that was answered long ago, perhaps by another run of the server.
    fn ask_for_a_kept_answer(&self, client: &mut Client, random: &mut StdRng) -> Went {
        let request = {
            let shared = &mut *self.shared();
            if shared.kept.is_empty() {
                return Ok(());
            }
            shared.counts.duplicates += 1;
            let place = random.random_range(0..shared.kept.len());
            shared.kept[place].0
        };
        self.ask_once(client, request)
    }

    /// Sends what was not answered until it is.
    pub fn send_everything_again(&self, client: &mut Client) -> Went {
        while let Some(request) = self.waiting() {
            self.ask_once(client, request)?;
        }
        while changes::ask_again(self, client)? {}
        Ok(())
    }

    /// Sends every kept request once more.
    pub fn ask_for_all_kept_answers(&self, client: &mut Client) -> Went {
        let kept: Vec<Request> = self
            .shared()
            .kept
            .iter()
            .map(|(request, _)| *request)
            .collect();
        kept.into_iter()
            .try_for_each(|request| self.ask_once(client, request))
    }

    /// A refusal that a database that is away explains.
    fn is_expected(&self, reply: &Reply) -> bool {
        let may_be = self.may_be_refused.load(Ordering::Relaxed);
        may_be && reply.status == 503 && reply.code() == "store-unavailable"
    }

    fn read(&self, client: &mut Client, random: &mut StdRng) -> Went {
        let known = {
            let shared = &mut *self.shared();
            shared.counts.reads += 1;
            let count = shared.acknowledged.len();
            (count > 0).then(|| shared.acknowledged[random.random_range(0..count)].clone())
        };
        let paths = [
            "/v1/stats",
            "/v1/orders?limit=20",
            "/v1/events?limit=20",
            "/metrics",
            "/readyz",
        ];
        match (random.random_range(0..10), known) {
            (0..5, Some((number, id, request))) => {
                let reply = client.get(&format!("/v1/orders/{id}"))?;
                if self.is_expected(&reply) {
                    self.take_breath();
                } else if reply.status != 200 || !request.is_same(&reply.json(), number) {
                    self.complain(format!("{number} was just accepted: {}", reply.text()));
                }
            }
            (place, _) => {
                let reply = client.get(paths[place % paths.len()])?;
                let is_strange = !matches!(&*reply.code(), "draining" | "");
                if reply.status >= 500 && is_strange && !self.is_expected(&reply) {
                    self.complain(format!("a read was answered {}", reply.text()));
                }
            }
        }
        Ok(())
    }
}

impl Shared {
    /// Sees to it that a request is sent again, if that is safe.
    fn send_again(&mut self, request: Request) {
        if request.guard != Guard::Bare && !self.again.contains(&request) {
            self.again.push_back(request);
        }
    }

    /// Whether a further answer is the first one again, to the byte.
    fn is_kept(&self, request: &Request, reply: &Reply) -> bool {
        let first = self.kept.iter().find(|(kept, _)| kept == request);
        first.is_none_or(|(_, first)| {
            (first.status, &first.location, &first.etag, &first.body)
                == (reply.status, &reply.location, &reply.etag, &reply.body)
        })
    }
}

/// The answers for the orders of a request.
fn items(request: &Request, reply: &Reply) -> Vec<(u16, Value)> {
    let body = reply.json();
    if request.route == Route::Single || reply.status != 200 {
        return vec![(reply.status, body); request.count as usize];
    }
    let results = body["results"].as_array().cloned().unwrap_or_default();
    assert_eq!(results.len() as u64, request.count, "{body}");
    let item = |result: Value| {
        let status = result["status"].as_u64().unwrap_or_default();
        let part = if status == 201 { "order" } else { "problem" };
        (status as u16, result[part].clone())
    };
    results.into_iter().map(item).collect()
}
