//! Tests of the dialects in a configuration: which are chosen, where they listen, what they run.
//! Each reads from a text of its own.

use super::file;
use crate::config::{CompatSettings, Config};
use crate::order::{Dialect, Process};

fn names(config: &Config) -> Vec<&'static str> {
    let dialects = config.compat.dialects.iter();
    dialects.map(|known| known.dialect.name()).collect()
}

fn processes(text: &str) -> Vec<(String, u32, u32)> {
    let all = file(text).read().unwrap().processes;
    let facts = |process: Process| {
        (
            process.name.to_string(),
            process.version,
            process.concurrency,
        )
    };
    all.into_iter().map(facts).collect()
}

#[test]
fn dialects_are_chosen_by_flag_environment_or_file() {
    let given = file("[compat]\ndialects = [\"orders_api\", \"two_queue\"]");
    assert_eq!(names(&given.read().unwrap()), ["two_queue", "orders_api"]);
    let given = given.variable("ORDERD_COMPAT", "api_v1, realtime");
    assert_eq!(names(&given.read().unwrap()), ["realtime", "api_v1"]);
    let given = given.flag("--compat", "compat.dialects", "none");
    assert_eq!(names(&given.read().unwrap()), [""; 0]);
    let all = file("[compat]\ndialects = \"all\"").read().unwrap();
    assert_eq!(names(&all), Dialect::ALL.map(Dialect::name));
    assert_eq!(file("").read().unwrap().compat, CompatSettings::default());
}

#[test]
fn each_dialect_listens_where_its_clients_look_for_it() {
    let config = file("[compat]\ndialects = \"all\"").read().unwrap();
    for settings in &config.compat.dialects {
        let port = settings.dialect.port();
        let listen: Vec<String> = settings.listen.iter().map(ToString::to_string).collect();
        assert_eq!(
            listen,
            [format!("127.0.0.1:{port}"), format!("[::1]:{port}")]
        );
        assert_eq!(settings.currency.code(), "USD");
    }
}

#[test]
fn a_dialect_may_be_moved_and_told_more() {
    let config = file(
        "[compat]\ndialects = \"two_queue,realtime\"\n[compat.two_queue]\n\
         listen = \"127.0.0.1:90, localhost:90\"\ncurrency = \"EUR\"\ncompleted_word = \"done\"\n\
         [compat.realtime]\nlisten = \"[::1]:90\"\nprofiling = true",
    )
    .variable("ORDERD_COMPAT__REALTIME__LISTEN", "127.0.0.1:90")
    .read()
    .unwrap();
    let two_queue = config.compat.of(Dialect::TwoQueue).unwrap();
    let listen: Vec<String> = two_queue.listen.iter().map(ToString::to_string).collect();
    assert_eq!(listen, ["127.0.0.1:90", "[::1]:90"]);
    assert_eq!(two_queue.currency.code(), "EUR");
    assert_eq!(two_queue.completed_word, "done");
    let realtime = config.compat.of(Dialect::Realtime).unwrap();
    assert_eq!(realtime.listen, ["127.0.0.1:90".parse().unwrap()]);
    assert!(realtime.is_profiling);
    assert_eq!(config.compat.of(Dialect::ApiV1), None);
}

#[test]
fn each_mistake_about_a_dialect_is_named() {
    let spoken = |more: &str| format!("[compat]\ndialects = \"all\"\n{more}");
    for (text, message) in [
        (
            "[compat]\ndialects = \"api_v2\"".into(),
            "compat.dialects is \"api_v2\"; it must be \"all\", \"none\" or names of dialects \
             (two_queue, realtime, order_service, api_v1, orders_api) with commas between them",
        ),
        (
            "[compat.api_v1]\ncompleted_word = \"x\"".into(),
            "there is no setting compat.api_v1.completed_word; there are listen, currency",
        ),
        (
            "[compat.api_v1]\ncurrency = \"JPY\"".into(),
            "compat.api_v1.currency is \"JPY\"; it must be an ISO 4217 code with two decimals \
             such as \"USD\"",
        ),
        (
            "[compat.two_queue]\ncompleted_word = \"\"".into(),
            "compat.two_queue.completed_word is \"\"; it must be 1 to 64 characters",
        ),
        (
            "[compat.api_v1]\nlisten = \"8000\"".into(),
            "compat.api_v1.listen is \"8000\"; it must be addresses with ports and commas between \
             them, such as \"127.0.0.1:8080\" or \"localhost:8080\", which is 127.0.0.1 and [::1]",
        ),
        (
            spoken("[compat.api_v1]\nlisten = \"10.0.0.1:8000\""),
            "compat.api_v1.listen has \"10.0.0.1:8000\", which other machines can reach, and \
             orderd has no log-in yet; listen on 127.0.0.1 or allow it with --insecure",
        ),
        (
            spoken("[compat.orders_api]\nlisten = \"localhost:8000\""),
            "compat.orders_api.listen has \"127.0.0.1:8000\", as compat.order_service.listen \
             has, and the two have the same paths; choose another address for one of them",
        ),
        (
            spoken("[compat.api_v1]\nlisten = \"127.0.0.1:7070\""),
            "compat.api_v1.listen has \"127.0.0.1:7070\", which is server.listen, and both have \
             paths that the other has too; choose another address",
        ),
    ] {
        assert_eq!(file(&text).error(), format!("orderd.toml: {message}"));
    }
}

#[test]
fn addresses_that_overlap_are_refused_before_the_system_says_so_in_its_words() {
    let open = |more: &str| {
        let text = format!("[server]\ninsecure = true\n[compat]\ndialects = \"all\"\n{more}");
        file(&text).error()
    };
    assert_eq!(
        open("[compat.two_queue]\nlisten = \"0.0.0.0:8080\""),
        "default: compat.realtime.listen has \"127.0.0.1:8080\", which overlaps with \
         compat.two_queue.listen (0.0.0.0:8080); make them equal, or choose another port"
    );
    assert_eq!(
        open("[compat.api_v1]\nlisten = \"[::]:7070\""),
        "orderd.toml: compat.api_v1.listen has \"[::]:7070\", which overlaps with server.listen \
         (127.0.0.1:7070); make them equal, or choose another port"
    );
}

#[test]
fn dialects_of_one_port_may_share_it_with_each_other_and_with_the_native_api() {
    for text in [
        "[server]\nlisten = \"127.0.0.1:8080\"",
        "[compat.api_v1]\nlisten = \"127.0.0.1:0\"\n[compat.orders_api]\nlisten = \
         \"127.0.0.1:0\"",
        "[server]\ninsecure = true\n[compat.two_queue]\nlisten = \"0.0.0.0:8080\"\n\
         [compat.realtime]\nlisten = \"0.0.0.0:8080\"",
    ] {
        let config = file(text).variable("ORDERD_COMPAT", "all").read().unwrap();
        assert_eq!(config.compat.dialects.len(), 5, "{text}");
    }
}

#[test]
fn each_dialect_that_is_spoken_has_a_process() {
    let own = |name: &str, version, concurrency| (name.to_owned(), version, concurrency);
    let chosen = "[compat]\ndialects = \"api_v1\"\n";
    let default = own("default", 0, 1_000_000);
    assert_eq!(processes(chosen), [default.clone(), own("api_v1", 0, 100)]);
    let limited = format!("{chosen}[process.api_v1]\nconcurrency = 3\n[process.realtime]\n");
    let bounded = file(&format!("{limited}max_open_orders = 100\n"));
    let bounds = bounded.read().unwrap().processes;
    let bounds: Vec<_> = bounds.iter().map(|it| it.open_orders_max).collect();
    assert_eq!(bounds, [0, 100, 0]);
    assert_eq!(
        processes(&limited),
        [own("api_v1", 0, 3), own("realtime", 0, 10), default.clone()]
    );
    let step = |name: &str| {
        format!(
            "[process.{name}]\nversion = 7\n[[process.{name}.step]]\nname = \"pack\"\n\
             kind = \"simulate\"\nduration = \"1s\"\nper_priority = true\n"
        )
    };
    let replaced = format!("{chosen}{}", step("api_v1"));
    assert_eq!(processes(&replaced), [own("api_v1", 7, 1_000_000), default]);
    let beside = format!("{chosen}{}", step("express"));
    assert_eq!(
        processes(&beside),
        [own("express", 7, 1_000_000), own("api_v1", 0, 100)]
    );
}
