//! The stable words for what is wrong with one field. What they mean is told to people and put
//! into the OpenAPI document.

/// Codes of single faults inside `errors`, and what they mean.
pub const FIELD_CODES: &[(&str, &str)] = &[
    (
        "wrong-type",
        "The field has another JSON type than it must have.",
    ),
    (
        "missing-field",
        "A field that every order has is not there.",
    ),
    (
        "unknown-field",
        "There is no such field; perhaps its name is misspelt.",
    ),
    ("duplicate-field", "The field is there twice."),
    (
        "out-of-range",
        "The number or time is outside of what is allowed.",
    ),
    (
        "invalid-length",
        "The text or list is too short or too long.",
    ),
    (
        "invalid-character",
        "The text has a character that is not allowed.",
    ),
    (
        "invalid-money",
        "An amount of money is a whole number of minor units: 9999 is 99.99 USD. Never rounded.",
    ),
    ("invalid-time", "The time is not RFC 3339 with an offset."),
    (
        "unknown-currency",
        "The currency is not an ISO 4217 code in capitals.",
    ),
    ("unknown-process", "The server has no process of this name."),
    (
        "unknown-status",
        "An order comes in as completed or cancelled, or without a status.",
    ),
    (
        "invalid-url",
        "The URL cannot be called: it is not http or https, or has more in it than a call can use.",
    ),
    ("unknown-type", "There is no such type of event."),
    (
        "invalid-fence",
        "The fence was not given for this step of this order.",
    ),
    (
        "sum-mismatch",
        "All lines are priced, and they do not add up to the total.",
    ),
];
