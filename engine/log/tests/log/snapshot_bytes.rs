//! A snapshot's bytes, byte by byte, and what becomes of bytes that are none.
//!
//! When the first test fails, `SNAPSHOT_VERSION` must grow: a snapshot of these bytes is on disks.

use crate::common::{flat, fold};
use proptest::prelude::*;
use rejoin_core::{
    Actor, CloseCause, ClosedSnapshot, ConsumerId, ConsumerSnapshot, ConsumerView, Controller,
    Description, InputSnapshot, Instant, InterruptCause, JobId, JobMode, JobOutput, JobSlot,
    JobSnapshot, JobState, JobView, Moment, Outcome, OutputOffsets, RequestSnapshot, Retention,
    Sequence, SessionId, SessionNumber, SessionSnapshot, Snapshot, TerminalSize, Timestamp,
    ViewSnapshot, Visibility,
};
use rejoin_log::schema::{decode_snapshot, encode_snapshot};
use rejoin_log::testing::story;
use std::sync::Arc;
use std::time::Duration;

const FIRST: &[u8; 16] = b"the-first-sessio";
const OTHER: &[u8; 16] = b"another-session-";
const TOKEN: &[u8; 16] = b"0123456789abcdef";
const PRINT: &[u8; 16] = b"the-fingerprint-";

/// One pipe, a controller, and no screen.
const JOB: &[u8] = b"\x00\x01\x01c\x01\x04zo\xc3\xab\x00";

const CONSUMER: ConsumerId = ConsumerId {
    token: *TOKEN,
    ordinal: 2,
};

fn at(millis: u64) -> Timestamp {
    Timestamp::from_millis(millis)
}

fn instant(millis: u64) -> Instant {
    Instant::from_millis(millis)
}

/// A moment after the wall clock was set.
fn set(at: u64, clock: u64) -> Moment {
    Moment {
        at: Timestamp::from_millis(at),
        clock: instant(clock),
    }
}

fn controller() -> Arc<Controller> {
    Arc::new(Controller {
        client: "c".into(),
        user: Some("zoë".into()),
    })
}

fn encoded(snapshot: &Snapshot) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_snapshot(snapshot, &mut bytes);
    bytes
}

/// An open session with a consumer, two jobs and a request, and its bytes.
fn open_session() -> (SessionSnapshot, Vec<u8>) {
    let job = JobSnapshot {
        id: JobId(300),
        mode: JobMode {
            slot: JobSlot::Background,
            visibility: Visibility::Submitter,
        },
        started: true,
        emitted: 128,
        output_limit: 1 << 20,
        offsets: OutputOffsets {
            stdout: 300,
            stderr: 1,
        },
        interrupt: Some(InterruptCause::Shutdown),
        interrupts: 2,
        key: None,
        is_truncated: false,
        due: instant(9),
        is_uncertain: true,
        input: InputSnapshot::Open(200),
        output: JobOutput::Separate,
        controller: None,
        screen: None,
    };
    let front = JobSnapshot {
        id: JobId(301),
        mode: JobMode {
            slot: JobSlot::Foreground,
            visibility: Visibility::Session,
        },
        started: false,
        emitted: 0,
        output_limit: 1,
        offsets: OutputOffsets::default(),
        interrupt: None,
        interrupts: 0,
        key: None,
        is_truncated: true,
        due: instant(0),
        is_uncertain: false,
        input: InputSnapshot::Ended,
        output: JobOutput::Terminal(TerminalSize {
            columns: 300,
            rows: 24,
        }),
        controller: Some(controller()),
        screen: Some(Sequence(299)),
    };
    let session = SessionSnapshot {
        id: SessionId::from_bytes(*FIRST),
        number: SessionNumber(5),
        service: "shell".into(),
        user: Some("zoë".into()),
        last_sequence: Sequence(300),
        last_ordinal: 2,
        consumers: vec![ConsumerSnapshot {
            id: CONSUMER,
            cursor: Sequence(128),
            seen: instant(7),
            timeout: Duration::from_millis(1_500),
            is_uncertain: false,
        }],
        jobs: vec![job, front],
        foreground: Some(JobId(301)),
        seen: instant(8),
        timeout: Duration::from_secs(60),
        bytes: 1_000,
        is_incomplete: true,
        requests: vec![RequestSnapshot {
            request: "r1".into(),
            job: JobId(300),
            sequence: Sequence(3),
            fingerprint: u128::from_le_bytes(*PRINT),
        }],
    };
    let bytes: &[&[u8]] = &[
        FIRST,
        b"\x05\x05shell\x01\x04zo\xc3\xab\xac\x02\x02",
        b"\x01",
        TOKEN,
        b"\x02\x80\x01\x07\x01\x80\xca\xb5\xee\x01\x00",
        b"\x02",
        b"\xac\x02\x01\x01\x01\x80\x01\x80\x80\x40\x01\x04\x02\xac\x02\x01\x00\x09\x01\x01\xc8\x01",
        b"\x01\x00\x00",
        b"\xad\x02\x00\x00\x00\x00\x01\x00\x00\x00\x00\x01\x00\x00\x02",
        b"\x02\xac\x02\x18\x01\x01c\x01\x04zo\xc3\xab\x01\xab\x02",
        b"\x01\xad\x02\x08\x3c\x00\xe8\x07\x01",
        b"\x01\x02r1\xac\x02\x03",
        PRINT,
    ];
    (session, bytes.concat())
}

/// A closed session as its readers see it, and its bytes.
fn view() -> (ViewSnapshot, Vec<u8>) {
    let job = |job, by, state| JobView {
        job: JobId(job),
        statement: "ls".into(),
        mode: JobMode {
            slot: JobSlot::Foreground,
            visibility: Visibility::Session,
        },
        submitted: Sequence(3),
        since: set(4, 1),
        by,
        state,
        output: JobOutput::Merged,
        controller: Some(controller()),
        screen: None,
    };
    let ada = Actor {
        account: Some("ada".into()),
        token: None,
        frontend: "mcp".into(),
        address: None,
    };
    let lost = JobState::Finished {
        outcome: Outcome::Lost,
        status: -2,
        at: set(6, 8),
    };
    let view = ViewSnapshot {
        id: SessionId::from_bytes(*OTHER),
        number: SessionNumber(6),
        service: "s".into(),
        user: None,
        remote: Some("::1".into()),
        created: at(1).into(),
        last_sequence: Sequence(300),
        closed: Some((at(128), CloseCause::Idle)),
        foreground: None,
        since: at(2).into(),
        revision: Sequence(299),
        changed: at(127),
        gaps: (
            5,
            vec![(Sequence(7), Sequence(8)), (Sequence(20), Sequence(22))],
        ),
        consumers: vec![(
            CONSUMER,
            ConsumerView {
                joined: Sequence(2),
                cursor: Sequence(9),
            },
        )],
        jobs: vec![
            job(10, None, JobState::Submitted),
            job(11, Some(ada.into()), JobState::Running),
            job(12, None, lost),
        ],
    };
    let bytes: &[&[u8]] = &[
        OTHER,
        b"\x06\x01s\x00\x01\x03::1\x01\x00\xac\x02\x01\x80\x01\x01\x00\x02\x00\xab\x02\x7f",
        b"\x05\x02\x07\x08\x14\x16",
        b"\x01",
        TOKEN,
        b"\x02\x02\x09",
        b"\x03",
        b"\x0a\x02ls\x00\x00\x03\x04\x06\x00\x00",
        JOB,
        b"\x0b\x02ls\x00\x00\x03\x04\x06\x01\x01\x03ada\x00\x03mcp\x00\x01",
        JOB,
        b"\x0c\x02ls\x00\x00\x03\x04\x06\x00\x02\x04\x03\x06\x03",
        JOB,
    ];
    (view, bytes.concat())
}

#[test]
fn a_snapshot_of_version_4_is_these_bytes() {
    let ((session, session_bytes), (view, view_bytes)) = (open_session(), view());
    let description = Description {
        title: Some("Title".into()),
        labels: [("key".into(), "value".into())].into(),
    };
    let snapshot = Snapshot {
        last_number: 6,
        last_job: 301,
        last: set(129, 127),
        sessions: vec![session],
        closed: vec![ClosedSnapshot {
            id: SessionId::from_bytes(*OTHER),
            last_sequence: Sequence(300),
            at: instant(128),
            bytes: 2_000,
        }],
        views: vec![view],
        ended: vec![SessionId::from_bytes(*OTHER)],
        removals: vec![(SessionId::from_bytes(*TOKEN), Sequence(17))],
        revision: 400,
        changed: at(129),
        descriptions: vec![(SessionNumber(5), Arc::new(description))],
    };
    let expected: &[&[u8]] = &[
        b"\x06\xad\x02\x81\x01\x04",
        b"\x01",
        &session_bytes,
        b"\x01",
        OTHER,
        b"\xac\x02\x80\x01\xd0\x0f",
        b"\x01",
        &view_bytes,
        b"\x01",
        OTHER,
        b"\x01",
        TOKEN,
        b"\x11",
        b"\x90\x03\x81\x01",
        b"\x01\x05\x01\x05Title\x01\x03key\x05value",
    ];
    let expected = expected.concat();
    assert_eq!(encoded(&snapshot), expected);
    assert_eq!(decode_snapshot(&expected).as_ref(), Ok(&snapshot));
    // Before there were titles and labels, a snapshot ended before them.
    let before = expected.len() - b"\x01\x05\x01\x05Title\x01\x03key\x05value".len();
    for end in (0..expected.len()).filter(|end| *end != before) {
        assert!(decode_snapshot(&expected[..end]).is_err(), "{end} bytes");
    }
    let without = Snapshot {
        descriptions: vec![],
        ..snapshot
    };
    assert_eq!(encoded(&without), expected[..before]);
    assert_eq!(decode_snapshot(&expected[..before]).as_ref(), Ok(&without));
    // Nor did it have the interrupts of terminals, which follow them.
    let mut interrupted = without;
    interrupted.sessions[0].jobs[1].key = Some(instant(300));
    let keys = [&expected[..before], b"\x00\x01\xad\x02\xac\x02"].concat();
    assert_eq!(encoded(&interrupted), keys);
    assert_eq!(decode_snapshot(&keys), Ok(interrupted));
    for wrong in [b"\x00\x00".as_slice(), b"\x00\x01\xae\x02\x01"] {
        let bytes = [&expected[..before], wrong].concat();
        assert!(decode_snapshot(&bytes).is_err(), "{wrong:?}");
    }
    let longer = [&expected[..], b"\x00"].concat();
    assert!(decode_snapshot(&longer).is_err());
    assert_eq!(decode_snapshot(&[0; 11]), Ok(Snapshot::default()));
}

/// Whatever decodes encodes to the same bytes again.
fn check(bytes: &[u8]) -> Result<(), TestCaseError> {
    if let Ok(snapshot) = decode_snapshot(bytes) {
        prop_assert_eq!(encoded(&snapshot), bytes);
    }
    Ok(())
}

proptest! {
    #[test]
    fn bytes_that_are_a_snapshot_are_the_ones_it_encodes_to(bytes: Vec<u8>) {
        check(&bytes)?;
    }

    #[test]
    fn a_snapshot_with_flipped_bytes_is_another_or_none(
        seed in 0..20_u64,
        flips in prop::collection::vec((any::<prop::sample::Index>(), 1..=255_u8), 1..4),
    ) {
        let retention = Retention { age: None, bytes: Some(500) };
        let snapshot = fold(&flat(&story(seed, 60, retention))).snapshot();
        let sound = encoded(&snapshot);
        prop_assert_eq!(decode_snapshot(&sound), Ok(snapshot.clone()));
        let mut bytes = sound.clone();
        for (slot, by) in flips {
            bytes[slot.index(sound.len())] ^= by;
        }
        check(&bytes)?;
        prop_assert!(bytes == sound || decode_snapshot(&bytes) != Ok(snapshot));
    }
}
