//! Steps as they would be written in the configuration, in the order of the template.
//!
//! Only lays out what is in force.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::duration;
use super::setting::SETTINGS;
use crate::order::{LabelRule, Pull, Push, Rules, Simulate, Step, StepKind, Wait};

/// A step for programs: its settings under their names. What is secret is left out.
pub fn as_json(step: &Step) -> Value {
    let mut settings: Map<_, _> = settings(step).into_iter().collect();
    if let Some(labels) = labels(step) {
        let labels = labels.iter().map(label_settings);
        let labels = labels.map(|label| Value::Object(label.into_iter().collect()));
        settings.insert("label".into(), labels.collect());
    }
    if let Some(undo) = &step.undo {
        let values: Map<_, _> = undo_settings(undo).into_iter().collect();
        settings.insert("compensate".into(), values.into());
    }
    settings.into()
}

/// A value as TOML has it. That is how JSON has it, but for one character that must be escaped.
pub fn toml(value: &Value) -> String {
    value.to_string().replace('\u{7f}', "\\u007F")
}

/// The lines of a step in a file; `path` is that of the list it is in.
pub fn as_toml(step: &Step, path: &str) -> Vec<String> {
    let line = |(key, value)| format!("{key} = {}", toml(&value));
    let mut lines = vec![format!("[[{path}]]")];
    lines.extend(settings(step).into_iter().map(line));
    for label in labels(step).unwrap_or_default() {
        lines.push(format!("[[{path}.label]]"));
        lines.extend(label_settings(label).into_iter().map(line));
    }
    if let Some(undo) = &step.undo {
        lines.push(format!("[{path}.compensate]"));
        lines.extend(undo_settings(undo).into_iter().map(line));
    }
    lines
}

fn labels(step: &Step) -> Option<&[LabelRule]> {
    match &step.kind {
        StepKind::Rules(rules) => Some(&rules.labels),
        _ => None,
    }
}

fn kind(step: &Step) -> Value {
    match &step.kind {
        StepKind::Simulate(simulate) => simulated(simulate),
        StepKind::Rules(rules) => ruled(rules),
        StepKind::Pull(pull) => pulled(pull),
        StepKind::Wait(wait) => waited(wait),
        StepKind::Push(push) => pushed(push),
    }
}

fn settings(step: &Step) -> Vec<(String, Value)> {
    let mut values = kind(step);
    if !matches!(step.kind, StepKind::Rules(_)) {
        worked(step, &mut values);
    }
    values["name"] = json!(step.name);
    in_order(&values, "process.*.step.*.")
}

/// How a step is undone.
fn undo_settings(undo: &Step) -> Vec<(String, Value)> {
    let mut values = kind(undo);
    worked(undo, &mut values);
    in_order(&values, "process.*.step.*.compensate.")
}

fn time(micros: i64) -> String {
    duration::format(Duration::from_micros(micros.unsigned_abs()))
}

/// What all steps have that take time.
fn worked(step: &Step, values: &mut Value) {
    let limit = Some(step.concurrency).filter(|most| *most != u32::MAX);
    values["concurrency"] = json!(limit);
    values["attempts"] = json!(step.retry.attempts_max);
    values["retry_base"] = json!(time(step.retry.base_us));
    values["retry_cap"] = json!(time(step.retry.cap_us));
}

fn pulled(pull: &Pull) -> Value {
    json!({
        "kind": "pull",
        "queue": pull.queue,
        "lease": time(pull.lease_us),
    })
}

fn waited(wait: &Wait) -> Value {
    json!({
        "kind": "wait",
        "timeout": time(wait.timeout_us),
        "on_timeout": wait.then.word(),
    })
}

/// A URL without what may be secret in it.
fn shown(url: &str) -> String {
    match url.split_once('?') {
        Some((address, _)) => format!("{address}?***"),
        None => url.to_owned(),
    }
}

/// Secrets are not shown.
fn pushed(push: &Push) -> Value {
    let is_signed = !push.secrets.is_empty();
    json!({
        "kind": "push",
        "url": shown(&push.url),
        "timeout": time(push.timeout_us),
        "callback_timeout": time(push.callback_us),
        "secret": is_signed.then_some("***"),
        "effect": push.has_effect(),
        "lookup": push.lookup.as_deref().map(shown),
    })
}

fn simulated(simulate: &Simulate) -> Value {
    let (shortest, longest) = (time(simulate.shortest_us), time(simulate.longest_us));
    let range = if shortest == longest {
        shortest
    } else {
        format!("{shortest}..{longest}")
    };
    json!({
        "kind": "simulate",
        "duration": range,
        "per_priority": simulate.is_per_priority,
        "failure_rate": f64::from(simulate.failures_ppm) / 1_000_000.0,
        "permanent_rate": f64::from(simulate.permanent_ppm) / 1_000_000.0,
        "retry_after": simulate.retry_after_us.map(time),
    })
}

fn ruled(rules: &Rules) -> Value {
    let limits = &rules.limits;
    json!({
        "kind": "rules",
        "total_max": limits.total_max_minor,
        "total_text": limits.total_text,
        "items_max": limits.items_max,
        "items_text": limits.items_text,
    })
}

fn label_settings(rule: &LabelRule) -> Vec<(String, Value)> {
    let values = json!({
        "label": rule.label,
        "text": rule.text,
        "total_above": rule.when.total_above_minor,
        "priority": rule.when.priority,
    });
    in_order(&values, "process.*.step.*.label.*.")
}

/// The values that are there, in the order of the settings whose keys begin like this.
fn in_order(values: &Value, prefix: &str) -> Vec<(String, Value)> {
    let keys = SETTINGS.iter().map(|setting| setting.key);
    let keys = keys.filter_map(|key| key.strip_prefix(prefix));
    let given = keys.filter_map(|key| Some((key.to_owned(), values.get(key)?.clone())));
    given.filter(|(_, value)| !value.is_null()).collect()
}
