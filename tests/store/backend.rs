//! A backend under test, and a hand that writes commits to it without a shard.
//! Nothing here knows what a case expects.

use std::future::Future;
use std::sync::Arc;

use orderd::clock::Timestamp;
use orderd::order::{
    Changed, Commit, Currency, Event, EventKind, Hold, Marks, Money, Opening, Order, OrderId,
    OrderState, Position, Priority, ProcessTally, Receipt, Seq, ShardNumber, Status,
};
use orderd::store::{Store, StoreError};

use super::behind::Behind;
use super::databases::Place;
use super::unchecked;

/// A backend under test.
pub struct Backend {
    url: String,
    _place: Box<dyn Place>,
}

impl Backend {
    pub fn at(place: Box<dyn Place>) -> Self {
        Self {
            url: place.url(),
            _place: place,
        }
    }

    fn behind(&self) -> Behind<'_> {
        Behind::of(&self.url)
    }

    /// Opens the store, again if need be.
    pub fn open(&self) -> Result<Arc<dyn Store>, StoreError> {
        orderd::store::open(&self.url, 2)
    }

    /// Opens it where it cannot be. Answers the place, too.
    pub fn open_elsewhere(&self) -> (Result<Arc<dyn Store>, StoreError>, String) {
        let (url, place) = self.behind().nowhere();
        (orderd::store::open(&url, 1), place)
    }

    /// What the database says about itself: nothing if it is sound.
    pub fn integrity(&self) -> Vec<String> {
        orderd::store::snapshot(&self.url)
            .unwrap()
            .integrity()
            .unwrap()
    }

    /// Runs SQL behind the store's back. `Err` if the schema refuses it.
    pub fn sql(&self, sql: &str) -> Result<u64, String> {
        self.behind().sql(sql)
    }

    /// The same, whatever the CHECK constraints of the schema say.
    pub fn sql_unchecked(&self, sql: &str) {
        assert!(unchecked::run(&self.url, sql).unwrap() > 0, "{sql}");
    }

    /// So many zero bytes in SQL.
    pub fn zeros(&self, count: usize) -> String {
        self.behind().zeros(count)
    }

    /// Makes the schema look newer than this binary.
    pub fn age(&self) {
        let sql = "INSERT INTO refinery_schema_history SELECT 999, 'later', applied_on, checksum
                     FROM refinery_schema_history LIMIT 1";
        self.sql(sql).unwrap();
    }
}

pub fn wait<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    runtime.block_on(future)
}

pub const START: Timestamp = Timestamp(1_800_000_000_000_000);

/// Writes commits one after another.
pub struct Hand {
    pub store: Arc<dyn Store>,
    pub opening: Opening,
    position: Position,
    last_seq: Seq,
}

impl Hand {
    pub fn new(backend: &Backend) -> Self {
        Self::on(backend.open().unwrap())
    }

    pub fn on(store: Arc<dyn Store>) -> Self {
        let opening = store.open_shard(ShardNumber(0)).unwrap();
        Self {
            position: opening.position,
            last_seq: opening.last_seq,
            store,
            opening,
        }
    }

    /// The next commit, empty.
    pub fn blank(&self) -> Commit {
        Commit {
            epoch: self.opening.epoch,
            position: self.position.next(),
            at: START.plus(self.position.0 * 1_000_000),
            keys_kept_at: START.plus(self.position.0 * 1_000_000),
            ..Commit::default()
        }
    }

    /// Adds a new order, with its event and its count.
    pub fn create(&mut self, commit: &mut Commit, id: &str) -> Seq {
        self.last_seq = self.last_seq.next();
        let order = order(self.last_seq, id, commit);
        count(commit, &order, 1);
        commit.events.push(event(
            &order.state,
            order.seq,
            EventKind::Accepted,
            Position(0),
        ));
        commit.created.push(order);
        self.last_seq
    }

    /// Leaves so many sequence numbers out, as if orders with them had been left out.
    pub fn skip(&mut self, count: i64) {
        self.last_seq.0 += count;
    }

    /// Commits, and goes on behind it.
    pub fn commit(&mut self, commit: &Commit) -> Receipt {
        let receipt = self.store.commit(commit).unwrap();
        self.position = commit.position;
        receipt
    }

    /// Commits one order for each id.
    pub fn accept(&mut self, ids: &[&str]) -> Receipt {
        let mut commit = self.blank();
        for id in ids {
            self.create(&mut commit, id);
        }
        self.commit(&commit)
    }

    pub fn order(&self, id: &str) -> Option<Order> {
        let id = OrderId::parse(id).unwrap();
        wait(self.store.order(&id)).unwrap()
    }
}

pub fn order(seq: Seq, id: &str, commit: &Commit) -> Box<Order> {
    Box::new(Order {
        seq,
        id: OrderId::parse(id).unwrap(),
        customer_id: "ada".into(),
        process: "default".into(),
        process_version: 1,
        priority: Priority::Medium,
        item_count: 1,
        total: Money::new(seq.0, Currency::from_code("EUR").unwrap()).unwrap(),
        payload: r#"{"items":["tea"]}"#.into(),
        start_at: None,
        expires_at: None,
        created_at: commit.at,
        hold: None,
        marks: Marks::default(),
        imported_at: None,
        state: OrderState {
            status: Status::Pending {
                ready_at: commit.at,
            },
            version: 1,
            step: "work".into(),
            attempt: 0,
            started_at: None,
            updated_at: commit.at,
            reason: None,
            position: commit.position,
        },
        outputs: Vec::new(),
    })
}

/// Counts an order once more or no more.
pub fn count(commit: &mut Commit, order: &Order, change: i64) {
    ProcessTally::among(&mut commit.tallies, &order.process).count(order, change);
}

/// Counts the new orders of a commit anew, after they were changed by hand.
pub fn recount(commit: &mut Commit) {
    let mut tallies = Vec::new();
    for order in &commit.created {
        ProcessTally::among(&mut tallies, &order.process).count(order, 1);
    }
    commit.tallies = tallies;
}

/// Puts another state of a stored order into a commit, with its event and its counts.
pub fn change(commit: &mut Commit, before: &Order, state: OrderState, kind: EventKind) -> Order {
    let after = Order {
        state,
        ..before.clone()
    };
    count(commit, before, -1);
    count(commit, &after, 1);
    let (state, previous) = (after.state.clone(), before.state.position);
    commit
        .events
        .push(event(&state, before.seq, kind, previous));
    let seq = before.seq;
    commit.changed.retain(|changed| changed.seq != seq);
    commit.changed.push(Changed::to(seq, state));
    after
}

/// The event that led to a state.
pub fn event(state: &OrderState, seq: Seq, kind: EventKind, previous: Position) -> Event {
    let is_leased = matches!(state.status, Status::Processing { .. });
    Event {
        seq,
        version: state.version,
        kind,
        status: state.status.kind(),
        at: state.updated_at,
        previous,
        step: is_leased.then(|| state.step.clone()),
        attempt: state.attempt,
        lease: i64::from(is_leased),
        reason: state.reason.clone(),
        by: None,
        detail: None,
    }
}

/// A hold with everything that it can have.
pub fn hold(since: Timestamp) -> Hold {
    Hold {
        reason: "\"fraud\"? ünsure".into(),
        by: Some("ada".into()),
        since,
        until: Some(since.plus(7)),
    }
}
