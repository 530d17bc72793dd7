//! What a server says about itself: where it listens, where the data is, what that is worth, that
//! work is simulated, and how it ends.
//!
//! On stderr for people, or as events of a JSON log. Words that cannot be written are lost, no
//! more.

use std::fmt::Write as _;
use std::io::{Write, stderr};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use super::doors::Place;
use crate::cli::version::{BUILD, VERSION};
use crate::config::{Config, LogFormat, duration, masked};
use crate::order::{Priority, Process, StepKind};
use crate::store::Durability;
use crate::telemetry::Colour;

const BOLD: &str = "\x1b[1m";
const DIM: &str = "\x1b[2m";
const YELLOW: &str = "\x1b[33m";
const PLAIN: &str = "\x1b[0m";

/// In which form a server speaks.
#[derive(Clone, Copy, Debug)]
pub struct Notices {
    format: LogFormat,
    colour: Colour,
}

/// What is said at the start.
pub struct Banner<'a> {
    /// Where it really listens, that of `server.listen` first, and what is served there.
    pub places: Vec<Place>,
    /// With what it was started.
    pub config: &'a Config,
    /// What the store's answers are worth.
    pub durability: Durability,
    /// How long the start took.
    pub started_in: Duration,
}

impl Notices {
    /// Speaks in this form.
    pub fn new(format: LogFormat, colour: Colour) -> Self {
        Self { format, colour }
    }

    /// Introduces a server that is ready.
    pub fn banner(&self, banner: &Banner<'_>) {
        match self.format {
            LogFormat::Human => say(&banner.text(self.colour)),
            LogFormat::Json => banner.events(),
        }
    }

    pub(super) fn waiting(&self, text: &str) {
        self.line(text);
    }

    pub(super) fn draining(&self, patience: Duration) {
        let patience = duration::format(patience);
        self.line(&format!(
            "draining: no new connections; requests in flight have {patience} to end; a second \
             signal \
             leaves at once"
        ));
    }

    pub(super) fn drained(&self) {
        self.line("drained: every order that was answered for is on disk");
    }

    pub(super) fn engine_ended(&self) {
        self.line("the engine ended; closing connections");
    }

    pub(super) fn leaving(&self) {
        self.line("leaving at once; every order that was answered for is on disk");
    }

    fn line(&self, text: &str) {
        match self.format {
            LogFormat::Human => say(&format!("{text}\n")),
            LogFormat::Json => tracing::info!("{text}"),
        }
    }
}

/// Unlike `eprint!`, it does not panic when nobody reads stderr any more.
fn say(text: &str) {
    let _ = stderr().write_all(text.as_bytes());
}

impl Banner<'_> {
    /// A URL of the native API that a client on this machine can use.
    fn url(&self, path: &str) -> String {
        let native = self.places.first().map(|place| url(place.address));
        format!("{}{path}", native.unwrap_or_default())
    }

    /// The places with dialects.
    fn compat(&self) -> impl Iterator<Item = &Place> {
        let places = self.places.iter();
        places.filter(|place| !place.dialects.is_empty())
    }

    /// Where everything is: a folder, or the URL of a database.
    fn data(&self) -> String {
        let store = &self.config.store;
        let folder = store.folder().map(|folder| folder.display().to_string());
        folder.unwrap_or_else(|| masked(&store.effective_url()))
    }

    fn events(&self) {
        for warning in self.warnings() {
            tracing::warn!("{warning}");
        }
        for place in self.compat() {
            let names: Vec<_> = place
                .dialects
                .iter()
                .map(|dialect| dialect.name())
                .collect();
            tracing::info!(
                url = url(place.address),
                dialects = names.join(","),
                native_api = place.has_native_api(),
                "listening"
            );
        }
        tracing::info!(
            version = VERSION,
            api = self.url("/v1/orders"),
            openapi = self.url("/openapi.json"),
            metrics = self.url("/metrics"),
            data = self.data(),
            durability = self.durability.level,
            durability_detail = self.durability.detail,
            started_in_ms = u64::try_from(self.started_in.as_millis()).unwrap_or(u64::MAX),
            "ready"
        );
    }

    fn text(&self, colour: Colour) -> String {
        let style = |code: &'static str| match colour {
            Colour::On => code,
            Colour::Off => "",
        };
        let (bold, dim, warn, plain) = (style(BOLD), style(DIM), style(YELLOW), style(PLAIN));
        let store_url = masked(&self.config.store.effective_url());
        let data = match self.config.store.folder() {
            Some(folder) => format!("{} {dim}({store_url}){plain}", folder.display()),
            None => store_url,
        };
        let Durability { level, detail } = &self.durability;
        let mut rows = vec![
            ("API", self.url("/v1/orders")),
            ("OpenAPI", self.url("/openapi.json")),
            ("Metrics", self.url("/metrics")),
            ("Data", data),
            ("Durability", format!("{level} {dim}({detail}){plain}")),
        ];
        for place in self.compat() {
            let door = format!("{} {dim}{}{plain}", url(place.address), place.contents());
            rows.push(("Compat", door));
        }
        let mut text = format!("{bold}orderd {VERSION}{plain}\n\n");
        for (name, value) in rows {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "  {name:<12}{value}");
        }
        text.push('\n');
        for warning in self.warnings() {
            let _ = writeln!(text, "  {warn}{warning}{plain}");
        }
        let ms = self.started_in.as_millis();
        let _ = writeln!(
            text,
            "\n{bold}Ready{plain} after {ms} ms. Ctrl-C drains and ends."
        );
        text
    }

    fn warnings(&self) -> Vec<String> {
        let mut warnings: Vec<String> = Vec::new();
        let processes = self.config.processes.iter();
        let simulated = processes.filter(|process| process.has_simulated_work());
        let waits = |process: &Process| format!("{} waits {}", process.name, total_time(process));
        let waits: Vec<String> = simulated.map(waits).collect();
        if !waits.is_empty() {
            warnings.push(format!(
                "Work is simulated: process {} per order and does nothing. Change it: orderd \
                 config template > orderd.toml",
                waits.join(", ")
            ));
        }
        let open = self.places.iter().map(|place| place.address);
        for address in open.filter(|address| !address.ip().is_loopback()) {
            warnings.push(format!(
                "Whoever can reach {address} can read and create orders: nobody has to log in \
                 (--insecure).",
            ));
        }
        if BUILD == "debug" {
            warnings.push("This is a debug build and slow: cargo run --release.".into());
        }
        warnings
    }
}

/// A URL that a client on this machine can use.
fn url(mut address: SocketAddr) -> String {
    if address.ip().is_unspecified() {
        address.set_ip(IpAddr::V4(Ipv4Addr::LOCALHOST));
    }
    format!("http://{address}")
}

/// How long the steps of a simulated process take together.
fn total_time(process: &Process) -> String {
    let ends = process.steps.iter().filter_map(|step| {
        let StepKind::Simulate(simulate) = &step.kind else {
            return None;
        };
        let times = if simulate.is_per_priority {
            i64::from(Priority::Low.number())
        } else {
            1
        };
        let longest_us = simulate.longest_us.saturating_mul(times);
        Some((simulate.shortest_us, longest_us))
    });
    let (shortest, longest) = ends.fold((0_i64, 0_i64), |sum, end| {
        (sum.0.saturating_add(end.0), sum.1.saturating_add(end.1))
    });
    let time = |micros: i64| duration::format(Duration::from_micros(micros.unsigned_abs()));
    if shortest == longest {
        time(longest)
    } else {
        format!("{} to {}", time(shortest), time(longest))
    }
}

#[cfg(test)]
mod tests {
    use super::super::doors;
    use super::*;
    use crate::config::{Flag, Sources};

    fn banner(config: &Config, address: &str, colour: Colour) -> String {
        let mut places = doors::plan(config);
        places[0].address = address.parse().unwrap();
        Banner {
            places,
            config,
            durability: Durability {
                level: "disk",
                detail: "every answer waits".into(),
            },
            started_in: Duration::from_millis(12),
        }
        .text(colour)
    }

    #[test]
    fn it_says_where_it_listens_what_that_is_worth_and_that_work_is_simulated() {
        let config = Config::read(&Sources::default()).unwrap();
        let text = banner(&config, "127.0.0.1:7070", Colour::Off);
        for part in [
            "http://127.0.0.1:7070/v1/orders",
            "/openapi.json",
            "/metrics",
            "./orderd-data",
            "disk (every answer waits)",
            "Work is simulated: process default waits 1s to 10s per order",
            "orderd config template",
            "Ready after 12 ms",
        ] {
            assert!(text.contains(part), "{part} is not in\n{text}");
        }
        assert!(
            !text.contains('\x1b') && !text.contains("--insecure"),
            "{text}"
        );
        assert!(banner(&config, "127.0.0.1:7070", Colour::On).contains(BOLD));
    }

    #[test]
    fn it_warns_when_others_can_connect() {
        let config = Config::read(&Sources::default()).unwrap();
        let text = banner(&config, "0.0.0.0:80", Colour::Off);
        assert!(text.contains("http://127.0.0.1:80/"), "{text}");
        assert!(text.contains("Whoever can reach 0.0.0.0:80"), "{text}");
    }

    #[test]
    fn it_says_which_dialects_are_spoken_where() {
        let sources = Sources {
            flags: vec![Flag::new(
                "--compat",
                "compat.dialects",
                "realtime,orders_api",
            )],
            ..Sources::default()
        };
        let config = Config::read(&sources).unwrap();
        let text = banner(&config, "127.0.0.1:7070", Colour::Off);
        for part in [
            "Compat      http://127.0.0.1:8080 realtime and the native API\n",
            "Compat      http://[::1]:8080 realtime and the native API\n",
            "Compat      http://127.0.0.1:3000 orders_api\n",
            "process default waits 1s to 10s, realtime waits 10ms to 30ms, orders_api waits 1s per",
        ] {
            assert!(text.contains(part), "{part} is not in\n{text}");
        }
    }
}
