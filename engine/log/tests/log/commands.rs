//! What nodes ask of each other to bytes and back, whatever is asked and whatever the bytes.

use crate::schema_properties::{
    actor, consumer, controller, duration, job, mode, number, output, size, text, timestamp,
};
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use rejoin_core::{
    Actor, CloseCause, Command, CreateSession, DescribeSession, JobId, JobMode, JobOutput, JobSlot,
    LinkChange, Rejection, Sequence, Server, SessionId, SubmitJob, TerminalSize, Visibility,
};
use rejoin_log::schema::{decode_command, decode_rejection, encode_command, encode_rejection};
use std::sync::Arc;
use std::time::Duration;

const SESSION: SessionId = SessionId::from_bytes(*b"0123456789abcdef");

fn encoded(command: &Command, actor: Option<&Actor>) -> Vec<u8> {
    let mut bytes = Vec::new();
    assert!(encode_command(command, actor, &mut bytes), "{command:?}");
    bytes
}

#[test]
fn a_command_is_these_bytes_for_ever() {
    let submit = Command::SubmitJob(SubmitJob {
        session: SESSION,
        statement: "ls".into(),
        mode: JobMode {
            slot: JobSlot::Background,
            visibility: Visibility::Submitter,
        },
        timeout: Duration::from_secs(9),
        output_limit: 300,
        request: Some("r".into()),
        input: true,
        output: JobOutput::Terminal(TerminalSize {
            columns: 80,
            rows: 24,
        }),
        controller: None,
        keeps_leftovers: Some(true),
    });
    let ada = Actor {
        account: Some("ada".into()),
        token: None,
        frontend: "native".into(),
        address: None,
    };
    let create = Command::CreateSession(CreateSession {
        session: SESSION,
        service: "shell".into(),
        user: None,
        remote: None,
        server: Server {
            process: 1,
            version: "2".into(),
            node: Some("n1".into()),
        },
        timeout: Duration::from_secs(9),
        consumer: None,
    });
    let session: &[u8] = b"0123456789abcdef";
    for (command, actor, parts) in [
        (
            &submit,
            Some(&ada),
            [
                b"\x01\x01\x01\x03ada\x00\x06native\x00\x09",
                session,
                b"\x02ls\x01\x01\x09\x00\xac\x02\x01\x01r\x01\x02\x50\x18\x00\x01\x01",
            ],
        ),
        (
            &create,
            None,
            [
                b"\x01\x00\x01",
                session,
                b"\x05shell\x00\x00\x01\x012\x01\x02n1\x09\x00\x00",
            ],
        ),
        (
            &Command::RemoveSession { session: SESSION },
            None,
            [b"\x01\x00\x13", session, b""],
        ),
    ] {
        let bytes = parts.concat();
        assert_eq!(encoded(command, actor), bytes, "{command:?}");
        let decoded = decode_command(&bytes).unwrap();
        assert_eq!(decoded, (command.clone(), actor.cloned().map(Arc::new)));
    }
}

#[test]
fn a_rejection_is_these_bytes_for_ever() {
    for (rejection, expected) in [
        (Rejection::CursorAhead, &b"\x01\x02"[..]),
        (Rejection::JobRunning(JobId(300)), b"\x01\x06\xac\x02"),
        (
            Rejection::TooMany {
                what: "labels",
                limit: 32,
            },
            b"\x01\x12\x06labels\x20",
        ),
    ] {
        let mut bytes = Vec::new();
        encode_rejection(rejection, &mut bytes);
        assert_eq!(bytes, expected, "{rejection:?}");
    }
}

#[test]
fn what_an_engine_does_by_itself_is_never_asked_of_it_by_another() {
    let job = JobId(1);
    for command in [
        Command::Expire,
        Command::ExpireConsumers,
        Command::InterruptAll,
        Command::Resume {
            kept: [].into(),
            lost: [].into(),
            by: None,
        },
        Command::ReportStarted {
            session: SESSION,
            job,
        },
    ] {
        let mut bytes = b"before".to_vec();
        assert!(!encode_command(&command, None, &mut bytes), "{command:?}");
        assert_eq!(bytes, b"before");
    }
}

#[test]
fn a_command_of_a_newer_version_is_refused_by_name() {
    for (bytes, part) in [
        (&b"\x02\x00\x01"[..], "version"),
        (b"\x01\x00\x14", "command"),
    ] {
        let bytes = [bytes, &SESSION.to_bytes()].concat();
        let error = decode_command(&bytes).unwrap_err();
        assert!(error.may_be_newer(), "{error}");
        assert!(error.to_string().contains(part), "{error}");
    }
}

#[test]
fn a_limit_that_only_a_newer_version_knows_is_still_a_rejection() {
    let decoded = decode_rejection(b"\x01\x11\x05waltz\x07").unwrap();
    let expected = Rejection::TooLong {
        what: "request",
        limit: 7,
    };
    assert_eq!(decoded, expected);
}

fn session() -> impl Strategy<Value = SessionId> {
    any::<[u8; 16]>().prop_map(SessionId::from_bytes)
}

fn client() -> impl Strategy<Value = Arc<rejoin_core::Controller>> {
    controller().prop_filter_map("no client", |client| client)
}

fn created() -> impl Strategy<Value = Command> {
    let server = (any::<u32>(), text(), option::of(text()));
    let names = (text(), option::of(text()), option::of(text()));
    let consumer = option::of((any::<[u8; 16]>(), duration()));
    (session(), names, server, duration(), consumer).prop_map(
        |(session, (service, user, remote), (process, version, node), timeout, consumer)| {
            Command::CreateSession(CreateSession {
                session,
                service,
                user,
                remote,
                server: Server {
                    process,
                    version,
                    node,
                },
                timeout,
                consumer,
            })
        },
    )
}

fn submitted() -> impl Strategy<Value = Command> {
    let how = (duration(), number(), option::of(text()), any::<bool>());
    let rest = (output(), controller(), option::of(any::<bool>()));
    (session(), text(), mode(), how, rest).prop_map(|(session, statement, mode, how, rest)| {
        let (timeout, output_limit, request, input) = how;
        let (output, controller, keeps_leftovers) = rest;
        Command::SubmitJob(SubmitJob {
            session,
            statement,
            mode,
            timeout,
            output_limit,
            request,
            input,
            output,
            controller,
            keeps_leftovers,
        })
    })
}

fn of_session() -> impl Strategy<Value = Command> {
    let change = prop_oneof![
        timestamp().prop_map(|expires| LinkChange::Added { expires }),
        Just(LinkChange::Removed),
        Just(LinkChange::Joined),
        Just(LinkChange::Left),
    ];
    let cause = prop_oneof![Just(CloseCause::Requested), Just(CloseCause::Idle)];
    let labels = btree_map(text(), option::of(text()), 0..4);
    prop_oneof![
        created(),
        (session(), any::<[u8; 16]>(), duration()).prop_map(|(session, token, timeout)| {
            Command::JoinSession {
                session,
                token,
                timeout,
            }
        }),
        (session(), consumer())
            .prop_map(|(session, consumer)| Command::LeaveSession { session, consumer }),
        (session(), cause).prop_map(|(session, cause)| Command::CloseSession { session, cause }),
        (session(), text()).prop_map(|(session, user)| Command::SetUser { session, user }),
        (session(), option::of(text()), labels).prop_map(|(session, title, labels)| {
            Command::DescribeSession(DescribeSession {
                session,
                title,
                labels,
            })
        }),
        (session(), text(), change).prop_map(|(session, link, change)| Command::NoteLink {
            session,
            link,
            change,
        }),
        (session(), timestamp()).prop_map(|(session, seen)| Command::TouchSession {
            session,
            seen: seen.into(),
        }),
        (session(), consumer(), number(), timestamp()).prop_map(|(session, consumer, to, seen)| {
            Command::AdvanceCursor {
                session,
                consumer,
                to: Sequence(to),
                seen: seen.into(),
            }
        }),
        (session(), vec(number().prop_map(Sequence), 0..5))
            .prop_map(|(session, records)| Command::RedactRecords { session, records }),
        session().prop_map(|session| Command::RemoveSession { session }),
    ]
}

fn of_job() -> impl Strategy<Value = Command> {
    prop_oneof![
        submitted(),
        (
            session(),
            job(),
            any::<Vec<u8>>(),
            any::<bool>(),
            controller()
        )
            .prop_map(|(session, job, bytes, end, client)| Command::WriteInput {
                session,
                job,
                bytes: bytes.into(),
                end,
                client,
            }),
        (session(), job(), number(), controller()).prop_map(|(session, job, bytes, client)| {
            Command::HideInput {
                session,
                job,
                bytes,
                client,
            }
        }),
        (session(), job(), size(), controller()).prop_map(|(session, job, size, client)| {
            Command::ResizeTerminal {
                session,
                job,
                size,
                client,
            }
        }),
        (session(), job(), client(), any::<bool>()).prop_map(|(session, job, client, takes)| {
            match takes {
                true => Command::TakeControl {
                    session,
                    job,
                    client,
                },
                false => Command::GiveControl {
                    session,
                    job,
                    client,
                },
            }
        }),
        (session(), option::of(text()), text()).prop_map(|(session, statement, reason)| {
            Command::RefuseStatement {
                session,
                statement,
                reason,
            }
        }),
        (session(), option::of(job()))
            .prop_map(|(session, job)| Command::InterruptJob { session, job }),
    ]
}

fn rejection() -> impl Strategy<Value = Rejection> {
    let limit = (0..Rejection::WHATS.len(), any::<u32>());
    prop_oneof![
        consumer().prop_map(Rejection::ConsumerNotFound),
        Just(Rejection::CursorAhead),
        size().prop_map(Rejection::InvalidSize),
        (job(), 0..8_usize).prop_map(|(job, kind)| {
            let kinds = [
                Rejection::InputEnded,
                Rejection::JobNotFound,
                Rejection::JobRunning,
                Rejection::NoInput,
                Rejection::NoTerminal,
                Rejection::NotController,
                Rejection::OutputLimitReached,
                Rejection::RequestTaken,
            ];
            kinds[kind](job)
        }),
        Just(Rejection::NoForegroundJob),
        Just(Rejection::RecordNotFound),
        (job(), number()).prop_map(|(job, sequence)| Rejection::RequestRepeated {
            job,
            sequence: Sequence(sequence),
        }),
        session().prop_map(Rejection::SessionExists),
        session().prop_map(Rejection::SessionNotFound),
        (limit, any::<bool>()).prop_map(|((what, limit), is_long)| {
            let (what, limit) = (Rejection::WHATS[what], limit as usize);
            match is_long {
                true => Rejection::TooLong { what, limit },
                false => Rejection::TooMany { what, limit },
            }
        }),
    ]
}

proptest! {
    #[test]
    fn every_command_of_a_client_comes_back_from_its_bytes(
        command in prop_oneof![of_session().boxed(), of_job().boxed()],
        actor in option::of(actor().boxed()),
    ) {
        let bytes = encoded(&command, actor.as_ref());
        let actor = actor.map(Arc::new);
        prop_assert_eq!(decode_command(&bytes), Ok((command, actor)));
    }

    #[test]
    fn every_rejection_comes_back_from_its_bytes(rejection in rejection()) {
        let mut bytes = Vec::new();
        encode_rejection(rejection, &mut bytes);
        prop_assert_eq!(decode_rejection(&bytes), Ok(rejection));
    }

    #[test]
    fn bytes_that_are_a_command_are_the_ones_it_encodes_to(
        has_actor in 0..2_u8,
        tag in 0..22_u8,
        rest in vec(prop_oneof![0..4_u8, any::<u8>()], 0..80),
    ) {
        let bytes = [&[1, has_actor, tag], &rest[..]].concat();
        if let Ok((command, actor)) = decode_command(&bytes) {
            prop_assert_eq!(encoded(&command, actor.as_deref()), bytes);
        }
        let _ = decode_rejection(&[&[1, tag], &rest[..]].concat());
    }

    #[test]
    fn a_command_with_a_flipped_bit_is_another_one_or_none(
        command in prop_oneof![of_session().boxed(), of_job().boxed()],
        flip: prop::sample::Index,
    ) {
        let mut bytes = encoded(&command, None);
        let bit = flip.index(bytes.len() * 8);
        bytes[bit / 8] ^= 1 << (bit % 8);
        if let Ok((other, actor)) = decode_command(&bytes) {
            prop_assert_eq!(encoded(&other, actor.as_deref()), bytes);
        }
    }
}
