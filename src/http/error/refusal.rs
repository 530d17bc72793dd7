//! What a client is told whose change of an order was not made. Decides nothing: the shard has
//! refused it, and here are the words.

use super::{ApiError, Found};
use crate::http::code::Code;
use crate::order::Refusal;

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        let found = |status, version| Found { status, version };
        match refusal {
            Refusal::OtherVersion { version } => {
                let detail = format!("the order has version {version}");
                Self::found(Code::VersionMismatch, detail, found(None, Some(version)))
            }
            Refusal::NotDead { status } => {
                let detail = format!("the order is {}", status.name());
                Self::found(Code::OrderNotDead, detail, found(Some(status), None))
            }
            Refusal::Undoing { target } => {
                let detail = format!("its steps are being undone: it will be {}", target.name());
                Self::found(Code::OrderEnded, detail, found(Some(target), None))
            }
            Refusal::NotOpen => Self::new(Code::OrderEnded, "the order has ended"),
            Refusal::StaleFence => Self::new(Code::StaleFence, "the attempt is not yours any more"),
            Refusal::NotAwaited => {
                let detail = "the order's process has no step of this name that waits";
                Self::new(Code::SignalNotFound, detail)
            }
            Refusal::SignalTooLate => {
                let detail = "the order has gone on without it";
                Self::new(Code::SignalTooLate, detail)
            }
        }
    }
}
