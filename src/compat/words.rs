//! What the old services call the statuses of an order.
//!
//! Words only. Which orders are counted under which word is in `counters`.

use crate::order::StatusKind;

/// The word for a status, capitalised: `order_service`, `api_v1`, `orders_api`.
pub fn capital(status: StatusKind) -> &'static str {
    match status {
        StatusKind::Scheduled | StatusKind::Pending => "Pending",
        StatusKind::Processing | StatusKind::Waiting | StatusKind::Compensating => "Processing",
        StatusKind::Completed => "Completed",
        StatusKind::Dead => "Failed",
        StatusKind::Cancelled => "Cancelled",
        StatusKind::Rejected => "Rejected",
        StatusKind::Expired => "Expired",
    }
}

/// The word for a status in small letters: `two_queue`, which has a word of its own for completed.
pub fn small(status: StatusKind, completed: &str) -> String {
    match status {
        StatusKind::Completed => completed.to_owned(),
        other => capital(other).to_ascii_lowercase(),
    }
}

/// Statuses that the old services did not know, in the order in which they end a list of counts.
/// They are left out where there are none.
pub const EXTRA: [StatusKind; 4] = [
    StatusKind::Dead,
    StatusKind::Cancelled,
    StatusKind::Rejected,
    StatusKind::Expired,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_has_its_words() {
        let words = StatusKind::ALL.map(|status| (capital(status), small(status, "processed")));
        let words = words
            .each_ref()
            .map(|(capital, small)| (*capital, &**small));
        let expected = [
            ("Pending", "pending"),
            ("Pending", "pending"),
            ("Processing", "processing"),
            ("Processing", "processing"),
            ("Failed", "failed"),
            ("Processing", "processing"),
            ("Completed", "processed"),
            ("Cancelled", "cancelled"),
            ("Rejected", "rejected"),
            ("Expired", "expired"),
        ];
        assert_eq!(words, expected);
        assert_eq!(small(StatusKind::Completed, "completed"), "completed");
    }

    #[test]
    fn extra_words_stand_in_their_order() {
        let words = EXTRA.map(capital);
        assert_eq!(words, ["Failed", "Cancelled", "Rejected", "Expired"]);
    }
}
