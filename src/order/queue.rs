//! The queues in which orders wait for whoever does a step: their names, and which steps wait in
//! each.
//!
//! A queue is there because a step has it; nobody creates one.

use std::sync::Arc;

use super::{Process, Push, Step, StepKind};

/// Place of a queue among all that are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QueueIndex(pub u16);

impl StepKind {
    /// The queue in which orders wait at such a step, if others do it than the shard.
    pub fn queue(&self) -> Option<&Arc<str>> {
        match self {
            Self::Simulate(_) | Self::Rules(_) | Self::Wait(_) => None,
            Self::Pull(pull) => Some(&pull.queue),
            Self::Push(push) => Some(&push.queue),
        }
    }

    /// How long those may be silent before the work is given to another one, in microseconds.
    pub fn lease_us(&self) -> Option<i64> {
        match self {
            Self::Simulate(_) | Self::Rules(_) | Self::Wait(_) => None,
            Self::Pull(pull) => Some(pull.lease_us),
            Self::Push(push) => Some(push.lease_us()),
        }
    }
}

/// All queues that steps of known processes have.
#[derive(Clone, Debug, Default)]
pub struct Queues {
    names: Vec<Arc<str>>,
    /// By queue: how its orders are sent to where the step is done, if they are.
    pushes: Vec<Option<Push>>,
}

impl Queues {
    /// The queues of these processes, in the order in which they are named.
    pub fn of(processes: &[Process]) -> Self {
        let mut queues = Self::default();
        let steps = processes.iter().flat_map(|process| &process.steps);
        for step in steps.flat_map(Step::works) {
            if let Some(name) = step.kind.queue()
                && queues.find(name).is_none()
            {
                queues.names.push(Arc::clone(name));
                queues.pushes.push(match &step.kind {
                    StepKind::Push(push) => Some(push.clone()),
                    _ => None,
                });
            }
        }
        queues
    }

    /// How the orders of a queue are sent to where the step is done. `None`: workers lease them.
    pub fn push(&self, queue: QueueIndex) -> Option<&Push> {
        self.pushes.get(usize::from(queue.0))?.as_ref()
    }

    /// The queue with this name.
    pub fn find(&self, name: &str) -> Option<QueueIndex> {
        let at = self.names.iter().position(|known| &**known == name)?;
        u16::try_from(at).ok().map(QueueIndex)
    }

    /// The queue in which orders wait at a step, if it has one.
    pub fn of_step(&self, kind: &StepKind) -> Option<QueueIndex> {
        kind.queue().and_then(|name| self.find(name))
    }

    /// All names, in the order of their indexes.
    pub fn names(&self) -> &[Arc<str>] {
        &self.names
    }
}
