//! Compares the engine with a very simple model: the results of each session, and how many of them
//! each consumer has received. Clients, runners, the clock and restarts act at random, on a log in
//! memory and on a disk.
//!
//! Operations shrink well, and each prints what it does, so that a failure reads like a story.

mod operation;
mod run;
mod storage;

use crate::world::Host;
use operation::{Operation, Story, operations};
use proptest::prelude::*;
use run::Run;
use storage::Storage;

fn play(storage: Storage, recent_bytes: usize, operations: &[Operation]) {
    let host = Host::smol();
    host.block_on(async {
        let mut run = Run::begin(host, storage, recent_bytes);
        for operation in operations {
            run.take(operation).await;
            run.check();
        }
        run.end().await;
    });
}

/// No records stay in memory, or a few, or all.
fn recent_bytes() -> impl Strategy<Value = usize> {
    prop_oneof![Just(0), Just(2_000), Just(1 << 20)]
}

/// As many cases as take a few seconds, unless the environment sets another number.
fn config() -> ProptestConfig {
    let default = ProptestConfig::default();
    let cases = match std::env::var_os("PROPTEST_CASES") {
        Some(_) => default.cases,
        None => 96,
    };
    ProptestConfig {
        cases,
        max_shrink_iters: 2_000,
        ..default
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn in_memory_everybody_gets_what_the_model_says(
        recent in recent_bytes(),
        story in operations().prop_map(Story),
    ) {
        play(Storage::memory(), recent, &story.0);
    }

    #[test]
    fn on_the_disk_everybody_gets_what_the_model_says(
        recent in recent_bytes(),
        segment_bytes in 400..4_000_u64,
        story in operations().prop_map(Story),
    ) {
        play(Storage::disk(segment_bytes), recent, &story.0);
    }
}
