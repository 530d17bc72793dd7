//! Brings the open orders from before the start back, page by page, while new orders are already
//! taken.
//!
//! Reads on a thread of its own; the engine takes one page in a turn, so that answers do not wait
//! for it.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};

use crate::order::{OpenOrder, Seq, ShardNumber};
use crate::store::{Store, StoreError};

/// Orders on a page: about a millisecond of the engine's time.
const PAGE: usize = 4_096;
/// Pages that wait to be taken.
const PAGES_MAX: usize = 2;

/// A page of open orders, or why there is none.
pub(super) type Pages = Receiver<Result<Vec<OpenOrder>, StoreError>>;

/// Reads all open orders of the shard up to `last`, in the background. The channel ends after the
/// last page, or after an error.
pub(super) fn start(
    store: Arc<dyn Store>,
    shard: ShardNumber,
    last: Seq,
) -> std::io::Result<Pages> {
    let (sender, pages) = sync_channel(PAGES_MAX);
    let read = move || {
        let mut after = Seq(shard.base());
        loop {
            let page = store.open_orders(after, last, PAGE);
            let next = page.as_ref().ok().filter(|page| page.len() == PAGE);
            let next = next.and_then(|page| page.last()).map(|order| order.seq);
            let is_taken = sender.send(page).is_ok();
            match next {
                Some(seq) if is_taken => after = seq,
                _ => break,
            }
        }
    };
    std::thread::Builder::new()
        .name("recovery".into())
        .spawn(read)?;
    Ok(pages)
}
