use serde::{Deserialize, Serialize};

use crate::record::EndRecord;

/// Children, or the items in them, by what has become of them.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub running: u64,
    pub succeeded: u64,
    pub failed: u64,
    pub timed_out: u64,
    pub aborted: u64,
    pub total: u64,
    pub results_written: u64,
}

impl Counts {
    pub fn started(&mut self, n: u64) {
        self.running += n;
        self.total += n;
    }

    pub fn ended(&mut self, n: u64, status: u8) {
        self.running = self.running.saturating_sub(n);
        *match status {
            EndRecord::SUCCEEDED => &mut self.succeeded,
            EndRecord::TIMED_OUT => &mut self.timed_out,
            EndRecord::ABORTED => &mut self.aborted,
            _ => &mut self.failed,
        } += n;
    }

    /// Those that count as failures: what was stopped does not.
    fn failures(&self) -> u64 {
        self.failed + self.timed_out
    }

    /// All that ended otherwise than well.
    pub fn unsuccessful(&self) -> u64 {
        self.failures() + self.aborted
    }
}

/// `ToleratedFailureCount` and `ToleratedFailurePercentage`; 0 is "not given".
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Tolerance {
    pub count: u64,
    pub percentage: f64,
}

/// What failed items mean.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    GoOn,
    Exceeded,
    /// It depends on how many items there are.
    Count,
}

impl Tolerance {
    /// `total`: how many items there are, if that is known; there are at least those counted.
    pub fn judge(&self, items: &Counts, total: Option<u64>) -> Verdict {
        let failures = items.failures();
        let counts = self.count > 0;
        let shares = self.percentage > 0.0;
        if failures == 0 {
            return Verdict::GoOn;
        }
        if (counts || !shares) && failures > self.count {
            return Verdict::Exceeded;
        }
        // Exact for any number of items that there can be.
        let beyond = |total: u64| failures as f64 * 100.0 > self.percentage * total as f64;
        match total {
            _ if !shares => Verdict::GoOn,
            Some(total) if beyond(total) => Verdict::Exceeded,
            None if beyond(items.total) => Verdict::Count,
            _ => Verdict::GoOn,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tolerated_failures() {
        let items = |failed, total| Counts { failed, total, ..Counts::default() };
        let judge = |count, percentage, failed, so_far, total| {
            Tolerance { count, percentage }.judge(&items(failed, so_far), total)
        };
        assert_eq!(judge(0, 0.0, 0, 5, None), Verdict::GoOn);
        assert_eq!(judge(0, 0.0, 1, 5, None), Verdict::Exceeded);
        assert_eq!(judge(2, 0.0, 2, 5, None), Verdict::GoOn);
        assert_eq!(judge(2, 0.0, 3, 5, None), Verdict::Exceeded);
        assert_eq!(judge(0, 20.0, 1, 5, None), Verdict::GoOn);
        assert_eq!(judge(0, 20.0, 2, 5, None), Verdict::Count);
        assert_eq!(judge(0, 20.0, 2, 5, Some(10)), Verdict::GoOn);
        assert_eq!(judge(0, 20.0, 2, 5, Some(9)), Verdict::Exceeded);
        assert_eq!(judge(0, 100.0, 5, 5, Some(5)), Verdict::GoOn);
        assert_eq!(judge(1, 50.0, 2, 9, Some(9)), Verdict::Exceeded);
        let stopped = Counts { aborted: 3, total: 3, ..Counts::default() };
        assert_eq!(Tolerance::default().judge(&stopped, Some(3)), Verdict::GoOn);
    }

    #[test]
    fn counting() {
        let mut counts = Counts::default();
        counts.started(10);
        for status in [EndRecord::SUCCEEDED, EndRecord::FAILED, EndRecord::TIMED_OUT, EndRecord::ABORTED] {
            counts.ended(2, status);
        }
        assert_eq!((counts.running, counts.total, counts.unsuccessful()), (2, 10, 6));
    }
}
