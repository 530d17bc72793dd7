//! What scenarios send, to the letter where it is known to the letter, and within its bounds where
//! chance chooses. That servers take it is tested with real ones.

use std::collections::BTreeSet;

use serde_json::Value;

use super::*;

fn body(name: &str, stage: usize, number: u64) -> String {
    written(name, stage, number).body
}

fn written(name: &str, stage: usize, number: u64) -> Written {
    let slot = Slot {
        number,
        seed: 1,
        suffix: "",
    };
    (named(name).unwrap().stages[stage].order)(&slot)
}

#[test]
fn each_name_leads_to_its_scenario() {
    let names: Vec<&str> = all().map(|scenario| scenario.name).collect();
    assert_eq!(
        names,
        [
            "two_queue_ab",
            "realtime_normal",
            "realtime_high",
            "realtime_burst",
            "realtime",
            "realtime_mix",
            "order_service_1000",
            "api_v1_1000",
            "orders_api_1000",
        ]
    );
    for name in names {
        let scenario = named(name).unwrap();
        assert_eq!(scenario.name, name);
        assert!(!scenario.stages.is_empty() && scenario.orders() > 0);
    }
    assert!(named("two_queue").is_none());
}

#[test]
fn bodies_are_those_of_the_load_tools() {
    let ab = r#"{"user_id": "user123","item_ids": "item1,item2,item3","total_amount": 99.99}"#;
    assert_eq!((ab.len(), body("two_queue_ab", 0, 7)), (76, ab.to_owned()));
    let bodies = [
        (
            "realtime",
            0,
            concat!(
                r#"{"id":"normal_203","amount":53,"items":["item1","item2"],"#,
                r#""customer":"customer203@example.com","status":"pending","#,
                r#""address":"203 Main St","priority":2,"notes":"Normal order"}"#,
            ),
        ),
        (
            "realtime",
            1,
            concat!(
                r#"{"id":"high_203","amount":703,"items":["expensive_item1","#,
                r#""expensive_item2"],"customer":"vip_customer203@example.com","#,
                r#""status":"pending","address":"203 VIP Street","priority":1,"#,
                r#""notes":"High value order"}"#,
            ),
        ),
        (
            "realtime",
            2,
            concat!(
                r#"{"id":"burst_203","amount":13,"items":["quick_item"],"#,
                r#""customer":"burst_customer203@example.com","status":"pending","#,
                r#""address":"203 Quick St","priority":3,"notes":"Burst order"}"#,
            ),
        ),
        (
            "order_service_1000",
            0,
            concat!(
                r#"{"order_id": "order203", "user_id": "user203", "items_ids": ["item1","#,
                r#" "item2"], "total_amount": 100.00}"#,
            ),
        ),
        (
            "orders_api_1000",
            0,
            r#"{"user_id":"user203","item_ids":["item203","item204"],"total_amount":201.5}"#,
        ),
    ];
    for (name, stage, expected) in bodies {
        assert_eq!(body(name, stage, 203), expected);
    }
    assert!(body("orders_api_1000", 0, 0).ends_with(r#""total_amount":100}"#));
}

#[test]
fn counts_rates_and_connections_are_those_of_the_load_tools() {
    let figures = |name: &str| {
        let stages = named(name).unwrap().stages.iter();
        let figures = stages.map(|stage| (stage.orders, stage.rate, stage.wire));
        figures.collect::<Vec<_>>()
    };
    let (kept, single) = (Wire::Kept, Wire::Single);
    assert_eq!(figures("two_queue_ab"), [(8_000, None, Wire::ApacheBench)]);
    assert_eq!(
        figures("realtime"),
        [
            (300, Some(10), kept),
            (1_000, Some(50), kept),
            (1_000, Some(100), kept)
        ]
    );
    for (stage, name) in ["realtime_normal", "realtime_high", "realtime_burst"]
        .into_iter()
        .enumerate()
    {
        assert_eq!(figures(name), figures("realtime")[stage..=stage]);
    }
    assert_eq!(figures("order_service_1000"), [(1_000, None, kept)]);
    assert_eq!(figures("api_v1_1000"), [(1_000, None, single)]);
    assert_eq!(figures("orders_api_1000"), [(1_000, None, kept)]);
    assert_eq!(named("realtime").unwrap().pause, Duration::from_secs(5));
    let api_v1 = &named("api_v1_1000").unwrap().stages[0];
    assert_eq!(api_v1.timeout, Some(Duration::from_secs(5)));
}

#[test]
fn what_chance_chooses_stays_within_its_bounds_and_reaches_them() {
    let mut users = BTreeSet::new();
    let mut goods = BTreeSet::new();
    let (mut dear, mut longest) = (0, 0);
    for number in 0..1_000 {
        let order: Value = serde_json::from_str(&body("api_v1_1000", 0, number)).unwrap();
        assert_eq!(order["order_id"], format!("ORD{number}"));
        users.insert(order["user_id"].as_u64().unwrap());
        let items = order["item_ids"].as_array().unwrap();
        let is_in = |item: &Value| (1..=50).contains(&item.as_u64().unwrap());
        assert!(items.len() == 3 && items.iter().all(is_in), "{order}");
        let amount = order["total_amount"].as_f64().unwrap();
        assert!((10.0..=100.0).contains(&amount), "{order}");
        assert_eq!(order["status"], "Pending");

        let order: Value = serde_json::from_str(&body("realtime_mix", 0, number)).unwrap();
        let amount = order["amount"].as_u64().unwrap();
        let is_dear = amount > 2_009;
        assert!((10..=5_999).contains(&amount), "{order}");
        assert!(!is_dear || order["priority"] == 1, "{order}");
        dear += u32::from(is_dear);
        let items = order["items"].as_array().unwrap();
        longest = longest.max(items.len());
        goods.extend(items.iter().map(|item| item.as_str().unwrap().to_owned()));
    }
    assert_eq!((users.first(), users.last()), (Some(&100), Some(&200)));
    assert_eq!((goods.len(), longest), (8, 5));
    assert!((40..160).contains(&dear), "{dear} of 1,000 dear orders");
}

#[test]
fn a_suffix_makes_chosen_ids_fresh_and_short_enough() {
    let suffix = "-zzzzzzzzzzz";
    for scenario in all() {
        for stage in &*scenario.stages {
            let write = |suffix| {
                (stage.order)(&Slot {
                    number: u64::from(stage.orders) - 1,
                    seed: 1,
                    suffix,
                })
            };
            let (exact, fresh) = (write(""), write(suffix));
            assert_eq!(
                fresh.id,
                exact.id.map(|id| id + suffix),
                "{}",
                scenario.name
            );
            if let Some(id) = &fresh.id {
                assert!(id.len() <= 36 && fresh.body.contains(&format!("\"{id}\"")));
            }
        }
    }
}
