//! Tests of what is written: every status has the documented shape, and odd texts survive.
//! They read it back as a client would.

use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::http::schema;
use crate::order::{
    Currency, EventKind, Money, OrderState, Position, Priority, Seq, StatusKind, StepOutput,
};

fn order_of(id: &str, customer: &str, payload: &str, status: Status) -> Order {
    Order {
        seq: Seq(1),
        id: OrderId::parse(id).unwrap(),
        customer_id: customer.into(),
        process: "default".into(),
        process_version: 3,
        priority: Priority::High,
        total: Money::new(9_999, Currency::from_code("USD").unwrap()).unwrap(),
        item_count: 2,
        payload: payload.into(),
        start_at: Some(Timestamp(0)),
        expires_at: None,
        created_at: Timestamp(1_795_231_450_123_456),
        imported_at: None,
        hold: None,
        marks: Default::default(),
        state: OrderState {
            status,
            version: 1,
            step: Arc::from("pack \"it\""),
            attempt: 0,
            started_at: Some(Timestamp(3_000_000)),
            updated_at: Timestamp(1_795_231_450_123_456),
            reason: Some("because\n".into()),
            position: Position(1),
        },
        outputs: Vec::new(),
    }
}

fn rendered(order: &Order) -> schema::Order {
    let mut out = Vec::new();
    super::order(&mut out, order);
    serde_json::from_slice(&out).unwrap()
}

#[test]
fn an_order_has_the_documented_shape_in_every_status() {
    let at = Timestamp(5);
    let payload = r#"{"items":["a",{"sku":"b","quantity":2}],"notes":"n"}"#;
    let all = [
        Status::Scheduled { start_at: at },
        Status::Pending { ready_at: at },
        Status::Processing { lease: 1 },
        Status::Waiting { until: at },
        Status::Dead { since: at },
        Status::Completed { ended_at: at },
        Status::Expired { ended_at: at },
    ];
    for status in all {
        let shown = rendered(&order_of("o\"1\\", "c", payload, status));
        assert_eq!((&*shown.order_id, shown.items.len()), ("o\"1\\", 2));
        assert_eq!(shown.step.is_some(), status.is_open());
        assert_eq!(shown.ended_at.is_some(), !status.is_open());
        let name = serde_json::to_value(shown.status).unwrap();
        assert_eq!(name, status.kind().name());
        let waits = matches!(status, Status::Scheduled { .. } | Status::Pending { .. });
        assert_eq!(shown.ready_at.is_some(), waits);
        let started_at = Some("1970-01-01T00:00:03.000000Z");
        assert_eq!(shown.started_at.as_deref(), started_at);
    }
}

#[test]
fn outputs_are_shown_by_step() {
    let completed = Status::Completed {
        ended_at: Timestamp(5),
    };
    let mut order = order_of("a", "c", r#"{"items":[]}"#, completed);
    assert_eq!(rendered(&order).outputs, None);
    let output = |step: &str, output: &str| StepOutput {
        step: step.into(),
        output: output.into(),
    };
    order.outputs = vec![output("rules", r#"{"label":"x"}"#), output("pack", "[1]")];
    let shown = serde_json::to_value(rendered(&order).outputs).unwrap();
    assert_eq!(
        shown,
        serde_json::json!({"rules": {"label": "x"}, "pack": [1]})
    );
}

#[test]
fn an_event_has_the_documented_shape() {
    for kind in EventKind::ALL {
        let event = EventView {
            place: crate::store::EventPlace {
                position: Position(17),
                index: 3,
            },
            order_id: OrderId::parse("o").unwrap(),
            customer_id: "c".into(),
            process: "p".into(),
            kind,
            status: StatusKind::Scheduled,
            version: 1,
            at: Timestamp(5),
            step: Some("s".into()),
            attempt: 1,
            fence: (1, 1),
            reason: None,
            by: None,
            detail: None,
        };
        let mut out = Vec::new();
        super::event(&mut out, &event);
        let shown: crate::http::Event = serde_json::from_slice(&out).unwrap();
        assert_eq!(shown.event_id, "17-3");
    }
}

#[test]
fn a_path_holds_any_id() {
    let path = |id| location(&OrderId::parse(id).unwrap()).unwrap();
    assert_eq!(path("a/b?c#%"), "/v1/orders/a%2Fb%3Fc%23%25");
}

proptest! {
    #[test]
    fn times_are_written_as_everywhere(micros in 0..=Timestamp::MAX.0) {
        let mut out = Vec::new();
        time(&mut out, Timestamp(micros));
        let expected = format!("\"{}\"", Timestamp(micros));
        prop_assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn odd_texts_survive(customer in "\\PC{0,20}|.{0,20}|[\"\\\\\u{0}-\u{1f}]{1,8}") {
        let status = Status::Processing { lease: 1 };
        let shown = rendered(&order_of("o", &customer, r#"{"items":[]}"#, status));
        prop_assert_eq!(shown.customer_id, customer);
    }
}
