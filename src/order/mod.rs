//! The domain: what an order is, what may happen to it, what it costs and what is done with it.
//!
//! Everything here is a value or a pure function: no I/O, no clock, no randomness of its own. The
//! types cannot be built invalid, so the floors above do not check them again.

mod change;
mod commit;
mod dialect;
mod draft;
mod event;
mod fence;
mod hold;
mod id;
mod idempotency;
mod item;
mod marks;
mod money;
mod new_order;
mod opening;
mod outcome;
mod past;
mod priority;
mod process;
mod push;
mod queue;
mod report;
mod retry;
mod rules;
mod signal;
mod state;
mod status;
mod step;
mod tally;
mod transition;

pub use change::{Action, Change, Refusal, Signature};
pub use commit::{Beside, Changed, Commit, Output, Receipt};
pub use dialect::Dialect;
pub use draft::{Draft, DraftRules};
pub use event::{Detail, Event, EventKind};
pub use fence::{Fence, effect_key};
pub use hold::{Hold, HoldDraft, NewHold};
pub use id::{IdSource, OrderId, OrderIdError, Position, Seq, ShardNumber, Spelling, WantedId};
pub use idempotency::{
    Answering, BadKey, ChangeKey, Fingerprint, KEY_LENGTH_MAX, KeptAnswer, KeptKey, KeyRecord,
    NewKey, RequestKey,
};
pub use item::{Item, Line};
pub use marks::{Marks, Steps};
pub use money::{Currency, Money, MoneyError};
pub use new_order::{Fault, ITEMS_MAX, NewOrder};
pub use opening::{OpenOrder, Opening};
pub use outcome::Outcome;
pub use past::{Past, PastDraft, PastEnd};
pub use priority::Priority;
pub use process::{DEFAULT_PROCESS, NameIndex, Process, ProcessIndex, Processes, VersionReused};
pub use push::{Hidden, Push};
pub use queue::{QueueIndex, Queues};
pub use report::{ERROR_BYTES_MAX, OUTPUT_BYTES_MAX, Report, Verdict, compact, shortened};
pub use retry::{QUESTIONS_MAX, RetryPolicy};
pub use rules::{Facts, LabelRule, Limits, Rules, When};
pub use signal::Signal;
pub use state::{Order, OrderState, StepOutput};
pub use status::{Status, StatusKind, Target};
pub use step::{Pull, Simulate, Step, StepKind, TimeUp, Wait};
pub use tally::{ProcessTally, Tally};
pub use transition::{IllegalTransition, Transition};
