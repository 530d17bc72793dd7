//! What a step answers.
//!
//! A closed set: whoever does the work, the shard understands exactly these.

/// The answer of one attempt of a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Done; the next step may start.
    Complete {
        /// What the step says about the order, for later steps and for people: a JSON text.
        output: Option<Box<str>>,
    },
    /// Failed for now; try again by the step's policy.
    Retry {
        /// What went wrong, for people; at most 1,024 bytes are kept.
        reason: Box<str>,
        /// Not before so many microseconds have gone by, in place of the policy's back-off; at most
        /// a day of them counts.
        retry_after_us: Option<i64>,
    },
    /// A business "no": the order ends as rejected, after undoing what was done.
    Reject {
        /// Why, for people.
        reason: Box<str>,
    },
    /// Nobody answered in the time of the lease: tried again at once; the attempt counts.
    Lost,
    /// It is not known whether it was done, and it must not be done twice: tried again by the
    /// step's policy, even if this was the last attempt, so that somebody can be asked; the attempt
    /// counts. After [`super::QUESTIONS_MAX`] attempts more than the policy has, the order is dead.
    Unknown {
        /// Why nobody knows, for people.
        reason: Box<str>,
    },
    /// Failed for good: no retry, the order is dead.
    Fail {
        /// What went wrong, for people.
        reason: Box<str>,
    },
}
