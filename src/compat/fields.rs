//! The fields of a request body: found by name, taken as the type they must have.
//!
//! Two ways to read: the old Go services match names without regard to case and take `null` for
//! absent, the others take everything literally. Rules about values are in the dialects.

use std::borrow::Cow;

use super::decimal::Decimal;
use super::json::{self, Json};
use super::refusal::{Code, Refusal};

/// How field names and `null` are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// Names match without regard to ASCII case; `null` is an absent field, and a body of `null` is
    /// an empty object.
    Loose,
    /// Names match exactly; `null` is a value, and of no type that is ever asked for.
    Exact,
}

/// The fields of one body. A field given twice counts as it was given last.
#[derive(Clone, Debug)]
pub struct Fields<'a> {
    members: Vec<(Cow<'a, str>, Json<'a>)>,
    reading: Reading,
}

impl<'a> Fields<'a> {
    /// Reads a body that is a JSON object.
    ///
    /// # Errors
    ///
    /// `malformed-json` and `too-deep` as [`json::read`]; `wrong-type` if it is no object.
    pub fn read(body: &'a [u8], reading: Reading) -> Result<Self, Refusal> {
        let members = match json::read(body)? {
            Json::Object(members) => members,
            Json::Null if reading == Reading::Loose => Vec::new(),
            _ => return Err(Refusal::new(Code::WrongType, "the body must be an object")),
        };
        Ok(Self { members, reading })
    }

    /// Checks that there are no other fields than these.
    ///
    /// # Errors
    ///
    /// `unknown-field`, without the name: it is something that a client sent.
    pub fn only(&self, names: &[&str]) -> Result<(), Refusal> {
        let is_known = |key: &str| names.iter().any(|name| self.matches(key, name));
        if self.members.iter().all(|(key, _)| is_known(key)) {
            Ok(())
        } else {
            let reason = "there is a field that this request does not have";
            Err(Refusal::new(Code::UnknownField, reason))
        }
    }

    /// A field of any type.
    pub fn get(&self, name: &str) -> Option<&Json<'a>> {
        let mut members = self.members.iter().rev();
        let (_, value) = members.find(|(key, _)| self.matches(key, name))?;
        let is_absent = *value == Json::Null && self.reading == Reading::Loose;
        (!is_absent).then_some(value)
    }

    /// A field that must be a string, if it is there.
    ///
    /// # Errors
    ///
    /// `wrong-type`
    pub fn text(&self, name: &str) -> Result<Option<&str>, Refusal> {
        match self.get(name) {
            None => Ok(None),
            Some(Json::Text(text)) => Ok(Some(text)),
            Some(_) => Err(Refusal::field(Code::WrongType, name)),
        }
    }

    /// A field that must be a number, if it is there.
    ///
    /// # Errors
    ///
    /// `wrong-type`
    pub fn decimal(&self, name: &str) -> Result<Option<Decimal<'a>>, Refusal> {
        match self.get(name) {
            None => Ok(None),
            Some(Json::Number(text)) => Ok(Decimal::parse(text)),
            Some(_) => Err(Refusal::field(Code::WrongType, name)),
        }
    }

    /// A field that must be a whole number written without point and exponent, if it is there.
    ///
    /// # Errors
    ///
    /// `wrong-type`, also for one that 64 bits do not hold.
    pub fn integer(&self, name: &str) -> Result<Option<i64>, Refusal> {
        let wrong = || Refusal::field(Code::WrongType, name);
        match self.get(name) {
            None => Ok(None),
            Some(Json::Number(text)) => text.parse().map(Some).map_err(|_| wrong()),
            Some(_) => Err(wrong()),
        }
    }

    /// A field that must be a number or the decimal text of one, if it is there.
    ///
    /// # Errors
    ///
    /// `wrong-type`, also for a text that is no number in JSON's notation.
    pub fn amount(&self, name: &str) -> Result<Option<Decimal<'_>>, Refusal> {
        let text = match self.get(name) {
            None => return Ok(None),
            Some(Json::Number(text)) => text,
            Some(Json::Text(text)) => &**text,
            Some(_) => return Err(Refusal::field(Code::WrongType, name)),
        };
        let wrong = || Refusal::field(Code::WrongType, name);
        Decimal::parse(text).map(Some).ok_or_else(wrong)
    }

    /// A field that must be an array, if it is there.
    ///
    /// # Errors
    ///
    /// `wrong-type`
    pub fn list(&self, name: &str) -> Result<Option<&[Json<'a>]>, Refusal> {
        match self.get(name) {
            None => Ok(None),
            Some(Json::List(values)) => Ok(Some(values)),
            Some(_) => Err(Refusal::field(Code::WrongType, name)),
        }
    }

    /// A field that must be an array of strings, if it is there.
    ///
    /// # Errors
    ///
    /// `wrong-type`, at the first element that is none.
    pub fn texts(&self, name: &str) -> Result<Option<Vec<&str>>, Refusal> {
        let Some(values) = self.list(name)? else {
            return Ok(None);
        };
        let texts = values.iter().enumerate().map(|(at, value)| match value {
            Json::Text(text) => Ok(&**text),
            _ => Err(Refusal::element(Code::WrongType, name, at)),
        });
        texts.collect::<Result<_, _>>().map(Some)
    }

    fn matches(&self, key: &str, name: &str) -> bool {
        match self.reading {
            Reading::Loose => key.eq_ignore_ascii_case(name),
            Reading::Exact => key == name,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loose(body: &str) -> Fields<'_> {
        Fields::read(body.as_bytes(), Reading::Loose).unwrap()
    }

    fn exact(body: &str) -> Fields<'_> {
        Fields::read(body.as_bytes(), Reading::Exact).unwrap()
    }

    #[test]
    fn loose_names_have_no_case_and_null_is_absent() {
        let fields = loose(r#"{"USER_id":"a","items":null,"Note":"n"}"#);
        assert_eq!(fields.text("user_id"), Ok(Some("a")));
        assert_eq!(fields.list("items"), Ok(None));
        assert_eq!(fields.text("absent"), Ok(None));
        assert!(fields.only(&["user_id", "items", "note"]).is_ok());
        assert_eq!(
            fields.only(&["user_id", "items"]).unwrap_err().code,
            Code::UnknownField
        );
        assert!(loose("null").only(&[]).is_ok());
        // Only ASCII letters have no case: U+212A is the Kelvin sign.
        assert_eq!(loose("{\"\u{212a}\":1}").get("k"), None);
    }

    #[test]
    fn exact_names_have_their_case_and_null_is_a_wrong_value() {
        let fields = exact(r#"{"a":"x","A":"y","n":null}"#);
        assert_eq!(fields.text("a"), Ok(Some("x")));
        assert_eq!(fields.text("n"), Err(Refusal::field(Code::WrongType, "n")));
        assert!(fields.only(&["a", "n"]).is_err());
        let null = Fields::read(b"null", Reading::Exact).unwrap_err();
        assert_eq!(null.code, Code::WrongType);
    }

    #[test]
    fn a_field_given_twice_counts_as_it_was_given_last() {
        assert_eq!(exact(r#"{"a":"x","a":"y"}"#).text("a"), Ok(Some("y")));
        assert_eq!(loose(r#"{"a":1,"A":"y"}"#).text("a"), Ok(Some("y")));
        assert_eq!(loose(r#"{"a":"x","A":null}"#).text("a"), Ok(None));
    }

    #[test]
    fn other_types_are_refused_where_they_stand() {
        let fields = loose(r#"{"t":1,"n":"1","l":{},"s":["a",1],"d":[]}"#);
        let wrong = |name| Refusal::field(Code::WrongType, name);
        assert_eq!(fields.text("t"), Err(wrong("t")));
        assert_eq!(fields.decimal("n"), Err(wrong("n")));
        assert_eq!(fields.list("l"), Err(wrong("l")));
        assert_eq!(fields.integer("t"), Ok(Some(1)));
        assert_eq!(fields.integer("n"), Err(wrong("n")));
        for number in ["1.0", "1e0", "9223372036854775808"] {
            let body = format!("{{\"t\":{number}}}");
            assert_eq!(loose(&body).integer("t"), Err(wrong("t")));
        }
        assert_eq!(fields.texts("s"), Err(wrong("s/1")));
        assert_eq!(fields.texts("d"), Ok(Some(Vec::new())));
        assert_eq!(fields.decimal("t").unwrap().unwrap().whole(), Ok(1));
        let fields = exact(r#"{"n":1.5,"t":"1.5","x":"1,5","e":"","z":null,"b":true}"#);
        for name in ["n", "t"] {
            assert_eq!(fields.amount(name).unwrap().unwrap().minor(), Ok(150));
        }
        for name in ["x", "e", "z", "b"] {
            assert_eq!(fields.amount(name), Err(wrong(name)));
        }
        assert_eq!(fields.amount("absent"), Ok(None));
        for body in ["[]", "1", "\"a\"", "true"] {
            let read = Fields::read(body.as_bytes(), Reading::Loose);
            assert_eq!(read.unwrap_err().code, Code::WrongType, "{body}");
        }
    }
}
