//! The sample data that came with two older order services, row by row.
//! Data; how it gets into a server is written beside it.

use crate::order::Dialect;

/// A row of sample data.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// The order's id.
    pub id: &'static str,
    /// Who ordered.
    pub customer: &'static str,
    /// What was ordered.
    pub items: &'static [&'static str],
    /// The amount in cents.
    pub cents: i64,
    /// How far it has come.
    pub state: State,
}

/// How far a row of sample data has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It is still to be worked off, or was being worked off.
    Open,
    /// It was completed just now, after this many milliseconds.
    CompletedAfter(i64),
    /// It was completed from one time to another, in RFC 3339.
    Completed(&'static str, &'static str),
}

use self::State::{Completed, CompletedAfter, Open};

/// The rows of a dialect; none if its service came without.
pub fn of(dialect: Dialect) -> &'static [Sample] {
    match dialect {
        Dialect::ApiV1 => &API_V1,
        Dialect::OrdersApi => &ORDERS_API,
        Dialect::TwoQueue | Dialect::Realtime | Dialect::OrderService => &[],
    }
}

const fn row(
    id: &'static str,
    customer: &'static str,
    items: &'static [&'static str],
    cents: i64,
    state: State,
) -> Sample {
    Sample {
        id,
        customer,
        items,
        cents,
        state,
    }
}

const API_V1: [Sample; 5] = [
    row("ORD111", "101", &["1", "2", "3"], 4_999, Open),
    row("ORD112", "102", &["4", "5"], 2_999, Open),
    row(
        "ORD113",
        "103",
        &["6", "7", "8"],
        9_999,
        CompletedAfter(2_500),
    ),
    row("ORD114", "104", &["9", "10"], 5_999, Open),
    row(
        "ORD115",
        "105",
        &["11", "12", "13"],
        7_999,
        CompletedAfter(3_100),
    ),
];

const ORDERS_API: [Sample; 10] = [
    row("order001", "user001", &["item1"], 5_000, Open),
    row(
        "order002",
        "user002",
        &["item2", "item3"],
        12_050,
        Completed("2025-02-25T12:29:59Z", "2025-02-25T12:30:00Z"),
    ),
    row("order003", "user003", &["item4"], 8_099, Open),
    row(
        "order004",
        "user004",
        &["item5", "item6"],
        20_000,
        Completed("2025-02-28T14:44:59Z", "2025-02-28T14:45:00Z"),
    ),
    row("order005", "user005", &["item7"], 9_999, Open),
    row(
        "order006",
        "user006",
        &["item8", "item9"],
        15_000,
        Completed("2025-02-27T09:14:59Z", "2025-02-27T09:15:00Z"),
    ),
    row("order007", "user007", &["item10"], 6_000, Open),
    row("order008", "user008", &["item11", "item12"], 7_525, Open),
    row(
        "order009",
        "user009",
        &["item13"],
        14_550,
        Completed("2025-02-26T15:59:59Z", "2025-02-26T16:00:00Z"),
    ),
    row("order010", "user010", &["item14", "item15"], 9_900, Open),
];
