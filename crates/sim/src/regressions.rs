//! Seeds that found something: they are run with every test.

/// A seed and what it found.
pub struct Regression {
    pub seed: u64,
    pub found: &'static str,
}

pub const REGRESSIONS: &[Regression] = &[];

/// What was found and is not mended yet: these seeds fail until it is, and move up then.
pub const OPEN: &[Regression] = &[Regression {
    seed: 2146,
    found: "also 2209, 2459, 2496: a task's message is sent again after a crash if the task ends (cancelled, or answered \
            by its token) while the second delivery is on its way: the outbox entry goes, the receiver's inbox record is \
            swept, and the delivery is not known again",
}];
