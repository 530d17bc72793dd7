//! Changes inputs a little, from a fixed seed: always the same changes in the same order. Knows
//! nothing of what the bytes mean.

use rand::rngs::StdRng;
use rand::{Rng, RngExt, SeedableRng};

/// Bytes and texts at which readers of texts tend to break.
const MARKS: &[&[u8]] = &[
    b"\"",
    b"\\",
    b"{",
    b"}",
    b"[",
    b"]",
    b":",
    b",",
    b"\n",
    b"\r\n",
    b" ",
    b"\0",
    b"\xff",
    b"%",
    b"&",
    b"=",
    b"-",
    b"+",
    b".",
    b"..",
    b"/",
    b"null",
    b"true",
    b"\\u0000",
    b"\\ud800",
    b"\\ud83d\\ude00",
    b"\xef\xbb\xbf",
    b"\xc3\xa4",
    b"\xf0\x9f\x98\x80",
    b"-0",
    b"0.00",
    b"1e999",
    b"1e-31",
    b"65536",
    b"4294967296",
    b"9223372036854775807",
    b"9223372036854775808",
    b"-9223372036854775808",
    b"18446744073709551616",
    b"99999999999999999999999999",
];
/// Longest input that is made, in bytes.
const BYTES_MAX: usize = 64 << 10;

/// Makes one input after the other.
pub struct Mutator<'a> {
    inputs: Vec<&'a [u8]>,
    random: StdRng,
}

impl<'a> Mutator<'a> {
    /// Changes of these inputs, of which there is at least one.
    pub fn new(inputs: Vec<&'a [u8]>) -> Self {
        let random = StdRng::seed_from_u64(0x6f72_6465_7264);
        Self { inputs, random }
    }

    /// An input with one to eight changes.
    pub fn next(&mut self) -> Vec<u8> {
        let mut bytes = self.input().to_vec();
        for _ in 0..self.random.random_range(1..=8) {
            self.change(&mut bytes);
        }
        bytes.truncate(BYTES_MAX);
        bytes
    }

    fn input(&mut self) -> &'a [u8] {
        self.inputs[self.random.random_range(0..self.inputs.len())]
    }

    fn change(&mut self, bytes: &mut Vec<u8>) {
        let (from, to) = self.range(bytes.len());
        match self.random.random_range(0..7) {
            0 if from < bytes.len() => bytes[from] ^= 1 << self.random.random_range(0..8),
            1 if from < bytes.len() => bytes[from] = self.random.next_u32() as u8,
            2 => drop(bytes.drain(from..to)),
            3 => {
                let again = bytes[from..to].to_vec();
                bytes.splice(to..to, again);
            }
            4 => {
                let mark = MARKS[self.random.random_range(0..MARKS.len())];
                bytes.splice(from..to.min(from + mark.len()), mark.iter().copied());
            }
            5 => {
                let mark = MARKS[self.random.random_range(0..MARKS.len())];
                bytes.splice(from..from, mark.iter().copied());
            }
            _ => {
                let other = self.input();
                let (first, last) = self.range(other.len());
                bytes.splice(from..to, other[first..last].iter().copied());
            }
        }
    }

    /// A range of an input of this length, mostly a short one.
    fn range(&mut self, length: usize) -> (usize, usize) {
        let from = self.random.random_range(0..=length);
        let longest = if self.random.random_range(0..4) == 0 {
            length
        } else {
            16
        };
        let to = from + self.random.random_range(0..=longest.min(length - from));
        (from, to)
    }
}
