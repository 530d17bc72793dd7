//! What is kept of those who are told what happens: the receivers of webhooks, how far each is, and
//! what became of the deliveries to it.
//!
//! Texts that only the floor above reads. Written beside the commits of orders, never in one; a
//! write that failed may be made again.

use super::Reading;

/// A receiver, as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptWebhook {
    /// Its id.
    pub id: Box<str>,
    /// What somebody asked for: a JSON object.
    pub settings: Box<str>,
    /// How far it is: a JSON object.
    pub progress: Box<str>,
}

/// What became of a delivery, as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptDelivery {
    /// Rises with each delivery.
    pub number: i64,
    /// A JSON object.
    pub report: Box<str>,
}

/// What is noted about a receiver in one go, all or nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Note {
    /// Whose.
    pub webhook: Box<str>,
    /// How far it is now.
    pub progress: Box<str>,
    /// What became of deliveries, oldest first.
    pub reports: Vec<Box<str>>,
    /// So many of its newest reports are kept, at least.
    pub reports_max: u32,
}

/// Where receivers of webhooks are kept.
pub trait Ledger: Send + Sync {
    /// All receivers, by id.
    fn webhooks(&self) -> Reading<'_, Vec<KeptWebhook>>;

    /// Keeps a receiver; takes the place of what was kept of it.
    fn keep_webhook(&self, webhook: KeptWebhook) -> Reading<'_, ()>;

    /// Forgets a receiver and the reports about it.
    fn forget_webhook(&self, id: Box<str>) -> Reading<'_, ()>;

    /// Notes how far a receiver is. Does nothing if it is not kept.
    fn note(&self, note: Note) -> Reading<'_, ()>;

    /// Reports about a receiver with numbers below `before`, newest first, at most `limit`.
    fn deliveries(
        &self,
        webhook: Box<str>,
        before: i64,
        limit: usize,
    ) -> Reading<'_, Vec<KeptDelivery>>;
}
