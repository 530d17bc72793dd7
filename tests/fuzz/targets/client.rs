//! What the commands read from elsewhere: the answers of a server, and files of orders. It depends
//! neither on how much of it has arrived, nor on how it is packed.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use orderd::cli::load::file::{Lines, placed_at};
use orderd::cli::response::{Extent, Framing};

use super::Bench;

/// An answer of a server. The first byte says whether the server has hung up behind it.
pub fn answer(bytes: &[u8]) {
    let Some((first, bytes)) = bytes.split_first() else {
        return;
    };
    let ended = first & 1 == 1;
    let found = Extent::find(bytes, ended);
    let Ok(Some(extent)) = found else { return };
    assert!(extent.bytes() <= bytes.len());
    let response = extent.response(bytes);
    assert!((200..=999).contains(&response.status));
    assert!(response.body.len() <= extent.body_bytes);
    assert_eq!(response.head.len(), extent.head.head_bytes);
    for name in ["content-type", "location", "retry-after", ""] {
        let _ = response.header(name);
    }
    if extent.head.framing == Framing::UntilClose {
        assert!(ended && extent.bytes() == bytes.len());
        return;
    }
    // It does not depend on how much of what follows has arrived, nor on the hanging up.
    assert_eq!(
        Extent::find(&bytes[..extent.bytes()], false),
        Ok(Some(extent))
    );
    assert_eq!(
        Extent::find(&bytes[..extent.bytes()], true),
        Ok(Some(extent))
    );
    let step = extent.bytes() / 16 + 1;
    for part in (0..extent.bytes()).step_by(step) {
        assert_eq!(
            Extent::find(&bytes[..part], false),
            Ok(None),
            "{part} bytes"
        );
    }
}

/// A file of orders, as it is and packed.
pub fn file(bench: &mut Bench, bytes: &[u8]) {
    let expected: Vec<(u64, &[u8])> = (1..)
        .zip(bytes.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii))
        .filter(|(_, line)| !line.is_empty())
        .collect();
    let path = bench.folder().path().join("orders.ndjson");
    std::fs::write(&path, bytes).expect("a file");
    let is_packed_already = bytes.starts_with(&[0x1f, 0x8b]);
    match (lines(&path), is_packed_already) {
        (Ok(lines), false) => assert!(same(&lines, &expected), "{lines:?}"),
        (Err(error), false) => panic!("{error}"),
        (Ok(_) | Err(_), true) => {}
    }
    let (half, rest) = bytes.split_at(bytes.len() / 2);
    let packed = [packed(half), packed(rest)].concat();
    std::fs::write(&path, packed).expect("a file");
    let read = lines(&path).expect("whole files are read");
    assert!(same(&read, &expected), "{read:?}");
}

fn lines(path: &std::path::Path) -> Result<Vec<(u64, Vec<u8>)>, String> {
    let mut lines = Lines::open(path).map_err(|error| error.to_string())?;
    let mut found = Vec::new();
    while let Some((number, line)) = lines.advance().map_err(|error| error.to_string())? {
        let _ = placed_at(line);
        found.push((number, line.to_vec()));
    }
    Ok(found)
}

fn same(read: &[(u64, Vec<u8>)], expected: &[(u64, &[u8])]) -> bool {
    let read = read.iter().map(|(number, line)| (*number, line.as_slice()));
    read.eq(expected.iter().copied())
}

fn packed(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).expect("memory takes it");
    encoder.finish().expect("memory takes it")
}
