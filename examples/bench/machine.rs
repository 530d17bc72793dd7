//! What machine this is, and how much of its processor time others take.
//!
//! Reads `/proc` and asks `rustc` and `git`; what cannot be found out is an empty text.

use std::fs;
use std::process::Command;

use serde::{Deserialize, Serialize};

/// The machine and the build of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    /// Model of the processor.
    pub cpu: String,
    /// Processors that this program may use.
    pub cores: usize,
    /// Memory in GiB.
    pub memory_gib: f64,
    /// Kernel release.
    pub kernel: String,
    /// The compiler.
    pub rustc: String,
    /// Git revision, with `-dirty` if files were changed.
    pub revision: String,
}

impl Machine {
    /// This machine.
    pub fn here() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let kilobytes = field(&read("/proc/meminfo"), "MemTotal")
            .split_whitespace()
            .next()
            .and_then(|number| number.parse::<f64>().ok());
        Self {
            cpu: field(&read("/proc/cpuinfo"), "model name").to_owned(),
            cores,
            memory_gib: (kilobytes.unwrap_or(0.0) / 1_048_576.0 * 10.0).round() / 10.0,
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            rustc: output("rustc", &["--version"]),
            revision: output("git", &["describe", "--always", "--dirty", "--exclude=*"]),
        }
    }

    /// The processor as part of a file name: lower-case letters, digits and single dashes.
    pub fn slug(&self) -> String {
        let without_marks = self.cpu.replace("(R)", " ").replace("(TM)", " ");
        let lower = without_marks.to_ascii_lowercase();
        let words = lower.split(|c: char| !c.is_ascii_alphanumeric());
        let words = words.filter(|word| !word.is_empty() && *word != "processor");
        words.collect::<Vec<_>>().join("-")
    }
}

/// How many programs ran or wanted to, on average over the last minute.
pub fn load() -> f64 {
    let text = read("/proc/loadavg");
    let first = text.split(' ').next().and_then(|word| word.parse().ok());
    first.unwrap_or(0.0)
}

/// Processor time of the whole machine since it was started, in ticks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticks {
    all: u64,
    stolen: u64,
}

impl Ticks {
    /// Now.
    pub fn now() -> Self {
        Self::parse(&read("/proc/stat"))
    }

    fn parse(stat: &str) -> Self {
        let line = stat.lines().next().unwrap_or_default();
        let numbers = line.split_whitespace().skip(1).take(8);
        let numbers: Vec<u64> = numbers.map(|word| word.parse().unwrap_or(0)).collect();
        Self {
            all: numbers.iter().sum(),
            stolen: numbers.get(7).copied().unwrap_or(0),
        }
    }

    /// Percent of the time since then that other machines on the host took.
    pub fn steal_percent_since(self, then: Self) -> f64 {
        let all = self.all.saturating_sub(then.all).max(1);
        self.stolen.saturating_sub(then.stolen) as f64 * 100.0 / all as f64
    }
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// The value behind `name` and a colon.
fn field<'a>(text: &'a str, name: &str) -> &'a str {
    let values = text.lines().filter_map(|line| line.split_once(':'));
    let mut found = values.filter(|(key, _)| key.trim() == name);
    found.next().map_or("", |(_, value)| value.trim())
}

fn output(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    text.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_processor_becomes_part_of_a_file_name() {
        let slug = |cpu: &str| {
            let cpu = cpu.to_owned();
            Machine {
                cpu,
                ..Machine::default()
            }
            .slug()
        };
        assert_eq!(
            slug("Intel(R) Xeon(R) Processor @ 2.90GHz"),
            "intel-xeon-2-90ghz"
        );
        assert_eq!(
            slug("AMD EPYC 9V74 80-Core Processor"),
            "amd-epyc-9v74-80-core"
        );
    }

    #[test]
    fn stolen_time_is_the_eighth_number() {
        let then = Ticks::parse("cpu  10 0 10 70 0 0 0 10 0 0\ncpu0 1 2 3");
        let now = Ticks::parse("cpu  20 0 20 140 0 0 0 20 5 0\n");
        assert_eq!(
            then,
            Ticks {
                all: 100,
                stolen: 10
            }
        );
        assert!((now.steal_percent_since(then) - 10.0).abs() < 1e-9);
    }

    #[test]
    fn fields_are_found_by_name() {
        assert_eq!(field("a : 1\nmodel name\t: X 2\n", "model name"), "X 2");
        assert_eq!(field("a: 1", "b"), "");
    }
}
