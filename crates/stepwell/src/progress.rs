//! How far a long piece of work has come: a line that renews itself on a terminal, plain lines elsewhere.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

/// How often a line elsewhere than on a terminal is repeated while nothing else is to be said.
const PLAIN_PAUSE: Duration = Duration::from_secs(5);

pub struct Progress {
    terminal: bool,
    quiet: bool,
    shown: String,
    last: Option<Instant>,
}

impl Progress {
    /// `quiet`: nothing is shown at all (machine-readable output).
    pub fn new(quiet: bool) -> Progress {
        Progress { terminal: std::io::stderr().is_terminal(), quiet, shown: String::new(), last: None }
    }

    /// A line that stays.
    pub fn line(&mut self, text: &str) {
        if self.quiet {
            return;
        }
        self.wipe();
        eprintln!("{text}");
    }

    /// The line that shows how far things are.
    pub fn status(&mut self, text: &str) {
        if self.quiet || self.shown == text {
            return;
        }
        if self.terminal {
            self.wipe();
            eprint!("{text}");
            // Nothing depends on this reaching the terminal.
            let _ = std::io::stderr().flush();
        } else if self.last.is_none_or(|at| at.elapsed() >= PLAIN_PAUSE) {
            eprintln!("{text}");
            self.last = Some(Instant::now());
        }
        text.clone_into(&mut self.shown);
    }

    /// Takes the status line away.
    pub fn wipe(&mut self) {
        if self.terminal && !self.shown.is_empty() {
            eprint!("\r\x1b[2K");
        }
        self.shown.clear();
    }
}
