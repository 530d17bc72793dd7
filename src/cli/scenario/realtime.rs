//! `realtime`: its three loads, the three in a row, and the mixed orders that it could make too.
//! Data; how it is sent is written elsewhere.

use std::borrow::Cow;
use std::time::Duration;

use super::{Door, Receipt, Scenario, Slot, Stage, Told, Wire, Written};
use crate::order::Dialect;

/// Requests at once: far more than are on their way at these rates.
const CONNECTIONS: u32 = 64;

const DOOR: Door = Door {
    dialect: Dialect::Realtime,
    path: "/orders",
    status: 201,
    receipt: Receipt::Member("id"),
};

const NORMAL: Stage = stage("normal", 300, 10, |slot| {
    let n = slot.number;
    Order {
        id: format!("normal_{n}"),
        amount: 50 + n % 200,
        items: vec!["item1", "item2"],
        customer: format!("customer{n}@example.com"),
        address: format!("{n} Main St"),
        priority: 2,
        notes: "Normal order".to_owned(),
    }
    .written(slot)
});

const HIGH: Stage = stage("high", 1_000, 50, |slot| {
    let n = slot.number;
    Order {
        id: format!("high_{n}"),
        amount: 500 + n % 1_000,
        items: vec!["expensive_item1", "expensive_item2"],
        customer: format!("vip_customer{n}@example.com"),
        address: format!("{n} VIP Street"),
        priority: 1,
        notes: "High value order".to_owned(),
    }
    .written(slot)
});

const BURST: Stage = stage("burst", 1_000, 100, |slot| {
    let n = slot.number;
    Order {
        id: format!("burst_{n}"),
        amount: 10 + n % 100,
        items: vec!["quick_item"],
        customer: format!("burst_customer{n}@example.com"),
        address: format!("{n} Quick St"),
        priority: 3,
        notes: "Burst order".to_owned(),
    }
    .written(slot)
});

const MIX: Stage = stage("mix", 1_000, 100, mixed);

const GOODS: [&str; 8] = [
    "laptop",
    "mouse",
    "keyboard",
    "monitor",
    "headphones",
    "webcam",
    "speaker",
    "tablet",
];

pub static SCENARIOS: [Scenario; 5] = [
    scenario("realtime_normal", "300 orders, 10 a second", &[NORMAL]),
    scenario(
        "realtime_high",
        "1,000 dear orders, 50 a second, priority 1",
        &[HIGH],
    ),
    scenario(
        "realtime_burst",
        "1,000 small orders, 100 a second, priority 3",
        &[BURST],
    ),
    scenario("realtime", "these three, 5 s apart", &[NORMAL, HIGH, BURST]),
    scenario(
        "realtime_mix",
        "1,000 mixed orders, 100 a second, one in ten dear",
        &[MIX],
    ),
];

const fn scenario(name: &'static str, about: &'static str, stages: &'static [Stage]) -> Scenario {
    Scenario {
        name,
        about,
        door: DOOR,
        stages: Cow::Borrowed(stages),
        pause: Duration::from_secs(5),
        told: Told::Stages,
    }
}

const fn stage(
    name: &'static str,
    orders: u32,
    rate: u64,
    order: fn(&Slot<'_>) -> Written,
) -> Stage {
    Stage {
        name,
        orders,
        rate: Some(rate),
        connections: CONNECTIONS,
        wire: Wire::Kept,
        timeout: None,
        order,
    }
}

/// One to five goods for 10 to 2,009; one order in ten costs 1,000 to 5,999 and has priority 1.
fn mixed(slot: &Slot<'_>) -> Written {
    let n = slot.number;
    let goods = (0..slot.draw(1, 1, 5)).map(|place| GOODS[slot.draw(2 + place, 0, 7) as usize]);
    let is_dear = slot.draw(10, 1, 10) == 1;
    let (amount, priority) = match is_dear {
        true => (slot.draw(11, 1_000, 5_999), 1),
        false => (slot.draw(12, 10, 2_009), slot.draw(13, 1, 3)),
    };
    let (house, city) = (slot.draw(15, 0, 999), slot.draw(16, 0, 99));
    Order {
        id: format!("test_order_{n}"),
        amount,
        items: goods.collect(),
        customer: format!("customer{}@example.com", slot.draw(14, 0, 999)),
        address: format!("{house} Test Street, City {city}"),
        priority,
        notes: format!("Test order {n}"),
    }
    .written(slot)
}

/// An order; no text in it needs escaping.
struct Order {
    id: String,
    amount: u64,
    items: Vec<&'static str>,
    customer: String,
    address: String,
    priority: u64,
    notes: String,
}

impl Order {
    fn written(self, slot: &Slot<'_>) -> Written {
        let Self {
            amount,
            customer,
            address,
            priority,
            notes,
            ..
        } = self;
        let id = self.id + slot.suffix;
        let items = self.items.join(r#"",""#);
        let body = format!(
            r#"{{"id":"{id}","amount":{amount},"items":["{items}"],"customer":"{customer}","#
        ) + &format!(
            r#""status":"pending","address":"{address}","priority":{priority},"notes":"{notes}"}}"#
        );
        Written { id: Some(id), body }
    }
}
