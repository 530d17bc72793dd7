//! The proof itself: follows the journal row by row, then compares each order with its history.
//!
//! Pure: rows and orders go in, findings come out. Memory is that of [`Tracks`], whatever the
//! length of the journal.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::de::IgnoredAny;

use super::chain::Chain;
use super::findings::{Check, Findings};
use super::tracks::{NEVER, Track, Tracks};
use super::{compare, counters};
use crate::order::{
    Detail, Event, EventKind, Hold, Order, Position, Process, ProcessTally, Seq, ShardNumber,
    StatusKind,
};
use crate::store::{JournalRow, ShardHead, journal};

/// What has been read so far.
#[derive(Default)]
pub struct Histories {
    chains: BTreeMap<ShardNumber, Chain>,
    tracks: Tracks,
    /// The holds that are open, as the journal tells them. Few orders have one.
    holds: BTreeMap<Seq, Hold>,
    defined: BTreeSet<(Arc<str>, u32)>,
    /// Everything that was found.
    pub findings: Findings,
}

impl Histories {
    /// Learns the processes that are defined.
    pub fn define(&mut self, processes: &[Process]) {
        let all = processes.iter();
        self.defined
            .extend(all.map(|process| (process.name.clone(), process.version)));
    }

    /// Follows one row of the journal. Rows come in the order of their positions.
    pub fn row(&mut self, row: &JournalRow) {
        let shard = Seq(row.position.0).shard();
        let chain = self
            .chains
            .entry(shard)
            .or_insert_with(|| Chain::new(shard));
        chain.follow(row, &mut self.findings);
        match journal::decode(row) {
            Ok(events) => events.iter().for_each(|event| self.event(row, event)),
            Err(error) => {
                self.findings
                    .add(Check::Events, "journal", row.position.0, error.detail);
            }
        }
    }

    fn event(&mut self, row: &JournalRow, event: &Event) {
        let shard = Seq(row.position.0).shard();
        let chain = self
            .chains
            .entry(shard)
            .or_insert_with(|| Chain::new(shard));
        let findings = &mut self.findings;
        findings.examine(&[
            Check::Events,
            Check::Versions,
            Check::Pointers,
            Check::AcceptedOnce,
            Check::EndedOnce,
        ]);
        let place = self.tracks.place(event.seq);
        let at = Place { row, event };
        at.check_order(place.as_ref(), findings);
        at.check_lease(place.as_ref(), chain, findings);
        let is_held = at.check_hold(place.as_ref(), findings);
        let (mut lease, mut started_at) =
            place.map_or((0, NEVER), |track| (track.lease, track.started_at));
        if matches!(event.kind, EventKind::Started | EventKind::UndoStarted) {
            lease = event.lease;
            started_at = if started_at == NEVER {
                event.at
            } else {
                started_at
            };
        }
        *place = Some(Track {
            at: event.at,
            position: row.position,
            lease,
            started_at,
            version: event.version,
            status: event.status,
            is_held,
            priority: match event.detail {
                Some(Detail::Priority(priority)) => Some(priority),
                _ => place.and_then(|track| track.priority),
            },
            is_seen: false,
        });
        match hold(event) {
            Some(hold) => drop(self.holds.insert(event.seq, hold)),
            None if is_held => {}
            None => drop(self.holds.remove(&event.seq)),
        }
        chain.last_seq = chain.last_seq.max(event.seq);
    }

    /// Compares an order with its history.
    pub fn order(&mut self, order: &Order) {
        let seq = order.seq;
        let findings = &mut self.findings;
        findings.examine(&[
            Check::Histories,
            Check::LastEvents,
            Check::Processes,
            Check::Contents,
        ]);
        let shard = seq.shard();
        let chain = self
            .chains
            .entry(shard)
            .or_insert_with(|| Chain::new(shard));
        ProcessTally::among(&mut chain.tallies, &order.process).count(order, 1);
        chain.last_seq = chain.last_seq.max(seq);
        let is_defined = (order.process.clone(), order.process_version);
        if !self.defined.contains(&is_defined) {
            let what = format!(
                "process {} version {} is not defined",
                order.process, order.process_version
            );
            findings.add(Check::Processes, "orders", seq.0, what);
        }
        if let Err(error) = serde_json::from_str::<Object<'_>>(&order.payload) {
            let what = format!("payload is no JSON object: {error}");
            findings.add(Check::Contents, "orders", seq.0, what);
        }
        for said in &order.outputs {
            if let Err(error) = serde_json::from_str::<IgnoredAny>(&said.output) {
                let what = format!("output of step {} is no JSON: {error}", said.step);
                findings.add(Check::Contents, "step_outputs", seq.0, what);
            }
        }
        let Some(track) = self.tracks.see(seq) else {
            let what = format!("{} has no event in the journal", order.id);
            return findings.add(Check::Histories, "orders", seq.0, what);
        };
        compare::with_history(order, &track, findings);
        compare::priority(order, &track, findings);
        if track.is_held {
            compare::hold(order, self.holds.get(&seq), findings);
        }
    }

    /// An order that cannot be read: its history is not missed.
    pub fn unreadable(&mut self, seq: Seq, what: String) {
        self.findings.examine(&[Check::Histories, Check::Contents]);
        self.findings.add(Check::Contents, "orders", seq.0, what);
        self.tracks.see(seq);
    }

    /// Compares a shard's row with what was read of it.
    pub fn head(&mut self, shard: ShardNumber, head: &ShardHead) {
        self.findings.examine(&[Check::Heads]);
        let chain = self
            .chains
            .entry(shard)
            .or_insert_with(|| Chain::new(shard));
        let mut add = |what| self.findings.add(Check::Heads, "shards", shard.0, what);
        if head.position != chain.position {
            let (head, last) = (head.position.0, chain.position.0);
            add(format!("position is {head}, the journal ends at {last}"));
        } else if head.hash != chain.hash {
            add("hash is not that of the last journal row".into());
        }
        if head.epoch < chain.epoch {
            let (head, last) = (head.epoch, chain.epoch);
            add(format!("epoch is {head}, the journal has {last}"));
        }
        if head.last_seq < chain.last_seq {
            let (head, last) = (head.last_seq.0, chain.last_seq.0);
            add(format!("last_seq is {head}, but there is an order {last}"));
        }
    }

    /// Compares a shard's counters with those of the orders that were seen.
    pub fn tallies(&mut self, shard: ShardNumber, kept: &[ProcessTally]) {
        let chain = self
            .chains
            .entry(shard)
            .or_insert_with(|| Chain::new(shard));
        for tally in kept {
            // One that is kept of a process without orders is compared with nothing.
            ProcessTally::among(&mut chain.tallies, &tally.process);
        }
        for counted in &chain.tallies {
            let none = ProcessTally::new(counted.process.clone());
            let kept = kept.iter().find(|it| it.process == counted.process);
            counters::compare(shard, kept.unwrap_or(&none), counted, &mut self.findings);
        }
    }

    /// After the last order: histories whose order is not there.
    pub fn end(&mut self) {
        for seq in self.tracks.unseen() {
            let what = "the journal has its history, but it is not there";
            self.findings.add(Check::Histories, "orders", seq.0, what);
        }
    }

    /// Shards that were met in the journal or among the orders.
    pub fn shards(&self) -> impl Iterator<Item = ShardNumber> + '_ {
        self.chains.keys().copied()
    }

    /// Bytes that are remembered of all orders.
    pub fn bytes(&self) -> usize {
        self.tracks.bytes()
    }
}

/// The hold that an event begins.
fn hold(event: &Event) -> Option<Hold> {
    let is_held = event.kind == EventKind::Held;
    is_held.then(|| Hold {
        reason: event.reason.clone().unwrap_or_default(),
        by: event.by.clone(),
        since: event.at,
        until: match event.detail {
            Some(Detail::Until(until)) => Some(until),
            _ => None,
        },
    })
}

/// Any JSON object; what is in it is not looked at.
type Object<'a> = BTreeMap<Cow<'a, str>, IgnoredAny>;

/// An event where it stands.
struct Place<'a> {
    row: &'a JournalRow,
    event: &'a Event,
}

impl Place<'_> {
    fn add(&self, check: Check, findings: &mut Findings, what: String) {
        let what = format!("order {}: {what}", self.event.seq.0);
        findings.add(check, "journal", self.row.position.0, what);
    }

    /// Whether the event may follow what came before.
    fn check_order(&self, before: Option<&Track>, findings: &mut Findings) {
        let event = self.event;
        let (kind, to) = (event.kind.name(), event.status.name());
        let from = before.map(|track| track.status);
        match from {
            None if event.kind != EventKind::Accepted => {
                let what = format!("its history begins with {kind}");
                self.add(Check::AcceptedOnce, findings, what);
            }
            Some(_) if event.kind == EventKind::Accepted => {
                self.add(Check::AcceptedOnce, findings, "is accepted again".into());
            }
            Some(from) if from.is_final() => {
                let what = format!("{kind} after it ended as {}", from.name());
                self.add(Check::EndedOnce, findings, what);
            }
            from if !event.kind.allows(from, event.status) => {
                let from = from.map_or("nothing", StatusKind::name);
                let what = format!("{kind} from {from} to {to} is not legal");
                self.add(Check::Events, findings, what);
            }
            _ => {}
        }
        let version = before.map_or(0, |track| track.version).saturating_add(1);
        if event.version != version {
            let what = format!("{kind} has version {}, not {version}", event.version);
            self.add(Check::Versions, findings, what);
        }
        let previous = before.map_or(Position::default(), |track| track.position);
        if event.previous != previous {
            let what = format!(
                "{kind} names row {} as the one before, it is {}",
                event.previous.0, previous.0
            );
            self.add(Check::Pointers, findings, what);
        }
    }

    /// Whether the event is legal under the hold that is open, if one is. Answers whether one is
    /// afterwards.
    fn check_hold(&self, before: Option<&Track>, findings: &mut Findings) -> bool {
        use EventKind as E;
        let was_held = before.is_some_and(|track| track.is_held);
        match self.event.kind {
            E::Held => true,
            E::Released if !was_held => {
                self.add(Check::Events, findings, "is released without a hold".into());
                false
            }
            E::Released => false,
            E::Started if was_held => {
                self.add(Check::Events, findings, "starts while it is held".into());
                true
            }
            _ => was_held && !self.event.status.is_final(),
        }
    }

    /// Whether the event carries the right lease.
    fn check_lease(&self, before: Option<&Track>, chain: &mut Chain, findings: &mut Findings) {
        use EventKind as E;
        let event = self.event;
        if matches!(event.kind, E::Started | E::UndoStarted) {
            findings.examine(&[Check::Leases]);
            if event.lease <= chain.lease {
                let what = format!("lease {} is given after {}", event.lease, chain.lease);
                self.add(Check::Leases, findings, what);
            }
            chain.lease = chain.lease.max(event.lease);
            return;
        }
        let ends_undoing = matches!(event.kind, E::UndoRetried | E::Undone);
        let is_leased = |track: &&Track| track.status == StatusKind::Processing || ends_undoing;
        let Some(track) = before.filter(is_leased) else {
            return;
        };
        if matches!(
            event.kind,
            E::Held | E::Released | E::PriorityChanged | E::CameLate | E::Signalled
        ) {
            return;
        }
        findings.examine(&[Check::Leases]);
        let is_outcome = matches!(
            event.kind,
            E::StepCompleted | E::Retried | E::Parked | E::Dead | E::Completed | E::Rejected
        ) || ends_undoing;
        let leased = chain.epoch_of(track.position);
        let name = event.kind.name();
        if event.lease != track.lease {
            let what = format!("{name} under lease {}, it has {}", event.lease, track.lease);
            self.add(Check::Leases, findings, what);
        } else if is_outcome && leased != self.row.epoch {
            let what = format!("{name} under a lease of epoch {leased}");
            self.add(Check::Leases, findings, what);
        }
    }
}
