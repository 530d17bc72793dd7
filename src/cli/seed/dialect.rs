//! `orderd seed --dialect`: puts the sample data of an older service into a server, through the
//! native API. What is there already stays as it is.

use serde_json::{Value, json};

use super::samples::{self, Sample, State};
use crate::cli::api::{Answer, Api, Server};
use crate::cli::exit::{self, Failure};
use crate::cli::output;
use crate::clock::{Clock, SystemClock, Timestamp};
use crate::order::Dialect;

/// What is to be put in, and how.
pub struct Rows<'a> {
    /// Whose sample data.
    pub dialect: &'a str,
    /// The server.
    pub server: &'a Server,
    /// Whether open orders are held back.
    pub is_held: bool,
    /// Whether each row is told as JSON.
    pub is_json: bool,
}

/// Puts all rows in, one after the other, and says what became of each.
///
/// # Errors
///
/// [`Failure`] with the usage code if there is no such sample data; no server at the address, or it
/// refused a row.
pub async fn insert(rows: Rows<'_>) -> anyhow::Result<u8> {
    let samples = samples_of(rows.dialect)?;
    let mut api = Api::new(rows.server)?;
    let mut inserted = 0;
    for sample in samples {
        let is_new = put(&mut api, &rows, sample).await?;
        inserted += usize::from(is_new);
        let id = sample.id;
        match (rows.is_json, is_new) {
            (true, _) => output::line(&json!({ "order_id": id, "is_new": is_new }))?,
            (false, true) => output::line(&format!("Order {id} inserted."))?,
            (false, false) => output::line(&format!("Order {id} is there already."))?,
        }
    }
    let there = samples.len() - inserted;
    eprintln!("{inserted} orders inserted, {there} were there already");
    Ok(exit::OK)
}

fn samples_of(name: &str) -> Result<&'static [Sample], Failure> {
    let samples = Dialect::from_name(name).map_or(&[][..], samples::of);
    if !samples.is_empty() {
        return Ok(samples);
    }
    let others = Dialect::ALL.iter();
    let others = others.filter(|dialect| !samples::of(**dialect).is_empty());
    let others: Vec<&str> = others.map(|dialect| dialect.name()).collect();
    let what = format!("the service that {name} stands for came without sample data");
    let way_out = format!("there is some for {}", others.join(" and "));
    Err(Failure::new(exit::USAGE, what, way_out))
}

/// Puts one row in; `false` if an order with its id is there already.
async fn put(api: &mut Api, rows: &Rows<'_>, sample: &Sample) -> anyhow::Result<bool> {
    let order = order(rows, sample, SystemClock::default().now());
    let answer = match sample.state {
        State::Open => api.post("/v1/orders", &order.to_string(), None).await?,
        State::CompletedAfter(_) | State::Completed(..) => {
            let body = json!([order]).to_string();
            let answer = api.post("/v1/orders/import", &body, None).await?.success();
            let cannot =
                |failure: Failure| failure.about(format_args!("cannot import {}", sample.id));
            only_result(&answer.map_err(cannot)?)
        }
    };
    if answer.status == 409 && answer.json["code"] == "order-exists" {
        return Ok(false);
    }
    let what = format!("cannot insert {}", sample.id);
    if is_unknown_process(&answer) {
        let way_out = format!(
            "start the server with `orderd serve --compat={}`",
            rows.dialect
        );
        let what = format!("{what}: {}", answer.problem());
        return Err(Failure::new(exit::FAILURE, what, way_out).into());
    }
    answer.success().map_err(|failure| failure.about(what))?;
    Ok(true)
}

/// Whether the server has no process of the dialect, because it does not speak it.
fn is_unknown_process(answer: &Answer) -> bool {
    let mut errors = answer.json["errors"].as_array().into_iter().flatten();
    errors.any(|error| error["code"] == "unknown-process")
}

/// What became of the only order of a batch, as if it had come alone.
fn only_result(answer: &Answer) -> Answer {
    let result = &answer.json["results"][0];
    let json = match &result["problem"] {
        Value::Null => result["order"].clone(),
        problem => problem.clone(),
    };
    let status = result["status"].as_u64();
    let status = status.and_then(|status| u16::try_from(status).ok());
    Answer::part(status.unwrap_or(answer.status), json)
}

fn order(rows: &Rows<'_>, sample: &Sample, now: Timestamp) -> Value {
    let mut order = json!({
        "order_id": sample.id,
        "customer_id": sample.customer,
        "items": sample.items,
        "total": {"amount": sample.cents, "currency": "USD"},
        "process": rows.dialect,
    });
    let (created_at, ended_at) = match sample.state {
        State::Open => {
            if rows.is_held {
                order["hold"] = json!({"reason": "sample data", "by": "orderd seed"});
            }
            return order;
        }
        State::CompletedAfter(millis) => {
            let before = Timestamp(now.0 - millis * 1_000);
            (before.to_string(), now.to_string())
        }
        State::Completed(created_at, ended_at) => (created_at.to_owned(), ended_at.to_owned()),
    };
    order["status"] = "completed".into();
    order["created_at"] = created_at.into();
    order["ended_at"] = ended_at.into();
    order
}
