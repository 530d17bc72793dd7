//! The table of all settings: what each must be, and the short name it has in the environment.
//!
//! Bounds stand here and nowhere else; messages, checks and `config show` read them from here. The
//! defaults are in the structs, the explanations in the template.

use std::time::Duration;

use serde_json::Value;

use super::duration;

/// One setting.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// Section and name, as in `server.listen`. A `*` stands for the name of a process, or for a
    /// step.
    pub key: &'static str,
    /// Its short name in the environment, if it has one.
    pub short_variable: Option<&'static str>,
    /// What it must be.
    pub form: Form,
}

/// What a setting must be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Form {
    /// Some text, described for people.
    Text(&'static str),
    /// One of these words.
    Choice(&'static [&'static str]),
    /// A whole number within these bounds.
    Count(u64, u64),
    /// A time within these bounds, in milliseconds.
    Time(u64, u64),
    /// True or false.
    Switch,
}

const SECOND: u64 = 1_000;
const HOUR: u64 = 3_600 * SECOND;
const DAY: u64 = 24 * HOUR;

/// The longest a simulated attempt may take, in milliseconds.
pub const SIMULATED_MAX_MS: u64 = 30 * DAY;

const fn setting(key: &'static str, form: Form) -> Setting {
    Setting {
        key,
        short_variable: None,
        form,
    }
}

const fn with_short(key: &'static str, variable: &'static str, form: Form) -> Setting {
    Setting {
        key,
        short_variable: Some(variable),
        form,
    }
}

const DIALECTS: Form = Form::Text(
    "\"all\", \"none\" or names of dialects (two_queue, realtime, order_service, api_v1, \
     orders_api) with commas between them",
);
const ADDRESSES: Form = Form::Text(
    "addresses with ports and commas between them, such as \"127.0.0.1:8080\" or \
     \"localhost:8080\", which is 127.0.0.1 and [::1]",
);
const NETWORKS: Form = Form::Text(
    "networks such as \"10.0.0.0/8\", addresses and host names with commas between them",
);
const URL: Form = Form::Text("a URL such as \"https://pay.internal/authorise\"");
const SECRET: Form = Form::Text("whsec_ and 24 to 64 bytes in base64");
const TWO_DECIMALS: Form = Form::Text("an ISO 4217 code with two decimals such as \"USD\"");
const WORD: Form = Form::Text("1 to 64 characters");
const SENTENCE: Form = Form::Text("1 to 1,024 characters");
const MINOR_UNITS: Form = Form::Count(0, 9_223_372_036_854_775_807);
const RATE: Form = Form::Text("a number from 0.0 to 1.0");
const DURATION: Form =
    Form::Text("a time such as \"250ms\" or a range such as \"1s..10s\", at most 30 days");
const NAME: Form = Form::Text("1 to 64 lower-case letters, digits, '_' or '-'");

/// Every setting, in the order of the template.
pub const SETTINGS: &[Setting] = &[
    with_short(
        "server.listen",
        "ORDERD_LISTEN",
        Form::Text("an address with a port such as \"127.0.0.1:7070\""),
    ),
    setting("server.insecure", Form::Switch),
    setting("server.connections_max", Form::Count(1, 1_000_000)),
    setting("server.header_timeout", Form::Time(100, HOUR)),
    setting("server.idle_timeout", Form::Time(100, DAY)),
    setting("server.body_timeout", Form::Time(100, HOUR)),
    setting("server.drain_timeout", Form::Time(0, HOUR)),
    setting("server.takeover_timeout", Form::Time(0, 365 * DAY)),
    with_short(
        "store.data",
        "ORDERD_DATA",
        Form::Text("the path of a folder"),
    ),
    with_short(
        "store.url",
        "ORDERD_STORE",
        Form::Text("the URL of a store such as \"sqlite:/var/lib/orderd/orders.db\""),
    ),
    setting("store.readers", Form::Count(1, 64)),
    setting("store.list_readers", Form::Count(1, 64)),
    setting("store.connect_timeout", Form::Time(100, 60 * SECOND)),
    setting("store.commit_timeout", Form::Time(500, 60 * SECOND)),
    setting("store.read_timeout", Form::Time(100, HOUR)),
    setting(
        "store.free_space_min",
        Form::Text("\"auto\", a size with its unit such as \"512MiB\", or \"0\""),
    ),
    setting("queue.max_open_orders", Form::Count(1, 100_000_000)),
    setting("queue.allowance_medium", Form::Time(0, 365 * DAY)),
    setting("queue.allowance_low", Form::Time(0, 365 * DAY)),
    setting("queue.begun_head_start", Form::Time(0, 365 * DAY)),
    setting("queue.idempotency_retention", Form::Time(SECOND, 365 * DAY)),
    setting("events.readers_max", Form::Count(0, 100_000)),
    setting("events.heartbeat", Form::Time(100, HOUR)),
    setting("outbound.allow", NETWORKS),
    setting("outbound.connect_timeout", Form::Time(100, 60 * SECOND)),
    setting("webhooks.timeout", Form::Time(100, 300 * SECOND)),
    setting("webhooks.give_up_after", Form::Time(60 * SECOND, 365 * DAY)),
    with_short(
        "log.filter",
        "ORDERD_LOG",
        Form::Text("levels such as \"info\" or \"warn,orderd::http=debug\""),
    ),
    setting("log.format", Form::Choice(&["human", "json"])),
    with_short("compat.dialects", "ORDERD_COMPAT", DIALECTS),
    setting("compat.two_queue.listen", ADDRESSES),
    setting("compat.two_queue.currency", TWO_DECIMALS),
    setting("compat.two_queue.completed_word", WORD),
    setting("compat.realtime.listen", ADDRESSES),
    setting("compat.realtime.currency", TWO_DECIMALS),
    setting("compat.realtime.profiling", Form::Switch),
    setting("compat.order_service.listen", ADDRESSES),
    setting("compat.order_service.currency", TWO_DECIMALS),
    setting("compat.api_v1.listen", ADDRESSES),
    setting("compat.api_v1.currency", TWO_DECIMALS),
    setting("compat.orders_api.listen", ADDRESSES),
    setting("compat.orders_api.currency", TWO_DECIMALS),
    setting("process.*.version", Form::Count(1, 4_294_967_295)),
    setting("process.*.concurrency", Form::Count(1, 100_000_000)),
    setting("process.*.max_open_orders", Form::Count(0, 100_000_000)),
    setting("process.*.step.*.name", NAME),
    setting(
        "process.*.step.*.kind",
        Form::Choice(&["push", "pull", "wait", "simulate", "rules"]),
    ),
    setting("process.*.step.*.url", URL),
    setting("process.*.step.*.timeout", Form::Time(1, 365 * DAY)),
    setting(
        "process.*.step.*.callback_timeout",
        Form::Time(SECOND, 30 * DAY),
    ),
    setting("process.*.step.*.secret", SECRET),
    setting("process.*.step.*.effect", Form::Switch),
    setting("process.*.step.*.lookup", URL),
    setting("process.*.step.*.queue", NAME),
    setting("process.*.step.*.lease", Form::Time(SECOND, DAY)),
    setting(
        "process.*.step.*.on_timeout",
        Form::Choice(&["retry", "reject", "dead", "continue"]),
    ),
    setting("process.*.step.*.duration", DURATION),
    setting("process.*.step.*.per_priority", Form::Switch),
    setting("process.*.step.*.failure_rate", RATE),
    setting("process.*.step.*.permanent_rate", RATE),
    setting("process.*.step.*.concurrency", Form::Count(1, 100_000_000)),
    setting("process.*.step.*.attempts", Form::Count(1, 1_000)),
    setting("process.*.step.*.retry_base", Form::Time(0, 365 * DAY)),
    setting("process.*.step.*.retry_cap", Form::Time(0, 365 * DAY)),
    setting("process.*.step.*.retry_after", Form::Time(0, DAY)),
    setting("process.*.step.*.total_max", MINOR_UNITS),
    setting("process.*.step.*.total_text", SENTENCE),
    setting("process.*.step.*.items_max", Form::Count(0, 1_000)),
    setting("process.*.step.*.items_text", SENTENCE),
    setting("process.*.step.*.compensate.queue", NAME),
    setting("process.*.step.*.compensate.lease", Form::Time(SECOND, DAY)),
    setting("process.*.step.*.compensate.duration", DURATION),
    setting("process.*.step.*.compensate.failure_rate", RATE),
    setting(
        "process.*.step.*.compensate.concurrency",
        Form::Count(1, 100_000_000),
    ),
    setting(
        "process.*.step.*.compensate.attempts",
        Form::Count(1, 1_000),
    ),
    setting(
        "process.*.step.*.compensate.retry_base",
        Form::Time(0, 365 * DAY),
    ),
    setting(
        "process.*.step.*.compensate.retry_cap",
        Form::Time(0, 365 * DAY),
    ),
    setting("process.*.step.*.label.*.label", WORD),
    setting("process.*.step.*.label.*.text", SENTENCE),
    setting("process.*.step.*.label.*.total_above", MINOR_UNITS),
    setting("process.*.step.*.label.*.priority", Form::Count(1, 3)),
];

/// The setting that a path leads to, with the names of processes and the numbers of steps as they
/// are.
pub fn find(path: &[String]) -> Option<&'static Setting> {
    let fits = |setting: &&Setting| {
        let parts: Vec<&str> = setting.key.split('.').collect();
        let same = |(part, given): (&&str, &String)| *part == "*" || *part == given.as_str();
        parts.len() == path.len() && parts.iter().zip(path).all(same)
    };
    SETTINGS.iter().find(fits)
}

impl Form {
    /// What it must be, to follow "it must be".
    pub fn description(&self) -> String {
        let time = |ms: &u64| duration::format(Duration::from_millis(*ms));
        match self {
            Self::Text(description) => (*description).into(),
            Self::Choice(words) => match words {
                [word] => format!("{word:?}"),
                words => format!("one of {words:?}"),
            },
            Self::Count(least, most) => format!(
                "a whole number from {} to {}",
                grouped(*least),
                grouped(*most)
            ),
            Self::Time(least, most) => format!(
                "a time with its unit, from {} to {}, such as \"{}\"",
                time(least),
                time(most),
                time(&(10 * SECOND))
            ),
            Self::Switch => "true or false".into(),
        }
    }

    /// Whether a value that has the right type lies within the bounds.
    pub fn admits(&self, value: &Value) -> bool {
        match self {
            Self::Count(least, most) => match value.as_i64() {
                Some(..0) => false,
                _ => value
                    .as_u64()
                    .is_none_or(|count| (*least..=*most).contains(&count)),
            },
            Self::Time(least, most) => {
                let range = Duration::from_millis(*least)..=Duration::from_millis(*most);
                let time = value.as_str().and_then(duration::parse);
                time.is_none_or(|time| range.contains(&time))
            }
            _ => true,
        }
    }
}

/// A number with its thousands set apart.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
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
    use super::*;

    #[test]
    fn a_path_finds_its_setting_whatever_the_process_is_called() {
        let path = |text: &str| text.split('.').map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(find(&path("server.listen")).unwrap().key, "server.listen");
        assert_eq!(
            find(&path("process.express.step.3.duration")).unwrap().key,
            "process.*.step.*.duration"
        );
        assert!(find(&path("server.listn")).is_none());
        assert!(find(&path("server")).is_none());
    }

    #[test]
    fn bounds_hold_at_both_ends() {
        let count = Form::Count(1, 64);
        for (value, is_admitted) in [(-1, false), (0, false), (1, true), (64, true), (65, false)] {
            assert_eq!(count.admits(&Value::from(value)), is_admitted, "{value}");
        }
        let time = Form::Time(100, 1_000);
        for (value, is_admitted) in [
            ("99ms", false),
            ("100ms", true),
            ("1s", true),
            ("2s", false),
        ] {
            assert_eq!(time.admits(&Value::from(value)), is_admitted, "{value}");
        }
        assert_eq!(
            Form::Count(1, 1_000_000).description(),
            "a whole number from 1 to 1,000,000"
        );
    }
}
