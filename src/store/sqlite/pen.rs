//! All that writes to a database: its one connection, and the thread that copies its log.
//!
//! Opened whole or not at all; a pen that failed is given up, never mended.

use std::path::Path;

use super::checkpoint::Checkpointer;
use super::renew::Renew;
use super::write::Writer;
use super::{open, row};
use crate::faults::{self, Bug};
use crate::store::{Durability, StoreError};

/// All that writes.
pub(super) struct Pen {
    pub(super) writer: Writer,
    pub(super) checkpointer: Checkpointer,
}

impl Pen {
    pub(super) fn open(path: &Path, renew: &Renew) -> Result<(Self, Durability), StoreError> {
        let (connection, durability) = open::writer(path)?;
        if faults::is_planted(Bug::SynchronousNormal) {
            let set = connection.pragma_update(None, "synchronous", "NORMAL");
            set.map_err(row::refused)?;
        }
        let checkpointer = Checkpointer::start(open::checkpoint_connection(path)?)?;
        let writer = Writer::new(connection, checkpointer.watch())?;
        writer.rewrite(path, renew)?;
        let pen = Self {
            writer,
            checkpointer,
        };
        Ok((pen, durability))
    }
}
