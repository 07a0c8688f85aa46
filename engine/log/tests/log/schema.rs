//! Every record has one encoding, which never changes; bytes that are none are never a panic.

use proptest::option;
use proptest::prelude::*;
use rejoin_core::{
    Audience, CloseCause, ConsumerId, Event, InterruptCause, JobId, LeaveCause, LossCause, Manner,
    Outcome, Place, Record, Sequence, Server, SessionId, SessionNumber, Timestamp,
};
use rejoin_log::schema::{DecodeError, decode, encode};
use std::sync::Arc;
use std::time::Duration;

const SESSION: SessionId = SessionId::from_bytes([3; 16]);

fn encoded(at: u64, event: Event) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode(&record(at, event), &mut bytes);
    bytes
}

fn record(at: u64, event: Event) -> Record {
    Record {
        session: SESSION,
        sequence: Sequence(9),
        at: Timestamp::from_millis(at),
        event,
    }
}

/// One of each event, and the bytes that stand for it for ever.
fn golden() -> Vec<(Event, Vec<u8>)> {
    let consumer = ConsumerId {
        token: *b"0123456789abcdef",
        ordinal: 2,
    };
    let manner = Manner {
        place: Place::Background,
        audience: Audience::Submitter,
    };
    let front = Manner {
        place: Place::Foreground,
        audience: Audience::Session,
    };
    let job = JobId(300);
    let bytes = |parts: &[&[u8]]| parts.concat();
    let token: &[u8] = b"0123456789abcdef";
    vec![
        (
            Event::SessionCreated {
                number: SessionNumber(5),
                service: "shell".into(),
                user: Some("anna".into()),
                remote: None,
                server: Server {
                    process: 4321,
                    version: "0.1.0".into(),
                },
                timeout: Duration::from_millis(1_800_500),
            },
            bytes(&[
                b"\x01\x05\x05shell\x01\x04anna\x00\xe1\x21\x050.1.0\x88\x0e",
                b"\x80\xca\xb5\xee\x01",
            ]),
        ),
        (Event::SessionResumed, b"\x02".to_vec()),
        (
            Event::SessionTouched {
                seen: Timestamp::from_millis(128),
            },
            b"\x03\x80\x01".to_vec(),
        ),
        (
            Event::UserSet {
                user: "zoë".into()
            },
            b"\x04\x04zo\xc3\xab".to_vec(),
        ),
        (
            Event::ConsumerJoined {
                consumer,
                timeout: Duration::from_secs(60),
                foreground: Some(job),
            },
            bytes(&[b"\x05", token, b"\x02\x3c\x00\x01\xac\x02"]),
        ),
        (
            Event::CursorAdvanced {
                consumer,
                to: Sequence(u64::MAX),
                seen: Timestamp::EPOCH,
            },
            bytes(&[
                b"\x06",
                token,
                b"\x02\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x00",
            ]),
        ),
        (
            Event::ConsumerLeft {
                consumer,
                cause: LeaveCause::Expired,
            },
            bytes(&[b"\x07", token, b"\x02\x01"]),
        ),
        (
            Event::JobSubmitted {
                job,
                manner,
                statement: "ls".into(),
                timeout: Duration::ZERO,
                output_limit: 1 << 20,
            },
            b"\x08\xac\x02\x01\x01\x02ls\x00\x00\x80\x80\x40".to_vec(),
        ),
        (
            Event::StatementRefused {
                statement: None,
                reason: "empty".into(),
            },
            b"\x09\x00\x05empty".to_vec(),
        ),
        (Event::JobStarted { job }, b"\x0a\xac\x02".to_vec()),
        (
            Event::ResultEmitted {
                job,
                manner: front,
                result: "{}".into(),
            },
            b"\x0b\xac\x02\x00\x00\x02{}".to_vec(),
        ),
        (
            Event::InterruptRequested {
                job,
                cause: InterruptCause::Shutdown,
            },
            b"\x0c\xac\x02\x04".to_vec(),
        ),
        (
            Event::JobFinished {
                job,
                manner: front,
                outcome: Outcome::Lost,
                status: -2,
                message: Some("gone".into()),
            },
            b"\x0d\xac\x02\x00\x00\x04\x03\x01\x04gone".to_vec(),
        ),
        (
            Event::SessionClosed {
                cause: CloseCause::Idle,
            },
            b"\x0e\x01".to_vec(),
        ),
        (
            Event::RecordsLost {
                first: Sequence(3),
                last: Sequence(300),
                cause: LossCause::Damage,
            },
            b"\x11\x03\xac\x02\x00".to_vec(),
        ),
    ]
}

/// Every tag that stands for an event.
const TAGS: [u8; 15] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 17];

#[test]
fn every_event_is_these_bytes_for_ever() {
    let tags: Vec<_> = golden().iter().map(|(_, bytes)| bytes[0]).collect();
    assert_eq!(tags, TAGS, "an event is missing");
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
fn every_choice_is_this_code_for_ever() {
    let manners = [
        (Place::Foreground, Audience::Session, [0, 0]),
        (Place::Background, Audience::Submitter, [1, 1]),
    ];
    for (place, audience, expected) in manners {
        let manner = Manner { place, audience };
        let (job, result) = (JobId(0), "".into());
        let bytes = encoded(
            0,
            Event::ResultEmitted {
                job,
                manner,
                result,
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
        assert_eq!(last(Event::InterruptRequested { job, cause }), Some(code));
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
            manner: Manner {
                place: Place::Foreground,
                audience: Audience::Session,
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
    for tag in (0..=u8::MAX).filter(|tag| !TAGS.contains(tag)) {
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

fn text() -> impl Strategy<Value = Arc<str>> {
    prop_oneof!["\\PC{0,40}", "\\PC{100,300}"].prop_map(Into::into)
}

fn number() -> impl Strategy<Value = u64> {
    // Every length of encoding is as likely as every other.
    (any::<u64>(), 0..64_u32).prop_map(|(number, shift)| number >> shift)
}

fn job() -> impl Strategy<Value = JobId> {
    number().prop_map(JobId)
}

fn timestamp() -> impl Strategy<Value = Timestamp> {
    number().prop_map(Timestamp::from_millis)
}

fn duration() -> impl Strategy<Value = Duration> {
    (number(), 0..1_000_000_000_u32).prop_map(|(seconds, nanos)| Duration::new(seconds, nanos))
}

fn consumer() -> impl Strategy<Value = ConsumerId> {
    (any::<[u8; 16]>(), any::<u32>()).prop_map(|(token, ordinal)| ConsumerId { token, ordinal })
}

fn manner() -> impl Strategy<Value = Manner> {
    let place = prop_oneof![Just(Place::Foreground), Just(Place::Background)];
    let audience = prop_oneof![Just(Audience::Session), Just(Audience::Submitter)];
    (place, audience).prop_map(|(place, audience)| Manner { place, audience })
}

fn session_event() -> impl Strategy<Value = Event> {
    let created = (
        (number(), text(), option::of(text()), option::of(text())),
        (any::<u32>(), text(), duration()),
    );
    let created = created.prop_map(
        |((number, service, user, remote), (process, version, timeout))| Event::SessionCreated {
            number: SessionNumber(number),
            service,
            user,
            remote,
            server: Server { process, version },
            timeout,
        },
    );
    prop_oneof![
        created,
        Just(Event::SessionResumed),
        timestamp().prop_map(|seen| Event::SessionTouched { seen }),
        text().prop_map(|user| Event::UserSet { user }),
        prop_oneof![Just(CloseCause::Requested), Just(CloseCause::Idle)]
            .prop_map(|cause| Event::SessionClosed { cause }),
        (number(), number(), loss()).prop_map(|(first, last, cause)| Event::RecordsLost {
            first: Sequence(first),
            last: Sequence(last),
            cause,
        }),
    ]
}

fn loss() -> impl Strategy<Value = LossCause> {
    prop_oneof![
        Just(LossCause::Damage),
        (number(), job()).prop_map(|(number, last_job)| LossCause::Retention {
            last_number: SessionNumber(number),
            last_job,
        }),
    ]
}

fn consumer_event() -> impl Strategy<Value = Event> {
    let cause = prop_oneof![
        Just(LeaveCause::Left),
        Just(LeaveCause::Expired),
        Just(LeaveCause::SessionClosed)
    ];
    prop_oneof![
        (consumer(), duration(), option::of(job())).prop_map(|(consumer, timeout, foreground)| {
            Event::ConsumerJoined {
                consumer,
                timeout,
                foreground,
            }
        }),
        (consumer(), number(), timestamp()).prop_map(|(consumer, to, seen)| {
            Event::CursorAdvanced {
                consumer,
                to: Sequence(to),
                seen,
            }
        }),
        (consumer(), cause).prop_map(|(consumer, cause)| Event::ConsumerLeft { consumer, cause }),
    ]
}

fn job_event() -> impl Strategy<Value = Event> {
    let cause = prop_oneof![
        Just(InterruptCause::Requested),
        Just(InterruptCause::Timeout),
        Just(InterruptCause::OutputLimit),
        Just(InterruptCause::SessionClosed),
        Just(InterruptCause::Shutdown),
    ];
    let outcome = prop_oneof![
        Just(Outcome::Completed),
        Just(Outcome::Failed),
        Just(Outcome::Interrupted),
        Just(Outcome::TimedOut),
        Just(Outcome::Lost),
    ];
    let finished = (job(), manner(), outcome, any::<i32>(), option::of(text()));
    prop_oneof![
        (job(), manner(), text(), duration(), number()).prop_map(
            |(job, manner, statement, timeout, output_limit)| Event::JobSubmitted {
                job,
                manner,
                statement,
                timeout,
                output_limit,
            }
        ),
        (option::of(text()), text())
            .prop_map(|(statement, reason)| Event::StatementRefused { statement, reason }),
        job().prop_map(|job| Event::JobStarted { job }),
        (job(), manner(), text()).prop_map(|(job, manner, result)| Event::ResultEmitted {
            job,
            manner,
            result
        }),
        (job(), cause).prop_map(|(job, cause)| Event::InterruptRequested { job, cause }),
        finished.prop_map(
            |(job, manner, outcome, status, message)| Event::JobFinished {
                job,
                manner,
                outcome,
                status,
                message,
            }
        ),
    ]
}

proptest! {
    #[test]
    fn every_record_comes_back_from_its_bytes(
        session: [u8; 16],
        sequence: u64,
        at in timestamp(),
        event in prop_oneof![session_event(), consumer_event(), job_event()],
    ) {
        let record = Record {
            session: SessionId::from_bytes(session),
            sequence: Sequence(sequence),
            at,
            event,
        };
        let mut bytes = Vec::new();
        encode(&record, &mut bytes);
        prop_assert_eq!(decode(record.session, record.sequence, &bytes), Ok(record));
    }

    #[test]
    fn bytes_that_are_a_record_are_the_ones_it_encodes_to(
        at in 0..200_u8,
        tag in 0..20_u8,
        rest: Vec<u8>,
    ) {
        let bytes = [&[at & 0x7f, tag], &rest[..]].concat();
        if let Ok(record) = decode(SESSION, Sequence(1), &bytes) {
            let mut again = Vec::new();
            encode(&record, &mut again);
            prop_assert_eq!(again, bytes);
        }
    }

    #[test]
    fn a_flipped_bit_is_another_record_or_none(
        event in prop_oneof![session_event(), consumer_event(), job_event()],
        flip: prop::sample::Index,
    ) {
        let mut bytes = encoded(77, event.clone());
        let bit = flip.index(bytes.len() * 8);
        bytes[bit / 8] ^= 1 << (bit % 8);
        if let Ok(other) = decode(SESSION, Sequence(9), &bytes) {
            prop_assert_ne!(&other, &record(77, event));
            let mut again = Vec::new();
            encode(&other, &mut again);
            prop_assert_eq!(again, bytes);
        }
    }
}
