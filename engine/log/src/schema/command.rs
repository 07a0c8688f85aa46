//! Encodes and decodes what a node asks of the one that writes a log: commands, with the actor, and why a
//! command was refused. Not part of any log, but as stable: nodes of two versions run beside each other.
//!
//! Values are encoded as in records. A command is byte 1 (the version), an optional actor, the command's
//! tag from `codes.rs`, and its fields in the order of their declaration.

use super::DecodeError;
use super::bytes::{Parts, put_duration, put_number, put_optional, put_text};
use super::codes::{Coded, command as tag, link, rejection};
use super::decode::{actor, consumer, controller, job, mode, output, size};
use super::encode::{
    put_actor, put_consumer, put_controller, put_job, put_mode, put_output, put_size,
};
use rejoin_core::{
    Actor, Command, Controller, CreateSession, DescribeSession, LinkChange, Rejection, Sequence,
    Server, SessionId, SubmitJob,
};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The version of the encoding. A node of another version refuses it, and the one that asks says so.
const VERSION: u8 = 1;

/// Appends the encoding of a client's command, and on whose behalf it is given. False, and nothing is
/// appended: the command is one of the engine, its timers or its runners, which never travels.
pub fn encode_command(command: &Command, actor: Option<&Actor>, out: &mut Vec<u8>) -> bool {
    let begin = out.len();
    out.push(VERSION);
    put_optional(out, actor, put_actor);
    let is_of_client = put_command(out, command);
    if !is_of_client {
        out.truncate(begin);
    }
    is_of_client
}

/// The command, and on whose behalf it is given.
///
/// # Errors
///
/// If [`encode_command`] would not produce exactly these bytes.
pub fn decode_command(bytes: &[u8]) -> Result<(Command, Option<Arc<Actor>>), DecodeError> {
    let mut parts = Parts::new(bytes);
    version(&mut parts)?;
    let actor = parts.optional("actor", |parts, _| actor(parts))?;
    let command = command(&mut parts)?;
    parts.end()?;
    Ok((command, actor.map(Arc::new)))
}

/// Appends the encoding of a rejection.
pub fn encode_rejection(rejection: Rejection, out: &mut Vec<u8>) {
    out.push(VERSION);
    match rejection {
        Rejection::ConsumerNotFound(consumer) => {
            out.push(rejection::CONSUMER_NOT_FOUND);
            put_consumer(out, consumer);
        }
        Rejection::CursorAhead => out.push(rejection::CURSOR_AHEAD),
        Rejection::InputEnded(job) => put_coded_job(out, rejection::INPUT_ENDED, job),
        Rejection::InvalidSize(size) => {
            out.push(rejection::INVALID_SIZE);
            put_size(out, size);
        }
        Rejection::JobNotFound(job) => put_coded_job(out, rejection::JOB_NOT_FOUND, job),
        Rejection::JobRunning(job) => put_coded_job(out, rejection::JOB_RUNNING, job),
        Rejection::NoForegroundJob => out.push(rejection::NO_FOREGROUND_JOB),
        Rejection::NoInput(job) => put_coded_job(out, rejection::NO_INPUT, job),
        Rejection::NoTerminal(job) => put_coded_job(out, rejection::NO_TERMINAL, job),
        Rejection::NotController(job) => put_coded_job(out, rejection::NOT_CONTROLLER, job),
        Rejection::OutputLimitReached(job) => {
            put_coded_job(out, rejection::OUTPUT_LIMIT_REACHED, job);
        }
        Rejection::RecordNotFound => out.push(rejection::RECORD_NOT_FOUND),
        Rejection::RequestRepeated { job, sequence } => {
            put_coded_job(out, rejection::REQUEST_REPEATED, job);
            put_number(out, sequence.0);
        }
        Rejection::RequestTaken(job) => put_coded_job(out, rejection::REQUEST_TAKEN, job),
        Rejection::SessionExists(session) => {
            out.push(rejection::SESSION_EXISTS);
            out.extend_from_slice(&session.to_bytes());
        }
        Rejection::SessionNotFound(session) => {
            out.push(rejection::SESSION_NOT_FOUND);
            out.extend_from_slice(&session.to_bytes());
        }
        Rejection::TooLong { what, limit } => {
            out.push(rejection::TOO_LONG);
            put_text(out, what);
            put_number(out, limit as u64);
        }
        Rejection::TooMany { what, limit } => {
            out.push(rejection::TOO_MANY);
            put_text(out, what);
            put_number(out, limit as u64);
        }
    }
}

/// The rejection with these bytes. What is too long, or of what there is too much, is one of
/// [`Rejection::WHATS`]; a name that only a newer version knows becomes the first of them.
///
/// # Errors
///
/// If the bytes are none.
pub fn decode_rejection(bytes: &[u8]) -> Result<Rejection, DecodeError> {
    let mut parts = Parts::new(bytes);
    version(&mut parts)?;
    let rejection = match parts.byte("rejection")? {
        rejection::CONSUMER_NOT_FOUND => Rejection::ConsumerNotFound(consumer(&mut parts)?),
        rejection::CURSOR_AHEAD => Rejection::CursorAhead,
        rejection::INPUT_ENDED => Rejection::InputEnded(job(&mut parts)?),
        rejection::INVALID_SIZE => Rejection::InvalidSize(size(&mut parts)?),
        rejection::JOB_NOT_FOUND => Rejection::JobNotFound(job(&mut parts)?),
        rejection::JOB_RUNNING => Rejection::JobRunning(job(&mut parts)?),
        rejection::NO_FOREGROUND_JOB => Rejection::NoForegroundJob,
        rejection::NO_INPUT => Rejection::NoInput(job(&mut parts)?),
        rejection::NO_TERMINAL => Rejection::NoTerminal(job(&mut parts)?),
        rejection::NOT_CONTROLLER => Rejection::NotController(job(&mut parts)?),
        rejection::OUTPUT_LIMIT_REACHED => Rejection::OutputLimitReached(job(&mut parts)?),
        rejection::RECORD_NOT_FOUND => Rejection::RecordNotFound,
        rejection::REQUEST_REPEATED => Rejection::RequestRepeated {
            job: job(&mut parts)?,
            sequence: Sequence(parts.number("sequence")?),
        },
        rejection::REQUEST_TAKEN => Rejection::RequestTaken(job(&mut parts)?),
        rejection::SESSION_EXISTS => Rejection::SessionExists(session(&mut parts)?),
        rejection::SESSION_NOT_FOUND => Rejection::SessionNotFound(session(&mut parts)?),
        rejection::TOO_LONG => Rejection::TooLong {
            what: what(&mut parts)?,
            limit: limit(&mut parts)?,
        },
        rejection::TOO_MANY => Rejection::TooMany {
            what: what(&mut parts)?,
            limit: limit(&mut parts)?,
        },
        code => {
            return Err(DecodeError::UnknownChoice {
                field: "rejection",
                code,
            });
        }
    };
    parts.end()?;
    Ok(rejection)
}

fn version(parts: &mut Parts<'_>) -> Result<(), DecodeError> {
    match parts.byte("version")? {
        VERSION => Ok(()),
        code => Err(DecodeError::UnknownChoice {
            field: "version",
            code,
        }),
    }
}

fn put_command(out: &mut Vec<u8>, command: &Command) -> bool {
    match command {
        Command::CreateSession(create) => {
            let CreateSession {
                session,
                service,
                user,
                remote,
                server,
                timeout,
                consumer,
            } = create;
            put_tagged(out, tag::CREATE_SESSION, *session);
            put_text(out, service);
            put_optional(out, user.as_deref(), put_text);
            put_optional(out, remote.as_deref(), put_text);
            put_number(out, u64::from(server.process));
            put_text(out, &server.version);
            put_optional(out, server.node.as_deref(), put_text);
            put_duration(out, *timeout);
            put_optional(out, *consumer, |out, (token, timeout)| {
                out.extend_from_slice(&token);
                put_duration(out, timeout);
            });
        }
        Command::JoinSession {
            session,
            token,
            timeout,
        } => {
            put_tagged(out, tag::JOIN_SESSION, *session);
            out.extend_from_slice(token);
            put_duration(out, *timeout);
        }
        Command::LeaveSession { session, consumer } => {
            put_tagged(out, tag::LEAVE_SESSION, *session);
            put_consumer(out, *consumer);
        }
        Command::CloseSession { session, cause } => {
            put_tagged(out, tag::CLOSE_SESSION, *session);
            out.push(cause.code());
        }
        Command::SetUser { session, user } => {
            put_tagged(out, tag::SET_USER, *session);
            put_text(out, user);
        }
        Command::DescribeSession(describe) => {
            let DescribeSession {
                session,
                title,
                labels,
            } = describe;
            put_tagged(out, tag::DESCRIBE_SESSION, *session);
            put_optional(out, title.as_deref(), put_text);
            put_number(out, labels.len() as u64);
            for (key, value) in labels {
                put_text(out, key);
                put_optional(out, value.as_deref(), put_text);
            }
        }
        Command::NoteLink {
            session,
            link,
            change,
        } => {
            put_tagged(out, tag::NOTE_LINK, *session);
            put_text(out, link);
            match change {
                LinkChange::Added { expires } => {
                    out.push(link::ADDED);
                    put_number(out, expires.as_millis());
                }
                LinkChange::Removed => out.push(link::REMOVED),
                LinkChange::Joined => out.push(link::JOINED),
                LinkChange::Left => out.push(link::LEFT),
            }
        }
        Command::TouchSession { session, seen } => {
            put_tagged(out, tag::TOUCH_SESSION, *session);
            put_number(out, seen.as_millis());
        }
        Command::SubmitJob(submit) => {
            let SubmitJob {
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
            } = submit;
            put_tagged(out, tag::SUBMIT_JOB, *session);
            put_text(out, statement);
            put_mode(out, *mode);
            put_duration(out, *timeout);
            put_number(out, *output_limit);
            put_optional(out, request.as_deref(), put_text);
            out.push(u8::from(*input));
            put_output(out, *output);
            put_controller(out, controller.as_deref());
            put_optional(out, *keeps_leftovers, |out, kept| out.push(u8::from(kept)));
        }
        Command::WriteInput {
            session,
            job,
            bytes,
            end,
            client,
        } => {
            put_tagged(out, tag::WRITE_INPUT, *session);
            put_job(out, *job);
            put_number(out, bytes.len() as u64);
            out.extend_from_slice(bytes);
            out.push(u8::from(*end));
            put_controller(out, client.as_deref());
        }
        Command::HideInput {
            session,
            job,
            bytes,
            client,
        } => {
            put_tagged(out, tag::HIDE_INPUT, *session);
            put_job(out, *job);
            put_number(out, *bytes);
            put_controller(out, client.as_deref());
        }
        Command::ResizeTerminal {
            session,
            job,
            size,
            client,
        } => {
            put_tagged(out, tag::RESIZE_TERMINAL, *session);
            put_job(out, *job);
            put_size(out, *size);
            put_controller(out, client.as_deref());
        }
        Command::TakeControl {
            session,
            job,
            client,
        } => {
            put_tagged(out, tag::TAKE_CONTROL, *session);
            put_job(out, *job);
            put_controller(out, Some(client));
        }
        Command::GiveControl {
            session,
            job,
            client,
        } => {
            put_tagged(out, tag::GIVE_CONTROL, *session);
            put_job(out, *job);
            put_controller(out, Some(client));
        }
        Command::RefuseStatement {
            session,
            statement,
            reason,
        } => {
            put_tagged(out, tag::REFUSE_STATEMENT, *session);
            put_optional(out, statement.as_deref(), put_text);
            put_text(out, reason);
        }
        Command::InterruptJob { session, job } => {
            put_tagged(out, tag::INTERRUPT_JOB, *session);
            put_optional(out, *job, put_job);
        }
        Command::AdvanceCursor {
            session,
            consumer,
            to,
            seen,
        } => {
            put_tagged(out, tag::ADVANCE_CURSOR, *session);
            put_consumer(out, *consumer);
            put_number(out, to.0);
            put_number(out, seen.as_millis());
        }
        Command::RedactRecords { session, records } => {
            put_tagged(out, tag::REDACT_RECORDS, *session);
            put_number(out, records.len() as u64);
            for record in records {
                put_number(out, record.0);
            }
        }
        Command::RemoveSession { session } => put_tagged(out, tag::REMOVE_SESSION, *session),
        Command::ReportStarted { .. }
        | Command::ReportResult { .. }
        | Command::ReportScreen { .. }
        | Command::ReportFinished { .. }
        | Command::Expire
        | Command::ExpireConsumers
        | Command::Resume { .. }
        | Command::InterruptAll => return false,
    }
    true
}

fn put_tagged(out: &mut Vec<u8>, tag: u8, session: SessionId) {
    out.push(tag);
    out.extend_from_slice(&session.to_bytes());
}

fn put_coded_job(out: &mut Vec<u8>, code: u8, job: rejoin_core::JobId) {
    out.push(code);
    put_job(out, job);
}

fn command(parts: &mut Parts<'_>) -> Result<Command, DecodeError> {
    let code = parts.byte("command")?;
    let session = session(parts)?;
    Ok(match code {
        tag::CREATE_SESSION => Command::CreateSession(CreateSession {
            session,
            service: parts.text("service")?,
            user: parts.optional("user", Parts::text)?,
            remote: parts.optional("remote", Parts::text)?,
            server: Server {
                process: parts.number_u32("server.process")?,
                version: parts.text("server.version")?,
                node: parts.optional("server.node", Parts::text)?,
            },
            timeout: parts.duration("timeout")?,
            consumer: parts.optional("consumer", |parts, field| {
                Ok((parts.token(field)?, parts.duration(field)?))
            })?,
        }),
        tag::JOIN_SESSION => Command::JoinSession {
            session,
            token: parts.token("token")?,
            timeout: parts.duration("timeout")?,
        },
        tag::LEAVE_SESSION => Command::LeaveSession {
            session,
            consumer: consumer(parts)?,
        },
        tag::CLOSE_SESSION => Command::CloseSession {
            session,
            cause: parts.choice("cause")?,
        },
        tag::SET_USER => Command::SetUser {
            session,
            user: parts.text("user")?,
        },
        tag::DESCRIBE_SESSION => Command::DescribeSession(DescribeSession {
            session,
            title: parts.optional("title", Parts::text)?,
            labels: labels(parts)?,
        }),
        tag::NOTE_LINK => Command::NoteLink {
            session,
            link: parts.text("link")?,
            change: link_change(parts)?,
        },
        tag::TOUCH_SESSION => Command::TouchSession {
            session,
            seen: parts.instant("seen")?,
        },
        tag::SUBMIT_JOB => Command::SubmitJob(SubmitJob {
            session,
            statement: parts.text("statement")?,
            mode: mode(parts)?,
            timeout: parts.duration("timeout")?,
            output_limit: parts.number("output_limit")?,
            request: parts.optional("request", Parts::text)?,
            input: parts.flag("input")?,
            output: output(parts)?,
            controller: controller(parts)?,
            keeps_leftovers: parts.optional("keeps_leftovers", Parts::flag)?,
        }),
        tag::WRITE_INPUT => Command::WriteInput {
            session,
            job: job(parts)?,
            bytes: parts.counted("bytes")?.into(),
            end: parts.flag("end")?,
            client: controller(parts)?,
        },
        tag::HIDE_INPUT => Command::HideInput {
            session,
            job: job(parts)?,
            bytes: parts.number("bytes")?,
            client: controller(parts)?,
        },
        tag::RESIZE_TERMINAL => Command::ResizeTerminal {
            session,
            job: job(parts)?,
            size: size(parts)?,
            client: controller(parts)?,
        },
        tag::TAKE_CONTROL => Command::TakeControl {
            session,
            job: job(parts)?,
            client: client(parts)?,
        },
        tag::GIVE_CONTROL => Command::GiveControl {
            session,
            job: job(parts)?,
            client: client(parts)?,
        },
        tag::REFUSE_STATEMENT => Command::RefuseStatement {
            session,
            statement: parts.optional("statement", Parts::text)?,
            reason: parts.text("reason")?,
        },
        tag::INTERRUPT_JOB => Command::InterruptJob {
            session,
            job: parts.optional("job", |parts, _| job(parts))?,
        },
        tag::ADVANCE_CURSOR => Command::AdvanceCursor {
            session,
            consumer: consumer(parts)?,
            to: Sequence(parts.number("to")?),
            seen: parts.instant("seen")?,
        },
        tag::REDACT_RECORDS => Command::RedactRecords {
            session,
            records: sequences(parts)?,
        },
        tag::REMOVE_SESSION => Command::RemoveSession { session },
        code => {
            return Err(DecodeError::UnknownChoice {
                field: "command",
                code,
            });
        }
    })
}

fn session(parts: &mut Parts<'_>) -> Result<SessionId, DecodeError> {
    parts.token("session").map(SessionId::from_bytes)
}

/// One after the other, so that a count alone allocates nothing.
fn sequences(parts: &mut Parts<'_>) -> Result<Vec<Sequence>, DecodeError> {
    let mut sequences = Vec::new();
    for _ in 0..parts.number("records")? {
        sequences.push(Sequence(parts.number("records")?));
    }
    Ok(sequences)
}

fn labels(parts: &mut Parts<'_>) -> Result<BTreeMap<Arc<str>, Option<Arc<str>>>, DecodeError> {
    let mut labels = BTreeMap::<Arc<str>, _>::new();
    for _ in 0..parts.number("labels")? {
        let key = parts.text("label.key")?;
        if labels
            .last_key_value()
            .is_some_and(|(last, _)| *last >= key)
        {
            return Err(DecodeError::NotSorted { field: "labels" });
        }
        let value = parts.optional("label.value", Parts::text)?;
        labels.insert(key, value);
    }
    Ok(labels)
}

fn link_change(parts: &mut Parts<'_>) -> Result<LinkChange, DecodeError> {
    Ok(match parts.byte("change")? {
        link::ADDED => LinkChange::Added {
            expires: parts.timestamp("expires")?,
        },
        link::REMOVED => LinkChange::Removed,
        link::JOINED => LinkChange::Joined,
        link::LEFT => LinkChange::Left,
        code => {
            let field = "change";
            return Err(DecodeError::UnknownChoice { field, code });
        }
    })
}

fn client(parts: &mut Parts<'_>) -> Result<Arc<Controller>, DecodeError> {
    let field = "client";
    controller(parts)?.ok_or(DecodeError::UnknownChoice { field, code: 0 })
}

fn what(parts: &mut Parts<'_>) -> Result<&'static str, DecodeError> {
    let name = parts.text("what")?;
    let known = Rejection::WHATS.into_iter().find(|what| **what == *name);
    Ok(known.unwrap_or(Rejection::WHATS[0]))
}

fn limit(parts: &mut Parts<'_>) -> Result<usize, DecodeError> {
    let field = "limit";
    usize::try_from(parts.number(field)?).map_err(|_| DecodeError::InvalidNumber { field })
}
