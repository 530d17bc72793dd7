//! One entry of an order's history: what happened, and where the order was afterwards.
//!
//! Events are written once, inside the journal row of the commit that made them true, and never
//! changed.

use std::sync::Arc;

use super::{Position, Priority, Seq, StatusKind};
use crate::clock::Timestamp;

/// What happened to an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EventKind {
    /// It was taken in.
    Accepted,
    /// Its start time came.
    Ready,
    /// An attempt of a step began.
    Started,
    /// A step is done, the next one is queued.
    StepCompleted,
    /// An attempt failed and will be made again.
    Retried,
    /// The lease was lost or handed back.
    Requeued,
    /// A step waits for an outside event.
    Parked,
    /// Attempts are used up.
    Dead,
    /// A person let it try again.
    Replayed,
    /// Its steps are being undone.
    Compensating,
    /// All steps are done.
    Completed,
    /// It was stopped.
    Cancelled,
    /// A step refused it.
    Rejected,
    /// It was not begun in time.
    Expired,
    /// It is held back: no further step starts.
    Held,
    /// The hold is over.
    Released,
    /// It has another priority.
    PriorityChanged,
    /// A worker said something under a lease that was over; it was refused.
    CameLate,
    /// What a step waits for, now or later, has happened.
    Signalled,
    /// An attempt to undo a step began.
    UndoStarted,
    /// An attempt to undo a step failed, or was given back, and will be made again.
    UndoRetried,
    /// What a step did is undone.
    Undone,
}

impl EventKind {
    /// All kinds.
    pub const ALL: [Self; 22] = [
        Self::Accepted,
        Self::Ready,
        Self::Started,
        Self::StepCompleted,
        Self::Retried,
        Self::Requeued,
        Self::Parked,
        Self::Dead,
        Self::Replayed,
        Self::Compensating,
        Self::Completed,
        Self::Cancelled,
        Self::Rejected,
        Self::Expired,
        Self::Held,
        Self::Released,
        Self::PriorityChanged,
        Self::CameLate,
        Self::Signalled,
        Self::UndoStarted,
        Self::UndoRetried,
        Self::Undone,
    ];

    /// The name in the journal; the API puts `order.` before it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Ready => "ready",
            Self::Started => "started",
            Self::StepCompleted => "step_completed",
            Self::Retried => "retried",
            Self::Requeued => "requeued",
            Self::Parked => "parked",
            Self::Dead => "dead",
            Self::Replayed => "replayed",
            Self::Compensating => "compensating",
            Self::Completed => "completed",
            Self::Cancelled => "cancelled",
            Self::Rejected => "rejected",
            Self::Expired => "expired",
            Self::Held => "held",
            Self::Released => "released",
            Self::PriorityChanged => "priority_changed",
            Self::CameLate => "came_late",
            Self::Signalled => "signalled",
            Self::UndoStarted => "undo_started",
            Self::UndoRetried => "undo_retried",
            Self::Undone => "undone",
        }
    }

    /// The kind with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// Whether this event may move an order from `from` (`None`: not there yet) to `to`.
    ///
    /// Follows [`super::Status::apply`], and lets what stands beside the status leave it as it is;
    /// used to check histories that were read back.
    pub fn allows(self, from: Option<StatusKind>, to: StatusKind) -> bool {
        use StatusKind as K;
        let Some(from) = from else {
            return self == Self::Accepted && matches!(to, K::Pending | K::Scheduled);
        };
        match self {
            Self::Accepted => false,
            Self::Ready => from == K::Scheduled && to == K::Pending,
            Self::Started => matches!(from, K::Pending | K::Waiting) && to == K::Processing,
            Self::StepCompleted | Self::Retried => {
                matches!(from, K::Processing | K::Waiting) && to == K::Pending
            }
            Self::Requeued => from == K::Processing && to == K::Pending,
            Self::Parked => from == K::Processing && to == K::Waiting,
            Self::Dead => {
                matches!(from, K::Processing | K::Waiting | K::Compensating) && to == K::Dead
            }
            Self::Replayed => from == K::Dead && to == K::Pending,
            Self::Compensating => {
                matches!(from, K::Pending | K::Processing | K::Waiting | K::Dead)
                    && to == K::Compensating
            }
            Self::Completed => matches!(from, K::Processing | K::Waiting) && to == K::Completed,
            Self::Held
            | Self::Released
            | Self::PriorityChanged
            | Self::CameLate
            | Self::Signalled => !from.is_final() && to == from,
            Self::UndoStarted | Self::UndoRetried | Self::Undone => {
                from == K::Compensating && to == from
            }
            Self::Cancelled => !from.is_final() && to == K::Cancelled,
            Self::Rejected => {
                matches!(from, K::Processing | K::Waiting | K::Compensating) && to == K::Rejected
            }
            Self::Expired => {
                matches!(
                    from,
                    K::Scheduled | K::Pending | K::Waiting | K::Compensating
                ) && to == K::Expired
            }
        }
    }
}

/// One entry of an order's history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Whose history.
    pub seq: Seq,
    /// The order's version after it; rises by one with each event, from 1.
    pub version: u32,
    /// What happened.
    pub kind: EventKind,
    /// Where the order was afterwards.
    pub status: StatusKind,
    /// When.
    pub at: Timestamp,
    /// The journal row that holds the order's event before this one; zero for the first event.
    pub previous: Position,
    /// The step it is about, if it is about one.
    pub step: Option<Arc<str>>,
    /// The attempt it is about, from 1; 0 if it is about none.
    pub attempt: u16,
    /// Number of the lease it is about; 0 if it is about none. With the row's epoch it is the
    /// fence.
    pub lease: i64,
    /// Why, for people.
    pub reason: Option<Box<str>>,
    /// Who asked for it, if somebody did and said so.
    pub by: Option<Box<str>>,
    /// What was set, if it sets something beside the status.
    pub detail: Option<Detail>,
}

/// What an event sets beside the status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// A hold will be released at this time.
    Until(Timestamp),
    /// The order has this priority from now on.
    Priority(Priority),
}

impl From<super::Transition> for EventKind {
    fn from(transition: super::Transition) -> Self {
        use super::Transition as T;
        match transition {
            T::Ready { .. } => Self::Ready,
            T::Start { .. } => Self::Started,
            T::Advance { .. } => Self::StepCompleted,
            T::Retry { .. } => Self::Retried,
            T::Requeue { .. } => Self::Requeued,
            T::Park { .. } => Self::Parked,
            T::GiveUp { .. } => Self::Dead,
            T::Replay { .. } => Self::Replayed,
            T::Undo { .. } => Self::Compensating,
            T::Complete { .. } => Self::Completed,
            T::Cancel { .. } => Self::Cancelled,
            T::Reject { .. } => Self::Rejected,
            T::Expire { .. } => Self::Expired,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::order::{Status, Target, Transition};

    #[test]
    fn a_history_check_allows_exactly_what_the_transition_function_does() {
        let at = Timestamp(1);
        let all = [
            Status::Scheduled { start_at: at },
            Status::Pending { ready_at: at },
            Status::Processing { lease: 1 },
            Status::Waiting { until: at },
            Status::Dead { since: at },
            Status::Compensating {
                target: Target::Cancelled,
            },
            Status::Compensating {
                target: Target::Rejected,
            },
            Status::Compensating {
                target: Target::Expired,
            },
            Status::Completed { ended_at: at },
        ];
        for transition in Transition::samples(at) {
            for to in StatusKind::ALL {
                for from in StatusKind::ALL {
                    let moves = |s: &Status| s.apply(transition).is_ok_and(|s| s.kind() == to);
                    let coded = all.iter().filter(|s| s.kind() == from).any(moves);
                    let allowed = EventKind::from(transition).allows(Some(from), to);
                    assert_eq!(coded, allowed, "{transition:?} from {from:?} to {to:?}");
                }
            }
        }
    }

    #[test]
    fn names_are_unique() {
        for kind in EventKind::ALL {
            assert_eq!(EventKind::from_name(kind.name()), Some(kind));
        }
    }
}
