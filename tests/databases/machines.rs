//! Database servers that can be ill-treated: stopped, killed, filled, locked. One of each kind,
//! each a test's own.
//! A backend is one file beside this one, and one line in `machines`.

use std::path::PathBuf;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

#[path = "mysql_machine.rs"]
mod mysql_machine;
#[path = "postgres_machine.rs"]
mod postgres_machine;

/// A database server of one test's own, with one database, that may be ill-treated.
pub trait Machine: Send + Sync {
    /// The URL of its database.
    fn url(&self) -> String;
    /// The same through a proxy on this machine.
    fn url_by(&self, port: u16) -> String;
    /// The socket on which it listens.
    fn socket(&self) -> PathBuf;
    /// Ends it in order.
    fn stop(&self);
    /// Ends all of its processes at once, with `kill -9`.
    fn kill(&self);
    /// Starts it again after either.
    fn start(&self);
    /// How many sessions orderd has.
    fn sessions(&self) -> u64;
    /// Takes every connection that there is, also those that orderd has, until it is dropped.
    fn take_connections(&self) -> Held;
    /// Locks the orders against everybody, until it is dropped.
    fn lock_orders(&self) -> Held;
}

/// Something that is held in a thread of its own, until this is dropped.
pub struct Held {
    release: Option<SyncSender<()>>,
    holder: Option<JoinHandle<()>>,
}

impl Held {
    /// Runs `hold`, which says when it has it, and gives it back when the other channel is closed.
    pub fn by(hold: impl FnOnce(SyncSender<()>, Receiver<()>) + Send + 'static) -> Self {
        let (ready, is_ready) = sync_channel(1);
        let (release, released) = sync_channel(1);
        let holder = std::thread::spawn(move || hold(ready, released));
        is_ready.recv().unwrap();
        Self {
            release: Some(release),
            holder: Some(holder),
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.release = None;
        if let Some(holder) = self.holder.take() {
            let _ = holder.join();
        }
    }
}

/// A server of each kind that can be ill-treated. Those that are left out by request are not there.
pub fn machines(connections: u32) -> Vec<Box<dyn Machine>> {
    let machines = [
        postgres_machine::machine(connections),
        mysql_machine::machine(connections),
    ];
    machines.into_iter().flatten().collect()
}
