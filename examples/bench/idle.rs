//! Idle connections: what each takes of the server's memory, and what the orders of others notice.
//!
//! Memory is that of the process; the kernel's buffers of a socket are not in it.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, ensure};
use orderd::cli::handles;

use super::overload::lines;
use super::record::{Block, Record};
use super::server::{Server, Side, Work};
use super::stage::{Stage, figures};
use super::stream::{Stream, Tally, millis};
use super::tables::Table;

/// The name in the record.
pub const NAME: &str = "idle";
const SIDE: Side = Side::Orderd(Work::Hour);
/// Orders per second that others send, and for how many seconds.
const RATE: u32 = 1_000;
const SECONDS: u32 = 5;
/// Between the last event and a look at the memory.
const CALM: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(30);
const REQUEST: &[u8] = b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n";

/// Memory of each idle connection, and the latency of accepting without and beside them.
///
/// # Errors
///
/// A server failed, an order was not accepted, or a connection was closed meanwhile.
pub fn measure(stage: &mut Stage) -> anyhow::Result<()> {
    handles::raise_limit();
    for round in 1..=stage.plan.rounds {
        play(stage, round)?;
    }
    Ok(())
}

fn play(stage: &mut Stage, round: u32) -> anyhow::Result<()> {
    let count = stage.plan.idle_connections;
    stage.announce(format!("idle {round}: {count} connections"));
    let folder = stage.fresh()?;
    let server = Server::start(&stage.programs, SIDE, folder.path())?;
    let without = p99_ms(server.address)?;
    sleep(CALM);
    let before = server.memory()?.resident_bytes;
    let mut idle = Vec::new();
    for _ in 0..count {
        let mut connection = TcpStream::connect(server.address)?;
        connection.set_read_timeout(Some(PATIENCE))?;
        ask(&mut connection)?;
        idle.push(connection);
    }
    sleep(CALM);
    let each = (server.memory()?.resident_bytes - before) / f64::from(count);
    let beside = p99_ms(server.address)?;
    for connection in &mut idle {
        ask(connection).context("an idle connection was closed")?;
    }
    let figures = figures([
        ("connections", f64::from(count)),
        ("kib_per_connection", each / 1_024.0),
        ("p99_without_ms", without),
        ("p99_beside_ms", beside),
    ]);
    stage.keep(Block {
        measure: NAME.to_owned(),
        side: SIDE.name().to_owned(),
        round,
        figures,
    })
}

/// A request and its answer.
fn ask(connection: &mut TcpStream) -> anyhow::Result<()> {
    connection.write_all(REQUEST)?;
    let mut answer = [0; 1_024];
    let read = connection.read(&mut answer)?;
    let is_good = answer[..read].starts_with(b"HTTP/1.1 200 ");
    ensure!(is_good, "/livez was not answered with 200");
    Ok(())
}

fn p99_ms(address: SocketAddr) -> anyhow::Result<f64> {
    let sum = Tally::sum(&Stream::orders(address, RATE, SECONDS)?.run()?)?;
    ensure!(sum.accepted == sum.offered(), "orders were not accepted");
    Ok(millis(&sum.accepted_us, 99.0))
}

/// The figures with their goals.
pub fn table(record: &Record) -> Table {
    const LINES: [(&str, &str, usize, &str); 4] = [
        ("idle connections", "connections", 0, ""),
        ("memory of each (KiB)", "kib_per_connection", 1, "≤ 32"),
        (
            "accept at 1,000/s without, p99 (ms)",
            "p99_without_ms",
            2,
            "",
        ),
        ("the same beside them (ms)", "p99_beside_ms", 2, ""),
    ];
    lines("Idle connections", record, (NAME, SIDE), &LINES)
}
