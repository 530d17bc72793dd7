//! The log: lines for people or JSON objects, on stderr, by level and module.
//!
//! Knows what was configured and nothing about orders. A level that is off costs one load and one
//! comparison where it would have been written.

use std::io;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::{LogFormat, LogSettings};

/// Whether lines for people have colours. JSON never has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colour {
    /// Escape codes of terminals.
    On,
    /// Plain text.
    Off,
}

/// Starts logging for the whole process. Later calls change nothing.
pub fn start(settings: &LogSettings, colour: Colour) {
    let builder = tracing_subscriber::fmt()
        .with_writer(io::stderr)
        .with_env_filter(filter(&settings.filter));
    let result = match settings.format {
        LogFormat::Human => builder.with_ansi(colour == Colour::On).finish().try_init(),
        LogFormat::Json => builder.json().flatten_event(true).finish().try_init(),
    };
    if let Err(error) = result {
        tracing::debug!(%error, "logging had been started before");
    }
}

/// The filter that a checked setting describes. What it does not name is off.
fn filter(text: &str) -> EnvFilter {
    let off = LevelFilter::OFF.into();
    EnvFilter::builder()
        .with_default_directive(off)
        .parse_lossy(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_holds_levels_by_module() {
        let hint = |text: &str| filter(text).max_level_hint();
        assert_eq!(hint("info"), Some(LevelFilter::INFO));
        assert_eq!(hint("warn,orderd::http=debug"), Some(LevelFilter::DEBUG));
        assert_eq!(hint("off"), Some(LevelFilter::OFF));
        assert!(
            filter("warn,orderd::http=debug")
                .to_string()
                .contains("orderd::http=debug")
        );
    }
}
