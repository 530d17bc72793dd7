//! Calls to the outside: what is sent, what is refused, and what an error says about what may have
//! arrived.
//!
//! The other side is a socket that says what the test wants.

use std::net::SocketAddr;
use std::time::Duration;

use orderd::outbound::{Allowed, Answer, Call, CallError, Client, ClientSettings, Target};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::support::within;

const SOON: Duration = Duration::from_millis(200);
const LONG: Duration = Duration::from_secs(20);

fn client(allowed: &str) -> Client {
    Client::new(ClientSettings {
        allowed: Allowed::parse(allowed).unwrap(),
        answer_bytes_max: 1_000,
        ..ClientSettings::default()
    })
}

struct Other {
    listener: TcpListener,
    address: SocketAddr,
}

impl Other {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        Self { listener, address }
    }

    fn target(&self, path: &str) -> Target {
        Target::parse(&format!("http://{}{path}", self.address)).unwrap()
    }

    async fn accept(&self) -> TcpStream {
        within(self.listener.accept()).await.unwrap().0
    }
}

/// Reads one request with its body.
async fn request(stream: &mut TcpStream) -> String {
    let mut text = String::new();
    loop {
        let mut buffer = [0; 1_024];
        let read = within(stream.read(&mut buffer)).await.unwrap();
        text.push_str(std::str::from_utf8(&buffer[..read]).unwrap());
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "));
        if body.len() == length.map_or(0, |length| length.parse().unwrap()) {
            return text;
        }
    }
}

#[tokio::test]
async fn who_only_notifies_waits_for_no_body() {
    let head = "HTTP/1.1 202 OK\r\nretry-after: 3\r\ncontent-length: 100000\r\n\r\n";
    let other = Other::start().await;
    let client = client("127.0.0.1");
    let serve = async {
        let mut stream = other.accept().await;
        request(&mut stream).await;
        stream.write_all(head.as_bytes()).await.unwrap();
        stream
    };
    // The body never comes.
    let call = client.notify(Call::post(&other.target("/"), "{}"), LONG);
    let (_stream, answer) = tokio::join!(serve, within(call));
    let answer = answer.unwrap();
    assert_eq!((answer.status, answer.retry_after_seconds), (202, Some(3)));
}

/// Calls once while the other side answers so.
async fn answered(answer: &str) -> (String, Result<Answer, CallError>) {
    let other = Other::start().await;
    let client = client("127.0.0.1");
    let call = Call::post(&other.target("/hook?a=b"), "{}").header("webhook-id", "x");
    let (seen, answered) = tokio::join!(
        async {
            let mut stream = other.accept().await;
            let seen = request(&mut stream).await;
            stream.write_all(answer.as_bytes()).await.unwrap();
            seen
        },
        within(client.call(call, LONG))
    );
    (seen, answered)
}

#[tokio::test]
async fn a_call_is_sent_as_it_was_made() {
    let (seen, answer) =
        answered("HTTP/1.1 503 No\r\nretry-after: 7\r\ncontent-length: 2\r\n\r\nno").await;
    let answer = answer.unwrap();
    assert_eq!((answer.status, answer.retry_after_seconds), (503, Some(7)));
    assert_eq!(&*answer.body, b"no");
    assert!(seen.starts_with("POST /hook?a=b HTTP/1.1\r\n"), "{seen}");
    assert!(seen.ends_with("\r\n\r\n{}"), "{seen}");
    for line in [
        "content-type: application/json",
        "webhook-id: x",
        "content-length: 2",
    ] {
        assert!(seen.lines().any(|found| found == line), "{line} in {seen}");
    }
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_not_followed() {
    let (_, answer) =
        answered("HTTP/1.1 307 Go\r\nlocation: http://127.0.0.1/\r\ncontent-length: 0\r\n\r\n")
            .await;
    assert_eq!(answer.unwrap().status, 307);
}

#[tokio::test]
async fn private_networks_are_not_called() {
    let other = Other::start().await;
    let port = other.address.port();
    for url in [
        format!("http://127.0.0.1:{port}/"),
        format!("http://localhost:{port}/"),
        format!("http://[::ffff:127.0.0.1]:{port}/"),
        "http://169.254.169.254/latest/meta-data".to_owned(),
        "https://10.0.0.1/".to_owned(),
    ] {
        let call = Call::post(&Target::parse(&url).unwrap(), "{}");
        let error = within(client("").call(call, LONG)).await.unwrap_err();
        assert!(!error.may_have_arrived(), "{error}");
        assert!(
            matches!(
                error,
                CallError::NotSent {
                    is_private: true,
                    ..
                }
            ),
            "{url}: {error}"
        );
        assert!(error.to_string().contains("outbound.allow"), "{error}");
    }
    let waiting = std::future::poll_fn(|context| other.listener.poll_accept(context));
    assert!(
        tokio::time::timeout(SOON, waiting).await.is_err(),
        "somebody connected"
    );
}

#[tokio::test]
async fn nobody_there_means_nothing_was_sent() {
    let other = Other::start().await;
    let target = other.target("/");
    drop(other);
    let call = Call::post(&target, "{}");
    let error = within(client("127.0.0.1").call(call, LONG))
        .await
        .unwrap_err();
    assert!(
        matches!(
            error,
            CallError::NotSent {
                is_private: false,
                ..
            }
        ),
        "{error}"
    );
    let unknown = Target::parse("http://no-such-host.invalid/").unwrap();
    let call = Call::get(&unknown);
    let error = within(client("").call(call, LONG)).await.unwrap_err();
    assert!(!error.may_have_arrived(), "{error}");
}

#[tokio::test]
async fn what_may_have_arrived_is_said() {
    let other = Other::start().await;
    let call = || Call::post(&other.target("/"), "{}");
    let client = client("127.0.0.0/8");
    let silent = client.call(call(), SOON).await.unwrap_err();
    assert!(
        matches!(silent, CallError::TimedOut { limit: SOON }),
        "{silent}"
    );
    assert!(silent.may_have_arrived());
    drop(other.accept().await);
    let (_, broken) = tokio::join!(
        async {
            let mut stream = other.accept().await;
            request(&mut stream).await;
        },
        within(client.call(call(), LONG))
    );
    let broken = broken.unwrap_err();
    assert!(matches!(broken, CallError::Broken { .. }), "{broken}");
    assert!(broken.may_have_arrived());
}

#[tokio::test]
async fn an_answer_has_a_largest_size() {
    let body = "x".repeat(1_001);
    let (_, answer) = answered(&format!(
        "HTTP/1.1 200 OK\r\ncontent-length: 1001\r\n\r\n{body}"
    ))
    .await;
    assert!(
        matches!(answer, Err(CallError::TooLarge { limit: 1_000 })),
        "{answer:?}"
    );
    let chunked = format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3e9\r\n{body}\r\n");
    let (_, answer) = answered(&chunked).await;
    assert!(
        matches!(answer, Err(CallError::TooLarge { .. })),
        "{answer:?}"
    );
    let (_, answer) = answered("what is this").await;
    assert!(
        matches!(answer, Err(CallError::Broken { .. })),
        "{answer:?}"
    );
}

#[tokio::test]
async fn a_connection_is_used_again() {
    let other = Other::start().await;
    let client = client("localhost,127.0.0.1");
    let serve = async {
        let mut stream = other.accept().await;
        for _ in 0..3 {
            request(&mut stream).await;
            let answer = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    };
    let call = async {
        for _ in 0..3 {
            let call = Call::post(&other.target("/"), "{}");
            assert_eq!(within(client.call(call, LONG)).await.unwrap().status, 200);
        }
    };
    tokio::join!(serve, call);
}

#[tokio::test]
async fn who_speaks_no_tls_gets_no_call() {
    let other = Other::start().await;
    let url = format!("https://{}/", other.address);
    let call = Call::get(&Target::parse(&url).unwrap());
    let client = client("127.0.0.1");
    let (_, error) = tokio::join!(
        async {
            let mut stream = other.accept().await;
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await;
        },
        within(client.call(call, LONG))
    );
    let error = error.unwrap_err();
    assert!(
        error.to_string().contains("no TLS with 127.0.0.1"),
        "{error}"
    );
    assert!(!error.may_have_arrived());
}
