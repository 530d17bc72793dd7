//! `orderd completions`: a script that teaches a shell to complete orderd's commands and flags.
//! Prints it; installing it is up to the reader.

use clap_complete::Shell;

use super::{exit, output};

const EXAMPLES: &str = "\
Examples:
  orderd completions bash > /etc/bash_completion.d/orderd
  orderd completions zsh > \"${fpath[1]}/_orderd\"
  orderd completions fish > ~/.config/fish/completions/orderd.fish";

/// Print a script that completes commands and flags in a shell
#[derive(Clone, Debug, clap::Args)]
#[command(before_help = EXAMPLES)]
pub struct Arguments {
    /// Which shell
    shell: Shell,
}

/// Prints the script for this command line.
///
/// # Errors
///
/// Stdout cannot be written.
pub fn run(arguments: &Arguments, mut command: clap::Command) -> anyhow::Result<u8> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut command, "orderd", &mut script);
    output::text(&String::from_utf8_lossy(&script))?;
    Ok(exit::OK)
}
