//! The loop: drain, decide, commit, release.
//!
//! Runs on one thread until it is drained, fenced, or the store fails. It never goes on from what
//! it has in memory after an unknown fate: what is on disk decides, see `reopen`.

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::change::Changes;
use super::inbox::{Command, Inbox};
use super::leases::Leases;
use super::log;
use super::meter::Meters;
use super::pressure::{self, Flows, Pressure};
use super::recovery::{Pages, Reader};
use super::replies::Replies;
use super::{SubmitError, away};
use crate::clock::{self, Clock, Now, Timestamp};
use crate::faults;
use crate::order::{NewKey, NewOrder, Position, Receipt, ShardNumber, StatusKind};
use crate::shard::{Overloaded, Shard};
use crate::store::{Room, Store, StoreError};

/// Most new orders in a commit, unless one batch alone has more.
const CREATED_MAX: usize = 4_096;
/// Payload of a commit after which no more new orders go into it, in bytes.
const COMMIT_BYTES: usize = 4 << 20;
/// Longest sleep: after it, schedules that a jump of the wall clock made due are noticed, and the
/// store looks after itself.
const PATIENCE_MAX: Duration = Duration::from_secs(1);
/// Longest sleep while open orders are being loaded.
const RECOVERY_PATIENCE: Duration = Duration::from_millis(1);

/// What the loop is made of.
pub(super) struct Parts {
    pub(super) store: Arc<dyn Store>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) shard: Shard,
    pub(super) shard_number: ShardNumber,
    pub(super) open_orders_max: u64,
    pub(super) inbox: Arc<Inbox>,
    pub(super) pressure: Arc<Pressure>,
    /// Tells those who follow the journal where it ends.
    pub(super) head: watch::Sender<Position>,
    pub(super) pages: Pages,
    /// Makes the pages of a shard that was opened anew.
    pub(super) pages_of: Box<dyn Fn(Reader) -> std::io::Result<Pages> + Send>,
}

/// An engine turn by turn: what its thread runs, and what a simulation drives by hand.
pub struct Turns {
    pub(super) parts: Parts,
    /// Commands that were taken and wait for room in a commit.
    pub(super) backlog: VecDeque<Command>,
    pub(super) replies: Replies,
    pub(super) changes: Changes,
    pub(super) leases: Leases,
    pub(super) meters: Meters,
    flows: Flows,
    /// The moment of this turn.
    pub(super) now: Now,
    pub(super) is_recovering: bool,
    /// The last commit was refused, with this; what is left of it is tried again at this time, on
    /// the monotonic clock.
    pub(super) refused: Option<(SubmitError, i64)>,
    /// Commits refused in a row.
    pub(super) refusals: u64,
    /// The room of the store in this turn.
    pub(super) room: Room,
    /// The store is away until this time at least, on the monotonic clock, and the fate of the
    /// commit is not known.
    pub(super) away_until: Option<i64>,
    /// When the store was opened anew last, on the monotonic clock.
    pub(super) reopened_at: Option<i64>,
    turns: u64,
}

impl Turns {
    /// `last_at` is the last time that was written down before.
    pub(super) fn new(parts: Parts, last_at: Timestamp) -> Self {
        let now = Now::first(&*parts.clock, last_at);
        let meters = Meters::new(now.ticks);
        let flows = Flows::new(&parts.pressure, now.ticks);
        let replies = Replies::default();
        Self {
            parts,
            backlog: VecDeque::new(),
            replies,
            changes: Changes::default(),
            leases: Leases::default(),
            meters,
            flows,
            now,
            is_recovering: true,
            refused: None,
            refusals: 0,
            room: Room::default(),
            away_until: None,
            reopened_at: None,
            turns: 0,
        }
    }

    /// Runs until drained (`Ok`), or until the store ends it.
    pub(super) fn run(mut self) -> Result<(), StoreError> {
        loop {
            let patience = self.patience();
            if self.turn(patience)?.is_break() {
                return Ok(());
            }
        }
    }

    /// One turn, waiting at most `patience` for input: drain, decide, commit, release. `Break` once
    /// everything is drained; after that, or after an error, there must be no other.
    pub fn turn(&mut self, patience: Duration) -> Result<ControlFlow<()>, StoreError> {
        let mut is_open = true;
        if self.backlog.is_empty() {
            is_open = self.parts.inbox.take(&mut self.backlog, patience);
        }
        self.tell_time();
        self.room = self.parts.store.room();
        let is_away = self.room.is_away || self.away_until.is_some();
        self.parts.pressure.tell_away(is_away);
        let turned = self.turn_away(is_open).unwrap_or_else(|| {
            if self.room.is_taken_over {
                return self.stop(StoreError::Fenced);
            }
            self.recover()?;
            self.decide();
            if is_open {
                self.parts.shard.advance(self.now);
            }
            self.give_work(is_open);
            self.tell_pressure();
            self.commit()
        });
        if let Err(error) = turned {
            self.leave();
            return Err(error);
        }
        self.parts.store.tidy_up();
        if !is_open && self.backlog.is_empty() {
            self.leave();
            return Ok(ControlFlow::Break(()));
        }
        Ok(ControlFlow::Continue(()))
    }

    /// When the next turn is due if nothing arrives; `None`: not before something does.
    pub fn deadline(&self) -> Option<Timestamp> {
        if let Some(again_at) = self.again_at() {
            return Some(self.now.wall.plus(again_at - self.now.ticks));
        }
        let is_due = self.leases.is_due(&self.parts.shard);
        if self.is_recovering || is_due || !self.backlog.is_empty() {
            return Some(self.now.wall);
        }
        self.parts.shard.next_deadline(self.now)
    }

    /// When the store is tried again, if it refused or cannot be reached.
    fn again_at(&self) -> Option<i64> {
        let refused = self.refused.as_ref().map(|(_, again_at)| *again_at);
        self.away_until.or(refused)
    }

    /// Whether open orders from before the start are still being loaded.
    pub fn is_recovering(&self) -> bool {
        self.is_recovering
    }

    /// How long to wait for input at most.
    fn patience(&self) -> Duration {
        if !self.backlog.is_empty() {
            return Duration::ZERO;
        }
        let now = self.now.next(&*self.parts.clock);
        if let Some(again_at) = self.again_at() {
            let micros = (again_at - now.ticks).max(0);
            return Duration::from_micros(micros.unsigned_abs());
        }
        if self.leases.is_due(&self.parts.shard) {
            return Duration::ZERO;
        }
        let deadline = self.parts.shard.next_deadline(now);
        let due = deadline.map_or(PATIENCE_MAX, |due| {
            let micros = due.micros_since(now.wall).max(0);
            Duration::from_micros(micros.unsigned_abs())
        });
        due.min(match (self.is_recovering, self.room.is_away) {
            (true, _) => RECOVERY_PATIENCE,
            (false, true) => away::PAUSE,
            (false, false) => PATIENCE_MAX,
        })
    }

    /// Lets the shard decide about what has arrived, until the commit is large enough.
    fn decide(&mut self) {
        let mut bytes = 0;
        while self.parts.shard.commit().created.len() < CREATED_MAX && bytes < COMMIT_BYTES {
            let command = self.backlog.pop_front();
            bytes += command.as_ref().map_or(0, |command| command.weight().bytes);
            match command {
                None => break,
                Some(Command::Stats { reply }) => drop(reply.send(self.stats())),
                Some(Command::ProcessTally { process, reply }) => {
                    drop(reply.send(self.parts.shard.tally_of(&process)));
                }
                Some(Command::Change(request)) if self.room.is_away && !request.is_beats() => {
                    request.refuse(away::unreachable());
                }
                Some(Command::Lease(request)) => self.leases.ask(*request),
                Some(Command::Change(request)) => {
                    let Parts { shard, store, .. } = &mut self.parts;
                    let taken = self.changes.take(*request, shard, &**store, self.now);
                    // One who waits in vain is enough for a turn.
                    self.room.is_away |= taken.is_err_and(|error| away::is_away(&error));
                }
                Some(Command::Submit {
                    order,
                    key,
                    reply,
                    arrived_at,
                    watch,
                }) => match self.submit(*order, key.map(|key| *key)) {
                    Ok(()) => self.replies.expect_single(reply, arrived_at, watch),
                    Err(error) => drop(reply.send(Err(error))),
                },
                Some(Command::SubmitBatch {
                    batch,
                    reply,
                    arrived_at,
                }) => {
                    self.replies.begin_batch(reply, arrived_at);
                    self.submit_batch(batch);
                }
            }
        }
    }

    pub(super) fn submit(
        &mut self,
        order: NewOrder,
        key: Option<NewKey>,
    ) -> Result<(), SubmitError> {
        if let Some(error) = self.refuses_new() {
            self.parts.pressure.turn_back([&order]);
            return Err(error);
        }
        self.parts.pressure.note_decided(&order);
        let process = order.process;
        let submitted = self.parts.shard.submit(order, self.now);
        submitted.map_err(|Overloaded| {
            self.parts.pressure.tell_room(&self.parts.shard);
            self.parts.pressure.refuse(process)
        })?;
        if let Some(key) = key {
            self.parts.shard.keep_answer(key);
        }
        Ok(())
    }

    /// Tells how full it is, and how far time is. Before the commit: who learns from the store that
    /// an order has ended finds the room that it left.
    fn tell_pressure(&mut self) {
        let (parts, now) = (&self.parts, self.now.ticks);
        let expired_before = parts.shard.keys_expired_before(self.now);
        let kept_at = parts.shard.keys_kept_at(self.now);
        parts.pressure.tell_keys(kept_at, expired_before);
        let accepted = self.meters.accepted.over(pressure::WINDOW_SECONDS, now);
        self.flows
            .tell(&parts.pressure, &parts.shard, accepted, now);
    }

    /// Makes what was decided durable, then releases everybody who waits for it.
    fn commit(&mut self) -> Result<(), StoreError> {
        if self.parts.shard.commit().is_empty() {
            // Batches of refused items wait for nothing.
            self.replies.release(Vec::new(), |_| {});
            self.changes.release();
            self.refused = None;
            return Ok(());
        }
        if self.is_pausing() {
            self.replies.release(Vec::new(), |_| {});
            return Ok(());
        }
        faults::point("commit-decided");
        let began_at = clock::monotonic();
        let created = &self.parts.shard.commit().created;
        self.replies.release_early(created);
        match self.parts.store.commit(self.parts.shard.commit()) {
            Ok(receipt) => {
                faults::point("commit-receipt-taken");
                let took = began_at.elapsed();
                self.note_success();
                self.meters.commit_time.record(micros(took));
                self.release(&receipt);
                Ok(())
            }
            Err(error @ (StoreError::Unknown { .. } | StoreError::Lost { .. })) => {
                self.reopen(error)
            }
            Err(error @ StoreError::Fenced) => self.stop(error),
            Err(error) => self.take_refusal(error),
        }
    }

    pub(super) fn release(&mut self, receipt: &Receipt) {
        let commit = self.parts.shard.commit();
        self.meters.commit_orders.record(commit.len() as u64);
        let stored = commit.created.len() - receipt.collided.len();
        self.meters.accepted.count(stored as u64, self.now.ticks);
        if self.replies.is_watching() {
            for changed in &commit.changed {
                let kind = changed.state.status.kind();
                if kind.is_final() || kind == StatusKind::Dead {
                    self.replies.tell_end(changed.seq, &changed.state);
                }
            }
        }
        log::events(commit);
        let created = self.parts.shard.committed(receipt, self.now);
        self.parts.pressure.tell_room(&self.parts.shard);
        let accept_time = &mut self.meters.accept_time;
        faults::point("answers-held");
        let released_at = clock::monotonic();
        self.replies.release(created, |arrived_at| {
            accept_time.record(micros(released_at.duration_since(arrived_at)));
        });
        self.changes.release();
        self.parts.head.send_replace(self.parts.shard.position());
        faults::point("answers-released");
        self.measure();
        self.turns += 1;
        if self.turns.is_multiple_of(1_024) {
            self.replies.forget_gone();
        }
    }

    /// Answers whoever is still in the inbox: nothing of theirs was touched.
    fn leave(&mut self) {
        self.parts.inbox.close();
        let mut late = VecDeque::new();
        self.parts.inbox.take(&mut late, Duration::ZERO);
        self.changes.recovered(&mut late);
        self.leases.refuse(&SubmitError::Draining);
        for command in self.backlog.drain(..).chain(late) {
            command.refuse(&SubmitError::Draining);
        }
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
