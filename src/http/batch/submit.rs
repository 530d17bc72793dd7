//! Takes in the orders of a batch that was read, in one flush, each under a key of its own.
//!
//! Reads nothing and writes no answer.

use super::{Item, ItemResult, Read, Unfit};
use crate::engine::{Answer, Batch, SubmitError};
use crate::http::error::ApiError;
use crate::http::{App, idempotency};
use crate::order::{ChangeKey, NewOrder, RequestKey};

/// So many keys are looked up before somebody else has a turn: a repetition of a batch that finds
/// no room looks each of its keys up.
const LOOK_UPS_AT_ONCE: usize = 64;

/// The key of a batch, to be kept with the first of its orders that is accepted.
fn of_whole(key: &RequestKey) -> Box<ChangeKey> {
    Box::new(ChangeKey {
        seq: None,
        is_of_new: true,
        key: key.clone(),
        answer: idempotency::json(b"{}".to_vec()),
    })
}

/// Whether a batch that the engine has answered like this may have come before under its key.
/// Another batch under it is an error, but not once something of this one may be stored.
async fn may_be_again(app: &App, key: &RequestKey, answers: &[Answer]) -> Result<bool, ApiError> {
    let is_refused = |answer: &Answer| match answer {
        Ok(_) => false,
        Err(error) => !is_open(error),
    };
    match answers.iter().all(is_refused) {
        true => idempotency::is_again(app, key).await,
        false => Ok(true),
    }
}

/// Whether there is something under the order's own key, or may be.
fn is_open(error: &SubmitError) -> bool {
    matches!(error, SubmitError::KeyTaken | SubmitError::OutcomeUnknown)
}

/// Submits the good orders in one flush, each under its own key or its place in the batch's.
/// Answers with a result for each order, and whether all good ones had been accepted before.
pub(super) async fn submit(
    app: &App,
    read: Vec<Read>,
    batch_key: Option<RequestKey>,
) -> Result<(Vec<ItemResult>, bool), ApiError> {
    let mut results = Vec::with_capacity(read.len());
    let (mut good, mut places, mut keys) = (Vec::with_capacity(read.len()), Vec::new(), Vec::new());
    let mut unfit = Vec::new();
    let key_at = |at| batch_key.as_ref().map(|batch| batch.of_item(at));
    for (at, order) in read.into_iter().enumerate() {
        match order {
            Ok(Item { order, key }) => {
                let key = key.or_else(|| key_at(at));
                keys.extend(key.map(|key| (good.len(), key)));
                places.push(at);
                good.push(order);
            }
            Err(Unfit { error, key }) => unfit.push((at, key.or_else(|| key_at(at)), error)),
        }
        results.push(ItemResult::Pending);
    }
    let scope = batch_key.as_ref().map_or("", |key| &*key.scope).to_owned();
    // Nothing is under the places of a batch that comes for the first time.
    let may_be_kept = |key: &RequestKey, is_again: bool| is_again || *key.scope != *scope;
    let mut is_again = match &batch_key {
        Some(key) if !unfit.is_empty() => Some(idempotency::is_again(app, key).await?),
        Some(_) => None,
        None => Some(false),
    };
    for (at, key, error) in unfit {
        let key = key.filter(|key| may_be_kept(key, is_again == Some(true)));
        results[at] = resolved(app, at, key.as_ref(), error).await;
    }
    let mut is_replayed = true;
    if !good.is_empty() {
        let answers = take_in(app, good, &keys, batch_key.as_ref()).await?;
        if let (None, Some(key)) = (is_again, &batch_key) {
            is_again = Some(may_be_again(app, key, &answers).await?);
        }
        let mut keys = keys.into_iter().peekable();
        for (index, answer) in answers.into_iter().enumerate() {
            let key = keys.next_if(|(at, _)| *at == index).map(|(_, key)| key);
            let result = match answer {
                Ok(order) => ItemResult::Accepted(order),
                Err(error) => {
                    let is_again = is_again == Some(true) || is_open(&error);
                    let key = key.filter(|key| may_be_kept(key, is_again));
                    resolved(app, index, key.as_ref(), error.into()).await
                }
            };
            is_replayed &= matches!(result, ItemResult::Replayed(_));
            results[places[index]] = result;
        }
    }
    let is_old = |result: &ItemResult| matches!(result, ItemResult::Replayed(_));
    is_replayed &= results.iter().any(is_old);
    Ok((results, is_replayed))
}

/// Has the engine take in orders, those with an index in `keys` under that key.
async fn take_in(
    app: &App,
    orders: Vec<NewOrder>,
    keys: &[(usize, RequestKey)],
    batch_key: Option<&RequestKey>,
) -> Result<Vec<Answer>, ApiError> {
    let kept = |(at, key): &(usize, RequestKey)| (*at, idempotency::with_answer(key));
    let batch = Batch {
        orders,
        keys: keys.iter().map(kept).collect(),
        whole: batch_key.map(of_whole),
    };
    match app.engine.submit_whole(batch).await {
        Ok(answers) => Ok(answers),
        // Another batch has the key, or nobody knows: there is no answer of the whole to repeat.
        Err(error) => {
            let refused = idempotency::resolve(app, batch_key, error.clone().into()).await;
            Err(refused.err().unwrap_or_else(|| error.into()))
        }
    }
}

/// What becomes of an order that is not accepted now. Many look-ups let others have their turn.
async fn resolved(app: &App, at: usize, key: Option<&RequestKey>, refusal: ApiError) -> ItemResult {
    if key.is_some() && at.is_multiple_of(LOOK_UPS_AT_ONCE) {
        tokio::task::yield_now().await;
    }
    match idempotency::resolve(app, key, refusal).await {
        Ok(answer) => ItemResult::Replayed(answer),
        Err(error) => ItemResult::Refused(error),
    }
}
