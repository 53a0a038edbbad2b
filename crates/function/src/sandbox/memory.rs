use std::fs::File;
use std::os::unix::fs::FileExt;

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

/// Kills every process whose environment holds `entry` (`NAME=value`): what a worker started and let go of, in a
/// session or process group of its own. Where there is no /proc it finds none.
pub(crate) fn kill_by_environment(entry: &str) {
    let Ok(processes) = std::fs::read_dir("/proc") else { return };
    for process in processes.flatten() {
        let name = process.file_name();
        let Some(pid) = name.to_str().and_then(|n| n.parse::<i32>().ok()).and_then(rustix::process::Pid::from_raw)
        else {
            continue;
        };
        let Ok(environment) = std::fs::read(process.path().join("environ")) else { continue };
        if environment.split(|b| *b == 0).any(|e| e == entry.as_bytes()) {
            // It may have ended by itself meanwhile.
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        }
    }
}
