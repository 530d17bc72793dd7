//! Tests of steps with rules in a configuration: read whole, or refused with the place.
//! Each reads from a text of its own.

use super::file;
use crate::order::{LabelRule, Limits, Priority, Process, Rules, StepKind, When};

fn step(lines: &str) -> String {
    let head = "[process.checked]\nversion = 1\n[[process.checked.step]]\nname = \"check\"\n";
    format!("{head}kind = \"rules\"\n{lines}")
}

fn label(label: &str, lines: &str) -> String {
    let head = "[[process.checked.step.label]]\n";
    format!("{head}label = \"{label}\"\ntext = \"fits\"\n{lines}\n")
}

fn rules(text: &str) -> Rules {
    let config = file(text).read().unwrap();
    let is_it = |process: &&Process| &*process.name == "checked";
    let process = config.processes.iter().find(is_it).unwrap();
    match &process.steps[0].kind {
        StepKind::Rules(rules) => rules.clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn rules_are_read_whole() {
    let limits = "total_max = 1000000\ntotal_text = \"too dear\"\nitems_max = 50\n";
    let labels = label("dear", "total_above = 100000\npriority = 1") + &label("usual", "");
    let expected = |name: &str, total_above_minor, priority| LabelRule {
        label: name.into(),
        text: "fits".into(),
        when: When {
            total_above_minor,
            priority,
        },
    };
    let expected = Rules {
        limits: Limits {
            total_max_minor: Some(1_000_000),
            total_text: "too dear".into(),
            items_max: Some(50),
            items_text: "too many items in order".into(),
        },
        labels: vec![
            expected("dear", Some(100_000), Some(Priority::High)),
            expected("usual", None, None),
        ],
    };
    assert_eq!(rules(&step(&format!("{limits}{labels}"))), expected);
    let process = &file(&step("items_max = 0")).read().unwrap().processes[0];
    assert!(process.has_rules() && !process.has_simulated_work());
}

#[test]
fn each_mistake_in_rules_is_named() {
    let at = "process.checked, step 1";
    for (lines, message) in [
        (
            String::new(),
            format!(
                "{at}: kind is \"rules\", but there are none; give total_max, items_max or a label"
            ),
        ),
        (
            "duration = \"1s\"".into(),
            format!(
                "there is no setting {at}: duration; there are name, kind, total_max, total_text, \
                 items_max, items_text, label"
            ),
        ),
        (
            "total_max = -1".into(),
            format!(
                "{at}: total_max is -1; it must be a whole number from 0 to \
                 9,223,372,036,854,775,807"
            ),
        ),
        (
            "items_max = 1001".into(),
            format!("{at}: items_max is 1001; it must be a whole number from 0 to 1,000"),
        ),
        (
            "items_max = 1\nitems_text = \"\"".into(),
            format!("{at}: items_text must have 1 to 1024 characters and no control characters"),
        ),
        (
            label("a", "priority = 4"),
            format!("{at}, label 1: priority is 4; it must be a whole number from 1 to 3"),
        ),
        (
            label("a\\n", ""),
            format!("{at}, label 1: label must have 1 to 64 characters and no control characters"),
        ),
        (
            label("a", "color = 1"),
            format!(
                "there is no setting {at}, label 1: color; there are label, text, total_above, \
                 priority"
            ),
        ),
        (
            "[[process.checked.step.label]]\nlabel = \"a\"".into(),
            format!("{at}, label 1: text is missing; it must be 1 to 1,024 characters"),
        ),
        (
            label("a", "") + &label("b", "priority = 1"),
            format!("{at}, label 2 is never reached: label 1 fits every order"),
        ),
    ] {
        let refused = file(&step(&lines)).error();
        assert_eq!(refused, format!("orderd.toml: {message}"));
    }
}

#[test]
fn a_definition_with_rules_survives_the_way_through_json() {
    let text = step(&(label("dear", "total_above = 7\npriority = 3") + &label("usual", "")));
    let process = file(&text).read().unwrap().processes.remove(0);
    let json = serde_json::to_string(&process).unwrap();
    let kept: Process = serde_json::from_str(&json).unwrap();
    assert_eq!(kept.steps[0].kind, process.steps[0].kind);
    let bad = json.replace("\"priority\":3", "\"priority\":4");
    assert!(serde_json::from_str::<Process>(&bad).is_err());
}
