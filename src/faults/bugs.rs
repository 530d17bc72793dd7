//! Planted bugs: mistakes that a test build can be made to have, one at a time, to prove that the
//! tests would notice them. Each stands at the place that keeps the promise it breaks.
//!
//! `tests/planted` goes through the list.

/// A mistake, by the promise that it breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// Answers leave before the commit is flushed.
    AnswerBeforeFlush,
}

impl Bug {
    /// All of them: a test goes through this list.
    pub const ALL: [Self; 1] = [Self::AnswerBeforeFlush];

    /// The name by which `ORDERD_BUG` asks for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::AnswerBeforeFlush => "answer-before-flush",
        }
    }
}
