//! Work that would hold up others: large bodies are read, and stores that block are asked, on a
//! thread on which no tasks run.
//!
//! What is small is done at once: a hop to another thread costs more.

use axum::body::Bytes;

use super::code::Code;
use super::error::ApiError;

/// Bodies above this many bytes are read on a thread of their own: at some 300 MB/s this many take
/// a millisecond.
const INLINE_BYTES_MAX: usize = 256 << 10;

/// Has the bytes of a body read.
pub(super) async fn read<T: Send + 'static>(
    bytes: &Bytes,
    read: impl FnOnce(&[u8]) -> Result<T, ApiError> + Send + 'static,
) -> Result<T, ApiError> {
    if bytes.len() <= INLINE_BYTES_MAX {
        return read(bytes);
    }
    let bytes = bytes.clone();
    ask(move || read(&bytes)).await
}

/// Has something done that blocks.
pub(super) async fn ask<T: Send + 'static, E: Send + 'static>(
    work: impl FnOnce() -> Result<T, E> + Send + 'static,
) -> Result<T, ApiError>
where
    ApiError: From<E>,
{
    let done = tokio::task::spawn_blocking(work).await;
    let done = done.map_err(|_| {
        let detail = "the server made a mistake; its log has the cause";
        ApiError::new(Code::Internal, detail)
    });
    Ok(done??)
}
