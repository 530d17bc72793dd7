//! Follows the feed of all events, run after run, and holds it to what a history may be: each order
//! begins once, its versions rise by one, it ends once, and nothing that was read ever changes.
//!
//! Knows only what the public API shows.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use serde_json::Value;

use super::http::Client;

/// Where an order's history stands.
#[derive(Clone, Copy, Debug, Default)]
pub struct Track {
    pub version: u64,
    pub ends: u64,
    /// The run of the server in which it was seen first.
    pub run: u32,
}

/// Everything that was read so far.
#[derive(Default)]
pub struct Feed {
    cursor: String,
    digest: u64,
    pub events: u64,
    pub tracks: HashMap<String, Track>,
    /// Events by who asked for them.
    pub by: HashMap<String, u64>,
    pub ended_twice: u64,
    pub complaints: Vec<String>,
}

impl Feed {
    /// Reads on to the end of the feed, or to `events_max` events in all.
    pub fn follow(&mut self, client: &mut Client, run: u32, events_max: u64) {
        loop {
            let left = events_max.saturating_sub(self.events).min(1_000);
            if left == 0 {
                return;
            }
            let path = format!("/v1/events?limit={left}&after={}", self.cursor);
            let reply = client.get(&path).unwrap();
            assert_eq!(reply.status, 200, "{}", reply.text());
            let page = reply.json();
            for event in page["data"].as_array().into_iter().flatten() {
                self.take(event, run);
            }
            if let Some(cursor) = page["next_cursor"].as_str() {
                self.cursor = cursor.to_owned();
            }
            if page["has_more"] != true {
                return;
            }
        }
    }

    fn take(&mut self, event: &Value, run: u32) {
        let mut digest = DefaultHasher::new();
        (self.digest, event.to_string()).hash(&mut digest);
        self.digest = digest.finish();
        self.events += 1;
        let id = event["order_id"].as_str().unwrap_or_default().to_owned();
        let known = self.tracks.contains_key(&id);
        let track = self.tracks.entry(id).or_insert_with(|| Track {
            run,
            ..Track::default()
        });
        let kind = event["type"].as_str().unwrap_or_default();
        let is_first = matches!(kind, "order.accepted" | "order.scheduled");
        let version = event["version"].as_u64().unwrap_or_default();
        let is_next = version == track.version + 1 && known != is_first;
        let status = event["status"].as_str().unwrap_or_default();
        let is_end = matches!(status, "completed" | "cancelled" | "rejected" | "expired");
        let was_over = track.ends > 0;
        track.version = version;
        track.ends += u64::from(is_end);
        if was_over {
            self.ended_twice += 1;
        }
        if (was_over || !is_next) && self.complaints.len() < 20 {
            self.complaints.push(format!("out of place: {event}"));
        }
        if let Some(by) = event["by"].as_str() {
            *self.by.entry(by.to_owned()).or_default() += 1;
        }
    }

    /// Reads the whole feed again from its start: what was read before must be there, unchanged.
    pub fn is_unchanged(&self, client: &mut Client) -> bool {
        let mut again = Self::default();
        again.follow(client, 0, self.events);
        (again.events, again.digest) == (self.events, self.digest)
    }
}
