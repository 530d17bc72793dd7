//! SIGTERM and SIGINT: the first asks for a drain, the second leaves at once.
//! Leaving at once loses nothing that was answered for; it only breaks off what is in flight.

use std::future::Future;
use std::io;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use super::notice::Notices;
use crate::cli::exit;
use crate::clock;

/// Signals this soon after the first are the same one: `timeout` and some supervisors send it to
/// the process and to its group.
const ECHO: Duration = Duration::from_millis(100);

/// The signals that end a server.
pub struct Signals {
    first: watch::Receiver<bool>,
}

impl Signals {
    /// Starts watching. From now on the signals do not end the process by themselves.
    ///
    /// # Errors
    ///
    /// The system does not allow it.
    pub fn install(notices: Notices) -> io::Result<Self> {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let (told, first) = watch::channel(false);
        tokio::spawn(async move {
            either(&mut terminate, &mut interrupt).await;
            told.send_replace(true);
            let first_at = clock::monotonic();
            loop {
                either(&mut terminate, &mut interrupt).await;
                if first_at.elapsed() >= ECHO {
                    break;
                }
            }
            notices.leaving();
            std::process::exit(exit::FAILURE.into());
        });
        Ok(Self { first })
    }

    /// Resolves at the first signal.
    pub fn first(&self) -> impl Future<Output = ()> + use<> {
        let mut first = self.first.clone();
        async move {
            // The watching task never ends before it has told, so there is no other way out of the
            // wait.
            let _ = first.wait_for(|is_told| *is_told).await;
        }
    }
}

async fn either(terminate: &mut Signal, interrupt: &mut Signal) {
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}
