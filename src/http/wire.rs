//! An order as it comes over the wire, borrowed from the bytes of the body.
//!
//! The good way is one pass of the JSON reader straight into these structs. Only if that fails does
//! `diagnosis` look for what to tell the client. Rules of orders are not checked here: `NewOrder`
//! does that.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::diagnosis;
use super::error::ApiError;
use crate::order::{Draft, HoldDraft, ITEMS_MAX, Item, Line, NewOrder, Processes};

/// Marks a message that carries its own code before a colon; see [`diagnosis`].
pub(super) const CODED: &str = "orderd/";

/// The body of a create.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OrderBody<'a> {
    #[serde(borrow, default)]
    order_id: Option<Text<'a>>,
    #[serde(borrow)]
    customer_id: Text<'a>,
    #[serde(borrow)]
    items: Items<'a>,
    #[serde(borrow)]
    total: Object<Total<'a>>,
    #[serde(default)]
    priority: Option<Count>,
    #[serde(borrow, default)]
    process: Option<Text<'a>>,
    #[serde(borrow, default)]
    address: Option<Text<'a>>,
    #[serde(borrow, default)]
    notes: Option<Text<'a>>,
    #[serde(borrow, default)]
    metadata: Option<Metadata<'a>>,
    #[serde(borrow, default)]
    start_at: Option<Text<'a>>,
    #[serde(borrow, default)]
    expires_at: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(super) idempotency_key: Option<Text<'a>>,
    #[serde(borrow, default)]
    hold: Option<Object<HoldBody<'a>>>,
}

/// The body of a hold, or the hold of a new order.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HoldBody<'a> {
    #[serde(borrow)]
    reason: Text<'a>,
    #[serde(borrow, default)]
    by: Option<Text<'a>>,
    #[serde(borrow, default)]
    until: Option<Text<'a>>,
}

#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Total<'a> {
    amount: Minor,
    #[serde(borrow)]
    currency: Text<'a>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct WireLine<'a> {
    #[serde(borrow)]
    sku: Text<'a>,
    quantity: Count,
    #[serde(default)]
    unit_price: Option<Minor>,
    #[serde(default)]
    amount: Option<Minor>,
}

/// What has fields is an object. What serde derives would take an array of the values too.
#[derive(Debug)]
pub struct Object<T>(pub T);

pub(super) trait Fields {
    /// What an object of this type is, in words.
    const EXPECTING: &'static str;
}

impl Fields for OrderBody<'_> {
    const EXPECTING: &'static str = "an order: an object with customer_id, items and total";
}

impl Fields for Total<'_> {
    const EXPECTING: &'static str =
        "an object with amount and currency, such as {\"amount\":9999,\"currency\":\"USD\"}";
}

impl Fields for HoldBody<'_> {
    const EXPECTING: &'static str = "a hold: an object with reason and perhaps by and until";
}

impl<'a> HoldBody<'a> {
    /// The same in domain terms, not checked.
    pub(super) fn into_draft(self) -> HoldDraft<'a> {
        HoldDraft {
            reason: self.reason.0,
            by: self.by.map(|text| text.0),
            until: self.until.map(|text| text.0),
        }
    }
}

struct ObjectVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de> + Fields> Visitor<'de> for ObjectVisitor<T> {
    type Value = Object<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(T::EXPECTING)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Object<T>, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(Object)
    }
}

impl<'de, T: Deserialize<'de> + Fields> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ObjectVisitor(PhantomData))
    }
}

/// Reads one order. All that can be wrong with it is in the error, which is always about the
/// client's bytes.
pub fn order(body: &[u8], processes: &Processes) -> Result<NewOrder, ApiError> {
    let Object::<OrderBody<'_>>(draft) =
        serde_json::from_slice(body).map_err(|_| diagnosis::of_order(body))?;
    NewOrder::check(&draft.into_draft(), processes).map_err(ApiError::invalid_order)
}

impl<'a> OrderBody<'a> {
    /// The same in domain terms, not checked.
    pub fn into_draft(self) -> Draft<'a> {
        let text = |value: Option<Text<'a>>| value.map(|text| text.0);
        Draft {
            order_id: text(self.order_id),
            customer_id: self.customer_id.0,
            items: self.items.0,
            total_minor: self.total.0.amount.0,
            currency: self.total.0.currency.0,
            priority: self.priority.map(|count| count.0),
            process: text(self.process),
            address: text(self.address),
            notes: text(self.notes),
            metadata: self.metadata.map(|metadata| metadata.0),
            start_at: text(self.start_at),
            expires_at: text(self.expires_at),
            idempotency_key: text(self.idempotency_key),
            hold: self.hold.map(|Object(hold)| hold.into_draft()),
            ..Draft::default()
        }
    }
}

/// A JSON string; borrowed unless it has escapes.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Text<'a>(pub(super) Cow<'a, str>);

/// A whole number, such as a quantity.
#[derive(Debug)]
pub(super) struct Count(pub(super) i64);

/// An amount of money in minor units: a JSON integer, never a float.
#[derive(Debug)]
struct Minor(i64);

#[derive(Debug)]
struct Items<'a>(Vec<Item<'a>>);

#[derive(Debug)]
struct Metadata<'a>(BTreeMap<Cow<'a, str>, Cow<'a, str>>);

struct TextVisitor;

impl<'de> Visitor<'de> for TextVisitor {
    type Value = Text<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_borrowed_str<E: Error>(self, value: &'de str) -> Result<Text<'de>, E> {
        Ok(Text(Cow::Borrowed(value)))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Text<'de>, E> {
        Ok(Text(Cow::Owned(value.to_owned())))
    }

    fn visit_string<E: Error>(self, value: String) -> Result<Text<'de>, E> {
        Ok(Text(Cow::Owned(value)))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(TextVisitor)
    }
}

/// Takes JSON integers within `i64` only. `fraction` is the code for a number that is not whole.
struct WholeVisitor {
    expecting: &'static str,
    fraction: &'static str,
}

impl WholeVisitor {
    fn coded<E: Error>(&self, code: &str, value: impl fmt::Display) -> E {
        E::custom(format_args!(
            "{CODED}{code}:must be {}, without point or exponent, at most {}; is {value}",
            self.expecting,
            i64::MAX
        ))
    }
}

impl Visitor<'_> for WholeVisitor {
    type Value = i64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.expecting)
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<i64, E> {
        Ok(value)
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<i64, E> {
        i64::try_from(value).map_err(|_| self.coded("out-of-range", value))
    }

    /// A number with a point or an exponent, or an integer that 64 bits do not hold. It is refused,
    /// not used.
    fn visit_f64<E: Error>(self, value: f64) -> Result<i64, E> {
        let code = if value.abs() >= 9_223_372_036_854_775_808.0 {
            "out-of-range"
        } else {
            self.fraction
        };
        Err(self.coded(code, value))
    }
}

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let visitor = WholeVisitor {
            expecting: "a whole number",
            fraction: "wrong-type",
        };
        deserializer.deserialize_i64(visitor).map(Self)
    }
}

impl<'de> Deserialize<'de> for Minor {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let visitor = WholeVisitor {
            expecting: "a whole number of minor units (9999 is 99.99 USD)",
            fraction: "invalid-money",
        };
        deserializer.deserialize_i64(visitor).map(Self)
    }
}

struct ItemsVisitor;

impl<'de> Visitor<'de> for ItemsVisitor {
    type Value = Items<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of items")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Items<'de>, A::Error> {
        let mut items = Vec::with_capacity(4);
        // One more than an order may have shows that there are too many. The rest of a list that
        // fills a whole body is not worth twenty times the memory.
        while items.len() <= ITEMS_MAX {
            let Some(WireItem(item)) = list.next_element()? else {
                return Ok(Items(items));
            };
            items.push(item);
        }
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Items(items))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Items<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(ItemsVisitor)
    }
}

struct WireItem<'a>(Item<'a>);

struct ItemVisitor;

impl<'de> Visitor<'de> for ItemVisitor {
    type Value = WireItem<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with sku and quantity, or a string")
    }

    fn visit_borrowed_str<E: Error>(self, value: &'de str) -> Result<WireItem<'de>, E> {
        Ok(WireItem(Item::Plain(Cow::Borrowed(value))))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<WireItem<'de>, E> {
        Ok(WireItem(Item::Plain(Cow::Owned(value.to_owned()))))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<WireItem<'de>, A::Error> {
        let line = WireLine::deserialize(MapAccessDeserializer::new(map))?;
        Ok(WireItem(Item::Line(Line {
            sku: line.sku.0,
            quantity: line.quantity.0,
            unit_price: line.unit_price.map(|minor| minor.0),
            amount: line.amount.map(|minor| minor.0),
        })))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for WireItem<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ItemVisitor)
    }
}

struct MetadataVisitor;

impl<'de> Visitor<'de> for MetadataVisitor {
    type Value = Metadata<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of strings")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Metadata<'de>, A::Error> {
        let mut entries = BTreeMap::new();
        while let Some((Text(key), Text(value))) = map.next_entry()? {
            if entries.contains_key(&key) {
                let detail = format_args!("{CODED}duplicate-field:the key {key:?} is there twice");
                return Err(A::Error::custom(detail));
            }
            entries.insert(key, value);
        }
        Ok(Metadata(entries))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Metadata<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(MetadataVisitor)
    }
}
