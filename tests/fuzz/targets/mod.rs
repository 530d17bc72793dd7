//! The targets: each takes any bytes and checks what must be true of them. A panic is a finding.
//! `cargo test` replays the known inputs and their mutations, `scripts/fuzz` looks for new ones;
//! both call these very functions.

mod client;
mod door;
mod headers;
mod input;
mod journal;
mod json;
mod orders;
mod place;
mod requests;
mod rows;
mod settings;
mod texts;
mod way;

use self::door::Doors;
use self::place::Place;
use self::rows::Rows;
use self::way::Way;
use tempfile::TempDir;

/// What a target does with an input.
pub type Target = fn(&mut Bench, &[u8]);

/// What is fuzzed: names, which folders in `fuzz/corpus` have too, and what is done with bytes.
pub const TARGETS: &[(&str, Target)] = &[
    ("answer", |_, bytes| client::answer(bytes)),
    ("batch", orders::many),
    ("events", |_, bytes| journal::events(bytes)),
    ("file", client::file),
    ("headers", headers::all),
    ("import", orders::finished),
    ("journal", |_, bytes| journal::text(bytes)),
    ("json", |_, bytes| json::tree(bytes)),
    ("mean", |_, bytes| json::mean(bytes)),
    ("number", |_, bytes| json::number(bytes)),
    ("order", orders::one),
    ("query", requests::query),
    ("requests", requests::all),
    ("rows", rows::all),
    ("settings", settings::all),
    ("texts", |_, bytes| texts::all(bytes)),
];

/// What targets work with. It lives longer than an input, because it takes longer to make.
pub struct Bench {
    place: Place,
    way: Option<Way>,
    doors: Option<Doors>,
    rows: Option<Rows>,
    folder: TempDir,
}

impl Bench {
    /// An empty one; what a target needs is made when it is needed.
    pub fn new() -> Self {
        Self {
            place: Place::new(),
            way: None,
            doors: None,
            rows: None,
            folder: place::folder(),
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

    fn doors(&mut self) -> (&mut Doors, &Place) {
        self.doors.take_if(|doors| doors.is_worn_out());
        (self.doors.get_or_insert_with(Doors::new), &self.place)
    }

    fn rows(&mut self) -> (&mut Rows, &Place) {
        let rows = self.rows.get_or_insert_with(|| Rows::new(&self.place));
        (rows, &self.place)
    }

    /// A folder for files that live as long as an input.
    fn folder(&self) -> &TempDir {
        &self.folder
    }
}
