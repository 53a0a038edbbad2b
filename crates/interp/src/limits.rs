/// What an execution may use; AWS's quotas unless the operator lifts them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Size of one state's or task's input or output, in UTF-8 bytes.
    pub payload_bytes_max: usize,
    /// Events in one history, the ending one included. Express executions have no such limit: `u64::MAX`.
    pub history_events_max: u64,
    /// States entered in one step; then the step ends with [`crate::Effect::Continue`].
    pub transitions_per_step_max: u32,
    /// Size of all variables of an execution together, as JSON text; one Assign is held to `payload_bytes_max`.
    pub variables_bytes_max: usize,
    /// Iterations of one inline Map state that run at a time.
    pub map_concurrency_max: usize,
}

/// AWS's quota for a task's or state's input and output.
pub const PAYLOAD_BYTES_MAX: usize = 262_144;
/// AWS's quota for the history of a Standard execution.
pub const HISTORY_EVENTS_MAX: u64 = 25_000;
/// How far one step may go, so that an endless loop cannot hold the engine.
pub const TRANSITIONS_PER_STEP_MAX: u32 = 512;
/// AWS's quota for all variables of an execution.
pub const VARIABLES_BYTES_MAX: usize = 10 * 1024 * 1024;
/// AWS runs at most this many iterations of an inline Map state at a time.
pub const MAP_CONCURRENCY_MAX: usize = 40;

impl Limits {
    /// AWS's quotas for Standard executions.
    pub const STANDARD: Limits = Limits {
        payload_bytes_max: PAYLOAD_BYTES_MAX,
        history_events_max: HISTORY_EVENTS_MAX,
        transitions_per_step_max: TRANSITIONS_PER_STEP_MAX,
        variables_bytes_max: VARIABLES_BYTES_MAX,
        map_concurrency_max: MAP_CONCURRENCY_MAX,
    };

    /// AWS's quotas for Express executions.
    pub const EXPRESS: Limits = Limits { history_events_max: u64::MAX, ..Limits::STANDARD };
}

impl Default for Limits {
    fn default() -> Limits {
        Limits::STANDARD
    }
}
