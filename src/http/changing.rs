//! How a change that somebody asks for gets to the engine, and its answer back.
//!
//! Without an idempotency key the order is read again once the change is on disk. Under a key the
//! answer is kept in the same commit, so it is made of the order as it was read and of what the
//! change makes of it: if something else came in between, the order is read again.

use axum::http::StatusCode;
use axum::response::Response;

use super::error::ApiError;
use super::{App, idempotency, orders, render};
use crate::engine::{ChangeAnswer, KeyOfChanges};
use crate::order::{
    Action, Change, Commit, KeptAnswer, Order, OrderId, Refusal, RequestKey, StatusKind,
};
use crate::server::Room;
use crate::server::idempotency::sent;
use crate::shard::Effect;

/// How often an order is read again that something else changes at the same moment.
const TRIES_MAX: usize = 16;

/// A change of one order.
pub(super) struct Asked {
    pub(super) id: OrderId,
    /// Only if the order has one of these versions; `None`: whatever it has.
    pub(super) versions: Option<Box<[u32]>>,
    pub(super) action: Action,
}

/// Asks for a change, and answers with the order as it is then.
pub(super) async fn ask(
    app: &App,
    asked: &Asked,
    key: Option<RequestKey>,
) -> Result<Response, ApiError> {
    let Some(key) = key else {
        return at_once(app, asked).await;
    };
    match under(app, asked, &key).await {
        Err(refusal) => idempotency::again(app, Some(&key), refusal).await,
        answered => answered,
    }
}

async fn at_once(app: &App, asked: &Asked) -> Result<Response, ApiError> {
    let Asked {
        id,
        versions,
        action,
    } = asked;
    let order = orders::find(app, id).await?;
    let room = room(app, &order).await?;
    let change = Change {
        seq: order.seq,
        versions: versions.clone(),
        action: action.clone(),
    };
    let answers = app.engine.change(vec![change]).await;
    let answer = answers.map_err(ApiError::change_failed)?.pop();
    match answer {
        // Only the store can say what became of it.
        Some(Err(Refusal::NotOpen)) => {
            let order = orders::find(app, id).await?;
            asked.closed(&order).map(|()| answer_in(room, &order))
        }
        Some(Err(refusal)) => Err(refusal.into()),
        Some(Ok(effect)) => {
            let order = orders::find(app, id).await;
            let order = order.map_err(|_| ApiError::change_made())?;
            let mut response = answer_in(room, &order);
            *response.status_mut() = status(action, effect);
            Ok(response)
        }
        None => Err(ApiError::change_made()),
    }
}

/// What a change is answered with: only a signal is something new.
fn status(action: &Action, effect: Effect) -> StatusCode {
    match (action, effect) {
        (Action::Signal(_), Effect::Made { .. }) => StatusCode::CREATED,
        _ => StatusCode::OK,
    }
}

/// Room for the answer with an order.
async fn room(app: &App, order: &Order) -> Result<Room, ApiError> {
    app.room(render::ORDER_SIZE_HINT + order.payload.len())
        .await
}

fn answer_in(room: Room, order: &Order) -> Response {
    let mut response = orders::answer(order);
    room.keep(&mut response);
    response
}

/// Asks for a change of the very order that was read.
async fn under(app: &App, asked: &Asked, key: &RequestKey) -> Result<Response, ApiError> {
    let mut not_open = None;
    for _ in 0..TRIES_MAX {
        let order = orders::find(app, &asked.id).await?;
        let version = order.state.version;
        let is_open = order.state.status.is_open() && not_open != Some(version);
        if !is_open {
            asked.closed(&order)?;
        } else if !asked.is_for(version) {
            return Err(Refusal::OtherVersion { version }.into());
        }
        let room = room(app, &order).await?;
        let change = is_open.then(|| Change {
            seq: order.seq,
            versions: Some([version].into()),
            action: asked.action.clone(),
        });
        let key = KeyOfChanges {
            key: key.clone(),
            answer_bytes: order.payload.len(),
            answer: {
                let action = asked.action.clone();
                Box::new(move |answers, commit| kept(order, &action, answers, commit))
            },
        };
        let decided = app.engine.change_under(key, Vec::from_iter(change)).await;
        let decided = decided.map_err(ApiError::change_failed)?;
        match (decided.kept, decided.answers.first()) {
            (Some(answer), _) => {
                let mut response = sent(answer);
                room.keep(&mut response);
                return Ok(response);
            }
            (None, Some(Err(Refusal::OtherVersion { .. }))) => {}
            (None, Some(Err(Refusal::NotOpen))) => not_open = Some(version),
            (None, Some(Err(refusal))) => return Err((*refusal).into()),
            (None, Some(Ok(_)) | None) => break,
        }
    }
    Err(ApiError::busy_order())
}

impl Asked {
    fn is_for(&self, version: u32) -> bool {
        let versions = self.versions.as_deref();
        versions.is_none_or(|versions| versions.contains(&version))
    }

    /// Whether an order that is not open is as it should be.
    fn closed(&self, order: &Order) -> Result<(), ApiError> {
        let (status, version): (StatusKind, _) = (order.state.status.kind(), order.state.version);
        if !self.is_for(version) {
            Err(Refusal::OtherVersion { version }.into())
        } else if self.action.is_met_by(order) {
            Ok(())
        } else {
            Err(ApiError::not_open(status, version))
        }
    }
}

/// The answer with the order after its change; `None` if that was refused.
fn kept(
    mut order: Order,
    action: &Action,
    answers: &[ChangeAnswer],
    commit: &Commit,
) -> Option<KeptAnswer> {
    let effect = match answers.first() {
        Some(Err(_)) => return None,
        Some(Ok(effect)) => *effect,
        None => Effect::Nothing,
    };
    if let Effect::Made { .. } = effect {
        order.apply(commit.change_of(order.seq)?);
        let seq = order.seq;
        order.say(commit.outputs.iter().filter(|it| it.seq == seq));
    }
    Some(idempotency::answer(status(action, effect), None, &order))
}
