//! The binary: parses the command line, runs the command, turns its result into an exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    orderd::cli::main()
}
