//! What the server's answers say about each order of a request: accepted, there already, refused.
//! Pure: reads bytes, borrows from them, and never guesses. What cannot be read is said so.

use std::borrow::Cow;

use serde::Deserialize;

/// The problem code of an order whose id is taken.
pub const ORDER_EXISTS: &str = "order-exists";
/// Shown as the code of a refusal that is not a problem document.
const NO_CODE: &str = "no-problem-document";
/// How the body of an accepted order begins when the server writes its id first.
const ID_FIRST: &[u8] = b"{\"order_id\":\"";

/// The answer is no JSON of the expected shape, or is about another number of orders.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the answer cannot be read")]
pub struct Unreadable;

/// A sum of money in minor units.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Money<'a> {
    /// Minor units, for instance cents.
    pub amount: i64,
    /// ISO 4217 code.
    #[serde(borrow)]
    pub currency: Cow<'a, str>,
}

/// What became of one order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome<'a> {
    /// It is stored: the server stands for it.
    Accepted {
        /// Its id.
        id: Cow<'a, str>,
        /// Its total, if it was asked for.
        total: Option<Money<'a>>,
    },
    /// An order with this id was there before.
    Existing {
        /// The id of the order that holds it, if the answer names it.
        id: Option<Cow<'a, str>>,
    },
    /// It was not taken.
    Refused(Refusal<'a>),
}

/// Why an order was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal<'a> {
    /// The HTTP status.
    pub status: u16,
    /// The stable code of the problem.
    pub code: Cow<'a, str>,
    /// The first field that is wrong, if fields are.
    pub field: Option<Field<'a>>,
    /// The problem in a sentence.
    pub detail: Cow<'a, str>,
}

/// A field that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Field<'a> {
    /// JSON pointer to it.
    #[serde(borrow, default)]
    pub pointer: Cow<'a, str>,
    /// The stable code of what is wrong.
    #[serde(borrow, default)]
    pub code: Cow<'a, str>,
    /// What is wrong, in a sentence.
    #[serde(borrow, default)]
    pub detail: Cow<'a, str>,
}

/// How much of an accepted order is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// The id: cheap.
    Id,
    /// Id and total.
    Total,
}

#[derive(Deserialize)]
struct OrderBody<'a> {
    #[serde(borrow)]
    order_id: Cow<'a, str>,
    #[serde(borrow)]
    total: Option<Money<'a>>,
}

#[derive(Default, Deserialize)]
struct ProblemBody<'a> {
    #[serde(borrow)]
    code: Option<Cow<'a, str>>,
    #[serde(borrow)]
    detail: Option<Cow<'a, str>>,
    #[serde(borrow)]
    order_id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    errors: Vec<Field<'a>>,
}

#[derive(Deserialize)]
struct BatchBody<'a> {
    #[serde(borrow)]
    results: Vec<BatchItem<'a>>,
}

#[derive(Deserialize)]
struct BatchItem<'a> {
    status: u16,
    #[serde(borrow)]
    order: Option<OrderBody<'a>>,
    #[serde(borrow)]
    problem: Option<ProblemBody<'a>>,
}

/// The outcome of a request for a single order.
///
/// # Errors
///
/// [`Unreadable`]: a success without an order in it.
pub fn read_one(status: u16, body: &[u8], wanted: Wanted) -> Result<Outcome<'_>, Unreadable> {
    if !is_success(status) {
        return Ok(problem_of(status, body));
    }
    if let (Wanted::Id, Some(id)) = (wanted, id_at_front(body)) {
        return Ok(Outcome::Accepted {
            id: Cow::Borrowed(id),
            total: None,
        });
    }
    let order = serde_json::from_slice(body).map_err(|_| Unreadable)?;
    Ok(accepted(order))
}

/// The outcomes of a batch of `count` orders, in order. A refusal of the whole request is the
/// outcome of each of its orders.
///
/// # Errors
///
/// [`Unreadable`]: a success whose results are not `count` orders and problems.
pub fn read_batch(status: u16, body: &[u8], count: usize) -> Result<Vec<Outcome<'_>>, Unreadable> {
    if !is_success(status) {
        return Ok(vec![problem_of(status, body); count]);
    }
    let batch: BatchBody<'_> = serde_json::from_slice(body).map_err(|_| Unreadable)?;
    if batch.results.len() != count {
        return Err(Unreadable);
    }
    batch.results.into_iter().map(outcome_of).collect()
}

fn outcome_of(item: BatchItem<'_>) -> Result<Outcome<'_>, Unreadable> {
    match (is_success(item.status), item.order) {
        (true, Some(order)) => Ok(accepted(order)),
        (true, None) => Err(Unreadable),
        (false, _) => Ok(refused(item.status, item.problem.unwrap_or_default())),
    }
}

fn accepted(order: OrderBody<'_>) -> Outcome<'_> {
    Outcome::Accepted {
        id: order.order_id,
        total: order.total,
    }
}

fn problem_of(status: u16, body: &[u8]) -> Outcome<'_> {
    refused(status, serde_json::from_slice(body).unwrap_or_default())
}

fn refused(status: u16, problem: ProblemBody<'_>) -> Outcome<'_> {
    if status == 409 && problem.code.as_deref() == Some(ORDER_EXISTS) {
        return Outcome::Existing {
            id: problem.order_id,
        };
    }
    Outcome::Refused(Refusal {
        status,
        code: problem.code.unwrap_or(Cow::Borrowed(NO_CODE)),
        field: problem.errors.into_iter().next(),
        detail: problem.detail.unwrap_or_default(),
    })
}

fn is_success(status: u16) -> bool {
    (200..300).contains(&status)
}

/// The id, if the body begins with it and it needs no unescaping.
fn id_at_front(body: &[u8]) -> Option<&str> {
    let rest = body.strip_prefix(ID_FIRST)?;
    let end = rest.iter().position(|&byte| byte == b'"')?;
    let id = std::str::from_utf8(&rest[..end]).ok()?;
    (!id.contains('\\')).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ORDER: &[u8] = br#"{"order_id":"a-1","items":["x"],"metadata":{"status":"dead"},
        "total":{"amount":250,"currency":"EUR"},"status":"pending"}"#;
    const PROBLEM: &[u8] = br#"{"type":"/errors/invalid-order","status":422,"code":"invalid-order",
        "detail":"1 field is wrong","errors":[{"pointer":"/items/2/quantity",
        "code":"out-of-range","detail":"below \"1\""}]}"#;
    const EXISTS: &[u8] = br#"{"code":"order-exists","order_id":"a-1"}"#;

    fn accepted_id(outcome: &Outcome<'_>) -> String {
        match outcome {
            Outcome::Accepted { id, .. } => id.to_string(),
            other => panic!("not accepted: {other:?}"),
        }
    }

    #[test]
    fn an_accepted_order_gives_its_id_and_on_request_its_total() {
        assert_eq!(
            accepted_id(&read_one(201, ORDER, Wanted::Id).unwrap()),
            "a-1"
        );
        let Ok(Outcome::Accepted { id, total }) = read_one(201, ORDER, Wanted::Total) else {
            panic!("not accepted");
        };
        assert_eq!(id, "a-1");
        assert_eq!(
            total,
            Some(Money {
                amount: 250,
                currency: "EUR".into()
            })
        );
    }

    #[test]
    fn ids_are_found_wherever_they_stand_and_unescaped() {
        for body in [
            r#"{"status":"pending","order_id":"b\"2"}"#,
            r#"{"order_id":"b\"2"}"#,
        ] {
            let outcome = read_one(201, body.as_bytes(), Wanted::Id).unwrap();
            assert_eq!(accepted_id(&outcome), "b\"2");
        }
        assert_eq!(read_one(201, b"{}", Wanted::Id), Err(Unreadable));
        assert_eq!(read_one(201, b"", Wanted::Id), Err(Unreadable));
    }

    #[test]
    fn a_refusal_names_its_first_field() {
        let Ok(Outcome::Refused(refusal)) = read_one(422, PROBLEM, Wanted::Id) else {
            panic!("not refused");
        };
        assert_eq!((refusal.status, &*refusal.code), (422, "invalid-order"));
        let field = refusal.field.unwrap();
        assert_eq!(
            (&*field.pointer, &*field.detail),
            ("/items/2/quantity", "below \"1\"")
        );
    }

    #[test]
    fn what_is_no_problem_document_is_still_a_refusal() {
        let Ok(Outcome::Refused(refusal)) = read_one(502, b"<html>", Wanted::Id) else {
            panic!("not refused");
        };
        assert_eq!((refusal.status, &*refusal.code), (502, NO_CODE));
    }

    #[test]
    fn an_order_that_was_there_is_no_refusal() {
        let existing = read_one(409, EXISTS, Wanted::Id).unwrap();
        assert_eq!(
            existing,
            Outcome::Existing {
                id: Some("a-1".into())
            }
        );
        let other = read_one(409, br#"{"code":"version-conflict"}"#, Wanted::Id).unwrap();
        assert!(matches!(other, Outcome::Refused(_)));
    }

    #[test]
    fn a_batch_has_an_outcome_for_each_order() {
        let text = |bytes| std::str::from_utf8(bytes).unwrap();
        let body = format!(
            r#"{{"results":[{{"status":201,"order":{}}},{{"status":422,"problem":{}}},
                {{"status":409,"problem":{}}}]}}"#,
            text(ORDER),
            text(PROBLEM),
            text(EXISTS),
        );
        let outcomes = read_batch(200, body.as_bytes(), 3).unwrap();
        assert_eq!(accepted_id(&outcomes[0]), "a-1");
        assert!(matches!(&outcomes[1], Outcome::Refused(refusal) if refusal.status == 422));
        assert!(matches!(&outcomes[2], Outcome::Existing { .. }));
        assert_eq!(read_batch(200, body.as_bytes(), 2), Err(Unreadable));
        let whole = read_batch(503, br#"{"code":"overloaded"}"#, 2).unwrap();
        assert!(
            whole
                .iter()
                .all(|o| matches!(o, Outcome::Refused(r) if r.code == "overloaded"))
        );
    }
}
