//! Files as a disk has them: what was flushed stays, and everything else may be there after a power
//! cut, or not, or half of it, in any combination.
//!
//! Pure: knows no calls, no handles and no faults.

use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};

/// What a disk writes as a whole, in bytes.
pub const SECTOR: usize = 512;

/// A file, whatever it is called.
pub type NodeNumber = usize;

/// What is done to files.
#[derive(Clone, Debug)]
pub enum Action {
    /// Gives a new file a name; whatever had it loses it.
    Make(Box<str>),
    Remove(Box<str>),
    Write(NodeNumber, usize, Vec<u8>),
    Truncate(NodeNumber, usize),
    /// All of a file, and of the names if so wanted.
    Flush(NodeNumber, bool),
    FlushNames,
}

impl Action {
    /// In words, without what was written.
    pub fn name(&self) -> String {
        match self {
            Self::Make(name) => format!("make {name}"),
            Self::Remove(name) => format!("remove {name}"),
            Self::Write(node, at, bytes) => {
                format!("write {} bytes at {at} into file {node}", bytes.len())
            }
            Self::Truncate(node, length) => format!("cut file {node} to {length}"),
            Self::Flush(node, _) => format!("flush file {node}"),
            Self::FlushNames => "flush names".into(),
        }
    }
}

/// A change of a file that is not flushed.
#[derive(Clone, Debug)]
enum Change {
    Write(usize, Vec<u8>),
    Truncate(usize),
}

/// A change of the names that is not flushed.
#[derive(Clone, Debug)]
enum Move {
    Give(Box<str>, NodeNumber),
    Take(Box<str>),
}

/// What becomes of a change when the power is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Kept,
    Dropped,
    /// Every sector of which the bit is set, counted from the first.
    Torn(u64),
    /// Nothing of what was written, but the file has grown.
    Hollow,
}

#[derive(Clone, Debug, Default)]
struct Node {
    durable: Vec<u8>,
    seen: Vec<u8>,
    changes: Vec<Change>,
}

/// All files of a computer.
#[derive(Clone, Debug, Default)]
pub struct Platter {
    nodes: Vec<Node>,
    names: BTreeMap<Box<str>, NodeNumber>,
    durable_names: BTreeMap<Box<str>, NodeNumber>,
    moves: Vec<Move>,
}

impl Change {
    fn apply(&self, bytes: &mut Vec<u8>, fate: Fate) {
        match (self, fate) {
            (_, Fate::Dropped) | (Self::Truncate(_), Fate::Hollow) => {}
            // A file is cut, or it is not.
            (Self::Truncate(length), _) => bytes.resize(*length, 0),
            (Self::Write(at, new), Fate::Kept) => write(bytes, *at, new),
            (Self::Write(at, new), Fate::Hollow) => grow(bytes, at + new.len()),
            (Self::Write(at, new), Fate::Torn(sectors)) => {
                let (mut from, mut number) = (0, 0);
                while from < new.len() {
                    let to = new.len().min((at + from) / SECTOR * SECTOR + SECTOR - at);
                    if sectors >> (number % 64) & 1 == 1 {
                        write(bytes, at + from, &new[from..to]);
                    }
                    (from, number) = (to, number + 1);
                }
            }
        }
    }
}

fn grow(bytes: &mut Vec<u8>, length: usize) {
    if bytes.len() < length {
        bytes.resize(length, 0);
    }
}

fn write(bytes: &mut Vec<u8>, at: usize, new: &[u8]) {
    grow(bytes, at + new.len());
    bytes[at..at + new.len()].copy_from_slice(new);
}

impl Node {
    fn change(&mut self, change: Change) {
        change.apply(&mut self.seen, Fate::Kept);
        self.changes.push(change);
    }

    fn flush(&mut self) {
        for change in self.changes.drain(..) {
            change.apply(&mut self.durable, Fate::Kept);
        }
    }
}

impl Move {
    fn apply(&self, names: &mut BTreeMap<Box<str>, NodeNumber>) {
        match self {
            Self::Give(name, node) => drop(names.insert(name.clone(), *node)),
            Self::Take(name) => drop(names.remove(name)),
        }
    }
}

impl Platter {
    pub fn find(&self, name: &str) -> Option<NodeNumber> {
        self.names.get(name).copied()
    }

    /// What is in a file, as every program sees it.
    pub fn seen(&self, node: NodeNumber) -> &[u8] {
        &self.nodes[node].seen
    }

    /// The number that the next new file gets.
    pub fn next_node(&self) -> NodeNumber {
        self.nodes.len()
    }

    /// Makes a file that has no name.
    pub fn nameless(&mut self) -> NodeNumber {
        self.nodes.push(Node::default());
        self.nodes.len() - 1
    }

    pub fn act(&mut self, action: &Action) {
        match action {
            Action::Make(name) => {
                let node = self.nameless();
                self.rename(Move::Give(name.clone(), node));
            }
            Action::Remove(name) => self.rename(Move::Take(name.clone())),
            Action::Write(node, at, bytes) => {
                self.nodes[*node].change(Change::Write(*at, bytes.clone()));
            }
            Action::Truncate(node, length) => self.nodes[*node].change(Change::Truncate(*length)),
            Action::Flush(node, has_names) => {
                self.nodes[*node].flush();
                if *has_names {
                    self.flush_names();
                }
            }
            Action::FlushNames => self.flush_names(),
        }
    }

    fn rename(&mut self, change: Move) {
        change.apply(&mut self.names);
        self.moves.push(change);
    }

    fn flush_names(&mut self) {
        for change in self.moves.drain(..) {
            change.apply(&mut self.durable_names);
        }
    }

    /// Changes that are not flushed.
    pub fn pending(&self) -> usize {
        let changes = self.nodes.iter().map(|node| node.changes.len());
        changes.sum::<usize>() + self.moves.len()
    }

    /// A flush that failed: the system takes the file for clean, although nothing says which
    /// changes are on the disk. Then everybody goes on to see what was written, or what is there.
    pub fn lose(&mut self, node: NodeNumber, fate: &mut dyn FnMut() -> Fate, is_still_seen: bool) {
        let node = &mut self.nodes[node];
        for change in node.changes.drain(..) {
            change.apply(&mut node.durable, fate());
        }
        if !is_still_seen {
            node.seen.clone_from(&node.durable);
        }
    }

    /// The files after a power cut: `fate` is asked for each change that was not flushed, of files
    /// in the order of their making, then of names.
    pub fn after_cut(&self, fate: &mut dyn FnMut() -> Fate) -> Self {
        let mut nodes = Vec::with_capacity(self.nodes.len());
        for node in &self.nodes {
            let mut durable = node.durable.clone();
            for change in &node.changes {
                change.apply(&mut durable, fate());
            }
            nodes.push(Node {
                seen: durable.clone(),
                durable,
                changes: Vec::new(),
            });
        }
        let mut names = self.durable_names.clone();
        for change in &self.moves {
            if fate() != Fate::Dropped {
                change.apply(&mut names);
            }
        }
        Self {
            nodes,
            durable_names: names.clone(),
            names,
            moves: Vec::new(),
        }
    }
}

/// What everybody sees.
impl Hash for Platter {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        for (name, node) in &self.names {
            (name, &self.nodes[*node].seen).hash(hasher);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(actions: &[Action]) -> Platter {
        let mut platter = Platter::default();
        platter.act(&Action::Make("a".into()));
        platter.act(&Action::Flush(0, true));
        actions.iter().for_each(|action| platter.act(action));
        platter
    }

    #[test]
    fn what_is_flushed_stays_and_the_rest_may_go() {
        let platter = file(&[
            Action::Write(0, 0, vec![1; 4]),
            Action::Flush(0, false),
            Action::Write(0, 2, vec![2; 4]),
            Action::Truncate(0, 5),
        ]);
        assert_eq!(platter.seen(0), [1, 1, 2, 2, 2]);
        assert_eq!(platter.pending(), 2);
        let none = platter.after_cut(&mut || Fate::Dropped);
        assert_eq!(none.seen(0), [1; 4]);
        let mut fates = [Fate::Dropped, Fate::Kept].into_iter();
        let cut = platter.after_cut(&mut || fates.next().unwrap());
        assert_eq!(cut.seen(0), [1, 1, 1, 1, 0]);
        let hollow = platter.after_cut(&mut || Fate::Hollow);
        assert_eq!(hollow.seen(0), [1, 1, 1, 1, 0, 0]);
        assert_eq!(hollow.pending(), 0);
    }

    #[test]
    fn a_write_is_torn_where_sectors_begin() {
        let platter = file(&[Action::Write(0, 500, vec![7; 600])]);
        let torn = platter.after_cut(&mut || Fate::Torn(0b101));
        let seen = torn.seen(0);
        assert_eq!(
            (seen.len(), seen[499], seen[511], seen[512]),
            (1_100, 0, 7, 0)
        );
        assert_eq!((seen[1_023], seen[1_024], seen[1_099]), (0, 7, 7));
    }

    #[test]
    fn a_name_lasts_as_soon_as_names_are_flushed() {
        let mut platter = file(&[Action::Make("b".into()), Action::Remove("a".into())]);
        let none = platter.after_cut(&mut || Fate::Dropped);
        assert_eq!((none.find("a"), none.find("b")), (Some(0), None));
        platter.act(&Action::Flush(1, true));
        let none = platter.after_cut(&mut || Fate::Dropped);
        assert_eq!((none.find("a"), none.find("b")), (None, Some(1)));
    }

    #[test]
    fn a_failed_flush_loses_what_is_still_seen() {
        let mut platter = file(&[Action::Write(0, 0, vec![1])]);
        platter.lose(0, &mut || Fate::Dropped, true);
        platter.act(&Action::Flush(0, false));
        assert_eq!(platter.seen(0), [1]);
        assert!(platter.after_cut(&mut || Fate::Kept).seen(0).is_empty());
        platter.act(&Action::Write(0, 0, vec![2]));
        platter.lose(0, &mut || Fate::Dropped, false);
        assert!(platter.seen(0).is_empty());
    }
}
