//! A store with a past: two epochs, several steps, failures, collisions, an expiry, holds, cancels,
//! and orders that are still open. Written by the real engine, by hand and with a fixed seed.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use orderd::clock::{Clock, ManualClock, Timestamp};
use orderd::engine::{Engine, Handle, Settings, Start, Turns};
use orderd::order::{
    Action, Change, Currency, LabelRule, Limits, Money, NewHold, NewOrder, OrderId, Past, PastEnd,
    Priority, Process, ProcessIndex, RetryPolicy, Rules, Seq, ShardNumber, Signal, Signature,
    Simulate, Step, StepKind, TimeUp, Wait, WantedId, When,
};
use orderd::store::sqlite::Sqlite;
use rand::SeedableRng;
use rand::rngs::StdRng;
use tempfile::TempDir;

pub struct Scene {
    folder: TempDir,
}

fn process() -> Process {
    let step = |name: &str, failures_ppm, seconds: i64| Step {
        undo: None,
        name: name.into(),
        kind: StepKind::Simulate(Simulate {
            shortest_us: seconds * 1_000_000,
            longest_us: seconds * 3_000_000,
            failures_ppm,
            ..Simulate::default()
        }),
        concurrency: 20,
        retry: RetryPolicy {
            attempts_max: 3,
            ..RetryPolicy::default()
        },
    };
    let seen = LabelRule {
        label: "seen".into(),
        text: "by the rules".into(),
        when: When::default(),
    };
    let limits = Limits {
        total_max_minor: Some(170),
        ..Limits::default()
    };
    let check = Step {
        name: "check".into(),
        kind: StepKind::Rules(Rules {
            limits,
            labels: vec![seen],
        }),
        ..step("check", 0, 0)
    };
    Process {
        name: "default".into(),
        version: 1,
        concurrency: 30,
        open_orders_max: 0,
        steps: vec![check, step("pay", 300_000, 0), step("pack", 100_000, 1)],
    }
}

/// Its orders wait for a signal.
fn parcel() -> Process {
    let wait = Wait {
        timeout_us: 9_000_000,
        then: TimeUp::Dead,
    };
    let process = process();
    let delivered = Step {
        name: "delivered".into(),
        kind: StepKind::Wait(wait),
        ..process.steps[1].clone()
    };
    Process {
        name: "parcel".into(),
        steps: vec![process.steps[1].clone(), delivered],
        ..process
    }
}

fn order(number: usize, now: Timestamp) -> NewOrder {
    let id = format!(
        "order-{}",
        if number.is_multiple_of(20) { 1 } else { number }
    );
    let total = Money::new(number as i64, Currency::from_code("EUR").unwrap()).unwrap();
    NewOrder {
        id: WantedId::Chosen(OrderId::parse(&id).unwrap()),
        idempotency_key: None,
        customer_id: "ada".into(),
        total,
        item_count: 1,
        priority: Priority::ALL[number % 3],
        process: ProcessIndex(u16::from(number.is_multiple_of(17))),
        payload: r#"{"items":["tea"]}"#.into(),
        start_at: number.is_multiple_of(7).then(|| now.plus(3_000_000)),
        expires_at: number.is_multiple_of(5).then(|| now.plus(4_000_000)),
        past: number
            .is_multiple_of(13)
            .then(|| Box::new(past(number, now))),
        hold: (number.is_multiple_of(11) && !number.is_multiple_of(13)).then(|| {
            Box::new(NewHold {
                reason: "to be looked at".into(),
                by: None,
                until: number.is_multiple_of(2).then(|| now.plus(2_000_000)),
            })
        }),
    }
}

/// How an order was finished elsewhere.
fn past(number: usize, now: Timestamp) -> Past {
    let end = [PastEnd::Completed, PastEnd::Cancelled][number % 2];
    Past {
        end,
        created_at: now.plus(-9_000_000),
        started_at: (end == PastEnd::Completed).then(|| now.plus(-8_000_000)),
        ended_at: now.plus(-1_000_000),
        reason: None,
    }
}

fn open(path: &Path, clock: &ManualClock) -> (Handle, Turns) {
    let start = Start {
        store: Arc::new(Sqlite::open(path, 1).unwrap()),
        shard: ShardNumber(0),
        processes: vec![process(), parcel()],
        settings: Settings::default(),
        clock: Arc::new(clock.clone()),
        random: StdRng::seed_from_u64(clock.now().0.unsigned_abs()),
    };
    Engine::by_hand(start, 1_000).unwrap()
}

/// Somebody wants something of a few orders of the last batch; some have ended.
fn ask(handle: &Handle, turns: &mut Turns, first: i64) {
    let signature = || Signature {
        reason: Some("ordered twice".into()),
        by: Some("ada".into()),
    };
    let hold = NewHold {
        reason: "fraud?".into(),
        by: None,
        until: None,
    };
    let actions = [
        Action::Cancel(signature()),
        Action::Hold(hold.clone()),
        Action::Hold(hold.clone()),
        Action::Hold(hold),
        Action::Prioritize(Priority::High, signature()),
        Action::Prioritize(Priority::Low, signature()),
        Action::Retry(signature()),
        Action::Retry(signature()),
    ];
    let changes = actions
        .into_iter()
        .zip(first + 6..)
        .map(|(action, seq)| Change {
            seq: Seq(seq),
            versions: None,
            action,
        });
    let mut asked = Box::pin(handle.change(changes.collect()));
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(asked.as_mut().poll(&mut context).is_pending());
    assert!(turns.turn(Duration::ZERO).unwrap().is_continue());
    assert!(asked.as_mut().poll(&mut context).is_ready());
    let release = Change {
        seq: Seq(first + 7),
        versions: None,
        action: Action::Release(signature()),
    };
    // Most wait for nothing; of the others some are told early, some in time.
    let signals = (first..first + 15).step_by(2).map(|seq| Change {
        seq: Seq(seq),
        versions: None,
        action: Action::Signal(Box::new(Signal {
            name: "delivered".into(),
            output: r#"{"by":"van 7"}"#.into(),
        })),
    });
    let changes = std::iter::once(release).chain(signals);
    let mut asked = Box::pin(handle.change(changes.collect()));
    assert!(asked.as_mut().poll(&mut context).is_pending());
    assert!(turns.turn(Duration::ZERO).unwrap().is_continue());
    assert!(asked.as_mut().poll(&mut context).is_ready());
}

impl Scene {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let scene = Self { folder };
        let clock = ManualClock::new(Timestamp(1_800_000_000_000_000));
        for epoch in 0..2 {
            let (handle, mut turns) = open(&scene.path(), &clock);
            for batch in 0..6 {
                let first = 1 + epoch * 100 + batch * 15;
                let orders = (first..first + 15).map(|number| order(number, clock.now()));
                let mut sent = Box::pin(handle.submit_batch(orders.collect(), Vec::new()));
                let mut context = std::task::Context::from_waker(std::task::Waker::noop());
                assert!(sent.as_mut().poll(&mut context).is_pending());
                assert!(turns.turn(Duration::ZERO).unwrap().is_continue());
                assert!(sent.as_mut().poll(&mut context).is_ready());
                assert!(turns.turn(Duration::ZERO).unwrap().is_continue());
                clock.advance(1_500_000);
                ask(&handle, &mut turns, first as i64);
            }
        }
        scene
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn path(&self) -> PathBuf {
        self.folder.path().join("orders.db")
    }

    /// A connection that may write anything, whatever the schema says.
    pub fn vandal(&self) -> rusqlite::Connection {
        let connection = rusqlite::Connection::open(self.path()).unwrap();
        let anything = "PRAGMA ignore_check_constraints = ON";
        connection.execute_batch(anything).unwrap();
        connection
    }

    /// Changes something behind orderd's back; fails if that changed nothing.
    pub fn plant(&self, sql: &str) {
        assert!(self.vandal().execute(sql, []).unwrap() > 0, "{sql}");
    }

    /// Rewrites all hashes, as somebody would who wants to hide a change.
    pub fn forge_hashes(&self) {
        let connection = self.vandal();
        let sql = "SELECT position, epoch, at, entries FROM journal ORDER BY position";
        let mut rows = connection.prepare(sql).unwrap();
        let rows = rows
            .query_map([], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
            })
            .unwrap();
        let rows: Vec<(i64, i64, i64, String)> = rows.map(Result::unwrap).collect();
        let mut hash = orderd::store::journal::GENESIS;
        for (position, epoch, at, entries) in rows {
            let place = orderd::order::Position(position);
            hash = orderd::store::journal::hash(&hash, place, epoch, Timestamp(at), &entries);
            let sql = "UPDATE journal SET hash = ?2 WHERE position = ?1";
            connection
                .execute(sql, rusqlite::params![position, hash])
                .unwrap();
            let sql = "UPDATE shards SET hash = ?1, position = ?2";
            connection
                .execute(sql, rusqlite::params![hash, position])
                .unwrap();
        }
    }
}
