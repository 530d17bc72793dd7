//! What a server answered: the document, or the problem in words, with its place and the way out.
//!
//! Asks nothing.

use serde_json::Value;

use crate::cli::exit::{self, Failure};

/// What a server answered.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The body as it came.
    pub text: String,
    /// The body as JSON, null if it is none.
    pub json: Value,
    /// How to run the command again if the answer does not say what happened.
    again: String,
}

impl Answer {
    pub(super) fn new(status: u16, body: &[u8]) -> Self {
        Self {
            status,
            text: String::from_utf8_lossy(body).into_owned(),
            json: serde_json::from_slice(body).unwrap_or_default(),
            again: String::new(),
        }
    }

    /// The same with another status.
    pub(super) fn with_status(self, status: u16) -> Self {
        Self { status, ..self }
    }

    /// The same, which does not tell what happened: how to run the command again.
    pub(super) fn again(self, again: &str) -> Self {
        let again = again.to_owned();
        Self { again, ..self }
    }

    /// Whether it tells what became of the request. If the answer to the same one was lost before,
    /// a refusal for now does not.
    pub(super) fn tells(&self, is_lost: bool) -> bool {
        let code = self.json["code"].as_str().unwrap_or_default();
        let is_open = matches!(code, "outcome-unknown" | "idempotency-key-in-use");
        !(is_open || is_lost && self.status == 503)
    }

    /// An answer that stands for a part of another one.
    pub fn part(status: u16, json: Value) -> Self {
        let text = json.to_string();
        let again = String::new();
        Self {
            status,
            text,
            json,
            again,
        }
    }

    /// The answer if it is a success, otherwise the problem as people read it.
    ///
    /// # Errors
    ///
    /// [`Failure`] with the code for what was not found, for a conflict, or for any other refusal.
    pub fn success(self) -> Result<Self, Failure> {
        if (200..300).contains(&self.status) {
            return Ok(self);
        }
        let code = match self.status {
            _ if !self.tells(false) => exit::UNKNOWN,
            404 => exit::NOT_FOUND,
            409 | 412 => exit::CONFLICT,
            _ => exit::FAILURE,
        };
        let way_out = match self.again.is_empty() {
            true => way_out(&self.json),
            false => self.again.clone(),
        };
        Err(Failure::new(code, self.problem(), way_out))
    }

    /// The problem document in words: what is wrong, and at which place each time.
    pub fn problem(&self) -> String {
        let text = |key: &str| self.json[key].as_str().map(plain);
        let status = self.status;
        let Some(what) = text("detail").or_else(|| text("title")) else {
            return format!("the server answered {status} without saying why");
        };
        let code = text("code").unwrap_or_default();
        let mut message = format!("{what} ({status} {code})");
        for error in self.json["errors"].as_array().into_iter().flatten() {
            let part = |key: &str| plain(error[key].as_str().unwrap_or_default());
            let line = format!("{}: {}", part("pointer"), part("detail"));
            if line != what {
                message.push_str(&format!("\n  {line}"));
            }
        }
        message
    }
}

/// What to do about a problem, for people at a command line.
fn way_out(problem: &Value) -> String {
    let text = |key: &str| plain(problem[key].as_str().unwrap_or_default());
    let code = text("code");
    let told = match &*code {
        "" => "is it an orderd? name its address with --url",
        "order-not-found" => "`orderd orders list` shows which there are",
        "process-not-found" => "`orderd process list` shows which there are",
        "webhook-not-found" => "`orderd webhooks list` shows which there are",
        "order-exists" => "take another id, or look at that order with `orderd orders get`",
        "order-ended" | "order-not-dead" => {
            "nothing was changed; look at it with `orderd orders get`"
        }
        "version-mismatch" => {
            "nothing was changed; look at it with `orderd orders get`, then ask with that version"
        }
        "invalid-order" | "invalid-change" | "invalid-webhook" | "malformed-json" | "bad-query" => {
            "nothing was changed; mend what is named and run it again"
        }
        "idempotency-key-reused" => "take another --idempotency-key, or leave it out",
        "outcome-unknown" | "idempotency-key-in-use" => "look whether it happened",
        "internal" | "corruption" => {
            let id = text("request_id");
            return format!("tell whoever runs the server, with the request id {id}");
        }
        code => match problem["retry_after"].as_u64() {
            Some(seconds) => return format!("nothing was changed; run it again in {seconds} s"),
            None => return format!("the server explains it at /errors/{code}"),
        },
    };
    told.to_owned()
}

/// A text that came from outside, without control characters: they could steer the terminal.
pub fn plain(text: &str) -> String {
    let harmless = |c: char| if c.is_control() { '\u{fffd}' } else { c };
    text.chars().map(harmless).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::CODES;

    #[test]
    fn a_problem_is_shown_with_each_place() {
        let body = br#"{"status":422,"code":"invalid-order","detail":"the order is not valid",
            "errors":[
                {"pointer":"/items/0/quantity","code":"x","detail":"must be at least 1"},
                {"pointer":"/total","code":"required","detail":"is missing"}
            ]}"#;
        let failure = Answer::new(422, body).success().unwrap_err();
        assert_eq!(
            failure.message,
            "the order is not valid (422 invalid-order)\n  /items/0/quantity: must be at least \
             1\n  /total: is missing\n  nothing was changed; mend what is named and run it again"
        );
        assert_eq!(failure.code, exit::FAILURE);
        let failure = Answer::new(404, b"gone").success().unwrap_err();
        assert_eq!(failure.code, exit::NOT_FOUND);
        assert!(Answer::new(201, b"{}").success().is_ok());
    }

    #[test]
    fn every_code_has_a_way_out() {
        for entry in CODES {
            let problem = format!("{{\"code\":\"{}\",\"detail\":\"x\"}}", entry.name);
            let answer = Answer::new(entry.status, problem.as_bytes());
            let message = answer.success().unwrap_err().message;
            let (what, way_out) = message.split_once("; ").unwrap();
            assert_eq!(what, format!("x ({} {})", entry.status, entry.name));
            assert!(way_out.len() > 10, "{message}");
        }
    }

    #[test]
    fn what_nobody_knows_is_no_other_failure() {
        let unknown = Answer::new(503, br#"{"code":"outcome-unknown","detail":"x"}"#);
        assert!(!unknown.tells(false));
        let failure = unknown.again("run it again with k").success().unwrap_err();
        assert_eq!(failure.code, exit::UNKNOWN);
        assert_eq!(
            failure.message,
            "x (503 outcome-unknown); run it again with k"
        );
        let full = || Answer::new(503, br#"{"code":"overloaded","retry_after":7}"#);
        assert!(full().tells(false) && !full().tells(true));
        let failure = full().success().unwrap_err();
        assert!(
            failure.message.ends_with("run it again in 7 s"),
            "{failure}"
        );
    }

    #[test]
    fn what_comes_from_outside_does_not_steer_the_terminal() {
        assert_eq!(plain("a\x1b[2Jb\n"), "a\u{fffd}[2Jb\u{fffd}");
    }
}
