//! Renders the requests of a scenario: the bodies are the scenario's, the heads are what its load
//! tool sends. Pure.

use crate::cli::client::Target;
use crate::cli::scenario::{Door, Slot, Stage, Wire};

/// Renders the requests of one stage.
#[derive(Debug)]
pub struct Script {
    target: Target,
    door: Door,
    stage: Stage,
    seed: u64,
    suffix: String,
}

impl Script {
    /// Requests of a stage for a door of `target`; chosen ids end with `suffix`.
    pub fn new(target: &Target, door: Door, stage: Stage, (seed, suffix): (u64, &str)) -> Self {
        Self {
            target: target.clone(),
            door,
            stage,
            seed,
            suffix: suffix.to_owned(),
        }
    }

    /// Replaces `out` by the request of order `number`, and answers its id if it has one.
    pub fn render(&self, number: u64, out: &mut Vec<u8>) -> Option<String> {
        let slot = Slot {
            number,
            seed: self.seed,
            suffix: &self.suffix,
        };
        let written = (self.stage.order)(&slot);
        let bytes = written.body.len();
        out.clear();
        match self.stage.wire {
            Wire::Kept | Wire::Single => {
                self.target
                    .write_post(self.door.path, "application/json", bytes, out);
            }
            Wire::ApacheBench => out.extend_from_slice(self.apache_head(bytes).as_bytes()),
        }
        out.extend_from_slice(written.body.as_bytes());
        written.id
    }

    fn apache_head(&self, body_bytes: usize) -> String {
        let (path, host) = (self.door.path, self.target.authority());
        format!(
            "POST {path} HTTP/1.0\r\nContent-length: {body_bytes}\r\n\
             Content-type: application/json\r\nHost: {host}\r\n\
             User-Agent: ApacheBench/2.3\r\nAccept: */*\r\n\r\n"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::scenario;

    fn request(name: &str, url: &str) -> (String, Option<String>) {
        let scenario = scenario::named(name).unwrap();
        let target = Target::parse(url).unwrap();
        let script = Script::new(&target, scenario.door, scenario.stages[0], (1, "-r"));
        let mut out = b"left over".to_vec();
        let id = script.render(7, &mut out);
        (String::from_utf8(out).unwrap(), id)
    }

    #[test]
    fn a_request_of_apache_bench_has_its_216_bytes() {
        let (request, id) = request("two_queue_ab", "http://localhost:8080");
        assert_eq!((request.len(), id), (216, None));
        assert!(request.starts_with("POST /order HTTP/1.0\r\n"), "{request}");
    }

    #[test]
    fn a_chosen_id_is_in_the_body_and_is_told() {
        let (request, id) = request("api_v1_1000", "http://shop:1");
        let (head, body) = request.split_once("\r\n\r\n").unwrap();
        let length = format!("Content-Length: {}", body.len());
        assert!(head.starts_with("POST /api/v1/orders HTTP/1.1\r\nHost: shop:1\r\n"));
        assert!(head.contains(&length), "{head}");
        assert_eq!(id.as_deref(), Some("ORD7-r"));
        assert!(body.starts_with(r#"{"order_id": "ORD7-r", "#), "{body}");
    }
}
