//! Every log of this crate passes the suite.

use rejoin_log::segment::{LogId, OpenOptions, Options};
use rejoin_log::testing::SimulatedDisk;
use rejoin_log::{Log, MemoryLog};
use std::sync::Arc;

fn on_simulated_disk(options: Options) -> Box<dyn Log> {
    let disk = Arc::new(SimulatedDisk::new());
    let id = LogId::from_bytes([1; 16]);
    let (log, _) = OpenOptions::disk(disk, id)
        .options(options)
        .open_unfolded()
        .unwrap();
    Box::new(log)
}

mod memory {
    use super::*;

    rejoin_log::conformance!(|| Box::new(MemoryLog::new()));
}

mod segment {
    use super::*;

    rejoin_log::conformance!({
        let directory = tempfile::tempdir().unwrap();
        let mut count = 0;
        move || {
            count += 1;
            let directory = directory.path().join(format!("{count}/log"));
            let id = LogId::from_bytes([1; 16]);
            let options = Options::default();
            let (log, _) = OpenOptions::directory(&directory, id)
                .options(options)
                .open_unfolded()
                .unwrap();
            Box::new(log)
        }
    });
}

mod segment_with_a_segment_for_every_batch {
    use super::*;

    rejoin_log::conformance!(|| on_simulated_disk(Options {
        segment_bytes: 1,
        zero_ahead: false,
        ..Options::default()
    }));
}

mod segment_with_small_segments_zeroed_ahead {
    use super::*;

    rejoin_log::conformance!(|| on_simulated_disk(Options {
        segment_bytes: 10_000,
        zero_ahead: true,
        ..Options::default()
    }));
}
