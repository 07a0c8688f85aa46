//! Start-up: replaying the log, compared with reading and checksumming the same files.

use super::Bench;
use super::logs;
use crate::Outcome;
use crate::contestants::Server;
use crate::figures::{REJOIN, Section};
use rejoin_core::Record;
use rejoin_log::segment::{LogId, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Instant;

pub(super) fn replay(bench: &mut Bench<'_>) -> Outcome<Section> {
    let sessions = bench.options.size(10_000) as u64;
    let mut section = Section::new(
        "Start-up",
        format!(
            "A log of {sessions} sessions with a hundred results of 200 bytes each, interleaved, \
             in the page cache. *replay*: every record is decoded and checked on one thread and \
             folded into state and views on another, in this process; the limit is reading the \
             same files and computing their CRC32C on one thread. *decoded only*: the same \
             without the fold. *the server*: from its start to its first line of output."
        ),
    );
    let data = bench.scratch.join("data");
    let log = data.join("log");
    std::fs::create_dir_all(&log)?;
    let records = logs::write(&log, sessions, 100)? as f64;
    let id = LogId::from_bytes([7; 16]);
    for _ in 0..bench.options.rounds(7) {
        let began = Instant::now();
        let bytes = checksum(&log)? as f64;
        let limit = began.elapsed().as_secs_f64();
        section.note("replay", "read and CRC32C", "MB/s", bytes / 1e6 / limit);
        section.note("replay", "read and CRC32C", "records/s", records / limit);

        let began = Instant::now();
        let mut count = 0.0;
        let mut observer = |_: &Record| count += 1.0;
        let opening = OpenOptions::directory(&log, id).observe(&mut observer);
        drop(opening.open_unfolded()?);
        let took = began.elapsed().as_secs_f64();
        section.note("replay", "decoded only", "MB/s", bytes / 1e6 / took);
        section.note("replay", "decoded only", "records/s", count / took);

        let began = Instant::now();
        let opening = OpenOptions::directory(&log, id).ignore_snapshots();
        let opened = opening.open()?;
        let took = began.elapsed().as_secs_f64();
        section.note("replay", REJOIN, "MB/s", bytes / 1e6 / took);
        section.note("replay", REJOIN, "records/s", records / took);
        drop(opened);

        let served = link(&log, &bench.scratch.join("served"))?;
        let began = Instant::now();
        let server = Server::rejoin(bench.options, &served, &[])?;
        let took = began.elapsed().as_secs_f64();
        let what = format!("the server, {records} records");
        section.note(&what, REJOIN, "ms", took * 1e3);
        drop(server);
    }
    Ok(section)
}

/// Links the segments into the data directory of a server, which may compact them.
fn link(log: &Path, data: &Path) -> Outcome<PathBuf> {
    if data.exists() {
        std::fs::remove_dir_all(data)?;
    }
    let served = data.join("log");
    std::fs::create_dir_all(&served)?;
    for found in log.read_dir()? {
        let segment = found?.path();
        if segment.extension().is_some_and(|it| it == "sealed") {
            let name = segment.file_name().ok_or("a segment without a name")?;
            std::fs::hard_link(&segment, served.join(name))?;
        }
    }
    Ok(data.to_owned())
}

fn checksum(directory: &Path) -> Outcome<u64> {
    let mut total = 0;
    let mut buffer = vec![0; 256 * 1024];
    for found in directory.read_dir()? {
        let file = std::fs::File::open(found?.path())?;
        let mut at = 0;
        loop {
            let count = file.read_at(&mut buffer, at)?;
            if count == 0 {
                break;
            }
            std::hint::black_box(crc32c::crc32c(&buffer[..count]));
            at += count as u64;
        }
        total += at;
    }
    Ok(total)
}
