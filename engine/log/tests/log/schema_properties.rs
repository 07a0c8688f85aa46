//! Records to bytes and back, whatever the records and whatever the bytes.

use crate::schema::{SESSION, encoded, record};
use proptest::option;
use proptest::prelude::*;
use rejoin_core::{
    Actor, CloseCause, ConsumerId, Controller, Description, Event, InterruptCause, JobId, JobMode,
    JobOutput, JobSlot, LeaveCause, LinkChange, LossCause, NodeTerm, Outcome, OutputPosition,
    OutputStream, Record, Redaction, Sequence, Server, SessionId, SessionNumber, TerminalSize,
    Timestamp, Visibility,
};
use rejoin_log::schema::{decode, encode};
use std::sync::Arc;
use std::time::Duration;

pub(crate) fn text() -> impl Strategy<Value = Arc<str>> {
    prop_oneof!["\\PC{0,40}", "\\PC{100,300}"].prop_map(Into::into)
}

pub(crate) fn number() -> impl Strategy<Value = u64> {
    // Every length of encoding is as likely as every other.
    (any::<u64>(), 0..64_u32).prop_map(|(number, shift)| number >> shift)
}

pub(crate) fn job() -> impl Strategy<Value = JobId> {
    number().prop_map(JobId)
}

pub(crate) fn timestamp() -> impl Strategy<Value = Timestamp> {
    number().prop_map(Timestamp::from_millis)
}

pub(crate) fn duration() -> impl Strategy<Value = Duration> {
    (number(), 0..1_000_000_000_u32).prop_map(|(seconds, nanos)| Duration::new(seconds, nanos))
}

pub(crate) fn consumer() -> impl Strategy<Value = ConsumerId> {
    (any::<[u8; 16]>(), any::<u32>()).prop_map(|(token, ordinal)| ConsumerId { token, ordinal })
}

pub(crate) fn mode() -> impl Strategy<Value = JobMode> {
    let slot = prop_oneof![Just(JobSlot::Foreground), Just(JobSlot::Background)];
    let visibility = prop_oneof![Just(Visibility::Session), Just(Visibility::Submitter)];
    (slot, visibility).prop_map(|(slot, visibility)| JobMode { slot, visibility })
}

fn session_event() -> impl Strategy<Value = Event> {
    let created = (
        (number(), text(), option::of(text()), option::of(text())),
        (any::<u32>(), text(), option::of(text()), duration()),
    );
    let created = created.prop_map(
        |((number, service, user, remote), (process, version, node, timeout))| {
            Event::SessionCreated {
                number: SessionNumber(number),
                service,
                user,
                remote,
                server: Server {
                    process,
                    version,
                    node,
                },
                timeout,
            }
        },
    );
    prop_oneof![
        created,
        Just(Event::SessionResumed),
        (text(), number()).prop_map(|(node, term)| Event::SessionTakenOver {
            by: Arc::new(NodeTerm { node, term }),
        }),
        timestamp().prop_map(|seen| Event::SessionTouched { seen: seen.into() }),
        text().prop_map(|user| Event::UserSet { user }),
        described(),
        (text(), link_change()).prop_map(|(link, change)| Event::LinkChanged { link, change }),
        prop_oneof![Just(CloseCause::Requested), Just(CloseCause::Idle)]
            .prop_map(|cause| Event::SessionClosed { cause }),
        (number(), number(), loss()).prop_map(|(first, last, cause)| Event::RecordsLost {
            first: Sequence(first),
            last: Sequence(last),
            cause,
        }),
    ]
}

fn link_change() -> impl Strategy<Value = LinkChange> {
    prop_oneof![
        timestamp().prop_map(|expires| LinkChange::Added { expires }),
        Just(LinkChange::Removed),
        Just(LinkChange::Joined),
        Just(LinkChange::Left),
    ]
}

fn described() -> impl Strategy<Value = Event> {
    let labels = prop::collection::btree_map(text(), text(), 0..4);
    (option::of(text()), labels)
        .prop_map(|(title, labels)| Event::SessionDescribed {
            description: Arc::new(Description { title, labels }),
        })
        .boxed()
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
                seen: seen.into(),
            }
        }),
        (consumer(), cause).prop_map(|(consumer, cause)| Event::ConsumerLeft { consumer, cause }),
    ]
}

fn submitted() -> impl Strategy<Value = Event> {
    let how = (duration(), number(), option::of(text()), any::<bool>());
    (job(), mode(), text(), how, output(), controller()).prop_map(
        |(job, mode, statement, (timeout, output_limit, request, input), output, controller)| {
            Event::JobSubmitted {
                job,
                mode,
                statement,
                timeout,
                output_limit,
                request,
                input,
                output,
                controller,
            }
        },
    )
}

pub(crate) fn size() -> impl Strategy<Value = TerminalSize> {
    (any::<u16>(), any::<u16>()).prop_map(|(columns, rows)| TerminalSize { columns, rows })
}

pub(crate) fn output() -> impl Strategy<Value = JobOutput> {
    prop_oneof![
        Just(JobOutput::Merged),
        Just(JobOutput::Separate),
        size().prop_map(JobOutput::Terminal),
    ]
}

pub(crate) fn controller() -> impl Strategy<Value = Option<Arc<Controller>>> {
    let controller = (text(), option::of(text()));
    let controller = controller.prop_map(|(client, user)| Arc::new(Controller { client, user }));
    option::of(controller)
}

fn terminal_event() -> impl Strategy<Value = Event> {
    prop_oneof![
        (job(), mode(), size()).prop_map(|(job, mode, size)| Event::TerminalResized {
            job,
            mode,
            size
        }),
        (job(), mode(), controller()).prop_map(|(job, mode, controller)| {
            Event::ControllerChanged {
                job,
                mode,
                controller,
            }
        }),
        (job(), mode(), any::<bool>()).prop_map(|(job, mode, kept)| Event::LeftoversChosen {
            job,
            mode,
            kept
        }),
        prop::collection::btree_set(any::<u64>(), 1..5).prop_map(|records| {
            let records = records.into_iter().map(Sequence).collect();
            Event::RecordsRedacted { records }
        }),
        (job(), mode(), number()).prop_map(|(job, mode, bytes)| Event::InputHidden {
            job,
            mode,
            bytes
        }),
        (job(), mode(), number(), size(), text()).prop_map(|(job, mode, after, size, content)| {
            Event::ScreenCaptured {
                job,
                mode,
                after: Sequence(after),
                size,
                content,
            }
        }),
    ]
}

fn job_event() -> impl Strategy<Value = Event> {
    let stream = prop_oneof![Just(OutputStream::Stdout), Just(OutputStream::Stderr)];
    let position = (stream, any::<u64>());
    let position = position.prop_map(|(stream, bytes)| OutputPosition { stream, bytes });
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
    let finished = (job(), mode(), outcome, any::<i32>(), option::of(text()));
    prop_oneof![
        submitted(),
        (job(), mode(), any::<Vec<u8>>(), any::<bool>()).prop_map(|(job, mode, bytes, end)| {
            Event::InputWritten {
                job,
                mode,
                bytes: bytes.into(),
                end,
            }
        }),
        (option::of(text()), text())
            .prop_map(|(statement, reason)| Event::StatementRefused { statement, reason }),
        (job(), any::<bool>()).prop_map(|(job, private)| Event::JobStarted { job, private }),
        (job(), mode(), text(), option::of(position)).prop_map(|(job, mode, result, position)| {
            Event::ResultEmitted {
                job,
                mode,
                result,
                position,
            }
        }),
        (job(), cause, any::<bool>()).prop_map(|(job, cause, private)| Event::InterruptRequested {
            job,
            cause,
            private
        }),
        finished.prop_map(|(job, mode, outcome, status, message)| Event::JobFinished {
            job,
            mode,
            outcome,
            status,
            message,
        }),
    ]
}

pub(crate) fn actor() -> impl Strategy<Value = Actor> {
    let texts = (
        option::of(text()),
        option::of(text()),
        text(),
        option::of(text()),
    );
    texts.prop_map(|(account, token, frontend, address)| Actor {
        account,
        token,
        frontend,
        address,
    })
}

proptest! {
    #[test]
    fn every_record_comes_back_from_its_bytes(
        session: [u8; 16],
        sequence: u64,
        at in timestamp(),
        clock in timestamp(),
        was_set: bool,
        actor in option::of(actor().boxed()),
        redaction in option::of((timestamp(), option::of(actor().boxed()))),
        event in prop_oneof![
            session_event().boxed(),
            consumer_event().boxed(),
            job_event().boxed(),
            terminal_event().boxed(),
        ],
    ) {
        let clock = if was_set { clock } else { at };
        let mut record = Record {
            session: SessionId::from_bytes(session),
            sequence: Sequence(sequence),
            at,
            clock: clock.into(),
            actor: actor.map(Arc::new),
            redacted: None,
            event,
        };
        if record.is_redactable() {
            record.redacted = redaction.map(|(at, by)| {
                Arc::new(Redaction { at, by: by.map(Arc::new) })
            });
        }
        let mut bytes = Vec::new();
        encode(&record, &mut bytes);
        prop_assert_eq!(decode(record.session, record.sequence, &bytes), Ok(record));
    }

    #[test]
    fn bytes_that_are_a_record_are_the_ones_it_encodes_to(
        at in 0..200_u8,
        tag in prop_oneof![0..26_u8, Just(35), 40..43_u8, Just(46), Just(56), Just(62), Just(128), Just(129)],
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
        event in prop_oneof![
            session_event().boxed(),
            consumer_event().boxed(),
            job_event().boxed(),
        ],
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
