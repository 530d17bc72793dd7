//! Rows on their way from one database to another, in a form that belongs to neither.
//!
//! The values of all rows stand one behind the other in one piece of memory, so that a page costs
//! one allocation, and two pages are equal exactly if their bytes are.

/// Bytes from which on a page is full. A row may be larger.
const BYTES: usize = 1 << 20;

const NULL: u8 = 0;
const NUMBER: u8 = 1;
const TEXT: u8 = 2;
const BLOB: u8 = 3;

/// One value of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cell<'a> {
    /// Nothing.
    Null,
    /// A whole number.
    Number(i64),
    /// A text.
    Text(&'a str),
    /// Bytes.
    Blob(&'a [u8]),
}

/// Some rows of one table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    bytes: Vec<u8>,
    rows: usize,
}

impl Page {
    /// Adds the next value of a row.
    pub fn push(&mut self, cell: Cell<'_>) {
        match cell {
            Cell::Null => self.bytes.push(NULL),
            Cell::Number(number) => {
                self.bytes.push(NUMBER);
                self.bytes.extend_from_slice(&number.to_be_bytes());
            }
            Cell::Text(text) => self.long(TEXT, text.as_bytes()),
            Cell::Blob(bytes) => self.long(BLOB, bytes),
        }
    }

    fn long(&mut self, kind: u8, bytes: &[u8]) {
        self.bytes.push(kind);
        self.bytes
            .extend_from_slice(&(bytes.len() as u64).to_be_bytes());
        self.bytes.extend_from_slice(bytes);
    }

    /// Ends a row.
    pub fn end_row(&mut self) {
        self.rows += 1;
    }

    /// Whether it is to be handed on.
    pub fn is_full(&self) -> bool {
        self.bytes.len() >= BYTES
    }

    /// How many rows there are.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// All values as bytes: equal for equal rows.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// All values, row after row.
    pub fn cells(&self) -> Cells<'_> {
        Cells(&self.bytes)
    }
}

/// Goes through the values of a page.
#[derive(Clone, Debug)]
pub struct Cells<'a>(&'a [u8]);

impl<'a> Iterator for Cells<'a> {
    type Item = Cell<'a>;

    fn next(&mut self) -> Option<Cell<'a>> {
        let (kind, rest) = self.0.split_first()?;
        if *kind == NULL {
            self.0 = rest;
            return Some(Cell::Null);
        }
        let (number, rest) = rest.split_first_chunk::<8>()?;
        let number = i64::from_be_bytes(*number);
        if *kind == NUMBER {
            self.0 = rest;
            return Some(Cell::Number(number));
        }
        let (bytes, rest) = rest.split_at_checked(usize::try_from(number).ok()?)?;
        self.0 = rest;
        if *kind == TEXT {
            // Only texts were put in.
            return std::str::from_utf8(bytes).ok().map(Cell::Text);
        }
        Some(Cell::Blob(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Clone, Debug)]
    enum Value {
        Null,
        Number(i64),
        Text(String),
        Blob(Vec<u8>),
    }

    impl Value {
        fn cell(&self) -> Cell<'_> {
            match self {
                Self::Null => Cell::Null,
                Self::Number(number) => Cell::Number(*number),
                Self::Text(text) => Cell::Text(text),
                Self::Blob(bytes) => Cell::Blob(bytes),
            }
        }
    }

    fn values() -> impl Strategy<Value = Vec<Value>> {
        let value = prop_oneof![
            Just(Value::Null),
            any::<i64>().prop_map(Value::Number),
            ".{0,9}".prop_map(Value::Text),
            proptest::collection::vec(any::<u8>(), 0..9).prop_map(Value::Blob),
        ];
        proptest::collection::vec(value, 0..40)
    }

    proptest! {
        #[test]
        fn values_survive_and_equal_bytes_are_equal_values(a in values(), b in values()) {
            let page = |values: &[Value]| {
                let mut page = Page::default();
                values.iter().for_each(|value| page.push(value.cell()));
                page
            };
            let (page_a, page_b) = (page(&a), page(&b));
            prop_assert!(page_a.cells().eq(a.iter().map(Value::cell)));
            let is_equal = a.iter().map(Value::cell).eq(b.iter().map(Value::cell));
            prop_assert_eq!(page_a.bytes() == page_b.bytes(), is_equal);
        }
    }
}
