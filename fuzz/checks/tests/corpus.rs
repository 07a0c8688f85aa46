//! Every input that the fuzzers have kept, checked on a stable compiler, and every input that once
//! found something.

use arbitrary::{Arbitrary, Unstructured};
use rejoin_fuzz_checks::{
    Attack, Conversation, DorisRequest, Filter, MaxScaleRequest, McpRequest, NativeRequest,
    RecordBytes, SnapshotBytes, Story,
};
use std::fmt::Debug;
use std::fs;
use std::path::{Path, PathBuf};

#[test]
fn arthas_requests_are_answered_in_valid_json() {
    for (file, bytes) in corpus("arthas_request") {
        check(&file, &bytes, |input: &Conversation<'_>| input.check());
    }
}

#[test]
fn doris_requests_are_answered_in_the_envelope() {
    for (file, bytes) in corpus("doris_request") {
        check(&file, &bytes, |input: &DorisRequest<'_>| input.check());
    }
}

#[test]
fn maxscale_filters_say_what_was_meant() {
    for (file, bytes) in corpus("maxscale_filter") {
        check(&file, &bytes, |input: &Filter<'_>| input.check());
    }
}

#[test]
fn maxscale_requests_are_answered_and_pages_are_the_list() {
    for (file, bytes) in corpus("maxscale_request") {
        check(&file, &bytes, |input: &MaxScaleRequest<'_>| input.check());
    }
}

#[test]
fn mcp_requests_are_answered_and_no_failed_job_is_reported_as_a_success() {
    for (file, bytes) in corpus("mcp_request") {
        check(&file, &bytes, |input: &McpRequest<'_>| input.check());
    }
}

#[test]
fn native_requests_are_answered_in_their_shapes_and_events_follow_one_another() {
    for (file, bytes) in corpus("native_request") {
        check(&file, &bytes, |input: &NativeRequest<'_>| input.check());
    }
}

#[test]
fn the_core_keeps_its_promises() {
    for (file, bytes) in corpus("operations") {
        check(&file, &bytes, |input: &Story| input.check());
    }
}

#[test]
fn a_record_has_one_encoding() {
    for (file, bytes) in corpus("schema") {
        check(&file, &bytes, |input: &RecordBytes<'_>| input.check());
    }
}

#[test]
fn a_log_that_was_changed_never_tells_what_was_not_appended() {
    for (file, bytes) in corpus("segment") {
        check(&file, &bytes, |input: &Attack<'_>| input.check());
    }
}

#[test]
fn a_damaged_snapshot_changes_nothing() {
    for (file, bytes) in corpus("snapshot") {
        check(&file, &bytes, |input: &SnapshotBytes<'_>| input.check());
    }
}

/// The files of a target, each with its bytes; never none.
fn corpus(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../corpus");
    let mut files: Vec<_> = fs::read_dir(root.join(target))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    assert!(!files.is_empty(), "{target} has no corpus");
    files
        .into_iter()
        .map(|file| (file.clone(), fs::read(file).unwrap()))
        .collect()
}

/// Checks an input, made of the bytes as the fuzzer makes it, and shows it if that fails.
fn check<'a, T: Arbitrary<'a> + Debug>(file: &Path, bytes: &'a [u8], check: impl FnOnce(&T)) {
    let shown = Shown(file.display().to_string(), {
        let input = T::arbitrary_take_rest(Unstructured::new(bytes));
        input.unwrap_or_else(|error| panic!("{}: {error}", file.display()))
    });
    check(&shown.1);
}

struct Shown<T: Debug>(String, T);

impl<T: Debug> Drop for Shown<T> {
    #[expect(clippy::print_stderr, reason = "who runs the test has to see it")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}:\n{:?}", self.0, self.1);
        }
    }
}
