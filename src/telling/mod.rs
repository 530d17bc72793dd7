//! Tells others what happened: follows the journal, and hands its events to streams and webhooks.
//!
//! One task reads the journal for all who are at its end, woken by commits; who is behind reads
//! pages of his own until he has caught up. Nothing here decides what becomes of an order, and
//! nothing reads while nobody listens.

mod feed;
mod filter;
mod reader;
mod shelf;
mod webhooks;

pub use feed::{Feed, FeedPage, FeedSettings, Full, Render};
pub use filter::{Filter, type_of};
pub use reader::{Piece, Reader};
pub use webhooks::{
    Answering, Changed, NewWebhook, Pause, Replay, Report, Under, WEBHOOKS_MAX, WebhookError,
    WebhookParts, WebhookSettings, WebhookStatus, WebhookView, Webhooks, is_receiver,
};
