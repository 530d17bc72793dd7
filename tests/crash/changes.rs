//! Changes of accepted orders, as the clients ask for them: each bears a name of its own, which its
//! event in the feed then has.
//!
//! An order is changed by one client at a time, so that each knows what its change must do.

use rand::RngExt;
use rand::rngs::StdRng;
use serde_json::json;

use super::http::{Client, Reply};
use super::load::{Idle, Load, Went};

/// What may be asked of an order, one after the other, as long as it goes well.
const SERIES: [&[&str]; 6] = [
    &["cancel"],
    &["hold", "release"],
    &["hold", "cancel"],
    &["hold", "priority"],
    &["priority"],
    &["priority", "hold", "priority", "release"],
];

/// A change of one order, or the replay of a page of dead letters.
#[derive(Clone)]
pub struct Change {
    /// Who asks for it; if it has a key, that too.
    name: String,
    path: String,
    body: String,
    /// It may be sent again.
    has_key: bool,
    if_match: String,
}

/// What a change was answered.
enum Answer {
    Made,
    /// Definitely nothing happened.
    Refused,
    Unknown,
}

impl Change {
    fn headers(&self) -> String {
        let mut headers = String::new();
        if self.has_key {
            headers = format!("idempotency-key: {}\r\n", self.name);
        }
        if !self.if_match.is_empty() {
            headers.push_str(&format!("if-match: {}\r\n", self.if_match));
        }
        headers
    }

    fn is_of_a_page(&self) -> bool {
        self.path == "/v1/dead-letters/replay"
    }
}

pub fn change_some_order(load: &Load, client: &mut Client, random: &mut StdRng) -> Went {
    let order = {
        let idle = &mut load.shared().idle;
        if idle.is_empty() {
            return Ok(());
        }
        let place = random.random_range(0..idle.len());
        idle.swap_remove(place)
    };
    let series = SERIES[random.random_range(0..SERIES.len())];
    let mut order = order;
    let mut etag = String::new();
    for verb in series {
        if *verb == "priority" {
            order.priority = order.priority % 3 + 1;
        }
        let is_careful = !etag.is_empty() && random.random_ratio(1, 3);
        let if_match = if is_careful { &*etag } else { "" };
        let (answer, reply) = change(load, client, (&order, verb), if_match, random)?;
        match answer {
            Answer::Made => etag = reply.etag,
            // The order is left as it is: what is open about it stays open.
            Answer::Refused | Answer::Unknown => return Ok(()),
        }
    }
    if !series.contains(&"cancel") {
        load.shared().idle.push(order);
    }
    Ok(())
}

fn change(
    load: &Load,
    client: &mut Client,
    (order, verb): (&Idle, &str),
    if_match: &str,
    random: &mut StdRng,
) -> std::io::Result<(Answer, Reply)> {
    let name = load.change_name();
    let mut body = json!({"by": name, "reason": "asked for"});
    if verb == "priority" {
        body["priority"] = order.priority.into();
    }
    let change = Change {
        path: format!("/v1/orders/{}/{verb}", order.id),
        body: body.to_string(),
        has_key: random.random_ratio(2, 3),
        if_match: if_match.to_owned(),
        name,
    };
    let (answer, reply) = ask(load, client, &change)?;
    let now = reply.json();
    let is_done = match verb {
        "cancel" => now["status"] == "cancelled",
        "hold" => now["hold"]["by"] == *change.name || !now["ended_at"].is_null(),
        "release" => now["hold"].is_null(),
        _ => now["priority"] == order.priority,
    };
    if matches!(answer, Answer::Made) && !is_done {
        load.complain(format!(
            "{} after {verb} {}: {now}",
            order.number, change.name
        ));
    }
    if change.has_key && matches!(answer, Answer::Made) && random.random_ratio(1, 10) {
        ask_the_same(load, client, &change, &reply)?;
    }
    Ok((answer, reply))
}

/// Sends a change that was answered once more: it gets the same answer, to the byte.
fn ask_the_same(load: &Load, client: &mut Client, change: &Change, first: &Reply) -> Went {
    load.shared().counts.duplicates += 1;
    let (_, second) = ask(load, client, change)?;
    let is_same = (&second.etag, &second.body) == (&first.etag, &first.body);
    if second.status == 200 && !(is_same && second.is_replayed) {
        let (name, first, second) = (&change.name, first.text(), second.text());
        load.complain(format!("change {name}: first {first}, then {second}"));
    }
    Ok(())
}

/// Sends a change that is written down. What is not answered is sent again later, if it has a key.
fn ask(load: &Load, client: &mut Client, change: &Change) -> std::io::Result<(Answer, Reply)> {
    load.journal.asks_change(&change.name, &change.path);
    load.shared().counts.changes += 1;
    let answered = client.post(&change.path, &change.headers(), &change.body);
    let answer = answered.as_ref().map(|reply| judge(load, change, reply));
    if change.has_key && !matches!(answer, Ok(Answer::Made | Answer::Refused)) {
        load.shared().changes_again.push(change.clone());
    }
    let answer = answer.unwrap_or(Answer::Unknown);
    answered.map(|reply| (answer, reply))
}

/// Sends a change whose answer nobody has heard; `false` if there is none.
pub fn ask_again(load: &Load, client: &mut Client) -> std::io::Result<bool> {
    let Some(change) = load.shared().changes_again.pop() else {
        return Ok(false);
    };
    load.shared().counts.retries += 1;
    ask(load, client, &change).map(|_| true)
}

/// What an answer says about a change.
fn judge(load: &Load, change: &Change, reply: &Reply) -> Answer {
    let name = &change.name;
    let (answer, made) = match (reply.status, &*reply.code()) {
        (200, _) if change.is_of_a_page() => {
            let replayed = reply.json()["replayed"].as_u64();
            (Answer::Made, replayed.unwrap_or_default())
        }
        (200, _) => (Answer::Made, 1),
        (409, "order-ended" | "order-not-dead") | (412, _) => (Answer::Refused, 0),
        (409, "idempotency-key-in-use") | (503, "outcome-unknown") => return Answer::Unknown,
        // If it has a key, it may have been made before.
        (503, _) if change.has_key => return Answer::Unknown,
        (503, _) => (Answer::Refused, 0),
        _ => {
            load.complain(format!("change {name} was answered {}", reply.text()));
            return Answer::Unknown;
        }
    };
    load.journal.change_made(name, made);
    load.shared().changed.push((name.clone(), made));
    answer
}

/// Lets dead letters try again: one by itself, or a page of them.
pub fn replay_dead_letters(load: &Load, client: &mut Client, random: &mut StdRng) -> Went {
    let name = load.change_name();
    let (path, body) = if random.random_ratio(1, 2) {
        let dead = client.get("/v1/dead-letters?limit=5")?.json();
        let Some(id) = dead["data"][0]["order_id"].as_str() else {
            return Ok(());
        };
        (format!("/v1/orders/{id}/retry"), json!({"by": name}))
    } else {
        let path = "/v1/dead-letters/replay".to_owned();
        (path, json!({"by": name, "limit": 50}))
    };
    let change = Change {
        path,
        body: body.to_string(),
        has_key: random.random_ratio(2, 3),
        if_match: String::new(),
        name,
    };
    let (answer, reply) = ask(load, client, &change)?;
    if matches!(answer, Answer::Made) {
        let replayed = reply.json()["replayed"].as_u64().unwrap_or(1);
        load.shared().counts.dead_letters_replayed += replayed;
    }
    Ok(())
}
