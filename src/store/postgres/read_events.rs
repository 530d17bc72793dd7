//! What `store::follow` asks of a PostgreSQL journal. How events follow from its rows is said
//! there, and only there.

use std::collections::BTreeMap;

use super::connect::Link;
use super::read::{self, Read, column};
use crate::order::{Order, OrderId, Position, Seq};
use crate::store::JournalRow;
use crate::store::feed::Subject;
use crate::store::follow::Source;

impl Source for &Link {
    async fn rows(&mut self, after: Position, limit: usize) -> Read<Vec<JournalRow>> {
        read::journal(self, after, limit).await
    }

    async fn hash(&mut self, position: Position) -> Read<Option<[u8; 32]>> {
        let sql = "SELECT hash FROM journal WHERE position = $1";
        let rows = self.query(sql, &[&position.0]).await?;
        rows.first().map(|row| read::hash(row, 0)).transpose()
    }

    async fn order(&mut self, id: &OrderId) -> Read<Option<Order>> {
        read::order(self, id).await
    }

    async fn subjects(&mut self, seqs: Vec<i64>) -> Read<BTreeMap<Seq, Subject>> {
        let sql = "SELECT seq, id, customer_id, process FROM orders WHERE seq = ANY ($1)";
        let mut subjects = BTreeMap::new();
        for row in &self.query(sql, &[&seqs]).await? {
            let subject = Subject::read(column(row, 1)?, column(row, 2)?, column(row, 3)?);
            if let Some(subject) = subject {
                subjects.insert(Seq(column(row, 0)?), subject);
            }
        }
        Ok(subjects)
    }
}
