//! Steps that wait for an event from outside: an order is parked until its signal comes or its time
//! is up, by the wall clock. A signal that comes early is remembered.
//!
//! A parked order is nobody's work: it takes no place among those that run.

use super::Shard;
use super::book::Slot;
use super::change::Effect;
use super::decide::place;
use super::transition::{Move, Remark};
use crate::clock::Timestamp;
use crate::order::{
    Detail, EventKind, Outcome, Output, Refusal, Signal, Status, StepKind, StepOutput, Transition,
};

impl Shard {
    /// Parks an order whose step was just started, or goes on if its signal has come already.
    pub(super) fn park(&mut self, slot: Slot, timeout_us: i64, now: Timestamp) {
        let record = *self.book.at(slot);
        let marks = self.marks_of(record.seq);
        if marks.signalled.has(record.step) {
            return self.finish(slot, Outcome::Complete { output: None }, now);
        }
        self.ready.release(place(&record));
        // The timer of an attempt before means nothing any more; its own comes with the commit.
        self.book.at_mut(slot).due = Timestamp::default();
        let until = self.now.wall.plus(timeout_us.max(1));
        let park = Move {
            detail: Some(Detail::Until(until)),
            ..Move::to(Transition::Park { until })
        };
        self.make(slot, park, now);
        self.fresh.push((slot, record.seq));
    }

    /// The time of a parked order is up.
    pub(super) fn time_is_up(&mut self, slot: Slot, now: Timestamp) {
        let record = self.book.at(slot);
        let step = &self.processes.at(record.process).steps[usize::from(record.step)];
        if let StepKind::Wait(wait) = &step.kind {
            let outcome = wait.then.outcome();
            self.conclude(slot, outcome, now);
        }
    }

    /// Takes a signal. The order goes on if it waits for it, and otherwise when it comes to that
    /// step.
    pub(super) fn signal(
        &mut self,
        slot: Slot,
        signal: Signal,
        now: Timestamp,
    ) -> Result<Effect, Refusal> {
        let record = *self.book.at(slot);
        let process = self.processes.at(record.process);
        let awaits = |at: &u8| matches!(process.steps[usize::from(*at)].kind, StepKind::Wait(_));
        let number = process.step_index(&signal.name).filter(awaits);
        let number = number.ok_or(Refusal::NotAwaited)?;
        let name = process.steps[usize::from(number)].name.clone();
        let mut marks = self.marks_of(record.seq);
        if let Some(target) = marks.undoing {
            let target = target.kind();
            return Err(Refusal::Undoing { target });
        }
        if marks.signalled.has(number) {
            return Ok(Effect::Nothing);
        }
        if number < record.step {
            return Err(Refusal::SignalTooLate);
        }
        marks.signalled.add(number);
        self.marks.insert(record.seq, marks);
        self.commit.outputs.push(Output {
            seq: record.seq,
            number,
            output: StepOutput {
                step: name,
                output: signal.output,
            },
        });
        let remark = Remark {
            step: Some(number),
            ..Remark::of(EventKind::Signalled)
        };
        self.remark(slot, remark, now);
        if matches!(record.status.get(), Status::Waiting { .. }) && number == record.step {
            self.conclude(slot, Outcome::Complete { output: None }, now);
        }
        Ok(self.made())
    }
}
