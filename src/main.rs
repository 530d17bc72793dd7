//! The `orderd` program: turns the answer of a command into an exit code.
//! What the commands do is in `orderd::cli`.

use std::process::ExitCode;

fn main() -> ExitCode {
    orderd::cli::main()
}
