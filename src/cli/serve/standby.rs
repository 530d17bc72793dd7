//! What a server answers while it waits for the data of another one: that it lives, and that it is
//! a standby.
//!
//! Never touches the data. A short wait is not worth an answer: clients are kept waiting then.

use std::future::Future;
use std::os::fd::AsFd;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::oneshot;

use super::listen::Opened;
use crate::http;
use crate::server::{self, Door, Front, Requests, ServerSettings};

/// A server that is ending is gone within this time; whoever connects meanwhile is answered by the
/// next one.
const QUIET: Duration = Duration::from_secs(2);

/// Waits for something, and speaks as a standby at all opened places if that takes long.
pub(super) async fn meanwhile<T>(
    opened: &[Opened],
    settings: &ServerSettings,
    wait: impl Future<Output = T>,
) -> T {
    let mut wait = pin!(wait);
    if let Ok(done) = tokio::time::timeout(QUIET, &mut wait).await {
        return done;
    }
    let (_waits, is_over) = oneshot::channel::<()>();
    let requests = Arc::new(Requests::new(0, Vec::new()));
    let front = Front::new(http::standby(), http::voice(), requests);
    let door = |listener| Door {
        listener,
        api: front.clone(),
    };
    let doors = opened.iter().filter_map(|it| same(&it.listener).ok());
    let over = async { drop(is_over.await) };
    tokio::spawn(server::serve(
        doors.map(door).collect(),
        settings.clone(),
        over,
    ));
    wait.await
}

/// A second handle for a port, so that it stays open when one is closed.
fn same(listener: &TcpListener) -> std::io::Result<TcpListener> {
    let handle = listener.as_fd().try_clone_to_owned()?;
    TcpListener::from_std(handle.into())
}
