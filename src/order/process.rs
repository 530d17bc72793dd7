//! Processes: named, versioned lists of steps, and the registry of those that are known.
//!
//! An order pins the version it began with. A definition never changes under the same version;
//! limits are not part of it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::step::unlimited;
use super::{Push, Queues, Simulate, Step, StepKind};

/// The process an order gets if it names none.
pub const DEFAULT_PROCESS: &str = "default";

/// A named, versioned list of steps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// 1 to 64 lower-case letters, digits, `_` or `-`.
    pub name: Arc<str>,
    /// Rises with each change of the steps. 0 is a process built into orderd.
    pub version: u32,
    /// Most orders of this process that are processing at once, from 1.
    #[serde(skip, default = "unlimited")]
    pub concurrency: u32,
    /// Most orders of this process, in all its versions, that may be open at once. 0: it has no
    /// bound of its own, beside that of the whole server.
    #[serde(skip)]
    pub open_orders_max: u64,
    /// The steps in the order they run, 1 to 100.
    pub steps: Vec<Step>,
}

impl Process {
    /// The process of a fresh installation: one step of simulated work that takes 1 to 10 s.
    pub fn built_in() -> Self {
        let kind = StepKind::Simulate(Simulate {
            shortest_us: 1_000_000,
            longest_us: 10_000_000,
            ..Simulate::default()
        });
        Self {
            name: DEFAULT_PROCESS.into(),
            version: 0,
            concurrency: 1_000_000,
            open_orders_max: 0,
            steps: vec![Step::new("simulated-work", kind)],
        }
    }

    /// Whether a step looks at what was ordered.
    pub fn has_rules(&self) -> bool {
        self.steps
            .iter()
            .any(|step| matches!(step.kind, StepKind::Rules(_)))
    }

    /// Whether a step of it is simulated work, which does nothing. Rules are real work.
    pub fn has_simulated_work(&self) -> bool {
        self.steps
            .iter()
            .any(|step| matches!(step.kind, StepKind::Simulate(_)))
    }

    /// What is done at a step, or how that is undone. Places come from orders of this process.
    pub fn work(&self, step: u8, is_undoing: bool) -> &Step {
        let step = &self.steps[usize::from(step)];
        step.undo.as_deref().filter(|_| is_undoing).unwrap_or(step)
    }

    /// The number of the step with this name.
    pub fn step_index(&self, name: &str) -> Option<u8> {
        let at = self.steps.iter().position(|step| &*step.name == name)?;
        u8::try_from(at).ok()
    }

    /// What is done at each step, and how that is undone.
    fn works(&self) -> impl Iterator<Item = &Step> {
        self.steps.iter().flat_map(Step::works)
    }

    fn defines_the_same(&self, other: &Self) -> bool {
        let same = |(own, other): (&Step, &Step)| {
            own.name == other.name && own.kind.defines_the_same(&other.kind)
        };
        self.works().count() == other.works().count() && self.works().zip(other.works()).all(same)
    }
}

/// Place of a process in the registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProcessIndex(pub u16);

/// Place of a process's name in the registry: its versions share it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NameIndex(pub u16);

/// A process that was kept under the same name and version has other steps now.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("process {name} changed but is still version {version}; orders pin it: raise its version")]
pub struct VersionReused {
    /// The process.
    pub name: Arc<str>,
    /// Its version.
    pub version: u32,
}

/// All processes that are known: those that new orders may name, and older versions that open
/// orders pin.
#[derive(Clone, Debug, Default)]
pub struct Processes {
    all: Vec<Process>,
    current: usize,
    names: Vec<Arc<str>>,
    /// The name of each process.
    name_of: Vec<NameIndex>,
    queues: Queues,
}

impl Processes {
    /// The processes of the configuration (`current`), and those `kept` by the store from earlier
    /// starts.
    ///
    /// Fails if a current one has the name and version of a kept one, but other steps.
    pub fn new(current: Vec<Process>, kept: Vec<Process>) -> Result<Self, VersionReused> {
        let mut processes = Self {
            current: current.len(),
            all: current,
            ..Self::default()
        };
        for mut old in kept {
            match processes.find_version(&old.name, old.version) {
                None => {
                    processes.limit_like_current(&mut old);
                    processes.all.push(old);
                }
                Some((_, same)) if same.defines_the_same(&old) => {}
                Some(_) => {
                    return Err(VersionReused {
                        name: old.name,
                        version: old.version,
                    });
                }
            }
        }
        processes.index_names();
        processes.queues = Queues::of(&processes.all);
        Ok(processes)
    }

    fn index_names(&mut self) {
        for process in &self.all {
            let known = self.names.iter().position(|name| *name == process.name);
            let at = known.unwrap_or_else(|| {
                self.names.push(Arc::clone(&process.name));
                self.names.len() - 1
            });
            // There are no more names than processes, and those have a `u16` each.
            self.name_of.push(NameIndex(at as u16));
        }
    }

    /// All names, in the order of their indexes: each once.
    pub fn names(&self) -> &[Arc<str>] {
        &self.names
    }

    /// The name of the process at this place.
    pub fn name_of(&self, index: ProcessIndex) -> NameIndex {
        self.name_of[usize::from(index.0)]
    }

    /// Limits, retries and addresses are not part of a definition: an old version follows the
    /// current one's, step by step name.
    fn limit_like_current(&self, old: &mut Process) {
        let Some(current) = self.find(&old.name).map(|index| self.at(index)) else {
            return;
        };
        (old.concurrency, old.open_orders_max) = (current.concurrency, current.open_orders_max);
        for step in &mut old.steps {
            if let Some(same) = current.steps.iter().find(|same| same.name == step.name) {
                (step.concurrency, step.retry) = (same.concurrency, same.retry);
                if let (StepKind::Push(old), StepKind::Push(new)) = (&mut step.kind, &same.kind) {
                    let own = old.lookup.take();
                    let lookup = own.map(|own| new.lookup.clone().unwrap_or(own));
                    *old = Push {
                        lookup,
                        ..new.clone()
                    };
                }
                if let (Some(old), Some(same)) = (&mut step.undo, &same.undo) {
                    (old.concurrency, old.retry) = (same.concurrency, same.retry);
                }
            }
        }
    }

    /// The process that new orders with this name get.
    pub fn find(&self, name: &str) -> Option<ProcessIndex> {
        let at = self.all[..self.current]
            .iter()
            .position(|process| &*process.name == name)?;
        u16::try_from(at).ok().map(ProcessIndex)
    }

    /// The process with this name in this version.
    pub fn find_version(&self, name: &str, version: u32) -> Option<(ProcessIndex, &Process)> {
        let mut all = self.all.iter().enumerate();
        let (at, process) = all.find(|(_, p)| &*p.name == name && p.version == version)?;
        Some((ProcessIndex(u16::try_from(at).ok()?), process))
    }

    /// All versions of a process that are known, itself among them.
    pub fn versions(&self, index: ProcessIndex) -> impl Iterator<Item = ProcessIndex> + '_ {
        let name = self.name_of(index);
        let all = (0..).map(ProcessIndex).zip(&self.name_of);
        all.filter(move |(_, other)| **other == name)
            .map(|(index, _)| index)
    }

    /// The process at this place. Indexes come from this registry, so there is one.
    pub fn at(&self, index: ProcessIndex) -> &Process {
        &self.all[usize::from(index.0)]
    }

    /// Those that new orders may name.
    pub fn current(&self) -> &[Process] {
        &self.all[..self.current]
    }

    /// The queues that workers lease from.
    pub fn queues(&self) -> &Queues {
        &self.queues
    }

    /// All, in the order of their indexes.
    pub fn all(&self) -> &[Process] {
        &self.all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_version_stays_known_but_takes_no_new_orders() {
        let old = Process {
            version: 1,
            ..Process::built_in()
        };
        let new = Process {
            version: 2,
            ..Process::built_in()
        };
        let processes = Processes::new(vec![new], vec![old]).unwrap();
        assert_eq!(processes.at(processes.find("default").unwrap()).version, 2);
        assert_eq!(processes.find_version("default", 1).unwrap().1.version, 1);
        assert_eq!(processes.names(), ["default".into()]);
        assert_eq!(processes.versions(ProcessIndex(0)).count(), 2);
        assert!(processes.find("other").is_none());
    }

    #[test]
    fn other_steps_under_the_same_version_are_refused() {
        let mut changed = Process::built_in();
        changed.steps[0].name = "pay".into();
        let refused = Processes::new(vec![changed], vec![Process::built_in()]).unwrap_err();
        assert_eq!(
            refused,
            VersionReused {
                name: "default".into(),
                version: 0
            }
        );
        let mut limited = Process::built_in();
        limited.concurrency = 3;
        assert!(Processes::new(vec![limited], vec![Process::built_in()]).is_ok());
    }

    #[test]
    fn a_definition_survives_the_way_through_json() {
        let text = serde_json::to_string(&Process::built_in()).unwrap();
        let read: Process = serde_json::from_str(&text).unwrap();
        assert!(read.defines_the_same(&Process::built_in()));
    }
}
