//! Whether an order's row says what its history says.
//!
//! Pure: an order and what is remembered of its history go in, findings come out.

use super::findings::{Check, Findings};
use super::tracks::{NEVER, Track};
use crate::clock::Timestamp;
use crate::order::{Hold, Order, Status};

/// Whether an order says what its last event says.
pub(super) fn with_history(order: &Order, track: &Track, findings: &mut Findings) {
    let (seq, state) = (order.seq.0, &order.state);
    let kind = state.status.kind();
    if state.status.is_open() {
        findings.examine(&[Check::OpenOrders]);
    }
    if state.status.is_open() == track.status.is_final() {
        let what = format!(
            "{} is {}, its last event says {}",
            order.id,
            kind.name(),
            track.status.name()
        );
        return findings.add(Check::OpenOrders, "orders", seq, what);
    }
    let mut differs = |column: &str, says: String, event: String| {
        let what = format!(
            "{} has {column} {says}, its last event says {event}",
            order.id
        );
        findings.add(Check::LastEvents, "orders", seq, what);
    };
    if kind != track.status {
        differs("status", kind.name().into(), track.status.name().into());
    }
    if state.version != track.version {
        differs(
            "version",
            state.version.to_string(),
            track.version.to_string(),
        );
    }
    if state.position != track.position {
        let (says, event) = (state.position.0.to_string(), track.position.0.to_string());
        differs("position", says, event);
    }
    let started_at = (track.started_at != NEVER).then_some(track.started_at);
    if state.started_at != started_at {
        let time = |at: Option<Timestamp>| at.map_or("none".into(), |at| at.to_string());
        differs("started_at", time(state.started_at), time(started_at));
    }
    if order.hold.is_some() != track.is_held {
        let words = |is_held| if is_held { "is held" } else { "is not held" };
        let (says, event) = (order.hold.is_some(), track.is_held);
        differs("hold", words(says).into(), words(event).into());
    }
    if state.updated_at != track.at {
        differs(
            "updated_at",
            state.updated_at.to_string(),
            track.at.to_string(),
        );
    }
    match state.status {
        Status::Processing { lease } if lease != track.lease => {
            differs("lease", lease.to_string(), track.lease.to_string());
        }
        Status::Completed { ended_at }
        | Status::Cancelled { ended_at }
        | Status::Rejected { ended_at }
        | Status::Expired { ended_at }
            if ended_at != track.at =>
        {
            differs("ended_at", ended_at.to_string(), track.at.to_string());
        }
        _ => {}
    }
}

/// Whether an order has the priority that it was given last, if it was given another one.
pub(super) fn priority(order: &Order, track: &Track, findings: &mut Findings) {
    let (says, event) = (order.priority, track.priority.unwrap_or(order.priority));
    if says != event {
        let (says, event) = (says.number(), event.number());
        let what = format!("{} has priority {says}, its history says {event}", order.id);
        findings.add(Check::LastEvents, "orders", order.seq.0, what);
    }
}

/// Whether an order is held back for the reason, by whom and until when its history says. That it
/// is held at all is compared with the rest.
pub(super) fn hold(order: &Order, told: Option<&Hold>, findings: &mut Findings) {
    let held = order.hold.as_deref();
    if held.is_none() || held == told {
        return;
    }
    let words = |hold: Option<&Hold>| match hold {
        Some(Hold {
            reason,
            by,
            since,
            until,
        }) => {
            let by = by.as_deref().unwrap_or("nobody");
            let until = until.map_or("released".into(), |until| until.to_string());
            format!("{reason:?} by {by} since {since} until {until}")
        }
        None => "none".into(),
    };
    let (says, event) = (words(held), words(told));
    let what = format!("{} has hold {says}, its history says {event}", order.id);
    findings.add(Check::LastEvents, "orders", order.seq.0, what);
}
