//! SQL as text with values in it: the way in which a whole transaction fits into one request.
//!
//! Every value becomes a literal that means the same under every `sql_mode`: a text with a
//! backslash, whose meaning depends on it, is written in hexadecimal digits.

/// Text that grows.
#[derive(Default)]
pub(super) struct Sql(Vec<u8>);

impl Sql {
    pub(super) fn with_capacity(bytes: usize) -> Self {
        Self(Vec::with_capacity(bytes))
    }

    /// SQL as it is.
    pub(super) fn raw(&mut self, sql: &str) -> &mut Self {
        self.0.extend_from_slice(sql.as_bytes());
        self
    }

    pub(super) fn number(&mut self, number: impl Into<i64>) -> &mut Self {
        self.raw(itoa::Buffer::new().format(number.into()))
    }

    pub(super) fn optional_number(&mut self, number: Option<i64>) -> &mut Self {
        match number {
            Some(number) => self.number(number),
            None => self.raw("NULL"),
        }
    }

    pub(super) fn text(&mut self, text: &str) -> &mut Self {
        if is_ambiguous(text.as_bytes()) {
            self.raw("_utf8mb4 ").hexadecimal(text.as_bytes())
        } else {
            self.raw("'").doubled(text.as_bytes()).raw("'")
        }
    }

    pub(super) fn optional_text(&mut self, text: Option<&str>) -> &mut Self {
        match text {
            Some(text) => self.text(text),
            None => self.raw("NULL"),
        }
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        if is_ambiguous(bytes) || std::str::from_utf8(bytes).is_err() {
            self.hexadecimal(bytes)
        } else {
            self.raw("_binary'").doubled(bytes).raw("'")
        }
    }

    /// Numbers with commas between them.
    pub(super) fn numbers(&mut self, numbers: impl IntoIterator<Item = i64>) -> &mut Self {
        for (at, number) in numbers.into_iter().enumerate() {
            self.raw(if at == 0 { "" } else { "," }).number(number);
        }
        self
    }

    /// Values of a row, with what is put before all but the first row.
    pub(super) fn row(&mut self, is_first: bool) -> &mut Self {
        self.raw(if is_first { "(" } else { ",(" })
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    fn hexadecimal(&mut self, bytes: &[u8]) -> &mut Self {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        self.0.extend_from_slice(b"x'");
        for byte in bytes {
            let digits = [byte >> 4, byte & 15].map(|digit| DIGITS[usize::from(digit)]);
            self.0.extend_from_slice(&digits);
        }
        self.raw("'")
    }

    fn doubled(&mut self, bytes: &[u8]) -> &mut Self {
        let mut parts = bytes.split(|byte| *byte == b'\'');
        if let Some(first) = parts.next() {
            self.0.extend_from_slice(first);
        }
        for part in parts {
            self.0.extend_from_slice(b"''");
            self.0.extend_from_slice(part);
        }
        self
    }
}

/// Whether the meaning of something between quotation marks is up to the session.
fn is_ambiguous(bytes: &[u8]) -> bool {
    bytes.iter().any(|byte| matches!(byte, b'\\' | 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(write: impl Fn(&mut Sql) -> &mut Sql) -> String {
        let mut sql = Sql::default();
        write(&mut sql);
        String::from_utf8(sql.into_bytes()).unwrap()
    }

    #[test]
    fn a_value_never_ends_its_literal() {
        assert_eq!(shown(|sql| sql.text("it's")), "'it''s'");
        assert_eq!(shown(|sql| sql.text("'")), "''''");
        assert_eq!(shown(|sql| sql.text("\\'")), "_utf8mb4 x'5c27'");
        assert_eq!(shown(|sql| sql.text("é\0")), "_utf8mb4 x'c3a900'");
        assert_eq!(shown(|sql| sql.bytes(b"{'}")), "_binary'{''}'");
        assert_eq!(shown(|sql| sql.bytes(&[0xff, b'\''])), "x'ff27'");
        assert_eq!(shown(|sql| sql.optional_text(None)), "NULL");
        assert_eq!(shown(|sql| sql.number(i64::MIN)), "-9223372036854775808");
    }
}
