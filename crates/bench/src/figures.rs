use std::time::Duration;

/// Prints one figure.
pub fn row(what: &str, figure: &str) {
    println!("{what:<58} {figure}");
}

/// Durations, to be sorted once.
#[derive(Default)]
pub struct Series(Vec<Duration>);

impl Series {
    pub fn push(&mut self, duration: Duration) {
        self.0.push(duration);
    }

    pub fn percentile(&mut self, percent: usize) -> Duration {
        self.0.sort_unstable();
        let index = (self.0.len() * percent / 100).min(self.0.len().saturating_sub(1));
        self.0.get(index).copied().unwrap_or_default()
    }
}
