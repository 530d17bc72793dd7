//! Which events somebody wants to be told: some types, one order, one customer, one process.
//!
//! What is not named lets everything through. Pure.

use crate::order::{EventKind, OrderId, StatusKind};
use crate::store::EventView;

/// Which events are wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only events of these types, such as `order.completed`. Empty: of all.
    pub types: Vec<Box<str>>,
    /// Only events of this order.
    pub order_id: Option<OrderId>,
    /// Only events of orders of this customer.
    pub customer_id: Option<Box<str>>,
    /// Only events of orders of this process, in any version.
    pub process: Option<Box<str>>,
}

/// The type of an event, as everybody outside is told it.
pub fn type_of(event: &EventView) -> &'static str {
    match (event.kind, event.status) {
        (EventKind::Accepted, StatusKind::Scheduled) => "order.scheduled",
        (kind, _) => name(kind),
    }
}

fn name(kind: EventKind) -> &'static str {
    match kind {
        EventKind::Accepted => "order.accepted",
        EventKind::Ready => "order.ready",
        EventKind::Started => "order.started",
        EventKind::StepCompleted => "order.step_completed",
        EventKind::Retried => "order.retried",
        EventKind::Requeued => "order.requeued",
        EventKind::Parked => "order.parked",
        EventKind::Dead => "order.dead",
        EventKind::Replayed => "order.replayed",
        EventKind::Compensating => "order.compensating",
        EventKind::Completed => "order.completed",
        EventKind::Cancelled => "order.cancelled",
        EventKind::Rejected => "order.rejected",
        EventKind::Expired => "order.expired",
        EventKind::Held => "order.held",
        EventKind::Released => "order.released",
        EventKind::PriorityChanged => "order.priority_changed",
        EventKind::CameLate => "order.came_late",
        EventKind::Signalled => "order.signalled",
        EventKind::UndoStarted => "order.undo_started",
        EventKind::UndoRetried => "order.undo_retried",
        EventKind::Undone => "order.undone",
    }
}

impl Filter {
    /// Every type that there is.
    pub fn all_types() -> impl Iterator<Item = &'static str> {
        EventKind::ALL
            .into_iter()
            .map(name)
            .chain(["order.scheduled"])
    }

    /// Reads types with commas between them. The error is the one that there is not.
    pub fn read_types<'a>(text: &'a str) -> Result<Vec<Box<str>>, &'a str> {
        let types = text.split(',').map(str::trim);
        let read = |wanted: &'a str| {
            let is_known = Self::all_types().any(|known| known == wanted);
            is_known.then(|| wanted.into()).ok_or(wanted)
        };
        types.map(read).collect()
    }

    /// Whether it lets everything through.
    pub fn is_open(&self) -> bool {
        *self == Self::default()
    }

    /// Whether it lets this event through.
    pub fn admits(&self, event: &EventView) -> bool {
        fn fits(wanted: Option<&str>, found: &str) -> bool {
            wanted.is_none_or(|wanted| wanted == found)
        }
        let kind = type_of(event);
        (self.types.is_empty() || self.types.iter().any(|wanted| **wanted == *kind))
            && self
                .order_id
                .as_ref()
                .is_none_or(|id| *id == event.order_id)
            && fits(self.customer_id.as_deref(), &event.customer_id)
            && fits(self.process.as_deref(), &event.process)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::clock::Timestamp;
    use crate::order::Position;
    use crate::store::EventPlace;

    /// Something that happened to an order of customer `c` in process `p`.
    pub fn event(id: &str, kind: EventKind, status: StatusKind) -> EventView {
        EventView {
            place: EventPlace {
                position: Position(1),
                index: 0,
            },
            order_id: OrderId::parse(id).unwrap(),
            customer_id: "c".into(),
            process: "p".into(),
            kind,
            status,
            version: 1,
            at: Timestamp(5),
            step: None,
            attempt: 0,
            fence: (1, 0),
            reason: None,
            by: None,
            detail: None,
        }
    }

    #[test]
    fn each_part_of_a_filter_counts() {
        let done = event("a", EventKind::Completed, StatusKind::Completed);
        let all = Filter::default();
        assert!(all.is_open() && all.admits(&done));
        let with = |change: fn(&mut Filter)| {
            let mut filter = Filter::default();
            change(&mut filter);
            assert!(!filter.is_open());
            filter.admits(&done)
        };
        assert!(with(
            |it| it.types = vec!["order.dead".into(), "order.completed".into()]
        ));
        assert!(!with(|it| it.types = vec!["order.dead".into()]));
        assert!(with(|it| it.order_id = OrderId::parse("a").ok()));
        assert!(!with(|it| it.order_id = OrderId::parse("b").ok()));
        assert!(with(|it| it.customer_id = Some("c".into())));
        assert!(!with(|it| it.customer_id = Some("d".into())));
        assert!(with(|it| it.process = Some("p".into())));
        assert!(!with(|it| it.process = Some("q".into())));
    }

    #[test]
    fn an_order_that_starts_later_is_told_apart() {
        let scheduled = event("a", EventKind::Accepted, StatusKind::Scheduled);
        assert_eq!(type_of(&scheduled), "order.scheduled");
        let accepted = event("a", EventKind::Accepted, StatusKind::Pending);
        assert_eq!(type_of(&accepted), "order.accepted");
    }

    #[test]
    fn types_are_read_by_their_names() {
        for kind in EventKind::ALL {
            assert_eq!(name(kind), format!("order.{}", kind.name()));
        }
        let types = Filter::read_types("order.dead, order.scheduled").unwrap();
        assert_eq!(types, ["order.dead".into(), "order.scheduled".into()]);
        assert_eq!(Filter::read_types("order.dead,dead"), Err("dead"));
    }
}
