//! A signal: somebody outside says that what an order waits for has happened.
//!
//! Data only. Whether it is waited for, and what follows, is decided by the shard.

/// An event from outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signal {
    /// Its name, which is that of the step that waits for it.
    pub name: Box<str>,
    /// What goes with it: a JSON text of one line, at most [`super::OUTPUT_BYTES_MAX`] bytes. It
    /// becomes the output of the step.
    pub output: Box<str>,
}
