//! Lists of orders: pages with filters, newest first.
//!
//! Each page looks at a bounded number of rows. A time range is found by bisection, because orders
//! are accepted one after the other; those that were finished elsewhere are older than their place
//! says, and have an index of their own.

use std::pin::pin;

use futures_util::TryStreamExt;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use super::connect::Link;
use super::error::unreadable;
use super::read::{Read, as_limit, column};
use super::row;
use crate::clock::Timestamp;
use crate::order::{Priority, Seq, ShardNumber, StatusKind};
use crate::store::{ListQuery, Page};

/// Payload on a page after which it ends early, in bytes: a thousand orders of a usual size fit.
const PAGE_BYTES: usize = 4 << 20;

/// Most rows that one page of a filtered list looks at. About a tenth of a second.
const WINDOW: i64 = 100_000;

/// The sequence numbers that a time range and a cursor leave.
struct Bounds {
    /// All orders of the range have at least this one.
    low: i64,
    /// Those that were accepted here have one below this one.
    high: i64,
    /// All have one below this one.
    end: i64,
}

/// A page of orders, newest first.
pub(super) async fn orders(link: &Link, query: &ListQuery) -> Read<Page> {
    let Bounds { low, high, end } = bounds(link, query).await?;
    let is_dead = query.status == Some(StatusKind::Dead);
    if is_dead || query.is_held == Some(true) {
        let sql = if is_dead { DEAD } else { HELD };
        return filtered(link, sql, query, (low, high)).await;
    }
    if query.status.is_some_and(|status| !status.is_final()) {
        return open_page(link, query, (low, high)).await;
    }
    if end > high
        && let Some(page) = imported_page(link, query, (high, end)).await?
    {
        return Ok(page);
    }
    let window_low = low.max(high.saturating_sub(WINDOW));
    let sql = "SELECT * FROM whole_orders
                WHERE seq >= $1 AND seq < $2 AND ($3::smallint IS NULL OR status = $3)
                  AND ($4::text IS NULL OR customer_id = $4)
                  AND ($5::smallint IS NULL OR priority = $5)
                  AND ($6::text IS NULL OR process = $6)
                  AND ($7::boolean IS NULL OR (hold IS NOT NULL) = $7)
                  AND (imported_at IS NULL OR created_at BETWEEN $8 AND $9)
                ORDER BY seq DESC LIMIT $10";
    let mut page = filtered(link, sql, query, (window_low, high)).await?;
    if page.next.is_none() && window_low > low {
        page.next = Some(Seq(window_low));
    }
    Ok(page)
}

/// A list of open orders: a choice among all, and what finds them.
macro_rules! open_list {
    ($before:literal, $choice:literal, $after:literal) => {
        concat!(
            $before,
            "SELECT * FROM whole_orders w WHERE ",
            $choice,
            " AND ($3::smallint IS NULL OR status = $3)
              AND ($4::text IS NULL OR customer_id = $4)
              AND ($5::smallint IS NULL OR priority = $5)
              AND ($6::text IS NULL OR process = $6)
              AND ($7::boolean IS NULL OR (hold IS NOT NULL) = $7)
              AND created_at BETWEEN $8 AND $9
              AND ($11::text IS NULL OR step = $11)
              AND ($12::text IS NULL OR strpos(reason, $12) > 0)
              ",
            $after
        )
    };
    ($choice:literal) => {
        open_list!(
            "",
            $choice,
            "AND seq >= $1 AND seq < $2 ORDER BY seq DESC LIMIT $10"
        )
    };
}

/// Dead orders. They and those that are held back have an index of their own.
const DEAD: &str = open_list!("is_dead");

/// Orders that are held back.
const HELD: &str = open_list!("is_held");

/// Open orders among the youngest.
const YOUNG: &str = open_list!("ended_at IS NULL");

/// Open orders behind those. Each OFFSET 0 keeps them from being looked for among all orders.
const OLD: &str = open_list!(
    "SELECT w.* FROM
       (SELECT seq FROM lingering WHERE seq >= $1 AND seq < $2 ORDER BY seq DESC OFFSET 0) AS l
       CROSS JOIN LATERAL (",
    "w.seq = l.seq",
    "OFFSET 0) AS w ORDER BY l.seq DESC LIMIT $10"
);

/// A page of a status that is not final. Of each shard the youngest orders are looked at first,
/// then those of the others that are open.
async fn open_page(link: &Link, query: &ListQuery, (low, high): (i64, i64)) -> Read<Page> {
    let sql = "SELECT shard, lingering_to + 1, last_seq + 1 FROM shards ORDER BY shard DESC";
    let (mut whole, mut rest) = (Page::default(), query.clone());
    for row in &link.query(sql, &[]).await? {
        let (shard, young, end): (i16, i64, i64) =
            (column(row, 0)?, column(row, 1)?, column(row, 2)?);
        let base = ShardNumber(shard.unsigned_abs()).base();
        for (sql, from, until) in [(YOUNG, young, end), (OLD, base, young)] {
            let (from, until) = (from.max(low), until.min(high));
            if from >= until {
                continue;
            }
            if rest.limit == 0 {
                // Whether there are more is for the next page to find out.
                whole.next = Some(Seq(until));
                return Ok(whole);
            }
            let mut page = filtered(link, sql, &rest, (from, until)).await?;
            rest.limit -= page.orders.len() + page.left_out;
            whole.orders.append(&mut page.orders);
            whole.left_out += page.left_out;
            if page.next.is_some() {
                whole.next = page.next;
                return Ok(whole);
            }
        }
    }
    Ok(whole)
}

/// A page of orders that came here after the time range, and yet are of it: they were finished
/// elsewhere. `None` if there is none behind the cursor.
async fn imported_page(
    link: &Link,
    query: &ListQuery,
    (low, end): (i64, i64),
) -> Read<Option<Page>> {
    let sql = "SELECT min(seq), count(*) FROM
               (SELECT seq FROM orders
                 WHERE imported_at IS NOT NULL AND seq >= $1 AND seq < $2
                 ORDER BY seq DESC LIMIT $3) AS w";
    let rows = link.query(sql, &[&low, &end, &WINDOW]).await?;
    let Some(window) = rows.first() else {
        return Ok(None);
    };
    let Some(first) = column::<Option<i64>>(window, 0)? else {
        return Ok(None);
    };
    let count: i64 = column(window, 1)?;
    let sql = "SELECT * FROM whole_orders
                WHERE imported_at IS NOT NULL AND seq >= $1 AND seq < $2
                  AND ($3::smallint IS NULL OR status = $3)
                  AND ($4::text IS NULL OR customer_id = $4)
                  AND ($5::smallint IS NULL OR priority = $5)
                  AND ($6::text IS NULL OR process = $6)
                  AND ($7::boolean IS NULL OR (hold IS NOT NULL) = $7)
                  AND created_at BETWEEN $8 AND $9
                ORDER BY seq DESC LIMIT $10";
    let mut page = filtered(link, sql, query, (first, end)).await?;
    if page.next.is_none() {
        // Behind the window there are more of them, or the orders that were accepted here.
        page.next = Some(Seq(if count == WINDOW { first } else { low }));
    }
    Ok(Some(page))
}

async fn filtered(
    link: &Link,
    sql: &'static str,
    query: &ListQuery,
    (low, high): (i64, i64),
) -> Read<Page> {
    let statement = link.prepared(sql).await?;
    let status = query
        .status
        .map(|status| i16::from(StatusKind::number(status)));
    let priority = query.priority.map(|it| i16::from(Priority::number(it)));
    let (after, before) = (
        query.created_after.map_or(i64::MIN, |time| time.0),
        query.created_before.map_or(i64::MAX, |time| time.0 - 1),
    );
    let (customer, process) = (query.customer_id.as_deref(), query.process.as_deref());
    let (step, reason) = (query.step.as_deref(), query.reason.as_deref());
    let limit = as_limit(query.limit + 1);
    let values: [&(dyn ToSql + Sync); 12] = [
        &low,
        &high,
        &status,
        &customer,
        &priority,
        &process,
        &query.is_held,
        &after,
        &before,
        &limit,
        &step,
        &reason,
    ];
    // The last two are for lists of open orders only.
    let values = values.into_iter().take(statement.params().len());
    let rows = link.client.query_raw(&statement, values);
    let mut rows = pin!(rows.await.map_err(unreadable)?);
    let (mut page, mut bytes) = (Page::default(), 0);
    let (mut count, mut last) = (0, None);
    while let Some(row) = rows.try_next().await.map_err(unreadable)? {
        if count == query.limit || bytes > PAGE_BYTES {
            page.next = last;
            break;
        }
        count += 1;
        last = Some(Seq(column(&row, 0)?));
        bytes += page.take(row::order(&row))?;
    }
    Ok(page)
}

/// Where a list begins and ends.
async fn bounds(link: &Link, query: &ListQuery) -> Read<Bounds> {
    let sql = "SELECT coalesce((SELECT seq FROM orders ORDER BY seq LIMIT 1), 0),
                      coalesce((SELECT seq FROM orders ORDER BY seq DESC LIMIT 1), -1) + 1";
    let rows = link.query(sql, &[]).await?;
    let (first, end) = rows.first().map_or(Ok((0, 0)), pair)?;
    let low = match query.created_after {
        Some(time) => first_since(link, time, (first, end)).await?,
        None => first,
    };
    let high = match query.created_before {
        Some(time) => first_since(link, time, (first, end)).await?,
        None => end,
    };
    let end = query.before.map_or(end, |before| end.min(before.0));
    Ok(Bounds {
        low,
        high: high.min(end),
        end,
    })
}

/// The first order that came here at `time` or later, by bisection: sequence numbers rise with
/// time.
async fn first_since(link: &Link, time: Timestamp, (mut low, mut high): (i64, i64)) -> Read<i64> {
    let sql = "SELECT seq, coalesce(imported_at, created_at) FROM orders
                WHERE seq >= $1 ORDER BY seq LIMIT 1";
    while low < high {
        let middle = low + (high - low) / 2;
        let rows = link.query(sql, &[&middle]).await?;
        match rows.first().map(pair).transpose()? {
            Some((seq, came_at)) if seq < high && came_at < time.0 => low = seq + 1,
            _ => high = middle,
        }
    }
    Ok(low)
}

/// Two numbers.
fn pair(row: &Row) -> Read<(i64, i64)> {
    Ok((column(row, 0)?, column(row, 1)?))
}
