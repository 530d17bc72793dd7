//! Receivers of webhooks on MySQL: small transactions on a connection of their own, beside that of
//! the commits.
//!
//! Says nothing about orders.

use super::Mysql;
use super::error::refused;
use super::read::{as_limit, column};
use super::text::Sql;
use crate::store::{KeptDelivery, KeptWebhook, Ledger, Note, Reading, StoreError};

impl Mysql {
    /// Does something on the connection of the clerk, all or nothing.
    async fn note_down(&self, sql: Sql) -> Result<(), StoreError> {
        let sql = sql.into_bytes();
        let work = self.clerk.ask(move |link| {
            let sql = sql.clone();
            Box::pin(async move {
                let done = link.ask_all(sql).await.map(drop);
                if done.is_err() {
                    link.roll_back().await;
                }
                done.map_err(refused)
            })
        });
        work.await
    }
}

impl Ledger for Mysql {
    fn webhooks(&self) -> Reading<'_, Vec<KeptWebhook>> {
        Box::pin(self.points.ask(|link| {
            Box::pin(async {
                let sql = "SELECT id, settings, progress FROM webhooks ORDER BY id";
                let rows = link.query(sql, ()).await?;
                let text = |row, at| column::<String>(row, at).map(Box::from);
                let webhooks = rows.iter().map(|row| {
                    Ok(KeptWebhook {
                        id: text(row, 0)?,
                        settings: text(row, 1)?,
                        progress: text(row, 2)?,
                    })
                });
                webhooks.collect()
            })
        }))
    }

    fn keep_webhook(&self, webhook: KeptWebhook) -> Reading<'_, ()> {
        let mut sql = Sql::default();
        sql.raw("INSERT INTO webhooks (id, settings, progress) VALUES (")
            .text(&webhook.id)
            .raw(", ")
            .text(&webhook.settings)
            .raw(", ")
            .text(&webhook.progress)
            .raw(
                ") ON DUPLICATE KEY
                   UPDATE settings = VALUES(settings), progress = VALUES(progress)",
            );
        Box::pin(self.note_down(sql))
    }

    fn forget_webhook(&self, id: Box<str>) -> Reading<'_, ()> {
        let mut sql = Sql::default();
        sql.raw("BEGIN;\nDELETE FROM webhook_deliveries WHERE webhook = ")
            .text(&id)
            .raw(";\nDELETE FROM webhooks WHERE id = ")
            .text(&id)
            .raw(";\nCOMMIT");
        Box::pin(self.note_down(sql))
    }

    fn note(&self, note: Note) -> Reading<'_, ()> {
        let mut sql = Sql::default();
        sql.raw("BEGIN;\nUPDATE webhooks SET progress = ")
            .text(&note.progress)
            .raw(" WHERE id = ")
            .text(&note.webhook);
        for report in &note.reports {
            sql.raw(";\nINSERT INTO webhook_deliveries (webhook, report) SELECT id, ")
                .text(report)
                .raw(" FROM webhooks WHERE id = ")
                .text(&note.webhook);
        }
        // A statement may not delete from what it selects from, unless that is gathered first.
        sql.raw(";\nDELETE FROM webhook_deliveries WHERE webhook = ")
            .text(&note.webhook)
            .raw(
                " AND number <= (SELECT number FROM
                    (SELECT number FROM webhook_deliveries WHERE webhook = ",
            )
            .text(&note.webhook)
            .raw(" ORDER BY number DESC LIMIT 1 OFFSET ")
            .number(note.reports_max)
            .raw(") AS oldest);\nCOMMIT");
        Box::pin(self.note_down(sql))
    }

    fn deliveries(
        &self,
        webhook: Box<str>,
        before: i64,
        limit: usize,
    ) -> Reading<'_, Vec<KeptDelivery>> {
        Box::pin(self.points.ask(move |link| {
            let webhook = webhook.clone();
            Box::pin(async move {
                let sql = "SELECT number, report FROM webhook_deliveries
                            WHERE webhook = ? AND number < ? ORDER BY number DESC LIMIT ?";
                let values = (&*webhook, before, as_limit(limit));
                let rows = link.query(sql, values).await?;
                let deliveries = rows.iter().map(|row| {
                    Ok(KeptDelivery {
                        number: column(row, 0)?,
                        report: column::<String>(row, 1)?.into(),
                    })
                });
                deliveries.collect()
            })
        }))
    }
}
