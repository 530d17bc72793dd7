//! The wire formats of other order services that orderd speaks besides its own, as names.
//!
//! Only who they are and where they are used to listen. How they read and write is not known here.

use super::{
    LabelRule, Limits, Priority, Process, RetryPolicy, Rules, Simulate, Step, StepKind, When,
};

/// Another service's wire format. Its orders run the process that has its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Dialect {
    /// `POST /order`, answered with a line of text; `GET /metrics/pending`.
    TwoQueue,
    /// `POST /orders`, `GET /stats`, `GET /health`; limits and labels.
    Realtime,
    /// `/order-service/order/…`
    OrderService,
    /// `/api/v1/…`
    ApiV1,
    /// `POST /orders`, `GET /orders/{order_id}/status`, `GET /metrics`.
    OrdersApi,
}

impl Dialect {
    /// All dialects, by port.
    pub const ALL: [Self; 5] = [
        Self::TwoQueue,
        Self::Realtime,
        Self::OrderService,
        Self::ApiV1,
        Self::OrdersApi,
    ];

    /// Its name in settings and metrics, which is also that of its process.
    pub fn name(self) -> &'static str {
        match self {
            Self::TwoQueue => "two_queue",
            Self::Realtime => "realtime",
            Self::OrderService => "order_service",
            Self::ApiV1 => "api_v1",
            Self::OrdersApi => "orders_api",
        }
    }

    /// The dialect with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|dialect| dialect.name() == name)
    }

    /// The port on which its clients look for it.
    pub fn port(self) -> u16 {
        match self {
            Self::TwoQueue | Self::Realtime => 8080,
            Self::OrderService | Self::ApiV1 => 8000,
            Self::OrdersApi => 3000,
        }
    }

    /// Whether two dialects can be told apart by the paths of one address.
    pub fn may_share_address(self, other: Self) -> bool {
        self.port() == other.port()
    }

    /// Whether the native API is served on its address too. Elsewhere the dialect has paths that
    /// the native API has as well.
    pub fn has_native_api(self) -> bool {
        self.port() == 8080
    }

    /// The process its orders run if the settings define none: simulated work of the length that
    /// its clients are used to.
    pub fn built_in_process(self) -> Process {
        let (shortest_ms, longest_ms, concurrency) = match self {
            Self::TwoQueue => (1_000, 10_000, 1_000),
            Self::Realtime => (10, 10, 10),
            Self::OrderService => (5_000, 5_000, 100),
            Self::ApiV1 => (2_000, 2_000, 100),
            Self::OrdersApi => (1_000, 1_000, 100),
        };
        let work = Step {
            undo: None,
            name: "work".into(),
            kind: StepKind::Simulate(Simulate {
                shortest_us: shortest_ms * 1_000,
                longest_us: longest_ms * 1_000,
                is_per_priority: self == Self::Realtime,
                ..Simulate::default()
            }),
            concurrency: u32::MAX,
            retry: RetryPolicy::default(),
        };
        let mut steps = vec![work];
        if self == Self::Realtime {
            steps.push(Step {
                undo: None,
                name: "rules".into(),
                kind: StepKind::Rules(realtime_rules()),
                concurrency: u32::MAX,
                retry: RetryPolicy::default(),
            });
        }
        Process {
            name: self.name().into(),
            version: 0,
            concurrency,
            open_orders_max: 0,
            steps,
        }
    }
}

/// Limits that its door has too, and the labels that its clients know.
fn realtime_rules() -> Rules {
    let label = |label: &str, text: &str, when| LabelRule {
        label: label.into(),
        text: text.into(),
        when,
    };
    let dear = When {
        total_above_minor: Some(100_000),
        priority: None,
    };
    let fast = When {
        total_above_minor: None,
        priority: Some(Priority::High),
    };
    Rules {
        limits: Limits {
            total_max_minor: Some(1_000_000),
            items_max: Some(50),
            ..Limits::default()
        },
        labels: vec![
            label(
                "priority_processing",
                "Order marked for priority processing",
                dear,
            ),
            label("expedited", "Order expedited due to high priority", fast),
            label("processing", "Order processing completed", When::default()),
        ],
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;
    use crate::order::{Facts, Outcome};

    #[test]
    fn each_name_leads_back() {
        for dialect in Dialect::ALL {
            assert_eq!(Dialect::from_name(dialect.name()), Some(dialect));
            assert_eq!(&*dialect.built_in_process().name, dialect.name());
        }
        assert_eq!(Dialect::from_name("Api_V1"), None);
    }

    #[test]
    fn the_work_of_realtime_is_as_long_as_its_priority_says() {
        let process = Dialect::Realtime.built_in_process();
        let StepKind::Simulate(work) = &process.steps[0].kind else {
            panic!("the first step works");
        };
        let mut random = StdRng::seed_from_u64(1);
        let times = Priority::ALL.map(|priority| work.duration_us(priority, &mut random));
        assert_eq!(times, [10_000, 20_000, 30_000]);
    }

    #[test]
    fn realtime_labels_and_limits_orders() {
        let process = Dialect::Realtime.built_in_process();
        let StepKind::Rules(rules) = &process.steps[1].kind else {
            panic!("the second step has rules");
        };
        let said = |total_minor, item_count, priority| {
            let facts = Facts {
                total_minor,
                item_count,
                priority,
            };
            match rules.outcome(facts) {
                Outcome::Complete { output } => output.unwrap_or_default(),
                Outcome::Reject { reason } => reason,
                other => panic!("{other:?}"),
            }
        };
        let (high, low) = (Priority::High, Priority::Low);
        for (facts, expected) in [
            ((1_000_000, 50, low), "\"priority_processing\""),
            ((100_000, 50, high), "\"expedited\""),
            ((100_000, 1, low), "\"processing\""),
            ((1_000_001, 1, low), "order amount exceeds limit"),
            ((1, 51, high), "too many items in order"),
        ] {
            let said = said(facts.0, facts.1, facts.2);
            assert!(said.contains(expected), "{facts:?}: {said}");
        }
    }
}
