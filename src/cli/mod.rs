//! The commands: each is one file with its arguments and what it does.
//! Data goes to stdout, messages and progress to stderr.

pub mod client;
pub mod exit;
pub mod load;
pub mod response;
pub mod seed;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Debug, Parser)]
#[command(name = "orderd", version, about = "An order-processing server")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Load(Box<load::Arguments>),
    Seed(seed::Arguments),
}

/// Parses the command line and runs the command.
pub fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Load(arguments) => load::run(&arguments),
        Command::Seed(arguments) => seed::run(&arguments),
    };
    match result {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(exit::code_of(&error))
        }
    }
}
