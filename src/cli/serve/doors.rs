//! Which addresses a server opens, and what it serves at each: the native API, dialects, or both.
//!
//! Plans only, from settings that were checked: equal addresses become one door. Takes no port.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::config::Config;
use crate::order::Dialect;

/// An address, and what is served there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Where to listen; after it was opened, where it really listens.
    pub address: SocketAddr,
    /// Whether it is `server.listen`, which has the native API with or without dialects.
    pub is_native: bool,
    /// The dialects, in their order.
    pub dialects: Vec<Dialect>,
    /// Whether machines without this address do without it.
    pub is_optional: bool,
}

impl Place {
    /// Whether the native API is served here.
    pub fn has_native_api(&self) -> bool {
        self.is_native || self.dialects.iter().any(|dialect| dialect.has_native_api())
    }

    /// What is served, in words for people: `two_queue, realtime and the native API`.
    pub fn contents(&self) -> String {
        let names: Vec<&str> = self.dialects.iter().map(|dialect| dialect.name()).collect();
        match (names.is_empty(), self.has_native_api()) {
            (true, _) => "the native API".into(),
            (false, true) => format!("{} and the native API", names.join(", ")),
            (false, false) => names.join(", "),
        }
    }

    /// What to do if the address cannot be had, to follow "choose another address".
    pub fn way_out(&self) -> String {
        if self.is_native {
            return "with --listen".into();
        }
        let keys = self.dialects.iter().map(|dialect| dialect.name());
        let keys: Vec<String> = keys.map(|name| format!("compat.{name}.listen")).collect();
        format!(
            "with {}, or leave it out of --compat=NAMES",
            keys.join(" and ")
        )
    }
}

/// All places, that of `server.listen` first.
pub fn plan(config: &Config) -> Vec<Place> {
    let mut places = vec![Place {
        address: config.server.listen,
        is_native: true,
        dialects: Vec::new(),
        is_optional: false,
    }];
    for settings in &config.compat.dialects {
        let dialect = settings.dialect;
        for address in &settings.listen {
            let is_optional = is_second(*address, &settings.listen);
            let shared = places
                .iter_mut()
                .find(|place| place.address == *address && takes(place, dialect));
            match shared {
                Some(place) => {
                    place.dialects.push(dialect);
                    place.is_optional &= is_optional;
                }
                None => places.push(Place {
                    address: *address,
                    is_native: false,
                    dialects: vec![dialect],
                    is_optional,
                }),
            }
        }
    }
    places
}

/// Whether a dialect may join this place. A free port of the native API stays its own.
fn takes(place: &Place, dialect: Dialect) -> bool {
    match place.dialects.first() {
        Some(first) => dialect.may_share_address(*first),
        None => dialect.has_native_api() && place.address.port() != 0,
    }
}

/// Whether it is the machine's second name for itself, beside the first.
fn is_second(address: SocketAddr, all: &[SocketAddr]) -> bool {
    let first = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), address.port());
    address.ip() == IpAddr::V6(Ipv6Addr::LOCALHOST) && all.contains(&first)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Flag, Sources};

    fn planned(settings: &[(&'static str, &str)]) -> Vec<String> {
        let flag = |(key, value): &(&'static str, &str)| Flag::new("--x", key, *value);
        let sources = Sources {
            flags: settings.iter().map(flag).collect(),
            ..Sources::default()
        };
        let line = |place: Place| {
            let mark = if place.is_optional { "?" } else { "" };
            format!("{}{mark} {}", place.address, place.contents())
        };
        plan(&Config::read(&sources).unwrap())
            .into_iter()
            .map(line)
            .collect()
    }

    #[test]
    fn nobody_but_the_native_api_is_there_by_default() {
        assert_eq!(planned(&[]), ["127.0.0.1:7070 the native API"]);
    }

    #[test]
    fn dialects_of_one_port_share_its_two_doors() {
        assert_eq!(
            planned(&[("compat.dialects", "all")]),
            [
                "127.0.0.1:7070 the native API",
                "127.0.0.1:8080 two_queue, realtime and the native API",
                "[::1]:8080? two_queue, realtime and the native API",
                "127.0.0.1:8000 order_service, api_v1",
                "[::1]:8000? order_service, api_v1",
                "127.0.0.1:3000 orders_api",
                "[::1]:3000? orders_api",
            ]
        );
    }

    #[test]
    fn an_address_that_was_asked_for_alone_is_not_optional() {
        let settings = [
            ("compat.dialects", "order_service,api_v1"),
            ("compat.order_service.listen", "[::1]:8000"),
        ];
        assert_eq!(
            planned(&settings),
            [
                "127.0.0.1:7070 the native API",
                "[::1]:8000 order_service, api_v1",
                "127.0.0.1:8000 api_v1",
            ]
        );
    }

    #[test]
    fn server_listen_may_be_the_door_of_a_dialect() {
        let settings = [
            ("server.listen", "127.0.0.1:8080"),
            ("compat.dialects", "realtime"),
        ];
        assert_eq!(
            planned(&settings),
            [
                "127.0.0.1:8080 realtime and the native API",
                "[::1]:8080? realtime and the native API",
            ]
        );
    }

    #[test]
    fn free_ports_are_shared_by_those_who_can() {
        let settings = [
            ("server.listen", "127.0.0.1:0"),
            (
                "compat.dialects",
                "realtime,order_service,api_v1,orders_api",
            ),
            ("compat.realtime.listen", "127.0.0.1:0"),
            ("compat.order_service.listen", "127.0.0.1:0"),
            ("compat.api_v1.listen", "127.0.0.1:0"),
            ("compat.orders_api.listen", "127.0.0.1:0"),
        ];
        assert_eq!(
            planned(&settings),
            [
                "127.0.0.1:0 the native API",
                "127.0.0.1:0 realtime and the native API",
                "127.0.0.1:0 order_service, api_v1",
                "127.0.0.1:0 orders_api",
            ]
        );
    }
}
