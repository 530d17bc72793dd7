//! A TCP proxy before a database, which lets a test cut, refuse, delay and lose what goes through.
//! Knows nothing of the protocols but COMMIT and the answer to it.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use orderd::clock::monotonic;

/// What is done with connections and their bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mode {
    /// Everything goes through.
    Pass,
    /// All connections are cut, and new ones, too.
    Refuse,
    /// Nothing goes through, and nobody is told.
    Hold,
    /// The next COMMIT does not get through, and its connection is cut.
    CutBeforeCommit,
    /// The next COMMIT gets through, its answer does not, and its connection is cut.
    CutAfterCommit,
    /// As before, and the one after that, too.
    CutAfterTwoCommits,
    /// The next COMMIT gets through, its answer does not, and after that everything is refused.
    CutAfterCommitAndRefuse,
    /// Nothing goes through from the next COMMIT on, and nobody is told.
    HoldBeforeCommit,
    /// The next COMMIT gets through, and nothing after it; nobody is told.
    HoldAfterCommit,
}

/// Whose words are listened to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Protocol {
    Postgres,
    Mysql,
}

impl Protocol {
    /// Whether the client says COMMIT at the end of a transaction.
    fn has_commit(self, said: &[u8]) -> bool {
        match self {
            Self::Postgres => said.windows(7).any(|word| word == b"COMMIT\0"),
            Self::Mysql => said.ends_with(b";\nCOMMIT") || said.ends_with(b"\x03COMMIT"),
        }
    }

    /// Whether the server says that it is done, in all that it has said since it was asked.
    fn is_done(self, mut said: &[u8]) -> bool {
        if self == Self::Postgres {
            return said.windows(7).any(|word| word == b"COMMIT\0");
        }
        // Packets of three bytes of length, a number, and what they say: 0, two counts, flags.
        while let [low, middle, high, _, packet @ ..] = said {
            let length = u32::from_le_bytes([*low, *middle, *high, 0]) as usize;
            if packet.len() < length {
                return false;
            }
            let has_more = packet[0] == 0 && packet[3] & 8 != 0;
            if !has_more {
                return true;
            }
            said = &packet[length..];
        }
        false
    }
}

struct Shared {
    protocol: Protocol,
    mode: Mutex<Mode>,
    changed: Condvar,
    /// How long what the server says is under way.
    delay: Mutex<Duration>,
    delay_changed: Condvar,
    open: Mutex<Vec<TcpStream>>,
    upstream: PathBuf,
}

pub struct Proxy {
    pub port: u16,
    shared: Arc<Shared>,
}

impl Proxy {
    /// Before the server that has a URL, and listens on a socket.
    pub fn before(url: &str, upstream: PathBuf) -> Self {
        if url.starts_with("mysql:") {
            Self::to_mysql(upstream)
        } else {
            Self::to(upstream)
        }
    }

    /// Before the PostgreSQL server that listens on this socket.
    pub fn to(upstream: PathBuf) -> Self {
        Self::start(upstream, Protocol::Postgres)
    }

    /// Before the MySQL server that listens on this socket.
    pub fn to_mysql(upstream: PathBuf) -> Self {
        Self::start(upstream, Protocol::Mysql)
    }

    fn start(upstream: PathBuf, protocol: Protocol) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared {
            mode: Mutex::new(Mode::Pass),
            changed: Condvar::new(),
            delay: Mutex::default(),
            delay_changed: Condvar::new(),
            open: Mutex::default(),
            upstream,
            protocol,
        });
        let its = Arc::clone(&shared);
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                its.take(client);
            }
        });
        Self { port, shared }
    }

    pub fn set(&self, mode: Mode) {
        self.shared.set(mode);
    }

    /// From now on every answer of the server comes so much later.
    pub fn slow_down(&self, delay: Duration) {
        *self.shared.delay.lock().unwrap() = delay;
        self.shared.delay_changed.notify_all();
    }

    pub fn mode(&self) -> Mode {
        *self.shared.mode.lock().unwrap()
    }
}

/// Hears the answer to a COMMIT that the client is not to hear.
#[derive(Clone)]
struct Ear {
    protocol: Protocol,
    said: Arc<Mutex<Vec<u8>>>,
    is_wanted: Arc<AtomicBool>,
    has_heard: Arc<(Mutex<bool>, Condvar)>,
}

impl Ear {
    fn new(protocol: Protocol) -> Self {
        Self {
            protocol,
            said: Arc::default(),
            is_wanted: Arc::default(),
            has_heard: Arc::default(),
        }
    }

    fn hear(&self, answer: &[u8]) {
        let mut said = self.said.lock().unwrap();
        said.extend(answer);
        if self.protocol.is_done(&said) {
            *self.has_heard.0.lock().unwrap() = true;
            self.has_heard.1.notify_all();
        }
    }

    fn wait(&self) {
        let heard = self.has_heard.0.lock().unwrap();
        let patience = Duration::from_secs(10);
        let deaf = |heard: &mut bool| !*heard;
        let (_guard, waited) = self
            .has_heard
            .1
            .wait_timeout_while(heard, patience, deaf)
            .unwrap();
        assert!(!waited.timed_out(), "the COMMIT was not answered");
    }
}

impl Shared {
    fn set(&self, mode: Mode) {
        *self.mode.lock().unwrap() = mode;
        if mode == Mode::Refuse {
            self.cut_all();
        }
        self.changed.notify_all();
    }

    fn cut_all(&self) {
        for stream in self.open.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    fn take(self: &Arc<Self>, client: TcpStream) {
        if *self.mode.lock().unwrap() == Mode::Refuse {
            return;
        }
        // A server that is down refuses.
        let Ok(server) = UnixStream::connect(&self.upstream) else {
            return;
        };
        self.open.lock().unwrap().push(client.try_clone().unwrap());
        let (its, from, to) = (Arc::clone(self), client.try_clone(), server.try_clone());
        let (from, to) = (from.unwrap(), to.unwrap());
        let ear = Ear::new(self.protocol);
        let same = ear.clone();
        std::thread::spawn(move || its.up(from, to, &same));
        let its = Arc::clone(self);
        std::thread::spawn(move || its.down(server, client, &ear));
    }

    /// What the client says.
    fn up(&self, mut client: TcpStream, mut server: UnixStream, ear: &Ear) {
        let mut bytes = vec![0; 1 << 20];
        while let Ok(size @ 1..) = client.read(&mut bytes) {
            let said = &bytes[..size];
            let has_commit = self.protocol.has_commit(said);
            match self.pass_or_wait() {
                Mode::CutBeforeCommit if has_commit => {
                    *self.mode.lock().unwrap() = Mode::Pass;
                    break;
                }
                mode @ (Mode::CutAfterCommit
                | Mode::CutAfterTwoCommits
                | Mode::CutAfterCommitAndRefuse)
                    if has_commit =>
                {
                    // The answer is kept back, and nobody asks anew before it was given.
                    ear.is_wanted.store(true, Ordering::SeqCst);
                    server.write_all(said).unwrap();
                    ear.wait();
                    self.set(match mode {
                        Mode::CutAfterCommit => Mode::Pass,
                        Mode::CutAfterTwoCommits => Mode::CutAfterCommit,
                        _ => Mode::Refuse,
                    });
                    let _ = client.shutdown(Shutdown::Both);
                    return;
                }
                Mode::HoldBeforeCommit if has_commit => {
                    self.set(Mode::Hold);
                    self.pass_or_wait();
                    // Long after; it may have been given up.
                    let _ = server.write_all(said);
                }
                Mode::HoldAfterCommit if has_commit => {
                    self.set(Mode::Hold);
                    server.write_all(said).unwrap();
                }
                _ if server.write_all(said).is_err() => break,
                _ => {}
            }
        }
        let _ = client.shutdown(Shutdown::Both);
        let _ = server.shutdown(Shutdown::Both);
    }

    /// What the server says.
    fn down(&self, mut server: UnixStream, mut client: TcpStream, ear: &Ear) {
        let mut bytes = vec![0; 1 << 16];
        while let Ok(size @ 1..) = server.read(&mut bytes) {
            self.pass_or_wait();
            if ear.is_wanted.load(Ordering::SeqCst) {
                ear.hear(&bytes[..size]);
                continue;
            }
            self.travel();
            // What nobody hears is read all the same, as a network would.
            let _ = client.write_all(&bytes[..size]);
        }
        let _ = client.shutdown(Shutdown::Both);
    }

    /// Waits as long as an answer is under way.
    fn travel(&self) {
        let began_at = monotonic();
        let mut delay = self.delay.lock().unwrap();
        while let Some(left) = delay
            .checked_sub(began_at.elapsed())
            .filter(|it| !it.is_zero())
        {
            // Somebody may change it.
            let guard = self.delay_changed.wait_timeout(delay, left).unwrap();
            delay = guard.0;
        }
    }

    /// Waits until something goes through. Answers the mode then.
    fn pass_or_wait(&self) -> Mode {
        let mode = self.mode.lock().unwrap();
        let held = |mode: &mut Mode| *mode == Mode::Hold;
        *self.changed.wait_while(mode, held).unwrap()
    }
}
