//! Rules: a built-in kind of step that looks at an order, refuses it over a limit, or labels it.
//!
//! Pure: what is looked at goes in, the outcome comes out. It takes no time and never fails.

use serde::{Deserialize, Serialize};

use super::{Outcome, Priority};

/// Limits, then labels.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rules {
    /// What an order must not be above.
    pub limits: Limits,
    /// The first one that fits is the step's output. None fits: there is no output.
    pub labels: Vec<LabelRule>,
}

/// What an order must not be above; it is rejected if it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Highest total that passes, in minor units of whatever currency the order has.
    pub total_max_minor: Option<i64>,
    /// Why an order with a higher one is rejected, for people.
    pub total_text: Box<str>,
    /// Most items that pass.
    pub items_max: Option<u16>,
    /// Why an order with more is rejected, for people.
    pub items_text: Box<str>,
}

impl Default for Limits {
    /// No limits.
    fn default() -> Self {
        Self {
            total_max_minor: None,
            total_text: "order amount exceeds limit".into(),
            items_max: None,
            items_text: "too many items in order".into(),
        }
    }
}

/// A label, and which orders get it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LabelRule {
    /// A word for programs.
    pub label: Box<str>,
    /// A sentence for people.
    pub text: Box<str>,
    /// Which orders.
    pub when: When,
}

/// Which orders a label fits: those for which all that is given is true. Nothing given: all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct When {
    /// The total is higher than this, in minor units of whatever currency the order has.
    pub total_above_minor: Option<i64>,
    /// The order has this priority.
    pub priority: Option<Priority>,
}

/// What rules look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// The total in minor units.
    pub total_minor: i64,
    /// How many items.
    pub item_count: u16,
    /// Its priority.
    pub priority: Priority,
}

/// The output of a step with rules.
#[derive(Serialize)]
struct Label<'a> {
    label: &'a str,
    text: &'a str,
}

impl Rules {
    /// Rejects an order that is above a limit, or completes with its label.
    pub fn outcome(&self, facts: Facts) -> Outcome {
        let Limits {
            total_max_minor,
            items_max,
            ..
        } = self.limits;
        if total_max_minor.is_some_and(|max| facts.total_minor > max) {
            let reason = self.limits.total_text.clone();
            return Outcome::Reject { reason };
        }
        if items_max.is_some_and(|max| facts.item_count > max) {
            let reason = self.limits.items_text.clone();
            return Outcome::Reject { reason };
        }
        let rule = self.labels.iter().find(|rule| rule.when.fits(facts));
        let output = rule.and_then(|LabelRule { label, text, .. }| {
            // Two texts always have a JSON form.
            serde_json::to_string(&Label { label, text }).ok()
        });
        Outcome::Complete {
            output: output.map(String::into_boxed_str),
        }
    }
}

impl When {
    fn fits(self, facts: Facts) -> bool {
        self.total_above_minor
            .is_none_or(|total| facts.total_minor > total)
            && self.priority.is_none_or(|it| it == facts.priority)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn label(label: &str, total_above_minor: Option<i64>, priority: Option<Priority>) -> LabelRule {
        LabelRule {
            label: label.into(),
            text: format!("is \"{label}\"").into(),
            when: When {
                total_above_minor,
                priority,
            },
        }
    }

    fn rules() -> Rules {
        Rules {
            limits: Limits {
                total_max_minor: Some(1_000_000),
                items_max: Some(50),
                ..Limits::default()
            },
            labels: vec![
                label("dear", Some(100_000), None),
                label("fast", None, Some(Priority::High)),
                label("usual", None, None),
            ],
        }
    }

    fn outcome(total_minor: i64, item_count: u16, priority: Priority) -> Outcome {
        rules().outcome(Facts {
            total_minor,
            item_count,
            priority,
        })
    }

    #[test]
    fn a_limit_itself_passes_and_one_more_does_not() {
        let rejected = |reason: &str| Outcome::Reject {
            reason: reason.into(),
        };
        let is_complete = |it| matches!(it, Outcome::Complete { output: Some(_) });
        assert!(is_complete(outcome(1_000_000, 50, Priority::Low)));
        let dear = "order amount exceeds limit";
        assert_eq!(outcome(1_000_001, 50, Priority::Low), rejected(dear));
        let many = "too many items in order";
        assert_eq!(outcome(1_000_000, 51, Priority::Low), rejected(many));
        assert_eq!(outcome(1_000_001, 51, Priority::Low), rejected(dear));
    }

    #[test]
    fn the_first_label_that_fits_is_the_output() {
        for (total, priority, expected) in [
            (100_001, Priority::High, "dear"),
            (100_000, Priority::High, "fast"),
            (100_000, Priority::Medium, "usual"),
            (0, Priority::Low, "usual"),
        ] {
            let text = format!(r#"{{"label":"{expected}","text":"is \"{expected}\""}}"#);
            let output = Some(text.into_boxed_str());
            assert_eq!(outcome(total, 0, priority), Outcome::Complete { output });
        }
    }

    #[test]
    fn without_limits_and_labels_everything_passes_without_an_output() {
        let facts = Facts {
            total_minor: i64::MAX,
            item_count: u16::MAX,
            priority: Priority::Low,
        };
        let passed = Outcome::Complete { output: None };
        assert_eq!(Rules::default().outcome(facts), passed);
    }
}
