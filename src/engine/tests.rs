//! The engine on a real store in a folder of its own.
//!
//! Waits for answers, never for time.

use std::path::Path;
use std::time::Duration;

use rand::SeedableRng;

use super::*;
use crate::clock::{ManualClock, Now, SystemClock, Timestamp};
use crate::order::{
    Currency, LabelRule, Limits, Money, NewOrder, OrderId, Priority, ProcessIndex, Rules, Simulate,
    Spelling, StatusKind, Step, StepKind, WantedId, When,
};
use crate::store::sqlite::Sqlite;

fn start(folder: &Path, settings: Settings) -> Engine {
    let mut process = Process::built_in();
    process.steps[0].kind = StepKind::Simulate(Simulate::default());
    Engine::start(Start {
        store: Arc::new(Sqlite::open(&folder.join("orders.db"), 2).unwrap()),
        shard: ShardNumber(0),
        processes: vec![process],
        settings,
        clock: Arc::new(SystemClock::default()),
        random: StdRng::seed_from_u64(1),
    })
    .unwrap()
}

pub(super) fn order(id: Option<&str>) -> NewOrder {
    NewOrder {
        idempotency_key: None,
        id: id.map_or(WantedId::Made(Spelling::Uuid), |id| {
            WantedId::Chosen(OrderId::parse(id).unwrap())
        }),
        customer_id: "c".into(),
        item_count: 1,
        total: Money::new(1, Currency::from_code("EUR").unwrap()).unwrap(),
        priority: Priority::Medium,
        process: ProcessIndex(0),
        payload: r#"{"items":["a"]}"#.into(),
        start_at: None,
        expires_at: None,
        hold: None,
        past: None,
    }
}

#[tokio::test]
async fn an_order_is_accepted_worked_off_and_there_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let engine = start(folder.path(), Settings::default());
    let accepted = engine
        .handle()
        .submit(Box::new(order(Some("A-1"))), true)
        .await
        .unwrap();
    assert_eq!(accepted.order.id.as_str(), "A-1");
    let end = accepted.end.unwrap().await.unwrap();
    assert_eq!(end.status.kind(), StatusKind::Completed);
    let twice = engine
        .handle()
        .submit(Box::new(order(Some("A-1"))), false)
        .await;
    assert_eq!(
        twice.err(),
        Some(SubmitError::Exists {
            id: accepted.order.id.clone()
        })
    );
    engine.handle().drain();
    engine.join().unwrap();

    let engine = start(folder.path(), Settings::default());
    let stats = engine.handle().stats().await.unwrap();
    assert_eq!(
        (stats.epoch, stats.tally.total(), stats.tally.open()),
        (2, 1, 0)
    );
    assert_eq!(stats.tally.by_status(StatusKind::Completed), 1);
}

#[tokio::test]
async fn counters_of_a_process_are_told_until_the_engine_ends() {
    let folder = tempfile::tempdir().unwrap();
    for epoch in 1..3 {
        let engine = start(folder.path(), Settings::default());
        let handle = engine.handle();
        let accepted = handle.submit(Box::new(order(None)), true).await.unwrap();
        let end = accepted.end.unwrap().await.unwrap();
        // Accepted and started in two turns; a step that takes no time ends in the one it starts.
        assert_eq!(end.started_at, Some(end.updated_at));
        let tally = handle.process_tally("default").await.unwrap();
        assert_eq!(tally.tally.by_status(StatusKind::Completed), epoch);
        assert_eq!((tally.work_us, tally.turnaround_s), (0, 0));
        assert_eq!(handle.stats().await.unwrap().processes, [tally]);
        assert!(handle.process_tally("nobody").await.unwrap().is_zero());
        handle.drain();
        engine.join().unwrap();
        assert_eq!(handle.process_tally("default").await, None);
    }
}

#[tokio::test]
async fn a_batch_is_answered_item_by_item() {
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings {
        open_orders_max: 3,
        ..Settings::default()
    };
    let engine = start(folder.path(), settings);
    let orders = vec![
        order(Some("a")),
        order(Some("a")),
        order(None),
        order(Some("b")),
    ];
    let answers = engine
        .handle()
        .submit_batch(orders, Vec::new())
        .await
        .unwrap();
    let told: Vec<_> = answers
        .into_iter()
        .map(|answer| {
            answer
                .map(|order| order.seq.0)
                .map_err(|error| error.to_string())
        })
        .collect();
    let exists = "an order with the id a exists".to_owned();
    let full = "too many open orders".to_owned();
    assert_eq!(told, [Ok(1), Err(exists), Ok(3), Err(full)]);
}

#[tokio::test]
async fn a_drained_engine_refuses() {
    let folder = tempfile::tempdir().unwrap();
    let engine = start(folder.path(), Settings::default());
    let handle = engine.handle();
    handle.drain();
    engine.join().unwrap();
    let refused = handle.submit(Box::new(order(None)), false).await.err();
    assert_eq!(refused, Some(SubmitError::Draining));
    assert!(!handle.is_accepting());
}

/// An engine that is driven by hand, on the store in a folder.
pub(super) fn by_hand(
    folder: &Path,
    clock: &ManualClock,
    process: Process,
) -> (Arc<Sqlite>, Handle, Turns) {
    let store = Arc::new(Sqlite::open(&folder.join("orders.db"), 1).unwrap());
    let start = Start {
        store: store.clone(),
        shard: ShardNumber(0),
        processes: vec![process],
        settings: Settings::default(),
        clock: Arc::new(clock.clone()),
        random: StdRng::seed_from_u64(1),
    };
    let (handle, turns) = Engine::by_hand(start, 100).unwrap();
    (store, handle, turns)
}

/// Labels everything, works for a minute, then lets orders of one item pass.
pub(super) fn checked() -> Process {
    let mut process = Process::built_in();
    let work = Simulate {
        shortest_us: 60_000_000,
        longest_us: 60_000_000,
        ..Simulate::default()
    };
    let label = LabelRule {
        label: "seen".into(),
        text: "by the rules".into(),
        when: When::default(),
    };
    let items_max = Some(1);
    let rules = |limits| {
        let labels = vec![label.clone()];
        StepKind::Rules(Rules { limits, labels })
    };
    let limits = Limits {
        items_max,
        ..Limits::default()
    };
    let steps = [
        ("label", rules(Limits::default())),
        ("work", StepKind::Simulate(work)),
        ("limit", rules(limits)),
    ];
    let step = process.steps.remove(0);
    process.steps = steps
        .map(|(name, kind)| Step {
            name: name.into(),
            kind,
            ..step.clone()
        })
        .into();
    process
}

#[tokio::test]
async fn what_rules_said_and_what_they_will_look_at_survives_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let clock = ManualClock::new(Timestamp(1_800_000_000_000_000));
    let (store, handle, mut turns) = by_hand(folder.path(), &clock, checked());
    let orders = ["one", "two"].map(|id| order(Some(id)));
    let orders = (1..).zip(orders).map(|(item_count, order)| NewOrder {
        item_count,
        ..order
    });
    let sent = tokio::spawn(async move { handle.submit_batch(orders.collect(), Vec::new()).await });
    tokio::task::yield_now().await;
    for _ in 0..4 {
        assert!(turns.turn(Duration::ZERO).unwrap().is_continue());
    }
    assert!(sent.await.unwrap().unwrap().iter().all(Result::is_ok));
    drop((turns, store));

    let (store, _handle, mut turns) = by_hand(folder.path(), &clock, checked());
    let read = async |id: &str| {
        let id = OrderId::parse(id).unwrap();
        let order = store.order(&id).await.unwrap().unwrap();
        let said: Vec<_> = order.outputs.iter().map(|it| it.step.to_string()).collect();
        (order.state, said)
    };
    assert_eq!(read("one").await.1, ["label"]);
    for _ in 0..4 {
        assert!(turns.turn(Duration::ZERO).unwrap().is_continue());
        clock.advance(60_000_000);
    }
    let (state, said) = read("one").await;
    assert_eq!(state.status.kind(), StatusKind::Completed);
    assert_eq!(said, ["label", "limit"]);
    let (state, said) = read("two").await;
    assert_eq!(state.status.kind(), StatusKind::Rejected);
    assert_eq!(state.reason.as_deref(), Some("too many items in order"));
    assert_eq!(said, ["label"]);
}

#[tokio::test]
async fn after_an_unknown_fate_the_store_is_opened_anew_and_work_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let clock = ManualClock::new(Timestamp(1_800_000_000_000_000));
    let (store, handle, mut turns) = by_hand(folder.path(), &clock, Process::built_in());
    let submit = |id| {
        let handle = handle.clone();
        let order = Box::new(order(Some(id)));
        tokio::spawn(async move { handle.submit(order, false).await })
    };
    let first = submit("one");
    tokio::task::yield_now().await;
    for _ in 0..3 {
        assert!(turns.turn(Duration::ZERO).unwrap().is_continue());
    }
    assert!(first.await.unwrap().is_ok());

    store.fail_commits();
    let lost = submit("two");
    tokio::task::yield_now().await;
    assert!(turns.turn(Duration::ZERO).unwrap().is_continue());
    let told = lost.await.unwrap().err();
    let is_known = matches!(told, Some(SubmitError::StoreUnavailable { .. }));
    assert!(is_known && turns.is_recovering(), "{told:?}");
    let again = submit("two");
    tokio::task::yield_now().await;
    assert!(turns.turn(Duration::ZERO).unwrap().is_continue());
    assert!(again.await.unwrap().is_ok());
    for _ in 0..3 {
        clock.advance(20_000_000);
        assert!(turns.turn(Duration::ZERO).unwrap().is_continue());
    }
    assert!(!turns.is_recovering());
    let asked = handle.clone();
    let stats = tokio::spawn(async move { asked.stats().await });
    tokio::task::yield_now().await;
    assert!(turns.turn(Duration::ZERO).unwrap().is_continue());
    let stats = stats.await.unwrap().unwrap();
    assert_eq!((stats.epoch, stats.reopenings), (2, 1));
    assert_eq!(stats.tally.by_status(StatusKind::Completed), 2);

    store.fail_commits();
    let unknown = submit("three");
    tokio::task::yield_now().await;
    assert!(turns.turn(Duration::ZERO).is_ok());
    let told = unknown.await.unwrap().err();
    assert!(
        matches!(told, Some(SubmitError::StoreUnavailable { .. })),
        "{told:?}"
    );
    store.fail_commits();
    let unknown = submit("four");
    tokio::task::yield_now().await;
    let end = turns.turn(Duration::ZERO).unwrap_err();
    assert!(matches!(end, StoreError::Unknown { .. }), "{end:?}");
    let told = unknown.await.unwrap().err();
    assert_eq!(told, Some(SubmitError::OutcomeUnknown));
}

#[tokio::test]
async fn work_follows_the_monotonic_clock_and_schedules_the_wall_clock() {
    const DAY: i64 = 86_400_000_000;
    let folder = tempfile::tempdir().unwrap();
    let clock = ManualClock::new(Timestamp(1_800_000_000_000_000));
    let (store, handle, mut turns) = by_hand(folder.path(), &clock, checked());
    let at = |start_at| NewOrder {
        start_at,
        ..order(Some(if start_at.is_some() { "later" } else { "now" }))
    };
    let orders = vec![at(None), at(Some(clock.now().plus(DAY)))];
    let sent = tokio::spawn(async move { handle.submit_batch(orders, Vec::new()).await });
    tokio::task::yield_now().await;
    let turn = |turns: &mut Turns| {
        for _ in 0..4 {
            assert!(turns.turn(Duration::ZERO).unwrap().is_continue());
        }
    };
    turn(&mut turns);
    assert!(sent.await.unwrap().unwrap().iter().all(Result::is_ok));
    let read = async |id: &str| {
        let id = OrderId::parse(id).unwrap();
        let state = store.order(&id).await.unwrap().unwrap().state;
        (state.status.kind(), state.updated_at)
    };
    clock.jump(DAY / 2);
    clock.advance(59_000_000);
    turn(&mut turns);
    assert_eq!(read("now").await.0, StatusKind::Processing);
    assert_eq!(read("later").await.0, StatusKind::Scheduled);
    let latest = clock.now();
    clock.jump(-DAY);
    clock.advance(1_000_000);
    turn(&mut turns);
    let (status, at) = read("now").await;
    assert_eq!((status, at), (StatusKind::Completed, latest.plus(500_000)));
    clock.jump(DAY / 2 + DAY);
    turn(&mut turns);
    assert_eq!(read("later").await.0, StatusKind::Processing);
    drop(turns);

    clock.jump(-DAY);
    let after = Now::first(&clock, store.open_shard(ShardNumber(0)).unwrap().last_at);
    assert_eq!(after.at, clock.now().plus(DAY));
}

#[tokio::test]
async fn without_room_orders_are_refused_at_once_and_let_in_as_soon_as_there_is_some() {
    let folder = tempfile::tempdir().unwrap();
    let clock = ManualClock::new(Timestamp(1_800_000_000_000_000));
    let mut process = checked();
    process.open_orders_max = 2;
    let (_store, handle, mut turns) = by_hand(folder.path(), &clock, process);
    let submit = |count: usize| {
        let (handle, orders) = (handle.clone(), (0..count).map(|_| order(None)).collect());
        tokio::spawn(async move { handle.submit_batch(orders, Vec::new()).await.unwrap() })
    };
    let is_overload = |answer: &Answer| {
        let told = answer.as_ref().err();
        matches!(
            told,
            Some(SubmitError::Overloaded {
                retry_after_seconds: 1..=60
            })
        )
    };
    let turn = |turns: &mut Turns| assert!(turns.turn(Duration::ZERO).unwrap().is_continue());
    let first = submit(3);
    tokio::task::yield_now().await;
    turn(&mut turns);
    let first = first.await.unwrap();
    assert!(first[0].is_ok() && first[1].is_ok() && is_overload(&first[2]));
    (0..3).for_each(|_| turn(&mut turns));

    // Nobody takes a turn: the engine's thread could be flushing for as long.
    let single = handle.submit(Box::new(order(None)), false);
    let patience = Duration::from_secs(30);
    let single = tokio::time::timeout(patience, single).await.unwrap();
    assert!(is_overload(&single.map(|accepted| accepted.order)));
    let batch = tokio::time::timeout(patience, submit(2)).await.unwrap();
    assert!(batch.unwrap().iter().all(is_overload));

    clock.advance(60_000_000);
    turn(&mut turns);
    let next = submit(2);
    tokio::task::yield_now().await;
    turn(&mut turns);
    assert!(next.await.unwrap().iter().all(Result::is_ok));
    let asked = handle.clone();
    let stats = tokio::spawn(async move { asked.stats().await });
    tokio::task::yield_now().await;
    turn(&mut turns);
    assert_eq!(stats.await.unwrap().unwrap().refused_overloaded, 4);
}
