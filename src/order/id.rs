//! Names of orders: the id that people and clients see, and the sequence number that orderd orders
//! by.
//!
//! An id is checked once, when it is made; below the door nobody checks it again.

use std::fmt;

use rand::Rng;
use thiserror::Error;
use uuid::Builder;

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

/// An order's id: 1 to 64 bytes of visible ASCII (`!` to `~`), compared byte for byte.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OrderId(Box<str>);

/// Why a text is not an order id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum OrderIdError {
    /// Empty, or longer than 64 bytes.
    #[error("an order id has 1 to 64 characters")]
    Length,
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
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(OrderIdError::Character);
        }
        Ok(Self(text.into()))
    }

    /// Makes a server's id: a UUIDv7 (RFC 9562) of the time and 74 random bits, lower case with
    /// hyphens.
    pub fn generate(now: Timestamp, random: &mut impl Rng) -> Self {
        let mut bits = [0; 10];
        random.fill_bytes(&mut bits);
        let uuid = Builder::from_unix_timestamp_millis(now.unix_millis(), &bits).into_uuid();
        let mut text = [0; 36];
        Self(Box::from(&*uuid.as_hyphenated().encode_lower(&mut text)))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
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
        for text in ["a b", "a\n", "\u{7f}", "é", "\0"] {
            assert_eq!(
                OrderId::parse(text),
                Err(OrderIdError::Character),
                "{text:?}"
            );
        }
    }

    #[test]
    fn made_ids_sort_by_time_and_depend_on_the_seed_only() {
        let make = |at| OrderId::generate(Timestamp(at), &mut StdRng::seed_from_u64(7));
        assert_eq!(make(1_000_000), make(1_000_000));
        assert!(make(1_000_000) < make(2_000_000));
        assert_eq!(make(1_000_000).as_str().as_bytes()[14], b'7');
    }

    #[test]
    fn a_sequence_number_tells_its_shard() {
        let shard = ShardNumber(1_023);
        assert_eq!(Seq(shard.base() + 5).shard(), shard);
        assert_eq!(Seq(shard.last()).shard(), shard);
        assert!(shard.last() > 0);
    }
}
