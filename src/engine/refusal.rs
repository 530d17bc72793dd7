//! After a commit that was definitely not stored: what is left of it is tried again after a pause,
//! without new orders, until it goes through. And who is refused meanwhile.
//!
//! Says in the log when that begins and when it is over, not each time.

use super::run::Turns;
use super::{SubmitError, away};
use crate::store::StoreError;

/// Pause before what is left of a refused commit is tried again, in microseconds.
const PATIENCE_US: i64 = 100_000;

impl Turns {
    /// The commit is definitely not stored: its new orders are taken out of it, and what is left is
    /// tried again.
    ///
    /// Something that is stored may be damaged. If it is in the way of new orders only, they are
    /// refused; otherwise nothing gets better by trying, so the store is opened anew, and if that
    /// does not help the engine ends.
    pub(super) fn take_refusal(&mut self, error: StoreError) -> Result<(), StoreError> {
        let is_damage = matches!(error, StoreError::BadRow { .. });
        if is_damage && self.parts.shard.commit().created.is_empty() {
            return self.reopen(error);
        }
        self.parts.shard.retract();
        self.parts.pressure.tell_room(&self.parts.shard);
        let told = self.note_refusal(&error);
        self.replies.fail(&told);
        if self.parts.shard.commit().is_empty() {
            // Nothing is left of it that an answer rests on.
            self.changes.release();
        } else {
            self.changes.wait(told, self.now);
        }
        Ok(())
    }

    /// Notes that nothing of the commit is stored. Answers with what those who wait for it are
    /// told.
    fn note_refusal(&mut self, error: &StoreError) -> SubmitError {
        if self.refusals == 0 {
            tracing::error!(%error, "a commit was refused; nothing of it is stored");
        }
        self.refusals += 1;
        let told = SubmitError::from_store(error);
        let is_all_gone = self.parts.shard.commit().is_empty();
        self.refused = (!is_all_gone).then(|| (told.clone(), self.now.ticks + PATIENCE_US));
        told
    }

    /// Why no new order is taken at the moment, whatever room there is for it. `None`: the shard
    /// decides.
    pub(super) fn refuses_new(&mut self) -> Option<SubmitError> {
        if let Some((error, _)) = &self.refused {
            return Some(error.clone());
        }
        if self.room.is_away {
            return Some(away::unreachable());
        }
        if self.room.is_weak {
            let detail = "its settings do not keep a commit".into();
            return Some(SubmitError::StoreUnavailable { detail });
        }
        if self.room.is_low {
            self.meters.refused_full += 1;
            let detail = "too little is free on the disk".into();
            return Some(SubmitError::StorageFull { detail });
        }
        None
    }

    /// A commit is stored.
    pub(super) fn note_success(&mut self) {
        if self.refusals > 0 {
            tracing::warn!(refusals = self.refusals, "commits go through again");
        }
        self.refused = None;
        self.refusals = 0;
    }

    /// What is left of a refused commit waits for its next try.
    pub(super) fn is_pausing(&self) -> bool {
        let again_at = self.refused.as_ref().map(|(_, again_at)| *again_at);
        again_at.is_some_and(|again_at| self.now.ticks < again_at)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;
    use std::time::Duration;

    use crate::clock::{ManualClock, Timestamp};
    use crate::engine::tests::{by_hand, checked, order};
    use crate::engine::{Batch, Handle, KeyOfChanges, Stats, SubmitError, Turns};
    use crate::order::{
        Action, Change, ChangeKey, Fingerprint, KeptAnswer, RequestKey, Seq, Signature,
    };
    use crate::shard::Effect;
    use crate::store::StoreError;
    use crate::store::sqlite::Sqlite;

    fn turn(turns: &mut Turns) {
        assert!(turns.turn(Duration::ZERO).unwrap().is_continue());
    }

    /// Lets somebody ask, takes a turn, and answers with what was said.
    async fn ask<T: Send + 'static>(
        turns: &mut Turns,
        asked: impl Future<Output = T> + Send + 'static,
    ) -> T {
        let asked = tokio::spawn(asked);
        tokio::task::yield_now().await;
        turn(turns);
        asked.await.unwrap()
    }

    async fn stats(turns: &mut Turns, handle: &Handle) -> Stats {
        let handle = handle.clone();
        ask(turns, async move { handle.stats().await.unwrap() }).await
    }
    /// Asks for the end of the first order.
    fn cancel(handle: &Handle) -> impl Future<Output = Result<Effect, SubmitError>> + use<> {
        let handle = handle.clone();
        let change = Change {
            seq: Seq(1),
            versions: None,
            action: Action::Cancel(Signature::default()),
        };
        async move {
            let answers = handle.change(vec![change]).await?;
            Ok(answers.into_iter().next().unwrap().unwrap())
        }
    }

    fn submit(
        handle: &Handle,
        id: &'static str,
    ) -> impl Future<Output = Option<SubmitError>> + use<> {
        let (handle, order) = (handle.clone(), Box::new(order(Some(id))));
        async move { handle.submit(order, false).await.err() }
    }

    /// An engine with one order whose work takes long.
    async fn busy(folder: &Path) -> (Arc<Sqlite>, ManualClock, Handle, Turns) {
        let clock = ManualClock::new(Timestamp(1_800_000_000_000_000));
        let (store, handle, mut turns) = by_hand(folder, &clock, checked());
        turn(&mut turns);
        assert_eq!(ask(&mut turns, submit(&handle, "one")).await, None);
        (0..3).for_each(|_| turn(&mut turns));
        (store, clock, handle, turns)
    }

    #[tokio::test]
    async fn after_a_refusal_of_which_nothing_is_left_changes_go_on() {
        let folder = tempfile::tempdir().unwrap();
        let (store, _, handle, mut turns) = busy(folder.path()).await;
        let sql = "CREATE TRIGGER no BEFORE INSERT ON orders BEGIN SELECT RAISE(ABORT, 'no'); END";
        store.run(sql);
        let told = ask(&mut turns, submit(&handle, "two")).await;
        assert!(
            matches!(told, Some(SubmitError::StoreUnavailable { .. })),
            "{told:?}"
        );
        let cancelled = ask(&mut turns, cancel(&handle)).await;
        assert!(
            matches!(cancelled, Ok(Effect::Made { .. })),
            "{cancelled:?}"
        );
        assert!(!stats(&mut turns, &handle).await.is_refused);
    }

    #[tokio::test]
    async fn a_batch_that_the_store_refuses_leaves_its_key_free() {
        let folder = tempfile::tempdir().unwrap();
        let (store, _, handle, mut turns) = busy(folder.path()).await;
        let send = |id, fingerprint| {
            let (handle, batch) = (handle.clone(), keyed_batch(id, fingerprint));
            async move { handle.submit_whole(batch).await }
        };
        store.run("CREATE TRIGGER no BEFORE INSERT ON orders BEGIN SELECT RAISE(ABORT, 'no'); END");
        let refused = ask(&mut turns, send("two", [2; 32])).await.unwrap();
        assert!(
            matches!(&*refused, [Err(SubmitError::StoreUnavailable { .. })]),
            "{refused:?}"
        );
        store.run("DROP TRIGGER no");
        let other = ask(&mut turns, send("three", [3; 32])).await.unwrap();
        assert!(matches!(&*other, [Ok(_)]), "{other:?}");
        let late = ask(&mut turns, send("two", [2; 32])).await;
        assert_eq!(late.unwrap_err(), SubmitError::KeyTaken);
        let again = ask(&mut turns, send("three", [3; 32])).await.unwrap();
        assert!(
            matches!(&*again, [Err(SubmitError::Exists { .. })]),
            "{again:?}"
        );
    }

    /// One order under a key of the batch.
    fn keyed_batch(id: &str, fingerprint: Fingerprint) -> Batch {
        let answer = KeptAnswer {
            status: 200,
            content_type: "application/json".into(),
            location: None,
            etag: None,
            body: (*b"{}").into(),
        };
        let whole = ChangeKey {
            seq: None,
            is_of_new: true,
            key: RequestKey::new("scope", b"k", fingerprint).unwrap(),
            answer,
        };
        Batch {
            orders: vec![order(Some(id))],
            keys: Vec::new(),
            whole: Some(Box::new(whole)),
        }
    }

    /// Nothing can be found out about the key, but the store is there.
    #[tokio::test]
    async fn a_key_that_cannot_be_looked_up_holds_up_nobody_else() {
        let folder = tempfile::tempdir().unwrap();
        let (store, _, handle, mut turns) = busy(folder.path()).await;
        store.run("ALTER TABLE idempotency_keys RENAME TO elsewhere");
        let under = KeyOfChanges {
            key: RequestKey::new("scope", b"k", [7; 32]).unwrap(),
            answer: Box::new(|_, _| None),
            answer_bytes: 0,
        };
        let sender = handle.clone();
        let keyed = tokio::spawn(async move { sender.change_under(under, Vec::new()).await });
        tokio::task::yield_now().await;
        assert_eq!(ask(&mut turns, submit(&handle, "two")).await, None);
        let told = keyed.await.unwrap();
        assert!(
            matches!(told, Err(SubmitError::StoreUnavailable { .. })),
            "{told:?}"
        );
    }

    #[tokio::test]
    async fn while_a_commit_is_tried_again_the_engine_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let (store, clock, handle, mut turns) = busy(folder.path()).await;
        store.run("ALTER TABLE journal RENAME TO elsewhere");
        clock.advance(60_000_000);
        turn(&mut turns);
        assert!(stats(&mut turns, &handle).await.is_refused);
        let told = ask(&mut turns, submit(&handle, "two")).await;
        assert!(
            matches!(told, Some(SubmitError::StoreUnavailable { .. })),
            "{told:?}"
        );
        store.run("ALTER TABLE elsewhere RENAME TO journal");
        clock.advance(100_000);
        turn(&mut turns);
        assert!(!stats(&mut turns, &handle).await.is_refused);
        assert_eq!(ask(&mut turns, submit(&handle, "two")).await, None);
    }

    #[tokio::test]
    async fn what_never_fits_ends_the_engine_after_one_more_look() {
        let folder = tempfile::tempdir().unwrap();
        let (store, _, handle, mut turns) = busy(folder.path()).await;
        let sql = "CREATE TRIGGER no BEFORE UPDATE ON orders BEGIN SELECT RAISE(ABORT, 'no'); END";
        store.run(sql);
        let told = ask(&mut turns, cancel(&handle)).await.unwrap_err();
        assert!(
            matches!(told, SubmitError::StoreUnavailable { .. }),
            "{told:?}"
        );
        // Open orders are brought back, and the one that was worked on goes on: that never fits.
        let end = (0..9).find_map(|_| turns.turn(Duration::ZERO).err());
        assert!(matches!(end, Some(StoreError::BadRow { .. })), "{end:?}");
    }
}
