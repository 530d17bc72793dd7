//! The texts of the columns that stand beside an order's state: its hold, and what is remembered of
//! its steps. Between JSON and domain types, the same for every backend.

use std::borrow::Cow;

use serde::de::Error;
use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::order::{Hold, Marks, Target};

/// A hold as it stands in its column.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct HoldText<'a> {
    #[serde(borrow)]
    reason: Cow<'a, str>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    by: Option<Cow<'a, str>>,
    since: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<i64>,
}

/// The text of the column with a hold.
pub(super) fn hold_text(hold: &Hold) -> String {
    let text = HoldText {
        reason: Cow::Borrowed(&hold.reason),
        by: hold.by.as_deref().map(Cow::Borrowed),
        since: hold.since.0,
        until: hold.until.map(|until| until.0),
    };
    // Texts and numbers always have a JSON form.
    serde_json::to_string(&text).unwrap_or_default()
}

/// What is remembered of an order's steps, as it stands in its column: places of steps.
#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct MarksText {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    signalled: Vec<u8>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    begun: Vec<u8>,
    /// Number of the status that the order will have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    undoing: Option<u8>,
}

/// The text of the column with what is remembered of an order's steps, if there is anything.
pub(super) fn marks_text(marks: &Marks) -> Option<String> {
    let text = MarksText {
        signalled: marks.signalled.iter().collect(),
        begun: marks.begun.iter().collect(),
        undoing: marks.undoing.map(|target| target.kind().number()),
    };
    // Numbers always have a JSON form.
    (!marks.is_empty()).then(|| serde_json::to_string(&text).unwrap_or_default())
}

/// The hold in the text of its column.
pub(super) fn hold(text: &str) -> serde_json::Result<Hold> {
    let hold: HoldText<'_> = serde_json::from_str(text)?;
    Ok(Hold {
        reason: hold.reason.into(),
        by: hold.by.map(Box::from),
        since: Timestamp(hold.since),
        until: hold.until.map(Timestamp),
    })
}

/// What the text of the column says of the steps.
pub(super) fn marks(text: &str) -> serde_json::Result<Marks> {
    let marks: MarksText = serde_json::from_str(text)?;
    let target = |number: u8| {
        let mut all = Target::ALL.into_iter();
        let known = all.find(|target| target.kind().number() == number);
        known.ok_or_else(|| serde_json::Error::custom(format!("undoing is {number}")))
    };
    Ok(Marks {
        signalled: marks.signalled.into_iter().collect(),
        begun: marks.begun.into_iter().collect(),
        undoing: marks.undoing.map(target).transpose()?,
    })
}
