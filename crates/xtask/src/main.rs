//! Chores of the workspace: `cargo xtask test`, `cargo xtask lint`, `cargo xtask bench`, `cargo xtask fuzz`, `cargo xtask sim`.

mod fuzz;
mod tidy;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

const USAGE: &str = "\
usage: cargo xtask COMMAND

  test   every test of the workspace and of the pipelines' logic
  lint   formatting, clippy with warnings as errors, tidy (layers, sizes, links)
  tidy   the last of these alone
  bench  the benchmarks, in release; further words go to them
  sim    the simulator: --seeds N (200), --from SEED (1), --trace; in release beyond 1,000 seeds
  fuzz   the fuzz targets, 60 s each; names of targets and --seconds N choose";

fn main() {
    if let Err(error) = run() {
        eprintln!("xtask: {error:#}");
        std::process::exit(1)
    }
}

fn run() -> Result<()> {
    let mut words = std::env::args().skip(1);
    let command = words.next().unwrap_or_default();
    let rest: Vec<String> = words.collect();
    match command.as_str() {
        "test" => test(&rest),
        "lint" => lint(),
        "tidy" => tidy::check(&root()),
        "bench" => bench(&rest),
        "sim" => sim(&rest),
        "fuzz" => fuzz::run(&root(), &rest),
        _ => {
            eprintln!("{USAGE}");
            std::process::exit(2)
        }
    }
}

fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).expect("crates/xtask lies two levels below the root").to_owned()
}

fn test(rest: &[String]) -> Result<()> {
    cargo(&["test", "--workspace", "--quiet", "--no-fail-fast"], rest)?;
    // The pipelines' own logic, without the SDKs that their functions are built with.
    cargo(&["test", "--quiet", "--manifest-path", "pipelines/Cargo.toml", "--package", "assessmax-core"], &[])
}

fn lint() -> Result<()> {
    cargo(&["fmt", "--all", "--check"], &[])?;
    cargo(&["clippy", "--workspace", "--all-targets", "--quiet", "--", "-D", "warnings"], &[])?;
    tidy::check(&root())
}

fn bench(rest: &[String]) -> Result<()> {
    cargo(&["run", "--release", "--quiet", "--package", "bench", "--"], rest)
}

/// A few seeds are not worth an optimised build.
fn sim(rest: &[String]) -> Result<()> {
    const SEEDS_UNOPTIMISED_MAX: u64 = 1_000;
    let seeds = rest.iter().skip_while(|word| *word != "--seeds").nth(1).and_then(|seeds| seeds.parse::<u64>().ok());
    let profile = if seeds.is_some_and(|seeds| seeds > SEEDS_UNOPTIMISED_MAX) { "release" } else { "dev" };
    cargo(&["run", "--profile", profile, "--quiet", "--package", "sim", "--"], rest)
}

fn cargo(words: &[&str], rest: &[String]) -> Result<()> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    eprintln!("> cargo {} {}", words.join(" "), rest.join(" "));
    let status = Command::new(cargo).args(words).args(rest).current_dir(root()).status().context("run cargo")?;
    if !status.success() {
        bail!("cargo {} failed", words[0]);
    }
    Ok(())
}
