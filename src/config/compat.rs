//! Settings of the dialects: which other services' wire formats are spoken, where, and in which
//! words.
//!
//! Data and its relations only. Which dialects there are is known to `order`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use serde::de::{SeqAccess, Visitor};
use serde::ser::{SerializeMap, Serializer};
use serde::{Deserialize, Deserializer, Serialize, de};

use super::{Breach, ServerSettings};
use crate::order::{Currency, Dialect};

/// Longest `completed_word`, in characters.
const WORD_CHARS_MAX: usize = 64;

/// What is spoken besides the native API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompatSettings {
    /// The dialects that are spoken, in the order of [`Dialect::ALL`]. Default none.
    pub dialects: Vec<DialectSettings>,
    /// Those that are not spoken have settings too.
    all: Vec<DialectSettings>,
}

/// What one dialect is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DialectSettings {
    /// Which one.
    pub dialect: Dialect,
    /// Its addresses, at least one, each once. Of `127.0.0.1` and `::1` with one port the second
    /// may be left out on machines that do not have it. Default: both, with the dialect's port.
    pub listen: Vec<SocketAddr>,
    /// Its amounts have no currency of their own; this one has two decimals. Default USD.
    pub currency: Currency,
    /// The word of `two_queue` for completed orders. Default `processed`.
    pub completed_word: String,
    /// Whether `realtime` hands out profiles of the running server. Default no.
    pub is_profiling: bool,
}

impl Default for CompatSettings {
    fn default() -> Self {
        WrittenCompat::default().settled()
    }
}

impl CompatSettings {
    /// The settings of a dialect, if it is spoken.
    pub fn of(&self, dialect: Dialect) -> Option<&DialectSettings> {
        self.dialects.iter().find(|known| known.dialect == dialect)
    }

    pub(super) fn check(&self, server: &ServerSettings) -> Result<(), Breach> {
        for (at, settings) in self.dialects.iter().enumerate() {
            let breach = |detail| Breach::new(settings.key("listen"), detail);
            for address in &settings.listen {
                if !address.ip().is_loopback() && !server.insecure {
                    return Err(breach(format!(
                        "has \"{address}\", which other machines can reach, and orderd has no \
                         log-in yet; listen on 127.0.0.1 or allow it with --insecure"
                    )));
                }
                settings.check_native(*address, server).map_err(breach)?;
                for earlier in &self.dialects[..at] {
                    settings.check_beside(*address, earlier).map_err(breach)?;
                }
            }
        }
        Ok(())
    }
}

impl DialectSettings {
    fn of(dialect: Dialect, listen: Option<Listen>, currency: TwoDecimals) -> Self {
        Self {
            dialect,
            listen: listen.map_or_else(|| localhost(dialect.port()), |listen| listen.0),
            currency: currency.0,
            completed_word: "processed".into(),
            is_profiling: false,
        }
    }

    fn key(&self, name: &str) -> String {
        format!("compat.{}.{name}", self.dialect.name())
    }

    fn check_native(&self, address: SocketAddr, server: &ServerSettings) -> Result<(), String> {
        let native = server.listen;
        if address == native && !self.dialect.has_native_api() && address.port() != 0 {
            return Err(format!(
                "has \"{address}\", which is server.listen, and both have paths that the other \
                 has too; choose another address"
            ));
        }
        if address != native && is_overlapping(address, native) {
            return Err(format!(
                "has \"{address}\", which overlaps with server.listen ({native}); make them \
                 equal, or choose another port"
            ));
        }
        Ok(())
    }

    /// Addresses that are equal are one door, on which paths must tell the dialects apart.
    fn check_beside(&self, address: SocketAddr, other: &Self) -> Result<(), String> {
        let (key, mut others) = (other.key("listen"), other.listen.iter());
        let is_shared = other.listen.contains(&address) && address.port() != 0;
        if is_shared && !self.dialect.may_share_address(other.dialect) {
            return Err(format!(
                "has \"{address}\", as {key} has, and the two have the same paths; choose another \
                 address for one of them"
            ));
        }
        let overlapping = |theirs: &&SocketAddr| {
            **theirs != address && is_overlapping(address, **theirs) && !is_shared
        };
        others.find(overlapping).map_or(Ok(()), |theirs| {
            Err(format!(
                "has \"{address}\", which overlaps with {key} ({theirs}); make them equal, or \
                 choose another port"
            ))
        })
    }
}

/// Whether one of two addresses that are not equal takes the other one's port with its own.
fn is_overlapping(left: SocketAddr, right: SocketAddr) -> bool {
    let covers =
        |all: IpAddr, one: IpAddr| all.is_unspecified() && (all.is_ipv6() || one.is_ipv4());
    let (a, b) = (left.ip(), right.ip());
    left.port() == right.port() && left.port() != 0 && a != b && (covers(a, b) || covers(b, a))
}

/// Both addresses by which a machine calls itself.
fn localhost(port: u16) -> Vec<SocketAddr> {
    let addresses = [
        IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(Ipv6Addr::LOCALHOST),
    ];
    addresses.map(|ip| SocketAddr::new(ip, port)).into()
}

/// As it would be written; `localhost:PORT` stands for both addresses.
fn listen_as_text(addresses: &[SocketAddr]) -> String {
    match addresses.first() {
        Some(first) if localhost(first.port()) == addresses => {
            format!("localhost:{}", first.port())
        }
        _ => {
            let texts: Vec<String> = addresses.iter().map(SocketAddr::to_string).collect();
            texts.join(",")
        }
    }
}

/// As they are written, with the settings of all dialects.
impl Serialize for CompatSettings {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let names = self.dialects.iter().map(|known| known.dialect.name());
        let mut map = to.serialize_map(None)?;
        map.serialize_entry("dialects", &names.collect::<Vec<_>>())?;
        for settings in &self.all {
            map.serialize_entry(settings.dialect.name(), settings)?;
        }
        map.end()
    }
}

impl Serialize for DialectSettings {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut map = to.serialize_map(None)?;
        map.serialize_entry("listen", &listen_as_text(&self.listen))?;
        map.serialize_entry("currency", self.currency.code())?;
        match self.dialect {
            Dialect::TwoQueue => map.serialize_entry("completed_word", &self.completed_word)?,
            Dialect::Realtime => map.serialize_entry("profiling", &self.is_profiling)?,
            _ => {}
        }
        map.end()
    }
}

/// The settings as they are written.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct WrittenCompat {
    dialects: Chosen,
    two_queue: WrittenTwoQueue,
    realtime: WrittenRealtime,
    order_service: WrittenDialect,
    api_v1: WrittenDialect,
    orders_api: WrittenDialect,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct WrittenDialect {
    listen: Option<Listen>,
    currency: TwoDecimals,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct WrittenTwoQueue {
    listen: Option<Listen>,
    currency: TwoDecimals,
    #[serde(deserialize_with = "word")]
    completed_word: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct WrittenRealtime {
    listen: Option<Listen>,
    currency: TwoDecimals,
    profiling: bool,
}

impl WrittenCompat {
    pub(super) fn settled(self) -> CompatSettings {
        let common = |dialect, written: WrittenDialect| {
            DialectSettings::of(dialect, written.listen, written.currency)
        };
        let (first, second) = (self.two_queue, self.realtime);
        let mut two_queue = DialectSettings::of(Dialect::TwoQueue, first.listen, first.currency);
        if let Some(word) = first.completed_word {
            two_queue.completed_word = word;
        }
        let mut realtime = DialectSettings::of(Dialect::Realtime, second.listen, second.currency);
        realtime.is_profiling = second.profiling;
        let all = vec![
            two_queue,
            realtime,
            common(Dialect::OrderService, self.order_service),
            common(Dialect::ApiV1, self.api_v1),
            common(Dialect::OrdersApi, self.orders_api),
        ];
        let is_chosen = |settings: &&DialectSettings| self.dialects.0.contains(&settings.dialect);
        CompatSettings {
            dialects: all.iter().filter(is_chosen).cloned().collect(),
            all,
        }
    }
}

/// The dialects that are spoken: `all`, `none`, names with commas between them, or a list of names.
#[derive(Default)]
struct Chosen(Vec<Dialect>);

impl Chosen {
    fn parse(text: &str) -> Option<Self> {
        match text.trim() {
            "all" => Some(Self(Dialect::ALL.into())),
            "none" => Some(Self::default()),
            names => {
                let names = names.split(',').map(str::trim);
                names
                    .map(Dialect::from_name)
                    .collect::<Option<_>>()
                    .map(Self)
            }
        }
    }
}

impl<'de> Deserialize<'de> for Chosen {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Names;
        impl<'de> Visitor<'de> for Names {
            type Value = Chosen;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("names of dialects")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Chosen, E> {
                Chosen::parse(text).ok_or_else(|| E::custom("not names of dialects"))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Chosen, A::Error> {
                let mut chosen = Vec::new();
                while let Some(name) = list.next_element::<String>()? {
                    let dialect = Dialect::from_name(&name);
                    chosen.push(dialect.ok_or_else(|| de::Error::custom("not a dialect"))?);
                }
                Ok(Chosen(chosen))
            }
        }
        from.deserialize_any(Names)
    }
}

/// Addresses with commas between them.
struct Listen(Vec<SocketAddr>);

impl<'de> Deserialize<'de> for Listen {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        let mut addresses = Vec::new();
        for part in text.split(',').map(str::trim) {
            let found = match part.strip_prefix("localhost:") {
                Some(port) => localhost(port.parse().map_err(de::Error::custom)?),
                None => vec![part.parse().map_err(de::Error::custom)?],
            };
            for address in found {
                if !addresses.contains(&address) {
                    addresses.push(address);
                }
            }
        }
        Ok(Self(addresses))
    }
}

/// A currency with cents.
struct TwoDecimals(Currency);

impl Default for TwoDecimals {
    fn default() -> Self {
        Self(Currency::USD)
    }
}

impl<'de> Deserialize<'de> for TwoDecimals {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let currency = Currency::from_code(&String::deserialize(from)?);
        let currency = currency.filter(|currency| currency.decimals() == 2);
        currency
            .map(Self)
            .ok_or_else(|| de::Error::custom("not a currency with two decimals"))
    }
}

fn word<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    let text = String::deserialize(from)?;
    let fits = (1..=WORD_CHARS_MAX).contains(&text.chars().count());
    if fits && !text.chars().any(char::is_control) {
        Ok(Some(text))
    } else {
        Err(de::Error::custom("not a word"))
    }
}
