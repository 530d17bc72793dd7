//! The benchmark: runs the floor and orderd in turn, and prints ratios within one run.
//!
//! `plan` says what is measured, `stage` starts servers and keeps the record, one file per
//! measurement does the work, `tables`, `chart` and `page` show it. It judges nothing: goals stand
//! beside figures.
//! Normally started by `scripts/bench`, which builds everything it needs.

mod accept;
mod chart;
mod comparisons;
mod database;
mod delivering;
mod disk;
mod following;
mod http;
mod idle;
mod latency;
mod load;
mod machine;
mod memory;
mod mysql;
mod on_database;
mod overload;
mod page;
mod peers;
mod plan;
mod postgres;
mod ratio;
mod readers;
mod reads;
mod record;
mod server;
mod stage;
mod stored;
mod stream;
mod tables;
mod wrk;

use std::process::ExitCode;

use anyhow::Context;

use self::plan::{Measure, Plan};
use self::record::Record;
use self::stage::Stage;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let plan = match Plan::parse(&words) {
        Ok(Some(plan)) => plan,
        Ok(None) => {
            println!("{}", plan::HELP);
            return ExitCode::SUCCESS;
        }
        Err(problem) => {
            eprintln!("bench: {problem}; see --help");
            return ExitCode::from(2);
        }
    };
    match run(&plan) {
        Ok(0) => ExitCode::SUCCESS,
        Ok(failed) => {
            eprintln!("bench: {failed} of the measurements failed");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Measures, or reads earlier runs, then shows and writes. Answers how many measurements failed.
fn run(plan: &Plan) -> anyhow::Result<usize> {
    let (record, failed) = if plan.from.is_empty() {
        measure(plan)?
    } else {
        (Record::read_all(&plan.from)?, 0)
    };
    if let Some(path) = &plan.json {
        record.write(path)?;
    }
    println!("{}", tables::terminal(&record));
    if plan.write {
        page::write(&record).context("cannot write the page")?;
    }
    Ok(failed)
}

fn on_postgres(stage: &mut Stage) -> anyhow::Result<()> {
    let database = postgres::Postgres::start(stage.data())?;
    on_database::measure(stage, Measure::Postgres.name(), &database)
}

fn on_mysql(stage: &mut Stage) -> anyhow::Result<()> {
    let database = mysql::Mysql::start(stage.data())?;
    on_database::measure(stage, Measure::Mysql.name(), &database)
}

fn beside_peers(stage: &mut Stage) -> anyhow::Result<()> {
    let database = postgres::Postgres::start(stage.data())?;
    peers::measure(stage, &database)
}

fn connections(stage: &mut Stage) -> anyhow::Result<()> {
    accept::connections(stage)?;
    idle::measure(stage)
}

/// One failed measurement does not take the others with it.
fn measure(plan: &Plan) -> anyhow::Result<(Record, usize)> {
    let mut stage = Stage::set(plan)?;
    let mut failed = 0;
    for measure in &plan.only {
        let result = match measure {
            Measure::Accept => accept::single(&mut stage),
            Measure::Completed => accept::completed(&mut stage),
            Measure::Batch => accept::batch(&mut stage),
            Measure::Dialects => accept::dialects(&mut stage),
            Measure::Keys => accept::keys(&mut stage),
            Measure::Reads => reads::measure(&mut stage),
            Measure::Latency => latency::measure(&mut stage),
            Measure::Memory => memory::measure(&mut stage),
            Measure::Stored => stored::measure(&mut stage),
            Measure::Overload => overload::measure(&mut stage),
            Measure::Connections => connections(&mut stage),
            Measure::Stream => following::measure(&mut stage),
            Measure::Webhooks => delivering::measure(&mut stage),
            Measure::Postgres => on_postgres(&mut stage),
            Measure::Mysql => on_mysql(&mut stage),
            Measure::Peers => beside_peers(&mut stage),
            Measure::Against => accept::against(&mut stage),
        };
        if let Err(error) = result {
            stage.say(&format!("{}: failed: {error:#}", measure.name()));
            failed += 1;
        }
    }
    Ok((stage.into_record(), failed))
}
