//! The calls about one attempt: what is sent, under which headers, and how it is signed.
//!
//! Signed as Standard Webhooks 1.0 has it. The id of a message is the effect key: the same for
//! every attempt of the step, like the `Idempotency-Key`.

use serde_json::json;

use crate::clock::{MICROS_PER_SECOND, Timestamp};
use crate::order::{Hidden, OrderId, Push, effect_key};
use crate::outbound::{BadTarget, Call, Secret, Target, signatures};

/// An attempt that is made.
pub(super) struct Attempt<'a> {
    pub(super) push: &'a Push,
    pub(super) id: &'a OrderId,
    pub(super) step: &'a str,
    /// The text of its fence.
    pub(super) fence: &'a str,
}

impl Attempt<'_> {
    /// The call that has the step done.
    pub(super) fn call(&self, body: Vec<u8>, now: Timestamp) -> Result<Call, BadTarget> {
        let call = self.signed(&self.push.url, body, now)?;
        Ok(call.header("idempotency-key", &effect_key(self.id, self.step, false)))
    }

    /// The call that asks what became of the attempts before.
    pub(super) fn question(&self, lookup: &str, now: Timestamp) -> Result<Call, BadTarget> {
        let body = json!({
            "order_id": self.id.as_str(),
            "step": self.step,
            "effect_key": effect_key(self.id, self.step, false),
            "fence": self.fence,
            "queue": &*self.push.queue,
        });
        self.signed(lookup, body.to_string().into_bytes(), now)
    }

    fn signed(&self, url: &str, body: Vec<u8>, now: Timestamp) -> Result<Call, BadTarget> {
        let target = Target::parse(url)?;
        let id = effect_key(self.id, self.step, false);
        let seconds = now.0 / MICROS_PER_SECOND;
        let secrets: Vec<Secret> = self.push.secrets.iter().filter_map(secret).collect();
        let signed = signatures(&secrets, &id, seconds, &body);
        let call = Call::post(&target, body)
            .header("webhook-id", &id)
            .header("webhook-timestamp", &seconds.to_string())
            .header("traceparent", &trace(self.id, self.fence));
        Ok(match signed.is_empty() {
            true => call,
            false => call.header("webhook-signature", &signed),
        })
    }
}

/// Secrets were checked when they were read.
fn secret(hidden: &Hidden) -> Option<Secret> {
    Secret::parse(hidden.reveal()).ok()
}

/// The context of a trace as W3C has it: all calls about an order belong to one trace, each attempt
/// is a span of it.
///
/// FNV-1a (G. Fowler, L. C. Noll, K.-P. Vo, 1991) makes the numbers, so that nothing is kept.
fn trace(id: &OrderId, fence: &str) -> String {
    let trace = id.as_str().bytes().fold(
        0x6c62_272e_07bb_0142_62b8_2175_6295_c58d_u128,
        |sum, byte| (sum ^ u128::from(byte)).wrapping_mul(0x0100_0000_0000_0000_0000_013b),
    );
    let span = fence.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |sum, byte| {
        (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("00-{trace:032x}-{span:016x}-01")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_calls_about_an_order_are_one_trace() {
        let (a, b) = (OrderId::parse("a").unwrap(), OrderId::parse("b").unwrap());
        let first = trace(&a, "1-1-1-x");
        assert_eq!(first.len(), 55);
        // Published vectors of FNV-1a for "a".
        assert_eq!(&first[3..35], "d228cb696f1a8caf78912b704e4a8964");
        assert_eq!(trace(&a, "a")[36..52], *"af63dc4c8601ec8c");
        assert_eq!(trace(&a, "1-2-1-x")[..35], first[..35]);
        assert_ne!(trace(&a, "1-2-1-x"), first);
        assert_ne!(trace(&b, "1-1-1-x")[..35], first[..35]);
    }
}
