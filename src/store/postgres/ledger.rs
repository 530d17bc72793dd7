//! Receivers of webhooks on PostgreSQL: single statements on a connection of their own, beside that
//! of the commits.
//!
//! Says nothing about orders.

use tokio_postgres::types::ToSql;

use super::Postgres;
use super::read::column;
use crate::store::{KeptDelivery, KeptWebhook, Ledger, Note, Reading, StoreError};

impl Postgres {
    async fn note_down(
        &self,
        sql: &'static str,
        values: &[&(dyn ToSql + Sync)],
    ) -> Result<(), StoreError> {
        self.clerk.link().await?.query(sql, values).await?;
        Ok(())
    }
}

impl Ledger for Postgres {
    fn webhooks(&self) -> Reading<'_, Vec<KeptWebhook>> {
        Box::pin(async {
            let sql = "SELECT id, settings::text, progress::text FROM webhooks ORDER BY id";
            let rows = self.points.link().await?.query(sql, &[]).await?;
            let text = |row, at| column::<&str>(row, at).map(Box::from);
            let webhooks = rows.iter().map(|row| {
                Ok(KeptWebhook {
                    id: text(row, 0)?,
                    settings: text(row, 1)?,
                    progress: text(row, 2)?,
                })
            });
            webhooks.collect()
        })
    }

    fn keep_webhook(&self, webhook: KeptWebhook) -> Reading<'_, ()> {
        Box::pin(async move {
            let sql = "INSERT INTO webhooks (id, settings, progress)
                            VALUES ($1, $2::text::json, $3::text::json)
                       ON CONFLICT (id) DO UPDATE
                         SET settings = excluded.settings, progress = excluded.progress";
            let KeptWebhook {
                id,
                settings,
                progress,
            } = webhook;
            let values: [&(dyn ToSql + Sync); 3] = [&&*id, &&*settings, &&*progress];
            self.note_down(sql, &values).await
        })
    }

    fn forget_webhook(&self, id: Box<str>) -> Reading<'_, ()> {
        Box::pin(async move {
            let sql = "WITH reports AS (DELETE FROM webhook_deliveries WHERE webhook = $1)
                       DELETE FROM webhooks WHERE id = $1";
            self.note_down(sql, &[&&*id]).await
        })
    }

    fn note(&self, note: Note) -> Reading<'_, ()> {
        Box::pin(async move {
            // What a statement deletes was there before it: a few reports more than asked for stay.
            let sql = "WITH moved AS
                         (UPDATE webhooks SET progress = $2::text::json WHERE id = $1 RETURNING id),
                       added AS
                         (INSERT INTO webhook_deliveries (webhook, report)
                          SELECT moved.id, r.report::json
                            FROM moved, unnest($3::text[]) WITH ORDINALITY AS r (report, place)
                           ORDER BY r.place)
                       DELETE FROM webhook_deliveries WHERE webhook = $1 AND number <=
                         (SELECT number FROM webhook_deliveries WHERE webhook = $1
                           ORDER BY number DESC LIMIT 1 OFFSET $4)";
            let reports: Vec<&str> = note.reports.iter().map(|report| &**report).collect();
            let kept = i64::from(note.reports_max);
            let values: [&(dyn ToSql + Sync); 4] =
                [&&*note.webhook, &&*note.progress, &reports, &kept];
            self.note_down(sql, &values).await
        })
    }

    fn deliveries(
        &self,
        webhook: Box<str>,
        before: i64,
        limit: usize,
    ) -> Reading<'_, Vec<KeptDelivery>> {
        Box::pin(async move {
            let sql = "SELECT number, report::text FROM webhook_deliveries
                        WHERE webhook = $1 AND number < $2 ORDER BY number DESC LIMIT $3";
            let limit = i64::try_from(limit).unwrap_or(i64::MAX);
            let values: [&(dyn ToSql + Sync); 3] = [&&*webhook, &before, &limit];
            let rows = self.points.link().await?.query(sql, &values).await?;
            let deliveries = rows.iter().map(|row| {
                Ok(KeptDelivery {
                    number: column(row, 0)?,
                    report: column::<&str>(row, 1)?.into(),
                })
            });
            deliveries.collect()
        })
    }
}
