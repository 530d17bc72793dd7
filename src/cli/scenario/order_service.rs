//! `order_service`: the thousand concurrent orders that its README speaks of.
//! Data; how it is sent is written elsewhere.

use std::borrow::Cow;
use std::time::Duration;

use super::{Door, Receipt, Scenario, Slot, Stage, Told, Wire, Written};
use crate::order::Dialect;

pub static SCENARIOS: [Scenario; 1] = [Scenario {
    name: "order_service_1000",
    about: "1,000 orders at once, two items each",
    door: Door {
        dialect: Dialect::OrderService,
        path: "/order-service/order/create",
        status: 200,
        receipt: Receipt::Sent,
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
    let id = format!("order{n}{}", slot.suffix);
    let body =
        format!(r#"{{"order_id": "{id}", "user_id": "user{n}", "items_ids": ["item1", "item2"], "#)
            + r#""total_amount": 100.00}"#;
    Written { id: Some(id), body }
}
