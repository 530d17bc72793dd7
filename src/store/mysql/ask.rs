//! Which new orders of a commit can be stored: asked in a transaction that goes on with the commit.
//!
//! Decides nothing but: is the id free, is the key free. Each key counts for the first order under
//! it that is stored.

use std::collections::BTreeSet;

use super::changes;
use super::connect::Link;
use super::error::refused;
use super::read::column;
use super::text::Sql;
use super::transaction::forget;
use crate::order::{Commit, Receipt};
use crate::store::StoreError;

/// What is taken already, and the shard is still ours.
pub(super) struct Taken {
    ids: BTreeSet<String>,
    keys: BTreeSet<(String, String)>,
}

impl Taken {
    /// Begins a transaction, locks the shard's row, removes keys that are over, and looks which ids
    /// and keys are taken: all in one go.
    pub(super) async fn ask(link: &mut Link, commit: &Commit) -> Result<Self, StoreError> {
        let answers = link.ask_all(question(commit)).await.map_err(refused)?;
        let mut answers = answers.into_iter().skip(1);
        let mut next = || answers.next().unwrap_or_default();
        if next().is_empty() {
            return Err(StoreError::Fenced);
        }
        let ids = next();
        let ids = ids.iter().map(|row| column(row, 0));
        let keys = if commit.keys.is_empty() {
            Vec::new()
        } else {
            next();
            next()
        };
        let keys = keys
            .iter()
            .map(|row| Ok((column(row, 0)?, column(row, 1)?)));
        Ok(Self {
            ids: ids.collect::<Result<_, _>>()?,
            keys: keys.collect::<Result<_, StoreError>>()?,
        })
    }

    /// Which orders are to be left out.
    pub(super) fn receipt(mut self, commit: &Commit) -> Receipt {
        let mut receipt = Receipt::default();
        let mut records = commit.keys.iter().peekable();
        for (at, order) in commit.created.iter().enumerate() {
            let record = records.next_if(|record| record.created == at);
            let key = record.map(|it| (it.key.scope.to_string(), it.key.key.to_string()));
            if key.as_ref().is_some_and(|key| self.keys.contains(key)) {
                receipt.collided.push(at);
                receipt.keys_taken.push(at);
            } else if !self.ids.insert(order.id.as_str().into()) {
                receipt.collided.push(at);
            } else {
                self.keys.extend(key);
            }
        }
        receipt
    }
}

fn question(commit: &Commit) -> Vec<u8> {
    let mut sql = Sql::default();
    sql.raw("BEGIN;\nSELECT 1 FROM shards WHERE shard = ")
        .number(commit.shard.0)
        .raw(" AND epoch = ")
        .number(commit.epoch)
        .raw(" AND position = ")
        .number(commit.position.0 - 1)
        .raw(" FOR UPDATE;\nSELECT id FROM orders WHERE id IN (");
    for (at, order) in commit.created.iter().enumerate() {
        sql.raw(if at == 0 { "" } else { "," })
            .text(order.id.as_str());
    }
    sql.raw(")");
    if !commit.keys.is_empty() {
        let keys = || commit.keys.iter().map(|record| &record.key);
        sql.raw(";\n");
        forget(&mut sql, keys(), commit.keys_expired_before.0);
        sql.raw(";\nSELECT k.scope, k.`key` FROM ");
        changes::keys(&mut sql, keys());
        sql.raw(
            " STRAIGHT_JOIN idempotency_keys k
                 ON k.scope = n.scope AND k.`key` = n.`key`",
        );
    }
    sql.into_bytes()
}
