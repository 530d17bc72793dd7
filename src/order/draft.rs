//! An order as a client wrote it, and how strict the door is about it.
//!
//! Data, and what the two sets of rules differ in; `new_order` checks.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::new_order::is_longer_than;
use super::{HoldDraft, Item, Spelling};

/// Longest customer id or article, in characters.
pub const NAME_LENGTH_MAX: usize = 255;

/// An order as a client wrote it, in domain terms but not checked.
#[derive(Clone, Debug, Default)]
pub struct Draft<'a> {
    /// The client's own id, if it chose one.
    pub order_id: Option<Cow<'a, str>>,
    /// Who ordered.
    pub customer_id: Cow<'a, str>,
    /// What was ordered.
    pub items: Vec<Item<'a>>,
    /// Minor units of the total.
    pub total_minor: i64,
    /// ISO 4217 code of all money in the order.
    pub currency: Cow<'a, str>,
    /// 1 to 3; medium if absent.
    pub priority: Option<i64>,
    /// Name of the process; `default` if absent.
    pub process: Option<Cow<'a, str>>,
    /// Where to, as free text.
    pub address: Option<Cow<'a, str>>,
    /// Anything for people.
    pub notes: Option<Cow<'a, str>>,
    /// Anything for programs.
    pub metadata: Option<BTreeMap<Cow<'a, str>, Cow<'a, str>>>,
    /// RFC 3339 time before which no step starts.
    pub start_at: Option<Cow<'a, str>>,
    /// RFC 3339 time after which no first step starts.
    pub expires_at: Option<Cow<'a, str>>,
    /// Idempotency key of its own, in a batch.
    pub idempotency_key: Option<Cow<'a, str>>,
    /// Keeps its first step from starting.
    pub hold: Option<HoldDraft<'a>>,
    /// How its id is written if the client chose none.
    pub spelling: Spelling,
    /// How strict to be.
    pub rules: DraftRules,
}

/// How strict the door is about texts and items.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DraftRules {
    /// As the native API says.
    #[default]
    Native,
    /// As formats that are older than this server always were: an order may have no items, an item
    /// may be an empty text, and customer and items may have control characters, except U+0000.
    Dialect,
}

impl DraftRules {
    /// Fewest items of an order.
    pub(super) fn items_min(self) -> usize {
        match self {
            Self::Native => 1,
            Self::Dialect => 0,
        }
    }

    /// What is wrong with a customer id: a code, and a sentence for people.
    pub(super) fn name_fault(self, value: &str) -> Option<(&'static str, &'static str)> {
        if value.is_empty() || is_longer_than(value, NAME_LENGTH_MAX) {
            return Some(("invalid-length", "must have 1 to 255 characters"));
        }
        match self {
            Self::Native if value.chars().any(char::is_control) => {
                Some(("invalid-character", "must not have control characters"))
            }
            Self::Dialect if value.contains('\0') => {
                Some(("invalid-character", "must not have the character U+0000"))
            }
            _ => None,
        }
    }

    /// What is wrong with the text of an item.
    pub(super) fn item_fault(self, value: &str) -> Option<(&'static str, &'static str)> {
        if self == Self::Dialect && value.is_empty() {
            return None;
        }
        self.name_fault(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::order::{Line, NewOrder, OrderId, Process, Processes, WantedId};

    fn draft(
        customer: &'static str,
        items: Vec<Item<'static>>,
        rules: DraftRules,
    ) -> Draft<'static> {
        Draft {
            customer_id: customer.into(),
            items,
            total_minor: 500,
            currency: "USD".into(),
            rules,
            ..Draft::default()
        }
    }

    fn plain(texts: &[&'static str]) -> Vec<Item<'static>> {
        texts
            .iter()
            .map(|text| Item::Plain((*text).into()))
            .collect()
    }

    fn faults(draft: &Draft<'_>) -> Vec<(String, &'static str)> {
        let processes = Processes::new(vec![Process::built_in()], Vec::new()).unwrap();
        let checked = NewOrder::check(draft, &processes);
        let faults = checked.err().unwrap_or_default();
        faults
            .into_iter()
            .map(|fault| (fault.pointer, fault.code))
            .collect()
    }

    #[test]
    fn old_formats_may_send_no_items_empty_ones_and_control_characters() {
        let line = Line {
            sku: "".into(),
            quantity: 1,
            unit_price: None,
            amount: Some(500),
        };
        for (customer, items) in [
            ("a\tb", plain(&[])),
            ("a", plain(&["", "x\u{1b}[2J", "y\n"])),
            ("a", vec![Item::Line(line)]),
        ] {
            let lenient = draft(customer, items.clone(), DraftRules::Dialect);
            assert_eq!(faults(&lenient), []);
            assert_ne!(faults(&draft(customer, items, DraftRules::Native)), []);
        }
    }

    #[test]
    fn old_formats_are_held_to_everything_else() {
        let long = "x".repeat(256).leak();
        let at = |pointer: &str, code| vec![(pointer.to_owned(), code)];
        for (customer, items, expected) in [
            ("", plain(&[]), at("/customer_id", "invalid-length")),
            (&*long, plain(&[]), at("/customer_id", "invalid-length")),
            ("\0", plain(&[]), at("/customer_id", "invalid-character")),
            (
                "a",
                plain(&["b", "\0"]),
                at("/items/1", "invalid-character"),
            ),
            ("a", plain(&[long]), at("/items/0", "invalid-length")),
            ("a", plain(&["b"; 1_001]), at("/items", "invalid-length")),
        ] {
            assert_eq!(
                faults(&draft(customer, items, DraftRules::Dialect)),
                expected
            );
        }
    }

    #[test]
    fn an_order_wants_the_clients_id_or_one_in_the_drafts_spelling() {
        let processes = Processes::new(vec![Process::built_in()], Vec::new()).unwrap();
        let mut wanted = draft("a", plain(&["b"]), DraftRules::Native);
        wanted.spelling = Spelling::Ord;
        let made = NewOrder::check(&wanted, &processes).unwrap().id;
        assert_eq!(made, WantedId::Made(Spelling::Ord));
        wanted.order_id = Some("A-1".into());
        let chosen = NewOrder::check(&wanted, &processes).unwrap().id;
        assert_eq!(chosen, WantedId::Chosen(OrderId::parse("A-1").unwrap()));
    }
}
