//! What is to be measured: the arguments of the benchmark, parsed and checked.
//!
//! Pure: it reads no file and starts nothing.

use std::path::PathBuf;

/// The text of `--help`.
pub const HELP: &str = "\
Measures orderd against the floor (the same HTTP without engine and store) on this machine.

Usage: scripts/bench [OPTIONS]

  --rounds N         blocks of each side, interleaved A B B A A B [default: 3]
  --seconds N        length of a block [default: 8]
  --warm-up N        seconds before each block that do not count [default: 2]
  --latency N        length of the blocks at half load, in seconds [default: 15]
  --only LIST        accept,completed,batch,dialects,keys,reads,latency,memory,stored,overload,
                     connections,stream,webhooks,postgres,mysql [default: all];
                     memory measures the restart too; postgres and mysql are accept,
                     completed and batch with the store in a PostgreSQL or a MariaDB that
                     the run starts
  --peers            only job queues of other people, beside orderd on the same PostgreSQL
  --against FILE     only accept, in turn with the orderd in FILE, which is another build
  --open N           open orders for memory and restart [default: 1000000]
  --overload N       length of the overload, in seconds [default: 60]
  --idle N           idle connections [default: 10000]
  --stored N         stored orders for the slow-down by history [default: 5000000]
  --quick            one short round with few orders: shows that everything works, no figures
  --json FILE        write all raw values, after every block
  --from FILE        measure nothing, show an earlier FILE; may be repeated, later ones win
  --write            rewrite the figures in docs/performance.md, keep the raw values beside it
  --data FOLDER      where stores are put, on the disk to be measured [default: the build folder]";

/// One measurement; `Memory` is memory and restart, which share a million open orders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// One order per request, accepted only.
    Accept,
    /// One order per request, worked off in no time.
    Completed,
    /// A hundred orders per request.
    Batch,
    /// One order per request, with five dialects served beside.
    Dialects,
    /// One order per request, each under an idempotency key of its own.
    Keys,
    /// Single orders read while others are written.
    Reads,
    /// Open loop: latency against load.
    Latency,
    /// Bytes per open order, and the restart with all of them.
    Memory,
    /// Accept with a long history in the store.
    Stored,
    /// Ten times as many orders as the work allows.
    Overload,
    /// Accept on many connections, and beside idle ones.
    Connections,
    /// Readers of the stream of events.
    Stream,
    /// A receiver of webhooks that was away.
    Webhooks,
    /// Accept, accept to completed and batches, with the store in a private PostgreSQL.
    Postgres,
    /// The same in a private MariaDB.
    Mysql,
    /// Queues of other people on the same private PostgreSQL; only if asked for.
    Peers,
    /// Accept with this build of orderd and with another one.
    Against,
}

impl Measure {
    /// All that need nothing else, in the order in which they run.
    pub const ALL: [Self; 15] = [
        Self::Accept,
        Self::Completed,
        Self::Batch,
        Self::Dialects,
        Self::Keys,
        Self::Reads,
        Self::Latency,
        Self::Memory,
        Self::Stored,
        Self::Overload,
        Self::Connections,
        Self::Stream,
        Self::Webhooks,
        Self::Postgres,
        Self::Mysql,
    ];

    /// The name in `--only` and in the raw values.
    pub fn name(self) -> &'static str {
        match self {
            Self::Accept => "accept",
            Self::Completed => "completed",
            Self::Batch => "batch",
            Self::Dialects => "dialects",
            Self::Keys => "keys",
            Self::Reads => "reads",
            Self::Latency => "latency",
            Self::Memory => "memory",
            Self::Stored => "stored",
            Self::Overload => "overload",
            Self::Connections => "connections",
            Self::Stream => "stream",
            Self::Webhooks => "webhooks",
            Self::Postgres => "postgres",
            Self::Mysql => "mysql",
            Self::Peers => "peers",
            Self::Against => "against",
        }
    }
}

/// What the arguments mean.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Blocks of each side, at least 1; at least 3 if the page is written.
    pub rounds: u32,
    /// Seconds of a block, at least 1.
    pub seconds: u32,
    /// Seconds before a block that do not count, at least 1.
    pub warm_up_seconds: u32,
    /// Seconds of a block at half load, at least 1.
    pub latency_seconds: u32,
    /// Seconds of the overload, at least 5.
    pub overload_seconds: u32,
    /// Idle connections, at least 100.
    pub idle_connections: u32,
    /// What is measured.
    pub only: Vec<Measure>,
    /// Open orders for memory and restart, at least 1,000.
    pub open_orders: u64,
    /// Stored orders for the slow-down by history, at least 1,000.
    pub stored_orders: u64,
    /// Whether this only shows that everything works.
    pub quick: bool,
    /// Where the raw values go.
    pub json: Option<PathBuf>,
    /// Earlier raw values to show in place of measuring.
    pub from: Vec<PathBuf>,
    /// Whether the page is rewritten.
    pub write: bool,
    /// Another build of orderd.
    pub against: Option<PathBuf>,
    /// Where stores are put.
    pub data: Option<PathBuf>,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            rounds: 3,
            seconds: 8,
            warm_up_seconds: 2,
            latency_seconds: 15,
            overload_seconds: 60,
            idle_connections: 10_000,
            only: Measure::ALL.into(),
            open_orders: 1_000_000,
            stored_orders: 5_000_000,
            quick: false,
            json: None,
            from: Vec::new(),
            write: false,
            against: None,
            data: None,
        }
    }
}

impl Plan {
    /// Reads the arguments; `None` if only help was asked for.
    ///
    /// # Errors
    ///
    /// A text that names the argument and what is wrong with it.
    pub fn parse(words: &[String]) -> Result<Option<Self>, String> {
        let mut plan = Self::default();
        if words.iter().any(|word| word == "--quick") {
            plan.hurry();
        }
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or_else(|| format!("{word} needs a value"));
            match word.as_str() {
                "--help" | "-h" => return Ok(None),
                "--quick" => {}
                "--write" => plan.write = true,
                "--rounds" => plan.rounds = number(word, value()?, 1)?,
                "--seconds" => plan.seconds = number(word, value()?, 1)?,
                "--warm-up" => plan.warm_up_seconds = number(word, value()?, 1)?,
                "--latency" => plan.latency_seconds = number(word, value()?, 1)?,
                "--overload" => plan.overload_seconds = number(word, value()?, 5)?,
                "--idle" => plan.idle_connections = number(word, value()?, 100)?,
                "--open" => plan.open_orders = number(word, value()?, 1_000)?.into(),
                "--stored" => plan.stored_orders = number(word, value()?, 1_000)?.into(),
                "--against" => {
                    plan.against = Some(value()?.into());
                    plan.only = vec![Measure::Against];
                }
                "--peers" => plan.only = vec![Measure::Peers],
                "--only" => plan.only = measures(value()?)?,
                "--json" => plan.json = Some(value()?.into()),
                "--from" => plan.from.push(value()?.into()),
                "--data" => plan.data = Some(value()?.into()),
                _ => return Err(format!("there is no argument {word}")),
            }
        }
        if plan.write && plan.from.is_empty() && (plan.quick || plan.rounds < 3) {
            return Err("--write needs three rounds or more, and no --quick".to_owned());
        }
        Ok(Some(plan))
    }

    fn hurry(&mut self) {
        self.quick = true;
        self.rounds = 1;
        self.seconds = 2;
        self.warm_up_seconds = 1;
        self.latency_seconds = 2;
        self.overload_seconds = 5;
        self.idle_connections = 1_000;
        self.open_orders = 50_000;
        self.stored_orders = 100_000;
    }
}

fn number(word: &str, value: &str, min: u32) -> Result<u32, String> {
    let number = value.parse().ok().filter(|number| *number >= min);
    number.ok_or_else(|| format!("{word} is {value}; it must be a number, at least {min}"))
}

fn measures(list: &str) -> Result<Vec<Measure>, String> {
    let all = Measure::ALL;
    let find = |name: &str| all.into_iter().find(|measure| measure.name() == name);
    let words = list.split(',').map(|name| match name {
        "restart" => Ok(Measure::Memory),
        name => find(name).ok_or_else(|| format!("--only: there is no {name}")),
    });
    let asked = words.collect::<Result<Vec<_>, _>>()?;
    Ok(all.into_iter().filter(|one| asked.contains(one)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Option<Plan>, String> {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        Plan::parse(&words)
    }

    #[test]
    fn without_arguments_everything_is_measured_three_times() {
        let plan = parse("").unwrap().unwrap();
        assert_eq!(plan, Plan::default());
        assert_eq!(plan.only.len(), Measure::ALL.len());
        assert_eq!((plan.rounds, plan.seconds), (3, 8));
    }

    #[test]
    fn only_keeps_the_order_and_knows_restart() {
        let plan = parse("--only restart,accept --rounds 5").unwrap().unwrap();
        assert_eq!(plan.only, [Measure::Accept, Measure::Memory]);
        assert_eq!(plan.rounds, 5);
        let against = parse("--against target/old").unwrap().unwrap();
        assert_eq!(against.only, [Measure::Against]);
        let peers = parse("--peers --rounds 1").unwrap().unwrap();
        assert_eq!(peers.only, [Measure::Peers]);
        assert!(parse("--only speed").unwrap_err().contains("speed"));
    }

    #[test]
    fn quick_is_a_default_that_other_arguments_change() {
        let plan = parse("--seconds 4 --quick").unwrap().unwrap();
        assert_eq!((plan.rounds, plan.seconds, plan.quick), (1, 4, true));
    }

    #[test]
    fn what_is_wrong_is_named() {
        assert!(parse("--rounds 0").unwrap_err().contains("--rounds is 0"));
        assert!(parse("--rounds").unwrap_err().contains("needs a value"));
        assert!(parse("--fast").unwrap_err().contains("--fast"));
        assert!(parse("--write --quick").is_err());
        assert!(parse("--write --rounds 2").is_err());
        assert!(parse("--write --from a.json --quick").is_ok());
        assert_eq!(parse("--rounds 2 --help"), Ok(None));
    }
}
