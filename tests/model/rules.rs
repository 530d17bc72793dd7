//! Rules, written down a second time: what must become of an order that is held against them.
//! Says nothing about when; that is in the model.

use orderd::clock::Timestamp;
use orderd::order::{
    Event, EventKind, Output, Rules, Signature, Status, StepKind, StepOutput, Target,
};

use super::model::{Difference, Model, Place};

impl Model {
    /// The rules of the step that an order is at, if it is such a step.
    pub fn rules(&self, at: usize) -> Option<Rules> {
        let entry = &self.orders[at];
        match &self.processes[entry.process].steps[entry.step].kind {
            StepKind::Rules(rules) => Some(rules.clone()),
            _ => None,
        }
    }

    /// Where an order waits for the step that it has come to: rules wait for no commit.
    pub fn place_of_next_step(&self, at: usize, now: Timestamp) -> Place {
        match (self.rules(at), &self.orders[at].hold) {
            (Some(_), None) => Place::Turn(now),
            (Some(_), Some(_)) => Place::Held,
            (None, _) => Place::Commit,
        }
    }

    /// Rules have said what they say of an order.
    pub fn verdict(&mut self, at: usize, rules: &Rules, event: &Event) -> Result<(), Difference> {
        let now = event.at;
        let entry = &self.orders[at];
        let is_last = entry.step + 1 == self.processes[entry.process].steps.len();
        let Err(reason) = held_against(rules, entry.total_minor, entry.item_count) else {
            self.note_label(at, rules);
            if is_last {
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
            return self.expect(event);
        };
        let reason = Some(reason);
        let signature = Signature { reason, by: None };
        self.turn_back(at, Target::Rejected, &signature, now);
        self.expect(event)
    }

    fn note_label(&mut self, at: usize, rules: &Rules) {
        let entry = &self.orders[at];
        for rule in &rules.labels {
            if let Some(total) = rule.when.total_above_minor
                && entry.total_minor <= total
            {
                continue;
            }
            if let Some(priority) = rule.when.priority
                && entry.priority != priority
            {
                continue;
            }
            let (label, text) = (&rule.label, &rule.text);
            self.outputs.push(Output {
                seq: entry.seq,
                number: entry.step as u8,
                output: StepOutput {
                    step: self.processes[entry.process].steps[entry.step].name.clone(),
                    output: format!(r#"{{"label":"{label}","text":"{text}"}}"#).into(),
                },
            });
            return;
        }
    }
}

fn held_against(rules: &Rules, total_minor: i64, item_count: u16) -> Result<(), Box<str>> {
    let limits = &rules.limits;
    match (limits.total_max_minor, limits.items_max) {
        (Some(max), _) if total_minor > max => Err(limits.total_text.clone()),
        (_, Some(max)) if item_count > max => Err(limits.items_text.clone()),
        _ => Ok(()),
    }
}
