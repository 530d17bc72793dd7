//! `orderd version`: which orderd this is.
//! Reads nothing and connects to nothing.

use serde_json::json;

use super::{exit, output};

/// The version of this binary.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// How it was built: measurements of an unoptimised one mean nothing.
pub const BUILD: &str = if cfg!(debug_assertions) {
    "debug"
} else {
    "release"
};

/// Prints the version.
///
/// # Errors
///
/// Stdout cannot be written.
pub fn run(is_json: bool) -> anyhow::Result<u8> {
    let (os, architecture) = (std::env::consts::OS, std::env::consts::ARCH);
    if is_json {
        output::line(&json!({
            "name": "orderd",
            "version": VERSION,
            "build": BUILD,
            "os": os,
            "architecture": architecture,
        }))?;
    } else {
        output::line(&format_args!(
            "orderd {VERSION} ({BUILD}, {os} {architecture})"
        ))?;
    }
    Ok(exit::OK)
}
