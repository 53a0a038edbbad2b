use std::time::Duration;

use interp::Limits;

/// The engine's bounds.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    pub standard_limits: Limits,
    pub express_limits: Limits,
    /// AWS: 1 MiB.
    pub definition_bytes_max: usize,
    /// Executions that may run at once, for each of the eight cells. AWS: 1,000,000 in an account.
    pub running_executions_per_cell_max: usize,
    /// How long executions are kept after their end, and their names taken. AWS: 90 days.
    pub execution_retention: Duration,
    /// Children of one Map Run that run at once, whatever its `MaxConcurrency` says. AWS: 10,000.
    pub map_run_children_max: usize,
    /// Calls of services and functions that are under way at once; further ones wait.
    pub calls_max: usize,
    /// Pollers that may wait for one activity. AWS: 1,000.
    pub activity_pollers_max: usize,
    /// How long GetActivityTask waits. AWS: 60 s.
    pub activity_poll_ms: u64,
    /// How often a call is sent again when our own service was unavailable.
    pub call_attempts_max: u32,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            standard_limits: Limits::STANDARD,
            express_limits: Limits::EXPRESS,
            definition_bytes_max: asl::DEFINITION_BYTES_MAX,
            running_executions_per_cell_max: 125_000,
            execution_retention: Duration::from_secs(90 * 86_400),
            map_run_children_max: 10_000,
            calls_max: 4_096,
            activity_pollers_max: 1_000,
            activity_poll_ms: 60_000,
            call_attempts_max: 6,
        }
    }
}
