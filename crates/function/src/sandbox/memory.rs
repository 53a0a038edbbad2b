use std::fs::File;
use std::os::unix::fs::FileExt;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

/// Reads how much memory a process uses, cheaply enough for every invocation.
#[derive(Debug)]
pub(crate) struct MemoryProbe {
    pid: u32,
    statm: Option<File>,
    page_bytes: u64,
}

impl MemoryProbe {
    /// A probe that knows nothing where there is no /proc.
    pub fn new(pid: u32) -> MemoryProbe {
        let page_bytes = u64::try_from(rustix::param::page_size()).unwrap_or(4096);
        MemoryProbe { pid, statm: File::open(format!("/proc/{pid}/statm")).ok(), page_bytes }
    }

    /// Resident bytes now.
    pub fn resident_bytes(&self) -> Option<u64> {
        let mut buffer = [0; 128];
        let read = self.statm.as_ref()?.read_at(&mut buffer, 0).ok()?;
        let text = std::str::from_utf8(&buffer[..read]).ok()?;
        Some(text.split(' ').nth(1)?.parse::<u64>().ok()? * self.page_bytes)
    }

    /// The most that was ever resident; costs more than [`MemoryProbe::resident_bytes`].
    pub fn peak_bytes(&self) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid)).ok()?;
        let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"))?;
        Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? * 1024)
    }
}

/// How often processes whose environment cannot be seen yet are looked at again, and the pause before.
const LOOKS_MAX: u32 = 20;
const LOOK_PAUSE: Duration = Duration::from_millis(5);

/// Kills every process whose environment holds `entry` (`NAME=value`): what a worker started and let go of, in a
/// session or process group of its own. Where there is no /proc it finds none. Blocks for a moment.
///
/// The environment of a process that is just about to become another program cannot be seen. Processes that started
/// after `since` (see [`start_ticks`]) and show none are therefore looked at again.
pub(crate) fn kill_by_environment(entry: &str, since: Option<u64>) {
    for _ in 0..LOOKS_MAX {
        if !kill_once(entry, since) {
            return;
        }
        std::thread::sleep(LOOK_PAUSE);
    }
}

/// True if there are processes that could not be judged.
fn kill_once(entry: &str, since: Option<u64>) -> bool {
    let Ok(processes) = std::fs::read_dir("/proc") else { return false };
    let mut unclear = false;
    for process in processes.flatten() {
        let name = process.file_name();
        let Some(number) = name.to_str().and_then(|n| n.parse::<u32>().ok()) else { continue };
        let Ok(environment) = std::fs::read(process.path().join("environ")) else { continue };
        if environment.is_empty() {
            unclear |= since.is_some_and(|since| user_process_start(number).is_some_and(|start| start >= since));
        } else if environment.split(|b| *b == 0).any(|e| e == entry.as_bytes())
            && let Some(pid) = i32::try_from(number).ok().and_then(Pid::from_raw)
        {
            // It may have ended by itself meanwhile.
            let _ = kill_process(pid, Signal::KILL);
        }
    }
    unclear
}

/// When a process started, in the kernel's ticks since boot.
pub(crate) fn start_ticks(pid: u32) -> Option<u64> {
    stat_fields(pid)?.get(19)?.parse().ok()
}

/// [`start_ticks`], if it is neither a thread of the kernel nor dead.
fn user_process_start(pid: u32) -> Option<u64> {
    const KERNEL_THREAD: u64 = 0x0020_0000;
    let fields = stat_fields(pid)?;
    let flags: u64 = fields.get(6)?.parse().ok()?;
    let lives = !matches!(fields[0].as_str(), "Z" | "X");
    fields.get(19)?.parse().ok().filter(|_| lives && flags & KERNEL_THREAD == 0)
}

/// What follows the name in `/proc/<pid>/stat`, the process's state first.
fn stat_fields(pid: u32) -> Option<Vec<String>> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = stat.rsplit_once(')')?;
    Some(rest.split_ascii_whitespace().map(str::to_owned).collect()).filter(|f: &Vec<_>| !f.is_empty())
}
