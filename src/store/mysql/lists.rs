//! Lists of orders: pages with filters, newest first.
//!
//! Each page looks at a bounded number of rows. A time range is found by bisection, because orders
//! are accepted one after the other; those that were finished elsewhere are older than their place
//! says, and have a table of their own.

use std::ops::ControlFlow;

use mysql_async::{Params, Row, params};

use super::connect::Link;
use super::read::{Read, column, whole_orders};
use super::{read, row};
use crate::clock::Timestamp;
use crate::order::{Priority, Seq, StatusKind};
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
pub(super) async fn orders(link: &mut Link, query: &ListQuery) -> Read<Page> {
    let Bounds { low, high, end } = bounds(link, query).await?;
    let is_open = query.status.is_some_and(|status| !status.is_final());
    if is_open || query.is_held == Some(true) {
        return open_page(link, query, (low, high)).await;
    }
    if end > high
        && let Some(page) = imported_page(link, query, (high, end)).await?
    {
        return Ok(page);
    }
    let window_low = low.max(high.saturating_sub(WINDOW));
    // Texts are compared without the blanks at their ends, so their lengths are compared, too.
    let sql = whole_orders!(
        "orders o FORCE INDEX (PRIMARY)
                WHERE o.seq >= :low AND o.seq < :high AND (:status IS NULL OR o.status = :status)
                  AND (:customer IS NULL OR (o.customer_id = :customer
                       AND length(o.customer_id) = length(:customer)))
                  AND (:priority IS NULL OR o.priority = :priority)
                  AND (:process IS NULL OR o.process = :process)
                  AND (:is_held IS NULL OR (o.hold IS NOT NULL) = :is_held)
                  AND (o.imported_at IS NULL OR o.created_at BETWEEN :after AND :before)
                ORDER BY o.seq DESC LIMIT :limit"
    );
    let mut page = filtered(link, sql, query, (window_low, high)).await?;
    if page.next.is_none() && window_low > low {
        page.next = Some(Seq(window_low));
    }
    Ok(page)
}

/// A page of a status that is not final, or of orders that are held back: only open orders are
/// looked at.
async fn open_page(link: &mut Link, query: &ListQuery, bounds: (i64, i64)) -> Read<Page> {
    let sql = whole_orders!(
        "orders o FORCE INDEX (orders_open)
                WHERE o.ended_at IS NULL AND o.seq >= :low AND o.seq < :high
                  AND (:status IS NULL OR o.status = :status)
                  AND (:customer IS NULL OR (o.customer_id = :customer
                       AND length(o.customer_id) = length(:customer)))
                  AND (:priority IS NULL OR o.priority = :priority)
                  AND (:process IS NULL OR o.process = :process)
                  AND (:is_held IS NULL OR (o.hold IS NOT NULL) = :is_held)
                  AND o.created_at BETWEEN :after AND :before
                  AND (:step IS NULL OR o.step = :step)
                  AND (:reason IS NULL OR INSTR(o.reason, :reason) > 0)
                ORDER BY o.seq DESC LIMIT :limit"
    );
    filtered(link, sql, query, bounds).await
}

/// A page of orders that came here after the time range, and yet are of it: they were finished
/// elsewhere. `None` if there is none behind the cursor.
async fn imported_page(
    link: &mut Link,
    query: &ListQuery,
    (low, end): (i64, i64),
) -> Read<Option<Page>> {
    let sql = "SELECT min(seq), count(*) FROM
               (SELECT seq FROM imported_orders WHERE seq >= ? AND seq < ?
                 ORDER BY seq DESC LIMIT ?) AS w";
    let rows = link.query(sql, (low, end, WINDOW)).await?;
    let Some(window) = rows.first() else {
        return Ok(None);
    };
    let Some(first) = column::<Option<i64>>(window, 0)? else {
        return Ok(None);
    };
    let count: i64 = column(window, 1)?;
    let sql = whole_orders!(
        "imported_orders i STRAIGHT_JOIN orders o ON o.seq = i.seq
                WHERE i.seq >= :low AND i.seq < :high
                  AND (:status IS NULL OR o.status = :status)
                  AND (:customer IS NULL OR (o.customer_id = :customer
                       AND length(o.customer_id) = length(:customer)))
                  AND (:priority IS NULL OR o.priority = :priority)
                  AND (:process IS NULL OR o.process = :process)
                  AND (:is_held IS NULL OR (o.hold IS NOT NULL) = :is_held)
                  AND o.created_at BETWEEN :after AND :before
                ORDER BY i.seq DESC LIMIT :limit"
    );
    let mut page = filtered(link, sql, query, (first, end)).await?;
    if page.next.is_none() {
        // Behind the window there are more of them, or the orders that were accepted here.
        page.next = Some(Seq(if count == WINDOW { first } else { low }));
    }
    Ok(Some(page))
}

async fn filtered(
    link: &mut Link,
    sql: &'static str,
    query: &ListQuery,
    (low, high): (i64, i64),
) -> Read<Page> {
    let status = query.status.map(StatusKind::number);
    let priority = query.priority.map(Priority::number);
    let (after, before) = (
        query.created_after.map_or(i64::MIN, |time| time.0),
        query.created_before.map_or(i64::MAX, |time| time.0 - 1),
    );
    let limit = read::as_limit(query.limit + 1);
    let values = params! {
        low, high, status, priority, after, before, limit,
        "customer" => query.customer_id.as_deref(),
        "process" => query.process.as_deref(),
        "is_held" => query.is_held,
        "step" => query.step.as_deref(),
        "reason" => query.reason.as_deref(),
    };
    let (mut page, mut bytes) = (Page::default(), 0);
    let (mut count, mut last) = (0, None);
    let look = |row: &Row| {
        if count == query.limit || bytes > PAGE_BYTES {
            page.next = last;
            return Ok(ControlFlow::Break(()));
        }
        count += 1;
        last = Some(Seq(column(row, 0)?));
        bytes += page.take(row::order(row))?;
        Ok(ControlFlow::Continue(()))
    };
    link.each(sql, values, look).await?;
    Ok(page)
}

/// Where a list begins and ends.
async fn bounds(link: &mut Link, query: &ListQuery) -> Read<Bounds> {
    let sql = "SELECT coalesce((SELECT seq FROM orders ORDER BY seq LIMIT 1), 0),
                      coalesce((SELECT seq FROM orders ORDER BY seq DESC LIMIT 1), -1) + 1";
    let rows = link.query(sql, Params::Empty).await?;
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
async fn first_since(
    link: &mut Link,
    time: Timestamp,
    (mut low, mut high): (i64, i64),
) -> Read<i64> {
    let sql = "SELECT seq, coalesce(imported_at, created_at) FROM orders
                WHERE seq >= ? ORDER BY seq LIMIT 1";
    while low < high {
        let middle = low + (high - low) / 2;
        let rows = link.query(sql, (middle,)).await?;
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
