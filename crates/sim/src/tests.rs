use crate::regressions::REGRESSIONS;
use crate::{Control, run};

/// Seeds of one test: enough to meet every kind of fault.
const SEEDS: u64 = 24;

#[test]
fn a_seed_repeats_bit_for_bit() {
    for seed in 1..=SEEDS {
        let (first, second) = (run(seed, Control::None, false), run(seed, Control::None, false));
        assert_eq!((first.trace_hash, first.steps), (second.trace_hash, second.steps), "seed {seed}");
    }
}

#[test]
fn seeds_hold() {
    for seed in (1..=SEEDS).chain(REGRESSIONS.iter().map(|regression| regression.seed)) {
        let verdict = run(seed, Control::None, false);
        assert_eq!(verdict.failure, None, "seed {seed}\n{}", verdict.trace.join("\n"));
    }
}

/// Whether what is broken on purpose is noticed.
fn is_noticed(control: Control) -> bool {
    (1..=4 * SEEDS).any(|seed| run(seed, control, false).failure.is_some())
}

#[test]
fn a_log_that_is_acknowledged_without_a_sync_is_noticed() {
    assert!(is_noticed(Control::NoSync));
}

#[test]
fn effects_that_leave_before_the_commit_are_noticed() {
    assert!(is_noticed(Control::EarlyEffects));
}

#[test]
fn deliveries_without_ids_are_noticed() {
    assert!(is_noticed(Control::NoEffectIds));
}
