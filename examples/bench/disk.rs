//! How long the disk takes to make something durable: the time of a small write with `fdatasync`.
//!
//! The file is written over, never grown, as a database in steady state does.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use orderd::clock::monotonic;

const PAGE_BYTES: usize = 4_096;
const PAGES: u64 = 64;
const FLUSHES: u64 = 200;

/// Median and 99th percentile of a flush, in microseconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Flush {
    /// Median.
    pub p50_us: f64,
    /// 99th percentile.
    pub p99_us: f64,
}

/// Flushes a few hundred pages in `folder`.
///
/// # Errors
///
/// The folder cannot be written to.
pub fn measure(folder: &Path) -> io::Result<Flush> {
    let path = folder.join("flush-probe");
    let file = OpenOptions::new()
        .create(true)
        .truncate(true)
        .write(true)
        .open(&path)?;
    let mut times = Vec::new();
    for number in 0..PAGES + FLUSHES {
        let took = flush(&file, number)?;
        if number >= PAGES {
            times.push(took);
        }
    }
    std::fs::remove_file(path)?;
    times.sort_by(f64::total_cmp);
    Ok(Flush {
        p50_us: times[times.len() / 2],
        p99_us: times[times.len() * 99 / 100],
    })
}

fn flush(file: &File, number: u64) -> io::Result<f64> {
    let page = [number as u8; PAGE_BYTES];
    let began_at = monotonic();
    file.write_all_at(&page, number % PAGES * PAGE_BYTES as u64)?;
    file.sync_data()?;
    Ok(began_at.elapsed().as_secs_f64() * 1e6)
}
