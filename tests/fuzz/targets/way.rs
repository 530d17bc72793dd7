//! The way of an accepted order without a server: shard, journal, store, answer. At its end it says
//! what it said at its beginning.

use std::sync::Arc;

use orderd::clock::Timestamp;
use orderd::http::{render, schema};
use orderd::order::{NewOrder, Order, OrderId, Process, Processes, ShardNumber};
use orderd::shard::{Allowances, Shard, ShardSettings};
use orderd::store::{self, JournalRow, Store, journal};
use rand::SeedableRng;
use rand::rngs::StdRng;
use serde_json::Value;
use tempfile::TempDir;

use super::place::{self, Place};

/// What the clock of every target shows at first.
pub const NOW: Timestamp = Timestamp(1_795_231_450_000_000);
/// After so many orders the store is thrown away, so that it does not grow for ever.
const ORDERS_MAX: usize = 2_000;

/// A shard and its store.
pub struct Way {
    processes: Arc<Processes>,
    shard: Shard,
    store: Arc<dyn Store>,
    orders: usize,
    _folder: TempDir,
}

impl Way {
    pub fn new() -> Self {
        let folder = place::folder();
        let url = format!("sqlite:{}", folder.path().join("orders.db").display());
        let store = store::open(&url, 1).expect("a store");
        let opening = store.open_shard(ShardNumber(0)).expect("its shard");
        let processes = Processes::new(vec![Process::built_in()], Vec::new());
        let processes = Arc::new(processes.expect("one process"));
        let settings = ShardSettings {
            shard: ShardNumber(0),
            open_orders_max: 1_000_000,
            allowances: Allowances::default(),
            key_retention_us: 1,
        };
        let random = StdRng::seed_from_u64(1);
        Self {
            shard: Shard::new(settings, &opening, Arc::clone(&processes), random),
            processes,
            store,
            orders: 0,
            _folder: folder,
        }
    }

    /// Whether it is time for another one.
    pub fn is_worn_out(&self) -> bool {
        self.orders >= ORDERS_MAX
    }

    /// The processes that an order may name.
    pub fn processes(&self) -> &Processes {
        &self.processes
    }

    /// Takes an order in, and looks at it everywhere it can be seen.
    pub fn go(&mut self, place: &Place, new: NewOrder, sent: &Value) {
        self.orders += 1;
        self.shard.submit(new, NOW.into()).expect("there is room");
        let commit = self.shard.commit();
        let written = journal::encode(commit.at, commit.events.iter());
        let row = JournalRow {
            position: commit.position,
            epoch: commit.epoch,
            at: commit.at,
            entries: written.into(),
            hash: journal::GENESIS,
        };
        let events = journal::decode(&row).expect("the journal is read back");
        assert_eq!(events, commit.events);
        let receipt = self.store.commit(commit).expect("the commit is stored");
        let is_stored = receipt.collided.is_empty();
        for (order, _) in self.shard.committed(&receipt, NOW.into()) {
            same(&order, sent);
            let stored = self.read(place, &order.id);
            if is_stored {
                assert_eq!(stored, *order);
            }
            assert_eq!(stored.id, order.id);
        }
    }

    fn read(&self, place: &Place, id: &OrderId) -> Order {
        let read = place.wait(self.store.order(id));
        read.expect("the row is good").expect("the row is there")
    }
}

/// The answer says what was sent, and has the form that is documented.
fn same(order: &Order, sent: &Value) {
    let mut bytes = Vec::new();
    render::order(&mut bytes, order);
    let shown: Value = serde_json::from_slice(&bytes).expect("the answer is JSON");
    let documented: schema::Order = serde_json::from_slice(&bytes).expect("of the known form");
    assert_eq!(documented.customer_id, *order.customer_id);
    for field in [
        "customer_id",
        "items",
        "total",
        "address",
        "notes",
        "metadata",
    ] {
        let (shown, sent) = (without_nulls(&shown[field]), without_nulls(&sent[field]));
        assert_eq!(shown, sent, "{field}");
    }
    for (field, default) in [("priority", 2.into()), ("process", "default".into())] {
        let sent = match &sent[field] {
            Value::Null => &default,
            sent => sent,
        };
        assert_eq!(&shown[field], sent, "{field}");
    }
    if let Value::String(id) = &sent["order_id"] {
        assert_eq!(order.id.as_str(), id);
    }
    for field in ["start_at", "expires_at"] {
        let time = |order: &Value| order[field].as_str().and_then(Timestamp::parse_rfc3339);
        assert_eq!(time(&shown), time(sent), "{field}");
    }
    let hold = |order: &Value, field: &str| order["hold"][field].clone();
    for field in ["reason", "by"]
        .into_iter()
        .filter(|_| order.hold.is_some())
    {
        assert_eq!(hold(&shown, field), hold(sent, field), "{field}");
    }
}

/// An absent member and one that is null are the same.
fn without_nulls(value: &Value) -> Value {
    match value {
        Value::Array(values) => values.iter().map(without_nulls).collect(),
        Value::Object(members) => {
            let members = members.iter().filter(|(_, value)| !value.is_null());
            members
                .map(|(key, value)| (key.clone(), without_nulls(value)))
                .collect()
        }
        other => other.clone(),
    }
}
