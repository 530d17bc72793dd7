//! The reconciliation of a file: what became of its lines, why lines were refused, and the sum of
//! what was accepted. Pure arithmetic on integers; lines are known by their number only.

use std::collections::BTreeMap;

use serde::Serialize;

use super::answers::{Money, Refusal};

/// Lines shown as examples of a reason: those with the lowest numbers.
const EXAMPLES_MAX: usize = 3;

/// What became of the lines of a file.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Reconciliation {
    /// Lines sent.
    pub lines: u64,
    /// Accepted now.
    pub accepted: u64,
    /// There already, with the same id.
    pub existing: u64,
    /// Refused; the sum over the reasons.
    pub refused: u64,
    /// Sent without a readable answer; the sum over the reasons.
    pub unanswered: u64,
    /// Sent, but given up when the time was over.
    pub aborted: u64,
    /// Sum of the accepted totals by currency, in minor units.
    pub accepted_totals: BTreeMap<String, i128>,
    /// Accepted orders whose answer named no total: they are in no sum.
    pub without_total: u64,
    /// Why lines were refused.
    pub refusals: Vec<Reason>,
    /// Why lines have no answer.
    pub failures: Vec<Reason>,
}

/// Lines that met the same fate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Reason {
    /// The HTTP status; absent when there was no answer.
    pub status: Option<u16>,
    /// The code of the problem, or what failed.
    pub code: String,
    /// The code of the first field that is wrong.
    pub field_code: Option<String>,
    /// The pointer to that field, `*` for numbers in it.
    pub field: Option<String>,
    /// How many lines.
    pub count: u64,
    /// The first of them.
    pub examples: Vec<Example>,
}

/// A line as an example.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Example {
    /// Its number in the file, from 1.
    pub line: u64,
    /// JSON pointer to the field that is wrong.
    pub pointer: Option<String>,
    /// What is wrong, in a sentence.
    pub detail: String,
}

impl Reconciliation {
    /// A line was accepted with this total.
    pub fn accept(&mut self, total: Option<&Money<'_>>) {
        self.lines += 1;
        self.accepted += 1;
        let Some(money) = total else {
            self.without_total += 1;
            return;
        };
        match self.accepted_totals.get_mut(&*money.currency) {
            Some(sum) => *sum += i128::from(money.amount),
            None => {
                self.accepted_totals
                    .insert(money.currency.to_string(), money.amount.into());
            }
        }
    }

    /// A line's order was there already.
    pub fn exists(&mut self) {
        self.lines += 1;
        self.existing += 1;
    }

    /// A line was refused.
    pub fn refuse(&mut self, line: u64, refusal: &Refusal<'_>) {
        self.lines += 1;
        self.refused += 1;
        let field = refusal.field.as_ref();
        let detail = field.map_or(&refusal.detail, |field| &field.detail);
        add(
            &mut self.refusals,
            Reason {
                status: Some(refusal.status),
                code: refusal.code.to_string(),
                field_code: field.map(|field| field.code.to_string()),
                field: field.map(|field| pattern(&field.pointer)),
                count: 1,
                examples: vec![Example {
                    line,
                    pointer: field.map(|field| field.pointer.to_string()),
                    detail: detail.to_string(),
                }],
            },
        );
    }

    /// A line was sent, but no readable answer came: it may or may not be stored.
    pub fn fail(&mut self, line: u64, kind: &str) {
        self.lines += 1;
        self.unanswered += 1;
        let examples = vec![Example {
            line,
            pointer: None,
            detail: String::new(),
        }];
        let code = kind.to_owned();
        let reason = Reason {
            status: None,
            code,
            field_code: None,
            field: None,
            count: 1,
            examples,
        };
        add(&mut self.failures, reason);
    }

    /// Adds what another worker saw.
    pub fn absorb(&mut self, other: Self) {
        self.lines += other.lines;
        self.accepted += other.accepted;
        self.existing += other.existing;
        self.refused += other.refused;
        self.unanswered += other.unanswered;
        self.without_total += other.without_total;
        for (currency, sum) in other.accepted_totals {
            *self.accepted_totals.entry(currency).or_default() += sum;
        }
        other
            .refusals
            .into_iter()
            .for_each(|reason| add(&mut self.refusals, reason));
        other
            .failures
            .into_iter()
            .for_each(|reason| add(&mut self.failures, reason));
    }

    /// Whether every line has a definite fate: an answer, and not one of trouble at the server.
    pub fn is_settled(&self) -> bool {
        let trouble = |reason: &Reason| reason.status.is_some_and(|status| status >= 500);
        self.unanswered + self.aborted == 0 && !self.refusals.iter().any(trouble)
    }
}

fn add(reasons: &mut Vec<Reason>, reason: Reason) {
    let same = |other: &&mut Reason| {
        (other.status, &other.code, &other.field_code, &other.field)
            == (
                reason.status,
                &reason.code,
                &reason.field_code,
                &reason.field,
            )
    };
    match reasons.iter_mut().find(same) {
        None => reasons.push(reason),
        Some(known) => {
            known.count += reason.count;
            known.examples.extend(reason.examples);
            known.examples.sort();
            known.examples.truncate(EXAMPLES_MAX);
        }
    }
    reasons.sort_by(|a, b| {
        let kind = |reason: &Reason| (reason.status, reason.code.clone(), reason.field.clone());
        b.count.cmp(&a.count).then_with(|| kind(a).cmp(&kind(b)))
    });
}

/// The pointer with `*` in place of every number: `/items/*/quantity`.
fn pattern(pointer: &str) -> String {
    let part = |part: &str| {
        let number = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        if number {
            "*".to_owned()
        } else {
            part.to_owned()
        }
    };
    pointer.split('/').map(part).collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::cli::load::answers::Field;

    fn refusal(pointer: &str) -> Refusal<'_> {
        let (code, detail) = ("out-of-range".into(), "quantity is 0".into());
        let field = Some(Field {
            pointer: pointer.into(),
            code,
            detail,
        });
        Refusal {
            status: 422,
            code: "invalid-order".into(),
            field,
            detail: "wrong".into(),
        }
    }

    fn dollars(amount: i64) -> Money<'static> {
        Money {
            amount,
            currency: "USD".into(),
        }
    }

    #[test]
    fn refusals_of_the_same_kind_are_one_reason_with_its_first_lines() {
        let mut seen = Reconciliation::default();
        for line in [9, 4, 7, 2] {
            seen.refuse(line, &refusal(&format!("/items/{line}/quantity")));
        }
        assert_eq!((seen.refused, seen.refusals.len()), (4, 1));
        let reason = &seen.refusals[0];
        assert_eq!(reason.field.as_deref(), Some("/items/*/quantity"));
        let lines: Vec<_> = reason.examples.iter().map(|example| example.line).collect();
        assert_eq!(lines, [2, 4, 7]);
        assert_eq!(
            reason.examples[0].pointer.as_deref(),
            Some("/items/2/quantity")
        );
    }

    #[test]
    fn a_sum_does_not_overflow() {
        let mut seen = Reconciliation::default();
        seen.accept(Some(&dollars(i64::MAX)));
        seen.accept(Some(&dollars(i64::MAX)));
        assert_eq!(seen.accepted_totals["USD"], 2 * i128::from(i64::MAX));
    }

    #[test]
    fn trouble_at_the_server_leaves_a_file_unsettled() {
        let mut seen = Reconciliation::default();
        seen.refuse(1, &refusal("/items/0/quantity"));
        assert!(seen.is_settled());
        let full = Refusal {
            status: 503,
            ..refusal("")
        };
        let mut busy = seen.clone();
        busy.refuse(2, &full);
        assert!(!busy.is_settled());
        seen.fail(2, "timed out");
        assert!(!seen.is_settled());
    }

    proptest! {
        #[test]
        fn workers_together_see_what_one_would_have_seen(
            fates in proptest::collection::vec((0_u8..4, 0_i64..10_000, 0_usize..3), 0..60),
        ) {
            let mut one = Reconciliation::default();
            let mut many = vec![Reconciliation::default(); 3];
            for (line, (fate, amount, worker)) in fates.iter().enumerate() {
                for seen in [&mut one, &mut many[*worker]] {
                    match fate {
                        0 => seen.accept(Some(&dollars(*amount))),
                        1 => seen.exists(),
                        2 => seen.refuse(line as u64, &refusal("/items/1/quantity")),
                        _ => seen.fail(line as u64, "closed"),
                    }
                }
            }
            let mut together = Reconciliation::default();
            many.into_iter().for_each(|seen| together.absorb(seen));
            prop_assert_eq!(together.lines, fates.len() as u64);
            prop_assert_eq!(
                together.lines,
                together.accepted + together.existing + together.refused + together.unanswered
            );
            prop_assert_eq!(together.accepted_totals, one.accepted_totals);
            prop_assert_eq!(together.refusals, one.refusals);
            prop_assert_eq!(together.failures, one.failures);
        }
    }
}
