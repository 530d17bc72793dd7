//! Receivers of webhooks on PostgreSQL: single statements on a connection of their own, beside that
//! of the commits.
//!
//! Each begins with the fence, the row of the shard, and answers with it. Who changes a receiver
//! locks it, so that a server that takes over reads what was kept before. A note does not, because
//! commits would wait for it: the last one of a server that is taken over from may still come, and
//! says what that one has delivered.

use tokio_postgres::types::ToSql;

use super::Postgres;
use super::read::column;
use super::tail::small;
use crate::store::{AnswerUnder, KeptDelivery, KeptWebhook, Ledger, Note, Reading, StoreError};

impl Postgres {
    /// Writes something whose first two values are the fence. Answers whether it was done.
    async fn note_down(
        &self,
        sql: &'static str,
        values: &[&(dyn ToSql + Sync)],
    ) -> Result<bool, StoreError> {
        let (shard, epoch) = self.tenure.now()?;
        let shard = small(shard)?;
        let fence: [&(dyn ToSql + Sync); 2] = [&shard, &epoch];
        let values = [&fence, values].concat();
        let rows = self.clerk.link().await?.query(sql, &values).await?;
        let row = rows.first().ok_or(StoreError::Fenced)?;
        column(row, 0)
    }
}

/// Keeps a receiver.
const KEEP: &str = "WITH own AS MATERIALIZED
                      (SELECT 1 FROM shards WHERE shard = $1 AND epoch = $2 FOR SHARE),
                    kept AS
                      (INSERT INTO webhooks (id, settings, progress)
                       SELECT $3::text, $4::text::json, $5::text::json FROM own
                       ON CONFLICT (id) DO UPDATE
                         SET settings = excluded.settings, progress = excluded.progress)
                    SELECT true FROM own";

/// Keeps a receiver with an answer under a key, unless the key is taken.
const KEEP_UNDER: &str = "WITH own AS MATERIALIZED
     (SELECT 1 FROM shards WHERE shard = $1 AND epoch = $2 FOR SHARE),
   claimed AS
     (INSERT INTO idempotency_keys AS o (scope, key, fingerprint, kept_at, status, content_type,
                                         location, etag, body)
      SELECT $6::text, $7::text, $8::bytea, $9::bigint, $10::integer, $11::text, $12::text,
             $13::text, $14::bytea
        FROM own
      ON CONFLICT (scope, key) DO UPDATE
         SET number = DEFAULT, seq = NULL, fingerprint = excluded.fingerprint,
             kept_at = excluded.kept_at, status = excluded.status,
             content_type = excluded.content_type, location = excluded.location,
             etag = excluded.etag, body = excluded.body
       WHERE o.kept_at < $15
      RETURNING 1),
   kept AS
     (INSERT INTO webhooks (id, settings, progress)
      SELECT $3::text, $4::text::json, $5::text::json FROM claimed
      ON CONFLICT (id) DO UPDATE
        SET settings = excluded.settings, progress = excluded.progress)
   SELECT EXISTS (SELECT 1 FROM claimed) FROM own";

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

    fn keep_webhook(&self, webhook: KeptWebhook, under: Option<AnswerUnder>) -> Reading<'_, bool> {
        Box::pin(async move {
            let KeptWebhook {
                id,
                settings,
                progress,
            } = &webhook;
            let values: [&(dyn ToSql + Sync); 3] = [id, settings, progress];
            let Some(AnswerUnder {
                key,
                answer,
                kept_at,
                expired_before,
            }) = &under
            else {
                return self.note_down(KEEP, &values).await;
            };
            let status = i32::from(answer.status);
            let fingerprint: &[u8] = &key.fingerprint;
            let more: [&(dyn ToSql + Sync); 10] = [
                &key.scope,
                &key.key,
                &fingerprint,
                &kept_at.0,
                &status,
                &answer.content_type,
                &answer.location,
                &answer.etag,
                &&*answer.body,
                &expired_before.0,
            ];
            let values = [&values[..], &more].concat();
            self.note_down(KEEP_UNDER, &values).await
        })
    }

    fn forget_webhook(&self, id: Box<str>) -> Reading<'_, ()> {
        Box::pin(async move {
            let sql = "WITH own AS MATERIALIZED
                         (SELECT 1 FROM shards WHERE shard = $1 AND epoch = $2 FOR SHARE),
                       reports AS (DELETE FROM webhook_deliveries USING own WHERE webhook = $3),
                       gone AS (DELETE FROM webhooks USING own WHERE id = $3)
                       SELECT true FROM own";
            self.note_down(sql, &[&id]).await.map(drop)
        })
    }

    fn note(&self, note: Note) -> Reading<'_, ()> {
        Box::pin(async move {
            // What a statement deletes was there before it: a few reports more than asked for stay.
            let sql = "WITH own AS MATERIALIZED
                         (SELECT 1 FROM shards WHERE shard = $1 AND epoch = $2),
                       moved AS
                         (UPDATE webhooks SET progress = $4::text::json
                            FROM own WHERE id = $3 RETURNING id),
                       added AS
                         (INSERT INTO webhook_deliveries (webhook, report)
                          SELECT moved.id, r.report::json
                            FROM moved, unnest($5::text[]) WITH ORDINALITY AS r (report, place)
                           ORDER BY r.place),
                       dropped AS
                         (DELETE FROM webhook_deliveries USING own WHERE webhook = $3 AND number <=
                           (SELECT number FROM webhook_deliveries WHERE webhook = $3
                             ORDER BY number DESC LIMIT 1 OFFSET $6))
                       SELECT true FROM own";
            let reports: Vec<&str> = note.reports.iter().map(|report| &**report).collect();
            let kept = i64::from(note.reports_max);
            let values: [&(dyn ToSql + Sync); 4] = [&note.webhook, &note.progress, &reports, &kept];
            self.note_down(sql, &values).await.map(drop)
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
