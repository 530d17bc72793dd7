//! The ids of acknowledged orders, kept compactly: 4 bytes for the run's own, 8 for plain
//! numbers, 16 for UUIDs, the text itself for all others. Exact: nothing is hashed or sampled.

use uuid::Uuid;

use super::plan::NUMBER_DIGITS;

/// A list of order ids; after [`Ids::settle`] a sorted set.
#[derive(Clone, Debug, Default)]
pub struct Ids {
    prefix: String,
    numbers: Vec<u32>,
    decimals: Vec<u64>,
    uuids: Vec<u128>,
    texts: Vec<Box<str>>,
}

impl Ids {
    /// An empty list; `prefix` is what the ids of this run begin with.
    pub fn new(prefix: &str) -> Self {
        Self {
            prefix: prefix.to_owned(),
            ..Self::default()
        }
    }

    /// The number in an id of this run; `None` for any other id.
    pub fn number_of(&self, id: &str) -> Option<u32> {
        let digits = id.strip_prefix(&self.prefix)?;
        let exact = digits.len() == NUMBER_DIGITS && digits.bytes().all(|b| b.is_ascii_digit());
        exact.then(|| digits.parse().ok())?
    }

    /// Adds an id.
    pub fn push(&mut self, id: &str) {
        if let Some(number) = self.number_of(id) {
            self.numbers.push(number);
        } else if let Some(decimal) = decimal_of(id) {
            self.decimals.push(decimal);
        } else if let Some(uuid) = uuid_of(id) {
            self.uuids.push(uuid);
        } else {
            self.texts.push(id.into());
        }
    }

    /// Adds all ids of another list with the same prefix.
    pub fn append(&mut self, mut other: Self) {
        self.numbers.append(&mut other.numbers);
        self.decimals.append(&mut other.decimals);
        self.uuids.append(&mut other.uuids);
        self.texts.append(&mut other.texts);
    }

    /// Sorts the list, drops what is in it twice, and answers how many were dropped.
    pub fn settle(&mut self) -> u64 {
        let before = self.len();
        fn settle<T: Ord>(list: &mut Vec<T>) {
            list.sort_unstable();
            list.dedup();
        }
        settle(&mut self.numbers);
        settle(&mut self.decimals);
        settle(&mut self.uuids);
        settle(&mut self.texts);
        (before - self.len()) as u64
    }

    /// How many ids are in the list.
    pub fn len(&self) -> usize {
        self.numbers.len() + self.decimals.len() + self.uuids.len() + self.texts.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The id at a place of the list, 0 to `len - 1`; empty beyond.
    pub fn text(&self, index: usize) -> String {
        let mut at = index;
        if let Some(number) = self.numbers.get(at) {
            return format!("{}{number:0NUMBER_DIGITS$}", self.prefix);
        }
        at -= self.numbers.len();
        if let Some(decimal) = self.decimals.get(at) {
            return decimal.to_string();
        }
        at -= self.decimals.len();
        if let Some(uuid) = self.uuids.get(at) {
            return Uuid::from_u128(*uuid).to_string();
        }
        at -= self.uuids.len();
        self.texts
            .get(at)
            .map(|text| text.to_string())
            .unwrap_or_default()
    }
}

/// The number, if the id is exactly how it is written: no sign, no leading zero.
fn decimal_of(id: &str) -> Option<u64> {
    let plain = id.bytes().all(|byte| byte.is_ascii_digit());
    let canonical = plain && (id == "0" || !id.starts_with('0'));
    canonical.then(|| id.parse().ok())?
}

/// The UUID, if the id is exactly how it is written: lower case with hyphens.
fn uuid_of(id: &str) -> Option<u128> {
    let canonical = id.len() == 36 && !id.bytes().any(|byte| byte.is_ascii_uppercase());
    canonical.then(|| Uuid::try_parse(id).ok().map(|uuid| uuid.as_u128()))?
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_id_comes_back_as_it_was(
            ids in proptest::collection::btree_set(
                prop_oneof![
                    "load-r-[0-9]{9}",
                    "load-r-[0-9]{8,10}",
                    "[0-9]{1,22}",
                    "0193[0-9a-f]{4}-[0-9a-f]{4}-7[0-9a-f]{3}-8[0-9a-f]{3}-[0-9a-f]{12}",
                    "0193[0-9A-F]{4}-[0-9a-f]{4}-7[0-9a-f]{3}-8[0-9a-f]{3}-[0-9a-f]{12}",
                    "[ -~]{1,64}",
                ],
                0..40,
            ),
        ) {
            let mut list = Ids::new("load-r-");
            ids.iter().for_each(|id| list.push(id));
            prop_assert_eq!(list.settle(), 0);
            let mut back: Vec<_> = (0..list.len()).map(|index| list.text(index)).collect();
            back.sort();
            prop_assert_eq!(back, ids.into_iter().collect::<Vec<_>>());
        }
    }

    #[test]
    fn what_is_there_twice_is_counted_once() {
        let mut list = Ids::new("load-r-");
        for id in ["load-r-000000001", "7", "x", "load-r-000000001", "7", "7"] {
            list.push(id);
        }
        assert_eq!((list.settle(), list.len()), (3, 3));
    }

    #[test]
    fn the_lists_of_two_workers_join() {
        let (mut one, mut two) = (Ids::new("p-"), Ids::new("p-"));
        one.push("p-000000001");
        two.push("p-000000001");
        two.push("other");
        one.append(two);
        assert_eq!((one.settle(), one.len()), (1, 2));
    }
}
