//! `cargo xtask fuzz [TARGET ...] [--seconds N]`: libFuzzer on the stable toolchain, with coverage and without sanitizers.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

/// Seconds per target when none are given.
const SECONDS: &str = "60";
/// A single input may take this long and use this much.
const INPUT_SECONDS_MAX: u32 = 20;
const MEMORY_MIB_MAX: u32 = 2_048;
const INPUT_BYTES_MAX: u32 = 8_192;

/// What cargo-fuzz passes, as far as stable rustc takes it: edge counters and traced comparisons.
const INSTRUMENTATION: &[&str] = &[
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Ccodegen-units=1",
];

pub fn run(root: &Path, words: &[String]) -> Result<()> {
    let (mut targets, mut seconds) = (Vec::new(), SECONDS.to_owned());
    let mut words = words.iter();
    while let Some(word) = words.next() {
        match word.as_str() {
            "--seconds" => seconds = words.next().context("--seconds needs a number")?.clone(),
            target => targets.push(target.to_owned()),
        }
    }
    let known = targets_in(root)?;
    if let Some(unknown) = targets.iter().find(|target| !known.contains(target)) {
        bail!("no target {unknown}; there are {}", known.join(", "));
    }
    if targets.is_empty() {
        targets = known;
    }
    let folder = root.join("fuzz");
    let build =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| folder.join("target"), |dir| Path::new(&dir).join("fuzz"));
    let host = host()?;
    // A target triple of its own keeps the instrumentation out of build scripts and macros.
    let bins: Vec<&str> = targets.iter().flat_map(|target| ["--bin", target]).collect();
    let words = [&["build", "--release", "--target", &host][..], &bins].concat();
    cargo(&folder, &build, &words, Some(&INSTRUMENTATION.join(" ")))?;
    let corpus = build.join("corpus");
    let crates = root.join("crates");
    let words = ["run", "--release", "--quiet", "--bin", "seeds", "--"];
    let paths = [crates.to_string_lossy(), corpus.to_string_lossy()];
    cargo(&folder, &build, &[&words[..], &[&*paths[0], &*paths[1]]].concat(), None)?;
    let mut findings = Vec::new();
    for target in targets {
        let own = corpus.join(&target);
        std::fs::create_dir_all(&own).context("make the corpus folder")?;
        eprintln!("> fuzz {target}, {seconds} s");
        let status = Command::new(build.join(&host).join("release").join(&target))
            .arg(&own)
            .arg(format!("-max_total_time={seconds}"))
            .arg(format!("-timeout={INPUT_SECONDS_MAX}"))
            .arg(format!("-rss_limit_mb={MEMORY_MIB_MAX}"))
            .arg(format!("-max_len={INPUT_BYTES_MAX}"))
            .arg(format!("-artifact_prefix={}/", build.display()))
            .args(["-print_final_stats=1", "-verbosity=0"])
            .status()
            .with_context(|| format!("run fuzz target {target}"))?;
        if !status.success() {
            findings.push(target);
        }
    }
    if findings.is_empty() {
        eprintln!("no findings");
        return Ok(());
    }
    bail!("findings in {}; the inputs lie in {}", findings.join(", "), build.display())
}

fn targets_in(root: &Path) -> Result<Vec<String>> {
    let mut names: Vec<String> = std::fs::read_dir(root.join("fuzz/src/bin"))
        .context("list fuzz/src/bin")?
        .filter_map(|entry| Some(entry.ok()?.path().file_stem()?.to_str()?.to_owned()))
        .filter(|name| name != "seeds")
        .collect();
    names.sort();
    Ok(names)
}

fn host() -> Result<String> {
    let output = Command::new("rustc").arg("-vV").output().context("run rustc -vV")?;
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(text.lines().find_map(|line| line.strip_prefix("host: ")).context("rustc names no host")?.to_owned())
}

fn cargo(folder: &Path, build: &Path, words: &[&str], flags: Option<&str>) -> Result<()> {
    let mut command = Command::new("cargo");
    command.args(words).current_dir(folder).env("CARGO_TARGET_DIR", build);
    if let Some(flags) = flags {
        command.env("RUSTFLAGS", flags).env("CARGO_PROFILE_RELEASE_PANIC", "abort");
    }
    let status = command.status().context("run cargo")?;
    if !status.success() {
        bail!("cargo {} failed", words[0]);
    }
    Ok(())
}
