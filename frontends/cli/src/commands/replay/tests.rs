//! Replays a log with a clock that only records the pauses.

use super::*;
use crate::args::{LogPlace, SessionArgs};
use rejoin_core::testing::{SESSION, created};
use rejoin_core::{Event, JobId, JobMode, JobSlot, Record, Sequence, Timestamp, Visibility};
use rejoin_log::Log;
use rejoin_log::segment::{LogId, OpenOptions, Options};
use std::path::Path;
use std::sync::Arc;

/// Records the pauses in milliseconds instead of sleeping.
#[derive(Default)]
struct RecordedPauses(Vec<u128>);

impl Pauses for RecordedPauses {
    fn wait(&mut self, pause: Duration) {
        self.0.push(pause.as_millis());
    }
}

/// A session with three lines of output, at 2, 4 and 60 seconds.
fn write_log(directory: &Path) {
    let mode = JobMode {
        slot: JobSlot::Foreground,
        visibility: Visibility::Session,
    };
    let job = JobId(1);
    let submitted = Event::JobSubmitted {
        job,
        mode,
        statement: "say".into(),
        timeout: Duration::from_secs(100),
        output_limit: 1_000,
        request: None,
        input: false,
        output: rejoin_core::JobOutput::Separate,
        controller: None,
    };
    let said = |words: &str| Event::ResultEmitted {
        job,
        mode,
        result: format!(r#"{{"content":"{words}\n","jobId":1,"stream":"stdout","type":"shell"}}"#)
            .into(),
        position: None,
    };
    let events = [
        (0, created()),
        (2, submitted),
        (2, said("one")),
        (4, said("two")),
        (60, said("three")),
    ];
    let records = events
        .into_iter()
        .zip(1..)
        .map(|((second, event), sequence)| {
            Arc::new(Record {
                session: SESSION,
                sequence: Sequence(sequence),
                at: Timestamp::from_millis(1_000_000 + second * 1_000),
                clock: Timestamp::from_millis(1_000_000 + second * 1_000).into(),
                actor: None,
                redacted: None,
                event,
            })
        });
    let options = Options {
        zero_ahead: false,
        ..Options::default()
    };
    let id = LogId::from_bytes([1; 16]);
    let (mut log, _) = OpenOptions::directory(directory, id)
        .options(options)
        .open_unfolded()
        .unwrap();
    log.append(&records.collect::<Vec<_>>()).unwrap();
}

/// What is shown, and the pauses.
fn played(span: (Option<&str>, Option<&str>), playback: Playback) -> (String, Vec<u128>) {
    let directory = tempfile::tempdir().unwrap();
    write_log(directory.path());
    let parse = |bound: &str| bound.parse().unwrap();
    let session = Session::find(&SessionArgs {
        place: LogPlace {
            directory: Some(directory.path().to_owned()),
            ..LogPlace::default()
        },
        session: None,
        from: span.0.map(parse),
        until: span.1.map(parse),
        all: false,
        events: false,
    })
    .unwrap();
    let style = ReplayStyle {
        is_styled: false,
        terminals: ReplayTerminals::Bytes,
    };
    let (mut pauses, mut out) = (RecordedPauses::default(), vec![]);
    let status = play(&session, style, playback, &mut pauses, &mut out).unwrap();
    assert_eq!(status, ExitCode::SUCCESS);
    (String::from_utf8(out).unwrap(), pauses.0)
}

#[test]
fn a_replay_pauses_as_long_as_it_took() {
    let (shown, waited) = played((None, None), Playback::new(Speed::RECORDED, None));
    assert_eq!(shown, "$ say\none\ntwo\nthree\n");
    assert_eq!(waited, [2_000, 56_000]);

    let limit = Some(Duration::from_secs(8));
    let (_, waited) = played((None, None), Playback::new("4".parse().unwrap(), limit));
    assert_eq!(waited, [500, 2_000]);
    let (_, waited) = played((None, None), Playback::new(Speed::MAX, None));
    assert_eq!(waited, [0; 0]);
}

#[test]
fn a_replay_starts_and_stops_at_the_given_positions() {
    for (from, until, expected) in [
        (None, Some("3"), "$ say\none\n"),
        (Some("4s"), None, "two\nthree\n"),
        (Some("3"), Some("4"), "one\ntwo\n"),
        (None, Some("1970-01-01T00:16:44Z"), "$ say\none\ntwo\n"),
    ] {
        let (shown, _) = played((from, until), Playback::new(Speed::MAX, None));
        assert_eq!(shown, expected, "{from:?} {until:?}");
    }
}

#[test]
fn colours_can_be_turned_off() {
    assert!(may_be_styled(None) && may_be_styled(Some("".into())));
    assert!(!may_be_styled(Some("1".into())));
}
