//! Priority of an order: 1 is high and runs first.
//!
//! A priority is a head start in the queue, not a separate queue: see `shard::ready`.

use serde::{Deserialize, Serialize};

/// Priority of an order: 1 (high) runs first, 2 (medium) is the default, 3 (low).
///
/// Counted as Oban and River count it; some other systems count the opposite way.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(try_from = "i64", into = "u8")]
pub enum Priority {
    /// 1: runs first.
    High = 1,
    /// 2: the default.
    #[default]
    Medium = 2,
    /// 3: starts at the latest when it is its whole allowance older than a fresh high order.
    Low = 3,
}

impl Priority {
    /// All priorities, high to low.
    pub const ALL: [Self; 3] = [Self::High, Self::Medium, Self::Low];

    /// The priority with this number, 1 to 3.
    pub fn from_number(number: i64) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|priority| i64::from(priority.number()) == number)
    }

    /// 1, 2 or 3.
    pub fn number(self) -> u8 {
        self as u8
    }

    /// 0, 1 or 2: the place in a table by priority.
    pub fn index(self) -> usize {
        self as usize - 1
    }
}

impl From<Priority> for u8 {
    fn from(priority: Priority) -> Self {
        priority.number()
    }
}

impl TryFrom<i64> for Priority {
    type Error = &'static str;

    fn try_from(number: i64) -> Result<Self, Self::Error> {
        Self::from_number(number).ok_or("a priority is 1, 2 or 3")
    }
}
