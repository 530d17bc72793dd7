//! The `orderd` program: turns the answer of a command into an exit code.
//! What the commands do is in `orderd::cli`.

use std::process::ExitCode;

use mimalloc::MiMalloc;

/// Many threads make and free small pieces for months; the system's allocator fragments under that.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    orderd::cli::main()
}
