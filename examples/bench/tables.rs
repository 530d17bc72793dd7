//! The record as tables, for the terminal and for the page.
//!
//! Medians and ratios only; every raw value stays in the record.

use comfy_table::presets::{ASCII_MARKDOWN, UTF8_FULL_CONDENSED};
use comfy_table::{CellAlignment, ContentArrangement};

use super::comparisons::{COMPARISONS, Comparison};
use super::latency::{self, PERCENTS};
use super::record::Record;
use super::{delivering, following, idle, on_database, overload, peers};

/// A table with its title; the first column is text, the others are figures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// What it shows.
    pub title: &'static str,
    /// Heads of the columns.
    pub head: Vec<&'static str>,
    /// The rows, each as long as the head.
    pub rows: Vec<Vec<String>>,
}

/// All tables that have rows.
pub fn all(record: &Record) -> Vec<Table> {
    let tables = [
        ratios(record),
        amounts(record),
        curve(record),
        processor(record),
        overload::table(record),
        idle::table(record),
        following::table(record),
        delivering::table(record),
        on_database::table(record),
        peers::table(record),
    ];
    tables
        .into_iter()
        .filter(|table| !table.rows.is_empty())
        .collect()
}

/// The tables for people at a terminal.
pub fn terminal(record: &Record) -> String {
    let mut text = String::new();
    for table in all(record) {
        let mut drawn = draw(&table);
        drawn.load_style(UTF8_FULL_CONDENSED.with_rounded_corners());
        text.push_str(&format!("\n{}\n{drawn}\n", table.title));
    }
    text.push_str(&format!("\n{}\n", remarks(record)));
    text
}

/// The tables for a page.
pub fn markdown(record: &Record) -> String {
    let mut text = String::new();
    for table in all(record) {
        let mut drawn = draw(&table);
        drawn.load_style(ASCII_MARKDOWN);
        text.push_str(&format!("### {}\n\n{drawn}\n\n", table.title));
    }
    text
}

/// What a reader must know beside the figures.
pub fn remarks(record: &Record) -> String {
    let flushes: Vec<f64> = record
        .blocks
        .iter()
        .filter_map(|block| block.figures.get("flush_p50_us").copied())
        .collect();
    let flush = super::ratio::median(&flushes).map_or("not measured".to_owned(), |us| {
        format!("{us:.0} us in the median of all blocks")
    });
    let quick = match record.quick {
        true => " Quick run: these are no figures.",
        false => "",
    };
    let blocks = record.blocks.len();
    let disturbed = record.disturbed();
    format!(
        "Flush time of the disk: {flush}. {disturbed} of {blocks} blocks were disturbed (more than \
         {} % of the processor time stolen).{quick}",
        super::record::STEAL_PERCENT_MAX
    )
}

fn draw(table: &Table) -> comfy_table::Table {
    let mut drawn = comfy_table::Table::new();
    drawn.set_content_arrangement(ContentArrangement::Disabled);
    drawn.set_header(table.head.clone());
    drawn.add_rows(table.rows.clone());
    for column in drawn.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    drawn
}

fn ratios(record: &Record) -> Table {
    let row = |comparison: &Comparison| {
        let Comparison { name, of, to, goal } = comparison;
        let ratio = record.ratio(*of, *to)?;
        let rate = |(measure, side)| {
            record
                .median(measure, side, "per_second")
                .map_or_else(String::new, grouped)
        };
        let goal = if goal.is_empty() {
            String::new()
        } else {
            format!("≥ {goal}")
        };
        Some(vec![
            (*name).to_owned(),
            rate(*to),
            rate(*of),
            format!("{:.2}", ratio.median),
            format!("{:.2} .. {:.2}", ratio.min, ratio.max),
            goal,
        ])
    };
    Table {
        title: "Rates per second",
        head: vec![
            "figure",
            "compared with",
            "orderd",
            "ratio",
            "of rounds",
            "goal",
        ],
        rows: COMPARISONS.iter().filter_map(row).collect(),
    }
}

fn amounts(record: &Record) -> Table {
    let half = latency::name(latency::HALF);
    let lines: [(&str, &str, &str, usize, &str); 8] = [
        ("latency at half load, p50 (ms)", &half, "p50_ms", 2, ""),
        ("latency at half load, p99 (ms)", &half, "p99_ms", 2, "≤ 15"),
        ("latency at half load, p99.9 (ms)", &half, "p999_ms", 2, ""),
        (
            "memory per open order (bytes)",
            "memory",
            "bytes_per_order",
            0,
            "≤ 150",
        ),
        (
            "the same before the restart (bytes)",
            "memory",
            "bytes_per_order_before_restart",
            0,
            "",
        ),
        (
            "memory of an empty server (MiB)",
            "memory",
            "empty_mib",
            1,
            "",
        ),
        (
            "restart: first order accepted (s)",
            "memory",
            "first_accept_seconds",
            3,
            "≤ 1",
        ),
        (
            "restart: all orders scheduled (s)",
            "memory",
            "all_scheduled_seconds",
            3,
            "≤ 5",
        ),
    ];
    let row = |(name, measure, figure, digits, goal): (&str, &str, &str, usize, &str)| {
        let median = |side| record.median(measure, side, figure);
        let orderd = median("orderd")?;
        let floor = median("floor").map_or_else(String::new, |value| format!("{value:.digits$}"));
        let orderd = format!("{orderd:.digits$}");
        Some(vec![name.to_owned(), floor, orderd, goal.to_owned()])
    };
    Table {
        title: "Latency, memory, restart",
        head: vec!["figure", "floor", "orderd", "goal"],
        rows: lines.into_iter().filter_map(row).collect(),
    }
}

fn curve(record: &Record) -> Table {
    let row = |percent: u32| {
        let name = latency::name(percent);
        let of = |side, figure| {
            let value = record.median(&name, side, figure);
            value.map_or_else(String::new, |value| format!("{value:.2}"))
        };
        let rate = record.median(&name, "orderd", "rate")?;
        let mut row = vec![format!("{percent} % of the ceiling"), grouped(rate)];
        for side in ["floor", "orderd"] {
            row.extend(["p50_ms", "p99_ms", "p999_ms"].map(|figure| of(side, figure)));
        }
        Some(row)
    };
    Table {
        title: "Latency against load, open loop (ms)",
        head: vec![
            "load",
            "orders/s",
            "floor p50",
            "p99",
            "p99.9",
            "orderd p50",
            "p99",
            "p99.9",
        ],
        rows: PERCENTS.into_iter().filter_map(row).collect(),
    }
}

fn processor(record: &Record) -> Table {
    let half = latency::name(latency::HALF);
    let lines: [(&str, &str, &str, &str); 11] = [
        ("accept", "accept", "floor", "orderd"),
        ("accept to completed", "completed", "floor", "orderd"),
        ("batch of 100", "batch", "floor", "orderd"),
        (
            "reads while writing, per 1,000 of both",
            "reads",
            "floor",
            "orderd",
        ),
        ("open loop at half load", &half, "floor", "orderd"),
        (
            "filling with open orders, batches of 1,000",
            "memory",
            "",
            "orderd",
        ),
        ("on PostgreSQL: accept", "postgres", "floor", "accept"),
        (
            "on PostgreSQL: accept to completed",
            "postgres",
            "floor",
            "completed",
        ),
        ("on MariaDB: accept", "mysql", "floor", "accept"),
        (
            "on MariaDB: accept to completed",
            "mysql",
            "floor",
            "completed",
        ),
        (
            "accept; empty store, with history",
            "stored",
            "empty",
            "full",
        ),
    ];
    let row = |(name, measure, first, second): (&str, &str, &str, &str)| {
        let of = |side| {
            let value = record.median(measure, side, "cpu_seconds_per_1000");
            value.map(|value| format!("{value:.4}"))
        };
        let second = of(second)?;
        Some(vec![name.to_owned(), of(first).unwrap_or_default(), second])
    };
    Table {
        title: "Processor seconds of the server per 1,000 orders",
        head: vec!["figure", "compared with", "orderd"],
        rows: lines.into_iter().filter_map(row).collect(),
    }
}

/// A whole number with commas between thousands.
pub fn grouped(value: f64) -> String {
    let digits = format!("{:.0}", value.max(0.0));
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::record::tests::{block, record};
    use super::*;

    #[test]
    fn numbers_are_grouped() {
        assert_eq!(grouped(0.0), "0");
        assert_eq!(grouped(999.6), "1,000");
        assert_eq!(grouped(1_234_567.0), "1,234,567");
    }

    #[test]
    fn only_what_was_measured_has_rows() {
        let rate = |value| [("per_second", value), ("cpu_seconds_per_1000", 0.02)];
        let record = record(vec![
            block("accept", "floor", 1, &rate(50_000.0)),
            block("accept", "orderd", 1, &rate(37_500.0)),
        ]);
        let tables = all(&record);
        let titles: Vec<_> = tables.iter().map(|table| table.title).collect();
        assert_eq!(titles.len(), 2, "{titles:?}");
        let row = &tables[0].rows[0];
        assert_eq!(row[1..4], ["50,000", "37,500", "0.75"]);
        assert_eq!(row[5], "≥ 0.70");
        let page = markdown(&record);
        assert!(page.contains("| accept to floor"), "{page}");
        assert!(terminal(&record).contains("0 of 2 blocks"));
    }

    #[test]
    fn every_row_is_as_long_as_its_head() {
        let figures = [
            ("per_second", 1.0),
            ("p50_ms", 1.0),
            ("p99_ms", 2.0),
            ("rate", 100.0),
            ("bytes_per_order", 99.4),
            ("cpu_seconds_per_1000", 0.1),
        ];
        let mut blocks = Vec::new();
        for measure in [
            "accept",
            "completed",
            "batch",
            "reads",
            "latency-50",
            "memory",
        ] {
            for side in ["floor", "orderd", "single"] {
                blocks.push(block(measure, side, 1, &figures));
            }
        }
        for table in all(&record(blocks)) {
            assert!(
                table.rows.iter().all(|row| row.len() == table.head.len()),
                "{table:?}"
            );
        }
    }
}
