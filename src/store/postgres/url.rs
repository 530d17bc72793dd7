//! The URL of a database, as far as the driver does not read it: TLS, and names for people.
//!
//! Shows passwords to nobody: a database is named by host, port and name only.

use tokio_postgres::Config;
use tokio_postgres::config::Host;

use super::error;
use super::tls::Mode;
use crate::store::StoreError;

/// What a URL says.
#[derive(Debug)]
pub(super) struct Parts {
    pub(super) config: Config,
    pub(super) mode: Mode,
    /// The value of `sslrootcert`.
    pub(super) roots: Option<String>,
}

/// Reads a URL. The driver knows fewer values of `sslmode` than there are, and no `sslrootcert`.
pub(super) fn read(url: &str) -> Result<Parts, StoreError> {
    let bad = |detail: String| StoreError::BadUrl { detail };
    let (base, query) = url.split_once('?').unwrap_or((url, ""));
    let (mut mode, mut roots, mut rest) = (Mode::Prefer, None, Vec::new());
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        match pair.split_once('=') {
            Some(("sslmode", value)) => {
                let known = Mode::of_text(value);
                mode = known.ok_or_else(|| {
                    bad(
                        "sslmode must be disable, allow, prefer, require, verify-ca or \
                         verify-full"
                            .into(),
                    )
                })?;
            }
            Some(("sslrootcert", value)) => roots = Some(decoded(value)),
            _ => rest.push(pair),
        }
    }
    let url = format!("{base}?{}", rest.join("&"));
    let config = url.trim_end_matches('?').parse::<Config>();
    let mut config = config.map_err(|error| bad(error::text(&error)))?;
    if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
        return Err(bad(
            "it names no host; write postgres://USER:PASSWORD@HOST/DATABASE".into(),
        ));
    }
    config.ssl_mode(mode.negotiation());
    Ok(Parts {
        config,
        mode,
        roots,
    })
}

/// A value with its `%2F` and the like resolved.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, behind @ ..] = rest {
        let code = behind.get(..2).filter(|_| *first == b'%');
        let code = code.and_then(|code| std::str::from_utf8(code).ok());
        match code.and_then(|code| u8::from_str_radix(code, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &behind[2..];
            }
            None => {
                bytes.push(*first);
                rest = behind;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The database for people, `orders on db.internal:5432`.
pub(super) fn name(config: &Config) -> String {
    let database = config.get_dbname().or(config.get_user());
    let hosts = config.get_hosts().iter().map(|host| match host {
        Host::Tcp(name) => name.clone(),
        #[cfg(unix)]
        Host::Unix(path) => path.display().to_string(),
    });
    let hosts = hosts.collect::<Vec<_>>().join(",");
    let port = config.get_ports().first().copied().unwrap_or(5432);
    format!("{} on {hosts}:{port}", database.unwrap_or("postgres"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tls_is_read_and_the_rest_is_left_to_the_driver() {
        let url = "postgres://me:se%40cret@db.internal:5433/orders?sslmode=verify-full\
                   &sslrootcert=%2Fetc%2Fca.pem&connect_timeout=3";
        let parts = read(url).unwrap();
        assert_eq!(parts.mode, Mode::VerifyFull);
        assert_eq!(parts.roots.as_deref(), Some("/etc/ca.pem"));
        assert_eq!(parts.config.get_password(), Some(&b"se@cret"[..]));
        let timeout = parts.config.get_connect_timeout().map(|it| it.as_secs());
        assert_eq!(timeout, Some(3));
        assert_eq!(name(&parts.config), "orders on db.internal:5433");
        assert_eq!(read("postgres://db/x").unwrap().mode, Mode::Prefer);
    }

    #[test]
    fn a_bad_url_is_refused_without_its_password() {
        for url in [
            "postgres://me:secret@db/x?sslmode=maybe",
            "postgres://me:secret@db/x?colour=red",
            "postgres://me:secret@/x",
            "postgres://me:secret@db:port/x",
        ] {
            let refused = read(url).unwrap_err();
            assert!(matches!(refused, StoreError::BadUrl { .. }), "{refused:?}");
            assert!(!refused.to_string().contains("secret"), "{refused}");
        }
    }
}
