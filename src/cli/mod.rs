//! The commands: each is one file with its arguments and what it does. Data goes to stdout,
//! messages and progress to stderr; the numbers in `exit` are all a script needs.

pub mod api;
pub mod chance;
pub mod client;
pub mod completions;
pub mod config;
pub mod copy;
pub mod dead;
pub mod exit;
pub mod handles;
pub mod listen;
pub mod load;
pub mod orders;
pub mod output;
pub mod process;
pub mod response;
pub mod scenario;
pub mod seed;
pub mod serve;
pub mod trigger;
pub mod verify;
pub mod version;
pub mod webhooks;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::builder::FalseyValueParser;
use clap::{CommandFactory, Parser, Subcommand};

use self::exit::Failure;
use crate::config::{Config, Flag, Sources};

const EXAMPLES: &str = "\
Examples:
  orderd                              serve on 127.0.0.1:7070, data in ./orderd-data
  orderd seed                         send some sample orders to it
  orderd orders list                  see them
  orderd orders create --customer ada --item tea:2:4.50 --total '9.00 EUR'
  orderd orders watch ORDER_ID        follow one until it has ended
  orderd listen                       follow what happens to all of them
  orderd load --connections 64        how much does it take?
  orderd verify                       prove that what is stored is whole
  orderd copy --from URL --to URL     move to another database
  orderd config template > orderd.toml";

const AFTER: &str = "\
Settings come from flags, then the environment (ORDERD_...), then orderd.toml, then defaults:
`orderd config show` prints them with their origin.

Exit codes: 0 ok, 1 failure, 2 usage, 3 not found, 4 server unreachable, 5 conflict,
6 data folder or port not available, 7 store of a newer orderd, 8 configuration,
9 answer lost: it may have happened, 74 store failed, 75 taken over, 99 load threshold missed.";

/// An order-processing server: takes orders over HTTP, keeps them safe, works them off
#[derive(Debug, Parser)]
#[command(name = "orderd", bin_name = "orderd", version)]
#[command(before_help = EXAMPLES, after_help = AFTER)]
struct Cli {
    #[command(flatten)]
    globals: Globals,
    /// Without a command: serve
    #[command(subcommand)]
    command: Option<Command>,
}

/// Flags of all commands.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Options of all commands")]
pub struct Globals {
    /// Print JSON instead of text for people
    #[arg(long, global = true)]
    pub json: bool,
    /// Settings file [env: ORDERD_CONFIG] [default: orderd.toml if it is there]
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// What is logged, such as debug or warn,orderd::http=debug [env: ORDERD_LOG] [default: info]
    #[arg(long, global = true, value_name = "FILTER")]
    pub log: Option<String>,
    /// No colours
    #[arg(long, global = true, env = "NO_COLOR", hide_env_values = true)]
    #[arg(value_parser = FalseyValueParser::new())]
    pub no_color: bool,
}

impl Globals {
    /// The configuration under these flags and those of a command.
    ///
    /// # Errors
    ///
    /// [`Failure`] with the code for configurations: one setting is wrong.
    pub fn config(&self, flags: Vec<Flag>) -> Result<Config, Failure> {
        let sources = self.sources(flags);
        Config::read(&sources).map_err(|error| Failure::of_setting(&error))
    }

    /// Whether the terminal says that it cannot do more than show letters.
    pub fn is_dumb_terminal(&self) -> bool {
        self.sources(Vec::new()).variable("TERM") == Some("dumb")
    }

    fn sources(&self, mut flags: Vec<Flag>) -> Sources {
        if let Some(filter) = &self.log {
            flags.push(Flag::new("--log", "log.filter", filter.as_str()));
        }
        Sources::of_process(self.config.clone(), flags)
    }
}

#[derive(Debug, Subcommand)]
enum Command {
    Serve(serve::Arguments),
    Orders(orders::Arguments),
    Dead(dead::Arguments),
    Webhooks(webhooks::Arguments),
    Listen(Box<listen::Arguments>),
    Trigger(trigger::Arguments),
    Process(process::Arguments),
    Seed(seed::Arguments),
    Load(Box<load::Arguments>),
    Verify(verify::Arguments),
    Copy(copy::Arguments),
    Config(config::Arguments),
    Completions(completions::Arguments),
    /// Print which orderd this is
    Version,
}

/// Parses the command line, runs the command, and says what went wrong in one line.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(&cli) {
        Ok(code) => ExitCode::from(code),
        Err(error) if output::is_closed(&error) => ExitCode::from(exit::OK),
        Err(error) => {
            eprintln!("orderd: {}", exit::told(&error));
            ExitCode::from(exit::code_of(&error))
        }
    }
}

fn run(cli: &Cli) -> anyhow::Result<u8> {
    let globals = &cli.globals;
    match &cli.command {
        None => serve::run(&serve::Arguments::default(), globals),
        Some(Command::Serve(arguments)) => serve::run(arguments, globals),
        Some(Command::Orders(arguments)) => orders::run(arguments, globals),
        Some(Command::Dead(arguments)) => dead::run(arguments, globals),
        Some(Command::Webhooks(arguments)) => webhooks::run(arguments, globals),
        Some(Command::Listen(arguments)) => listen::run(arguments, globals),
        Some(Command::Trigger(arguments)) => trigger::run(arguments, globals),
        Some(Command::Process(arguments)) => process::run(arguments, globals),
        Some(Command::Seed(arguments)) => seed::run(arguments),
        Some(Command::Load(arguments)) => load::run(arguments),
        Some(Command::Verify(arguments)) => verify::run(arguments, globals),
        Some(Command::Copy(arguments)) => copy::run(arguments, globals),
        Some(Command::Config(arguments)) => config::run(arguments, globals),
        Some(Command::Completions(arguments)) => completions::run(arguments, Cli::command()),
        Some(Command::Version) => version::run(globals.json),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tree_of_commands_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn flags_of_all_commands_may_stand_before_or_behind_the_command() {
        for line in ["orderd --json seed", "orderd seed --json"] {
            let cli = Cli::try_parse_from(line.split(' ')).unwrap();
            assert!(cli.globals.json, "{line}");
            let Some(Command::Seed(arguments)) = cli.command else {
                panic!("not seed");
            };
            assert!(arguments.json, "{line}");
        }
        let cli = Cli::try_parse_from(["orderd", "config", "show", "--config", "x"]).unwrap();
        assert_eq!(cli.globals.config, Some("x".into()));
    }

    #[test]
    fn no_command_is_serve() {
        let cli = Cli::try_parse_from(["orderd"]).unwrap();
        assert!(cli.command.is_none());
    }
}
