//! What the model makes of time: durations by the monotonic clock, schedules by the wall clock.
//!
//! Both are compared on the scale of the time that is written down, where they are as late as they
//! are on their own clock.

use orderd::clock::Timestamp;
use orderd::order::{Changed, Event, EventKind, Status};

use super::model::{Difference, Model, Place};

impl Model {
    /// When something that is due at a time of one of the clocks was or will be due, if the time
    /// that is written down had gone by like that clock since.
    pub fn written(&self, clock: Timestamp, due: Timestamp) -> Timestamp {
        self.now.at.plus(due.micros_since(clock))
    }

    pub fn ticks(&self) -> Timestamp {
        Timestamp(self.now.ticks)
    }

    /// The first time on the wall clock at which something happens for certain, whatever chance
    /// says, if that clock does not jump.
    pub fn deadline(&self) -> Option<Timestamp> {
        let moves = self.orders.iter().filter_map(|it| match it.place {
            Place::Date(at) => Some(at),
            Place::Time(_, latest) => Some(self.now.wall.plus(latest.micros_since(self.ticks()))),
            _ => None,
        });
        let ends = self
            .orders
            .iter()
            .filter(|it| it.is_expired(Timestamp::MAX));
        let held = self
            .orders
            .iter()
            .filter(|it| it.is_released(Timestamp::MAX));
        let releases = held.filter_map(|it| it.hold.as_ref()?.until);
        let ends = ends.filter_map(|it| it.expires_at);
        moves.chain(ends).chain(releases).min()
    }

    /// Something whose time has come. Times never run backwards: `floor` is the latest so far.
    pub fn timed(
        &mut self,
        event: &Event,
        floor: Timestamp,
        changed: &[Changed],
    ) -> Result<Timestamp, Difference> {
        let (now, wall) = (event.at, self.now.wall);
        let at = self.at(event.seq);
        let entry = &self.orders[at];
        let (earliest, latest) = match (event.kind, entry.place) {
            (EventKind::Expired, _) if entry.is_expired(wall) => {
                let at = self.written(wall, entry.expires_at.unwrap_or_default());
                (at, at)
            }
            (EventKind::Expired, _) => return Err(format!("{event:?} too early: {entry:?}")),
            (EventKind::Released, _) if entry.is_released(wall) => {
                let at = entry.hold.as_ref().and_then(|hold| hold.until);
                let at = self.written(wall, at.unwrap_or_default());
                (at, at)
            }
            (_, Place::Date(at)) => {
                let at = self.written(wall, at);
                (at, at)
            }
            (_, Place::Time(earliest, latest)) => {
                let written = |due| self.written(self.ticks(), due);
                (written(earliest), written(latest))
            }
            _ => return Err(format!("{event:?} of an order without a timer: {entry:?}")),
        };
        if earliest > now || latest < floor {
            return Err(format!("{event:?} at the wrong time, {floor:?}: {entry:?}"));
        }
        match (event.kind, entry.status) {
            (EventKind::Expired, _) => {
                self.apply(
                    at,
                    EventKind::Expired,
                    Status::Expired { ended_at: now },
                    now,
                );
                self.orders[at].place = Place::Nothing;
                self.expect(event)?;
            }
            (EventKind::Released, _) => {
                self.release(at, now);
                self.expect(event)?;
            }
            (EventKind::Ready, Status::Scheduled { .. }) => {
                self.apply(at, EventKind::Ready, Status::Pending { ready_at: now }, now);
                self.orders[at].place = Place::Commit;
                self.expect(event)?;
            }
            (_, Status::Processing { .. }) => self.finish(at, event, changed)?,
            (_, Status::Compensating { .. }) => self.undo_finished(at, event)?,
            (_, Status::Waiting { .. }) => self.time_is_up(at, event, changed)?,
            _ => return Err(format!("{event:?} of {entry:?}")),
        }
        Ok(floor.max(earliest))
    }

    /// After the timers: whatever was due for certain has happened.
    pub fn nobody_is_late(&mut self) -> Result<(), Difference> {
        let (wall, ticks, position) = (self.now.wall, self.ticks(), self.position.next());
        for entry in &mut self.orders {
            match (entry.place, entry.status) {
                (Place::Time(due, _), Status::Pending { ready_at }) if due <= ticks => {
                    entry.place = match entry.hold {
                        _ if entry.position == position => Place::Commit,
                        Some(_) => Place::Held,
                        None => Place::Turn(ready_at),
                    };
                }
                (Place::Time(due, _), Status::Compensating { .. })
                    if entry.undo_lease == 0 && due <= ticks =>
                {
                    entry.place = Place::Turn(entry.undo_due);
                }
                (Place::Time(_, latest), _) if latest <= ticks => {
                    return Err(format!("missed its time: {entry:?}"));
                }
                (Place::Date(at), _) if at <= wall => {
                    return Err(format!("missed its date: {entry:?}"));
                }
                _ => {}
            }
            if entry.is_expired(wall) {
                return Err(format!("should have expired: {entry:?}"));
            }
            if entry.is_released(wall) {
                return Err(format!("should have been released: {entry:?}"));
            }
        }
        Ok(())
    }
}
