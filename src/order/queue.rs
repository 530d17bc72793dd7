//! The queues that workers lease from: their names, and which steps wait in each.
//!
//! A queue is there because a step names it; nobody creates one.

use std::sync::Arc;

use super::{Process, StepKind};

/// Place of a queue among all that are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QueueIndex(pub u16);

/// All queues that steps of known processes name.
#[derive(Clone, Debug, Default)]
pub struct Queues {
    names: Vec<Arc<str>>,
}

impl Queues {
    /// The queues of these processes, in the order in which they are named.
    pub fn of(processes: &[Process]) -> Self {
        let mut queues = Self::default();
        let steps = processes.iter().flat_map(|process| &process.steps);
        for step in steps {
            if let StepKind::Pull(pull) = &step.kind
                && queues.find(&pull.queue).is_none()
            {
                queues.names.push(Arc::clone(&pull.queue));
            }
        }
        queues
    }

    /// The queue with this name.
    pub fn find(&self, name: &str) -> Option<QueueIndex> {
        let at = self.names.iter().position(|known| &**known == name)?;
        u16::try_from(at).ok().map(QueueIndex)
    }

    /// The queue in which orders of a process wait at a step, if it is one that workers lease.
    pub fn of_step(&self, kind: &StepKind) -> Option<QueueIndex> {
        match kind {
            StepKind::Pull(pull) => self.find(&pull.queue),
            _ => None,
        }
    }

    /// All names, in the order of their indexes.
    pub fn names(&self) -> &[Arc<str>] {
        &self.names
    }
}
