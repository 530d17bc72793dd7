//! A profile in the form that the `pprof` tools read: `profile.proto` in protocol buffers, gzipped.
//!
//! Written by hand, for it is one message of a few fields, all numbers of texts in a table. Knows
//! nothing of where samples come from.
//!
//! Source: `proto/profile.proto` of github.com/google/pprof.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::clock::Timestamp;

const NANOS_PER_SECOND: u64 = 1_000_000_000;
const NANOS_PER_MICRO: i64 = 1_000;

/// A place in the code.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Function {
    /// The function's name.
    pub name: String,
    /// The file it is in.
    pub file: String,
    /// The line, from 1; 0 if it is not known.
    pub line: u32,
}

/// A profile in the making.
pub struct ProfileFile {
    period_ns: u64,
    texts: BTreeMap<String, u64>,
    locations: BTreeMap<Function, u64>,
    /// Finished fields of the message.
    message: Vec<u8>,
}

/// Numbers of the fields, message by message.
mod field {
    pub const SAMPLE_TYPE: u64 = 1;
    pub const SAMPLE: u64 = 2;
    pub const LOCATION: u64 = 4;
    pub const FUNCTION: u64 = 5;
    pub const TEXT: u64 = 6;
    pub const TIME_NS: u64 = 9;
    pub const DURATION_NS: u64 = 10;
    pub const PERIOD_TYPE: u64 = 11;
    pub const PERIOD: u64 = 12;

    pub const TYPE_NAME: u64 = 1;
    pub const TYPE_UNIT: u64 = 2;

    pub const SAMPLE_LOCATIONS: u64 = 1;
    pub const SAMPLE_VALUES: u64 = 2;
    pub const SAMPLE_LABEL: u64 = 3;
    pub const LABEL_KEY: u64 = 1;
    pub const LABEL_TEXT: u64 = 2;

    pub const LOCATION_ID: u64 = 1;
    pub const LOCATION_LINE: u64 = 4;
    pub const LINE_FUNCTION: u64 = 1;
    pub const LINE_NUMBER: u64 = 2;

    pub const FUNCTION_ID: u64 = 1;
    pub const FUNCTION_NAME: u64 = 2;
    pub const FUNCTION_SYSTEM_NAME: u64 = 3;
    pub const FUNCTION_FILE: u64 = 4;
}

impl ProfileFile {
    /// A profile of samples that were taken so often in a second of work, at least once.
    pub fn new(per_second: u32) -> Self {
        let mut file = Self {
            period_ns: NANOS_PER_SECOND / u64::from(per_second.max(1)),
            texts: BTreeMap::new(),
            locations: BTreeMap::new(),
            message: Vec::new(),
        };
        // The format wants the empty text to be the first.
        file.text("");
        let samples = file.value_type("samples", "count");
        let time = file.value_type("cpu", "nanoseconds");
        bytes(&mut file.message, field::SAMPLE_TYPE, &samples);
        bytes(&mut file.message, field::SAMPLE_TYPE, &time);
        bytes(&mut file.message, field::PERIOD_TYPE, &time);
        number(&mut file.message, field::PERIOD, file.period_ns);
        file
    }

    /// Adds a stack, innermost function first, that was seen `count` times on a thread.
    pub fn add(&mut self, thread: String, stack: impl Iterator<Item = Function>, count: u64) {
        let mut sample = Vec::new();
        for function in stack {
            number(
                &mut sample,
                field::SAMPLE_LOCATIONS,
                self.location(function),
            );
        }
        number(&mut sample, field::SAMPLE_VALUES, count);
        number(&mut sample, field::SAMPLE_VALUES, count * self.period_ns);
        let mut label = Vec::new();
        number(&mut label, field::LABEL_KEY, self.text("thread"));
        number(&mut label, field::LABEL_TEXT, self.text(&thread));
        bytes(&mut sample, field::SAMPLE_LABEL, &label);
        bytes(&mut self.message, field::SAMPLE, &sample);
    }

    /// The whole file of a profile that ended at `now` and took `duration`.
    ///
    /// # Errors
    ///
    /// None that memory gives; compressing is a kind of writing.
    pub fn bytes(mut self, now: Timestamp, duration: Duration) -> io::Result<Vec<u8>> {
        let duration_ns = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        let now_ns = u64::try_from(now.0.saturating_mul(NANOS_PER_MICRO)).unwrap_or_default();
        number(
            &mut self.message,
            field::TIME_NS,
            now_ns.saturating_sub(duration_ns),
        );
        number(&mut self.message, field::DURATION_NS, duration_ns);
        let mut texts: Vec<_> = self.texts.into_iter().collect();
        texts.sort_by_key(|(_, at)| *at);
        for (text, _) in texts {
            bytes(&mut self.message, field::TEXT, text.as_bytes());
        }
        let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
        gzip.write_all(&self.message)?;
        gzip.finish()
    }

    /// The place of a text in the table.
    fn text(&mut self, text: &str) -> u64 {
        if let Some(at) = self.texts.get(text) {
            return *at;
        }
        let at = self.texts.len() as u64;
        self.texts.insert(text.to_owned(), at);
        at
    }

    fn value_type(&mut self, name: &str, unit: &str) -> Vec<u8> {
        let mut value_type = Vec::new();
        number(&mut value_type, field::TYPE_NAME, self.text(name));
        number(&mut value_type, field::TYPE_UNIT, self.text(unit));
        value_type
    }

    /// The number of a place in the code, from 1. Each has a function of its own.
    fn location(&mut self, function: Function) -> u64 {
        if let Some(id) = self.locations.get(&function) {
            return *id;
        }
        let id = self.locations.len() as u64 + 1;
        let mut message = Vec::new();
        number(&mut message, field::FUNCTION_ID, id);
        let name = self.text(&function.name);
        number(&mut message, field::FUNCTION_NAME, name);
        number(&mut message, field::FUNCTION_SYSTEM_NAME, name);
        number(
            &mut message,
            field::FUNCTION_FILE,
            self.text(&function.file),
        );
        bytes(&mut self.message, field::FUNCTION, &message);
        let (mut line, mut location) = (Vec::new(), Vec::new());
        number(&mut line, field::LINE_FUNCTION, id);
        number(&mut line, field::LINE_NUMBER, u64::from(function.line));
        number(&mut location, field::LOCATION_ID, id);
        bytes(&mut location, field::LOCATION_LINE, &line);
        bytes(&mut self.message, field::LOCATION, &location);
        self.locations.insert(function, id);
        id
    }
}

/// Appends a field that is a whole number.
fn number(message: &mut Vec<u8>, field: u64, value: u64) {
    varint(message, field << 3);
    varint(message, value);
}

/// Appends a field that is a text or a message.
fn bytes(message: &mut Vec<u8>, field: u64, value: &[u8]) {
    varint(message, field << 3 | 2);
    varint(message, value.len() as u64);
    message.extend_from_slice(value);
}

/// Appends a number, seven bits in a byte, the lowest first; the eighth says that there are more.
fn varint(message: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        message.push(value as u8 | 0x80);
        value >>= 7;
    }
    message.push(value as u8);
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use flate2::read::GzDecoder;
    use proptest::prelude::*;

    use super::*;

    /// The fields of a message, in order: a number, or the bytes of a text or message.
    type Fields = Vec<(u64, Result<u64, Vec<u8>>)>;

    fn read_varint(bytes: &mut &[u8]) -> u64 {
        let mut value = 0;
        for shift in (0..).step_by(7) {
            let (first, rest) = bytes.split_first().unwrap();
            *bytes = rest;
            value |= u64::from(first & 0x7f) << shift;
            if first & 0x80 == 0 {
                break;
            }
        }
        value
    }

    fn fields(mut bytes: &[u8]) -> Fields {
        let mut fields = Vec::new();
        while !bytes.is_empty() {
            let tag = read_varint(&mut bytes);
            let value = read_varint(&mut bytes);
            let value = if tag & 7 == 0 {
                Ok(value)
            } else {
                let (inner, rest) = bytes.split_at(usize::try_from(value).unwrap());
                bytes = rest;
                Err(inner.to_vec())
            };
            fields.push((tag >> 3, value));
        }
        fields
    }

    fn all(fields: &Fields, wanted: u64) -> Vec<Result<u64, Vec<u8>>> {
        let found = fields.iter().filter(|(field, _)| *field == wanted);
        found.map(|(_, value)| value.clone()).collect()
    }

    fn function(name: &str, line: u32) -> Function {
        let file = "main.rs".to_owned();
        let name = name.to_owned();
        Function { name, file, line }
    }

    #[test]
    fn a_file_tells_who_was_seen_how_often() {
        let mut file = ProfileFile::new(100);
        let (inner, outer) = (function("inner", 3), function("outer", 300));
        file.add("t1".into(), [inner, outer.clone()].into_iter(), 2);
        file.add("t2".into(), [outer].into_iter(), 1);
        let (now, second) = (Timestamp(5_000_000), Duration::from_secs(1));
        let mut message = Vec::new();
        let file = file.bytes(now, second).unwrap();
        GzDecoder::new(&*file).read_to_end(&mut message).unwrap();
        let message = fields(&message);

        let texts = all(&message, field::TEXT).into_iter();
        let texts: Vec<_> = texts
            .map(|text| String::from_utf8(text.unwrap_err()).unwrap())
            .collect();
        assert_eq!(texts[0], "");
        let text = |text| Ok(texts.iter().position(|known| known == text).unwrap() as u64);
        let inner = |field| {
            all(&message, field)
                .into_iter()
                .map(|inner| fields(&inner.unwrap_err()))
        };

        let types: Vec<_> = inner(field::SAMPLE_TYPE).collect();
        assert_eq!(types[0], [(1, text("samples")), (2, text("count"))]);
        assert_eq!(types[1], [(1, text("cpu")), (2, text("nanoseconds"))]);
        let functions: Vec<_> = inner(field::FUNCTION).collect();
        let named = [
            (1, Ok(2)),
            (2, text("outer")),
            (3, text("outer")),
            (4, text("main.rs")),
        ];
        assert_eq!(functions[1], named);
        let locations: Vec<_> = inner(field::LOCATION).collect();
        let line = locations[1][1].1.clone().unwrap_err();
        assert_eq!(
            (locations[1][0].1.clone(), fields(&line)),
            (Ok(2), vec![(1, Ok(2)), (2, Ok(300))])
        );

        let samples: Vec<_> = inner(field::SAMPLE).collect();
        assert_eq!(all(&samples[0], field::SAMPLE_LOCATIONS), [Ok(1), Ok(2)]);
        assert_eq!(
            all(&samples[0], field::SAMPLE_VALUES),
            [Ok(2), Ok(20_000_000)]
        );
        assert_eq!(all(&samples[1], field::SAMPLE_LOCATIONS), [Ok(2)]);
        let label = all(&samples[1], field::SAMPLE_LABEL).remove(0).unwrap_err();
        assert_eq!(fields(&label), [(1, text("thread")), (2, text("t2"))]);
        assert_eq!(all(&message, field::TIME_NS), [Ok(4_000_000_000)]);
        assert_eq!(all(&message, field::DURATION_NS), [Ok(1_000_000_000)]);
        assert_eq!(all(&message, field::PERIOD), [Ok(10_000_000)]);
    }

    proptest! {
        #[test]
        fn numbers_survive(value: u64) {
            let mut message = Vec::new();
            number(&mut message, 7, value);
            prop_assert_eq!(fields(&message), [(7, Ok(value))]);
        }
    }
}
