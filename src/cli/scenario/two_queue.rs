//! `two_queue`: the run of ApacheBench whose figures were published with it.
//! Data; how it is sent is written elsewhere.

use std::borrow::Cow;
use std::time::Duration;

use super::{Door, Published, Receipt, Scenario, Stage, Told, Wire, Written};
use crate::order::Dialect;

const BODY: &str =
    r#"{"user_id": "user123","item_ids": "item1,item2,item3","total_amount": 99.99}"#;

const PUBLISHED: Published = Published {
    requests: 8_000,
    total_ms: 9_078.0,
    rate: 881.28,
    mean_ms: 2_269.0,
    percentiles_ms: &[
        (50, 2_184.0),
        (66, 2_279.0),
        (75, 2_401.0),
        (80, 2_432.0),
        (90, 2_769.0),
        (95, 2_806.0),
        (98, 2_827.0),
        (99, 2_840.0),
        (100, 2_887.0),
    ],
};

pub static SCENARIOS: [Scenario; 1] = [Scenario {
    name: "two_queue_ab",
    about: "8,000 orders as ApacheBench sends them, 2,000 at a time",
    door: Door {
        dialect: Dialect::TwoQueue,
        path: "/order",
        status: 200,
        receipt: Receipt::Line("Received order "),
    },
    stages: Cow::Borrowed(&[Stage {
        name: "ab",
        orders: 8_000,
        rate: None,
        connections: 2_000,
        wire: Wire::ApacheBench,
        timeout: None,
        order: |_| Written {
            id: None,
            body: BODY.to_owned(),
        },
    }]),
    pause: Duration::ZERO,
    told: Told::ApacheBench(&PUBLISHED),
}];
