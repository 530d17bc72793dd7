//! Steps that wait for a signal, written down a second time: who is parked, what goes on when its
//! signal comes, and what becomes of it when its time is up.

use orderd::clock::Timestamp;
use orderd::order::{
    Changed, Detail, Event, EventKind, Output, Refusal, Signal, Signature, Status, StepKind,
    StepOutput, Target, TimeUp, Wait,
};
use orderd::shard::Effect;

use super::model::{Difference, Model, Place};

/// Why an order waits no longer, for people.
const TIME_IS_UP: &str = "no signal came in time";

impl Model {
    /// What the step of an order waits for, if it is such a step.
    pub fn wait(&self, at: usize) -> Option<Wait> {
        match self.task(&self.orders[at]).kind {
            StepKind::Wait(wait) => Some(wait),
            _ => None,
        }
    }

    /// The step that waits has started.
    pub fn parked(&mut self, at: usize, wait: Wait, event: &Event) -> Result<(), Difference> {
        let now = event.at;
        if self.orders[at]
            .signalled
            .contains(&(self.orders[at].step as u8))
        {
            self.go_on(at, now);
        } else {
            let until = self.now.wall.plus(wait.timeout_us);
            self.apply(at, EventKind::Parked, Status::Waiting { until }, now);
            if let Some(event) = self.events.last_mut() {
                event.detail = Some(Detail::Until(until));
            }
            self.orders[at].place = Place::Commit;
        }
        self.expect(event)
    }

    /// The step that waits is done.
    fn go_on(&mut self, at: usize, now: Timestamp) {
        let entry = &self.orders[at];
        if entry.step + 1 == self.processes[entry.process].steps.len() {
            let status = Status::Completed { ended_at: now };
            self.apply(at, EventKind::Completed, status, now);
            self.orders[at].place = Place::Nothing;
        } else {
            let status = Status::Pending { ready_at: now };
            self.apply(at, EventKind::StepCompleted, status, now);
            let entry = &mut self.orders[at];
            (entry.step, entry.attempt) = (entry.step + 1, 0);
            self.orders[at].place = self.place_of_next_step(at, now);
        }
    }

    /// No signal came in time.
    pub fn time_is_up(
        &mut self,
        at: usize,
        event: &Event,
        changed: &[Changed],
    ) -> Result<(), Difference> {
        let now = event.at;
        let (_, retry, _) = self.work(at);
        let then = self.wait(at).map(|wait| wait.then);
        let is_exhausted = self.orders[at].attempt >= retry.attempts_max;
        match then {
            Some(TimeUp::Continue) => {
                self.go_on(at, now);
                return self.expect(event);
            }
            Some(TimeUp::Retry) if !is_exhausted => {
                return self.waits_again(at, event, changed);
            }
            Some(TimeUp::Reject) => {
                let reason = Some(TIME_IS_UP.into());
                let signature = Signature { reason, by: None };
                self.turn_back(at, Target::Rejected, &signature, now);
                return self.expect(event);
            }
            _ => self.apply(at, EventKind::Dead, Status::Dead { since: now }, now),
        }
        self.orders[at].place = Place::Nothing;
        self.say_why(at, TIME_IS_UP);
        self.expect(event)
    }

    fn waits_again(
        &mut self,
        at: usize,
        event: &Event,
        changed: &[Changed],
    ) -> Result<(), Difference> {
        let attempt = self.orders[at].attempt;
        let (_, retry, _) = self.work(at);
        let most = super::finish::longest_wait_us(&retry, attempt);
        self.wait_again(at, (0, most), changed, event.at)?;
        self.say_why(at, TIME_IS_UP);
        self.expect(event)
    }

    /// What the shard must answer to a signal for an open order, and what is so afterwards.
    pub fn signal(
        &mut self,
        at: usize,
        signal: &Signal,
        now: Timestamp,
    ) -> Result<Option<Effect>, Refusal> {
        let steps = &self.processes[self.orders[at].process].steps;
        let awaited = steps
            .iter()
            .position(|step| *step.name == *signal.name && matches!(step.kind, StepKind::Wait(_)));
        let number = awaited.ok_or(Refusal::NotAwaited)?;
        let name = steps[number].name.clone();
        if let Some(target) = self.orders[at].undoing {
            let target = target.kind();
            return Err(Refusal::Undoing { target });
        }
        if self.orders[at].signalled.contains(&(number as u8)) {
            return Ok(Some(Effect::Nothing));
        }
        if number < self.orders[at].step {
            return Err(Refusal::SignalTooLate);
        }
        self.orders[at].signalled.insert(number as u8);
        self.outputs.push(Output {
            seq: self.orders[at].seq,
            number: number as u8,
            output: StepOutput {
                step: name.clone(),
                output: signal.output.clone(),
            },
        });
        self.remark(at, EventKind::Signalled, now);
        if let Some(event) = self.events.last_mut() {
            event.step = Some(name);
        }
        let entry = &self.orders[at];
        if matches!(entry.status, Status::Waiting { .. }) && entry.step == number {
            self.go_on(at, now);
        }
        Ok(None)
    }
}
