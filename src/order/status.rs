//! The status of an order, and the one function that moves it.
//!
//! The table of arrows is `docs/lifecycle.md`; a test compares it with `Status::apply`, and the
//! CHECK constraints of the schema repeat it. Nothing here knows why an order moves: the shard
//! decides that.

use super::{IllegalTransition, Transition};
use crate::clock::Timestamp;

/// Where an order is in its life, with exactly the data that is true in that place.
///
/// The shard alone moves it; see [`Transition`] for who moves what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Accepted, starts later.
    Scheduled {
        /// When it becomes pending.
        start_at: Timestamp,
    },
    /// Accepted and queued, or waiting for a retry's time.
    Pending {
        /// When it may start; in the past while it waits for its turn.
        ready_at: Timestamp,
    },
    /// A step runs under a lease.
    Processing {
        /// Number of the lease; with the shard's epoch it is the fence.
        lease: i64,
    },
    /// A step is parked for an outside event.
    Waiting {
        /// When waiting is over even without the event.
        until: Timestamp,
    },
    /// Attempts used up, or an unknown outcome that needs a person.
    Dead {
        /// Since when.
        since: Timestamp,
    },
    /// Steps are being undone.
    Compensating {
        /// What the order will be when everything is undone.
        target: Target,
    },
    /// Final: all steps done.
    Completed {
        /// When it ended.
        ended_at: Timestamp,
    },
    /// Final: stopped by somebody.
    Cancelled {
        /// When it ended.
        ended_at: Timestamp,
    },
    /// Final: refused for good by a step.
    Rejected {
        /// When it ended.
        ended_at: Timestamp,
    },
    /// Final: not begun in time.
    Expired {
        /// When it ended.
        ended_at: Timestamp,
    },
}

/// The final status that a compensating order is on its way to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// Becomes cancelled.
    Cancelled,
    /// Becomes rejected.
    Rejected,
    /// Becomes expired.
    Expired,
}

/// The name of a status without its data. The numbers are those of the database; open ones come
/// first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StatusKind {
    /// See [`Status::Scheduled`].
    Scheduled = 1,
    /// See [`Status::Pending`].
    Pending = 2,
    /// See [`Status::Processing`].
    Processing = 3,
    /// See [`Status::Waiting`].
    Waiting = 4,
    /// See [`Status::Dead`].
    Dead = 5,
    /// See [`Status::Compensating`].
    Compensating = 6,
    /// See [`Status::Completed`].
    Completed = 7,
    /// See [`Status::Cancelled`].
    Cancelled = 8,
    /// See [`Status::Rejected`].
    Rejected = 9,
    /// See [`Status::Expired`].
    Expired = 10,
}

impl Status {
    /// The status after `transition`: the only place where an order's status changes.
    pub fn apply(self, transition: Transition) -> Result<Self, IllegalTransition> {
        use Status as S;
        use Transition as T;
        match (self, transition) {
            (S::Scheduled { .. }, T::Ready { ready_at })
            | (S::Processing { .. } | S::Waiting { .. }, T::Advance { ready_at })
            | (S::Processing { .. } | S::Waiting { .. }, T::Retry { ready_at })
            | (S::Processing { .. }, T::Requeue { ready_at })
            | (S::Dead { .. }, T::Replay { ready_at }) => Ok(S::Pending { ready_at }),
            (S::Pending { .. } | S::Waiting { .. }, T::Start { lease }) => {
                Ok(S::Processing { lease })
            }
            (S::Processing { .. }, T::Park { until }) => Ok(S::Waiting { until }),
            (S::Processing { .. } | S::Waiting { .. }, T::GiveUp { at })
            | (S::Compensating { .. }, T::GiveUp { at }) => Ok(S::Dead { since: at }),
            (
                S::Pending { .. } | S::Processing { .. } | S::Waiting { .. } | S::Dead { .. },
                T::Undo { target },
            ) => Ok(S::Compensating { target }),
            (S::Processing { .. } | S::Waiting { .. }, T::Complete { at }) => {
                Ok(S::Completed { ended_at: at })
            }
            (S::Processing { .. } | S::Waiting { .. }, T::Reject { at })
            | (
                S::Compensating {
                    target: Target::Rejected,
                },
                T::Reject { at },
            ) => Ok(S::Rejected { ended_at: at }),
            (
                S::Compensating {
                    target: Target::Cancelled,
                },
                T::Cancel { at },
            ) => Ok(S::Cancelled { ended_at: at }),
            (S::Compensating { .. }, T::Cancel { .. }) => self.refuse(transition),
            (_, T::Cancel { at }) if self.is_open() => Ok(S::Cancelled { ended_at: at }),
            (S::Scheduled { .. } | S::Pending { .. } | S::Waiting { .. }, T::Expire { at })
            | (
                S::Compensating {
                    target: Target::Expired,
                },
                T::Expire { at },
            ) => Ok(S::Expired { ended_at: at }),
            _ => self.refuse(transition),
        }
    }

    fn refuse(self, transition: Transition) -> Result<Self, IllegalTransition> {
        Err(IllegalTransition {
            from: self.kind(),
            transition,
        })
    }

    /// The name without the data.
    pub fn kind(self) -> StatusKind {
        match self {
            Self::Scheduled { .. } => StatusKind::Scheduled,
            Self::Pending { .. } => StatusKind::Pending,
            Self::Processing { .. } => StatusKind::Processing,
            Self::Waiting { .. } => StatusKind::Waiting,
            Self::Dead { .. } => StatusKind::Dead,
            Self::Compensating { .. } => StatusKind::Compensating,
            Self::Completed { .. } => StatusKind::Completed,
            Self::Cancelled { .. } => StatusKind::Cancelled,
            Self::Rejected { .. } => StatusKind::Rejected,
            Self::Expired { .. } => StatusKind::Expired,
        }
    }

    /// Whether the order can still move. A dead order is open: it waits for a person.
    pub fn is_open(self) -> bool {
        !self.kind().is_final()
    }
}

impl StatusKind {
    /// All statuses, in the order of their numbers.
    pub const ALL: [Self; 10] = [
        Self::Scheduled,
        Self::Pending,
        Self::Processing,
        Self::Waiting,
        Self::Dead,
        Self::Compensating,
        Self::Completed,
        Self::Cancelled,
        Self::Rejected,
        Self::Expired,
    ];

    /// The name used in the API, the documents and the metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Scheduled => "scheduled",
            Self::Pending => "pending",
            Self::Processing => "processing",
            Self::Waiting => "waiting",
            Self::Dead => "dead",
            Self::Compensating => "compensating",
            Self::Completed => "completed",
            Self::Cancelled => "cancelled",
            Self::Rejected => "rejected",
            Self::Expired => "expired",
        }
    }

    /// The status with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// The number in the database, 1 to 10.
    pub fn number(self) -> u8 {
        self as u8
    }

    /// The status with this number.
    pub fn from_number(number: i64) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|kind| i64::from(kind.number()) == number)
    }

    /// 0 to 9: the place in a table by status.
    pub fn index(self) -> usize {
        self as usize - 1
    }

    /// Completed, cancelled, rejected or expired: nothing happens to the order any more.
    pub fn is_final(self) -> bool {
        self >= Self::Completed
    }
}

impl Target {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Cancelled, Self::Rejected, Self::Expired];

    /// The transition that ends an order like this.
    pub fn reach(self, at: Timestamp) -> Transition {
        match self {
            Self::Cancelled => Transition::Cancel { at },
            Self::Rejected => Transition::Reject { at },
            Self::Expired => Transition::Expire { at },
        }
    }

    /// The final status.
    pub fn kind(self) -> StatusKind {
        match self {
            Self::Cancelled => StatusKind::Cancelled,
            Self::Rejected => StatusKind::Rejected,
            Self::Expired => StatusKind::Expired,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn every_status() -> Vec<Status> {
        let at = Timestamp(9);
        let mut all = vec![
            Status::Scheduled { start_at: at },
            Status::Pending { ready_at: at },
            Status::Processing { lease: 1 },
            Status::Waiting { until: at },
            Status::Dead { since: at },
            Status::Completed { ended_at: at },
            Status::Cancelled { ended_at: at },
            Status::Rejected { ended_at: at },
            Status::Expired { ended_at: at },
        ];
        let targets = [Target::Cancelled, Target::Rejected, Target::Expired];
        all.extend(targets.map(|target| Status::Compensating { target }));
        all
    }

    #[test]
    fn the_documented_table_is_the_code() {
        let document = include_str!("../../docs/lifecycle.md");
        let rows = document.lines().filter_map(|line| {
            let mut cells = line.strip_prefix("| `")?.split('|').map(str::trim);
            let from = StatusKind::from_name(cells.next()?.trim_matches('`'))?;
            let to = cells
                .next_back()
                .filter(|last| last.is_empty())
                .and(cells.next_back())?;
            let mut to: Vec<_> = to.split('`').filter_map(StatusKind::from_name).collect();
            to.sort();
            Some((from, to))
        });
        let documented: Vec<_> = rows.collect();
        let coded: Vec<_> = StatusKind::ALL.map(|from| (from, reachable(from))).into();
        assert_eq!(documented, coded);
    }

    fn reachable(from: StatusKind) -> Vec<StatusKind> {
        let mut to: Vec<_> = every_status()
            .into_iter()
            .filter(|status| status.kind() == from)
            .flat_map(|status| {
                Transition::samples(Timestamp(9))
                    .into_iter()
                    .map(move |t| status.apply(t))
            })
            .filter_map(|moved| Some(moved.ok()?.kind()))
            .collect();
        to.sort();
        to.dedup();
        to
    }

    #[test]
    fn a_final_status_never_moves() {
        for status in every_status()
            .into_iter()
            .filter(|status| !status.is_open())
        {
            for transition in Transition::samples(Timestamp(9)) {
                let refused = IllegalTransition {
                    from: status.kind(),
                    transition,
                };
                assert_eq!(status.apply(transition), Err(refused));
            }
        }
    }

    #[test]
    fn a_compensating_order_ends_in_its_target_only() {
        for target in [Target::Cancelled, Target::Rejected, Target::Expired] {
            let ends: Vec<_> = Transition::samples(Timestamp(9))
                .into_iter()
                .filter_map(|t| Status::Compensating { target }.apply(t).ok())
                .filter(|status| !status.is_open())
                .map(Status::kind)
                .collect();
            assert_eq!(ends, [target.kind()]);
        }
    }

    #[test]
    fn names_and_numbers_are_unique() {
        for kind in StatusKind::ALL {
            assert_eq!(StatusKind::from_name(kind.name()), Some(kind));
            assert_eq!(StatusKind::from_number(kind.number().into()), Some(kind));
        }
    }
}
