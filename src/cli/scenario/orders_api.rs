//! `orders_api`: its script of a thousand orders at once.
//! Data; how it is sent is written elsewhere.

use std::borrow::Cow;
use std::time::Duration;

use super::{Door, Receipt, Scenario, Slot, Stage, Told, Wire, Written};
use crate::order::Dialect;

pub static SCENARIOS: [Scenario; 1] = [Scenario {
    name: "orders_api_1000",
    about: "1,000 orders at once, two items each, 100 to 599.5",
    door: Door {
        dialect: Dialect::OrdersApi,
        path: "/orders",
        status: 201,
        receipt: Receipt::Member("order_id"),
    },
    stages: Cow::Borrowed(&[Stage {
        name: "create",
        orders: 1_000,
        rate: None,
        connections: 1_000,
        wire: Wire::Kept,
        timeout: None,
        order,
    }]),
    pause: Duration::ZERO,
    told: Told::Nothing,
}];

fn order(slot: &Slot<'_>) -> Written {
    let n = slot.number;
    let next = n + 1;
    let half = if n.is_multiple_of(2) { "" } else { ".5" };
    let amount = 100 + n / 2;
    let body = format!(r#"{{"user_id":"user{n}","item_ids":["item{n}","item{next}"],"#)
        + &format!(r#""total_amount":{amount}{half}}}"#);
    Written { id: None, body }
}
