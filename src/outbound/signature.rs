//! Signatures as Standard Webhooks 1.0 has them: HMAC-SHA256 over id, time and body.
//!
//! Source: the specification at <https://www.standardwebhooks.com>, version 1.0.0. Randomness is an
//! argument.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use rand::Rng;
use sha2::Sha256;
use thiserror::Error;

/// What a secret begins with.
const PREFIX: &str = "whsec_";
/// Bytes that a secret may have.
const BYTES: std::ops::RangeInclusive<usize> = 24..=64;
/// Bytes of a secret that is made here.
const OWN_BYTES: usize = 32;

/// What sender and receiver share. Never shown by `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Box<[u8]>);

/// A text is no secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a secret is whsec_ and 24 to 64 bytes in base64")]
pub struct BadSecret;

impl Secret {
    /// A new one.
    pub fn random(random: &mut impl Rng) -> Self {
        let mut bytes = [0; OWN_BYTES];
        random.fill_bytes(&mut bytes);
        Self(bytes.into())
    }

    /// Reads `whsec_…`.
    ///
    /// # Errors
    ///
    /// It is none.
    pub fn parse(text: &str) -> Result<Self, BadSecret> {
        let text = text.strip_prefix(PREFIX).ok_or(BadSecret)?;
        let bytes = STANDARD.decode(text).map_err(|_| BadSecret)?;
        let fits = BYTES.contains(&bytes.len());
        fits.then(|| Self(bytes.into())).ok_or(BadSecret)
    }

    /// The text that a person puts into the receiver's settings.
    pub fn text(&self) -> String {
        format!("{PREFIX}{}", STANDARD.encode(&self.0))
    }

    /// The signature of a message that is sent at this time, in seconds since 1970.
    pub fn sign(&self, id: &str, seconds: i64, body: &[u8]) -> String {
        // HMAC takes keys of any length.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.0) else {
            return String::new();
        };
        mac.update(format!("{id}.{seconds}.").as_bytes());
        mac.update(body);
        format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// The value of `webhook-signature`: a signature by each secret that counts.
pub fn signatures<'a>(
    secrets: impl IntoIterator<Item = &'a Secret>,
    id: &str,
    seconds: i64,
    body: &[u8],
) -> String {
    let signed = secrets.into_iter().map(|it| it.sign(id, seconds, body));
    signed.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    #[test]
    fn the_published_vectors_are_met() {
        // Of the libraries at github.com/standard-webhooks/standard-webhooks: that of the Rust one,
        // and that of all others.
        let secret = Secret::parse("whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD").unwrap();
        let body = br#"{"email":"test@example.com","username":"test_user"}"#;
        let signed = secret.sign("msg_27UH4WbU6Z5A5EzD8u03UvzRbpk", 1_649_367_553, body);
        assert_eq!(signed, "v1,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw=");
        let secret = Secret::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let (id, body) = ("msg_p5jXN8AQM9LWM0D4loKWxJek", b"{\"test\": 2432232314}");
        let signed = secret.sign(id, 1_614_265_330, body);
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
        let both = signatures([&secret, &secret], id, 1_614_265_330, body);
        assert_eq!(both, format!("{signed} {signed}"));
    }

    #[test]
    fn a_secret_is_read_as_it_is_shown() {
        let secret = Secret::random(&mut StdRng::seed_from_u64(1));
        assert_eq!(Secret::parse(&secret.text()), Ok(secret.clone()));
        assert_eq!(format!("{secret:?}"), "Secret");
        for bad in [
            "",
            "whsec_",
            "whsec_AAAA",
            "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            "whsec_%",
        ] {
            assert_eq!(Secret::parse(bad), Err(BadSecret), "{bad}");
        }
    }
}
