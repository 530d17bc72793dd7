//! What the server says about orders that were sent before: where they stand, what their history
//! holds, how many still go on. Pure: reads bytes, and says so when it cannot.

use std::borrow::Cow;

use serde::Deserialize;

use super::answers::Unreadable;

/// The status of an order as the server shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Completed, cancelled, rejected or expired: nothing changes it any more.
    Final,
    /// Attempts used up: it stands still until a person acts.
    Dead,
    /// Anything else: it goes on.
    Open,
}

/// The standing of the order with this id, from its body.
///
/// # Errors
///
/// [`Unreadable`]: no order, or another one.
pub fn read_standing(body: &[u8], id: &str) -> Result<Standing, Unreadable> {
    #[derive(Deserialize)]
    struct Body<'a> {
        #[serde(borrow)]
        order_id: Cow<'a, str>,
        #[serde(borrow)]
        status: Cow<'a, str>,
    }
    let order: Body<'_> = serde_json::from_slice(body).map_err(|_| Unreadable)?;
    if order.order_id != id {
        return Err(Unreadable);
    }
    Ok(match &*order.status {
        "completed" | "cancelled" | "rejected" | "expired" => Standing::Final,
        "dead" => Standing::Dead,
        _ => Standing::Open,
    })
}

/// A page of an order's history.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// Events that say the order was accepted.
    pub accepted: u64,
    /// Events that say it ended.
    pub ended: u64,
    /// Where the next page begins, if there is one.
    pub next: Option<String>,
}

/// Counts the events of a page.
///
/// # Errors
///
/// [`Unreadable`]: no page of events.
pub fn read_history(body: &[u8]) -> Result<History, Unreadable> {
    #[derive(Deserialize)]
    struct Event<'a> {
        #[serde(borrow, rename = "type")]
        kind: Cow<'a, str>,
    }
    #[derive(Deserialize)]
    struct Page<'a> {
        #[serde(borrow)]
        data: Vec<Event<'a>>,
        #[serde(default)]
        has_more: bool,
        next_cursor: Option<String>,
    }
    let page: Page<'_> = serde_json::from_slice(body).map_err(|_| Unreadable)?;
    let mut history = History {
        next: page.next_cursor.filter(|_| page.has_more),
        ..History::default()
    };
    for event in &page.data {
        match &*event.kind {
            "order.accepted" | "order.scheduled" => history.accepted += 1,
            "order.completed" | "order.rejected" | "order.cancelled" | "order.expired" => {
                history.ended += 1;
            }
            _ => {}
        }
    }
    Ok(history)
}

/// How many orders can still change by themselves: open, but not dead.
///
/// # Errors
///
/// [`Unreadable`]: no statistics.
pub fn read_active(body: &[u8]) -> Result<u64, Unreadable> {
    #[derive(Deserialize)]
    struct ByStatus {
        scheduled: u64,
        pending: u64,
        processing: u64,
        waiting: u64,
        compensating: u64,
    }
    #[derive(Deserialize)]
    struct Orders {
        by_status: ByStatus,
    }
    #[derive(Deserialize)]
    struct Stats {
        orders: Orders,
    }
    let stats: Stats = serde_json::from_slice(body).map_err(|_| Unreadable)?;
    let ByStatus {
        scheduled,
        pending,
        processing,
        waiting,
        compensating,
    } = stats.orders.by_status;
    Ok(scheduled + pending + processing + waiting + compensating)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ORDER: &[u8] = br#"{"order_id":"a-1","metadata":{"status":"dead"},"status":"pending"}"#;

    #[test]
    fn the_standing_is_the_orders_own_status() {
        assert_eq!(read_standing(ORDER, "a-1"), Ok(Standing::Open));
        assert_eq!(read_standing(ORDER, "a-2"), Err(Unreadable));
        let body = |status| format!(r#"{{"order_id":"x","status":"{status}"}}"#);
        assert_eq!(
            read_standing(body("expired").as_bytes(), "x"),
            Ok(Standing::Final)
        );
        assert_eq!(
            read_standing(body("dead").as_bytes(), "x"),
            Ok(Standing::Dead)
        );
    }

    #[test]
    fn a_history_is_counted_page_by_page() {
        let body = br#"{"data":[{"type":"order.accepted"},{"type":"order.started"},
            {"type":"order.completed"}],"has_more":true,"next_cursor":"c"}"#;
        let expected = History {
            accepted: 1,
            ended: 1,
            next: Some("c".to_owned()),
        };
        assert_eq!(read_history(body), Ok(expected));
        let last = read_history(br#"{"data":[],"has_more":false,"next_cursor":null}"#);
        assert_eq!(last, Ok(History::default()));
    }

    #[test]
    fn dead_orders_are_not_waited_for() {
        let body = br#"{"orders":{"by_status":{"pending":1,"processing":2,"waiting":3,"dead":50,
            "scheduled":4,"compensating":5,"completed":60},"open":65},"uptime_seconds":1}"#;
        assert_eq!(read_active(body), Ok(15));
    }
}
