//! What the answer to a call means for the attempt, and for the service that gave it. Pure.
//!
//! A status that says more about the address, the credentials or the moment than about the order
//! is tried again; one that refuses the order ends it. `docs/steps.md` has the table.

use std::time::Duration;

use super::service::Trouble;
use crate::order::{Outcome, Verdict, shortened};
use crate::outbound::{Answer, CallError};

/// Most characters that are kept of a body that says why something failed.
const SAID_CHARS_MAX: usize = 200;

/// What became of a call.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Judged {
    pub(super) verdict: Verdict,
    /// The service is not well.
    pub(super) trouble: Option<Trouble>,
}

impl Judged {
    /// The service is well, and said this.
    pub(super) fn said(outcome: Outcome) -> Self {
        Self {
            verdict: Verdict::Ended(outcome),
            trouble: None,
        }
    }
}

/// What a status means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meaning {
    /// The body says what became of it.
    Outcome,
    /// Done, and nothing more to say.
    Done,
    /// The outcome comes later.
    Later,
    /// Not now.
    NotNow,
    /// Not now, and not for others either; the step was not done.
    Away,
    /// The same, and nobody knows whether the step was done.
    Broken,
    /// Never.
    Refused,
    /// Nothing that a service may answer, but it did.
    Odd,
}

fn meaning(status: u16) -> Meaning {
    match status {
        200 | 201 => Meaning::Outcome,
        202 => Meaning::Later,
        204 => Meaning::Done,
        408 | 409 | 423 | 425 => Meaning::NotNow,
        // Who is called, and with what: nothing that the order could help.
        300..=399 | 401 | 403 | 404 | 405 | 407 | 421 | 429 | 503 => Meaning::Away,
        400..=499 => Meaning::Refused,
        500..=599 => Meaning::Broken,
        _ => Meaning::Odd,
    }
}

/// What a call about a step means. `read` reads the outcome from a body; `has_effect` says that the
/// step must not be done twice.
pub(super) fn judge(
    answered: Result<Answer, CallError>,
    read: impl Fn(&[u8]) -> Result<Outcome, String>,
    has_effect: bool,
) -> Judged {
    let answer = match answered {
        Ok(answer) => answer,
        Err(error) => return unanswered(&error, has_effect),
    };
    let not_known = |reason: Box<str>| match has_effect {
        true => Outcome::Unknown { reason },
        false => again(reason, None),
    };
    let wish = answer.retry_after_seconds;
    let said = || -> Box<str> { said(&answer) };
    match meaning(answer.status) {
        Meaning::Outcome => Judged::said(match read(&answer.body) {
            Ok(outcome) => outcome,
            Err(detail) => {
                let reason = format!("answered {}, but {detail}", answer.status);
                not_known(shortened(&reason))
            }
        }),
        Meaning::Done => Judged::said(Outcome::Complete { output: None }),
        Meaning::Later => Judged {
            verdict: Verdict::Later,
            trouble: None,
        },
        Meaning::NotNow => Judged::said(again(said(), wish)),
        Meaning::Refused => Judged::said(Outcome::Fail { reason: said() }),
        Meaning::Odd => Judged::said(not_known(said())),
        Meaning::Away => in_trouble(again(said(), wish), said(), wish),
        Meaning::Broken => in_trouble(not_known(said()), said(), None),
    }
}

/// What the answer to the question means what became of an attempt. `None`: it was not made.
pub(super) fn judge_lookup(
    answered: Result<Answer, CallError>,
    read: impl Fn(&[u8]) -> Result<Option<Outcome>, String>,
) -> Option<Judged> {
    let not_known = |detail: &str| Outcome::Unknown {
        reason: shortened(&format!(
            "not known what became of the attempt before: {detail}"
        )),
    };
    let answer = match answered {
        Ok(answer) => answer,
        Err(error) => {
            let outcome = not_known(&error.to_string());
            let judged = unanswered(&error, true);
            return Some(Judged {
                verdict: Verdict::Ended(outcome),
                ..judged
            });
        }
    };
    let detail = said(&answer);
    Some(match meaning(answer.status) {
        Meaning::Outcome => match read(&answer.body) {
            Ok(outcome) => return outcome.map(Judged::said),
            Err(detail) => Judged::said(not_known(&format!(
                "answered {}, but {detail}",
                answer.status
            ))),
        },
        Meaning::Later => Judged {
            verdict: Verdict::Later,
            trouble: None,
        },
        Meaning::Away | Meaning::Broken => {
            in_trouble(not_known(&detail), detail, answer.retry_after_seconds)
        }
        _ => Judged::said(not_known(&detail)),
    })
}

fn unanswered(error: &CallError, has_effect: bool) -> Judged {
    let reason = shortened(&error.to_string());
    let was_sent = error.may_have_arrived();
    let outcome = match has_effect && was_sent {
        true => Outcome::Unknown {
            reason: reason.clone(),
        },
        false => again(reason.clone(), None),
    };
    let is_well = matches!(error, CallError::TooLarge { .. });
    Judged {
        verdict: Verdict::Ended(outcome),
        trouble: (!is_well).then_some(Trouble {
            reason,
            asked: None,
            was_sent,
        }),
    }
}

fn in_trouble(outcome: Outcome, reason: Box<str>, wish_seconds: Option<u32>) -> Judged {
    Judged {
        verdict: Verdict::Ended(outcome),
        trouble: Some(Trouble {
            reason,
            asked: wish_seconds.map(|seconds| Duration::from_secs(seconds.into())),
            was_sent: true,
        }),
    }
}

fn again(reason: Box<str>, wish_seconds: Option<u32>) -> Outcome {
    Outcome::Retry {
        reason,
        retry_after_us: wish_seconds.map(|seconds| i64::from(seconds) * 1_000_000),
    }
}

/// The status, and how the body begins if it is text.
fn said(answer: &Answer) -> Box<str> {
    let text = std::str::from_utf8(&answer.body).unwrap_or_default().trim();
    let text: String = text.chars().take(SAID_CHARS_MAX).collect();
    let colon = if text.is_empty() { "" } else { ": " };
    shortened(&format!("answered {}{colon}{text}", answer.status))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &'static str) -> Result<Answer, CallError> {
        Ok(Answer {
            status,
            retry_after_seconds: Some(7),
            body: body.into(),
        })
    }

    fn good(_: &[u8]) -> Result<Outcome, String> {
        Ok(Outcome::Complete { output: None })
    }

    fn bad(_: &[u8]) -> Result<Outcome, String> {
        Err("it is no JSON".into())
    }

    /// What a status leads to, as one word, for a step without and with an effect.
    fn words(status: u16) -> [String; 2] {
        [false, true].map(|has_effect| {
            let judged = judge(answer(status, "no"), good, has_effect);
            let word = match judged.verdict {
                Verdict::Ended(Outcome::Complete { .. }) => "done",
                Verdict::Ended(Outcome::Retry {
                    retry_after_us: Some(7_000_000),
                    ..
                }) => "again in 7 s",
                Verdict::Ended(Outcome::Retry { .. }) => "again",
                Verdict::Ended(Outcome::Fail { .. }) => "failed",
                Verdict::Ended(Outcome::Unknown { .. }) => "unknown",
                Verdict::Later => "later",
                other => panic!("{other:?}"),
            };
            let mark = if judged.trouble.is_some() { "!" } else { "" };
            format!("{word}{mark}")
        })
    }

    #[test]
    fn each_status_has_its_meaning() {
        for (statuses, plain, with_effect) in [
            (&[200, 201, 204][..], "done", "done"),
            (&[202], "later", "later"),
            (&[408, 409, 423, 425], "again in 7 s", "again in 7 s"),
            (&[429, 503], "again in 7 s!", "again in 7 s!"),
            (
                &[301, 307, 401, 403, 404, 405, 407, 421],
                "again in 7 s!",
                "again in 7 s!",
            ),
            (&[400, 402, 406, 410, 413, 422, 451], "failed", "failed"),
            (&[500, 501, 502, 504], "again!", "unknown!"),
            (&[203, 206, 600], "again", "unknown"),
        ] {
            for status in statuses {
                let [own, effect] = words(*status);
                assert_eq!((&*own, &*effect), (plain, with_effect), "{status}");
            }
        }
    }

    #[test]
    fn what_cannot_be_read_fails_the_attempt_with_its_reason() {
        let judged = judge(answer(200, "{"), bad, false);
        let reason: Box<str> = "answered 200, but it is no JSON".into();
        assert_eq!(judged.verdict, Verdict::Ended(again(reason.clone(), None)));
        assert_eq!(judged.trouble, None);
        let judged = judge(answer(200, "{"), bad, true);
        assert_eq!(judged.verdict, Verdict::Ended(Outcome::Unknown { reason }));
        let Verdict::Ended(Outcome::Fail { reason }) =
            judge(answer(422, " no\nsuch card "), good, false).verdict
        else {
            panic!("not refused");
        };
        assert_eq!(&*reason, "answered 422: no such card");
    }

    #[test]
    fn a_call_that_may_have_arrived_is_not_one_that_did_not() {
        let limit = Duration::from_secs(1);
        let judged = judge(Err(CallError::TimedOut { limit }), good, true);
        assert!(matches!(
            judged.verdict,
            Verdict::Ended(Outcome::Unknown { .. })
        ));
        assert!(judged.trouble.unwrap().was_sent);
        let not_sent = CallError::NotSent {
            detail: "connection refused".into(),
            is_private: false,
        };
        let judged = judge(Err(not_sent), good, true);
        let refused = again("connection refused".into(), None);
        assert_eq!(judged.verdict, Verdict::Ended(refused));
        assert!(!judged.trouble.unwrap().was_sent);
        let judged = judge(Err(CallError::TooLarge { limit: 9 }), good, false);
        assert_eq!(judged.trouble, None);
    }

    #[test]
    fn a_question_has_four_answers() {
        let is_done = |_: &[u8]| good(b"").map(Some);
        let judged = judge_lookup(answer(200, "{}"), is_done).unwrap();
        assert_eq!(judged.verdict, Verdict::Ended(good(b"").unwrap()));
        assert_eq!(judge_lookup(answer(200, "{}"), |_| Ok(None)), None);
        let later = judge_lookup(answer(202, ""), is_done).unwrap();
        assert_eq!(later.verdict, Verdict::Later);
        for status in [204, 404, 422, 429, 500, 503] {
            let judged = judge_lookup(answer(status, ""), is_done).unwrap();
            let reason = format!("not known what became of the attempt before: answered {status}");
            let reason = reason.into();
            assert_eq!(judged.verdict, Verdict::Ended(Outcome::Unknown { reason }));
        }
    }
}
