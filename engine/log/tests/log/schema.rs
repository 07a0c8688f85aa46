//! Every record has one encoding, which never changes; bytes that are none are never a panic.

use crate::golden::golden;
use rejoin_core::{
    Actor, CloseCause, ConsumerId, Event, Instant, InterruptCause, JobId, JobMode, JobSlot,
    LeaveCause, LossCause, Outcome, Record, Redaction, Sequence, SessionId, SessionNumber,
    Timestamp, Visibility,
};
use rejoin_log::schema::{DecodeError, decode, encode};
use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::sync::Arc;

pub(crate) const SESSION: SessionId = SessionId::from_bytes([3; 16]);

pub(crate) fn encoded(at: u64, event: Event) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode(&record(at, event), &mut bytes);
    bytes
}

pub(crate) fn record(at: u64, event: Event) -> Record {
    Record {
        session: SESSION,
        sequence: Sequence(9),
        at: Timestamp::from_millis(at),
        clock: Timestamp::from_millis(at).into(),
        actor: None,
        redacted: None,
        event,
    }
}

/// The tags that stand for an event.
const TAGS: [RangeInclusive<u8>; 6] = [1..=25, 35..=35, 40..=41, 46..=46, 56..=56, 62..=62];

/// Stands before the log's clock, if that differs from the time.
const CLOCK: u8 = 128;

/// What stands before the tag of an event: the log's clock, who asked, and who redacted.
const PREFIXES: [u8; 3] = [CLOCK, 129, 42];

#[test]
fn every_event_is_these_bytes_for_ever() {
    let tags: BTreeSet<_> = golden().iter().map(|(_, bytes)| bytes[0]).collect();
    let known: BTreeSet<_> = TAGS.into_iter().flatten().collect();
    assert_eq!(tags, known, "an event is missing");
    for (event, expected) in golden() {
        let bytes = encoded(1_000, event.clone());
        let expected = [b"\xe8\x07", &expected[..]].concat();
        assert_eq!(bytes, expected, "{event:?}");
        assert_eq!(
            decode(SESSION, Sequence(9), &bytes),
            Ok(record(1_000, event))
        );
    }
}

#[test]
fn a_clock_that_differs_from_the_time_is_these_bytes_for_ever() {
    for (clock, ahead) in [
        (1_001, &b"\x01"[..]),
        (999, b"\x02"),
        (1_000 + 64, b"\x7f"),
        (0, b"\xd0\x0f"),
        (u64::MAX, b"\xd2\x0f"),
        (
            u64::MAX / 2 + 1_001,
            b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
        ),
    ] {
        let record = Record {
            clock: Instant::from_millis(clock),
            ..record(1_000, Event::SessionResumed)
        };
        let mut bytes = Vec::new();
        encode(&record, &mut bytes);
        assert_eq!(bytes, [b"\xe8\x07\x80", ahead, b"\x02"].concat(), "{clock}");
        assert_eq!(decode(SESSION, Sequence(9), &bytes), Ok(record));
    }
    // A clock that says nothing is left out.
    let error = decode(SESSION, Sequence(9), b"\xe8\x07\x80\x00\x02").unwrap_err();
    assert_eq!(error, DecodeError::InvalidNumber { field: "clock" });
    let error = decode(SESSION, Sequence(9), b"\xe8\x07\x80\x01\x80\x01\x02").unwrap_err();
    assert_eq!(error, DecodeError::UnknownEvent { tag: CLOCK });
}

#[test]
fn who_asked_is_these_bytes_for_ever() {
    let text = |text: &str| Some(text.into());
    let actor = |account, token, address| Actor {
        account,
        token,
        frontend: "native".into(),
        address,
    };
    let all = actor(text("zoë"), text("ci"), text("[::1]:9"));
    let nobody = actor(None, None, None);
    for (actor, expected) in [
        (
            all,
            &b"\x01\x04zo\xc3\xab\x01\x02ci\x06native\x01\x07[::1]:9"[..],
        ),
        (nobody, b"\x00\x00\x06native\x00"),
    ] {
        // Behind the log's clock, if there is one.
        for (clock, before) in [
            (1_000, &b"\xe8\x07\x81"[..]),
            (1_001, b"\xe8\x07\x80\x01\x81"),
        ] {
            let record = Record {
                clock: Instant::from_millis(clock),
                actor: Some(Arc::new(actor.clone())),
                ..record(1_000, Event::SessionResumed)
            };
            let mut bytes = Vec::new();
            encode(&record, &mut bytes);
            assert_eq!(bytes, [before, expected, b"\x02"].concat());
            assert_eq!(decode(SESSION, Sequence(9), &bytes), Ok(record));
        }
    }
    // Once, and never before the clock.
    for again in [
        &b"\xe8\x07\x81\x00\x00\x00\x00\x81\x00\x00\x00\x00\x02"[..],
        b"\xe8\x07\x81\x00\x00\x00\x00\x80\x01\x02",
    ] {
        let error = decode(SESSION, Sequence(9), again).unwrap_err();
        assert!(
            matches!(error, DecodeError::UnknownEvent { .. }),
            "{error:?}"
        );
    }
}

#[test]
fn who_redacted_is_these_bytes_for_ever() {
    let ada = Actor {
        account: Some("ada".into()),
        token: None,
        frontend: "native".into(),
        address: None,
    };
    let input = Event::InputWritten {
        job: JobId(1),
        mode: JobMode {
            slot: JobSlot::Foreground,
            visibility: Visibility::Session,
        },
        bytes: b"***"[..].into(),
        end: false,
    };
    for (by, expected) in [
        (None, &b"\xe8\x07\x2a\xac\x02\x00"[..]),
        (
            Some(Arc::new(ada)),
            b"\xe8\x07\x2a\xac\x02\x01\x01\x03ada\x00\x06native\x00",
        ),
    ] {
        let at = Timestamp::from_millis(300);
        let record = Record {
            redacted: Some(Arc::new(Redaction { at, by })),
            ..record(1_000, input.clone())
        };
        let mut bytes = Vec::new();
        encode(&record, &mut bytes);
        assert_eq!(bytes, [expected, b"\x10\x01\x00\x00\x03***\x00"].concat());
        assert_eq!(decode(SESSION, Sequence(9), &bytes), Ok(record));
    }
    // Only what can be redacted, and not without a record.
    for wrong in [&b"\xe8\x07\x2a\xac\x02\x00\x02"[..], b"\xe8\x07\x29\x00"] {
        decode(SESSION, Sequence(9), wrong).unwrap_err();
    }
}

#[test]
fn every_choice_is_this_code_for_ever() {
    let manners = [
        (JobSlot::Foreground, Visibility::Session, [0, 0]),
        (JobSlot::Background, Visibility::Submitter, [1, 1]),
    ];
    for (slot, visibility, expected) in manners {
        let mode = JobMode { slot, visibility };
        let (job, result) = (JobId(0), "".into());
        let bytes = encoded(
            0,
            Event::ResultEmitted {
                job,
                mode,
                result,
                position: None,
            },
        );
        assert_eq!(bytes[3..5], expected);
    }
    let last = |event| encoded(0, event).pop();
    let consumer = ConsumerId {
        token: [0; 16],
        ordinal: 0,
    };
    let leave = [
        LeaveCause::Left,
        LeaveCause::Expired,
        LeaveCause::SessionClosed,
    ];
    for (code, cause) in (0..).zip(leave) {
        assert_eq!(last(Event::ConsumerLeft { consumer, cause }), Some(code));
    }
    let interrupts = [
        InterruptCause::Requested,
        InterruptCause::Timeout,
        InterruptCause::OutputLimit,
        InterruptCause::SessionClosed,
        InterruptCause::Shutdown,
    ];
    let job = JobId(0);
    for (code, cause) in (0..).zip(interrupts) {
        assert_eq!(
            last(Event::InterruptRequested {
                job,
                cause,
                private: false
            }),
            Some(code)
        );
    }
    for (code, cause) in (0..).zip([CloseCause::Requested, CloseCause::Idle]) {
        assert_eq!(last(Event::SessionClosed { cause }), Some(code));
    }
    let outcomes = [
        Outcome::Completed,
        Outcome::Failed,
        Outcome::Interrupted,
        Outcome::TimedOut,
        Outcome::Lost,
    ];
    for (code, outcome) in (0..).zip(outcomes) {
        let event = Event::JobFinished {
            job,
            mode: JobMode {
                slot: JobSlot::Foreground,
                visibility: Visibility::Session,
            },
            outcome,
            status: 0,
            message: None,
        };
        assert_eq!(encoded(0, event)[5], code);
    }
}

#[test]
fn every_cause_of_a_loss_is_this_code_for_ever() {
    let lost = |cause| Event::RecordsLost {
        first: Sequence(1),
        last: Sequence(2),
        cause,
    };
    assert_eq!(encoded(0, lost(LossCause::Damage)), b"\x00\x11\x01\x02\x00");
    let removed = lost(LossCause::Retention {
        last_number: SessionNumber(300),
        last_job: JobId(5),
    });
    let bytes = b"\x00\x11\x01\x02\x01\xac\x02\x05";
    assert_eq!(encoded(0, removed.clone()), bytes);
    assert_eq!(decode(SESSION, Sequence(9), bytes), Ok(record(0, removed)));
}

#[test]
fn a_record_cut_anywhere_ends_too_early_and_one_with_more_is_too_long() {
    for (event, _) in golden() {
        let bytes = encoded(1_000, event.clone());
        for length in 0..bytes.len() {
            let error = decode(SESSION, Sequence(9), &bytes[..length]).unwrap_err();
            let DecodeError::Truncated { .. } = error else {
                panic!("{event:?} cut at {length}: {error}");
            };
        }
        let more = [&bytes[..], b"!!"].concat();
        let error = decode(SESSION, Sequence(9), &more).unwrap_err();
        assert_eq!(error, DecodeError::TooLong { bytes: 2 });
    }
}

#[test]
fn an_unknown_tag_or_code_may_be_newer_and_says_so() {
    let of = |bytes: &[u8]| decode(SESSION, Sequence(1), bytes).unwrap_err();
    let is_known = |tag: &u8| TAGS.iter().any(|tags| tags.contains(tag));
    for tag in (0..=u8::MAX).filter(|tag| !is_known(tag) && !PREFIXES.contains(tag)) {
        let error = of(&[0, tag, 1, 2, 3]);
        assert_eq!(error, DecodeError::UnknownEvent { tag });
        assert!(error.may_be_newer());
        assert_eq!(
            error.to_string(),
            format!(
                "event tag {tag} is not known to this version; a newer one may have written it"
            )
        );
    }
    let error = of(&[0, 14, 2]);
    assert_eq!(
        error,
        DecodeError::UnknownChoice {
            field: "cause",
            code: 2
        }
    );
    assert!(error.may_be_newer());
    assert!(!of(&[0]).may_be_newer());
}

#[test]
fn what_encode_would_not_write_is_not_a_record() {
    let of = |bytes: &[u8]| decode(SESSION, Sequence(1), bytes).unwrap_err();
    // Zero in two bytes; 65 bits; a length beyond everything; not UTF-8; a second and more
    // nanoseconds; a presence that is neither.
    assert_eq!(
        of(b"\x80\x00\x02"),
        DecodeError::InvalidNumber { field: "at" }
    );
    let long = b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02\x02";
    assert_eq!(of(long), DecodeError::InvalidNumber { field: "at" });
    let huge = b"\x00\x04\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01";
    assert_eq!(of(huge), DecodeError::Truncated { field: "user" });
    assert_eq!(
        of(b"\x00\x04\x01\xff"),
        DecodeError::NotText { field: "user" }
    );
    let seconds = b"\x00\x08\x00\x00\x00\x00\x00\x80\x94\xeb\xdc\x03\x00";
    assert_eq!(of(seconds), DecodeError::InvalidNumber { field: "timeout" });
    assert_eq!(
        of(b"\x00\x09\x02\x00"),
        DecodeError::UnknownChoice {
            field: "statement",
            code: 2
        }
    );
}
