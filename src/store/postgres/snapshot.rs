//! A look at a database in one consistent state, for `orderd verify`: read-only, beside a running
//! server. Takes no lock that a server would wait for.

use std::future::Future;

use super::connect::{Link, Role, Target};
use super::read::{self, Read};
use super::{error, open};
use crate::order::{Order, Position, Process, ProcessTally, Seq, ShardNumber};
use crate::store::motor::Motor;
use crate::store::{JournalRow, ShardHead, Snapshot, StoreError, Timeouts};

/// A connection with an open transaction, and what moves its bytes.
pub struct View {
    link: Link,
    motor: Motor,
}

impl View {
    /// Opens the database that `url` names, in one consistent state. Only the copying itself wants
    /// to see what is `half_copied`.
    pub fn open(url: &str, half_copied: bool) -> Result<Self, StoreError> {
        let target = Target::of_url(url, Timeouts::default())?;
        let motor = Motor::while_waiting()?;
        let opening = async {
            let link = target.connect(Role::Snapshot).await?;
            open::check_version(&link.client).await?;
            if !half_copied {
                open::check_whole(&link.client).await?;
            }
            let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
            let begun = link.client.batch_execute(begin).await;
            begun.map_err(error::unreadable)?;
            Ok::<_, StoreError>(link)
        };
        let link = motor.run(opening)?;
        Ok(Self { link, motor })
    }

    fn ask<T: Send>(&self, question: impl Future<Output = Read<T>> + Send) -> Read<T> {
        self.motor.run(question)
    }
}

impl Snapshot for View {
    fn tallies(&self, shard: ShardNumber) -> Read<Vec<ProcessTally>> {
        self.ask(read::tallies(&self.link, shard))
    }

    fn definitions(&self) -> Read<Vec<Process>> {
        self.ask(read::definitions(&self.link))
    }

    fn journal(&self, after: Position, limit: usize) -> Read<Vec<JournalRow>> {
        self.ask(read::journal(&self.link, after, limit))
    }

    fn orders(&self, after: Seq, limit: usize) -> Read<Vec<Order>> {
        self.ask(read::orders_ascending(&self.link, after, limit))
    }

    fn stray_outputs(&self, limit: usize) -> Read<Vec<(Seq, String)>> {
        self.ask(read::stray_outputs(&self.link, limit))
    }

    fn head(&self, shard: ShardNumber) -> Read<Option<ShardHead>> {
        self.ask(read::head(&self.link, shard))
    }

    fn integrity(&self) -> Read<Vec<String>> {
        self.ask(read::integrity(&self.link))
    }
}
