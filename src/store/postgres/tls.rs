//! TLS to the database: what the URL asks for, with the meaning that PostgreSQL gives it.
//!
//! `sslmode=require` hides what is sent and proves nobody's name; only `verify-ca` and
//! `verify-full` do. Decides nothing else about a connection.

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore};
use rustls::{SignatureScheme, crypto};
use tokio_postgres::config::SslMode;

/// What a URL says about TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    Disable,
    /// If the server has it.
    Prefer,
    /// Whoever the server is, unless roots are named.
    Require,
    /// The server's certificate comes from a root.
    VerifyCa,
    /// And it is for the host that was asked for.
    VerifyFull,
}

impl Mode {
    /// The value of `sslmode`.
    pub(super) fn of_text(text: &str) -> Option<Self> {
        Some(match text {
            "disable" => Self::Disable,
            "allow" | "prefer" => Self::Prefer,
            "require" => Self::Require,
            "verify-ca" => Self::VerifyCa,
            "verify-full" => Self::VerifyFull,
            _ => return None,
        })
    }

    /// As far as the driver decides it.
    pub(super) fn negotiation(self) -> SslMode {
        match self {
            Self::Disable => SslMode::Disable,
            Self::Prefer => SslMode::Prefer,
            _ => SslMode::Require,
        }
    }
}

/// The settings of TLS. `roots` is a file with certificates, or `system` for those of the system.
/// The errors are for people.
pub(super) fn settings(mode: Mode, roots: Option<&str>) -> Result<ClientConfig, String> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider));
    let builder = builder.with_safe_default_protocol_versions();
    let builder = builder.map_err(|error| error.to_string())?;
    // As PostgreSQL has it: with roots in hand, `require` looks at the chain.
    let mode = match mode {
        Mode::Require if roots.is_some() => Mode::VerifyCa,
        mode => mode,
    };
    let verifier: Arc<dyn ServerCertVerifier> = match mode {
        Mode::Disable | Mode::Prefer | Mode::Require => Arc::new(Lenient {
            provider,
            chain: None,
        }),
        Mode::VerifyCa | Mode::VerifyFull => {
            let store = Arc::new(root_store(roots.unwrap_or("system"))?);
            let chain = WebPkiServerVerifier::builder_with_provider(store, Arc::clone(&provider));
            let chain = chain.build().map_err(|error| error.to_string())?;
            if mode == Mode::VerifyFull {
                chain
            } else {
                let chain = Some(chain);
                Arc::new(Lenient { provider, chain })
            }
        }
    };
    let config = builder
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    Ok(config.with_no_client_auth())
}

fn root_store(roots: &str) -> Result<RootCertStore, String> {
    let mut store = RootCertStore::empty();
    if roots == "system" {
        let loaded = rustls_native_certs::load_native_certs();
        store.add_parsable_certificates(loaded.certs);
    } else {
        let unreadable = |error| format!("sslrootcert {roots} cannot be read: {error}");
        let found = CertificateDer::pem_file_iter(roots).map_err(unreadable)?;
        let found: Result<Vec<_>, _> = found.collect();
        store.add_parsable_certificates(found.map_err(unreadable)?);
    }
    if store.is_empty() {
        return Err(format!("there are no root certificates in {roots}"));
    }
    Ok(store)
}

/// Takes a server's certificate for any name: from a root, or, without a chain to look at, from
/// anybody. Signatures are checked in any case.
#[derive(Debug)]
struct Lenient {
    provider: Arc<CryptoProvider>,
    chain: Option<Arc<WebPkiServerVerifier>>,
}

impl ServerCertVerifier for Lenient {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(chain) = &self.chain else {
            return Ok(ServerCertVerified::assertion());
        };
        match chain.verify_server_cert(end_entity, intermediates, name, ocsp, now) {
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        crypto::verify_tls12_signature(message, cert, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        crypto::verify_tls13_signature(message, cert, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}
