//! What is remembered of each order while the journal is read: 40 bytes.
//!
//! Kept in blocks by sequence number, made when they are needed: numbers are dense, but damage may
//! put one anywhere.

use std::collections::BTreeMap;

use crate::clock::Timestamp;
use crate::order::{Position, Priority, Seq, StatusKind};

/// Where an order's history has come to.
#[derive(Clone, Copy, Debug)]
pub struct Track {
    /// When the last event was.
    pub at: Timestamp,
    /// The journal row that holds it.
    pub position: Position,
    /// The lease that was given last.
    pub lease: i64,
    /// When its first step was started first; `NEVER` if it was not.
    pub started_at: Timestamp,
    /// The version after it.
    pub version: u32,
    /// The status after it.
    pub status: StatusKind,
    /// Whether a hold is open.
    pub is_held: bool,
    /// The priority that it was given last; `None` if it never got another one.
    pub priority: Option<Priority>,
    /// Whether the order itself was seen.
    pub is_seen: bool,
}

/// `Track::started_at` of an order that was never started.
pub const NEVER: Timestamp = Timestamp(i64::MIN);

/// Orders in a block.
const BLOCK: usize = 1_024;

type Block = Box<[Option<Track>]>;

/// Bytes for one order.
pub const TRACK_BYTES: usize = size_of::<Option<Track>>();

const _: () = assert!(TRACK_BYTES <= 40, "the memory of a proof is promised");

/// The tracks of all orders.
#[derive(Default)]
pub struct Tracks(BTreeMap<i64, Block>);

impl Tracks {
    /// The place of an order, empty if nothing is known of it.
    pub fn place(&mut self, seq: Seq) -> &mut Option<Track> {
        let (block, at) = address(seq);
        let empty = || vec![None; BLOCK].into_boxed_slice();
        &mut self.0.entry(block).or_insert_with(empty)[at]
    }

    /// Notes that the order itself was seen, and tells what is known of it.
    pub fn see(&mut self, seq: Seq) -> Option<Track> {
        let (block, at) = address(seq);
        let track = self.0.get_mut(&block)?[at].as_mut()?;
        track.is_seen = true;
        Some(*track)
    }

    /// Orders that have a history and were not seen, ascending.
    pub fn unseen(&self) -> impl Iterator<Item = Seq> + '_ {
        let all = self.0.iter().flat_map(|(block, tracks)| {
            let first = block * BLOCK as i64;
            let seqs = (0..BLOCK as i64).map(move |at| Seq(first + at));
            seqs.zip(tracks.iter())
        });
        all.filter(|(_, track)| track.is_some_and(|track| !track.is_seen))
            .map(|(seq, _)| seq)
    }

    /// Bytes that all this takes.
    pub fn bytes(&self) -> usize {
        self.0.len() * BLOCK * TRACK_BYTES
    }
}

fn address(seq: Seq) -> (i64, usize) {
    let block = BLOCK as i64;
    // The remainder of a division by the size of a block is an index into one.
    (
        seq.0.div_euclid(block),
        seq.0.rem_euclid(block).unsigned_abs() as usize,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tracks_are_found_wherever_their_number_is() {
        let mut tracks = Tracks::default();
        let seqs = [i64::MIN, -1, 0, 1_023, 1_024, 1 << 50, i64::MAX];
        for seq in seqs {
            *tracks.place(Seq(seq)) = Some(Track {
                at: Timestamp(seq),
                position: Position(1),
                lease: 0,
                started_at: NEVER,
                version: 1,
                status: StatusKind::Pending,
                is_held: false,
                priority: None,
                is_seen: false,
            });
        }
        assert!(tracks.see(Seq(2)).is_none());
        assert_eq!(
            tracks.see(Seq(-1)).map(|track| track.at),
            Some(Timestamp(-1))
        );
        let left: Vec<_> = tracks.unseen().map(|seq| seq.0).collect();
        assert_eq!(left, [i64::MIN, 0, 1_023, 1_024, 1 << 50, i64::MAX]);
    }
}
