//! Changes of accepted orders, as the clients ask for them: each bears a name of its own, which its
//! event in the feed then has.
//!
//! An order is changed by one client at a time, so that each knows what its change must do.

use rand::RngExt;
use rand::rngs::StdRng;
use serde_json::{Value, json};

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

/// What a change was answered.
enum Answer {
    Made,
    /// Definitely nothing happened.
    Refused,
    Unknown,
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
        let (answer, reply) = change(load, client, &order, verb, if_match)?;
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
    order: &Idle,
    verb: &str,
    if_match: &str,
) -> std::io::Result<(Answer, Reply)> {
    let name = load.change_name();
    let mut body = json!({"by": name, "reason": "asked for"});
    if verb == "priority" {
        body["priority"] = order.priority.into();
    }
    let path = format!("/v1/orders/{}/{verb}", order.id);
    let reply = ask(load, client, (&name, &path, if_match), &body)?;
    let answer = judge(load, &name, &reply, 1);
    let now = reply.json();
    let is_done = match verb {
        "cancel" => now["status"] == "cancelled",
        "hold" => now["hold"]["by"] == *name || !now["ended_at"].is_null(),
        "release" => now["hold"].is_null(),
        _ => now["priority"] == order.priority,
    };
    if matches!(answer, Answer::Made) && !is_done {
        load.complain(format!("{} after {verb} {name}: {now}", order.number));
    }
    Ok((answer, reply))
}

/// Sends a change that is written down. `how` is its name, its path, and perhaps a version.
fn ask(
    load: &Load,
    client: &mut Client,
    how: (&str, &str, &str),
    body: &Value,
) -> std::io::Result<Reply> {
    let (name, path, if_match) = how;
    load.journal.asks_change(name, path);
    load.shared().counts.changes += 1;
    let header = match if_match {
        "" => String::new(),
        etag => format!("if-match: {etag}\r\n"),
    };
    client.post(path, &header, &body.to_string())
}

/// What an answer says about a change which makes so many events if it is made.
fn judge(load: &Load, name: &str, reply: &Reply, events: u64) -> Answer {
    let (answer, made) = match (reply.status, &*reply.code()) {
        (200, _) => (Answer::Made, events),
        (409, "order-ended" | "order-not-dead") | (412, _) => (Answer::Refused, 0),
        (503, "outcome-unknown") => return Answer::Unknown,
        (503, _) => (Answer::Refused, 0),
        _ => {
            load.complain(format!("change {name} was answered {}", reply.text()));
            return Answer::Unknown;
        }
    };
    load.journal.change_made(name, made);
    load.shared().changed.push((name.to_owned(), made));
    answer
}

/// Lets dead letters try again: one by itself, or a page of them.
pub fn replay_dead_letters(load: &Load, client: &mut Client, random: &mut StdRng) -> Went {
    let name = load.change_name();
    if random.random_ratio(1, 2) {
        let dead = client.get("/v1/dead-letters?limit=5")?.json();
        let Some(id) = dead["data"][0]["order_id"].as_str() else {
            return Ok(());
        };
        let path = format!("/v1/orders/{id}/retry");
        let reply = ask(load, client, (&name, &path, ""), &json!({"by": name}))?;
        judge(load, &name, &reply, 1);
        load.shared().counts.dead_letters_replayed += u64::from(reply.status == 200);
    } else {
        let body = json!({"by": name, "limit": 50});
        let path = "/v1/dead-letters/replay";
        let reply = ask(load, client, (&name, path, ""), &body)?;
        let replayed = reply.json()["replayed"].as_u64().unwrap_or_default();
        judge(load, &name, &reply, replayed);
        load.shared().counts.dead_letters_replayed += replayed;
    }
    Ok(())
}
