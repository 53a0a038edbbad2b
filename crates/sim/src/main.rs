//! `sim [--seeds N] [--from SEED] [--control NAME] [--trace]`: runs seeds, prints what failed, and last a verdict.

use std::process::ExitCode;

use sim::{Control, Verdict, run};

/// Failures that are printed in full.
const SHOWN_MAX: u64 = 5;

fn main() -> ExitCode {
    let Some(asked) = Asked::read(std::env::args().skip(1)) else {
        eprintln!("usage: sim [--seeds N] [--from SEED] [--control no-sync|early-effects|no-effect-ids] [--trace]");
        return ExitCode::from(2);
    };
    let (mut failures, mut crashes, mut executions, mut compared) = (0, 0, 0, 0);
    for seed in asked.from..asked.from + asked.seeds {
        let verdict = run(seed, asked.control, asked.trace);
        crashes += verdict.crashes;
        executions += verdict.executions;
        compared += verdict.compared;
        if let Some(failure) = &verdict.failure {
            failures += 1;
            if failures <= SHOWN_MAX {
                show(&verdict, failure);
            }
        }
    }
    println!(
        "sim: {} seeds, {failures} failures, {executions} executions ({compared} compared with a run without crashes), \
         {crashes} crashes",
        asked.seeds
    );
    ExitCode::from(u8::from(failures > 0))
}

fn show(verdict: &Verdict, failure: &str) {
    for line in &verdict.trace {
        println!("  {line}");
    }
    println!("seed {} failed after {} steps: {failure}", verdict.seed, verdict.steps);
    println!("again: cargo xtask sim --from {} --seeds 1 --trace\n", verdict.seed);
}

struct Asked {
    seeds: u64,
    from: u64,
    control: Control,
    trace: bool,
}

impl Asked {
    fn read(mut words: impl Iterator<Item = String>) -> Option<Asked> {
        let mut asked = Asked { seeds: 200, from: 1, control: Control::None, trace: false };
        while let Some(word) = words.next() {
            match word.as_str() {
                "--seeds" => asked.seeds = words.next()?.parse().ok()?,
                "--from" => asked.from = words.next()?.parse().ok()?,
                "--trace" => asked.trace = true,
                "--control" => {
                    asked.control = match words.next()?.as_str() {
                        "no-sync" => Control::NoSync,
                        "early-effects" => Control::EarlyEffects,
                        "no-effect-ids" => Control::NoEffectIds,
                        _ => return None,
                    }
                }
                _ => return None,
            }
        }
        Some(asked)
    }
}
