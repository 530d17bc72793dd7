//! Names of orders: the id that people and clients see, and the sequence number that orderd orders
//! by.
//!
//! An id is checked once, when it is made; below the door nobody checks it again.

use std::fmt;

use rand::Rng;
use thiserror::Error;
use uuid::Uuid;

use crate::clock::Timestamp;

/// Number of a shard: 0 to 1,023. A small installation has exactly one, number 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShardNumber(pub u16);

/// Bits of a sequence number or journal position that count; the bits above carry the shard.
const COUNT_BITS: u32 = 48;

/// An order's sequence number: rises by one with each accepted order of a shard, and carries the
/// shard in its upper bits, so that nothing needs to be moved when shards are added. Positive, and
/// never seen by clients.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Seq(pub i64);

/// A place in the journal: the number of a commit, rising by one in each shard, with the shard in
/// its upper bits. Zero is "before everything".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position(pub i64);

impl ShardNumber {
    /// The lowest sequence number or position of this shard, which is never given out.
    pub fn base(self) -> i64 {
        i64::from(self.0) << COUNT_BITS
    }

    /// The highest sequence number or position that belongs to this shard.
    pub fn last(self) -> i64 {
        self.base() | ((1 << COUNT_BITS) - 1)
    }
}

impl Seq {
    /// The number after this one.
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }

    /// The shard that gave this number.
    pub fn shard(self) -> ShardNumber {
        ShardNumber((self.0 >> COUNT_BITS) as u16)
    }
}

impl Position {
    /// The position after this one.
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// An order's id: 1 to 64 bytes of visible ASCII (`!` to `~`) other than `.` and `..`, compared
/// byte for byte.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OrderId(Box<str>);

/// Why a text is not an order id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum OrderIdError {
    /// Empty, or longer than 64 bytes.
    #[error("an order id has 1 to 64 characters")]
    Length,
    /// `.` or `..`: every client would take them for a way through the address.
    #[error("an order id must not be . or ..")]
    Dots,
    /// A blank, a control character, or anything outside ASCII.
    #[error("an order id has visible ASCII characters only")]
    Character,
}

impl OrderId {
    /// Longest id, in bytes.
    pub const LENGTH_MAX: usize = 64;

    /// Checks and takes a client's id.
    pub fn parse(text: &str) -> Result<Self, OrderIdError> {
        if text.is_empty() || text.len() > Self::LENGTH_MAX {
            return Err(OrderIdError::Length);
        }
        if text == "." || text == ".." {
            return Err(OrderIdError::Dots);
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(OrderIdError::Character);
        }
        Ok(Self(text.into()))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Appends the id as a part of an address: all but unreserved characters (RFC 3986, section
    /// 2.3) are escaped.
    pub fn escape_into(&self, address: &mut Vec<u8>) {
        const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
        for byte in self.0.bytes() {
            if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
                address.push(byte);
            } else {
                let digit = |nibble: u8| DIGITS[usize::from(nibble)];
                address.extend_from_slice(&[b'%', digit(byte >> 4), digit(byte & 15)]);
            }
        }
    }
}

/// How the 128 bits of a made id are written. Ids of one spelling rise as text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Spelling {
    /// A UUID in lower case with hyphens: 36 characters.
    #[default]
    Uuid,
    /// 32 hexadecimal digits in lower case.
    Hex,
    /// `ORD` and 25 digits of base 36 in capitals, with zeros in front.
    Ord,
}

impl Spelling {
    fn write(self, bits: u128) -> OrderId {
        let uuid = Uuid::from_u128(bits);
        match self {
            Self::Uuid => OrderId(Box::from(&*uuid.as_hyphenated().encode_lower(&mut [0; 36]))),
            Self::Hex => OrderId(Box::from(&*uuid.as_simple().encode_lower(&mut [0; 32]))),
            Self::Ord => OrderId(base_36(bits)),
        }
    }
}

/// `ORD` and the bits as digits of base 36: 36^25 is above 2^128.
fn base_36(mut bits: u128) -> Box<str> {
    let mut text = *b"ORD0000000000000000000000000";
    for digit in text[3..].iter_mut().rev() {
        *digit = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"[(bits % 36) as usize];
        bits /= 36;
    }
    text.iter().map(|byte| char::from(*byte)).collect()
}

/// Makes server ids that rise: UUIDv7 (RFC 9562, section 6.2, method 2), in any spelling.
///
/// Within a millisecond the 74 random bits of the id before go up by a random step, so ids go to
/// the end of the store's index like sequence numbers do, and still do not tell how many orders
/// there are.
#[derive(Debug, Default)]
pub struct IdSource {
    millis: u64,
    bits: u128,
}

/// Random bits of a UUIDv7.
const RANDOM_BITS: u32 = 74;

impl IdSource {
    /// The next id. Its bits rise even if the clock goes back.
    pub fn next(&mut self, now: Timestamp, random: &mut impl Rng, spelling: Spelling) -> OrderId {
        if now.unix_millis() > self.millis {
            self.begin(now.unix_millis(), random);
        } else {
            self.bits += 1 + u128::from(random.next_u32());
            if self.bits >> RANDOM_BITS != 0 {
                self.begin(self.millis + 1, random);
            }
        }
        let (high, low) = (self.bits >> 62, self.bits & ((1 << 62) - 1));
        let (version, variant) = (7_u128 << 76, 0b10_u128 << 62);
        spelling.write(u128::from(self.millis) << 80 | version | high << 64 | variant | low)
    }

    /// Fresh random bits for a new millisecond, the highest clear to leave room for the steps.
    fn begin(&mut self, millis: u64, random: &mut impl Rng) {
        self.millis = millis;
        let drawn = u128::from(random.next_u64()) << 64 | u128::from(random.next_u64());
        self.bits = drawn >> (128 - (RANDOM_BITS - 1));
    }
}

/// The id that a new order gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WantedId {
    /// The client chose it.
    Chosen(OrderId),
    /// It is made when the order is accepted.
    Made(Spelling),
}

impl WantedId {
    /// The id, if the client chose it.
    pub fn chosen(&self) -> Option<&OrderId> {
        match self {
            Self::Chosen(id) => Some(id),
            Self::Made(_) => None,
        }
    }
}

impl fmt::Display for OrderId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for OrderId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    #[test]
    fn visible_ascii_of_the_right_length_is_an_id() {
        assert!(OrderId::parse("A-1/2#3~").is_ok());
        assert!(OrderId::parse(&"x".repeat(64)).is_ok());
        assert_eq!(OrderId::parse(&"x".repeat(65)), Err(OrderIdError::Length));
        assert_eq!(OrderId::parse(""), Err(OrderIdError::Length));
        assert_eq!(OrderId::parse(".."), Err(OrderIdError::Dots));
        for text in ["a b", "a\n", "\u{7f}", "é", "\0"] {
            assert_eq!(
                OrderId::parse(text),
                Err(OrderIdError::Character),
                "{text:?}"
            );
        }
    }

    #[test]
    fn made_ids_rise_and_are_version_7_whatever_the_clock_does() {
        let (mut source, mut random) = (IdSource::default(), StdRng::seed_from_u64(7));
        let times = [5_000_000, 5_000_000, 5_000_400, 5_001_000, 2, 6_000_000];
        let mut ids: Vec<_> = Vec::new();
        for time in times {
            let mut next = || source.next(Timestamp(time), &mut random, Spelling::Uuid);
            ids.extend((0..1_000).map(|_| next()));
        }
        assert!(ids.is_sorted() && ids.windows(2).all(|pair| pair[0] != pair[1]));
        for id in ids {
            let uuid = Uuid::parse_str(id.as_str()).unwrap();
            assert_eq!(
                (uuid.get_version_num(), uuid.get_variant()),
                (7, uuid::Variant::RFC4122)
            );
        }
    }

    #[test]
    fn made_ids_depend_on_time_and_seed_only() {
        let make = |seed| {
            let random = &mut StdRng::seed_from_u64(seed);
            IdSource::default().next(Timestamp(5_000_000), random, Spelling::Uuid)
        };
        assert_eq!(make(7), make(7));
        assert_ne!(make(7), make(8));
        assert!(make(7).as_str().starts_with("00000000-1388-7"));
    }

    #[test]
    fn every_spelling_writes_the_same_bits_and_rises() {
        let make = |spelling, time| {
            let random = &mut StdRng::seed_from_u64(7);
            let id = IdSource::default().next(Timestamp(time), random, spelling);
            id.as_str().to_owned()
        };
        let uuid = Uuid::parse_str(&make(Spelling::Uuid, 5_000_000)).unwrap();
        assert_eq!(make(Spelling::Hex, 5_000_000), uuid.as_simple().to_string());
        let ord = make(Spelling::Ord, 5_000_000);
        assert_eq!((ord.len(), &ord[..3]), (28, "ORD"));
        let digits = ord[3..].chars().map(|digit| digit.to_digit(36).unwrap());
        let bits = digits.fold(0_u128, |bits, digit| bits * 36 + u128::from(digit));
        assert_eq!(bits, uuid.as_u128());
        assert!(!ord.contains(|char: char| char.is_lowercase()));
        for spelling in [Spelling::Uuid, Spelling::Hex, Spelling::Ord] {
            let ids = [5_000, 6_000, 99_000, 1_700_000_000_000_000].map(|at| make(spelling, at));
            assert!(ids.is_sorted(), "{ids:?}");
            assert!(ids.iter().all(|id| OrderId::parse(id).is_ok()));
        }
        assert_eq!(&*base_36(0), "ORD0000000000000000000000000");
        assert_eq!(&*base_36(u128::MAX), "ORDF5LXX1ZZ5PNORYNQGLHZMSP33");
    }

    #[test]
    fn random_bits_that_run_over_go_to_the_next_millisecond() {
        let mut source = IdSource {
            millis: 5,
            bits: (1 << RANDOM_BITS) - 1,
        };
        let mut random = StdRng::seed_from_u64(7);
        let id = source.next(Timestamp(5_000), &mut random, Spelling::Uuid);
        assert!(id.as_str().starts_with("00000000-0006-7"), "{id}");
    }

    #[test]
    fn an_address_holds_any_id() {
        let escaped = |id| {
            let mut address = Vec::new();
            OrderId::parse(id).unwrap().escape_into(&mut address);
            String::from_utf8(address).unwrap()
        };
        assert_eq!(escaped("A-1.b_~"), "A-1.b_~");
        assert_eq!(escaped("a/b?c#%"), "a%2Fb%3Fc%23%25");
    }

    #[test]
    fn a_sequence_number_tells_its_shard() {
        let shard = ShardNumber(1_023);
        assert_eq!(Seq(shard.base() + 5).shard(), shard);
        assert_eq!(Seq(shard.last()).shard(), shard);
        assert!(shard.last() > 0);
    }
}
