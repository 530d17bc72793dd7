//! What the load tools of older services print at the end of a stage and of a run.
//! Pure: what was sent goes in, lines come out.

use super::apache::Comparison;
use super::conduct::Sent;
use crate::cli::scenario::{Scenario, Stage, Told};

/// The line after a stage in which so many orders were sent.
pub fn after_stage(scenario: &Scenario, stage: &Stage, orders_sent: u64) -> Option<String> {
    let name = stage.name;
    match scenario.told {
        Told::Stages => Some(format!("Sent {orders_sent} orders in {name} scenario")),
        _ => None,
    }
}

/// The lines at the end of the sending, and the figures in them that others have published.
pub fn at_end(scenario: &Scenario, sent: &Sent) -> (Vec<String>, Option<Comparison>) {
    match scenario.told {
        Told::Nothing | Told::Stages => (Vec::new(), None),
        Told::Successes => (successes(sent), None),
        Told::ApacheBench(published) => {
            let comparison = Comparison::of(scenario, published, sent);
            (comparison.lines(), Some(comparison))
        }
    }
}

fn successes(sent: &Sent) -> Vec<String> {
    let (all, good) = (sent.tally.orders_sent, sent.tally.accepted);
    let (seconds, bad) = (sent.elapsed.as_secs_f64(), all.saturating_sub(good));
    vec![
        format!("Completed {all} requests in {seconds:.2} seconds."),
        format!("Success: {good}, Failures: {bad}"),
    ]
}
