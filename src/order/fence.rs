//! The fence of an attempt as a worker is given it, and gives it back with what it has to say.
//!
//! Pure text, in both directions. Whether a fence is the current one is for the shard to say.

use super::{OrderId, Seq};

/// Whose result counts: the epoch and the number of a lease, and the order that it is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fence {
    /// The epoch under which the lease was given.
    pub epoch: i64,
    /// Number of the lease, from 1.
    pub lease: i64,
    /// The order, so that it need not be looked up.
    pub seq: Seq,
}

impl Fence {
    /// The text for whoever does this step of the order: three numbers, and a sum over id and step
    /// by which fences that were mixed up are noticed. It keeps no secret.
    pub fn text(&self, id: &OrderId, step: &str) -> String {
        let Self { epoch, lease, seq } = self;
        format!("{epoch}-{lease}-{}-{:08x}", seq.0, sum(id, step))
    }

    /// Reads a text that was given for this step of this order. `None`: it was not.
    pub fn parse(text: &str, id: &OrderId, step: &str) -> Option<Self> {
        let mut parts = text.split('-');
        let mut number = || {
            let digits = parts.next()?;
            let is_plain = digits.bytes().all(|byte| byte.is_ascii_digit());
            digits.parse().ok().filter(|_| is_plain)
        };
        let fence = Self {
            epoch: number()?,
            lease: number()?,
            seq: Seq(number()?),
        };
        (fence.text(id, step) == text).then_some(fence)
    }
}

/// FNV-1a with 32 bits (G. Fowler, L. C. Noll, K.-P. Vo, 1991).
fn sum(id: &OrderId, step: &str) -> u32 {
    let bytes = id.as_str().bytes().chain([0]).chain(step.bytes());
    bytes.fold(0x811c_9dc5, |sum, byte| {
        (sum ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    })
}

/// What a worker gives to whom it calls, so that an attempt that is made again has its effect once:
/// the same for every attempt of this step of the order, and another one for every attempt to undo
/// it.
pub fn effect_key(id: &OrderId, step: &str, is_undoing: bool) -> String {
    let undo = if is_undoing { "/undo" } else { "" };
    format!("{id}/{step}{undo}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn id(text: &str) -> OrderId {
        OrderId::parse(text).unwrap()
    }

    proptest! {
        #[test]
        fn a_fence_survives_the_way_through_its_text(
            epoch in 1..i64::MAX, lease in 1..i64::MAX, seq in 1..i64::MAX, other in "[!-~]{1,64}",
        ) {
            let fence = Fence { epoch, lease, seq: Seq(seq) };
            let text = fence.text(&id(&other), "pack");
            prop_assert_eq!(Fence::parse(&text, &id(&other), "pack"), Some(fence));
            prop_assert_eq!(Fence::parse(&text, &id(&other), "pick"), None);
        }

        #[test]
        fn no_text_is_taken_for_another_fence(text in "[-+0-9a-f ]{0,40}") {
            if let Some(fence) = Fence::parse(&text, &id("a"), "b") {
                prop_assert_eq!(fence.text(&id("a"), "b"), text);
            }
        }
    }

    #[test]
    fn the_fence_of_one_order_is_none_for_another() {
        let fence = Fence {
            epoch: 1,
            lease: 2,
            seq: Seq(3),
        };
        let text = fence.text(&id("a"), "pack");
        assert!(text.starts_with("1-2-3-"), "{text}");
        assert_eq!(Fence::parse(&text, &id("b"), "pack"), None);
        assert_eq!(
            Fence::parse(&text[..text.len() - 1], &id("a"), "pack"),
            None
        );
        assert_eq!(Fence::parse("", &id("a"), "pack"), None);
    }
}
