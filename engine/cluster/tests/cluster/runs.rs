//! Three nodes on a model of a message server, with all that can go wrong.

use rejoin_cluster::testing::{ClusterMutant, Faults, RunReport, run};

#[test]
fn nothing_acknowledged_is_lost_and_each_log_has_one_writer_in_each_term_whatever_happens() {
    // A longer search: REJOIN_CLUSTER_SEEDS=5000.
    let seeds = std::env::var("REJOIN_CLUSTER_SEEDS");
    let seeds = seeds.map_or(60, |seeds| seeds.parse().unwrap());
    let mut all = RunReport::default();
    for seed in 0..seeds {
        let report = run(seed, Faults::ALL, None).unwrap_or_else(|failure| panic!("{failure}"));
        add(&mut all, &report);
    }
    let vices = all.vices;
    let met = [
        ("acknowledged", all.acknowledged),
        ("takeovers", all.takeovers),
        ("fenced by an append", all.fenced),
        ("fenced, and noticed by reading", all.noticed),
        ("let go", all.let_go),
        ("damage named", all.damage),
        ("split batches", all.split),
        ("lost requests", vices.lost),
        ("lost answers", vices.unanswered),
        ("late requests", vices.late),
        ("requests done after an election", vices.after_election),
        ("requests twice", vices.twice),
        ("stored and not readable", vices.hidden),
        ("wrong last sequence", vices.wrong_last),
        ("elections", vices.elections),
        ("holes", vices.holes),
        ("holes met", vices.skipped),
        ("read before the answer", vices.early),
        ("delivered again", vices.redelivered),
    ];
    for (what, times) in met {
        assert!(times >= 3, "{what}: only {times} times");
    }
}

#[test]
fn an_election_of_the_servers_leader_deposes_no_owner() {
    let mut elections = 0;
    for seed in 0..30 {
        let report =
            run(seed, Faults::ELECTIONS, None).unwrap_or_else(|failure| panic!("{failure}"));
        elections += report.vices.elections;
    }
    assert!(elections > 300, "only {elections} elections");
}

#[test]
fn the_same_seed_is_the_same_run() {
    for seed in [1, 7, 99] {
        let first = run(seed, Faults::ALL, None).unwrap();
        let second = run(seed, Faults::ALL, None).unwrap();
        assert_eq!(first, second);
        assert_ne!(first.trace, run(seed + 1, Faults::ALL, None).unwrap().trace);
    }
}

#[test]
fn every_mutant_is_found() {
    for mutant in ClusterMutant::ALL {
        let faults = match mutant {
            ClusterMutant::LeaseByTime => Faults::ELECTIONS,
            _ => Faults::ALL,
        };
        let found = (0..60).find_map(|seed| run(seed, faults, Some(mutant)).err());
        assert!(found.is_some(), "{mutant:?} was not found");
    }
}

fn add(all: &mut RunReport, one: &RunReport) {
    all.acknowledged += one.acknowledged;
    all.takeovers += one.takeovers;
    all.fenced += one.fenced;
    all.noticed += one.noticed;
    all.let_go += one.let_go;
    all.damage += one.damage;
    all.split += one.split;
    let (sum, add) = (&mut all.vices, &one.vices);
    sum.lost += add.lost;
    sum.unanswered += add.unanswered;
    sum.late += add.late;
    sum.after_election += add.after_election;
    sum.twice += add.twice;
    sum.hidden += add.hidden;
    sum.wrong_last += add.wrong_last;
    sum.elections += add.elections;
    sum.holes += add.holes;
    sum.skipped += add.skipped;
    sum.early += add.early;
    sum.redelivered += add.redelivered;
}
