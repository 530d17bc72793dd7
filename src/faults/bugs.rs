//! Planted bugs: mistakes that a test build can be made to have, one at a time, to prove that the
//! tests would notice them. Each stands at the place that keeps the promise it breaks.
//!
//! `tests/planted` says which check has to catch which.

/// A mistake, by what it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    // The engine.
    /// Answers leave before the commit is flushed.
    AnswerBeforeFlush,
    /// An order of unknown fate is called refused.
    UnknownCalledRefused,
    /// Orders that were refused stay in the commit, and are stored with the next one.
    RefusedTriedAgain,
    /// Whoever asked for a change is told that it was made, although the reopened store lost it.
    ChangeLostAtReopening,
    /// A change under an idempotency key is decided although the key is taken.
    ChangeMadeAgain,
    /// After a restart only the first page of open orders is brought back.
    OrdersForgottenAtRestart,
    /// After a restart orders are brought back that are there already.
    OrdersDoubledAtRestart,
    // What talks to clients.
    /// A request of unknown fate is called refused if its idempotency key cannot be looked up.
    UnknownCalledUnavailable,
    // The shard.
    /// An attempt from before a restart goes on under its old lease.
    LostLeaseGoesOn,
    /// A timer that means something else by now ends the attempt that runs.
    StaleTimerTaken,
    /// Leases are numbered anew for each attempt.
    FenceStandsStill,
    /// Work begins before the commit that accepts the order is durable.
    WorkBeforeDurable,
    /// Retries and work follow the wall clock.
    DurationsByWallClock,
    /// Start times and ends of holds follow the monotonic clock.
    SchedulesByTicks,
    /// The written time falls when the wall clock is set back.
    WrittenTimeFalls,
    /// A retry is not written into the journal.
    JournalMissesRetry,
    /// A dead order is not counted as such.
    CounterMissesDead,
    /// An idempotency key is over as soon as it is stored.
    KeyOverAtOnce,
    /// An order that has ended is said to be cancelled.
    CancelAfterTheEnd,
    /// A change is made whatever version of the order it was meant for.
    VersionNotChecked,
    /// An order starts although it is held.
    HoldIgnored,
    /// Low orders run when there is nobody else.
    LowPriorityStarves,
    /// What a worker says counts, whoever has the lease by now.
    StaleResultTaken,
    /// A signal that came early is forgotten by a restart.
    SignalForgotten,
    /// What a step may have done is not remembered, so that it is never undone.
    EffectForgotten,
    // The couriers of webhooks.
    /// How far a receiver is stands in the store before the deliveries are made.
    PlaceNotedBeforeDelivery,
    // The store on SQLite.
    /// A commit under an old epoch is taken.
    NoFenceInStore,
    /// An idempotency key is stored in a transaction of its own.
    KeyInAnotherTransaction,
    /// The journal row is stored in a transaction of its own.
    JournalInAnotherTransaction,
    /// A commit that could not be flushed counts as stored.
    FlushErrorIgnored,
    /// `synchronous=NORMAL`: a commit returns before it is flushed.
    SynchronousNormal,
}

impl Bug {
    /// All of them, each with the name by which `ORDERD_BUG` asks for it.
    pub const ALL: [(Self, &'static str); 31] = [
        (Self::AnswerBeforeFlush, "answer-before-flush"),
        (Self::UnknownCalledRefused, "unknown-called-refused"),
        (Self::RefusedTriedAgain, "refused-tried-again"),
        (Self::ChangeLostAtReopening, "change-lost-at-reopening"),
        (Self::ChangeMadeAgain, "change-made-again"),
        (
            Self::OrdersForgottenAtRestart,
            "orders-forgotten-at-restart",
        ),
        (Self::OrdersDoubledAtRestart, "orders-doubled-at-restart"),
        (Self::UnknownCalledUnavailable, "unknown-called-unavailable"),
        (Self::LostLeaseGoesOn, "lost-lease-goes-on"),
        (Self::StaleTimerTaken, "stale-timer-taken"),
        (Self::FenceStandsStill, "fence-stands-still"),
        (Self::WorkBeforeDurable, "work-before-durable"),
        (Self::DurationsByWallClock, "durations-by-wall-clock"),
        (Self::SchedulesByTicks, "schedules-by-ticks"),
        (Self::WrittenTimeFalls, "written-time-falls"),
        (Self::JournalMissesRetry, "journal-misses-retry"),
        (Self::CounterMissesDead, "counter-misses-dead"),
        (Self::KeyOverAtOnce, "key-over-at-once"),
        (Self::CancelAfterTheEnd, "cancel-after-the-end"),
        (Self::VersionNotChecked, "version-not-checked"),
        (Self::HoldIgnored, "hold-ignored"),
        (Self::LowPriorityStarves, "low-priority-starves"),
        (Self::StaleResultTaken, "stale-result-taken"),
        (Self::SignalForgotten, "signal-forgotten"),
        (Self::EffectForgotten, "effect-forgotten"),
        (
            Self::PlaceNotedBeforeDelivery,
            "place-noted-before-delivery",
        ),
        (Self::NoFenceInStore, "no-fence-in-store"),
        (Self::KeyInAnotherTransaction, "key-in-another-transaction"),
        (
            Self::JournalInAnotherTransaction,
            "journal-in-another-transaction",
        ),
        (Self::FlushErrorIgnored, "flush-error-ignored"),
        (Self::SynchronousNormal, "synchronous-normal"),
    ];

    /// The name by which `ORDERD_BUG` asks for it.
    pub fn name(self) -> &'static str {
        let known = Self::ALL.into_iter().find(|(bug, _)| *bug == self);
        known.map_or("", |(_, name)| name)
    }

    /// The bug of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        let named = Self::ALL.into_iter().find(|(_, it)| *it == name);
        named.map(|(bug, _)| bug)
    }
}
