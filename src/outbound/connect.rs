//! Connects to a host: looks its name up, judges each address, and connects to one that was judged.
//!
//! The name is not looked up again in between, so nobody can answer with another address behind the
//! check. Proxies are not used.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::Uri;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use rustls::crypto::ring;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::address::Allowed;
use super::target::host_and_port;

/// Why there is no connection. Nothing was sent.
#[derive(Debug, Error)]
pub(super) enum ConnectError {
    #[error("the host {host} cannot be found: {cause}")]
    Unknown { host: String, cause: io::Error },
    #[error(
        "{host} is the address {address} of a private network, which is not called unless \
         outbound.allow names it"
    )]
    Private { host: String, address: String },
    #[error("no connection to {host}: {cause}")]
    Refused { host: String, cause: io::Error },
    #[error("no TLS with {host}: {cause}")]
    Tls { host: String, cause: io::Error },
    #[error("no connection to {host} within {} ms", limit.as_millis())]
    Slow { host: String, limit: Duration },
}

/// Makes connections for a client.
#[derive(Clone)]
pub(super) struct Connector {
    shared: Arc<Shared>,
}

struct Shared {
    allowed: Allowed,
    limit: Duration,
    /// Made when it is needed first: it reads the certificates of the system.
    tls: OnceLock<Arc<ClientConfig>>,
}

impl Connector {
    pub(super) fn new(allowed: Allowed, limit: Duration) -> Self {
        Self {
            shared: Arc::new(Shared {
                allowed,
                limit,
                tls: OnceLock::new(),
            }),
        }
    }
}

impl tower::Service<Uri> for Connector {
    type Response = TokioIo<Stream>;
    type Error = ConnectError;
    type Future = Pin<Box<dyn Future<Output = Result<TokioIo<Stream>, ConnectError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ConnectError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let shared = Arc::clone(&self.shared);
        Box::pin(async move {
            let (host, port) = host_and_port(&uri);
            let is_secure = uri.scheme_str() == Some("https");
            let connecting = shared.connect(&host, port, is_secure);
            match tokio::time::timeout(shared.limit, connecting).await {
                Ok(connected) => connected.map(TokioIo::new),
                Err(_) => Err(ConnectError::Slow {
                    host,
                    limit: shared.limit,
                }),
            }
        })
    }
}

impl Shared {
    async fn connect(
        &self,
        host: &str,
        port: u16,
        is_secure: bool,
    ) -> Result<Stream, ConnectError> {
        let found = tokio::net::lookup_host((host, port)).await;
        let unknown = |cause| ConnectError::Unknown {
            host: host.into(),
            cause,
        };
        let found: Vec<SocketAddr> = found.map_err(unknown)?.collect();
        self.judge(host, &found)?;
        let mut refused = unknown(io::ErrorKind::NotFound.into());
        for address in found {
            match self.open(host, address, is_secure).await {
                Ok(stream) => return Ok(stream),
                Err(error) => refused = error,
            }
        }
        Err(refused)
    }

    /// Refuses a host with any address that may not be called, before one of them is.
    fn judge(&self, host: &str, found: &[SocketAddr]) -> Result<(), ConnectError> {
        let is_bad = |address: &&SocketAddr| !self.allowed.admits(host, address.ip());
        match found.iter().find(is_bad) {
            None => Ok(()),
            Some(bad) => Err(ConnectError::Private {
                host: host.into(),
                address: bad.ip().to_string(),
            }),
        }
    }

    async fn open(
        &self,
        host: &str,
        address: SocketAddr,
        is_secure: bool,
    ) -> Result<Stream, ConnectError> {
        let refused = |cause| ConnectError::Refused {
            host: host.into(),
            cause,
        };
        let stream = TcpStream::connect(address).await.map_err(refused)?;
        stream.set_nodelay(true).map_err(refused)?;
        if !is_secure {
            return Ok(Stream::Plain(stream));
        }
        let tls = |cause| ConnectError::Tls {
            host: host.into(),
            cause,
        };
        let name = ServerName::try_from(host.to_owned());
        let name = name.map_err(|error| tls(io::Error::other(error)))?;
        let connector = TlsConnector::from(self.tls().map_err(tls)?);
        let stream = connector.connect(name, stream).await.map_err(tls)?;
        Ok(Stream::Secure(Box::new(stream)))
    }

    fn tls(&self) -> io::Result<Arc<ClientConfig>> {
        if let Some(made) = self.tls.get() {
            return Ok(Arc::clone(made));
        }
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if roots.is_empty() {
            return Err(io::Error::other("this system trusts no certificates"));
        }
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let builder = builder.with_safe_default_protocol_versions();
        let config = builder
            .map_err(io::Error::other)?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Arc::clone(self.tls.get_or_init(|| Arc::new(config))))
    }
}

/// A connection, with TLS or without.
pub(super) enum Stream {
    Plain(TcpStream),
    Secure(Box<TlsStream<TcpStream>>),
}

impl Connection for Stream {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Secure(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Secure(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(context),
            Self::Secure(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Secure(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_with_one_bad_address_is_refused_whatever_stands_before_it() {
        let connector = Connector::new(Allowed::default(), Duration::from_secs(1));
        let judged = |texts: [&str; 2]| {
            let found = texts.map(|text| text.parse().unwrap());
            connector.shared.judge("shop.example", &found)
        };
        let public = "93.184.215.14:443";
        assert!(judged([public, "[2606:2800:21f::1]:443"]).is_ok());
        for bad in ["10.0.0.1:443", "[::1]:443", "169.254.169.254:443"] {
            for both in [[public, bad], [bad, public]] {
                let refused = judged(both).unwrap_err();
                let ip = bad.parse::<SocketAddr>().unwrap().ip().to_string();
                assert!(
                    matches!(&refused, ConnectError::Private { address, .. } if *address == ip),
                    "{refused}"
                );
            }
        }
    }
}
