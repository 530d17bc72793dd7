//! The door: what a client sent becomes a `NewOrder`, or a list of faults.
//!
//! A `NewOrder` cannot be built invalid, so nothing below checks it again. All faults are found at
//! once, each with a JSON pointer to the field. Nothing here knows about HTTP.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Serialize;

use super::{
    Currency, Draft, DraftRules, Item, Line, Money, NewHold, OrderId, OrderIdError, Past, Priority,
    ProcessIndex, Processes, RequestKey, WantedId,
};
use crate::clock::Timestamp;

/// Most items of an order.
pub const ITEMS_MAX: usize = 1_000;
/// Longest address, in characters.
pub const ADDRESS_LENGTH_MAX: usize = 1_024;
/// Longest notes, in characters.
pub const NOTES_LENGTH_MAX: usize = 8_192;
/// Most metadata entries.
pub const METADATA_ENTRIES_MAX: usize = 50;
/// Longest metadata key, in characters.
pub const METADATA_KEY_LENGTH_MAX: usize = 64;
/// Longest metadata value, in characters.
pub const METADATA_VALUE_LENGTH_MAX: usize = 1_024;

/// A checked order that nobody has accepted yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewOrder {
    /// The client's own id, or how to write one that is made.
    pub id: WantedId,
    /// Idempotency key that came with the order itself.
    pub idempotency_key: Option<Box<str>>,
    /// Who ordered: 1 to 255 characters; no control characters under the native rules, and never
    /// U+0000.
    pub customer_id: Box<str>,
    /// What it costs.
    pub total: Money,
    /// How many items it has, 0 to 1,000.
    pub item_count: u16,
    /// Its head start.
    pub priority: Priority,
    /// What will be done with it.
    pub process: ProcessIndex,
    /// A JSON object with `items` and, if given, `address`, `notes` and `metadata`.
    pub payload: Box<str>,
    /// No step starts before.
    pub start_at: Option<Timestamp>,
    /// No first step starts after; later than `start_at`.
    pub expires_at: Option<Timestamp>,
    /// Keeps its first step from starting.
    pub hold: Option<Box<NewHold>>,
    /// It was finished elsewhere, like this; then nothing is done with it.
    pub past: Option<Box<Past>>,
}

/// One thing that is wrong with an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// JSON pointer (RFC 6901) to the field.
    pub pointer: String,
    /// A stable word, listed in `docs/errors.md`.
    pub code: &'static str,
    /// A sentence for people.
    pub detail: String,
}

impl Fault {
    /// A fault at `pointer`.
    pub fn new(pointer: impl Into<String>, code: &'static str, detail: impl Into<String>) -> Self {
        Self {
            pointer: pointer.into(),
            code,
            detail: detail.into(),
        }
    }
}

#[derive(Serialize)]
struct Payload<'a> {
    items: &'a [Item<'a>],
    #[serde(skip_serializing_if = "Option::is_none")]
    address: &'a Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    notes: &'a Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: &'a Option<BTreeMap<Cow<'a, str>, Cow<'a, str>>>,
}

impl NewOrder {
    /// Checks a draft against every rule of an order, and finds its process.
    ///
    /// Fails with all faults, in the order of the fields.
    pub fn check(draft: &Draft<'_>, processes: &Processes) -> Result<Self, Vec<Fault>> {
        let mut faults = Vec::new();
        let id = order_id(draft, &mut faults);
        let idempotency_key = idempotency_key(draft, &mut faults);
        if let Some((code, detail)) = draft.rules.name_fault(&draft.customer_id) {
            faults.push(Fault::new("/customer_id", code, detail));
        }
        let total = money(draft, &mut faults);
        items(draft, total, &mut faults);
        let priority = priority(draft, &mut faults);
        let process = process(draft, processes, &mut faults);
        text(
            "/address",
            draft.address.as_deref(),
            ADDRESS_LENGTH_MAX,
            &mut faults,
        );
        text(
            "/notes",
            draft.notes.as_deref(),
            NOTES_LENGTH_MAX,
            &mut faults,
        );
        metadata(draft, &mut faults);
        let start_at = time("/start_at", draft.start_at.as_deref(), &mut faults);
        let expires_at = time("/expires_at", draft.expires_at.as_deref(), &mut faults);
        if let (Some(start), Some(end)) = (start_at, expires_at)
            && end <= start
        {
            let detail = "expires_at must be later than start_at";
            faults.push(Fault::new("/expires_at", "out-of-range", detail));
        }
        let hold = hold(draft, &mut faults);
        let (Some(total), Some(process), true) = (total, process, faults.is_empty()) else {
            return Err(faults);
        };
        let customer_id = draft.customer_id.as_ref().into();
        let payload = payload(draft);
        // At most `ITEMS_MAX`, or there would be a fault.
        let item_count = draft.items.len() as u16;
        Ok(Self {
            id,
            idempotency_key,
            customer_id,
            total,
            item_count,
            priority,
            process,
            payload,
            start_at,
            expires_at,
            hold,
            past: None,
        })
    }
}

fn payload(draft: &Draft<'_>) -> Box<str> {
    let Draft {
        items,
        address,
        notes,
        metadata,
        ..
    } = draft;
    let json = serde_json::to_string(&Payload {
        items,
        address,
        notes,
        metadata,
    });
    // Texts, integers and string maps always have a JSON form, and writing to memory does not fail.
    json.unwrap_or_default().into_boxed_str()
}

fn idempotency_key(draft: &Draft<'_>, faults: &mut Vec<Fault>) -> Option<Box<str>> {
    let key = draft.idempotency_key.as_deref()?;
    if let Err(error) = RequestKey::new("", key.as_bytes(), [0; 32]) {
        let (pointer, code) = ("/idempotency_key", "invalid-character");
        faults.push(Fault::new(pointer, code, error.to_string()));
    }
    Some(key.into())
}

fn order_id(draft: &Draft<'_>, faults: &mut Vec<Fault>) -> WantedId {
    let made = WantedId::Made(draft.spelling);
    let Some(text) = draft.order_id.as_deref() else {
        return made;
    };
    match OrderId::parse(text) {
        Ok(id) => WantedId::Chosen(id),
        Err(error) => {
            let code = match error {
                OrderIdError::Length => "invalid-length",
                OrderIdError::Character | OrderIdError::Dots => "invalid-character",
            };
            faults.push(Fault::new("/order_id", code, error.to_string()));
            made
        }
    }
}

pub(super) fn is_longer_than(value: &str, characters: usize) -> bool {
    value.len() > characters && value.chars().count() > characters
}

fn text(pointer: &str, value: Option<&str>, length_max: usize, faults: &mut Vec<Fault>) {
    let Some(value) = value else { return };
    if is_longer_than(value, length_max) {
        let detail = format!("must have at most {length_max} characters");
        faults.push(Fault::new(pointer, "invalid-length", detail));
    }
    if value.contains('\0') {
        faults.push(Fault::new(
            pointer,
            "invalid-character",
            "must not have the character U+0000",
        ));
    }
}

fn money(draft: &Draft<'_>, faults: &mut Vec<Fault>) -> Option<Money> {
    let currency = Currency::from_code(&draft.currency);
    if currency.is_none() {
        let detail = "must be an ISO 4217 code in capitals, such as USD";
        faults.push(Fault::new("/total/currency", "unknown-currency", detail));
    }
    if draft.total_minor < 0 {
        faults.push(Fault::new(
            "/total/amount",
            "out-of-range",
            "must not be negative",
        ));
    }
    Money::new(draft.total_minor, currency?).ok()
}

fn items(draft: &Draft<'_>, total: Option<Money>, faults: &mut Vec<Fault>) {
    let count = draft.items.len();
    let count_min = draft.rules.items_min();
    if !(count_min..=ITEMS_MAX).contains(&count) {
        let has = if count == 0 { "none" } else { "more" };
        let detail = format!("an order has {count_min} to {ITEMS_MAX} items, this one has {has}");
        faults.push(Fault::new("/items", "invalid-length", detail));
        return;
    }
    let before = faults.len();
    for (at, item) in draft.items.iter().enumerate() {
        match item {
            Item::Plain(value) => {
                if let Some((code, detail)) = draft.rules.item_fault(value) {
                    faults.push(Fault::new(format!("/items/{at}"), code, detail));
                }
            }
            Item::Line(value) => line(at, value, draft.rules, faults),
        }
    }
    if let (Some(total), true, 1..) = (total, faults.len() == before, count) {
        sum(&draft.items, total, faults);
    }
}

fn line(at: usize, line: &Line<'_>, rules: DraftRules, faults: &mut Vec<Fault>) {
    if let Some((code, detail)) = rules.item_fault(&line.sku) {
        faults.push(Fault::new(format!("/items/{at}/sku"), code, detail));
    }
    if line.quantity < 1 {
        let detail = format!("must be at least 1, is {}", line.quantity);
        faults.push(Fault::new(
            format!("/items/{at}/quantity"),
            "out-of-range",
            detail,
        ));
    }
    for (field, value) in [("unit_price", line.unit_price), ("amount", line.amount)] {
        if value.is_some_and(|value| value < 0) {
            let pointer = format!("/items/{at}/{field}");
            faults.push(Fault::new(pointer, "out-of-range", "must not be negative"));
        }
    }
    if line.is_priced() && line.price().is_none() {
        let detail = "unit_price times quantity is beyond 9,223,372,036,854,775,807";
        faults.push(Fault::new(
            format!("/items/{at}/unit_price"),
            "out-of-range",
            detail,
        ));
    }
}

/// If every line is priced, they add up to the total.
fn sum(items: &[Item<'_>], total: Money, faults: &mut Vec<Fault>) {
    let prices = items.iter().map(|item| match item {
        Item::Line(line) if line.is_priced() => line.price().map(i128::from),
        _ => None,
    });
    let Some(sum) = prices.sum::<Option<i128>>() else {
        return;
    };
    if sum != i128::from(total.minor()) {
        let detail = format!("is {}, but the items add up to {sum}", total.minor());
        faults.push(Fault::new("/total/amount", "sum-mismatch", detail));
    }
}

fn priority(draft: &Draft<'_>, faults: &mut Vec<Fault>) -> Priority {
    let Some(number) = draft.priority else {
        return Priority::default();
    };
    Priority::from_number(number).unwrap_or_else(|| {
        let detail = format!("must be 1 (high), 2 (medium) or 3 (low), is {number}");
        faults.push(Fault::new("/priority", "out-of-range", detail));
        Priority::default()
    })
}

fn process(
    draft: &Draft<'_>,
    processes: &Processes,
    faults: &mut Vec<Fault>,
) -> Option<ProcessIndex> {
    let name = draft.process.as_deref().unwrap_or(super::DEFAULT_PROCESS);
    let found = processes.find(name);
    if found.is_none() {
        let names: Vec<_> = processes
            .current()
            .iter()
            .map(|process| &*process.name)
            .collect();
        let detail = format!("no such process; there are: {}", names.join(", "));
        faults.push(Fault::new("/process", "unknown-process", detail));
    }
    found
}

fn metadata(draft: &Draft<'_>, faults: &mut Vec<Fault>) {
    let Some(entries) = &draft.metadata else {
        return;
    };
    if entries.len() > METADATA_ENTRIES_MAX {
        let detail = format!("must have at most {METADATA_ENTRIES_MAX} entries");
        faults.push(Fault::new("/metadata", "invalid-length", detail));
    }
    for (key, value) in entries {
        let pointer = || format!("/metadata/{}", key.replace('~', "~0").replace('/', "~1"));
        if key.is_empty() || is_longer_than(key, METADATA_KEY_LENGTH_MAX) || key.contains('\0') {
            let detail = format!("a key has 1 to {METADATA_KEY_LENGTH_MAX} characters");
            faults.push(Fault::new("/metadata", "invalid-length", detail));
        }
        if is_longer_than(value, METADATA_VALUE_LENGTH_MAX) || value.contains('\0') {
            let detail = format!("must have at most {METADATA_VALUE_LENGTH_MAX} characters");
            faults.push(Fault::new(pointer(), "invalid-length", detail));
        }
    }
}

fn hold(draft: &Draft<'_>, faults: &mut Vec<Fault>) -> Option<Box<NewHold>> {
    match NewHold::check(draft.hold.as_ref()?) {
        Ok(hold) => Some(Box::new(hold)),
        Err(found) => {
            faults.extend(found.into_iter().map(|fault| Fault {
                pointer: format!("/hold{}", fault.pointer),
                ..fault
            }));
            None
        }
    }
}

pub(super) fn time(
    pointer: &str,
    value: Option<&str>,
    faults: &mut Vec<Fault>,
) -> Option<Timestamp> {
    let parsed = Timestamp::parse_rfc3339(value?);
    if parsed.is_none() {
        faults.push(Fault::new(pointer, "invalid-time", Timestamp::FORM));
    }
    parsed
}
