//! Which rates are compared with which: the lines of the first table, with the goals.
//!
//! Data only.

/// One line of the first table: what is compared with what, and the least ratio it should have.
pub struct Comparison {
    /// What it is called.
    pub name: &'static str,
    /// Measurement and side whose rate is compared.
    pub of: (&'static str, &'static str),
    /// With this one.
    pub to: (&'static str, &'static str),
    /// The least ratio, or nothing.
    pub goal: &'static str,
}

/// All of them, in the order of the table.
pub const COMPARISONS: [Comparison; 16] = [
    Comparison {
        name: "accept to floor",
        of: ("accept", "orderd"),
        to: ("accept", "floor"),
        goal: "0.70",
    },
    Comparison {
        name: "accept to completed, to floor",
        of: ("completed", "orderd"),
        to: ("completed", "floor"),
        goal: "0.60",
    },
    Comparison {
        name: "batch of 100, to single accept",
        of: ("batch", "orderd"),
        to: ("batch", "single"),
        goal: "3.5",
    },
    Comparison {
        name: "batch of 100, to floor",
        of: ("batch", "orderd"),
        to: ("batch", "floor"),
        goal: "",
    },
    Comparison {
        name: "accept beside five dialects, to without",
        of: ("dialects", "orderd"),
        to: ("dialects", "alone"),
        goal: "0.97",
    },
    Comparison {
        name: "accept under keys, to without",
        of: ("keys", "orderd"),
        to: ("keys", "without"),
        goal: "0.80",
    },
    Comparison {
        name: "reads while writing, to floor",
        of: ("reads", "orderd"),
        to: ("reads", "floor"),
        goal: "0.60",
    },
    Comparison {
        name: "accept with history, to empty store",
        of: ("stored", "full"),
        to: ("stored", "empty"),
        goal: "0.85",
    },
    Comparison {
        name: "accept on 5,000 connections, to 256",
        of: ("connections", "orderd"),
        to: ("connections", "256"),
        goal: "0.80",
    },
    Comparison {
        name: "on PostgreSQL: accept, to floor",
        of: ("postgres", "accept"),
        to: ("postgres", "floor"),
        goal: "",
    },
    Comparison {
        name: "on PostgreSQL: accept to completed, to floor",
        of: ("postgres", "completed"),
        to: ("postgres", "floor"),
        goal: "0.25",
    },
    Comparison {
        name: "on PostgreSQL: batch of 100, to single accept",
        of: ("postgres", "batch"),
        to: ("postgres", "accept"),
        goal: "",
    },
    Comparison {
        name: "on MariaDB: accept, to floor",
        of: ("mysql", "accept"),
        to: ("mysql", "floor"),
        goal: "",
    },
    Comparison {
        name: "on MariaDB: accept to completed, to floor",
        of: ("mysql", "completed"),
        to: ("mysql", "floor"),
        goal: "0.15",
    },
    Comparison {
        name: "on MariaDB: batch of 100, to single accept",
        of: ("mysql", "batch"),
        to: ("mysql", "accept"),
        goal: "",
    },
    Comparison {
        name: "accept to that of another build",
        of: ("against", "orderd"),
        to: ("against", "another"),
        goal: "",
    },
];
