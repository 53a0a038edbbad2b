use std::collections::VecDeque;

use base::Timestamp;

use crate::chance::hash;

/// Lines that are kept for a failure's report.
const LINES_MAX: usize = 120;

/// What happened, in order: a hash over all of it, and its last lines.
#[derive(Debug, Default)]
pub struct Trace {
    hash: u64,
    pub lines: VecDeque<String>,
    echo: bool,
}

impl Trace {
    /// `echo`: every line is printed too.
    pub fn new(echo: bool) -> Trace {
        Trace { echo, ..Trace::default() }
    }

    pub fn note(&mut self, now: Timestamp, line: String) {
        self.hash = hash(&[&self.hash.to_be_bytes(), &now.as_millis().to_be_bytes(), line.as_bytes()]);
        let line =
            format!("{:>9}.{:03} {line}", now.as_millis().rem_euclid(1_000_000_000) / 1000, now.as_millis() % 1000);
        if self.echo {
            eprintln!("{line}");
        }
        if self.lines.len() == LINES_MAX {
            self.lines.pop_front();
        }
        self.lines.push_back(line);
    }

    pub fn hash(&self) -> u64 {
        self.hash
    }
}
