//! `api_v1`: its script of a thousand orders at once, each on a connection of its own.
//! Data; how it is sent is written elsewhere.

use std::borrow::Cow;
use std::time::Duration;

use super::{Door, Receipt, Scenario, Slot, Stage, Told, Wire, Written};
use crate::order::Dialect;

pub static SCENARIOS: [Scenario; 1] = [Scenario {
    name: "api_v1_1000",
    about: "1,000 orders at once, a connection each, 5 s for an answer",
    door: Door {
        dialect: Dialect::ApiV1,
        path: "/api/v1/orders",
        status: 202,
        receipt: Receipt::Sent,
    },
    stages: Cow::Borrowed(&[Stage {
        name: "create",
        orders: 1_000,
        rate: None,
        connections: 1_000,
        wire: Wire::Single,
        timeout: Some(Duration::from_secs(5)),
        order,
    }]),
    pause: Duration::ZERO,
    told: Told::Successes,
}];

fn order(slot: &Slot<'_>) -> Written {
    let id = format!("ORD{}{}", slot.number, slot.suffix);
    let user = slot.draw(1, 100, 200);
    let [a, b, c] = [2, 3, 4].map(|what| slot.draw(what, 1, 50));
    let cents = slot.draw(5, 1_000, 10_000);
    let (whole, rest) = (cents / 100, cents % 100);
    let body = format!(r#"{{"order_id": "{id}", "user_id": {user}, "item_ids": [{a}, {b}, {c}], "#)
        + &format!(r#""total_amount": {whole}.{rest:02}, "status": "Pending"}}"#);
    Written { id: Some(id), body }
}
