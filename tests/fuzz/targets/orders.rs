//! Orders as they come over the wire, alone, in batches and as imports: what is accepted says the
//! same on its whole way, through the shard, the journal, the store and the answer.

use orderd::clock::Timestamp;
use orderd::compat::json::{self, Json};
use orderd::http::batch::{self, Item, Unfit};
use orderd::http::import;
use orderd::http::{ApiError, CODES, FIELD_CODES, wire};
use orderd::order::NewOrder;
use serde_json::Value;
use serde_json::value::RawValue;

use super::{Bench, way};

/// The body of a create.
pub fn one(bench: &mut Bench, body: &[u8]) {
    let (way, place) = bench.way();
    let read = wire::order(body, way.processes());
    judge(body, &read);
    if let Ok(order) = read {
        let sent = serde_json::from_slice(body).expect("what is accepted is JSON");
        way.go(place, order, &sent);
    }
}

/// The body of an import, of one order.
pub fn finished(bench: &mut Bench, body: &[u8]) {
    let (way, place) = bench.way();
    let now = way::NOW;
    let read = import::order(body, way.processes(), now);
    judge(body, &read);
    if let Ok(order) = read {
        let sent: Value = serde_json::from_slice(body).expect("what is accepted is JSON");
        let past = order.past.as_ref().expect("an import has a past");
        let time = |key: &str| sent[key].as_str().and_then(Timestamp::parse_rfc3339);
        assert_eq!(time("created_at"), Some(past.created_at));
        assert_eq!(time("ended_at"), Some(past.ended_at));
        assert!(past.created_at <= past.ended_at && past.ended_at <= now);
        way.go(place, order, &sent);
    }
}

/// The body of a batch, as a JSON array and as lines: each order is read as it would be alone.
pub fn many(bench: &mut Bench, body: &[u8]) {
    let (way, _) = bench.way();
    let alone = |bytes: &[u8]| wire::order(bytes, way.processes());
    let lines: Vec<&[u8]> = body
        .split(|byte| *byte == b'\n')
        .map(<[u8]>::trim_ascii)
        .filter(|line| !line.is_empty())
        .collect();
    match batch::lines(body, way.processes()) {
        Ok(read) => same(&read, lines.into_iter().map(alone)),
        Err(_) => assert!(lines.len() > batch::BATCH_ORDERS_MAX),
    }
    let parts = serde_json::from_slice::<Vec<&RawValue>>(body);
    match batch::array(body, way.processes()) {
        Ok(read) => {
            let parts = parts.expect("what is accepted is a JSON array");
            let parts = parts.into_iter().map(|part| part.get().as_bytes());
            same(&read, parts.map(alone));
        }
        Err(error) => {
            check(&error);
            let is_too_long = |parts: &Vec<_>| parts.len() > batch::BATCH_ORDERS_MAX;
            assert!(parts.as_ref().map_or(true, is_too_long), "{error:?}");
        }
    }
}

fn same(read: &[batch::Read], alone: impl Iterator<Item = Result<NewOrder, ApiError>>) {
    let alone: Vec<_> = alone.collect();
    assert_eq!(read.len(), alone.len());
    for (in_batch, alone) in read.iter().zip(&alone) {
        match (in_batch, alone) {
            (Ok(Item { order, key }), Ok(alone)) => {
                assert_eq!(order, alone);
                assert_eq!(
                    key.as_ref().map(|key| &key.key),
                    alone.idempotency_key.as_ref()
                );
            }
            (Err(Unfit { error, .. }), Err(alone)) => {
                assert_eq!(error.code(), alone.code());
                assert_eq!(error.faults(), alone.faults());
            }
            _ => panic!("in the batch {in_batch:?}, alone {alone:?}"),
        }
    }
}

fn judge(body: &[u8], read: &Result<NewOrder, ApiError>) {
    if let Err(error) = read {
        check(error);
        let value = serde_json::from_slice::<Value>(body);
        if error.code().name() == "malformed-json" {
            assert!(value.is_err(), "{value:?} is no JSON: {error:?}");
        }
        let Ok(tree) = json::read(body) else { return };
        for fault in error.faults() {
            let (parent, _) = fault.pointer.rsplit_once('/').unwrap_or_default();
            let mut parts = parent.split('/').skip(1);
            assert!(leads(&tree, &mut parts), "{fault:?} in {tree:?}");
        }
    }
}

/// Whether a pointer leads to something that is there. A member that is there twice may be either.
fn leads<'a>(tree: &Json<'_>, parts: &mut (impl Iterator<Item = &'a str> + Clone)) -> bool {
    let Some(part) = parts.next() else {
        return true;
    };
    match tree {
        Json::List(values) => {
            let value = part.parse().ok().and_then(|at: usize| values.get(at));
            value.is_some_and(|value| leads(value, parts))
        }
        Json::Object(members) => members
            .iter()
            .filter(|(key, _)| key.replace('~', "~0").replace('/', "~1") == part)
            .any(|(_, value)| leads(value, &mut parts.clone())),
        _ => false,
    }
}

fn check(error: &ApiError) {
    assert!((400..500).contains(&error.status()), "{error:?}");
    assert!(CODES.iter().any(|entry| entry.code == error.code()));
    let is_known = |code| FIELD_CODES.iter().any(|(name, _)| *name == code);
    assert!(
        error.faults().iter().all(|fault| is_known(fault.code)),
        "{error:?}"
    );
    let mut text = Vec::new();
    error.write(&mut text, Some("request"));
    let problem: Value = serde_json::from_slice(&text).expect("a problem is JSON");
    assert_eq!(problem["status"], error.status());
}
