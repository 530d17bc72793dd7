//! The targets: each takes any bytes and checks what must be true of them. A panic is a finding.
//! `cargo test` replays the known inputs and their mutations, `scripts/fuzz` looks for new ones;
//! both call these very functions.

mod input;
mod journal;
mod json;
mod orders;
mod place;
mod texts;
mod way;

use self::place::Place;
use self::way::Way;

/// What a target does with an input.
pub type Target = fn(&mut Bench, &[u8]);

/// What is fuzzed: names, which folders in `fuzz/corpus` have too, and what is done with bytes.
pub const TARGETS: &[(&str, Target)] = &[
    ("batch", orders::many),
    ("events", |_, bytes| journal::events(bytes)),
    ("import", orders::finished),
    ("journal", |_, bytes| journal::text(bytes)),
    ("json", |_, bytes| json::tree(bytes)),
    ("mean", |_, bytes| json::mean(bytes)),
    ("number", |_, bytes| json::number(bytes)),
    ("order", orders::one),
    ("texts", |_, bytes| texts::all(bytes)),
];

/// What targets work with. It lives longer than an input, because it takes longer to make.
pub struct Bench {
    place: Place,
    way: Option<Way>,
}

impl Bench {
    /// An empty one; what a target needs is made when it is needed.
    pub fn new() -> Self {
        Self {
            place: Place::new(),
            way: None,
        }
    }

    /// Does what the target with this name does.
    pub fn run(&mut self, name: &str, bytes: &[u8]) {
        let target = TARGETS.iter().find(|(known, _)| *known == name);
        let (_, target) = target.expect("a target of the table");
        target(self, bytes);
    }

    fn way(&mut self) -> (&mut Way, &Place) {
        self.way.take_if(|way| way.is_worn_out());
        (self.way.get_or_insert_with(Way::new), &self.place)
    }
}
