//! The engine keeps its promises in a hundred simulated runs, a run can be repeated exactly, and
//! every deliberate defect is found.

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
fn a_failure_names_its_seed_and_can_be_reproduced() {
    let mutant = Some(Mutant::AcknowledgesEarly);
    let plan = Plan { mutant, ..plan(5) };
    let failure = run(plan).expect_err("nothing is durable");
    assert_eq!(run(plan), Err(failure.clone()));
    assert!(failure.to_string().contains("--seed 5 --steps 2000"));
}

/// At least one seed finds the defect, and every failure mentions one of these texts.
fn finds(mutant: Mutant, words: &[&str]) {
    let plans = (0..SEEDS).map(|seed| Plan {
        mutant: Some(mutant),
        ..plan(seed)
    });
    let found: Vec<_> = plans.filter_map(|plan| run(plan).err()).collect();
    assert!(!found.is_empty(), "no seed out of {SEEDS} finds {mutant:?}");
    for failure in found {
        let is_expected = words.iter().any(|word| failure.what.contains(word));
        assert!(is_expected, "{mutant:?}: {}", failure.what);
    }
}

#[test]
fn an_early_acknowledgement_is_found() {
    // Or that a record is written long after it was decided.
    finds(
        Mutant::AcknowledgesEarly,
        &["promise 3:", "promise 8: the log's clock"],
    );
}

#[test]
fn a_failed_append_that_is_ignored_is_found() {
    finds(
        Mutant::SwallowsFailures,
        // The last three: the engine shows a record that was reported as durable and is not, or its runner
        // forgets a job whose end is not.
        &[
            "promise 11:",
            "promise 3:",
            "of what is durable as [",
            "promises 2, 3: job",
            "promise 7: job",
        ],
    );
}

#[test]
fn a_disk_that_lies_is_found() {
    finds(Mutant::LyingDisk, &["promise 3: of", "cannot be opened"]);
}

#[test]
fn a_skipped_record_is_found() {
    finds(Mutant::SkipsRecords, &["promises 2, 3", "caught up"]);
}

#[test]
fn an_altered_record_is_found() {
    finds(
        Mutant::AltersRecords,
        // The last: it became one that the consumer did not ask for.
        &["promises 2, 3", "wake-up is lost", "never got"],
    );
}

#[test]
fn a_redacted_record_that_is_told_is_found() {
    finds(Mutant::TellsRedacted, &["promises 2, 3"]);
}

#[test]
fn redacted_bytes_that_are_left_in_a_file_are_found() {
    finds(Mutant::LeavesRedacted, &["redacted bytes are left"]);
}

#[test]
fn a_redaction_that_is_forgotten_by_a_restart_is_found() {
    // Either what it redacts is told, or it is found in a file.
    finds(
        Mutant::ForgetsRedactions,
        &["promises 2, 3", "redacted bytes are left"],
    );
}

#[test]
fn a_removed_session_that_is_told_is_found() {
    finds(Mutant::TellsRemoved, &["promise 5", "promises 2, 3"]);
}

#[test]
fn a_lost_wake_up_is_found() {
    finds(
        Mutant::ForgetsWakeUps,
        // The last two: a keeper does not get something at all, or nobody is woken by the end of the
        // engine.
        &[
            "wake-up is lost",
            "never",
            "promise 8",
            "promise 7:",
            "promise 11:",
        ],
    );
}

#[test]
fn timeouts_that_follow_the_wall_clock_are_found() {
    finds(Mutant::TrustsTheWallClock, &["promise 8:"]);
}

/// A seed finds a defect of keepers, as a broken promise 7. It takes a crash at the right moment, so that
/// more seeds are tried, until one has found it.
fn finds_in_keepers(mutant: Mutant) {
    let plans = (0..MORE_SEEDS).map(|seed| Plan {
        mutant: Some(mutant),
        ..plan(seed)
    });
    let mut failures = plans.filter_map(|plan| run(plan).err());
    let found = failures.next();
    let found = found.unwrap_or_else(|| panic!("no seed out of {MORE_SEEDS} finds {mutant:?}"));
    let is_expected = found.what.contains("promise 7:");
    assert!(is_expected, "{mutant:?}: {}", found.what);
}

#[test]
fn output_that_goes_on_behind_its_place_is_found() {
    finds_in_keepers(Mutant::ResumesBehind);
}

#[test]
fn output_that_goes_on_before_its_place_is_found() {
    finds_in_keepers(Mutant::ResumesBefore);
}

#[test]
fn a_keeper_that_is_not_told_what_is_logged_is_found() {
    finds_in_keepers(Mutant::SettlesNothingAtTheStart);
}

#[test]
fn output_that_is_dropped_before_it_is_durable_is_found() {
    finds_in_keepers(Mutant::DropsWhatWasSent);
}

#[test]
fn a_job_that_goes_on_although_output_is_missing_is_found() {
    finds_in_keepers(Mutant::TakesOverWhatDoesNotFit);
}

#[test]
fn a_job_that_goes_on_under_another_one_of_its_number_is_found() {
    finds_in_keepers(Mutant::KnowsJobsByTheirNumbers);
}

#[test]
fn repeated_hidden_input_is_found() {
    finds_in_keepers(Mutant::RepeatsHiddenInput);
}

#[test]
fn repeated_input_is_found() {
    finds_in_keepers(Mutant::RepeatsInput);
}

#[test]
fn input_that_is_lost_with_the_server_is_found() {
    finds_in_keepers(Mutant::CountsLostInput);
}

#[test]
fn a_repeated_interrupt_is_found() {
    finds_in_keepers(Mutant::RepeatsInterrupts);
}

#[test]
fn an_end_that_is_told_before_all_output_is_found() {
    finds_in_keepers(Mutant::TellsTheEndEarly);
}

#[test]
fn an_end_that_is_forgotten_before_it_is_durable_is_found() {
    finds_in_keepers(Mutant::ForgetsTheEnd);
}

#[test]
fn a_job_that_is_forgotten_before_its_end_is_durable_is_found() {
    finds_in_keepers(Mutant::ForgetsEarly);
}

#[test]
fn a_job_that_is_never_forgotten_is_found() {
    finds_in_keepers(Mutant::NeverForgets);
}

#[test]
fn a_lost_job_that_is_said_to_have_ended_is_found() {
    finds_in_keepers(Mutant::CallsLostCompleted);
}

#[test]
fn a_server_on_a_copy_that_takes_jobs_over_is_found() {
    finds_in_keepers(Mutant::TakesOverCopies);
}

/// A defect must be found within this many seeds.
const SEEDS: u64 = 20;

/// A defect of keepers must be found within this many seeds.
const MORE_SEEDS: u64 = 200;
