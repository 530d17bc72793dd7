//! Asks a server over its HTTP API, one request after the other, and reads the answers as people
//! want them.
//!
//! For the commands that look at single orders; the load generator has its own, faster way. What
//! changes something is sent under an idempotency key, and under the same one again if its answer
//! is lost: it happens once.

mod answer;

use std::collections::HashMap;
use std::io;
use std::time::Duration;

use tokio::time::{sleep, timeout};

pub use self::answer::{Answer, plain};
use super::chance;
use super::client::{Connection, ExchangeError, Target};
use super::exit::{self, Failure};
use super::response::Malformed;
use crate::clock;
use crate::order::KEY_LENGTH_MAX;

/// How long a connection may take to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long an answer may take, beside the time that a request itself asks to wait. An answer that
/// is lost is asked for again within that time.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// Times that a request is sent again whose answer was lost.
const REPEATS_MAX: u32 = 4;
/// Pause before the first of them; each next one is twice as long. A server that is started again
/// is back within seconds.
const FIRST_PAUSE: Duration = Duration::from_millis(200);

/// The type of a body with one JSON value.
const JSON: &str = "Content-Type: application/json\r\n";

/// The heading of [`Server`] in the help of a command.
const HEADING: &str = "Server";

/// Whom to ask, and under which key.
#[derive(Clone, Debug, clap::Args)]
pub struct Server {
    /// Server to ask
    #[arg(
        long,
        global = true,
        help_heading = HEADING,
        default_value = "http://127.0.0.1:7070",
        env = "ORDERD_URL"
    )]
    pub url: String,
    /// Change something under this key, which makes it happen once: to run a command again whose
    /// answer was lost [default: a new key]
    #[arg(long, global = true, help_heading = HEADING, value_name = "KEY", value_parser = key)]
    pub idempotency_key: Option<String>,
}

/// A server to ask.
pub struct Api {
    target: Target,
    connection: Option<Connection>,
    keys: Keys,
}

/// Why there is no answer.
enum Missed {
    /// There was no connection: nothing was sent.
    Unreachable(io::Error),
    /// It was sent, perhaps taken, and nothing came back.
    Lost(String),
    /// Something came back that is not HTTP.
    Malformed(Malformed),
}

/// The keys of one run of a command.
struct Keys {
    /// What the keys begin with.
    own: String,
    /// Requests to each path so far.
    sent: HashMap<String, u32>,
}

impl Keys {
    fn new(chosen: Option<&str>) -> anyhow::Result<Self> {
        let own = match chosen {
            Some(chosen) => chosen.to_owned(),
            None => chance::key()?,
        };
        let sent = HashMap::new();
        Ok(Self { own, sent })
    }

    /// The key of the next request to a path. A key counts for a path, so that it has a number only
    /// from the second request on.
    fn next(&mut self, path: &str) -> String {
        let sent = self.sent.entry(path.to_owned()).or_default();
        *sent += 1;
        match *sent {
            1 => self.own.clone(),
            number => format!("{}.{number}", self.own),
        }
    }
}

impl Api {
    /// A server. Connects when it is first asked.
    ///
    /// # Errors
    ///
    /// The URL is not one of plain HTTP, or the system gives no randomness for a key.
    pub fn new(server: &Server) -> anyhow::Result<Self> {
        let url = server.url.trim();
        if url.starts_with("https://") {
            let what = format!("{url} is an https address, which this command cannot speak yet");
            let way_out = "use http:// to the server itself, or through an SSH tunnel";
            return Err(Failure::new(exit::USAGE, what, way_out).into());
        }
        Ok(Self {
            target: Target::parse(url)?,
            connection: None,
            keys: Keys::new(server.idempotency_key.as_deref())?,
        })
    }

    /// The key that what is changed first is changed under.
    pub fn key(&self) -> &str {
        &self.keys.own
    }

    /// Asks for what is at a path.
    ///
    /// # Errors
    ///
    /// Nobody answers, or what answers does not speak HTTP.
    pub async fn get(&mut self, path: &str) -> anyhow::Result<Answer> {
        let host = self.target.authority();
        let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n");
        let is_reused = self.connection.is_some();
        let answer = match self.exchange(request.as_bytes(), Duration::ZERO).await {
            // A server may close a connection that was idle at any time; asking again changes
            // nothing.
            Err(_) if is_reused => self.exchange(request.as_bytes(), Duration::ZERO).await,
            answer => answer,
        };
        answer.map_err(|missed| self.definite(missed).into())
    }

    /// Posts JSON to a path. With `wait` the server is asked to answer only when the order has
    /// ended, or after that many seconds.
    ///
    /// # Errors
    ///
    /// Nobody answers, or what answers does not speak HTTP. A [`Failure`] with the code
    /// [`exit::UNKNOWN`]: it was sent, and nobody knows what became of it.
    pub async fn post(
        &mut self,
        path: &str,
        body: &str,
        wait: Option<u32>,
    ) -> anyhow::Result<Answer> {
        let prefer = wait.map_or_else(String::new, |seconds| format!("Prefer: wait={seconds}\r\n"));
        let patience = Duration::from_secs(wait.unwrap_or(0).into());
        let headers = format!("{JSON}{prefer}");
        self.send(path, body, &headers, patience).await
    }

    /// Asks for what is at a path to be forgotten.
    ///
    /// # Errors
    ///
    /// As [`Api::post`].
    pub async fn delete(&mut self, path: &str) -> anyhow::Result<Answer> {
        let host = self.target.authority();
        let request = format!("DELETE {path} HTTP/1.1\r\nHost: {host}\r\n\r\n");
        let again = "run it again: what is gone is not found";
        let sent = self.until_answered(&request, Duration::ZERO, again).await;
        sent.map(|(answer, is_repeated)| match (is_repeated, answer.status) {
            // The first one has done it.
            (true, 404) => answer.with_status(204),
            _ => answer,
        })
    }

    /// Posts one JSON object in each line.
    ///
    /// # Errors
    ///
    /// As [`Api::post`].
    pub async fn post_lines(&mut self, path: &str, body: &str) -> anyhow::Result<Answer> {
        let lines = "Content-Type: application/x-ndjson\r\n";
        self.send(path, body, lines, Duration::ZERO).await
    }

    /// Posts a change of an order; with `version` it is made only if the order still has that one.
    ///
    /// # Errors
    ///
    /// As [`Api::post`].
    pub async fn change(
        &mut self,
        path: &str,
        body: &str,
        version: Option<u32>,
    ) -> anyhow::Result<Answer> {
        let header = |version| format!("If-Match: \"{version}\"\r\n");
        let condition = version.map_or_else(String::new, header);
        let headers = format!("{JSON}{condition}");
        self.send(path, body, &headers, Duration::ZERO).await
    }

    /// Posts with these headers under the next key.
    async fn send(
        &mut self,
        path: &str,
        body: &str,
        headers: &str,
        patience: Duration,
    ) -> anyhow::Result<Answer> {
        let (host, length) = (self.target.authority().to_owned(), body.len());
        let key = self.keys.next(path);
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: {host}\r\n{headers}Idempotency-Key: {key}\r\n\
             Content-Length: {length}\r\n\r\n{body}"
        );
        let again = format!(
            "run the same again with --idempotency-key {}, under which it happens only once",
            self.keys.own
        );
        let sent = self.until_answered(&request, patience, &again).await;
        sent.map(|(answer, _)| answer)
    }

    /// Sends a request that changes something, again and again until there is an answer that says
    /// what became of it. Tells whether it was sent more than once.
    async fn until_answered(
        &mut self,
        request: &str,
        patience: Duration,
        again: &str,
    ) -> anyhow::Result<(Answer, bool)> {
        let (began_at, mut pause) = (clock::monotonic(), FIRST_PAUSE);
        let mut missed: Option<Result<Answer, String>> = None;
        for repeats in 0..=REPEATS_MAX {
            if repeats > 0 {
                sleep(pause).await;
                pause *= 2;
            }
            // On a connection that nobody can have closed yet.
            self.connection = None;
            let exchanged = self.exchange(request.as_bytes(), patience).await;
            missed = Some(match exchanged {
                Ok(answer) if answer.tells(missed.is_some()) => return Ok((answer, repeats > 0)),
                Ok(answer) => Ok(answer),
                Err(Missed::Lost(cause)) => Err(cause),
                Err(Missed::Unreachable(cause)) if missed.is_some() => Err(cause.to_string()),
                Err(missed) => return Err(self.definite(missed).into()),
            });
            if began_at.elapsed() > ANSWER_TIMEOUT {
                break;
            }
        }
        match missed {
            // It says itself that it does not know.
            Some(Ok(answer)) if !answer.tells(false) => Ok((answer.again(again), true)),
            Some(Ok(answer)) => Err(self.lost(&answer.problem(), again).into()),
            Some(Err(cause)) => Err(self.lost(&cause, again).into()),
            None => Err(self.lost("it was not sent", again).into()),
        }
    }

    /// The error for a change that was sent and whose answer was lost.
    fn lost(&self, cause: &str, again: &str) -> Failure {
        let host = self.target.authority();
        let what = format!(
            "it was sent to http://{host} and the answer was lost ({cause}): it may have happened"
        );
        Failure::new(exit::UNKNOWN, what, again)
    }

    /// The error for a request that was not taken.
    fn definite(&self, missed: Missed) -> Failure {
        let host = self.target.authority();
        match missed {
            Missed::Unreachable(cause) => self.target.unreachable(&cause),
            Missed::Lost(cause) => {
                let what = format!("the answer of http://{host} was lost ({cause})");
                Failure::new(exit::UNREACHABLE, what, "nothing was changed: ask again")
            }
            Missed::Malformed(error) => self.target.is_no_orderd(&error),
        }
    }

    async fn exchange(&mut self, request: &[u8], patience: Duration) -> Result<Answer, Missed> {
        let kept = self.connection.take().filter(Connection::is_usable);
        let mut connection = match kept {
            Some(connection) => connection,
            None => self.connect().await.map_err(Missed::Unreachable)?,
        };
        let late = |_| Missed::Lost("no answer in time".to_owned());
        let exchange = timeout(ANSWER_TIMEOUT + patience, connection.exchange(request));
        let answer = match exchange.await.map_err(late)? {
            Ok(response) => Answer::new(response.status, &response.body),
            Err(ExchangeError::Io(error)) => return Err(Missed::Lost(error.to_string())),
            Err(ExchangeError::Malformed(error @ Malformed::CutShort)) => {
                return Err(Missed::Lost(error.to_string()));
            }
            Err(ExchangeError::Malformed(error)) => return Err(Missed::Malformed(error)),
        };
        self.connection = Some(connection);
        Ok(answer)
    }

    async fn connect(&self) -> io::Result<Connection> {
        let late = |_| io::Error::new(io::ErrorKind::TimedOut, "no connection in time");
        let opened = timeout(CONNECT_TIMEOUT, Connection::open(&self.target)).await;
        opened.map_err(late).flatten()
    }
}

/// Reads a key, which becomes a header and may get a number behind it.
fn key(text: &str) -> Result<String, String> {
    const CHARS_MAX: usize = KEY_LENGTH_MAX - ".4294967295".len();
    let is_good =
        (1..=CHARS_MAX).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
    match is_good {
        true => Ok(text.to_owned()),
        false => Err(format!(
            "it must be 1 to {CHARS_MAX} visible ASCII characters"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn https_is_refused_with_a_way_out() {
        let server = Server {
            url: "https://orders.example".into(),
            idempotency_key: None,
        };
        let error = Api::new(&server).err().unwrap();
        assert_eq!(exit::code_of(&error), exit::USAGE);
        assert!(error.to_string().contains("https"), "{error}");
    }

    #[test]
    fn a_key_counts_for_a_path_and_has_a_number_only_there() {
        let mut keys = Keys::new(Some("k")).unwrap();
        assert_eq!(keys.next("/v1/orders"), "k");
        assert_eq!(keys.next("/v1/orders"), "k.2");
        assert_eq!(keys.next("/v1/orders/A/cancel"), "k");
        assert_ne!(Keys::new(None).unwrap().own, Keys::new(None).unwrap().own);
    }

    #[test]
    fn a_chosen_key_is_one_that_a_server_takes() {
        assert_eq!(key("order-17"), Ok("order-17".into()));
        for bad in ["", "a b", "a\r\nX: y", "é", &"k".repeat(250)] {
            assert!(key(bad).is_err(), "{bad:?}");
        }
    }
}
