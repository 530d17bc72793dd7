//! Settings of the HTTP server: where it listens and how long it is patient.
//!
//! Data and its relations only; the bounds of single values are in the table of settings.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, de};

use super::{Breach, duration};

/// What the HTTP server is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ServerSettings {
    /// Address and port; port 0 takes a free one. Default `127.0.0.1:7070`: this machine only.
    #[serde(deserialize_with = "address")]
    pub listen: SocketAddr,
    /// Whether others than this machine may connect although nobody has to log in. Default no.
    pub insecure: bool,
    /// Most connections that are open at once, 1 to 1,000,000. Default 10,000.
    pub connections_max: u32,
    /// How long a client may take to send the head of a request, 100 ms to 1 h. Default 10 s.
    #[serde(with = "duration")]
    pub header_timeout: Duration,
    /// How long a connection may stay silent between two requests, 100 ms to 1 d. Default 60 s.
    #[serde(with = "duration")]
    pub idle_timeout: Duration,
    /// How long a client may take to send the body of a request, 100 ms to 1 h. Default 30 s.
    #[serde(with = "duration")]
    pub body_timeout: Duration,
    /// How long requests in flight may take to end when the server shuts down, up to 1 h. Default
    /// 30 s.
    #[serde(with = "duration")]
    pub drain_timeout: Duration,
    /// How long a start waits for the port and the data of another server, up to 365 d. Default
    /// 0 s: it fails at once.
    #[serde(with = "duration")]
    pub takeover_timeout: Duration,
}

impl Default for ServerSettings {
    fn default() -> Self {
        Self {
            listen: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 7070),
            insecure: false,
            connections_max: 10_000,
            header_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(60),
            body_timeout: Duration::from_secs(30),
            drain_timeout: Duration::from_secs(30),
            takeover_timeout: Duration::ZERO,
        }
    }
}

impl ServerSettings {
    pub(super) fn check(&self) -> Result<(), Breach> {
        if !self.listen.ip().is_loopback() && !self.insecure {
            let detail = format!(
                "is \"{}\", which other machines can reach, and orderd has no log-in yet; listen \
                 on \
                 127.0.0.1 or allow it with --insecure",
                self.listen
            );
            return Err(Breach::new("server.listen", detail));
        }
        if self.idle_timeout < self.header_timeout {
            let detail = format!(
                "is {}, below server.header_timeout ({}); raise it or lower the other",
                duration::format(self.idle_timeout),
                duration::format(self.header_timeout)
            );
            return Err(Breach::new("server.idle_timeout", detail));
        }
        Ok(())
    }
}

/// An address with a port; `localhost` stands for 127.0.0.1, no other names are looked up.
fn address<'de, D: Deserializer<'de>>(from: D) -> Result<SocketAddr, D::Error> {
    let text = String::deserialize(from)?;
    let numeric = text
        .strip_prefix("localhost:")
        .map_or_else(|| text.clone(), |port| format!("127.0.0.1:{port}"));
    numeric.parse().map_err(de::Error::custom)
}
