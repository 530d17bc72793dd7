//! Receivers of webhooks on SQLite: small transactions of the one writer, between commits.
//!
//! Says nothing about orders.

use rusqlite::{Connection, params};

use super::keys;
use super::read::{Read, as_limit, collect};
use super::row::unreadable;
use super::{Pen, Sqlite, lock};
use crate::store::error::given_up;
use crate::store::{AnswerUnder, KeptDelivery, KeptWebhook, Ledger, Note, Reading, StoreError};

impl Sqlite {
    /// One transaction of the writer, on a thread that may block.
    async fn note_down<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let pen = std::sync::Arc::clone(&self.pen);
        let task = tokio::task::spawn_blocking(move || {
            let mut pen = lock(&pen);
            let Pen { writer, .. } = pen.as_mut().ok_or_else(given_up)?;
            writer.beside(work)
        });
        task.await.map_err(|error| StoreError::Unknown {
            detail: error.to_string(),
        })?
    }
}

impl Ledger for Sqlite {
    fn webhooks(&self) -> Reading<'_, Vec<KeptWebhook>> {
        Box::pin(self.scan(webhooks))
    }

    fn keep_webhook(&self, webhook: KeptWebhook, under: Option<AnswerUnder>) -> Reading<'_, bool> {
        Box::pin(self.note_down(move |connection| {
            if let Some(under) = &under {
                let kept = (&under.key, &under.answer);
                let times = (under.kept_at, under.expired_before);
                if !keys::claim(connection, times, kept, None)? {
                    return Ok(false);
                }
            }
            let sql = "INSERT INTO webhooks (id, settings, progress) VALUES (?1, ?2, ?3)
                       ON CONFLICT (id) DO UPDATE
                         SET settings = excluded.settings, progress = excluded.progress";
            let KeptWebhook {
                id,
                settings,
                progress,
            } = webhook;
            connection.execute(sql, params![id, settings, progress])?;
            Ok(true)
        }))
    }

    fn forget_webhook(&self, id: Box<str>) -> Reading<'_, ()> {
        Box::pin(self.note_down(move |connection| {
            let of_it = "DELETE FROM webhook_deliveries WHERE webhook = ?1";
            connection.execute(of_it, [&id])?;
            connection.execute("DELETE FROM webhooks WHERE id = ?1", [&id])?;
            Ok(())
        }))
    }

    fn note(&self, note: Note) -> Reading<'_, ()> {
        Box::pin(self.note_down(move |connection| noted(connection, &note)))
    }

    fn deliveries(
        &self,
        webhook: Box<str>,
        before: i64,
        limit: usize,
    ) -> Reading<'_, Vec<KeptDelivery>> {
        Box::pin(self.scan(move |connection| {
            let sql = "SELECT number, report FROM webhook_deliveries
                        WHERE webhook = ?1 AND number < ?2 ORDER BY number DESC LIMIT ?3";
            let mut statement = connection.prepare_cached(sql).map_err(unreadable)?;
            let rows = statement.query(params![webhook, before, as_limit(limit)]);
            collect(rows.map_err(unreadable)?, |row| {
                Ok(KeptDelivery {
                    number: row.get(0).map_err(unreadable)?,
                    report: row.get(1).map_err(unreadable)?,
                })
            })
        }))
    }
}

fn webhooks(connection: &Connection) -> Read<Vec<KeptWebhook>> {
    let sql = "SELECT id, settings, progress FROM webhooks ORDER BY id";
    let mut statement = connection.prepare_cached(sql).map_err(unreadable)?;
    let rows = statement.query([]).map_err(unreadable)?;
    collect(rows, |row| {
        Ok(KeptWebhook {
            id: row.get(0).map_err(unreadable)?,
            settings: row.get(1).map_err(unreadable)?,
            progress: row.get(2).map_err(unreadable)?,
        })
    })
}

fn noted(connection: &Connection, note: &Note) -> rusqlite::Result<()> {
    let sql = "UPDATE webhooks SET progress = ?2 WHERE id = ?1";
    let mut statement = connection.prepare_cached(sql)?;
    if statement.execute(params![note.webhook, note.progress])? == 0 {
        return Ok(());
    }
    let sql = "INSERT INTO webhook_deliveries (webhook, report) VALUES (?1, ?2)";
    let mut statement = connection.prepare_cached(sql)?;
    for report in &note.reports {
        statement.execute(params![note.webhook, report])?;
    }
    let sql = "DELETE FROM webhook_deliveries WHERE webhook = ?1 AND number <=
                 (SELECT number FROM webhook_deliveries WHERE webhook = ?1
                   ORDER BY number DESC LIMIT 1 OFFSET ?2)";
    let mut statement = connection.prepare_cached(sql)?;
    statement.execute(params![note.webhook, note.reports_max])?;
    Ok(())
}
