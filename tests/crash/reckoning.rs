//! The journal against what is there in the end: lost, doubled, ended twice, changed, refused and
//! there all the same, acknowledged changes that vanished.
//!
//! Believes the journal as it was read back from its file, and all that the server shows.

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;

use super::feed::Feed;
use super::journal::Book;

/// What came out.
#[derive(Clone, Debug, Default, serde::Serialize)]
pub struct Reckoning {
    /// Acknowledged, and not there, or not as they were sent.
    pub lost: u64,
    /// Sent once, and there more than once.
    pub doubled: u64,
    pub ended_twice: u64,
    /// Acknowledged changes that are not in the history as often as they must be.
    pub changes_lost: u64,
    /// Work that counts and is not there, or does not count and is.
    pub work_lost: u64,
    /// Refused for certain, and there all the same.
    pub refused_and_there: u64,
    /// Anything else that must not be, and more about the above.
    pub complaints: Vec<String>,
}

impl Reckoning {
    pub fn is_clean(&self) -> bool {
        let sum = self.lost + self.doubled + self.ended_twice;
        sum + self.changes_lost + self.work_lost + self.refused_and_there == 0
            && self.complaints.is_empty()
    }

    pub fn complain(&mut self, complaint: String) {
        if self.complaints.len() < 20 {
            self.complaints.push(complaint);
        }
    }

    pub fn add(&mut self, other: Self) {
        self.lost += other.lost;
        self.doubled += other.doubled;
        self.ended_twice += other.ended_twice;
        self.changes_lost += other.changes_lost;
        self.work_lost += other.work_lost;
        self.refused_and_there += other.refused_and_there;
        for complaint in other.complaints {
            self.complain(complaint);
        }
    }

    /// Compares all that was asked with all orders and all events.
    pub fn of(book: &Book, orders: &[Value], feed: &Feed) -> Self {
        let mut reckoning = Self {
            ended_twice: feed.ended_twice,
            complaints: feed.complaints.clone(),
            ..Self::default()
        };
        let by_number = reckoning.sort(book, orders);
        reckoning.compare(book, &by_number);
        reckoning.histories(book, &by_number, feed);
        let made = |name: &str| feed.by.get(name).copied().unwrap_or_default();
        for (name, asked) in &book.changes {
            reckoning.change(name, asked.made, made(name));
        }
        reckoning
    }

    /// A change of this name must have made so many events, and has made so many.
    pub fn change(&mut self, name: &str, expected: Option<u64>, made: u64) {
        if expected.is_some_and(|expected| expected != made) {
            self.changes_lost += 1;
            self.complain(format!(
                "{name} must be there {expected:?} times, is {made}"
            ));
        }
    }

    /// The orders by their number.
    fn sort<'a>(&mut self, book: &Book, orders: &'a [Value]) -> BTreeMap<u64, Vec<&'a Value>> {
        let mut by_number: BTreeMap<u64, Vec<&Value>> = BTreeMap::new();
        for order in orders {
            let number = order["customer_id"].as_str();
            let number = number.and_then(|text| text.parse().ok());
            match number.filter(|number| book.orders.contains_key(number)) {
                Some(number) => by_number.entry(number).or_default().push(order),
                None => self.complain(format!("nobody asked for {order}")),
            }
            if order["ended_at"].is_null() {
                self.complain(format!("did not end: {order}"));
            }
        }
        by_number
    }

    fn compare(&mut self, book: &Book, by_number: &BTreeMap<u64, Vec<&Value>>) {
        for (number, entry) in &book.orders {
            let stored = by_number.get(number).map_or(&[] as &[_], Vec::as_slice);
            if stored.len() > 1 || entry.ids.len() > 1 {
                self.doubled += 1;
                self.complain(format!("{number} is there twice: {entry:?} {stored:?}"));
            }
            let is_same = |order: &&&Value| entry.request.is_same(order, *number);
            let same = stored.iter().find(is_same);
            for id in &entry.ids {
                if same.is_none_or(|order| order["order_id"] != **id) {
                    self.lost += 1;
                    self.complain(format!("{number} was {id}; there is {stored:?}"));
                }
            }
            if entry.ids.is_empty() && !stored.is_empty() && same.is_none() {
                self.complain(format!("{number} is not what was sent: {stored:?}"));
            }
            if entry.must_be_absent() && !stored.is_empty() {
                self.refused_and_there += 1;
                self.complain(format!("{number} was refused, and is there: {stored:?}"));
            }
        }
    }

    /// Each order has one history, which ends; and it began when it was asked for.
    fn histories(&mut self, book: &Book, by_number: &BTreeMap<u64, Vec<&Value>>, feed: &Feed) {
        let mut untold: HashMap<&str, _> = feed.tracks.iter().map(|(id, it)| (&**id, it)).collect();
        for (number, orders) in by_number {
            let id = orders[0]["order_id"].as_str().unwrap_or_default();
            let Some(track) = untold.remove(id) else {
                self.complain(format!("{number} has no history"));
                continue;
            };
            let version = orders[0]["version"].as_u64();
            if track.ends != 1 || version != Some(track.version) {
                self.complain(format!("{number}: {track:?} {}", orders[0]));
            }
            // What was not answered before a crash is there after it, or never.
            let run = book.orders[number].run;
            if track.run > run + 1 {
                self.complain(format!(
                    "{number} of run {run} appeared in run {}",
                    track.run
                ));
            }
        }
        if let Some(id) = untold.keys().next() {
            self.complain(format!("{id} has a history and is in no list"));
        }
    }
}

/// Compares the counters of the server with a recount of all orders.
pub fn counters(stats: &Value, orders: &[Value]) -> Option<String> {
    let mut counted: BTreeMap<&str, i64> = BTreeMap::new();
    for order in orders {
        let status = order["status"].as_str().unwrap_or_default();
        *counted.entry(status).or_default() += 1;
    }
    let told = &stats["orders"]["by_status"];
    let told = told.as_object().into_iter().flatten();
    let told = told.filter_map(|(status, count)| Some((&**status, count.as_i64()?)));
    let told: BTreeMap<&str, i64> = told.filter(|(_, count)| *count != 0).collect();
    (told != counted).then(|| format!("the counters say {told:?}, there are {counted:?}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const JOURNAL: &str = "starts\nasks 1 2 Batch Bare\ntold 1 a\ntold 2 b\n\
                           asks-change c-1 a\nchange-made c-1 1";

    fn order(number: u64, id: &str) -> Value {
        json!({
            "order_id": id, "customer_id": number.to_string(), "version": 2, "ended_at": "now",
            "items": [format!("article-{number}")], "total": {"amount": number, "currency": "EUR"},
            "notes": format!("number {number}"), "status": "completed",
        })
    }

    fn reckon(journal: &str, orders: &[Value], tracks: &[(&str, u64, u64)]) -> Reckoning {
        let mut feed = Feed::default();
        for (id, version, ends) in tracks {
            let (version, ends, run) = (*version, *ends, 1);
            feed.tracks
                .insert((*id).to_owned(), Track { version, ends, run });
        }
        feed.by.insert("c-1".to_owned(), 1);
        Reckoning::of(&Book::of(journal), orders, &feed)
    }

    use super::super::feed::Track;

    #[test]
    fn each_kind_of_trouble_is_seen() {
        let orders = [order(1, "a"), order(2, "b")];
        let tracks = [("a", 2, 1), ("b", 2, 1)];
        assert!(reckon(JOURNAL, &orders, &tracks).is_clean());
        let lost = reckon(JOURNAL, &orders[..1], &tracks);
        assert_eq!(lost.lost, 1);
        let mut other = orders.clone();
        other[1]["notes"] = "number 3".into();
        assert_eq!(reckon(JOURNAL, &other, &tracks).lost, 1, "changed");
        let twins = [order(1, "a"), order(2, "b"), order(2, "c")];
        assert_eq!(reckon(JOURNAL, &twins, &tracks).doubled, 1);
        let two_ids = format!("{JOURNAL}\ntold 2 c");
        assert_eq!(reckon(&two_ids, &orders, &tracks).doubled, 1);
        let refused = "starts\nasks 1 2 Batch Bare\ntold 1 a\nrefused 2";
        assert_eq!(reckon(refused, &orders, &tracks).refused_and_there, 1);
        let unheard = format!("{refused}\nunheard 2 1 Single Bare");
        assert!(reckon(&unheard, &orders, &tracks).is_clean());
        let again = JOURNAL.replace("change-made c-1 1", "change-made c-1 0");
        assert_eq!(reckon(&again, &orders, &tracks).changes_lost, 1);
        let twice = reckon(JOURNAL, &orders, &[("a", 2, 2), ("b", 2, 1)]);
        assert!(!twice.is_clean(), "ended twice");
        let stray = reckon(JOURNAL, &orders, &[("a", 2, 1), ("b", 2, 1), ("c", 2, 1)]);
        assert!(!stray.is_clean(), "nobody asked");
    }

    #[test]
    fn wrong_counters_are_seen() {
        let stats =
            |completed| json!({"orders": {"by_status": {"completed": completed, "dead": 0}}});
        let orders = [order(1, "a"), order(2, "b")];
        assert_eq!(counters(&stats(2), &orders), None);
        assert!(counters(&stats(3), &orders).is_some());
    }
}
