//! What was ordered, for those who make attempts: workers, and calls of services.
//!
//! Never reads more than is told of at once, however large the orders are.

use std::collections::HashMap;

use crate::order::{Order, Seq};
use crate::store::{Store, StoreError};

/// What was ordered, in bytes, after which no more orders are read for one lease.
const LEASE_BYTES: usize = 4 << 20;
/// Orders that are read at first, while nobody knows how large they are.
const FIRST_READ: usize = 4;
/// Most orders that are read at once.
const READ_MAX: usize = 64;
/// About how many bytes an order has besides what was ordered and what its steps said.
const ROW_BYTES: usize = 512;

/// Reads orders, the first ones first, until there is enough for one answer. Tells of how many of
/// them it has asked; those of which nothing is there are damaged.
pub fn read_leased(
    store: &dyn Store,
    seqs: &[Seq],
) -> Result<(HashMap<Seq, Order>, usize), StoreError> {
    let (mut found, mut asked) = (HashMap::with_capacity(seqs.len()), 0);
    let (mut bytes, mut count) = (0, FIRST_READ);
    while asked < seqs.len() && bytes < LEASE_BYTES {
        let piece = &seqs[asked..seqs.len().min(asked + count)];
        for order in store.orders_at(piece)? {
            bytes += size(&order);
            found.insert(order.seq, order);
        }
        asked += piece.len();
        // As many as are likely to fit.
        let left = LEASE_BYTES.saturating_sub(bytes);
        count = (left / (bytes / asked).max(1)).clamp(1, READ_MAX);
    }
    Ok((found, asked))
}

/// About how many bytes an order brings into an answer.
fn size(order: &Order) -> usize {
    let outputs = order.outputs.iter().map(|it| it.output.len());
    ROW_BYTES + order.payload.len() + outputs.sum::<usize>()
}
