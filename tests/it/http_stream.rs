//! The event stream: the same events as the feed, in the same order, none twice and none missing,
//! whatever becomes of the connection.
//!
//! Nothing is waited for but what the server sends.

use std::time::Duration;

use orderd::server::ServerSettings;
use orderd::telling::FeedSettings;
use serde_json::{Value, json};

use crate::support::{Connection, Setup, TestServer, order_with, together, within};

/// What a client of the stream sees of it.
struct Stream {
    connection: Connection,
    chunks: Vec<u8>,
    text: String,
    is_over: bool,
    /// Where it begins.
    start: String,
}

/// A block of the stream.
#[derive(Debug, Default, PartialEq)]
struct Block {
    id: Option<String>,
    event: Option<String>,
    data: Option<Value>,
    retry: Option<String>,
}

impl Stream {
    async fn open(server: &TestServer, query: &str, headers: &[&str]) -> Self {
        let mut connection = server.connect().await;
        let start = format!("GET /v1/events/stream{query}");
        connection.request(&start, headers, b"").await;
        let head = connection.head_reply().await;
        assert_eq!(head.status, 200);
        assert_eq!(head.header("content-type"), "text/event-stream");
        assert_eq!(head.header("transfer-encoding"), "chunked");
        let mut stream = Self {
            connection,
            chunks: Vec::new(),
            text: String::new(),
            is_over: false,
            start: String::new(),
        };
        let first = stream.block().await.unwrap();
        assert_eq!(first.retry.as_deref(), Some("2000"));
        stream.start = first.id.expect("it does not say where it begins");
        stream
    }

    /// The next block; a comment is one without anything. `None`: the stream has ended well.
    async fn block(&mut self) -> Option<Block> {
        loop {
            if let Some(end) = self.text.find("\n\n") {
                let text: String = self.text.drain(..end + 2).collect();
                return Some(Block::read(&text));
            }
            if self.is_over {
                assert_eq!(self.text, "");
                return None;
            }
            self.read().await;
        }
    }

    /// The next block with an event.
    async fn event(&mut self) -> Block {
        loop {
            let block = self.block().await.expect("the stream has ended");
            if block.data.is_some() {
                return block;
            }
        }
    }

    async fn read(&mut self) {
        let mut buffer = [0; 4_096];
        let read = within(tokio::io::AsyncReadExt::read(
            &mut self.connection.0,
            &mut buffer,
        ))
        .await;
        let read = read.unwrap();
        assert!(read > 0, "the stream was cut");
        self.chunks.extend_from_slice(&buffer[..read]);
        while let Some(line) = self.chunks.windows(2).position(|two| two == b"\r\n") {
            let size = std::str::from_utf8(&self.chunks[..line]).unwrap();
            let size = usize::from_str_radix(size, 16).unwrap();
            if self.chunks.len() < line + 2 + size + 2 {
                return;
            }
            let chunk = &self.chunks[line + 2..line + 2 + size];
            self.text.push_str(std::str::from_utf8(chunk).unwrap());
            self.chunks.drain(..line + 4 + size);
            self.is_over = size == 0;
        }
    }
}

impl Block {
    fn read(text: &str) -> Self {
        let mut block = Self::default();
        for line in text.lines().filter(|line| !line.is_empty()) {
            let (name, value) = line.split_once(':').unwrap();
            let value = value.trim_start().to_owned();
            match name {
                "id" => block.id = Some(value),
                "event" => block.event = Some(value),
                "data" => block.data = Some(serde_json::from_str(&value).unwrap()),
                "retry" => block.retry = Some(value),
                "" => {}
                other => panic!("{other} in {text}"),
            }
        }
        block
    }
}

async fn feed(server: &TestServer, query: &str) -> Vec<Value> {
    let (mut all, mut cursor) = (Vec::new(), String::new());
    loop {
        let path = format!("/v1/events?limit=7&after={cursor}{query}");
        let page = server.get(&path).await.json();
        all.extend(page["data"].as_array().unwrap().iter().cloned());
        if page["has_more"] == false {
            return all;
        }
        cursor = page["next_cursor"].as_str().unwrap().to_owned();
    }
}

async fn create(server: &TestServer, fields: Value) {
    let headers = ["Content-Type: application/json", "Prefer: wait=60"];
    let body = order_with(fields).to_string();
    let reply = within(server.send("POST /v1/orders", &headers, body)).await;
    assert_eq!(reply.status, 201, "{}", reply.text());
}

/// Some orders of two customers in two processes.
async fn some_orders(server: &TestServer, count: usize, name: &str) {
    for at in 0..count {
        let process = ["default", "failing"][at / 2 % 2];
        let id = format!("{name}{at}");
        let customer = ["ada", "bob"][at % 2];
        create(
            server,
            json!({"order_id": id, "process": process, "customer_id": customer}),
        )
        .await;
    }
}

#[tokio::test]
async fn the_stream_and_the_feed_give_the_same_journal() {
    let server = TestServer::start().await;
    some_orders(&server, 8, "before").await;
    let mut stream = Stream::open(&server, "", &[]).await;
    let mut late = Stream::open(&server, "?after=latest", &[]).await;
    let mut seen = Vec::new();
    for _ in 0..24 {
        seen.push(stream.event().await);
    }
    some_orders(&server, 8, "after").await;
    for _ in 0..24 {
        seen.push(stream.event().await);
    }
    let told = feed(&server, "").await;
    let data: Vec<Value> = seen
        .iter()
        .map(|block| block.data.clone().unwrap())
        .collect();
    assert_eq!(data, told);
    for block in &seen {
        let data = block.data.as_ref().unwrap();
        assert_eq!(block.id.as_deref(), data["event_id"].as_str());
        assert_eq!(block.event.as_deref(), data["type"].as_str());
    }
    for event in &told[24..] {
        assert_eq!(late.event().await.data.as_ref(), Some(event));
    }
    server.stop().await;
}

#[tokio::test]
async fn filters_leave_the_same_events_in_both() {
    let server = TestServer::start().await;
    some_orders(&server, 8, "a").await;
    for (query, count) in [
        ("&type=order.dead,order.completed", 8),
        ("&order_id=a3", 3),
        ("&customer_id=bob", 12),
        ("&process=failing&customer_id=ada", 6),
        ("&order_id=nobody", 0),
    ] {
        let told = feed(&server, query).await;
        assert_eq!(told.len(), count, "{query}");
        let mut stream = Stream::open(&server, &format!("?after={query}"), &[]).await;
        for event in &told {
            assert_eq!(stream.event().await.data.as_ref(), Some(event), "{query}");
        }
    }
    let mut stream = Stream::open(&server, "?after=latest&customer_id=bob", &[]).await;
    some_orders(&server, 4, "b").await;
    for event in &feed(&server, "&customer_id=bob").await[12..] {
        assert_eq!(stream.event().await.data.as_ref(), Some(event));
    }
    for bad in ["?type=dead", "?order_id=", "?kind=x", "?after=17"] {
        let reply = server.get(&format!("/v1/events/stream{bad}")).await;
        assert_eq!(reply.status, 400, "{bad}");
    }
    server.stop().await;
}

#[tokio::test]
async fn a_client_that_comes_again_goes_on_where_it_was() {
    let server = TestServer::start().await;
    some_orders(&server, 6, "a").await;
    let told = feed(&server, "").await;
    let (mut seen, mut last) = (Vec::new(), None::<String>);
    while seen.len() < told.len() {
        let header = last.as_ref().map(|id| format!("Last-Event-ID: {id}"));
        let headers: Vec<&str> = header.iter().map(String::as_str).collect();
        let mut stream = Stream::open(&server, "?after=latest", &headers).await;
        let from = seen.len();
        while seen.len() < (from + 5).min(told.len()) {
            if from == 0 && seen.is_empty() {
                stream = Stream::open(&server, "", &[]).await;
            }
            let block = stream.event().await;
            last = block.id.clone();
            seen.push(block.data.unwrap());
        }
    }
    assert_eq!(seen, told);
    server.stop().await;
}

#[tokio::test]
async fn a_client_that_is_cut_off_before_its_first_event_misses_nothing() {
    let server = TestServer::start().await;
    some_orders(&server, 2, "before").await;
    for query in ["?after=latest", "?after=latest&type=order.completed"] {
        let from = feed(&server, "").await.len();
        let stream = Stream::open(&server, query, &[]).await;
        let last = format!("Last-Event-ID: {}", stream.start);
        drop(stream);
        some_orders(&server, 1, query.rsplit('=').next().unwrap()).await;
        let mut again = Stream::open(&server, query, &[&last]).await;
        let mut missed = feed(&server, "").await.split_off(from);
        missed.retain(|event| !query.contains("type") || event["type"] == "order.completed");
        assert!(!missed.is_empty());
        for event in &missed {
            assert_eq!(again.event().await.data.as_ref(), Some(event));
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn a_silent_stream_shows_signs_of_life_and_outlives_idle_connections() {
    let server = TestServer::with(Setup {
        feed: FeedSettings {
            heartbeat: Duration::from_millis(40),
            ..FeedSettings::default()
        },
        server: ServerSettings {
            head_timeout: Duration::from_millis(100),
            idle_timeout: Duration::from_millis(100),
            ..ServerSettings::default()
        },
        ..Setup::default()
    })
    .await;
    let mut stream = Stream::open(&server, "?customer_id=nobody", &[]).await;
    some_orders(&server, 2, "a").await;
    let mut ids = Vec::new();
    for _ in 0..10 {
        let block = stream.block().await.unwrap();
        assert_eq!((&block.event, &block.data), (&None, &None));
        ids.extend(block.id);
    }
    // It is told how far it is although nothing was for it.
    let last = feed(&server, "").await.pop().unwrap();
    let next = server
        .get(&format!("/v1/events?after={}", ids.last().unwrap()))
        .await;
    assert_eq!(next.json()["data"], json!([]), "{last} {ids:?}");
    some_orders(&server, 1, "b").await;
    server.stop().await;
}

#[tokio::test]
async fn streams_end_well_when_the_server_does() {
    let server = TestServer::start().await;
    let mut streams = Vec::new();
    for _ in 0..3 {
        streams.push(Stream::open(&server, "", &[]).await);
    }
    let stopped = server.begin_stop();
    for stream in &mut streams {
        assert_eq!(stream.block().await, None);
    }
    within(stopped).await.unwrap();
}

#[tokio::test]
async fn one_reader_too_many_is_told_so_and_room_comes_back() {
    let server = TestServer::with(Setup {
        feed: FeedSettings {
            readers_max: 2,
            heartbeat: Duration::from_millis(20),
        },
        ..Setup::default()
    })
    .await;
    let first = Stream::open(&server, "", &[]).await;
    let _second = Stream::open(&server, "", &[]).await;
    let reply = server.get("/v1/events/stream").await;
    assert_eq!((reply.status, reply.code().as_str()), (503, "overloaded"));
    let metrics = server.get("/metrics").await.text();
    assert!(metrics.contains("\norderd_event_readers 2\n"), "{metrics}");
    drop(first);
    let again = async {
        while server
            .get("/metrics")
            .await
            .text()
            .contains("\norderd_event_readers 2\n")
        {
            tokio::task::yield_now().await;
        }
        Stream::open(&server, "", &[]).await
    };
    within(again).await;
    server.stop().await;
}

#[tokio::test]
async fn a_reader_that_does_not_keep_up_loses_nothing() {
    let server = TestServer::start().await;
    let mut slow = Stream::open(&server, "", &[]).await;
    let mut quick = Stream::open(&server, "", &[]).await;
    // More than the shelf and the sockets hold, in batches: the slow one has not read yet.
    let json = ["Content-Type: application/json"];
    let batch: Vec<Value> = (0..2_000).map(|_| order_with(json!({}))).collect();
    let batch = Value::from(batch).to_string();
    for _ in 0..18 {
        let reply = server.send("POST /v1/orders/batch", &json, &batch).await;
        assert_eq!(reply.status, 200);
    }
    let take = async |stream: &mut Stream| {
        let mut seen = Vec::new();
        while seen.len() < 108_000 {
            seen.push(stream.event().await.id.unwrap());
        }
        seen
    };
    let seen = within(take(&mut quick)).await;
    assert_eq!(within(take(&mut slow)).await, seen);
    let place = |id: &String| {
        let (position, index) = id.split_once('-').unwrap();
        (
            position.parse::<i64>().unwrap(),
            index.parse::<u32>().unwrap(),
        )
    };
    assert!(seen.windows(2).all(|two| place(&two[0]) < place(&two[1])));
    let metrics = server.get("/metrics").await.text();
    let behind = metrics
        .lines()
        .find_map(|line| line.strip_prefix("orderd_event_readers_behind_total "));
    assert!(behind.unwrap().parse::<u64>().unwrap() > 0, "{metrics}");
    server.stop().await;
}

#[tokio::test]
async fn many_readers_all_get_everything() {
    let server = TestServer::start().await;
    let opened = (0..50).map(|_| Stream::open(&server, "", &[]));
    let mut streams = together(opened).await;
    some_orders(&server, 20, "a").await;
    let told = feed(&server, "").await;
    for stream in &mut streams {
        for event in &told {
            assert_eq!(stream.event().await.data.as_ref(), Some(event));
        }
    }
    server.stop().await;
}
