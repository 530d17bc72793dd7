//! The doors of a server that speaks dialects: where they are, who shares one, what is said when a
//! port is taken, and that all of them drain. What dialects say is tested elsewhere.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};

use orderd::order::Dialect;

use crate::cli_support::{Place, Server};

/// Paths that only one dialect has, with the status of a GET.
const PATHS: [(Dialect, &str, u16); 5] = [
    (Dialect::TwoQueue, "/metrics/pending", 200),
    (Dialect::Realtime, "/stats", 200),
    (
        Dialect::OrderService,
        "/order-service/order/order-metric",
        200,
    ),
    (Dialect::ApiV1, "/api/v1/metrics", 200),
    (Dialect::OrdersApi, "/orders/x/status", 404),
];
/// A good order of `two_queue`.
const ORDER: &str = r#"{"user_id":"u","item_ids":"a","total_amount":1}"#;

/// A file in which each dialect takes a free port.
pub fn free_ports() -> String {
    let section = |dialect: &Dialect| {
        let name = dialect.name();
        format!("[compat.{name}]\nlisten = \"127.0.0.1:0\"\n")
    };
    Dialect::ALL.iter().map(section).collect()
}

/// A server that speaks these dialects, each on a free port.
fn speaking(place: &Place, dialects: &str) -> Server {
    place.write("orderd.toml", &free_ports());
    place.serve(&[&format!("--compat={dialects}")])
}

/// The addresses and contents of the doors with dialects, as the server told them.
pub fn doors(server: &Server) -> Vec<(SocketAddr, String)> {
    let lines = server.heard.iter();
    let doors = lines.filter_map(|line| line.trim().strip_prefix("Compat"));
    let parts = doors.filter_map(|door| door.trim().strip_prefix("http://")?.split_once(' '));
    parts
        .map(|(address, contents)| (address.parse().unwrap(), contents.to_owned()))
        .collect()
}

fn only_door(server: &Server) -> SocketAddr {
    let doors = doors(server);
    assert_eq!(doors.len(), 1, "{doors:?}");
    doors[0].0
}

fn native(server: &Server) -> SocketAddr {
    let address = server.url.trim_start_matches("http://");
    address.parse().unwrap()
}

/// The whole answer to one request on a connection of its own.
fn ask(address: SocketAddr, start: &str, headers: &[&str], body: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    let mut request = format!("{start} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n");
    for header in headers {
        request.push_str(&format!("{header}\r\n"));
    }
    request.push_str(&format!("Content-Length: {}\r\n\r\n{body}", body.len()));
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

pub fn get(address: SocketAddr, path: &str) -> String {
    ask(address, &format!("GET {path}"), &[], "")
}

/// The dialects that answer at an address, each known by a path that only it has.
fn spoken_at(address: SocketAddr) -> Vec<Dialect> {
    let is_spoken = |(_, path, status): &&(Dialect, &str, u16)| {
        let answer = get(address, path);
        // A path that is not there is 404 everywhere.
        let is_unknown_order = answer.contains("Order not found");
        answer.starts_with(&format!("HTTP/1.1 {status} ")) && (*status == 200 || is_unknown_order)
    };
    let spoken = PATHS.iter().filter(is_spoken);
    spoken.map(|(dialect, _, _)| *dialect).collect()
}

#[track_caller]
fn assert_status(answer: &str, status: u16) {
    let line = format!("HTTP/1.1 {status} ");
    assert!(answer.starts_with(&line), "not {status}: {answer}");
}

#[test]
fn a_port_in_use_is_named_with_its_dialect() {
    for name in Dialect::ALL.map(Dialect::name) {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap();
        let moved = format!("[compat.{name}]\nlisten = \"{address}\"");
        let place = Place::new().with("orderd.toml", &moved);
        let contents = match name {
            "two_queue" | "realtime" => format!("{name} and the native API"),
            name => name.into(),
        };
        let compat = format!("--compat={name}");
        place
            .run(&["serve", "--listen", "127.0.0.1:0", &compat])
            .expect_error(
                6,
                &format!(
                    "cannot listen on {address} for {contents}: the port is in use; stop the \
                     other server, or choose another address with compat.{name}.listen, or leave \
                     it out of --compat=NAMES"
                ),
            );
        assert!(!place.path().join("orderd-data").exists());
    }
}

#[test]
fn dialects_may_be_chosen_in_the_environment_and_a_wrong_name_is_refused() {
    let place = Place::new();
    let shown = place.run_with(
        &["config", "show", "--json"],
        &[("ORDERD_COMPAT", "api_v1")],
    );
    let shown: serde_json::Value = serde_json::from_str(&shown.expect(0)).unwrap();
    let dialects = &shown["settings"]["compat.dialects"];
    assert_eq!(dialects["value"], serde_json::json!(["api_v1"]));
    assert_eq!(dialects["origin"], "ORDERD_COMPAT");
    assert_eq!(shown["processes"][1]["name"], "api_v1");
    place
        .run(&["serve", "--compat=api_v1,api_v2"])
        .expect_error(
            8,
            "--compat: compat.dialects is \"api_v1,api_v2\"; it must be \"all\", \"none\" or names \
         of dialects (two_queue, realtime, order_service, api_v1, orders_api) with commas between \
         them",
        );
}

#[test]
fn each_dialect_answers_where_it_was_moved_to_and_nowhere_else() {
    for dialect in Dialect::ALL {
        let place = Place::new();
        let server = speaking(&place, dialect.name());
        let door = only_door(&server);
        assert_ne!(door, native(&server));
        assert_eq!(spoken_at(door), [dialect]);
        assert_eq!(spoken_at(native(&server)), []);
    }
}

#[test]
fn dialects_that_can_share_a_door_do() {
    let place = Place::new();
    let server = speaking(&place, "all");
    let doors = doors(&server);
    let contents: Vec<&str> = doors.iter().map(|(_, what)| &**what).collect();
    assert_eq!(
        contents,
        [
            "two_queue, realtime and the native API",
            "order_service, api_v1",
            "orders_api",
        ]
    );
    use Dialect::{ApiV1, OrderService, OrdersApi, Realtime, TwoQueue};
    assert_eq!(spoken_at(doors[0].0), [TwoQueue, Realtime]);
    assert_eq!(spoken_at(doors[1].0), [OrderService, ApiV1]);
    assert_eq!(spoken_at(doors[2].0), [OrdersApi]);
}

#[test]
fn head_answers_like_get_without_a_body_in_every_dialect() {
    let place = Place::new();
    let server = speaking(&place, "all");
    let doors = doors(&server);
    for (dialect, path, status) in PATHS {
        let is_there = |(_, contents): &&(SocketAddr, String)| contents.contains(dialect.name());
        let (address, _) = doors.iter().find(is_there).unwrap();
        let (head, get) = (
            ask(*address, &format!("HEAD {path}"), &[], ""),
            get(*address, path),
        );
        assert_status(&head, status);
        assert!(head.ends_with("\r\n\r\n"), "{head}");
        let header = |answer: &str, name: &str| {
            let mut lines = answer.lines();
            lines
                .find(|line| line.starts_with(name))
                .unwrap()
                .to_owned()
        };
        assert_eq!(header(&head, "content-type"), header(&get, "content-type"));
    }
}

#[test]
fn a_log_in_json_tells_each_door() {
    let place = Place::new().with("orderd.toml", &free_ports());
    let server = place.serve(&["--json", "--compat=realtime,api_v1"]);
    let told: Vec<serde_json::Value> = server
        .heard
        .iter()
        .map(|line| serde_json::from_str(line).unwrap())
        .filter(|event: &serde_json::Value| event["message"] == "listening")
        .collect();
    assert_eq!(told.len(), 2, "{:?}", server.heard);
    for (event, dialect, native_api) in [(&told[0], "realtime", true), (&told[1], "api_v1", false)]
    {
        assert_eq!(event["dialects"], dialect);
        assert_eq!(event["native_api"], native_api);
        let address = event["url"].as_str().unwrap().trim_start_matches("http://");
        assert!(TcpStream::connect(address).is_ok());
    }
}

#[test]
fn the_native_api_is_served_beside_the_dialects_of_8080_only() {
    let place = Place::new();
    let server = speaking(&place, "two_queue,orders_api");
    let [(shared, _), (other, _)] = doors(&server)[..] else {
        panic!("not two doors");
    };
    for path in [
        "/livez",
        "/readyz",
        "/metrics",
        "/openapi.json",
        "/v1/stats",
        "/v1/orders",
    ] {
        assert_status(&get(shared, path), 200);
    }
    let order = r#"{"order_id":"A-1","customer_id":"c","items":["tea"],
        "total":{"amount":1,"currency":"USD"}}"#;
    let json = ["Content-Type: application/json"];
    assert_status(&ask(shared, "POST /v1/orders", &json, order), 201);
    assert_status(&get(native(&server), "/v1/orders/A-1"), 200);
    let answer = ask(shared, "POST /v1/orders", &json, "{");
    assert!(
        answer.contains("malformed-json") && answer.contains("request_id"),
        "{answer}"
    );
    for path in ["/livez", "/openapi.json", "/v1/stats"] {
        assert_status(&get(other, path), 404);
    }
}

#[test]
fn server_listen_may_be_the_door_of_a_dialect() {
    // Nobody else has the second loopback address, so the port stays free after it was found.
    let free = TcpListener::bind("127.0.0.2:0").map(|found| found.local_addr());
    let Ok(Ok(address)) = free else { return };
    let moved = format!("[compat.two_queue]\nlisten = \"{address}\"");
    let place = Place::new().with("orderd.toml", &moved);
    let server = place.serve_at(&address.to_string(), &["--compat=two_queue"]);
    assert_eq!(only_door(&server), address);
    assert_eq!(native(&server), address);
    assert_eq!(spoken_at(address), [Dialect::TwoQueue]);
    assert_status(&get(address, "/v1/stats"), 200);
}

#[test]
fn requests_are_counted_by_dialect() {
    let place = Place::new();
    let server = speaking(&place, "two_queue,realtime,api_v1");
    let [(shared, _), (other, _)] = doors(&server)[..] else {
        panic!("not two doors");
    };
    get(shared, "/v1/stats");
    ask(shared, "POST /order", &[], ORDER);
    ask(shared, "POST /order", &[], "{");
    get(shared, "/order/nope");
    get(shared, "/stats");
    get(other, "/api/v1/orders/nope");
    get(other, "/v1/orders");
    let metrics = get(native(&server), "/metrics");
    let count = |route: &str, class: &str, count: u32| {
        let line =
            format!("orderd_http_requests_total{{route=\"{route}\",class=\"{class}\"}} {count}\n");
        assert!(metrics.contains(&line), "no {line} in {metrics}");
    };
    count("compat/two_queue", "2xx", 1);
    count("compat/two_queue", "4xx", 2);
    count("stats", "2xx", 1);
    count("list", "4xx", 0);
    count("compat/realtime", "2xx", 1);
    count("compat/api_v1", "4xx", 2);
    assert!(!metrics.contains("compat/orders_api"));
}

#[test]
fn what_no_handler_sees_is_refused_in_the_words_of_the_dialect() {
    let place = Place::new();
    let server = speaking(&place, "all");
    let doors = doors(&server);
    // More than is read of it before the answer, which must arrive all the same.
    let large = " ".repeat(900_000);
    for (door, path, body) in [
        (0, "/order", "Forbidden\n"),
        (0, "/orders", "Forbidden\n"),
        (
            1,
            "/order-service/order/create",
            "{\"error\":\"Forbidden\"}\n",
        ),
        (
            1,
            "/api/v1/orders",
            "{\"status_code\":403,\"message\":\"Forbidden\"}",
        ),
        (2, "/orders", "{\"error\":\"Forbidden\"}"),
    ] {
        let address = doors[door].0;
        let foreign = ["Origin: http://evil.test"];
        let answer = ask(address, &format!("POST {path}"), &foreign, &large);
        assert_status(&answer, 403);
        assert!(answer.ends_with(&format!("\r\n\r\n{body}")), "{answer}");
        assert!(answer.contains("orderd-error: foreign-origin"), "{answer}");
        assert_status(&ask(address, &format!("GET {path}"), &foreign, ""), 403);
        let own = format!("Origin: http://{address}");
        assert_status(&ask(address, &format!("POST {path}"), &[&own], "{"), 400);
        let answer = get(address, &format!("{path}?{}", "x".repeat(8_192)));
        assert_status(&answer, 414);
        assert!(answer.contains("orderd-error: uri-too-long"), "{answer}");
    }
}

#[test]
fn all_doors_drain_together() {
    let place = Place::new();
    let mut server = speaking(&place, "two_queue");
    let addresses = [native(&server), only_door(&server)];
    let mut stream = TcpStream::connect(addresses[1]).unwrap();
    let head = format!(
        "POST /order HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n\
         Content-Length: {}\r\n\r\n",
        ORDER.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    let mut interim = [0; 25];
    stream.read_exact(&mut interim).unwrap();
    assert_eq!(&interim, b"HTTP/1.1 100 Continue\r\n\r\n");
    server.signal("TERM");
    server.hears("draining: ");
    for address in addresses {
        // The last moment before a door closes may still let somebody in, who is then sent away.
        while let Ok(mut late) = TcpStream::connect(address) {
            let _ = late.read(&mut [0]);
        }
    }
    stream.write_all(ORDER.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert_status(&answer, 200);
    let (_, id) = answer.trim_end().rsplit_once(' ').unwrap();
    assert_eq!(server.exit_code(), Some(0));
    let server = place.serve(&["--compat=none"]);
    assert_status(&get(native(&server), &format!("/v1/orders/{id}")), 200);
}
