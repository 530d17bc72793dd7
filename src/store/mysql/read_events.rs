//! What `store::follow` asks of a journal on MySQL. How events follow from its rows is said
//! there, and only there.

use std::collections::BTreeMap;

use super::connect::Link;
use super::read::{self, Read, column};
use super::text::Sql;
use crate::order::{Order, OrderId, Position, Seq};
use crate::store::JournalRow;
use crate::store::feed::Subject;
use crate::store::follow::Source;

impl Source for Link {
    async fn rows(&mut self, after: Position, limit: usize) -> Read<Vec<JournalRow>> {
        read::journal(self, after, limit).await
    }

    async fn hash(&mut self, position: Position) -> Read<Option<[u8; 32]>> {
        let sql = "SELECT hash FROM journal WHERE position = ?";
        let rows = self.query(sql, (position.0,)).await?;
        rows.first().map(|row| read::hash(row, 0)).transpose()
    }

    async fn order(&mut self, id: &OrderId) -> Read<Option<Order>> {
        read::order(self, id).await
    }

    async fn subjects(&mut self, seqs: Vec<i64>) -> Read<BTreeMap<Seq, Subject>> {
        let mut subjects = BTreeMap::new();
        if seqs.is_empty() {
            return Ok(subjects);
        }
        let mut sql = Sql::default();
        sql.raw("SELECT seq, id, customer_id, process FROM orders WHERE seq IN (");
        sql.numbers(seqs).raw(")");
        for row in &self.ask(sql.into_bytes()).await? {
            let texts: (String, String, String) =
                (column(row, 1)?, column(row, 2)?, column(row, 3)?);
            if let Some(subject) = Subject::read(&texts.0, &texts.1, &texts.2) {
                subjects.insert(Seq(column(row, 0)?), subject);
            }
        }
        Ok(subjects)
    }
}
