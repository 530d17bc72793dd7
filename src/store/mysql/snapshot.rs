//! A look at a database in one consistent state, for `orderd verify`: read-only, beside a running
//! server. Takes no lock that a server would wait for.

use std::future::Future;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::connect::{Link, Role, Target};
use super::read::{self, Read};
use super::{error, open};
use crate::order::{Order, Position, Process, ProcessTally, Seq, ShardNumber};
use crate::store::motor::Motor;
use crate::store::{JournalRow, ShardHead, Snapshot, StoreError, Timeouts};

/// A connection with an open transaction, and what moves its bytes.
pub struct View {
    target: Target,
    link: Mutex<Link>,
    motor: Motor,
}

impl View {
    /// Opens the database that `url` names, in one consistent state. Only the copying itself wants
    /// to see what is `half_copied`.
    pub fn open(url: &str, half_copied: bool) -> Result<Self, StoreError> {
        let target = Target::of_url(url, Timeouts::default())?;
        let motor = Motor::while_waiting()?;
        let opening = async {
            let mut link = target.connect(Role::Snapshot).await?;
            if open::check_version(&mut link).await? == 0 {
                return Err(StoreError::Unreadable {
                    detail: format!("there are no orders in {}", target.name()),
                });
            }
            if !half_copied {
                open::check_whole(&mut link).await?;
            }
            let begin = "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY";
            let begun = link.batch(begin).await;
            begun.map_err(error::unreadable)?;
            Ok::<_, StoreError>(link)
        };
        let link = Mutex::new(motor.run(opening)?);
        Ok(Self {
            target,
            link,
            motor,
        })
    }

    fn ask<T: Send>(&self, question: impl Future<Output = Read<T>> + Send) -> Read<T> {
        self.motor.run(question)
    }

    fn link(&self) -> MutexGuard<'_, Link> {
        self.link.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Snapshot for View {
    fn tallies(&self, shard: ShardNumber) -> Read<Vec<ProcessTally>> {
        self.ask(read::tallies(&mut self.link(), shard))
    }

    fn definitions(&self) -> Read<Vec<Process>> {
        self.ask(read::definitions(&mut self.link()))
    }

    fn journal(&self, after: Position, limit: usize) -> Read<Vec<JournalRow>> {
        self.ask(read::journal(&mut self.link(), after, limit))
    }

    fn orders(&self, after: Seq, limit: usize) -> Read<Vec<Order>> {
        self.ask(read::orders_ascending(&mut self.link(), after, limit))
    }

    fn stray_outputs(&self, limit: usize) -> Read<Vec<(Seq, String)>> {
        self.ask(read::stray_outputs(&mut self.link(), limit))
    }

    fn head(&self, shard: ShardNumber) -> Read<Option<ShardHead>> {
        self.ask(read::head(&mut self.link(), shard))
    }

    /// On a connection of its own, because the question ends a transaction.
    fn integrity(&self) -> Read<Vec<String>> {
        self.ask(async {
            let mut link = self.target.connect(Role::Snapshot).await?;
            read::integrity(&mut link).await
        })
    }
}
