use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Instant;

use anyhow::Result;

use crate::figures::{Series, row};

/// What the disk does without us.
pub struct Disk {
    /// Writes of 4 KiB, each followed by fdatasync, a second.
    pub syncs_per_second: f64,
}

pub fn measure(dir: &Path) -> Result<Disk> {
    const WRITES: u64 = 500;
    let path = dir.join("disk");
    let file = OpenOptions::new().write(true).create_new(true).open(&path)?;
    let block = [0x5a; 4096];
    for n in 0..WRITES {
        file.write_all_at(&block, n * 4096)?;
    }
    file.sync_all()?;
    let mut series = Series::default();
    for n in 0..WRITES {
        let begun = Instant::now();
        file.write_all_at(&block, n * 4096)?;
        file.sync_data()?;
        series.push(begun.elapsed());
    }
    std::fs::remove_file(&path)?;
    let syncs_per_second = 1.0 / series.percentile(50).as_secs_f64();
    row("disk: 4 KiB write + fdatasync", &format!("{syncs_per_second:.0}/s (median), p99 {:?}", series.percentile(99)));
    Ok(Disk { syncs_per_second })
}
