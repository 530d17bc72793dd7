//! Takes in the orders of a batch that was read, in one flush, each under a key of its own.
//!
//! Reads nothing and writes no answer.

use super::{Item, ItemResult, Read, Unfit};
use crate::engine::{KeyOfChanges, SubmitError};
use crate::http::error::ApiError;
use crate::http::{App, idempotency};
use crate::order::RequestKey;

/// So many keys are looked up before somebody else has a turn: a repetition of a batch that finds
/// no room looks each of its keys up.
const LOOK_UPS_AT_ONCE: usize = 64;

/// Has the key of a batch belong to it for good, before any of its orders is taken in. Answers
/// whether it did already.
async fn claim(app: &App, key: &RequestKey) -> Result<bool, ApiError> {
    let under = KeyOfChanges {
        key: key.clone(),
        answer_bytes: 0,
        answer: Box::new(|_, _| Some(idempotency::json(b"{}".to_vec()))),
    };
    match app.engine.change_under(under, Vec::new()).await {
        Ok(_) => Ok(false),
        Err(error) => {
            let first = idempotency::resolve(app, Some(key), error.into()).await;
            first.map(|_| true)
        }
    }
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
    let is_again = match &batch_key {
        Some(key) if !good.is_empty() => claim(app, key).await?,
        // Nothing of it is taken in now, so the key need not belong to it.
        Some(_) => true,
        None => false,
    };
    // A batch that comes for the first time has nothing under its places.
    let may_be_kept = |key: &RequestKey| is_again || *key.scope != *scope;
    for (at, key, error) in unfit {
        let key = key.filter(may_be_kept);
        results[at] = resolved(app, at, key.as_ref(), error).await;
    }
    let mut is_replayed = true;
    if !good.is_empty() {
        let kept = |(at, key): &(usize, RequestKey)| (*at, idempotency::with_answer(key));
        let answers = app
            .engine
            .submit_batch(good, keys.iter().map(kept).collect());
        let mut keys = keys.into_iter().peekable();
        for (index, answer) in answers.await?.into_iter().enumerate() {
            let key = keys.next_if(|(at, _)| *at == index).map(|(_, key)| key);
            let result = match answer {
                Ok(order) => ItemResult::Accepted(order),
                Err(error) => {
                    // Unless it has a twin.
                    let is_open =
                        matches!(error, SubmitError::KeyTaken | SubmitError::OutcomeUnknown);
                    let key = key.filter(|key| is_open || may_be_kept(key));
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
