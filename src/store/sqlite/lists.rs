//! Lists of orders: pages with filters, newest first.
//!
//! Each page looks at a bounded number of rows. A time range is found by bisection, because orders
//! are accepted one after the other; those that were finished elsewhere are older than their place
//! says, and have an index of their own.

use rusqlite::{Connection, OptionalExtension, ToSql, params};

use super::read::{Read, as_limit};
use super::row::{self, unreadable};
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
pub(super) fn orders(connection: &Connection, query: &ListQuery) -> Read<Page> {
    let Bounds { low, high, end } = bounds(connection, query)?;
    let is_open = query.status.is_some_and(|status| !status.is_final());
    if is_open || query.is_held == Some(true) {
        return open_page(connection, query, (low, high));
    }
    if end > high
        && let Some(page) = imported_page(connection, query, (high, end))?
    {
        return Ok(page);
    }
    let window_low = low.max(high.saturating_sub(WINDOW));
    let sql = "SELECT * FROM whole_orders
                WHERE seq >= :low AND seq < :high AND (:status IS NULL OR status = :status)
                  AND (:customer IS NULL OR customer_id = :customer)
                  AND (:priority IS NULL OR priority = :priority)
                  AND (:process IS NULL OR process = :process)
                  AND (:held IS NULL OR (hold IS NOT NULL) = :held)
                  AND (imported_at IS NULL OR created_at BETWEEN :after AND :before)
                ORDER BY seq DESC LIMIT :limit";
    let mut page = filtered(connection, sql, query, (window_low, high))?;
    if page.next.is_none() && window_low > low {
        page.next = Some(Seq(window_low));
    }
    Ok(page)
}

/// A page of a status that is not final, or of orders that are held back: only open orders are
/// looked at, and only the dead or the held ones if no others are asked for.
fn open_page(connection: &Connection, query: &ListQuery, bounds: (i64, i64)) -> Read<Page> {
    filtered(connection, &open_sql(query), query, bounds)
}

fn open_sql(query: &ListQuery) -> String {
    let dead = format!("status = {}", StatusKind::Dead.number());
    // Each has an index for itself, and SQLite takes it only if nothing else looks better.
    let which = match query.status {
        Some(StatusKind::Dead) => dead.as_str(),
        _ if query.is_held == Some(true) => "hold IS NOT NULL",
        _ => "ended_at IS NULL",
    };
    format!(
        "SELECT * FROM whole_orders
          WHERE {which} AND seq >= :low AND seq < :high
            AND (:status IS NULL OR status = :status)
            AND (:customer IS NULL OR customer_id = :customer)
            AND (:priority IS NULL OR priority = :priority)
            AND (:process IS NULL OR process = :process)
            AND (:held IS NULL OR (hold IS NOT NULL) = :held)
            AND (:step IS NULL OR step = :step)
            AND (:reason IS NULL OR instr(reason, :reason) > 0)
            AND created_at BETWEEN :after AND :before
          ORDER BY seq DESC LIMIT :limit"
    )
}

/// A page of orders that came here after the time range, and yet are of it: they were finished
/// elsewhere. `None` if there is none behind the cursor.
fn imported_page(
    connection: &Connection,
    query: &ListQuery,
    (low, end): (i64, i64),
) -> Read<Option<Page>> {
    let sql = "SELECT min(seq), count(*) FROM
               (SELECT seq FROM orders INDEXED BY orders_imported
                 WHERE imported_at IS NOT NULL AND seq >= ?1 AND seq < ?2
                 ORDER BY seq DESC LIMIT ?3)";
    let mut statement = connection.prepare_cached(sql).map_err(unreadable)?;
    let window = statement.query_row(params![low, end, WINDOW], |row| {
        Ok((row.get::<_, Option<i64>>(0)?, row.get::<_, i64>(1)?))
    });
    let (Some(first), count) = window.map_err(unreadable)? else {
        return Ok(None);
    };
    let sql = "SELECT * FROM whole_orders
                WHERE imported_at IS NOT NULL AND seq >= :low AND seq < :high
                  AND (:status IS NULL OR status = :status)
                  AND (:customer IS NULL OR customer_id = :customer)
                  AND (:priority IS NULL OR priority = :priority)
                  AND (:process IS NULL OR process = :process)
                  AND (:held IS NULL OR (hold IS NOT NULL) = :held)
                  AND created_at BETWEEN :after AND :before
                ORDER BY seq DESC LIMIT :limit";
    let mut page = filtered(connection, sql, query, (first, end))?;
    if page.next.is_none() {
        // Behind the window there are more of them, or the orders that were accepted here.
        page.next = Some(Seq(if count == WINDOW { first } else { low }));
    }
    Ok(Some(page))
}

fn filtered(
    connection: &Connection,
    sql: &str,
    query: &ListQuery,
    (low, high): (i64, i64),
) -> Read<Page> {
    let mut statement = connection.prepare_cached(sql).map_err(unreadable)?;
    let (status, priority) = (
        query.status.map(StatusKind::number),
        query.priority.map(Priority::number),
    );
    let limit = as_limit(query.limit + 1);
    let (after, before) = (
        query.created_after.map_or(i64::MIN, |time| time.0),
        query.created_before.map_or(i64::MAX, |time| time.0 - 1),
    );
    let values: [(&str, &dyn ToSql); 12] = [
        (":low", &low),
        (":high", &high),
        (":status", &status),
        (":customer", &query.customer_id.as_deref()),
        (":priority", &priority),
        (":process", &query.process.as_deref()),
        (":held", &query.is_held),
        (":step", &query.step.as_deref()),
        (":reason", &query.reason.as_deref()),
        (":after", &after),
        (":before", &before),
        (":limit", &limit),
    ];
    // Not every list has every filter.
    for (name, value) in values {
        if let Some(place) = statement.parameter_index(name).map_err(unreadable)? {
            statement
                .raw_bind_parameter(place, value)
                .map_err(unreadable)?;
        }
    }
    let mut rows = statement.raw_query();
    let (mut page, mut bytes) = (Page::default(), 0);
    let (mut count, mut last) = (0, None);
    while let Some(row) = rows.next().map_err(unreadable)? {
        if count == query.limit || bytes > PAGE_BYTES {
            page.next = last;
            break;
        }
        count += 1;
        last = Some(Seq(row.get(0).map_err(unreadable)?));
        bytes += page.take(row::order(row))?;
    }
    Ok(page)
}

/// Where a list begins and ends.
fn bounds(connection: &Connection, query: &ListQuery) -> Read<Bounds> {
    let sql = "SELECT coalesce(min(seq), 0), coalesce(max(seq), -1) + 1 FROM
               (SELECT * FROM (SELECT seq FROM orders ORDER BY seq LIMIT 1)
                UNION ALL SELECT * FROM (SELECT seq FROM orders ORDER BY seq DESC LIMIT 1))";
    let mut statement = connection.prepare_cached(sql).map_err(unreadable)?;
    let ends = statement.query_row([], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?)));
    let (first, end) = ends.map_err(unreadable)?;
    let since = |time: Option<Timestamp>, otherwise| {
        time.map_or(Ok(otherwise), |time| {
            first_since(connection, time, (first, end))
        })
    };
    let (low, high) = (
        since(query.created_after, first)?,
        since(query.created_before, end)?,
    );
    let end = query.before.map_or(end, |before| end.min(before.0));
    Ok(Bounds {
        low,
        high: high.min(end),
        end,
    })
}

/// The first order that came here at `time` or later, by bisection: sequence numbers rise with
/// time.
fn first_since(
    connection: &Connection,
    time: Timestamp,
    (mut low, mut high): (i64, i64),
) -> Read<i64> {
    let sql = "SELECT seq, coalesce(imported_at, created_at) FROM orders
                WHERE seq >= ?1 ORDER BY seq LIMIT 1";
    let mut statement = connection.prepare_cached(sql).map_err(unreadable)?;
    while low < high {
        let middle = low + (high - low) / 2;
        let probe = statement
            .query_row([middle], |row| {
                Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?))
            })
            .optional()
            .map_err(unreadable)?;
        match probe {
            Some((seq, came_at)) if seq < high && came_at < time.0 => low = seq + 1,
            _ => high = middle,
        }
    }
    Ok(low)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCHEMA: &str = include_str!("../../../migrations/sqlite/V1__orders.sql");

    #[test]
    fn each_list_of_open_orders_looks_at_no_others() {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch(SCHEMA).unwrap();
        for (status, is_held, index) in [
            (Some(StatusKind::Dead), None, "orders_dead"),
            (Some(StatusKind::Dead), Some(true), "orders_dead"),
            (None, Some(true), "orders_held"),
            (Some(StatusKind::Pending), None, "orders_open"),
        ] {
            let query = ListQuery {
                status,
                is_held,
                ..ListQuery::default()
            };
            let sql = format!("EXPLAIN QUERY PLAN {}", open_sql(&query));
            let mut plan = connection.prepare(&sql).unwrap();
            // Without its values it stands for any.
            let mut rows = plan.raw_query();
            let first: String = rows.next().unwrap().unwrap().get(3).unwrap();
            let is_used = first.contains(&format!("USING INDEX {index} "));
            assert!(is_used, "{status:?} {is_held:?}: {first}");
        }
    }
}
