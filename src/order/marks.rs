//! What is remembered of an order's steps beside the one that it is at.
//!
//! Data only; few orders have any of it, and it is nothing for all others.

use super::Target;

/// A set of steps of one process, by their places in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Steps(u128);

impl Steps {
    /// Whether the step is among them.
    pub fn has(self, step: u8) -> bool {
        self.0 & bit(step) != 0
    }

    /// Adds a step.
    pub fn add(&mut self, step: u8) {
        self.0 |= bit(step);
    }

    /// Takes a step out.
    pub fn remove(&mut self, step: u8) {
        self.0 &= !bit(step);
    }

    /// The one that comes last in the process.
    pub fn last(self) -> Option<u8> {
        self.iter().next_back()
    }

    /// All of them, ascending.
    pub fn iter(self) -> impl DoubleEndedIterator<Item = u8> {
        (0..128).filter(move |step| self.has(*step))
    }
}

impl FromIterator<u8> for Steps {
    fn from_iter<T: IntoIterator<Item = u8>>(steps: T) -> Self {
        let mut all = Self::default();
        steps.into_iter().for_each(|step| all.add(step));
        all
    }
}

/// A process has 100 steps at most; there are none beyond 127.
fn bit(step: u8) -> u128 {
    1_u128.checked_shl(step.into()).unwrap_or_default()
}

/// What is remembered of an order's steps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Marks {
    /// Those that wait for a signal which has come, perhaps before its time.
    pub signalled: Steps,
    /// Those that may have had an effect which can be undone, and was not: they are done, or an
    /// attempt was begun of which nobody knows that it did nothing.
    pub begun: Steps,
    /// They are being undone, and this is what the order will be then. Still there while it is dead
    /// because one of them could not be undone.
    pub undoing: Option<Target>,
}

impl Marks {
    /// Whether there is nothing to remember.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn steps_are_a_set(steps in proptest::collection::vec(any::<u8>(), 0..20)) {
            let set: Steps = steps.iter().copied().collect();
            let model: BTreeSet<u8> = steps.into_iter().filter(|step| *step < 128).collect();
            prop_assert!((0..=255).all(|step| set.has(step) == model.contains(&step)));
            prop_assert!(set.iter().eq(model));
        }
    }
}
