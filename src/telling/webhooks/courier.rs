//! The courier of one receiver: reads what is next for it, has it carried there, notes how far it
//! is, and waits.
//!
//! What it holds is bounded by one round. It notes at most once a second, and what was carried
//! since then is carried again after a crash.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::endpoint::Endpoint;
use super::kept::{Failing, Pause, Replay};
use super::round::{Hall, REPORTS_MAX, Round};
use super::{Desk, lock};
use crate::clock;
use crate::faults::{self, Bug};
use crate::store::{EventPlace, Note, StoreError};
use crate::telling::feed::{AWAY, FeedPage};

/// Events of a round.
const ROUND: usize = 256;
/// Orders whose events are under way at the same time.
const SIDE_BY_SIDE: usize = 16;
/// How often is noted how far a receiver is.
const NOTE_EVERY: Duration = Duration::from_secs(1);
/// How often is noted that much passed by that a receiver does not want.
const NOTE_SKIPPED_EVERY: Duration = Duration::from_secs(30);
/// How long news may gather.
const GATHER: Duration = Duration::from_millis(20);
/// Reports that are kept of each receiver.
const REPORTS_KEPT: u32 = 1_000;

struct Courier {
    hall: Arc<Hall>,
    changes: watch::Receiver<u64>,
    closing: watch::Receiver<bool>,
    /// The next round is one of the replay, if there is one.
    is_replays_turn: bool,
    noted_at: Option<Instant>,
    has_unnoted: bool,
    /// Something passed by that is not wanted.
    has_skipped: bool,
    /// The journal is damaged where the receiver is.
    is_at_damage: bool,
}

/// Serves a receiver until it is forgotten or the feed ends.
pub(super) async fn run(desk: Arc<Desk>, endpoint: Arc<Endpoint>) {
    let closing = desk.feed.closing();
    let mut courier = Courier {
        changes: endpoint.changes(),
        hall: Arc::new(Hall::new(desk, endpoint)),
        closing,
        is_replays_turn: false,
        noted_at: None,
        has_unnoted: false,
        has_skipped: false,
        is_at_damage: false,
    };
    while !courier.is_over() {
        courier.step().await;
    }
    if courier.has_unnoted || courier.has_skipped {
        courier.note().await;
    }
}

impl Courier {
    fn is_over(&self) -> bool {
        *self.closing.borrow() || self.hall.endpoint.is_over()
    }

    fn endpoint(&self) -> &Endpoint {
        &self.hall.endpoint
    }

    /// One round, or a wait.
    async fn step(&mut self) {
        if self.changes.has_changed().unwrap_or(false) {
            self.changes.borrow_and_update();
            self.hall.forget_failures();
        }
        if self.endpoint().is_paused() {
            return self.wait(std::future::pending()).await;
        }
        let (after, mut replay) = self.next_part();
        let (desk, filter) = (
            Arc::clone(&self.hall.desk),
            self.endpoint().settings().filter(),
        );
        let page = match desk.feed.catch_up(&filter, after, ROUND).await {
            Ok(page) => page,
            Err(error) => {
                self.cannot_read(&error);
                return self.wait(sleep(AWAY * 5)).await;
            }
        };
        if std::mem::take(&mut self.is_at_damage) {
            self.endpoint().progress(|progress| progress.failing = None);
        }
        let page = until(page, replay.as_ref());
        if !page.events.is_empty() {
            return self.carry(page, replay).await;
        }
        self.has_skipped |= self.move_to(page.end, &mut replay);
        if self.has_skipped {
            self.note_in_time(NOTE_SKIPPED_EVERY).await;
        }
        if page.has_more || self.endpoint().is_replaying() {
            return;
        }
        self.idle(page.end).await;
    }

    /// The journal cannot be read where the receiver is. Damage stays until somebody acts, so it is
    /// shown as the reason, and said once.
    fn cannot_read(&mut self, error: &StoreError) {
        let is_damage = matches!(error, StoreError::BadRow { .. });
        if !is_damage || !self.is_at_damage {
            let webhook = &self.endpoint().id;
            tracing::warn!(%error, %webhook, "a webhook cannot read the journal; it tries again");
        }
        if is_damage && !std::mem::replace(&mut self.is_at_damage, true) {
            let (since, error) = (self.hall.desk.clock.now(), error.to_string().into());
            let failing = Some(Failing { since, error });
            self.endpoint()
                .progress(|progress| progress.failing = failing);
        }
    }

    /// Waits for news, and writes down in between what is not written yet.
    async fn idle(&mut self, end: EventPlace) {
        let noted_ago = self.noted_at.map_or(NOTE_EVERY, |at| at.elapsed());
        let rest = match self.has_unnoted {
            true => NOTE_EVERY.saturating_sub(noted_ago),
            false => Duration::MAX,
        };
        let desk = Arc::clone(&self.hall.desk);
        self.wait(async move {
            tokio::select! {
                _ = desk.feed.goes_on(end) => {}
                () = sleep(rest) => {}
            }
        })
        .await;
        if self.has_unnoted {
            self.note_in_time(NOTE_EVERY).await;
        }
        self.wait(sleep(GATHER)).await;
    }

    /// Where to read on; a replay and what is new take turns.
    fn next_part(&mut self) -> (EventPlace, Option<Replay>) {
        let (at, replay) = self
            .endpoint()
            .progress(|progress| (progress.at, progress.replay));
        self.is_replays_turn = !self.is_replays_turn;
        match replay.filter(|_| self.is_replays_turn) {
            Some(replay) => (replay.at.into(), Some(replay)),
            None => (at.into(), None),
        }
    }

    /// Waits, unless somebody changes something or the feed ends.
    async fn wait(&mut self, what: impl Future<Output = ()>) {
        tokio::select! {
            () = what => {}
            _ = self.changes.changed() => self.hall.forget_failures(),
            _ = self.closing.wait_for(|is_closing| *is_closing) => {}
        }
    }

    /// Has the events of a page carried there. Ends early if somebody changes something, if the
    /// feed ends, or if the receiver is given up.
    async fn carry(&mut self, page: FeedPage, mut replay: Option<Replay>) {
        if faults::is_planted(Bug::PlaceNotedBeforeDelivery) {
            self.move_to(page.end, &mut replay);
            self.note().await;
        }
        let round = Arc::new(Round::new(Arc::clone(&self.hall), page.events, page.end));
        let mut carriers = JoinSet::new();
        for _ in 0..round.width().min(SIDE_BY_SIDE) {
            carriers.spawn(Arc::clone(&round).carry());
        }
        loop {
            let is_done = tokio::select! {
                carried = carriers.join_next() => carried.is_none(),
                () = sleep(NOTE_EVERY) => false,
                _ = self.changes.changed() => {
                    self.hall.forget_failures();
                    true
                }
                () = self.hall.judged.notified() => true,
                _ = self.closing.wait_for(|is_closing| *is_closing) => true,
            };
            if is_done {
                // Whoever is on the way may arrive, or come again.
                carriers.shutdown().await;
            }
            self.has_unnoted = true;
            if let Some(place) = round.settled() {
                let _ = self.move_to(place, &mut replay);
            }
            let verdict = lock(&self.hall.verdict).take();
            if let Some(reason) = verdict {
                self.pause(reason);
                self.note().await;
            }
            self.note_in_time(NOTE_EVERY).await;
            if is_done {
                return;
            }
        }
    }

    fn pause(&self, reason: String) {
        tracing::warn!(webhook = %self.endpoint().id, reason, "a webhook is paused");
        let pause = Pause {
            reason: reason.into(),
            since: self.hall.desk.clock.now(),
            is_automatic: true,
        };
        self.endpoint()
            .edit(|settings, _| settings.pause = Some(pause));
    }

    /// Everything up to here has arrived, or is not wanted. Whether that is news. `replay` is what
    /// this is a part of; somebody may have put another one in its place.
    fn move_to(&mut self, place: EventPlace, replay: &mut Option<Replay>) -> bool {
        self.hall.endpoint.progress(|progress| {
            let before = (progress.at, progress.replay);
            match replay {
                None => progress.at = place.max(progress.at.into()).into(),
                Some(mine) if progress.replay == Some(*mine) => {
                    mine.at = place.into();
                    progress.replay = Some(*mine).filter(|it| place < it.until.into());
                }
                Some(_) => {}
            }
            let has_moved = before != (progress.at, progress.replay);
            if has_moved {
                progress.failing = None;
            }
            has_moved
        })
    }

    async fn note_in_time(&mut self, every: Duration) {
        let is_time = self.noted_at.is_none_or(|at| at.elapsed() >= every);
        if is_time {
            self.note().await;
        }
    }

    /// Writes down how far the receiver is, and what became of deliveries.
    async fn note(&mut self) {
        let endpoint = Arc::clone(&self.hall.endpoint);
        let Ok(_turn) = endpoint.turn().await else {
            return;
        };
        let kept = endpoint.kept();
        let note = Note {
            webhook: kept.id.clone(),
            progress: kept.progress.clone(),
            reports: self.hall.take_reports(),
            reports_max: REPORTS_KEPT,
        };
        debug_assert!(note.reports.len() <= REPORTS_MAX);
        let written = async {
            let ledger = self.hall.desk.ledger()?;
            if endpoint.is_paused() {
                ledger.keep_webhook(kept, None).await?;
            }
            ledger.note(note).await
        };
        match written.await {
            Ok(()) => (self.has_unnoted, self.has_skipped) = (false, false),
            Err(error) => {
                tracing::warn!(%error, webhook = %endpoint.id, "a webhook's progress is not kept");
            }
        }
        self.noted_at = Some(clock::monotonic());
    }
}

/// The part of a page that belongs to a replay.
fn until(mut page: FeedPage, replay: Option<&Replay>) -> FeedPage {
    let Some(replay) = replay else { return page };
    let last: EventPlace = replay.until.into();
    page.events.retain(|event| event.place <= last);
    if page.end >= last || !page.has_more {
        page.end = last;
    }
    page
}
