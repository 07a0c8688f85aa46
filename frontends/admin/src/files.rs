//! Metrics of the log's files: their number and size, and the time of the newest snapshot. The
//! directory is read each time, so that they match what an operator sees there.

use crate::text::Text;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::UNIX_EPOCH;

/// The kinds of files, by the extension of their names; the last one is for all others.
const KINDS: [&str; 6] = ["active", "sealed", "history", "snapshot", "spare", "other"];

pub(crate) fn describe(text: &mut Text, directory: &Path) {
    let mut sizes: BTreeMap<&str, (u64, u64)> = KINDS.map(|kind| (kind, (0, 0))).into();
    let mut snapshot = None;
    // A directory that can't be read counts as empty: the server itself reports what is wrong.
    for file in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        let Ok(known) = file.metadata() else { continue };
        let kind = kind(&file.file_name().to_string_lossy());
        let (files, bytes) = sizes.entry(kind).or_default();
        *files += 1;
        *bytes += known.len();
        if kind == "snapshot" {
            snapshot = snapshot.max(known.modified().ok());
        }
    }
    text.gauge("rejoin_log_files", "Files in the log's directory, by kind.")
        .each(
            "kind",
            sizes.iter().map(|(kind, (files, _))| (*kind, files)),
        );
    text.gauge("rejoin_log_size_bytes", "Bytes of these files, by kind.")
        .each(
            "kind",
            sizes.iter().map(|(kind, (_, bytes))| (*kind, bytes)),
        );
    let since_1970 = snapshot.and_then(|at| at.duration_since(UNIX_EPOCH).ok());
    let help = "When the newest snapshot of the log was written; 0 where there is none.";
    text.gauge("rejoin_log_snapshot_timestamp_seconds", help)
        .is(since_1970.map_or(0.0, |at| at.as_secs_f64()));
}

fn kind(name: &str) -> &'static str {
    let ending = name.rsplit_once('.').map_or(name, |(_, ending)| ending);
    let known = KINDS.into_iter().find(|kind| *kind == ending);
    known.unwrap_or("other")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_s_kind_is_the_extension_of_its_name() {
        for (name, expected) in [
            ("00000000000000000001.sealed", "sealed"),
            ("00000000000000000412.active", "active"),
            ("spare", "spare"),
            ("lock", "other"),
            ("notes.txt", "other"),
        ] {
            assert_eq!(kind(name), expected, "{name}");
        }
    }
}
