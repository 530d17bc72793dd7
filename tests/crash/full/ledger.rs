//! The checker's own journal: what it was going to ask, before it asked, and what it was told,
//! before it went on. And the reckoning of that journal with what the server shows in the end.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use serde_json::{Value, json};

/// A file of lines; each is handed to the system before `note` returns.
pub struct Ledger {
    path: PathBuf,
    file: Mutex<File>,
}

/// What the ledger says of one order that was asked for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Entry {
    /// The id it was acknowledged with.
    pub acknowledged: Option<String>,
    /// It was refused: it must not be there.
    pub is_refused: bool,
}

impl Ledger {
    pub fn new(path: &Path) -> Self {
        Self {
            path: path.into(),
            file: Mutex::new(File::create(path).unwrap()),
        }
    }

    fn note(&self, line: String) {
        self.file
            .lock()
            .unwrap()
            .write_all(line.as_bytes())
            .unwrap();
    }

    pub fn intends(&self, number: u64) {
        self.note(format!("intends {number}\n"));
    }

    pub fn was_acknowledged(&self, number: u64, id: &str) {
        self.note(format!("acknowledged {number} {id}\n"));
    }

    pub fn was_refused(&self, number: u64) {
        self.note(format!("refused {number}\n"));
    }

    /// Everything in it, read back from the file.
    pub fn read(&self) -> BTreeMap<u64, Entry> {
        let text = std::fs::read_to_string(&self.path).unwrap();
        let mut entries: BTreeMap<u64, Entry> = BTreeMap::new();
        for line in text.lines() {
            let mut words = line.split(' ');
            let (what, number) = (words.next().unwrap(), words.next().unwrap());
            let entry = entries.entry(number.parse().unwrap()).or_default();
            match what {
                "acknowledged" => entry.acknowledged = words.next().map(str::to_owned),
                "refused" => entry.is_refused = true,
                _ => {}
            }
        }
        entries
    }
}

/// The id that an order is asked for with: every other one chooses its own.
pub fn id(number: u64) -> Option<String> {
    number.is_multiple_of(2).then(|| format!("crash-{number}"))
}

/// The order with this number. It can be told from its customer.
pub fn body(number: u64) -> Value {
    let mut order = json!({
        "customer_id": number.to_string(),
        "items": [format!("article-{number}")],
        "total": {"amount": number, "currency": "EUR"},
        "priority": number % 3 + 1,
    });
    if let Some(id) = id(number) {
        order["order_id"] = id.into();
    }
    order
}

/// Whether a stored order is the one with this number.
pub fn is_same(order: &Value, number: u64) -> bool {
    let sent = body(number);
    let fields = ["customer_id", "items", "total", "priority"];
    fields.into_iter().all(|field| order[field] == sent[field])
        && (sent["order_id"].is_null() || order["order_id"] == sent["order_id"])
}

/// What came out.
#[derive(Debug, Default)]
pub struct Reckoning {
    pub lost: u64,
    pub doubled: u64,
    pub ended_twice: u64,
    /// Anything else that must not be.
    pub complaints: Vec<String>,
}

impl Reckoning {
    pub fn is_clean(&self) -> bool {
        (self.lost, self.doubled, self.ended_twice) == (0, 0, 0) && self.complaints.is_empty()
    }

    fn complain(&mut self, complaint: String) {
        if self.complaints.len() < 20 {
            self.complaints.push(complaint);
        }
    }

    /// Compares what was told with all orders and all events that the server shows.
    pub fn of(told: &BTreeMap<u64, Entry>, orders: &[Value], events: &[Value]) -> Self {
        let mut reckoning = Self::default();
        reckoning.orders(told, orders);
        reckoning.events(orders, events);
        reckoning
    }

    fn orders(&mut self, told: &BTreeMap<u64, Entry>, orders: &[Value]) {
        let mut by_number: BTreeMap<u64, Vec<&Value>> = BTreeMap::new();
        for order in orders {
            let number = order["customer_id"]
                .as_str()
                .and_then(|text| text.parse().ok());
            match number.filter(|number| told.contains_key(number)) {
                Some(number) => by_number.entry(number).or_default().push(order),
                None => self.complain(format!("nobody asked for {order}")),
            }
            if order["ended_at"].is_null() {
                self.complain(format!("did not end: {order}"));
            }
        }
        for (number, entry) in told {
            let stored = by_number.get(number).map_or(&[] as &[_], Vec::as_slice);
            if stored.len() > 1 {
                self.doubled += 1;
                self.complain(format!("{number} is there {} times", stored.len()));
            }
            if let Some(id) = &entry.acknowledged {
                let is_it = |order: &&&Value| order["order_id"] == **id && is_same(order, *number);
                if !stored.iter().any(|order| is_it(&order)) {
                    self.lost += 1;
                    self.complain(format!(
                        "{number} was acknowledged as {id}, found {stored:?}"
                    ));
                }
            }
            if entry.is_refused && entry.acknowledged.is_none() && !stored.is_empty() {
                self.complain(format!("{number} was refused, but is there"));
            }
        }
    }

    fn events(&mut self, orders: &[Value], events: &[Value]) {
        let mut lives: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
        for event in events {
            let id = event["order_id"].as_str().unwrap_or_default();
            let (version, ends) = lives.entry(id).or_default();
            if event["version"] != *version + 1 || *ends > 0 {
                let complaint = format!("after version {version} and {ends} ends: {event}");
                self.complaints.push(complaint);
            }
            *version = event["version"].as_u64().unwrap_or_default();
            let finals = ["completed", "cancelled", "rejected", "expired"];
            if finals.iter().any(|status| event["status"] == **status) {
                *ends += 1;
            }
        }
        self.ended_twice = lives.values().filter(|(_, ends)| *ends > 1).count() as u64;
        let known: BTreeSet<&str> = lives.keys().copied().collect();
        for order in orders {
            let id = order["order_id"].as_str().unwrap_or_default();
            let version = lives.get(id).map(|(version, _)| *version);
            if !known.contains(id) || order["version"].as_u64() != version {
                self.complain(format!("its history ends at version {version:?}: {order}"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(number: u64) -> (Value, [Value; 2]) {
        let mut order = body(number);
        order["order_id"] = id(number).unwrap_or(format!("made-{number}")).into();
        order["version"] = 2.into();
        order["ended_at"] = "then".into();
        let id = order["order_id"].clone();
        let event = |version, status| json!({"order_id": id, "version": version, "status": status});
        let events = [event(1, "pending"), event(2, "completed")];
        (order, events)
    }

    fn told(numbers: std::ops::Range<u64>) -> BTreeMap<u64, Entry> {
        let entry = |number: u64| Entry {
            acknowledged: Some(id(number).unwrap_or(format!("made-{number}"))),
            is_refused: false,
        };
        numbers.map(|number| (number, entry(number))).collect()
    }

    /// The checker must be able to see what it looks for.
    #[test]
    fn each_kind_of_trouble_is_seen() {
        let (mut orders, events): (Vec<_>, Vec<_>) = (0..4).map(stored).unzip();
        let mut events = events.into_iter().flatten().collect::<Vec<_>>();
        assert!(Reckoning::of(&told(0..4), &orders, &events).is_clean());
        assert_eq!(Reckoning::of(&told(0..5), &orders, &events).lost, 1);
        assert!(
            !Reckoning::of(&told(0..3), &orders, &events).is_clean(),
            "invented"
        );
        let mut refused = told(0..4);
        refused.insert(
            3,
            Entry {
                acknowledged: None,
                is_refused: true,
            },
        );
        assert!(
            !Reckoning::of(&refused, &orders, &events).is_clean(),
            "refused and there"
        );
        events.push(json!({"order_id": "crash-2", "version": 3, "status": "completed"}));
        assert_eq!(Reckoning::of(&told(0..4), &orders, &events).ended_twice, 1);
        events.pop();
        let mut twin = orders[1].clone();
        twin["order_id"] = "made-again".into();
        orders.push(twin);
        assert_eq!(Reckoning::of(&told(0..4), &orders, &events).doubled, 1);
        orders.pop();
        orders[0]["total"]["amount"] = 9.into();
        assert_eq!(
            Reckoning::of(&told(0..4), &orders, &events).lost,
            1,
            "changed"
        );
    }
}
