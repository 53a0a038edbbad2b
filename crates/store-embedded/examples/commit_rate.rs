//! How fast this machine commits: the disk alone, the log alone, the store; then how fast it reads.
//!
//!     cargo run --release -p store-embedded --example commit_rate -- [folder] [seconds for each figure]
//!
//! A batch is what a workflow's transition writes: four puts (state, history event, inbox, outbox) and a delete (the
//! inbox entry of the batch before).

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use base::Entropy;
use store::{Batch, Key, Range, Store};
use store_embedded::{DiskIo, EmbeddedStore, Io, Options};

const IN_FLIGHT: [usize; 4] = [1, 8, 32, 128];
const EXECUTIONS: u64 = 100_000;
const VALUE_BYTES: usize = 120;
/// What the frame of one batch takes, about.
const FRAME_BYTES: usize = 800;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let dir = arguments.first().map_or_else(|| std::env::temp_dir().join("commit_rate"), PathBuf::from);
    let seconds = arguments.get(1).map_or("3", String::as_str);
    if let [_, _, part, n] = &arguments[..] {
        return run(&dir, Duration::from_secs_f64(seconds.parse()?), part, n.parse()?);
    }
    let _ = std::fs::remove_dir_all(&dir);
    std::fs::create_dir_all(&dir)?;
    let mut parts = vec![("disk", 1)];
    parts.extend(IN_FLIGHT.map(|n| ("log", n)));
    parts.extend(IN_FLIGHT.map(|n| ("store", n)));
    parts.push(("reads", IN_FLIGHT[IN_FLIGHT.len() - 1]));
    for (part, n) in parts {
        // A process each, so that none inherits another's heap.
        let mut child = Command::new(std::env::current_exe()?);
        child.arg(&dir).args([seconds, part, &n.to_string()]).status()?;
    }
    std::fs::remove_dir_all(&dir)?;
    Ok(())
}

fn run(dir: &Path, time: Duration, part: &str, n: usize) -> Result<(), Box<dyn std::error::Error>> {
    match part {
        "disk" => Ok(disk(dir, time)?),
        "log" => Ok(bare_log(dir, time, n)?),
        "store" => commits(&dir.join(format!("store-{n}")), time, n),
        _ => reads(&dir.join(format!("store-{n}"))),
    }
}

/// Writes and syncs `bytes` at a time, over a file that exists, until the time is up; calls a second.
fn synced_writes(dir: &Path, time: Duration, bytes: usize) -> std::io::Result<f64> {
    const FILE_BYTES: usize = 64 << 20;
    let mut file = DiskIo.create(&dir.join("raw"))?;
    file.write_at(0, &vec![0; FILE_BYTES])?;
    file.sync()?;
    let block = vec![0xa5; bytes];
    let (start, mut calls, mut at) = (Instant::now(), 0u32, 0);
    while start.elapsed() < time {
        if at + bytes > FILE_BYTES {
            at = 0;
        }
        file.write_at(at as u64, &block)?;
        file.sync()?;
        at += bytes;
        calls += 1;
    }
    Ok(f64::from(calls) / start.elapsed().as_secs_f64())
}

fn disk(dir: &Path, time: Duration) -> std::io::Result<()> {
    let rate = synced_writes(dir, time, 4096)?;
    println!("disk: write 4 KiB + fdatasync            {rate:>9.0} /s   {:>7.1} us each", 1e6 / rate);
    Ok(())
}

fn bare_log(dir: &Path, time: Duration, in_flight: usize) -> std::io::Result<()> {
    let rate = synced_writes(dir, time, in_flight * FRAME_BYTES)? * in_flight as f64;
    println!("bare log, {in_flight:>3} batches a sync             {rate:>9.0} batches/s");
    Ok(())
}

/// Numbers batches; each writes under the next one.
struct Source {
    next: AtomicU64,
    chance: Entropy,
}

impl Source {
    fn batch(&self) -> Batch {
        let n = self.next.fetch_add(1, Ordering::Relaxed);
        let execution = self.chance.below(EXECUTIONS);
        let value = vec![n as u8; VALUE_BYTES];
        let mut batch = Batch::new();
        batch.put(Key::new("execution").u64(execution), value.clone());
        batch.put(Key::new("history").u64(execution).u64(n), value.clone());
        batch.put(Key::new("inbox").u64(n), value.clone());
        batch.put(Key::new("outbox").u64(n), value);
        batch.delete(Key::new("inbox").u64(n.saturating_sub(200)));
        batch
    }
}

fn commits(dir: &Path, time: Duration, in_flight: usize) -> Result<(), Box<dyn std::error::Error>> {
    let start = Instant::now();
    let store = Arc::new(EmbeddedStore::open(dir, Options::default())?);
    let opened = ms(start);
    let source = Arc::new(Source { next: AtomicU64::new(0), chance: Entropy::from_seed(1) });
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let (start, cpu) = (Instant::now(), cpu_seconds());
    let slowest = runtime.block_on(async {
        let jobs: Vec<_> = (0..in_flight)
            .map(|_| {
                let (store, source) = (store.clone(), source.clone());
                tokio::spawn(async move {
                    let mut slowest = Duration::ZERO;
                    while start.elapsed() < time {
                        let asked = Instant::now();
                        store.commit(source.batch()).await.expect("commit");
                        slowest = slowest.max(asked.elapsed());
                    }
                    slowest
                })
            })
            .collect();
        let mut slowest = Duration::ZERO;
        for job in jobs {
            slowest = slowest.max(job.await.expect("job"));
        }
        slowest
    });
    let (seconds, stats) = (start.elapsed().as_secs_f64(), store.stats());
    let commits = stats.commits as f64;
    println!(
        "store, {in_flight:>3} in flight                      {:>9.0} batches/s  ({:.1} a sync, {:.1} CPU-us each, slowest \
         {:.1} ms, applied {} times, waited {} times; \
         opened in {opened:.1} ms)",
        commits / seconds,
        commits / stats.log_syncs as f64,
        (cpu_seconds() - cpu) * 1e6 / commits,
        slowest.as_secs_f64() * 1e3,
        stats.applies,
        stats.overlay_waits,
    );
    Ok(())
}

fn reads(dir: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let start = Instant::now();
    let store = EmbeddedStore::open(dir, Options::default())?;
    println!("open ({} batches replayed)                {:>9.1} ms", store.stats().batches_replayed, ms(start));
    let chance = Entropy::from_seed(2);
    each("get, index", 200_000, || {
        store.get(Key::new("execution").u64(chance.below(EXECUTIONS)).as_bytes()).expect("get");
    });
    each("get, absent", 200_000, || {
        store.get(Key::new("nothing").u64(chance.below(EXECUTIONS)).as_bytes()).expect("get");
    });
    each("scan of 10, index", 20_000, || {
        store.scan(&Range::prefix(Key::new("execution").u64(chance.below(EXECUTIONS)).as_bytes())).expect("scan");
        let from = Key::new("execution").u64(chance.below(EXECUTIONS)).build();
        store.scan(&Range::between(from, Key::new("executioo").build()).limit(10)).expect("scan");
    });
    let mut batch = Batch::new();
    for n in 0..20_000 {
        batch.put(Key::new("execution").u64(n), vec![1; VALUE_BYTES]);
    }
    store.commit(batch).wait()?;
    each("get, overlay", 200_000, || {
        store.get(Key::new("execution").u64(chance.below(20_000)).as_bytes()).expect("get");
    });
    each("scan of 10, overlay over index", 20_000, || {
        let from = Key::new("execution").u64(chance.below(20_000)).build();
        store.scan(&Range::between(from, Key::new("executioo").build()).limit(10)).expect("scan");
    });
    let start = Instant::now();
    let found = store.scan(&Range::prefix(Key::new("execution").as_bytes()))?.len();
    println!("scan of all {found} executions              {:>9.1} ms", ms(start));
    let start = Instant::now();
    store.close();
    println!("close                                    {:>9.1} ms", ms(start));
    Ok(())
}

fn each(what: &str, times: u32, mut f: impl FnMut()) {
    let start = Instant::now();
    (0..times).for_each(|_| f());
    println!("{what:<40} {:>9.2} us", start.elapsed().as_secs_f64() * 1e6 / f64::from(times));
}

fn ms(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1e3
}

/// What this process has used of the processors; 0 where the system does not say.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |i: usize| fields.get(i).and_then(|f| f.parse::<f64>().ok()).unwrap_or(0.0);
    (ticks(11) + ticks(12)) / 100.0
}
