//! Samples of what the processors do: taken by a timer's signal, handed out as a file.
//!
//! The only place that knows the library. Costs nothing while nobody samples; at most one sampling
//! runs in a process.

use crate::clock::Timestamp;

/// A sampling under way; it ends when it is dropped.
#[cfg(unix)]
pub struct Sampling(pprof::ProfilerGuard<'static>);

#[cfg(unix)]
impl Sampling {
    /// How often a busy processor is looked at, in a second: not in step with what happens at round
    /// times.
    const PER_SECOND: i32 = 99;

    /// Starts. `None` if another one runs. Blocks for a while the first time.
    pub fn start() -> Option<Self> {
        let guard = pprof::ProfilerGuardBuilder::default()
            .frequency(Self::PER_SECOND)
            // Looking at the stack inside of these may wait for a lock that they hold.
            .blocklist(&["libc", "libgcc", "pthread", "vdso"])
            .build();
        match guard {
            Ok(guard) => Some(Self(guard)),
            Err(pprof::Error::Running) => None,
            Err(error) => {
                tracing::error!(%error, "a profile could not be started");
                None
            }
        }
    }

    /// The samples until now, as a file; `None` if they cannot be read. Blocks: it looks up the
    /// names of functions.
    pub fn file(self, now: Timestamp) -> Option<Vec<u8>> {
        use super::profile_file::{Function, ProfileFile};
        let report = self.0.report().build();
        let failed = |error: &pprof::Error| tracing::error!(%error, "a profile could not be read");
        let report = report.inspect_err(failed).ok()?;
        let mut file = ProfileFile::new(Self::PER_SECOND.unsigned_abs());
        for (stack, count) in &report.data {
            let symbols = stack.frames.iter().flatten();
            let functions = symbols.map(|symbol| Function {
                name: symbol.name(),
                file: symbol.filename().into_owned(),
                line: symbol.lineno(),
            });
            file.add(
                stack.thread_name_or_id(),
                functions,
                count.unsigned_abs() as u64,
            );
        }
        file.bytes(now, report.timing.duration).ok()
    }
}

/// There are no samples to be had on this system.
#[cfg(not(unix))]
pub enum Sampling {}

#[cfg(not(unix))]
impl Sampling {
    /// Never starts.
    pub fn start() -> Option<Self> {
        None
    }

    /// Cannot be called: none ever started.
    pub fn file(self, _: Timestamp) -> Option<Vec<u8>> {
        match self {}
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn one_runs_at_a_time_and_its_file_is_compressed() {
        let first = Sampling::start().unwrap();
        assert!(Sampling::start().is_none());
        let file = first.file(Timestamp(1_000_000)).unwrap();
        assert_eq!(file[..2], [0x1f, 0x8b]);
        assert!(Sampling::start().is_some());
    }
}
