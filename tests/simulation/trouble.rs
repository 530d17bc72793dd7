//! What goes wrong with the files of a computer, and in which call: errors, a full disk, the end of
//! the process, a power cut.
//!
//! A plan only; what follows from it is done by the computer.

use rand::RngExt;
use rand::rngs::StdRng;

/// What is asked of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    Read,
    /// A write into what is there.
    Write,
    /// A write behind the end.
    Grow,
    Truncate,
    Flush,
    Make,
    Remove,
}

/// How a process ends without an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Down {
    /// The files stay as everybody saw them.
    Killed,
    /// What was not flushed stays, or not.
    PowerCut,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// The call fails and changes nothing.
    Fails,
    /// A flush fails, and what it should have made durable is taken for clean.
    Loses { is_still_seen: bool },
    /// There is no room, for so many calls.
    Full(u32),
    /// There is no room for this user.
    OverQuota,
    /// A part is written, then there is no room.
    Short,
    /// The process ends in the middle of the call.
    Ends(Down),
}

impl What {
    pub fn name(self) -> &'static str {
        match self {
            Self::Fails => "call failed",
            Self::Loses {
                is_still_seen: true,
            } => "flush lost what is still seen",
            Self::Loses { .. } => "flush lost what was written",
            Self::Full(_) => "no room",
            Self::OverQuota => "no room for this user",
            Self::Short => "short write",
            Self::Ends(Down::Killed) => "killed in a call",
            Self::Ends(Down::PowerCut) => "power cut in a call",
        }
    }
}

/// Something that is going to happen once.
#[derive(Clone, Copy, Debug)]
pub struct Trouble {
    /// `None`: any that changes something.
    pub call: Option<Call>,
    /// So many of these calls go well before.
    pub after: u32,
    pub what: What,
}

impl Trouble {
    pub fn concerns(&self, call: Call) -> bool {
        match self.call {
            None => call != Call::Read,
            // Writes are of one kind for who counts them.
            Some(Call::Write) => matches!(call, Call::Write | Call::Grow),
            Some(this) => call == this,
        }
    }

    /// Something that happens within the next turns.
    pub fn soon(random: &mut StdRng) -> Self {
        let is_still_seen = random.random();
        let (call, within, what) = match random.random_range(0..12) {
            0..3 => (None, 60, What::Ends(Down::PowerCut)),
            3 => (None, 60, What::Ends(Down::Killed)),
            4 => (Some(Call::Flush), 3, What::Fails),
            5..7 => (Some(Call::Flush), 3, What::Loses { is_still_seen }),
            7 => (Some(Call::Write), 60, What::Fails),
            8 => (Some(Call::Read), 20, What::Fails),
            9 => (Some(Call::Truncate), 2, What::Fails),
            10 => (Some(Call::Write), 60, What::Short),
            _ => (Some(Call::Grow), 60, What::Full(random.random_range(1..9))),
        };
        Self {
            call,
            after: random.random_range(0..within),
            what,
        }
    }
}
