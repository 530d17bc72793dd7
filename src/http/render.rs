//! Answers as bytes, made by hand: an order is spliced together without a tree of values in
//! between.
//!
//! What a client sent as items, address, notes and metadata is given back as it is kept, without a
//! parse.

#[cfg(test)]
mod tests;

use std::io::Write;

use axum::body::Bytes;
use axum::http::HeaderValue;

use crate::clock::{MICROS_PER_SECOND, Timestamp};
use crate::order::{Detail, Hold, Order, OrderId, Status};
use crate::store::EventView;
use crate::telling::type_of;

/// Room that a small order's answer needs, in bytes.
pub const ORDER_SIZE_HINT: usize = 512;

/// Appends a text as a JSON string.
pub fn text(out: &mut Vec<u8>, value: &str) {
    if value.bytes().all(is_plain) {
        out.push(b'"');
        out.extend_from_slice(value.as_bytes());
        out.push(b'"');
    } else if serde_json::to_writer(&mut *out, value).is_err() {
        // Memory takes every write and every text has a JSON form; a hole would not be JSON.
        out.extend_from_slice(b"\"\"");
    }
}

fn is_plain(byte: u8) -> bool {
    byte >= 0x20 && byte != b'"' && byte != b'\\'
}

/// Appends a whole number.
pub fn number(out: &mut Vec<u8>, value: impl itoa::Integer) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// Appends a time as a JSON string, the same as `Timestamp`'s own text: RFC 3339 in UTC, six
/// decimals.
pub fn time(out: &mut Vec<u8>, time: Timestamp) {
    if time.0 < 0 || time > Timestamp::MAX {
        // No such time is ever stored; its text may be anything that is not wrong.
        return text(out, &time.to_string());
    }
    let (seconds, micros) = (time.0 / MICROS_PER_SECOND, time.0 % MICROS_PER_SECOND);
    let (days, second_of_day) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = civil(days);
    let mut written = *b"\"0000-00-00T00:00:00.000000Z\"";
    digits(&mut written[1..5], year);
    digits(&mut written[6..8], month);
    digits(&mut written[9..11], day);
    digits(&mut written[12..14], second_of_day / 3_600);
    digits(&mut written[15..17], second_of_day / 60 % 60);
    digits(&mut written[18..20], second_of_day % 60);
    digits(&mut written[21..27], micros);
    out.extend_from_slice(&written);
}

fn digits(place: &mut [u8], mut value: i64) {
    for digit in place.iter_mut().rev() {
        *digit = b'0' + (value % 10) as u8;
        value /= 10;
    }
}

/// Year, month and day of a day counted from 1970-01-01, from 0.
///
/// Source: `civil_from_days`, H. Hinnant, *chrono-Compatible Low-Level Date Algorithms*, 2013.
fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

/// Appends an order.
pub fn order(out: &mut Vec<u8>, order: &Order) {
    out.extend_from_slice(b"{\"order_id\":");
    text(out, order.id.as_str());
    out.extend_from_slice(b",\"customer_id\":");
    text(out, &order.customer_id);
    let inner = order.payload.strip_prefix('{');
    if let Some(inner) = inner.and_then(|payload| payload.strip_suffix('}'))
        && !inner.is_empty()
    {
        out.push(b',');
        out.extend_from_slice(inner.as_bytes());
    }
    out.extend_from_slice(b",\"total\":{\"amount\":");
    number(out, order.total.minor());
    out.extend_from_slice(b",\"currency\":\"");
    out.extend_from_slice(order.total.currency().code().as_bytes());
    out.extend_from_slice(b"\"},\"priority\":");
    number(out, order.priority.number());
    out.extend_from_slice(b",\"process\":");
    text(out, &order.process);
    out.extend_from_slice(b",\"process_version\":");
    number(out, order.process_version);
    optional_time(out, b",\"start_at\":", order.start_at);
    optional_time(out, b",\"expires_at\":", order.expires_at);
    state(out, order);
    outputs(out, order);
    out.push(b'}');
}

fn state(out: &mut Vec<u8>, order: &Order) {
    let state = &order.state;
    out.extend_from_slice(b",\"status\":\"");
    out.extend_from_slice(state.status.kind().name().as_bytes());
    out.extend_from_slice(b"\",\"version\":");
    number(out, state.version);
    if state.status.is_open() {
        out.extend_from_slice(b",\"step\":");
        text(out, &state.step);
        let target = order.marks.undoing.map(|target| target.kind().name());
        optional_text(out, b",\"target\":", target);
    }
    out.extend_from_slice(b",\"attempt\":");
    number(out, state.attempt);
    let (ready_at, ended_at) = match state.status {
        Status::Scheduled { start_at: at } | Status::Pending { ready_at: at } => (Some(at), None),
        Status::Completed { ended_at }
        | Status::Cancelled { ended_at }
        | Status::Rejected { ended_at }
        | Status::Expired { ended_at } => (None, Some(ended_at)),
        _ => (None, None),
    };
    optional_time(out, b",\"ready_at\":", ready_at);
    if let Status::Dead { since } = state.status {
        optional_time(out, b",\"dead_since\":", Some(since));
    }
    if let Some(held) = &order.hold {
        hold(out, held);
    }
    optional_time(out, b",\"created_at\":", Some(order.created_at));
    optional_time(out, b",\"imported_at\":", order.imported_at);
    optional_time(out, b",\"started_at\":", state.started_at);
    optional_time(out, b",\"updated_at\":", Some(state.updated_at));
    optional_time(out, b",\"ended_at\":", ended_at);
    optional_text(out, b",\"reason\":", state.reason.as_deref());
}

fn outputs(out: &mut Vec<u8>, order: &Order) {
    for (at, it) in order.outputs.iter().enumerate() {
        out.extend_from_slice(if at == 0 { b",\"outputs\":{" } else { b"," });
        text(out, &it.step);
        out.push(b':');
        out.extend_from_slice(it.output.as_bytes());
    }
    if !order.outputs.is_empty() {
        out.push(b'}');
    }
}

fn hold(out: &mut Vec<u8>, hold: &Hold) {
    out.extend_from_slice(b",\"hold\":{\"reason\":");
    text(out, &hold.reason);
    optional_text(out, b",\"by\":", hold.by.as_deref());
    optional_time(out, b",\"since\":", Some(hold.since));
    optional_time(out, b",\"until\":", hold.until);
    out.push(b'}');
}

fn optional_time(out: &mut Vec<u8>, name: &[u8], value: Option<Timestamp>) {
    if let Some(value) = value {
        out.extend_from_slice(name);
        time(out, value);
    }
}

fn optional_text(out: &mut Vec<u8>, name: &[u8], value: Option<&str>) {
    if let Some(value) = value {
        out.extend_from_slice(name);
        text(out, value);
    }
}

/// Appends an event.
pub fn event(out: &mut Vec<u8>, event: &EventView) {
    let (place, kind) = (event.place, type_of(event));
    // Writing to memory does not fail.
    let _ = write!(
        out,
        "{{\"event_id\":\"{}-{}\",\"type\":\"{kind}\",\"order_id\":",
        place.position.0, place.index,
    );
    text(out, event.order_id.as_str());
    out.extend_from_slice(b",\"version\":");
    number(out, event.version);
    out.extend_from_slice(b",\"status\":\"");
    out.extend_from_slice(event.status.name().as_bytes());
    out.extend_from_slice(b"\",\"at\":");
    time(out, event.at);
    optional_text(out, b",\"step\":", event.step.as_deref());
    if event.attempt > 0 {
        out.extend_from_slice(b",\"attempt\":");
        number(out, event.attempt);
    }
    optional_text(out, b",\"reason\":", event.reason.as_deref());
    optional_text(out, b",\"by\":", event.by.as_deref());
    match event.detail {
        Some(Detail::Until(until)) => optional_time(out, b",\"until\":", Some(until)),
        Some(Detail::Priority(priority)) => {
            out.extend_from_slice(b",\"priority\":");
            number(out, priority.number());
        }
        None => {}
    }
    out.push(b'}');
}

/// The path of an order, as a `Location` header.
pub fn location(id: &OrderId) -> Option<HeaderValue> {
    const PREFIX: &[u8] = b"/v1/orders/";
    let mut path = Vec::with_capacity(PREFIX.len() + id.as_str().len());
    path.extend_from_slice(PREFIX);
    id.escape_into(&mut path);
    HeaderValue::from_maybe_shared(Bytes::from(path)).ok()
}

/// Appends the start of a page with these entries.
pub fn page<T>(out: &mut Vec<u8>, entries: &[T], write: impl Fn(&mut Vec<u8>, &T)) {
    out.extend_from_slice(b"{\"data\":[");
    for (at, entry) in entries.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        write(out, entry);
    }
}

/// Appends the end of a page.
pub fn page_end(out: &mut Vec<u8>, has_more: bool, next_cursor: Option<&str>) {
    out.extend_from_slice(b"],\"has_more\":");
    out.extend_from_slice(if has_more { &b"true"[..] } else { b"false" });
    out.extend_from_slice(b",\"next_cursor\":");
    match next_cursor {
        Some(cursor) => text(out, cursor),
        None => out.extend_from_slice(b"null"),
    }
    out.push(b'}');
}
