//! Workers under load: they lease orders, beat, say that work is done, or failed, give it back, and
//! vanish. What somebody was told counts is with its order in the end, and nothing else is.
//!
//! What is done says the fence that it was done under, so that each word can be told from others.

use std::collections::HashMap;

use rand::RngExt;
use rand::rngs::StdRng;
use serde_json::{Value, json};

use super::http::{Client, Reply};
use super::load::{Load, Went};
use super::reckoning::Reckoning;

/// Most orders of a lease under load.
const LEASE_MAX: u64 = 20;

/// What workers were told of their work that was done.
#[derive(Default)]
pub struct Told {
    /// By order: the fence under which it counts.
    counts: HashMap<String, String>,
    /// Fences of work that was said to be done once, and does not count.
    refused: Vec<(String, String)>,
}

/// Leases some orders and does them, or not.
pub fn work(load: &Load, client: &mut Client, random: &mut StdRng) -> Went {
    let leased = lease(load, client, LEASE_MAX)?;
    let mut done = Vec::new();
    for task in &leased {
        let said = mention(task);
        match random.random_range(0..20) {
            // It is not heard of again.
            0 => {}
            1 => say(load, client, "release", &said)?,
            2 => {
                let mut failed = said;
                failed["error"] = "it slipped".into();
                say(load, client, "fail", &failed)?;
            }
            3 => {
                say(load, client, "beat", &said)?;
                done.push(done_under(said));
            }
            _ => done.push(done_under(said)),
        }
    }
    complete(load, client, &done)
}

/// Does everything that waits for a worker, and says whether there was anything.
pub fn work_off(load: &Load, client: &mut Client) -> std::io::Result<bool> {
    let leased = lease(load, client, 1_000)?;
    let done: Vec<_> = leased.iter().map(mention).map(done_under).collect();
    complete(load, client, &done)?;
    Ok(!leased.is_empty())
}

fn lease(load: &Load, client: &mut Client, max: u64) -> std::io::Result<Vec<Value>> {
    let body = json!({"max": max}).to_string();
    let reply = client.post("/v1/queues/hands/lease", "", &body)?;
    if reply.status == 200 {
        load.shared().counts.work += 1;
        return Ok(reply.json()["data"].as_array().cloned().unwrap_or_default());
    }
    expect_refusal(load, &reply)?;
    Ok(Vec::new())
}

fn mention(task: &Value) -> Value {
    json!({"order_id": task["order_id"], "step": task["step"], "fence": task["fence"]})
}

fn done_under(mut said: Value) -> Value {
    said["output"] = json!({"fence": said["fence"]});
    said
}

/// Says one thing; that its lease is over is an answer like any other.
fn say(load: &Load, client: &mut Client, verb: &str, said: &Value) -> Went {
    let path = format!("/v1/queues/hands/{verb}");
    let reply = client.post(&path, "", &said.to_string())?;
    match (reply.status, &*reply.code()) {
        (200, _) | (409, "stale-fence") => Ok(()),
        _ => expect_refusal(load, &reply),
    }
}

/// Says of many orders that they are done.
fn complete(load: &Load, client: &mut Client, done: &[Value]) -> Went {
    if done.is_empty() {
        return Ok(());
    }
    let path = "/v1/queues/hands/complete";
    let reply = client.post(path, "", &Value::from(done).to_string())?;
    if reply.status != 200 {
        return expect_refusal(load, &reply);
    }
    let answer = reply.json();
    let results = answer["results"].as_array().into_iter().flatten();
    for (said, result) in done.iter().zip(results) {
        let text = |field: &str| said[field].as_str().unwrap_or_default().to_owned();
        let (id, fence) = (text("order_id"), text("fence"));
        match result["status"].as_u64() {
            Some(200) => {
                let before = load.shared().work.counts.insert(id.clone(), fence.clone());
                if let Some(before) = before {
                    load.complain(format!("{id} was taken under {before} and under {fence}"));
                }
            }
            Some(409) => load.shared().work.refused.push((id, fence)),
            _ => load.complain(format!("a worker was told {result}")),
        }
    }
    Ok(())
}

/// A server that ends refuses, and so does one whose database is away.
fn expect_refusal(load: &Load, reply: &Reply) -> Went {
    if reply.status != 503 {
        load.complain(format!("a worker was told {}", reply.text()));
    }
    if reply.is_last {
        return Err(std::io::Error::other("the server closes"));
    }
    load.take_breath();
    Ok(())
}

/// What is with the orders in the end is what workers were told that counts.
pub fn reckon(told: &Told, orders: &[Value], reckoning: &mut Reckoning) {
    let fences = orders.iter().filter_map(|order| {
        let fence = order["outputs"]["hand"]["fence"].as_str()?;
        Some((order["order_id"].as_str()?, fence))
    });
    let fences: HashMap<&str, &str> = fences.collect();
    for (id, fence) in &told.counts {
        if fences.get(&**id) != Some(&&**fence) {
            let stored = fences.get(&**id);
            reckoning.work_lost += 1;
            reckoning.complain(format!("{id} was done under {fence}; there is {stored:?}"));
        }
    }
    for (id, fence) in &told.refused {
        if fences.get(&**id) == Some(&&**fence) {
            reckoning.work_lost += 1;
            reckoning.complain(format!("{id} was refused under {fence}, and counts"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_told_of_work_is_compared_with_what_is_there() {
        let orders = [json!({"order_id": "a", "outputs": {"hand": {"fence": "1-2"}}})];
        let one = |id: &str, fence: &str| (id.to_owned(), fence.to_owned());
        let lost = |counts: &[(String, String)], refused: &[(String, String)]| {
            let told = Told {
                counts: counts.iter().cloned().collect(),
                refused: refused.to_vec(),
            };
            let mut reckoning = Reckoning::default();
            reckon(&told, &orders, &mut reckoning);
            reckoning.work_lost
        };
        assert_eq!(lost(&[one("a", "1-2")], &[one("a", "1-1")]), 0);
        assert_eq!(lost(&[one("a", "1-1")], &[]), 1, "another's counts");
        assert_eq!(lost(&[one("b", "1-1")], &[]), 1, "nothing counts");
        assert_eq!(lost(&[], &[one("a", "1-2")]), 1, "refused, and counts");
    }
}
