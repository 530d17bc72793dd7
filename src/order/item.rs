//! The lines of an order.
//!
//! An item is kept and given back as it was sent; only its numbers are looked at, to check that
//! they add up.

use std::borrow::Cow;

use serde::Serialize;

/// One line: priced goods, or just a text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Item<'a> {
    /// A plain text, such as an article number; it has no price and counts as one piece.
    Plain(Cow<'a, str>),
    /// An article with a quantity and perhaps a price.
    Line(Line<'a>),
}

/// An article with a quantity and perhaps a price.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Line<'a> {
    /// The article, 1 to 255 characters.
    pub sku: Cow<'a, str>,
    /// How many, from 1.
    pub quantity: i64,
    /// Price of one, in minor units of the order's currency, from 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit_price: Option<i64>,
    /// The line's total after discounts, in minor units, from 0. Wins over `unit_price` ×
    /// `quantity`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub amount: Option<i64>,
}

impl Line<'_> {
    /// What the line costs, in minor units; `None` if it has no price, or one beyond `i64`.
    pub fn price(&self) -> Option<i64> {
        self.amount
            .or_else(|| self.unit_price?.checked_mul(self.quantity))
    }

    /// Whether the line says what it costs.
    pub fn is_priced(&self) -> bool {
        self.amount.is_some() || self.unit_price.is_some()
    }
}
