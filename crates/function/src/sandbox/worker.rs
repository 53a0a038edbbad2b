use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base::Timestamp;
use bytes::Bytes;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::deployment::{Deployment, Invocation};
use super::memory::MemoryProbe;
use super::output::Output;
use super::report::Failure;

/// One worker process, as everybody who deals with it knows it. What it is doing stands in the roster.
pub(crate) struct Worker {
    pub id: u64,
    pub deployment: Arc<Deployment>,
    pub address: SocketAddr,
    pub log_stream: String,
    pub output: Output,
    /// Told when the process has to go.
    pub stop: Notify,
    /// Told when the supervisor's next look at the worker is too late.
    pub attention: Notify,
    /// The process, once there is one; also its process group.
    pid: AtomicU32,
    probe: Mutex<Option<MemoryProbe>>,
    memory_peak_bytes: AtomicU64,
    out_of_memory: AtomicBool,
    /// What the runtime reported about its start.
    init_failure: Mutex<Option<Failure>>,
}

/// What a worker is given to do.
#[derive(Clone, Debug)]
pub(crate) struct Work {
    pub request_id: Arc<str>,
    pub invoked_arn: Arc<str>,
    pub payload: Bytes,
    pub client_context: Option<Arc<str>>,
    pub trace_id: String,
    pub deadline: Timestamp,
    pub tail: bool,
}

/// An invocation in a worker's hands.
pub(crate) struct Running {
    pub invocation: Invocation,
    pub started: Instant,
    pub deadline: Instant,
    /// Of the worker, if this is its first invocation.
    pub init: Option<Duration>,
}

impl Worker {
    pub fn new(
        id: u64,
        deployment: Arc<Deployment>,
        address: SocketAddr,
        log_stream: String,
        output: Output,
    ) -> Worker {
        Worker {
            id,
            deployment,
            address,
            log_stream,
            output,
            stop: Notify::new(),
            attention: Notify::new(),
            pid: AtomicU32::new(0),
            probe: Mutex::default(),
            memory_peak_bytes: AtomicU64::new(0),
            out_of_memory: AtomicBool::new(false),
            init_failure: Mutex::default(),
        }
    }

    pub fn has_process(&self, pid: u32) {
        *self.probe.lock().unwrap_or_else(PoisonError::into_inner) = Some(MemoryProbe::new(pid));
        self.pid.store(pid, Ordering::Release);
    }

    /// Looks at the memory in use; false when it is more than the function has.
    pub fn check_memory(&self) -> bool {
        let probe = self.probe.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(resident) = probe.as_ref().and_then(MemoryProbe::resident_bytes) else { return true };
        self.memory_peak_bytes.fetch_max(resident, Ordering::Relaxed);
        let fits = resident <= u64::from(self.deployment.memory_mb) << 20;
        if !fits {
            self.out_of_memory.store(true, Ordering::Release);
        }
        fits
    }

    /// The most memory seen so far, in whole MB; `exact` asks the kernel for the peak, which takes longer.
    pub fn memory_used_mb(&self, exact: bool) -> u64 {
        let probe = self.probe.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(probe) = probe.as_ref() {
            let now = if exact { probe.peak_bytes() } else { probe.resident_bytes() };
            self.memory_peak_bytes.fetch_max(now.unwrap_or(0), Ordering::Relaxed);
        }
        self.memory_peak_bytes.load(Ordering::Relaxed).div_ceil(1 << 20)
    }

    pub fn ran_out_of_memory(&self) -> bool {
        self.out_of_memory.load(Ordering::Acquire)
    }

    pub fn report_init_failure(&self, failure: Failure) {
        *self.init_failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(failure);
    }

    pub fn take_init_failure(&self) -> Option<Failure> {
        self.init_failure.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Kills the process and all in its group.
    pub fn kill(&self) {
        let pid = i32::try_from(self.pid.load(Ordering::Acquire)).unwrap_or(0);
        if let Some(group) = rustix::process::Pid::from_raw(pid) {
            // Nobody may be left in it, which is what is wanted.
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
    }
}
