//! Which new orders of a commit can be inserted by one statement, and what became of them.
//!
//! A statement sees the keys that were there before it. So a commit in which a key occurs twice is
//! cut before the second one; what the first one became is known then.

use std::collections::{BTreeMap, BTreeSet};

use crate::order::{Commit, Receipt};

type Key<'a> = (&'a str, &'a str);

/// The new orders of a commit, in runs.
pub(super) struct Claims<'a> {
    commit: &'a Commit,
    /// The keys of orders, by their index.
    keys: BTreeMap<usize, Key<'a>>,
    /// Keys that orders of earlier runs have claimed.
    claimed: BTreeSet<Key<'a>>,
    next: usize,
}

impl<'a> Claims<'a> {
    pub(super) fn of(commit: &'a Commit) -> Self {
        let keys = commit.keys.iter().map(|record| {
            let key = &record.key;
            (record.created, (&*key.scope, &*key.key))
        });
        Self {
            commit,
            keys: keys.collect(),
            claimed: BTreeSet::new(),
            next: 0,
        }
    }

    /// Indexes of the orders that the next statement can insert; `None` after the last. Orders
    /// whose key an earlier run has claimed are put into the receipt instead.
    pub(super) fn next_run(&mut self, receipt: &mut Receipt) -> Option<Vec<usize>> {
        let (mut run, mut keys) = (Vec::new(), BTreeSet::new());
        while self.next < self.commit.created.len() {
            match self.keys.get(&self.next) {
                Some(key) if keys.contains(key) => break,
                Some(key) if self.claimed.contains(key) => {
                    receipt.collided.push(self.next);
                    receipt.keys_taken.push(self.next);
                }
                Some(key) => {
                    keys.insert(*key);
                    run.push(self.next);
                }
                None => run.push(self.next),
            }
            self.next += 1;
        }
        (!run.is_empty()).then_some(run)
    }

    /// Scopes and keys of the orders of a run; nothing for those without.
    pub(super) fn of_run(&self, run: &[usize]) -> (Vec<Option<&'a str>>, Vec<Option<&'a str>>) {
        let keys = run.iter().map(|at| self.keys.get(at).copied());
        keys.map(Option::unzip).unzip()
    }

    /// Takes in what the statement said: sequence numbers of stored orders with `false`, of those
    /// whose key is taken with `true`.
    pub(super) fn settle(&mut self, run: &[usize], said: &[(i64, bool)], receipt: &mut Receipt) {
        let said: BTreeMap<i64, bool> = said.iter().copied().collect();
        for at in run {
            let is_key_taken = said.get(&self.commit.created[*at].seq.0).copied();
            if is_key_taken == Some(false) {
                self.claimed.extend(self.keys.get(at));
                continue;
            }
            receipt.collided.push(*at);
            if is_key_taken == Some(true) {
                receipt.keys_taken.push(*at);
            }
        }
    }
}
