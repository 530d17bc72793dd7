//! Which codes each operation may be answered with, for the OpenAPI document.
//!
//! Says what may happen; what does is decided where the requests are answered.

use crate::http::code::Code;

/// What every operation may be answered with.
pub(super) const EVERYWHERE: &[Code] = &[Code::UriTooLong, Code::Internal];
/// What every path may be answered with, whatever the method.
pub(super) const EVERY_PATH: &[Code] = &[Code::RouteNotFound, Code::MethodNotAllowed];
/// What operations that read the store may be answered with.
const READS: &[Code] = &[Code::BadQuery, Code::Corruption, Code::StoreUnavailable];
/// What operations with a body may be answered with.
const WRITES: &[Code] = &[
    Code::MalformedJson,
    Code::TooDeep,
    Code::BadQuery,
    Code::ForeignOrigin,
    Code::RequestTimeout,
    Code::BodyTooLarge,
    Code::UnsupportedMediaType,
    Code::UnsupportedEncoding,
    Code::InvalidOrder,
    Code::Corruption,
    Code::Overloaded,
    Code::Draining,
    Code::StoreUnavailable,
    Code::StorageFull,
    Code::OutcomeUnknown,
];

/// What operations that take an idempotency key may be answered with for its sake.
pub(super) const KEYED: &[Code] = &[
    Code::BadIdempotencyKey,
    Code::IdempotencyKeyInUse,
    Code::IdempotencyKeyReused,
];

/// What changes of an order may be answered with.
const CHANGES: &[Code] = &[
    Code::MalformedJson,
    Code::TooDeep,
    Code::BadQuery,
    Code::BadIfMatch,
    Code::ForeignOrigin,
    Code::OrderNotFound,
    Code::RequestTimeout,
    Code::OrderEnded,
    Code::VersionMismatch,
    Code::BodyTooLarge,
    Code::UnsupportedMediaType,
    Code::UnsupportedEncoding,
    Code::InvalidChange,
    Code::Corruption,
    Code::Overloaded,
    Code::Draining,
    Code::StoreUnavailable,
    Code::StorageFull,
    Code::OutcomeUnknown,
];

/// What a replay of many orders may be answered with.
const REPLAYS: &[Code] = &[
    Code::MalformedJson,
    Code::TooDeep,
    Code::BadQuery,
    Code::BadCursor,
    Code::ForeignOrigin,
    Code::RequestTimeout,
    Code::BodyTooLarge,
    Code::UnsupportedMediaType,
    Code::UnsupportedEncoding,
    Code::InvalidChange,
    Code::Corruption,
    Code::Overloaded,
    Code::Draining,
    Code::StoreUnavailable,
    Code::StorageFull,
    Code::OutcomeUnknown,
];

/// What is asked of a webhook may be answered with.
const WEBHOOKS: &[Code] = &[
    Code::MalformedJson,
    Code::TooDeep,
    Code::BadQuery,
    Code::ForeignOrigin,
    Code::RequestTimeout,
    Code::BodyTooLarge,
    Code::UnsupportedMediaType,
    Code::UnsupportedEncoding,
    Code::InvalidWebhook,
    Code::Overloaded,
    Code::Draining,
    Code::StoreUnavailable,
    Code::OutcomeUnknown,
];

/// What workers are answered about their queue.
const QUEUES: &[Code] = &[
    Code::MalformedJson,
    Code::TooDeep,
    Code::BadQuery,
    Code::BadIdempotencyKey,
    Code::ForeignOrigin,
    Code::QueueNotFound,
    Code::RequestTimeout,
    Code::BodyTooLarge,
    Code::UnsupportedMediaType,
    Code::UnsupportedEncoding,
    Code::InvalidChange,
    Code::Overloaded,
    Code::Draining,
    Code::StoreUnavailable,
];

/// What becomes of what they say.
const REPORTS: &[Code] = &[
    Code::StaleFence,
    Code::Corruption,
    Code::StorageFull,
    Code::OutcomeUnknown,
];

/// What each operation may be answered with beyond that.
pub(super) const OPERATIONS: &[(&str, &[&[Code]])] = &[
    (
        "createOrder",
        &[WRITES, &[Code::BadPrefer, Code::OrderExists]],
    ),
    (
        "createBatch",
        &[WRITES, &[Code::BatchTooLarge, Code::OrderExists]],
    ),
    (
        "importOrders",
        &[WRITES, &[Code::BatchTooLarge, Code::OrderExists]],
    ),
    ("cancelOrder", &[CHANGES]),
    ("holdOrder", &[CHANGES]),
    ("releaseOrder", &[CHANGES]),
    ("retryOrder", &[CHANGES, &[Code::OrderNotDead]]),
    ("prioritizeOrder", &[CHANGES]),
    (
        "signalOrder",
        &[CHANGES, &[Code::SignalNotFound, Code::SignalTooLate]],
    ),
    ("leaseWork", &[QUEUES, &[Code::Corruption]]),
    ("beatWork", &[QUEUES, REPORTS]),
    ("completeWork", &[QUEUES, REPORTS]),
    ("failWork", &[QUEUES, REPORTS]),
    ("releaseWork", &[QUEUES, REPORTS]),
    ("listDeadLetters", &[READS, &[Code::BadCursor]]),
    ("replayDeadLetters", &[REPLAYS]),
    ("readOrder", &[READS, &[Code::OrderNotFound]]),
    ("listOrders", &[READS, &[Code::BadCursor]]),
    ("listEvents", &[READS, &[Code::BadCursor]]),
    (
        "streamEvents",
        &[READS, &[Code::BadCursor, Code::Overloaded]],
    ),
    (
        "createWebhook",
        &[WEBHOOKS, &[Code::WebhookBusy, Code::BadCursor]],
    ),
    ("listWebhooks", &[&[Code::BadQuery]]),
    ("readWebhook", &[&[Code::BadQuery, Code::WebhookNotFound]]),
    (
        "deleteWebhook",
        &[&[
            Code::BadQuery,
            Code::WebhookNotFound,
            Code::StoreUnavailable,
            Code::OutcomeUnknown,
        ]],
    ),
    ("testWebhook", &[WEBHOOKS, &[Code::WebhookNotFound]]),
    ("pauseWebhook", &[WEBHOOKS, &[Code::WebhookNotFound]]),
    ("resumeWebhook", &[WEBHOOKS, &[Code::WebhookNotFound]]),
    ("rotateWebhookSecret", &[WEBHOOKS, &[Code::WebhookNotFound]]),
    (
        "replayWebhook",
        &[WEBHOOKS, &[Code::WebhookNotFound, Code::BadCursor]],
    ),
    (
        "listDeliveries",
        &[READS, &[Code::WebhookNotFound, Code::BadCursor]],
    ),
    (
        "listOrderEvents",
        &[READS, &[Code::BadCursor, Code::OrderNotFound]],
    ),
    (
        "listProcesses",
        &[&[Code::BadQuery, Code::Draining, Code::StoreUnavailable]],
    ),
    (
        "readProcess",
        &[&[
            Code::BadQuery,
            Code::ProcessNotFound,
            Code::Draining,
            Code::StoreUnavailable,
        ]],
    ),
    (
        "readStats",
        &[&[Code::BadQuery, Code::Draining, Code::StoreUnavailable]],
    ),
];
