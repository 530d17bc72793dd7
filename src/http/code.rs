//! The stable words for what went wrong: one table, from which answers, the pages at
//! `/errors/{code}` and the OpenAPI document are made.
//!
//! A word that was once released never changes its meaning. Only `error` turns one into an answer.

mod entry;
mod fields;
#[cfg(test)]
mod tests;

pub use entry::Entry;
use entry::entry;
pub use fields::FIELD_CODES;

/// A stable word for what went wrong with a request. The table [`CODES`] says what each means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(
    missing_docs,
    reason = "the table below documents each, for clients too"
)]
pub enum Code {
    MalformedJson,
    TooDeep,
    BadQuery,
    BadCursor,
    BadPrefer,
    BadIfMatch,
    BadIdempotencyKey,
    ForeignOrigin,
    OrderNotFound,
    WebhookNotFound,
    QueueNotFound,
    SignalNotFound,
    ProcessNotFound,
    RouteNotFound,
    MethodNotAllowed,
    RequestTimeout,
    OrderExists,
    IdempotencyKeyInUse,
    OrderEnded,
    OrderNotDead,
    WebhookBusy,
    StaleFence,
    SignalTooLate,
    VersionMismatch,
    BodyTooLarge,
    BatchTooLarge,
    UriTooLong,
    UnsupportedMediaType,
    UnsupportedEncoding,
    InvalidOrder,
    IdempotencyKeyReused,
    InvalidChange,
    InvalidWebhook,
    Internal,
    Corruption,
    Overloaded,
    Draining,
    StoreUnavailable,
    StorageFull,
    OutcomeUnknown,
}

/// Every code of a whole answer, in the order of [`Code`].
pub const CODES: &[Entry] = &[
    entry(
        Code::MalformedJson,
        "malformed-json",
        400,
        "The body is not JSON",
        "The detail names line and column. Nothing is stored.",
    ),
    entry(
        Code::TooDeep,
        "too-deep",
        400,
        "The JSON is nested too deeply",
        "A body may be nested 32 levels deep; an order needs four. Nothing is stored.",
    ),
    entry(
        Code::BadQuery,
        "bad-query",
        400,
        "A query parameter is unknown or malformed",
        "The detail names the parameter and what it may be.",
    ),
    entry(
        Code::BadCursor,
        "bad-cursor",
        400,
        "The cursor is not one of ours",
        "Send `next_cursor` of the page before unchanged, with the same filters, or \
         start again without `after`.",
    ),
    entry(
        Code::BadPrefer,
        "bad-prefer",
        400,
        "The Prefer header is malformed",
        "Send `Prefer: wait=N` with N from 1 to 60 seconds. Nothing is stored.",
    ),
    entry(
        Code::BadIfMatch,
        "bad-if-match",
        400,
        "The If-Match header is malformed",
        "Send the `ETag` of the order as it was, with its quotes. Nothing is changed.",
    ),
    entry(
        Code::BadIdempotencyKey,
        "bad-idempotency-key",
        400,
        "The Idempotency-Key is malformed",
        "Send one key of 1 to 255 visible ASCII characters; a UUID for each order is a good one. \
         Nothing is stored.",
    ),
    entry(
        Code::ForeignOrigin,
        "foreign-origin",
        403,
        "The request comes from a page of another site",
        "A web page may change something only on the server that it came from. Nothing is stored.",
    ),
    entry(
        Code::OrderNotFound,
        "order-not-found",
        404,
        "There is no such order",
        "No order has this id. An order that was answered with 201 is always found.",
    ),
    entry(
        Code::WebhookNotFound,
        "webhook-not-found",
        404,
        "There is no such webhook",
        "No webhook has this id; `GET /v1/webhooks` lists all.",
    ),
    entry(
        Code::QueueNotFound,
        "queue-not-found",
        404,
        "There is no such queue",
        "A queue is there if a step of a process names it; `orderd config show` lists the steps.",
    ),
    entry(
        Code::SignalNotFound,
        "signal-not-found",
        404,
        "No step waits for this signal",
        "A signal has the name of a step of kind `wait` in the process that the order began with. \
         Nothing is changed.",
    ),
    entry(
        Code::ProcessNotFound,
        "process-not-found",
        404,
        "There is no such process",
        "No process has this name, or none of that version is known; `GET /v1/processes` lists \
         all.",
    ),
    entry(
        Code::RouteNotFound,
        "route-not-found",
        404,
        "There is nothing at this path",
        "All paths are in `/openapi.json`.",
    ),
    entry(
        Code::MethodNotAllowed,
        "method-not-allowed",
        405,
        "The path does not have this method",
        "The `Allow` header lists the methods that the path has.",
    ),
    entry(
        Code::RequestTimeout,
        "request-timeout",
        408,
        "The body did not arrive in time",
        "The whole body must arrive in time (`server.body_timeout`, 30 s). Nothing is stored.",
    ),
    entry(
        Code::OrderExists,
        "order-exists",
        409,
        "Another order has this id",
        "`order_id` and `Location` name the order that has it. Nothing new is stored; after an \
         answer that was lost this says that the order arrived the first time.",
    ),
    entry(
        Code::IdempotencyKeyInUse,
        "idempotency-key-in-use",
        409,
        "A request with this Idempotency-Key is being worked on",
        "Send the same request again in a moment: it gets the answer of the first one.",
    ),
    entry(
        Code::OrderEnded,
        "order-ended",
        409,
        "The order has ended",
        "`order_status` says how: the change came too late. Nothing is changed.",
    ),
    entry(
        Code::OrderNotDead,
        "order-not-dead",
        409,
        "The order is not dead",
        "`order_status` says where it is: there is nothing to try again. Nothing is changed.",
    ),
    entry(
        Code::WebhookBusy,
        "webhook-busy",
        409,
        "There are too many webhooks",
        "Nothing is changed. Delete one that nobody needs.",
    ),
    entry(
        Code::StaleFence,
        "stale-fence",
        409,
        "The lease is over",
        "The lease ran out, the server was started again, or the order was cancelled: the work is \
         somebody else's by now, or nobody's. It counts for nothing; the history of an open order \
         notes it, once for each lease, which raises the order's version. Drop the work, and lease \
         again.",
    ),
    entry(
        Code::SignalTooLate,
        "signal-too-late",
        409,
        "The step that waited for this signal is over",
        "Its time was up, and the order went on without it. Nothing is changed.",
    ),
    entry(
        Code::VersionMismatch,
        "version-mismatch",
        412,
        "The order has another version",
        "`order_version` is the one it has: somebody or something changed it since it was read. \
         Read it again and decide again. Nothing is changed.",
    ),
    entry(
        Code::BodyTooLarge,
        "body-too-large",
        413,
        "The body is too large",
        "One order may have 1 MiB, a batch 16 MiB. Nothing is stored.",
    ),
    entry(
        Code::BatchTooLarge,
        "batch-too-large",
        413,
        "The batch has too many orders",
        "A batch may have 10,000 orders. Nothing is stored.",
    ),
    entry(
        Code::UriTooLong,
        "uri-too-long",
        414,
        "The URL is too long",
        "Path and query may have 8,192 bytes.",
    ),
    entry(
        Code::UnsupportedMediaType,
        "unsupported-media-type",
        415,
        "The content type is not supported",
        "Send `Content-Type: application/json`; a batch may also be \
         `application/x-ndjson`. Nothing is stored.",
    ),
    entry(
        Code::UnsupportedEncoding,
        "unsupported-encoding",
        415,
        "Compressed bodies are not supported",
        "Send the body as it is, without `Content-Encoding`. Nothing is stored.",
    ),
    entry(
        Code::InvalidOrder,
        "invalid-order",
        422,
        "The order is not valid",
        "`errors` lists each fault with a JSON pointer to the field and a code. Nothing is stored.",
    ),
    entry(
        Code::IdempotencyKeyReused,
        "idempotency-key-reused",
        422,
        "This Idempotency-Key was used for another request",
        "Take a new key for each new order and each new change, and the same one only to send the \
         same bytes again. Nothing is stored or changed.",
    ),
    entry(
        Code::InvalidChange,
        "invalid-change",
        422,
        "What is asked of the order is not valid",
        "`errors` lists each fault with a JSON pointer to the field and a code. Nothing is \
         changed.",
    ),
    entry(
        Code::InvalidWebhook,
        "invalid-webhook",
        422,
        "What is asked of the webhook is not valid",
        "`errors` lists each fault with a JSON pointer to the field and a code. Nothing is \
         changed.",
    ),
    entry(
        Code::Internal,
        "internal",
        500,
        "The server made a mistake",
        "Tell whoever runs the server the `request_id`; the log has the cause. If it was a create, \
         read the order by its id before sending it again.",
    ),
    entry(
        Code::Corruption,
        "corruption",
        500,
        "What is stored is damaged",
        "What was asked for is damaged on disk, and is shown to nobody; nothing is changed. Other \
         orders are not affected. Whoever runs the server finds the place in its log and with \
         `orderd verify`.",
    ),
    entry(
        Code::Overloaded,
        "overloaded",
        503,
        "There is no room for more work",
        "Too many orders are open, too many requests wait, too many clients follow the events, \
         or an order changes too fast to be changed under a key. Nothing is stored or changed; try \
         again after `Retry-After` seconds.",
    ),
    entry(
        Code::Draining,
        "draining",
        503,
        "The server is shutting down",
        "Nothing is stored; try again after `Retry-After` seconds.",
    ),
    entry(
        Code::StoreUnavailable,
        "store-unavailable",
        503,
        "The store cannot be used",
        "Nothing is stored; try again after `Retry-After` seconds. The log has the cause.",
    ),
    entry(
        Code::StorageFull,
        "storage-full",
        503,
        "There is no room on disk",
        "Nothing is stored; try again after `Retry-After` seconds. Accepted orders go on. Whoever \
         runs the server must make room; orders are taken again by themselves then.",
    ),
    entry(
        Code::OutcomeUnknown,
        "outcome-unknown",
        503,
        "It is not known whether it is stored",
        "Send the same again with the same `Idempotency-Key` or `order_id`: it gets the first \
         result or is done now, never twice; a new key or id may double it. An order with neither: \
         look for it before sending it again. A change without a key: the order's history says \
         whether it was made.",
    ),
];

impl Code {
    /// What the code means.
    pub fn entry(self) -> &'static Entry {
        &CODES[self as usize]
    }

    /// Its stable name.
    pub fn name(self) -> &'static str {
        self.entry().name
    }
}
