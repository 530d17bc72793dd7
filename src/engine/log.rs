//! What the log tells of orders on their way: numbers and statuses, at debug level.
//! Never who they are for, or what is in them.

use crate::order::Commit;

/// Each order's way, at debug level. Sequence numbers and statuses only: no personal data.
pub(super) fn events(commit: &Commit) {
    if !tracing::enabled!(tracing::Level::DEBUG) {
        return;
    }
    for event in &commit.events {
        let (kind, status) = (event.kind.name(), event.status.name());
        let (seq, version, attempt) = (event.seq.0, event.version, event.attempt);
        tracing::debug!(
            seq,
            version,
            kind,
            status,
            attempt,
            position = commit.position.0,
            "order"
        );
    }
}
