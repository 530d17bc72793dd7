//! `orderd orders`: creates orders at a server, looks at them, follows them, changes them.
//!
//! A client of the HTTP API like any other: what these commands can do, curl can. One file per
//! command.

mod attempts;
mod change;
mod create;
mod import;
mod list;
pub(super) mod show;
mod signal;
mod watch;

use super::api::{Answer, Api, Server};
use super::{Globals, output};

const EXAMPLES: &str = "\
Examples:
  orderd orders create --customer ada --item tea:2:4.50 --total '9.00 EUR'
  orderd orders create --file order.json --wait 30
  orderd orders get A-1001
  orderd orders list --status dead --limit 20
  orderd orders list --customer ada --all --json
  orderd orders watch A-1001
  orderd orders hold A-1001 --reason 'address to be confirmed'
  orderd orders release A-1001
  orderd orders cancel A-1001 --reason 'ordered twice'
  orderd orders signal A-1001 delivered --data '{\"by\": \"van 7\"}'";

/// Create orders, look at them, follow them, change them
#[derive(Clone, Debug, clap::Args)]
#[command(before_help = EXAMPLES)]
pub struct Arguments {
    #[command(flatten)]
    server: Server,
    #[command(subcommand)]
    command: Command,
}

#[derive(Clone, Debug, clap::Subcommand)]
enum Command {
    Create(Box<create::Arguments>),
    Get(show::Arguments),
    List(list::Arguments),
    Watch(watch::Arguments),
    Cancel(change::Cancel),
    Hold(change::Hold),
    Release(change::Release),
    Import(import::Arguments),
    Retry(change::Retry),
    Prioritize(change::Prioritize),
    Signal(signal::Arguments),
    Attempts(attempts::Arguments),
}

/// Runs the command.
///
/// # Errors
///
/// Bad usage, no server at the address, or what the server refused.
pub fn run(arguments: &Arguments, globals: &Globals) -> anyhow::Result<u8> {
    let mut client = Client::new(&arguments.server, globals)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        match &arguments.command {
            Command::Create(arguments) => create::run(arguments, &mut client).await,
            Command::Get(arguments) => show::run(arguments, &mut client).await,
            Command::List(arguments) => list::run(arguments, &mut client).await,
            Command::Watch(arguments) => watch::run(arguments, &mut client).await,
            Command::Cancel(arguments) => change::cancel(arguments, &mut client).await,
            Command::Hold(arguments) => change::hold(arguments, &mut client).await,
            Command::Release(arguments) => change::release(arguments, &mut client).await,
            Command::Import(arguments) => import::run(arguments, &mut client).await,
            Command::Retry(arguments) => change::retry(arguments, &mut client).await,
            Command::Prioritize(arguments) => change::prioritize(arguments, &mut client).await,
            Command::Signal(arguments) => signal::run(arguments, &mut client).await,
            Command::Attempts(arguments) => attempts::run(arguments, &mut client).await,
        }
    })
}

/// Whom to ask, and how to show the answer.
pub(super) struct Client {
    pub(super) api: Api,
    pub(super) is_json: bool,
}

impl Client {
    /// A client of a server. Connects when it first asks.
    pub(super) fn new(server: &Server, globals: &Globals) -> anyhow::Result<Self> {
        Ok(Self {
            api: Api::new(server)?,
            is_json: globals.json,
        })
    }

    /// With `--json` the server's answer is printed as it came, problems too.
    pub(super) fn accept(&self, answer: Answer) -> anyhow::Result<Answer> {
        if self.is_json {
            output::line(&answer.text.trim_end())?;
        }
        Ok(answer.success()?)
    }
}
