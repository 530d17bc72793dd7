//! Tests of the processes in a configuration: read whole, or refused with the step and the key.
//! Each reads from a text of its own.

use super::file;
use crate::config::FILE_NAME;
use crate::order::{Pull, Simulate, StepKind, TimeUp, Wait};

const STEP: &str =
    "\n[[process.default.step]]\nname = \"work\"\nkind = \"simulate\"\nduration = \"0s\"\n";

#[test]
fn a_process_is_read_whole() {
    let text = format!(
        "[process.default]\nversion = 3\nconcurrency = 7\n{STEP}failure_rate = 0.25\nattempts = 2\n\
         retry_base = \"50ms\"\nretry_cap = \"2s\"\nconcurrency = 9\npermanent_rate = 0.5\n\
         retry_after = \"30s\"\n\n[[process.default.step]]\n\
         name = \"pack\"\nkind = \"simulate\"\nduration = \"1s..10s\"\n"
    );
    let given = file(&text);
    let config = given.read().unwrap();
    let [process] = &config.processes[..] else {
        panic!("not one process");
    };
    assert_eq!(
        (&*process.name, process.version, process.concurrency),
        ("default", 3, 7)
    );
    let [work, pack] = &process.steps[..] else {
        panic!("not two steps");
    };
    let simulate = |shortest_us, longest_us, failures_ppm| {
        StepKind::Simulate(Simulate {
            shortest_us,
            longest_us,
            failures_ppm,
            ..Simulate::default()
        })
    };
    let StepKind::Simulate(given_up) = &work.kind else {
        panic!("not simulated");
    };
    assert_eq!(given_up.failures_ppm, 250_000);
    assert_eq!(given_up.permanent_ppm, 500_000);
    assert_eq!(given_up.retry_after_us, Some(30_000_000));
    assert_eq!((work.concurrency, work.retry.attempts_max), (9, 2));
    assert_eq!((work.retry.base_us, work.retry.cap_us), (50_000, 2_000_000));
    assert_eq!(pack.kind, simulate(1_000_000, 10_000_000, 0));
    assert_eq!((pack.concurrency, pack.retry.attempts_max), (u32::MAX, 10));
    assert!(config.origin("process.default").name.ends_with(FILE_NAME));
    assert_eq!(process.open_orders_max, 0);
    let limited = given
        .variable("ORDERD_PROCESS__DEFAULT__CONCURRENCY", "5")
        .variable("ORDERD_PROCESS__DEFAULT__MAX_OPEN_ORDERS", "9");
    let process = &limited.read().unwrap().processes[0];
    assert_eq!((process.concurrency, process.open_orders_max), (5, 9));
}

#[test]
fn each_mistake_in_a_step_for_workers_is_named() {
    let step = |lines: &str| {
        let head = "[process.default]\nversion = 1\n[[process.default.step]]\nname = \"a\"\n";
        format!("{head}{lines}")
    };
    for (text, message) in [
        (
            step("kind = \"pull\""),
            "process.default, step 1: queue is missing; it must be 1 to 64 lower-case letters, \
             digits, '_' or '-'",
        ),
        (
            step("kind = \"pull\"\nqueue = \"A b\""),
            "process.default, step 1: queue is \"A b\"; it must be 1 to 64 lower-case letters, \
             digits, '_' or '-'",
        ),
        (
            step("kind = \"pull\"\nqueue = \"a\"\nlease = \"1ms\""),
            "process.default, step 1: lease is \"1ms\"; it must be a time with its unit, from 1s \
             to 1d, such as \"10s\"",
        ),
        (
            step("kind = \"pull\"\nqueue = \"a\"\nretry_base = \"1h\""),
            "process.default, step 1: retry_base is 1h, above retry_cap (10m); lower it or raise \
             the other",
        ),
    ] {
        assert_eq!(file(&text).error(), format!("orderd.toml: {message}"));
    }
}

#[test]
fn how_a_step_is_undone_is_read_whole_or_refused_by_name() {
    let step = |undo: &str| {
        let head = "[process.default]\nversion = 1\n[[process.default.step]]\nname = \"a\"\n";
        format!("{head}kind = \"pull\"\nqueue = \"q\"\ncompensate = {{ {undo} }}")
    };
    let config = file(&step("queue = \"back\", lease = \"7s\", attempts = 3"));
    let config = config.read().unwrap();
    let undo = config.processes[0].steps[0].undo.as_ref().unwrap();
    let (queue, lease_us) = ("back".into(), 7_000_000);
    assert_eq!(undo.kind, StepKind::Pull(Pull { queue, lease_us }));
    assert_eq!((&*undo.name, undo.retry.attempts_max), ("a", 3));
    let pull = "\"pull\"\nqueue = \"q\"";
    let pushed = step("queue = \"back\"").replace(pull, "\"push\"\nurl = \"https://x\"");
    let config = file(&pushed).read().unwrap();
    assert!(config.processes[0].steps[0].undo.is_some());
    for (undo, message) in [
        (
            "url = \"http://x\"",
            "process.default, step 1: compensate.url is not built yet in this version; use queue \
             or duration",
        ),
        (
            "attempts = 3",
            "process.default, step 1: compensate says nothing of who undoes the step, or too \
             much; give queue or duration",
        ),
        (
            "queue = \"A b\"",
            "process.default, step 1: compensate.queue is \"A b\"; it must be 1 to 64 lower-case \
             letters, digits, '_' or '-'",
        ),
        (
            "queue = \"a\", failure_rate = 0.5",
            "process.default, step 1: compensate.failure_rate means something only with duration",
        ),
    ] {
        assert_eq!(file(&step(undo)).error(), format!("orderd.toml: {message}"));
    }
}

#[test]
fn each_mistake_in_a_step_that_waits_is_named() {
    let step = |lines: &str| {
        let head = "[process.default]\nversion = 1\n[[process.default.step]]\nname = \"a\"\n";
        format!("{head}kind = \"wait\"\n{lines}")
    };
    for (text, message) in [
        (
            step(""),
            "process.default, step 1: timeout is missing; it must be a time with its unit, from \
             1ms to 365d, such as \"10s\"",
        ),
        (
            step("timeout = \"soon\""),
            "process.default, step 1: timeout is \"soon\"; it must be a time with its unit, from \
             1ms to 365d, such as \"10s\"",
        ),
        (
            step("timeout = \"0s\""),
            "process.default, step 1: timeout is \"0s\"; it must be a time with its unit, from \
             1ms to 365d, such as \"10s\"",
        ),
        (
            step("timeout = \"1d\"\non_timeout = \"panic\""),
            "process.default, step 1: on_timeout is \"panic\"; it must be one of [\"retry\", \
             \"reject\", \"dead\", \"continue\"]",
        ),
        (
            step("timeout = \"1d\"\nsignal = \"x\""),
            "there is no setting process.default, step 1: signal; there are name, kind, timeout, \
             on_timeout, attempts, retry_base, retry_cap",
        ),
    ] {
        assert_eq!(file(&text).error(), format!("orderd.toml: {message}"));
    }
}

#[test]
fn a_step_that_waits_is_read_whole() {
    let step = "[[process.default.step]]\nname = \"delivered\"\nkind = \"wait\"\n";
    for (on_timeout, then) in [
        ("", TimeUp::Dead),
        ("on_timeout = \"continue\"\n", TimeUp::Continue),
    ] {
        let head = "[process.default]\nversion = 1\n";
        let text = format!("{head}{step}timeout = \"2d\"\n{on_timeout}attempts = 3\n");
        let config = file(&text).read().unwrap();
        let read = &config.processes[0].steps[0];
        let timeout_us = 2 * 86_400_000_000;
        assert_eq!(read.kind, StepKind::Wait(Wait { timeout_us, then }));
        assert_eq!(read.retry.attempts_max, 3);
    }
}

#[test]
fn a_step_that_is_sent_is_read_whole() {
    let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let text = format!(
        "[process.shop]\nversion = 1\n[[process.shop.step]]\nname = \"pay\"\nkind = \"push\"\n\
         url = \"http://10.0.0.1/pay\"\ntimeout = \"250ms\"\ncallback_timeout = \"2h\"\n\
         secret = \"{secret} {secret}\"\neffect = true\nlookup = \"https://pay/ask?a=b\"\n"
    );
    let config = file(&text).read().unwrap();
    let step = &config.processes[0].steps[0];
    let StepKind::Push(push) = &step.kind else {
        panic!("not sent");
    };
    assert_eq!((&*push.queue, step.concurrency), ("shop.pay", 64));
    assert_eq!(&*push.url, "http://10.0.0.1/pay");
    assert_eq!(push.lookup.as_deref(), Some("https://pay/ask?a=b"));
    let times = (push.timeout_us, push.callback_us);
    assert_eq!(times, (250_000, 7_200_000_000));
    assert_eq!(push.secrets.len(), 2);
    assert_eq!(push.secrets[1].reveal(), secret);
}

#[test]
fn each_mistake_in_a_step_that_is_sent_is_named() {
    for (lines, message) in [
        (
            "",
            "url is missing; it must be a URL such as \"https://pay.internal/authorise\"",
        ),
        (
            "url = \"pay\"",
            "url is no address that can be called: it must begin with http:// or https://",
        ),
        (
            "url = \"http://x\"\ntimeout = \"50ms\"",
            "timeout must be from 100ms to 1h; a result that takes longer can come later",
        ),
        (
            "url = \"http://x\"\neffect = true",
            "effect is true, but there is no lookup; name the address where is told what became \
             of an attempt",
        ),
        (
            "url = \"http://x\"\nlookup = \"http://x\"",
            "lookup is only asked about a step with effect = true",
        ),
        (
            "url = \"http://x\"\nsecret = \"whsec_short\"",
            "secret must be whsec_ and 24 to 64 bytes in base64, or two of that with a space \
             between them",
        ),
    ] {
        let text = format!(
            "[process.default]\nversion = 1\n[[process.default.step]]\nname = \"a\"\n\
             kind = \"push\"\n{lines}"
        );
        let wanted = format!("orderd.toml: process.default, step 1: {message}");
        assert_eq!(file(&text).error(), wanted);
    }
}

#[test]
fn each_mistake_in_a_step_is_named() {
    let step = |lines: &str| {
        format!("[process.default]\nversion = 1\n[[process.default.step]]\nname = \"a\"\n{lines}")
    };
    let simulated = |lines: &str| step(&format!("kind = \"simulate\"\n{lines}"));
    for (text, message) in [
        (
            step("kind = \"email\""),
            "process.default, step 1: kind is \"email\"; it must be one of \
             [\"push\", \"pull\", \"wait\", \"simulate\", \"rules\"]",
        ),
        (
            step("duration = \"1s\""),
            "process.default, step 1: kind is missing; it must be one of [\"push\", \
             \"pull\", \"wait\", \"simulate\", \"rules\"]",
        ),
        (
            simulated(""),
            "process.default, step 1: duration is missing; it must be a time such as \"250ms\" or \
             a range \
             such as \"1s..10s\", at most 30 days",
        ),
        (
            simulated("duration = \"10s..1s\""),
            "process.default, step 1: duration is \"10s..1s\"; it must be a time such as \
             \"250ms\" or a \
             range such as \"1s..10s\", at most 30 days",
        ),
        (
            simulated("duration = \"1s\"\nfailure_rate = 1.5"),
            "process.default, step 1: failure_rate is 1.5; it must be a number from 0.0 to 1.0",
        ),
        (
            simulated("duration = \"1s\"\nattempts = 0"),
            "process.default, step 1: attempts is 0; it must be a whole number from 1 to 1,000",
        ),
        (
            simulated("duration = \"1s\"\nretry_cap = \"10ms\""),
            "process.default, step 1: retry_base is 1s, above retry_cap (10ms); lower it or raise \
             the other",
        ),
        (
            simulated("duration = \"1s\"\npermanent_rate = -0.5"),
            "process.default, step 1: permanent_rate is -0.5; it must be a number from 0.0 to 1.0",
        ),
        (
            simulated("duration = \"1s\"\nretry_after = \"2d\""),
            "process.default, step 1: retry_after is \"2d\"; it must be a time with its unit, from \
             0s to 1d, such as \"10s\"",
        ),
        (
            simulated("duration = \"1s\"\nretries = 3"),
            "there is no setting process.default, step 1: retries; there are name, kind, duration, \
             per_priority, failure_rate, permanent_rate, concurrency, attempts, retry_base, \
             retry_cap, retry_after, compensate",
        ),
    ] {
        assert_eq!(file(&text).error(), format!("orderd.toml: {message}"));
    }
}

#[test]
fn each_mistake_in_a_process_is_named() {
    for (text, message) in [
        (
            format!("[process.default]\nversion = 1\n{STEP}{STEP}"),
            "process.default, step 2: name is \"work\", as another step's is; names must differ",
        ),
        (
            format!("[process.default]\nversion = 0\n{STEP}"),
            "process.default.version is 0; it must be a whole number from 1 to 4,294,967,295",
        ),
        (
            format!("[process.default]\nversion = 1\nmax_open_orders = 100000001\n{STEP}"),
            "process.default.max_open_orders is 100000001; it must be a whole number from 0 to \
             100,000,000",
        ),
        (
            format!("[process.default]\n{STEP}"),
            "process.default.version is missing; it must be a whole number from 1 to 4,294,967,295",
        ),
        (
            "[process.default]\nversion = 1".into(),
            "process.default has 0 steps; it must have 1 to 100, each written as \
             [[process.default.step]]",
        ),
        (
            "[process.\"My Orders\"]\nversion = 1".into(),
            "process.My Orders has a bad name; it must be 1 to 64 lower-case letters, digits, '_' \
             or '-'",
        ),
    ] {
        assert_eq!(file(&text).error(), format!("orderd.toml: {message}"));
    }
}

#[test]
fn a_process_with_too_many_steps_is_refused() {
    let steps: String = (0..101)
        .map(|n| STEP.replace("\"work\"", &format!("\"work-{n}\"")))
        .collect();
    let message = file(&format!("[process.default]\nversion = 1\n{steps}")).error();
    assert!(
        message.contains("process.default has 101 steps"),
        "{message}"
    );
}
