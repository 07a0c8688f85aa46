//! Several nodes keep their promises in simulated runs, a run can be repeated exactly, and every deliberate
//! defect of a node is found.

use rejoin_sim::{Coverage, NodesMutant, NodesPlan, NodesReport, run_nodes};

fn plan(seed: u64) -> NodesPlan {
    NodesPlan {
        seed,
        nodes: 3,
        steps: 8_000,
        mutant: None,
    }
}

fn sound(plan: NodesPlan) -> NodesReport {
    run_nodes(plan).unwrap_or_else(|failure| panic!("{failure}"))
}

#[test]
fn every_promise_of_several_nodes_is_kept_and_every_fault_is_met() {
    let mut coverage: Option<Coverage> = None;
    for seed in 0..40 {
        let report = sound(plan(seed));
        match &mut coverage {
            Some(coverage) => coverage.add(&report.coverage),
            None => coverage = Some(report.coverage),
        }
    }
    let coverage = coverage.unwrap_or_default();
    assert_eq!(coverage.missing(), Vec::<&str>::new(), "{coverage}");
}

#[test]
fn two_nodes_keep_their_promises_too() {
    for seed in 0..5 {
        sound(NodesPlan {
            nodes: 2,
            ..plan(seed)
        });
    }
}

#[test]
fn one_seed_of_several_nodes_twice_is_one_trace() {
    for seed in [3, 1_000_003] {
        let (first, second) = (sound(plan(seed)), sound(plan(seed)));
        assert_eq!(first.trace.as_bytes(), second.trace.as_bytes());
        assert_eq!(first, second);
        assert_ne!(first.trace, sound(plan(seed + 1)).trace);
    }
}

/// Some seed finds the defect, and the first one that does names one of these promises.
fn finds(mutant: NodesMutant, words: &[&str]) {
    finds_from(0, mutant, words);
}

/// As [`finds`], from this seed on, for what is rare.
fn finds_from(first: u64, mutant: NodesMutant, words: &[&str]) {
    let plans = (first..first + SEEDS).map(|seed| NodesPlan {
        mutant: Some(mutant),
        ..plan(seed)
    });
    let mut failures = plans.filter_map(|plan| run_nodes(plan).err());
    let found = failures.next();
    let found = found.unwrap_or_else(|| panic!("no seed out of {SEEDS} finds {mutant:?}"));
    let is_expected = words.iter().any(|word| found.what.contains(word));
    assert!(is_expected, "{mutant:?}: {}", found.what);
}

#[test]
fn a_node_that_takes_silence_for_a_refusal_is_found() {
    // It gives up a log that it has, and jobs with it.
    finds(
        NodesMutant::BelievesSilenceRefuses,
        &["takeover:", "promise"],
    );
}

#[test]
fn a_node_that_appends_without_the_fence_is_found() {
    finds(NodesMutant::AppendsWithoutFence, &["ownership:"]);
}

#[test]
fn a_node_that_counts_silence_in_elections_is_found() {
    finds_from(300, NodesMutant::CountsSilenceInElections, &["takeover:"]);
}

#[test]
fn a_follower_that_says_itself_that_something_is_not_there_is_found() {
    finds(NodesMutant::AnswersNegatives, &["negatives:"]);
}

#[test]
fn a_forwarded_command_that_is_carried_out_twice_is_found() {
    // Or a second pull takes what the first one was to get.
    finds(NodesMutant::AsksTwice, &["promise 7:", "promise 2:"]);
}

#[test]
fn an_own_write_that_is_not_waited_for_is_found() {
    finds(NodesMutant::DoesNotWaitForOwnWrites, &["own writes:"]);
}

#[test]
fn a_lost_job_that_goes_on_is_found() {
    finds(NodesMutant::LeavesLostJobs, &["the end:"]);
}

#[test]
fn a_cursor_that_is_not_moved_by_pulls_through_another_node_is_found() {
    finds(NodesMutant::ForgetsCursors, &["promise 2:"]);
}

/// A defect must be found within this many seeds.
const SEEDS: u64 = 60;
