//! An address that can be called: a URL with nothing in it that a call could not honour.
//!
//! Says nothing about who may be called; that is judged for each connection.

use std::fmt;

use hyper::Uri;
use thiserror::Error;

/// Longest URL, in bytes.
const URL_BYTES_MAX: usize = 2_048;

/// An `http` or `https` URL that was checked.
#[derive(Clone, PartialEq, Eq)]
pub struct Target {
    pub(super) uri: Uri,
}

/// Why a text is no target, to follow "the URL".
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum BadTarget {
    /// It is not a URL, or has a space or something outside ASCII in it.
    #[error("cannot be read")]
    Form,
    /// It has another scheme, or none.
    #[error("must begin with http:// or https://")]
    Scheme,
    /// It has a user or password in it: they would be in every log.
    #[error("must not have a user or password in it")]
    User,
    /// It has a fragment, which is never sent.
    #[error("must not have a fragment (#)")]
    Fragment,
    /// Longer than 2,048 bytes.
    #[error("has more than 2,048 bytes")]
    Length,
}

impl Target {
    /// Reads a URL.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub fn parse(url: &str) -> Result<Self, BadTarget> {
        if url.len() > URL_BYTES_MAX {
            return Err(BadTarget::Length);
        }
        if url.contains('#') {
            return Err(BadTarget::Fragment);
        }
        let uri: Uri = url.parse().map_err(|_| BadTarget::Form)?;
        match uri.scheme_str() {
            Some("http" | "https") => {}
            _ => return Err(BadTarget::Scheme),
        }
        let authority = uri.authority().ok_or(BadTarget::Form)?;
        if authority.as_str().contains('@') {
            return Err(BadTarget::User);
        }
        let has_port = authority
            .as_str()
            .rsplit_once(':')
            .is_none_or(|(host, port)| {
                port.ends_with(']')
                    || (!host.is_empty() && port.parse::<u16>().is_ok_and(|it| it > 0))
            });
        if authority.host().is_empty() || !has_port {
            return Err(BadTarget::Form);
        }
        Ok(Self { uri })
    }

    /// Scheme, host and port: who is called.
    pub fn origin(&self) -> String {
        let authority = self.uri.authority().map_or("", |it| it.as_str());
        format!(
            "{}://{authority}",
            self.uri.scheme_str().unwrap_or_default()
        )
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.uri.fmt(f)
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.uri.fmt(f)
    }
}

/// Host as the system looks it up, and port.
pub(super) fn host_and_port(uri: &Uri) -> (String, u16) {
    let host = uri.host().unwrap_or_default().to_ascii_lowercase();
    let bare = host.strip_prefix('[').and_then(|it| it.strip_suffix(']'));
    let bare = bare.unwrap_or(&host).to_owned();
    let is_plain = uri.scheme_str() == Some("http");
    (
        bare,
        uri.port_u16().unwrap_or(if is_plain { 80 } else { 443 }),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_call_can_honour_is_a_target() {
        for (url, host, port) in [
            ("https://pay.example/hook?a=b", "pay.example", 443),
            ("http://Pay.example:8080", "pay.example", 8080),
            ("http://[::1]:9/x", "::1", 9),
            ("http://[::1]", "::1", 80),
        ] {
            let target = Target::parse(url).unwrap();
            assert_eq!(host_and_port(&target.uri), (host.to_owned(), port), "{url}");
        }
        let long = format!("http://x/{}", "a".repeat(2_048));
        for (url, error) in [
            ("", BadTarget::Form),
            ("pay.example", BadTarget::Scheme),
            ("/hook", BadTarget::Scheme),
            ("ftp://pay.example", BadTarget::Scheme),
            ("http://", BadTarget::Form),
            ("http://a b/", BadTarget::Form),
            ("http://x:99999/", BadTarget::Form),
            ("http://x:0/", BadTarget::Form),
            ("http://u:p@x/", BadTarget::User),
            ("http://x/#a", BadTarget::Fragment),
            (&long, BadTarget::Length),
        ] {
            assert_eq!(Target::parse(url).unwrap_err(), error, "{url}");
        }
        let target = Target::parse("https://pay.example/a/b").unwrap();
        assert_eq!(target.origin(), "https://pay.example");
        assert_eq!(target.to_string(), "https://pay.example/a/b");
    }
}
