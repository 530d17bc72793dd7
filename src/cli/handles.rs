//! The files that this process may have open: each connection is one, and systems allow a thousand
//! unless asked for more. Never lowers a limit.

/// Asks the system for as many open files as this process may have at all. If it refuses, the old
/// limit stays.
pub fn raise_limit() {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

        let limit = getrlimit(Resource::Nofile);
        let highest = Rlimit {
            current: limit.maximum,
            ..limit
        };
        // What is left to do without is said by whatever finds no file later.
        let _ = setrlimit(Resource::Nofile, highest);
    }
}
