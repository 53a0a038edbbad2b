//! Benchmarks of the engine alone and of the server through HTTP.
//!
//! Each prints what it measured, beside the raw rate of `fdatasync` on the same disk in the same run: machines differ
//! and are shared, so ratios count.

mod bootstrap;
mod client;
mod disk;
mod engine_alone;
mod figures;
mod server;

use std::path::PathBuf;

use anyhow::Result;
use clap::{Parser, Subcommand};

/// As in the server.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Parser)]
#[command(about = "Benchmarks")]
struct Cli {
    /// The server to measure; built by `cargo build --release`
    #[arg(long, global = true, default_value = "target/release/stepwell")]
    binary: PathBuf,
    /// Where stores are put; the disk that is measured
    #[arg(long, global = true)]
    dir: Option<PathBuf>,
    #[command(subcommand)]
    what: Option<What>,
}

#[derive(Subcommand, Clone, Copy, PartialEq)]
enum What {
    /// Everything below, one after the other
    All,
    /// Raw writes with fdatasync
    Disk,
    /// The engine in process: durable transitions a second
    Engine,
    /// Executions a second through HTTP
    Http,
    /// Latency of an execution with one warm function
    Latency,
    /// Messages a second through HTTP: send, receive, delete
    Queue,
    /// Time to the first answer, and memory when idle
    Start,
}

fn main() -> Result<()> {
    if std::env::var_os("AWS_LAMBDA_RUNTIME_API").is_some() {
        // The server runs this very program as the function that it measures.
        return bootstrap::run();
    }
    let cli = Cli::parse();
    // A benchmark of something that went wrong says so.
    tracing_subscriber::fmt()
        .with_max_level(tracing_subscriber::filter::LevelFilter::WARN)
        .with_writer(std::io::stderr)
        .init();
    let dir = match &cli.dir {
        Some(dir) => tempfile::tempdir_in(dir)?,
        None => tempfile::tempdir_in(".")?,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let what = cli.what.unwrap_or(What::All);
    let wanted = |one: What| what == What::All || what == one;
    let disk = disk::measure(dir.path())?;
    if wanted(What::Engine) {
        runtime.block_on(engine_alone::run(dir.path(), &disk))?;
    }
    if wanted(What::Start) {
        runtime.block_on(server::start_up(&cli.binary, dir.path()))?;
    }
    if wanted(What::Http) {
        runtime.block_on(server::executions(&cli.binary, dir.path(), &disk))?;
    }
    if wanted(What::Latency) {
        runtime.block_on(server::latency(&cli.binary, dir.path()))?;
    }
    if wanted(What::Queue) {
        runtime.block_on(server::queue(&cli.binary, dir.path()))?;
    }
    Ok(())
}
