//! Receivers of webhooks on MySQL: small transactions on a connection of their own, beside that of
//! the commits.
//!
//! Each begins with the fence, the row of the shard. Who changes a receiver locks it, so that a
//! server that takes over reads what was kept before. A note does not, because commits would wait
//! for it: the last one of a server that is taken over from may still come, and says what that one
//! has delivered.

use super::Mysql;
use super::connect::Link;
use super::error::{is_collision, refused};
use super::read::{as_limit, column};
use super::text::Sql;
use super::transaction::{forget, keep_answers};
use crate::store::{AnswerUnder, KeptDelivery, KeptWebhook, Ledger, Note, Reading, StoreError};

/// What the fence is looked at for.
#[derive(Clone, Copy)]
enum Fence {
    Locked,
    Seen,
}

impl Mysql {
    /// Does something on the connection of the clerk, all or nothing, if the shard is ours. Answers
    /// whether it is done; if not, a key is taken.
    async fn note_down(&self, fence: Fence, mut sql: Sql) -> Result<bool, StoreError> {
        let (shard, epoch) = self.tenure.now()?;
        let mut begin = Sql::default();
        begin
            .raw("BEGIN;\nSELECT 1 FROM shards WHERE shard = ")
            .number(shard.0)
            .raw(" AND epoch = ")
            .number(epoch)
            .raw(match fence {
                Fence::Locked => " FOR UPDATE",
                Fence::Seen => "",
            });
        sql.raw(";\nCOMMIT");
        let (begin, sql) = (begin.into_bytes(), sql.into_bytes());
        let work = self.clerk.ask(move |link| {
            let (begin, sql) = (begin.clone(), sql.clone());
            Box::pin(async move {
                let done = written(link, begin, sql).await;
                if !matches!(done, Ok(true)) {
                    link.roll_back().await;
                }
                done
            })
        });
        work.await
    }
}

/// Begins, and goes on if the fence is there.
async fn written(link: &mut Link, begin: Vec<u8>, sql: Vec<u8>) -> Result<bool, StoreError> {
    let answers = link.ask_all(begin).await.map_err(refused)?;
    if answers.last().is_none_or(Vec::is_empty) {
        return Err(StoreError::Fenced);
    }
    match link.ask_all(sql).await {
        Err(error) if is_collision(&error) => Ok(false),
        done => done.map(|_| true).map_err(refused),
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

    fn keep_webhook(&self, webhook: KeptWebhook, under: Option<AnswerUnder>) -> Reading<'_, bool> {
        let mut sql = Sql::default();
        if let Some(under) = &under {
            forget(
                &mut sql,
                std::iter::once(&under.key),
                under.expired_before.0,
            );
            sql.raw(";\n");
            let kept = (None, &under.key, &under.answer);
            keep_answers(&mut sql, std::iter::once(kept), under.kept_at.0);
            sql.raw(";\n");
        }
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
        Box::pin(self.note_down(Fence::Locked, sql))
    }

    fn forget_webhook(&self, id: Box<str>) -> Reading<'_, ()> {
        let mut sql = Sql::default();
        sql.raw("DELETE FROM webhook_deliveries WHERE webhook = ")
            .text(&id)
            .raw(";\nDELETE FROM webhooks WHERE id = ")
            .text(&id);
        Box::pin(async { self.note_down(Fence::Locked, sql).await.map(drop) })
    }

    fn note(&self, note: Note) -> Reading<'_, ()> {
        let mut sql = Sql::default();
        sql.raw("UPDATE webhooks SET progress = ")
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
            .raw(") AS oldest)");
        Box::pin(async { self.note_down(Fence::Seen, sql).await.map(drop) })
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
