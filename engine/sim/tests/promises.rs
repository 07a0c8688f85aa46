//! The engine keeps its promises in a hundred worlds; one world is the same each time; and a world
//! in which something is broken is found out.

use rejoin_sim::{Coverage, Mutant, Plan, Report, run};

fn plan(seed: u64) -> Plan {
    Plan {
        seed,
        steps: 2_000,
        mutant: None,
    }
}

fn sound(plan: Plan) -> Report {
    run(plan).unwrap_or_else(|failure| panic!("{failure}"))
}

#[test]
fn every_promise_is_kept_and_every_fault_and_event_is_met() {
    let mut coverage = Coverage::default();
    for seed in 0..100 {
        coverage.add(&sound(plan(seed)).coverage);
    }
    assert_eq!(coverage.missing(), Vec::<&str>::new(), "{coverage}");
}

#[test]
fn one_seed_twice_is_one_trace() {
    for seed in [3, 1_000_003] {
        let (first, second) = (sound(plan(seed)), sound(plan(seed)));
        assert_eq!(first.trace.as_bytes(), second.trace.as_bytes());
        assert_eq!(first, second);
        assert_ne!(first.trace, sound(plan(seed + 1)).trace);
    }
}

#[test]
fn a_failure_says_its_seed_and_is_the_same_again() {
    let mutant = Some(Mutant::AcknowledgesEarly);
    let plan = Plan { mutant, ..plan(5) };
    let failure = run(plan).expect_err("nothing is durable");
    assert_eq!(run(plan), Err(failure.clone()));
    assert!(failure.to_string().contains("--seed 5 --steps 2000"));
}

/// Some of a few seeds find the defect, and each that does says something like this.
fn finds(mutant: Mutant, words: &[&str]) {
    let plans = (0..SEEDS).map(|seed| Plan {
        mutant: Some(mutant),
        ..plan(seed)
    });
    let found: Vec<_> = plans.filter_map(|plan| run(plan).err()).collect();
    assert!(!found.is_empty(), "{SEEDS} seeds find nothing: {mutant:?}");
    for failure in found {
        let is_it = words.iter().any(|word| failure.what.contains(word));
        assert!(is_it, "{mutant:?}: {}", failure.what);
    }
}

#[test]
fn an_acknowledgement_that_comes_early_is_found() {
    finds(Mutant::AcknowledgesEarly, &["promise 3:"]);
}

#[test]
fn a_failed_append_that_is_passed_over_is_found() {
    finds(
        Mutant::SwallowsFailures,
        // The last: a reader is told what is not there, because the engine was told that it is.
        &["promise 11:", "promise 3:", "of what is durable as []"],
    );
}

#[test]
fn a_disk_that_lies_is_found() {
    finds(Mutant::LyingDisk, &["promise 3: of", "cannot be opened"]);
}

#[test]
fn a_record_that_is_skipped_is_found() {
    finds(Mutant::SkipsRecords, &["promises 2, 3", "caught up"]);
}

#[test]
fn a_record_that_is_altered_is_found() {
    finds(Mutant::AltersRecords, &["promises 2, 3", "wake-up is lost"]);
}

#[test]
fn a_wake_up_that_is_forgotten_is_found() {
    finds(
        Mutant::ForgetsWakeUps,
        &["wake-up is lost", "never", "promise 8"],
    );
}

/// A defect is found within so many seeds.
const SEEDS: u64 = 20;
