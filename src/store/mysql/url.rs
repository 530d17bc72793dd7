//! The URL of a database, as far as the driver does not read it: TLS, and names for people.
//!
//! Shows passwords to nobody: a database is named by host, port and name only.

use mysql_async::{Opts, OptsBuilder, SslOpts};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use crate::store::StoreError;

/// What a URL says.
#[derive(Debug)]
pub(super) struct Parts {
    pub(super) options: Opts,
    /// The same without TLS, for a server that has none. `None`: then there is no connection.
    pub(super) plain: Option<Opts>,
    /// The database for people, `orders on db.internal:3306`.
    pub(super) name: String,
}

/// What a URL says about TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Disabled,
    /// If the server has it.
    Preferred,
    /// Whoever the server is, unless roots are named.
    Required,
    /// The server's certificate comes from a root. The driver looks at the name all the same.
    VerifyCa,
    /// And it is for the host that was asked for.
    VerifyIdentity,
}

impl Mode {
    /// The value of `ssl-mode`.
    fn of_text(text: &str) -> Option<Self> {
        Some(match text.to_ascii_uppercase().as_str() {
            "DISABLED" => Self::Disabled,
            "PREFERRED" => Self::Preferred,
            "REQUIRED" => Self::Required,
            "VERIFY_CA" => Self::VerifyCa,
            "VERIFY_IDENTITY" => Self::VerifyIdentity,
            _ => return None,
        })
    }
}

fn bad(detail: impl Into<String>) -> StoreError {
    StoreError::BadUrl {
        detail: detail.into(),
    }
}

/// Reads a URL, and the certificates that it names. The driver knows neither `ssl-mode` nor
/// `ssl-ca`.
pub(super) fn read(url: &str) -> Result<Parts, StoreError> {
    let (base, query) = url.split_once('?').unwrap_or((url, ""));
    let (mut mode, mut roots, mut rest) = (Mode::Preferred, None, Vec::new());
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        match pair.split_once('=') {
            Some(("ssl-mode", value)) => {
                mode = Mode::of_text(value).ok_or_else(|| {
                    bad(
                        "ssl-mode must be DISABLED, PREFERRED, REQUIRED, VERIFY_CA or \
                         VERIFY_IDENTITY",
                    )
                })?;
            }
            Some(("ssl-ca", value)) => roots = Some(decoded(value)),
            _ => rest.push(pair),
        }
    }
    let url = format!("{base}?{}", rest.join("&"));
    let options = Opts::from_url(url.trim_end_matches('?'));
    let options = options.map_err(|error| bad(error.to_string()))?;
    if options.db_name().is_none_or(str::is_empty) {
        return Err(bad(
            "it names no database; write mysql://USER:PASSWORD@HOST/DATABASE",
        ));
    }
    let name = name(&options);
    let tls = match options.socket() {
        Some(_) => None,
        None => tls(mode, roots.as_deref())?,
    };
    let with = |tls: Option<SslOpts>| {
        let builder = OptsBuilder::from_opts(options.clone()).ssl_opts(tls);
        // A connection goes where the URL says, not to a socket that the server names.
        Opts::from(builder.prefer_socket(false))
    };
    let is_optional = mode == Mode::Preferred && tls.is_some();
    Ok(Parts {
        plain: is_optional.then(|| with(None)),
        options: with(tls),
        name,
    })
}

/// The settings of TLS; `None`: without. `roots` is a file with certificates, or `system` for those
/// of the system.
fn tls(mode: Mode, roots: Option<&str>) -> Result<Option<SslOpts>, StoreError> {
    // With roots in hand, `REQUIRED` looks at the chain.
    let mode = match mode {
        Mode::Required if roots.is_some() => Mode::VerifyCa,
        mode => mode,
    };
    let options = SslOpts::default();
    Ok(match mode {
        Mode::Disabled => None,
        Mode::Preferred | Mode::Required => Some(
            options
                .with_danger_accept_invalid_certs(true)
                .with_danger_skip_domain_validation(true),
        ),
        Mode::VerifyCa | Mode::VerifyIdentity => Some(
            options
                .with_disable_built_in_roots(true)
                .with_root_certs(
                    // As the driver has them: in files, or in memory.
                    root_certificates(roots.unwrap_or("system"))?
                        .into_iter()
                        .map(Into::into)
                        .collect(),
                )
                .with_danger_skip_domain_validation(mode == Mode::VerifyCa),
        ),
    })
}

fn root_certificates(roots: &str) -> Result<Vec<Vec<u8>>, StoreError> {
    let found: Vec<CertificateDer<'static>> = if roots == "system" {
        rustls_native_certs::load_native_certs().certs
    } else {
        let unreadable = |error| bad(format!("ssl-ca {roots} cannot be read: {error}"));
        let found = CertificateDer::pem_file_iter(roots).map_err(unreadable)?;
        found.collect::<Result<_, _>>().map_err(unreadable)?
    };
    if found.is_empty() {
        return Err(bad(format!("there are no root certificates in {roots}")));
    }
    Ok(found.iter().map(|it| it.as_ref().to_vec()).collect())
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

fn name(options: &Opts) -> String {
    let database = options.db_name().unwrap_or_default();
    match options.socket() {
        Some(socket) => format!("{database} on {socket}"),
        None => {
            let (host, port) = (options.ip_or_hostname(), options.tcp_port());
            format!("{database} on {host}:{port}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tls_is_read_and_the_rest_is_left_to_the_driver() {
        let url = "mysql://me:se%40cret@db.internal:3307/orders?ssl-mode=verify_identity";
        let parts = read(url).unwrap();
        assert_eq!(parts.options.pass(), Some("se@cret"));
        assert_eq!(parts.name, "orders on db.internal:3307");
        let tls = parts.options.ssl_opts().unwrap();
        assert!(!tls.accept_invalid_certs() && !tls.skip_domain_validation());
        assert!(tls.disable_built_in_roots() && !tls.root_certs().is_empty());
        assert!(parts.plain.is_none());
        let parts = read("mysql://me@db/orders").unwrap();
        assert!(parts.options.ssl_opts().is_some());
        assert!(parts.plain.unwrap().ssl_opts().is_none());
        let parts = read("mysql://me@db/orders?ssl-mode=DISABLED").unwrap();
        assert!(parts.options.ssl_opts().is_none() && parts.plain.is_none());
        let parts = read("mysql://me@localhost/orders?socket=%2Frun%2Fmy.sock").unwrap();
        assert_eq!(parts.options.socket(), Some("/run/my.sock"));
        assert!(parts.options.ssl_opts().is_none());
        assert_eq!(parts.name, "orders on /run/my.sock");
    }

    #[test]
    fn a_bad_url_is_refused_without_its_password() {
        for url in [
            "mysql://me:secret@db/x?ssl-mode=maybe",
            "mysql://me:secret@db/x?ssl-ca=/no/such/file&ssl-mode=VERIFY_CA",
            "mysql://me:secret@db/x?colour=red",
            "mysql://me:secret@db",
            "mysql://me:secret@/x",
            "mysql://me:secret@db:port/x",
        ] {
            let refused = read(url).unwrap_err();
            assert!(matches!(refused, StoreError::BadUrl { .. }), "{refused:?}");
            assert!(!refused.to_string().contains("secret"), "{refused}");
        }
    }
}
