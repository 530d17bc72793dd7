//! `orderd serve`: the composition root, the only place where everything meets.
//!
//! Takes the port, then the store; starts the engine, then HTTP; ends both in the other order. Here
//! alone chance comes from the system; everything below is handed its generator and its clock.

mod compose;
mod doors;
mod listen;
mod notice;
mod signals;
mod standby;
mod takeover;

use std::future::Future;
use std::io::{IsTerminal, stderr};
use std::path::PathBuf;
use std::pin::pin;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use rand::SeedableRng;
use rand::rngs::StdRng;

use self::compose::Behind;
use self::listen::Opened;
use self::notice::Banner;
pub use self::notice::Notices;
use self::signals::Signals;
use self::takeover::{RETRY, Takeover};
use super::Globals;
use super::exit::{self, Failure, OF_OURS, OF_THE_SYSTEM, OrFail};
use super::{chance, handles};
use crate::clock::{self, Clock, SystemClock};
use crate::config::{Config, Flag};
use crate::engine::{self, Engine, StartError};
use crate::faults;
use crate::order::ShardNumber;
use crate::server;
use crate::shard::Allowances;
use crate::store::{self, Store, StoreError};
use crate::telemetry::{self, Colour};

/// How often is tried whether a database can be reached by now.
const RETRY_AWAY: Duration = Duration::from_millis(250);

const EXAMPLES: &str = "\
Examples:
  orderd serve
  orderd serve --listen 127.0.0.1:8080 --data /var/lib/orderd
  orderd serve --config /etc/orderd.toml --log warn,orderd::http=debug
  orderd serve --compat                   speak five other order services' formats too
  orderd serve --json                     log as JSON";

const AFTER: &str = "\
SIGTERM or Ctrl-C drains: no new connections, answers for what is in flight, then the end with exit
code 0. A second one leaves at once; what was answered for is on disk in any case.";

/// Take orders over HTTP, keep them, work them off
#[derive(Clone, Debug, Default, clap::Args)]
#[command(before_help = EXAMPLES, after_help = AFTER)]
pub struct Arguments {
    /// Where to listen [env: ORDERD_LISTEN] [default: 127.0.0.1:7070]
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
    /// Folder of the data [env: ORDERD_DATA] [default: ./orderd-data]
    #[arg(long, value_name = "FOLDER", conflicts_with = "store")]
    data: Option<PathBuf>,
    /// sqlite:PATH, postgres://… or mysql://… if not in the folder
    /// [env: ORDERD_STORE or DATABASE_URL]
    #[arg(long, value_name = "URL")]
    store: Option<String>,
    /// Let other machines connect although nobody has to log in
    #[arg(long)]
    insecure: bool,
    /// Wait so long for the port and the data of another server, as its standby [default: 0s]
    #[arg(long, value_name = "TIME")]
    takeover: Option<String>,
    /// Speak other services' formats too: all, or names with commas [env: ORDERD_COMPAT]
    #[arg(long, value_name = "DIALECTS")]
    #[arg(num_args = 0..=1, require_equals = true, default_missing_value = "all")]
    compat: Option<String>,
}

impl Arguments {
    fn flags(&self, is_json: bool) -> Vec<Flag> {
        let mut flags = Vec::new();
        if let Some(address) = &self.listen {
            flags.push(Flag::new("--listen", "server.listen", address.as_str()));
        }
        if let Some(folder) = &self.data {
            let folder = folder.to_string_lossy().into_owned();
            flags.push(Flag::new("--data", "store.data", folder));
        }
        if let Some(url) = &self.store {
            flags.push(Flag::new("--store", "store.url", url.as_str()));
        }
        if self.insecure {
            flags.push(Flag::new("--insecure", "server.insecure", true));
        }
        if let Some(patience) = &self.takeover {
            let patience = patience.as_str();
            flags.push(Flag::new("--takeover", "server.takeover_timeout", patience));
        }
        if let Some(dialects) = &self.compat {
            flags.push(Flag::new("--compat", "compat.dialects", dialects.as_str()));
        }
        if is_json {
            flags.push(Flag::new("--json", "log.format", "json"));
        }
        flags
    }
}

/// Serves until a signal, then drains.
///
/// # Errors
///
/// [`Failure`] with its code: the configuration is wrong, the port or the data folder cannot be
/// had, the store is of a newer orderd, or the store failed while serving.
pub fn run(arguments: &Arguments, globals: &Globals) -> anyhow::Result<u8> {
    let config = globals.config(arguments.flags(globals.json))?;
    let wants_colour = !globals.no_color && stderr().is_terminal() && !globals.is_dumb_terminal();
    let colour = if wants_colour {
        Colour::On
    } else {
        Colour::Off
    };
    telemetry::start(&config.log, colour);
    let notices = Notices::new(config.log.format, colour);
    handles::raise_limit();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .or_fail("cannot start the runtime", OF_THE_SYSTEM)?;
    let served = runtime.block_on(async {
        let signals = Signals::install(notices);
        let signals = signals.or_fail("cannot watch for signals", OF_THE_SYSTEM)?;
        let takeover = Takeover::new(config.server.takeover_timeout, notices);
        let listen = || listen::open(doors::plan(&config));
        let opened = tokio::select! {
            opened = takeover.get(listen, |refused| refused.is_in_use.then_some(RETRY)) => opened,
            () = signals.first() => return Ok(()),
        };
        let opened = opened.map_err(|refused| refused.failure)?;
        serve(opened, &config, notices, signals.first()).await
    });
    // A read that hangs in the system must not hold up the end.
    runtime.shutdown_background();
    served.map(|()| exit::OK)
}

/// Serves at all opened places until `shutdown` resolves, then answers what is in flight, lets the
/// engine finish, and returns when everything that was accepted is on disk.
///
/// # Errors
///
/// As [`run`], without those of the ports.
pub async fn serve(
    opened: Vec<Opened>,
    config: &Config,
    notices: Notices,
    shutdown: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    let started = clock::monotonic();
    let options = store::Options {
        readers: config.store.readers,
        list_readers: config.store.list_readers,
        timeouts: store::Timeouts {
            connect: config.store.connect_timeout,
            commit: config.store.commit_timeout,
            read: config.store.read_timeout,
        },
        settings_every: store::SETTINGS_EVERY,
        free_space_min: config.store.free_space_min,
        wants_witness: true,
    };
    let takeover = Takeover::new(config.server.takeover_timeout, notices);
    let open = || store::open_with(&config.store.effective_url(), &options);
    let mut shutdown = pin!(shutdown);
    let waiting = takeover.get(open, pause_before_next_try);
    let settings = server_settings(config);
    let store = tokio::select! {
        biased;
        store = standby::meanwhile(&opened, &settings, waiting) => store,
        () = &mut shutdown => return Ok(()),
    };
    let store = store.map_err(|error| Failure::of_store("", &error))?;
    let mut random = chance::generator()?;
    let ids = StdRng::from_rng(&mut random);
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::default());
    let engine = start_engine(config, &store, &clock, random)?;
    let behind = Behind::new(config, &engine, &store, &clock, ids);
    let loaded = behind.webhooks.load().await;
    loaded.map_err(|error| Failure::of_store("", &error))?;
    notices.banner(&Banner {
        places: opened.iter().map(|opened| opened.place.clone()).collect(),
        config,
        durability: store.durability(),
        started_in: started.elapsed(),
    });
    let ended = engine.ended();
    let began = OnceLock::new();
    let stop = async {
        tokio::select! {
            () = shutdown => notices.draining(config.server.drain_timeout),
            () = ended => notices.engine_ended(),
        }
        let _ = began.set(clock::monotonic());
        behind.app.begin_drain();
        behind.pushes.close();
        faults::point("drain-begins");
    };
    server::serve(behind.doors(opened), settings, stop).await;
    let passed = began.get().map_or(Duration::ZERO, Instant::elapsed);
    let left = config.server.drain_timeout.saturating_sub(passed);
    behind.pushes.finish(left).await;
    behind.webhooks.finish().await;
    faults::point("drain-doors-closed");
    finish(engine, notices).await
}

fn start_engine(
    config: &Config,
    store: &Arc<dyn Store>,
    clock: &Arc<dyn Clock>,
    random: StdRng,
) -> Result<Engine, Failure> {
    let micros = |time: Duration| i64::try_from(time.as_micros()).unwrap_or(i64::MAX);
    let queue = &config.queue;
    let start = engine::Start {
        store: Arc::clone(store),
        shard: ShardNumber::default(),
        processes: config.processes.clone(),
        settings: engine::Settings {
            open_orders_max: queue.max_open_orders,
            allowances: Allowances {
                medium_us: micros(queue.allowance_medium),
                low_us: micros(queue.allowance_low),
                begun_head_start_us: micros(queue.begun_head_start),
            },
            key_retention_us: micros(queue.idempotency_retention),
        },
        clock: Arc::clone(clock),
        random,
    };
    Engine::start(start).map_err(|error| match error {
        StartError::Store(error) => Failure::of_store("", &error),
        StartError::Process(error) => {
            let key = format!("process.{}", error.name);
            let origin = config.origin(&key).name;
            Failure::said(exit::CONFIGURATION, format_args!("{origin}: {error}"))
        }
        StartError::Thread(error) => {
            let what = format!("cannot start the engine: {error}");
            Failure::new(exit::FAILURE, what, OF_THE_SYSTEM)
        }
    })
}

fn server_settings(config: &Config) -> server::ServerSettings {
    let server = &config.server;
    server::ServerSettings {
        connections_max: usize::try_from(server.connections_max).unwrap_or(usize::MAX),
        head_timeout: server.header_timeout,
        idle_timeout: server.idle_timeout,
        drain_timeout: server.drain_timeout,
        ..server::ServerSettings::default()
    }
}

/// Lets the engine finish what is in its inbox and flush.
async fn finish(engine: Engine, notices: Notices) -> anyhow::Result<()> {
    engine.handle().drain();
    let joined = tokio::task::spawn_blocking(move || engine.join()).await;
    match joined.or_fail("cannot wait for the engine", OF_OURS)? {
        Ok(()) => {
            faults::point("drain-engine-ended");
            notices.drained();
            Ok(())
        }
        Err(StoreError::Fenced) => {
            let what = "another orderd has taken the store over, so this one ends; every order \
                        that was answered for is safe";
            let way_out = "start it again to wait as a standby (--takeover)";
            Err(Failure::new(exit::TAKEN_OVER, what, way_out).into())
        }
        Err(error) => {
            let what = format!(
                "the store failed, so the server had to end: {error}; every order that was \
                 answered for is safe"
            );
            let way_out = "look after the disk, then start again";
            Err(Failure::new(exit::STORE_FAILED, what, way_out).into())
        }
    }
}

/// Another server has the store, which may be about to end, or the database is away: after which
/// time it may be there.
fn pause_before_next_try(error: &StoreError) -> Option<Duration> {
    match error {
        StoreError::Locked { .. } | StoreError::InUse { .. } => Some(RETRY),
        StoreError::Unreachable { .. } => Some(RETRY_AWAY),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{LogFormat, Sources};

    fn config(folder: &std::path::Path) -> Config {
        let folder = folder.to_string_lossy().into_owned();
        let sources = Sources {
            flags: vec![
                Flag::new("--data", "store.data", folder),
                Flag::new("--listen", "server.listen", "127.0.0.1:0"),
            ],
            ..Sources::default()
        };
        Config::read(&sources).unwrap()
    }

    async fn serve_until(
        config: &Config,
        shutdown: impl Future<Output = ()>,
    ) -> anyhow::Result<()> {
        let opened = listen::open(doors::plan(config)).unwrap();
        let notices = Notices::new(LogFormat::Json, Colour::Off);
        serve(opened, config, notices, shutdown).await
    }

    #[tokio::test]
    async fn it_ends_when_it_is_told_and_gives_the_folder_back() {
        let folder = tempfile::tempdir().unwrap();
        let config = config(folder.path());
        for _ in 0..2 {
            serve_until(&config, async {}).await.unwrap();
        }
        assert!(folder.path().join("orders.db").exists());
    }

    #[tokio::test]
    async fn a_folder_that_another_server_holds_has_its_code() {
        let folder = tempfile::tempdir().unwrap();
        let config = config(folder.path());
        let _other = store::open(&config.store.effective_url(), 1).unwrap();
        let error = serve_until(&config, async {}).await.unwrap_err();
        assert_eq!(exit::code_of(&error), exit::UNAVAILABLE);
    }

    #[test]
    fn each_failed_start_has_its_code() {
        let detail = String::new;
        let newer = StoreError::Newer { found: 9, known: 1 };
        assert_eq!(Failure::of_store("", &newer).code, exit::STORE_NEWER);
        let unknown = StoreError::UnknownUrl { url: detail() };
        assert_eq!(Failure::of_store("", &unknown).code, exit::CONFIGURATION);
        let unreadable = StoreError::Unreadable { detail: detail() };
        assert_eq!(Failure::of_store("", &unreadable).code, exit::FAILURE);
    }
}
