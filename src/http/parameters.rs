//! Query parameters: each is known, there at most once, and well formed, or the answer names it.
//!
//! Nothing is ignored in silence: a misspelt filter must not list everything.

use axum::extract::Query;
use axum::http::Uri;

use super::code::Code;
use super::error::ApiError;
use crate::clock::Timestamp;

/// The parameters of a request that nobody has asked for yet.
pub(super) struct Parameters {
    left: Vec<(String, String)>,
    asked: Vec<&'static str>,
}

/// A parameter that is not what it should be.
pub(super) fn bad(name: &str, wanted: &str) -> ApiError {
    ApiError::new(Code::BadQuery, format!("the parameter {name} {wanted}"))
}

impl Parameters {
    /// The decoded parameters of a URL.
    pub(super) fn of(uri: &Uri) -> Result<Self, ApiError> {
        match Query::<Vec<(String, String)>>::try_from_uri(uri) {
            Ok(Query(left)) => Ok(Self {
                left,
                asked: Vec::new(),
            }),
            Err(_) => Err(ApiError::new(Code::BadQuery, "the query cannot be decoded")),
        }
    }

    /// Refuses every parameter: for paths that have none.
    pub(super) fn none(uri: &Uri) -> Result<(), ApiError> {
        match uri.query() {
            None | Some("") => Ok(()),
            Some(_) => Self::of(uri)?.end(),
        }
    }

    /// Takes the parameter with this name, if it is there.
    pub(super) fn take(&mut self, name: &'static str) -> Result<Option<String>, ApiError> {
        self.asked.push(name);
        let mut value = None;
        while let Some(at) = self.left.iter().position(|(key, _)| key == name) {
            if value.is_some() {
                return Err(bad(name, "is there twice"));
            }
            value = Some(self.left.swap_remove(at).1);
        }
        Ok(value)
    }

    /// Takes and reads a parameter; `wanted` tells what it must be if `read` finds nothing.
    pub(super) fn read<T>(
        &mut self,
        name: &'static str,
        wanted: &str,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, ApiError> {
        let value = self.take(name)?;
        value
            .map(|value| read(&value).ok_or_else(|| bad(name, wanted)))
            .transpose()
    }

    /// Takes and reads a time.
    pub(super) fn time(&mut self, name: &'static str) -> Result<Option<Timestamp>, ApiError> {
        self.read(name, Timestamp::FORM, Timestamp::parse_rfc3339)
    }

    /// The page's size: 1 to 1,000, 100 if absent.
    pub(super) fn limit(&mut self) -> Result<usize, ApiError> {
        let limit = self.read("limit", "must be 1 to 1000", |text| {
            let limit = text.parse().ok();
            limit.filter(|limit| (1..=LIMIT_MAX).contains(limit))
        })?;
        Ok(limit.unwrap_or(LIMIT_DEFAULT))
    }

    /// Takes the cursor. An empty one is the start.
    pub(super) fn after(&mut self) -> Result<Option<String>, ApiError> {
        Ok(self.take("after")?.filter(|text| !text.is_empty()))
    }

    /// Refuses parameters that nobody asked for.
    pub(super) fn end(self) -> Result<(), ApiError> {
        match self.left.first() {
            None => Ok(()),
            Some((name, _)) if self.asked.is_empty() => {
                Err(bad(name, "is unknown; this path has no parameters"))
            }
            Some((name, _)) => {
                let known = self.asked.join(", ");
                Err(bad(name, &format!("is unknown; there are: {known}")))
            }
        }
    }
}

/// Most entries of a page.
pub(super) const LIMIT_MAX: usize = 1_000;
/// Entries of a page if the client does not say.
pub(super) const LIMIT_DEFAULT: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;

    fn parameters(text: &'static str) -> Parameters {
        Parameters::of(&Uri::from_static(text)).unwrap()
    }

    #[test]
    fn every_parameter_is_known_single_and_well_formed() {
        let mut query = parameters("/v1/orders?limit=7&status=a%20b+c");
        assert_eq!(query.limit().unwrap(), 7);
        assert_eq!(query.take("status").unwrap().as_deref(), Some("a b c"));
        assert!(query.end().is_ok());
        for bad in [
            "limit=0",
            "limit=1001",
            "limit=x",
            "limit=",
            "limit=1&limit=2",
        ] {
            let uri: Uri = format!("/v1/orders?{bad}").parse().unwrap();
            let error = Parameters::of(&uri).unwrap().limit().unwrap_err();
            assert_eq!(error.code(), Code::BadQuery, "{bad}");
        }
        let mut query = parameters("/v1/orders?limits=1");
        assert_eq!(query.limit().unwrap(), 100);
        assert_eq!(query.end().unwrap_err().code(), Code::BadQuery);
    }
}
