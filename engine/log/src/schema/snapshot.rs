//! Encodes and decodes snapshots: fields in the order of their declaration, a list as its length
//! and then its items.
//!
//! Snapshots have their own version number. They can always be made again from the records, so a
//! release reads the version that it writes and the two before it, and skips others.

use super::DecodeError;
use super::bytes::{
    Parts, put_clock, put_duration, put_number, put_optional, put_signed, put_text,
};
use super::codes::Coded;
use super::decode::{actor, consumer, controller, description, job, mode, output};
use super::encode::{
    put_actor, put_consumer, put_controller, put_description, put_job, put_mode, put_output,
};
use rejoin_core::{
    ClosedSnapshot, ConsumerSnapshot, ConsumerView, Controller, Description, InputSnapshot,
    Instant, JobId, JobOutput, JobSnapshot, JobState, JobView, Moment, OutputOffsets,
    RequestSnapshot, Sequence, SessionId, SessionNumber, SessionSnapshot, Snapshot, Timestamp,
    ViewSnapshot,
};
use std::sync::Arc;

/// The version of the encoding. Increase it with every change to [`Snapshot`].
pub(crate) const SNAPSHOT_VERSION: u32 = 4;

/// The version before it, which does not say who submitted a job and knows no terminals. Still read.
pub(crate) const WITHOUT_ACTORS: u32 = 3;

/// The version before that, without the log's clock, too. Still read.
pub(crate) const WITHOUT_CLOCK: u32 = 2;

/// Appends the encoding of `snapshot` to `out`.
pub fn encode_snapshot(snapshot: &Snapshot, out: &mut Vec<u8>) {
    let Snapshot {
        last_number,
        last_job,
        last,
        sessions,
        closed,
        views,
        ended,
        removals,
        revision,
        changed,
        descriptions,
    } = snapshot;
    put_number(out, *last_number);
    put_number(out, *last_job);
    put_moment(out, *last);
    put_list(out, sessions, put_session);
    put_list(out, closed, |out, it| {
        out.extend_from_slice(&it.id.to_bytes());
        put_number(out, it.last_sequence.0);
        put_instant(out, it.at);
        put_number(out, it.bytes);
    });
    put_list(out, views, put_view);
    put_list(out, ended, |out, id| out.extend_from_slice(&id.to_bytes()));
    put_list(out, removals, |out, (id, last)| {
        out.extend_from_slice(&id.to_bytes());
        put_number(out, last.0);
    });
    put_number(out, *revision);
    put_time(out, *changed);
    // What comes last is left out if there is none, as in snapshots of servers that did not know it.
    let keys = keys(sessions);
    if !descriptions.is_empty() || !keys.is_empty() {
        put_list(out, descriptions, |out, (number, description)| {
            put_number(out, number.0);
            put_description(out, description);
        });
    }
    if !keys.is_empty() {
        put_list(out, &keys, |out, (job, until)| {
            put_job(out, *job);
            put_instant(out, *until);
        });
    }
}

/// The jobs whose terminal was interrupted, and until when that explains their end.
fn keys(sessions: &[SessionSnapshot]) -> Vec<(JobId, Instant)> {
    let jobs = sessions.iter().flat_map(|session| &session.jobs);
    jobs.filter_map(|job| Some((job.id, job.key?))).collect()
}

/// Decodes a snapshot.
///
/// # Errors
///
/// If [`encode_snapshot`] would not produce such bytes.
pub fn decode_snapshot(bytes: &[u8]) -> Result<Snapshot, DecodeError> {
    decode_snapshot_of(SNAPSHOT_VERSION, bytes)
}

/// Decodes a snapshot of this version, from [`WITHOUT_CLOCK`] to [`SNAPSHOT_VERSION`].
///
/// # Errors
///
/// If these are not the bytes of such a snapshot.
pub(crate) fn decode_snapshot_of(version: u32, bytes: &[u8]) -> Result<Snapshot, DecodeError> {
    let mut parts = Parts::new(bytes);
    let mut snapshot = Snapshot {
        last_number: parts.number("last_number")?,
        last_job: parts.number("last_job")?,
        last: moment(&mut parts, version, "last")?,
        sessions: list(&mut parts, "sessions", |parts| session(parts, version))?,
        closed: list(&mut parts, "closed", |parts| {
            Ok(ClosedSnapshot {
                id: id(parts)?,
                last_sequence: sequence(parts, "closed.last_sequence")?,
                at: parts.instant("closed.at")?,
                bytes: parts.number("closed.bytes")?,
            })
        })?,
        views: list(&mut parts, "views", |parts| view(parts, version))?,
        ended: list(&mut parts, "ended", id)?,
        removals: list(&mut parts, "removals", |parts| {
            let session = id(parts)?;
            Ok((session, sequence(parts, "removal.last")?))
        })?,
        revision: parts.number("revision")?,
        changed: parts.timestamp("changed")?,
        descriptions: descriptions(&mut parts)?,
    };
    if !parts.is_empty() {
        let keys = list(&mut parts, "keys", |parts| {
            Ok((job(parts)?, parts.instant("key.until")?))
        })?;
        put_back(&keys, &mut snapshot)?;
    }
    parts.end()?;
    Ok(snapshot)
}

/// The titles and labels of sessions. Where nothing follows, there is a list only if it has some.
fn descriptions(
    parts: &mut Parts<'_>,
) -> Result<Vec<(SessionNumber, Arc<Description>)>, DecodeError> {
    if parts.is_empty() {
        return Ok(vec![]);
    }
    let found = list(parts, "descriptions", |parts| {
        let number = SessionNumber(parts.number("description.session")?);
        Ok((number, Arc::new(description(parts)?)))
    })?;
    match found.is_empty() && parts.is_empty() {
        true => Err(DecodeError::InvalidNumber {
            field: "descriptions",
        }),
        false => Ok(found),
    }
}

/// Gives the keys, at least one, to their jobs.
fn put_back(found: &[(JobId, Instant)], snapshot: &mut Snapshot) -> Result<(), DecodeError> {
    let jobs = snapshot.sessions.iter_mut().flat_map(|it| &mut it.jobs);
    let mut left = found.iter().peekable();
    for job in jobs {
        if let Some((_, until)) = left.next_if(|(id, _)| *id == job.id) {
            job.key = Some(*until);
        }
    }
    match found.is_empty() || left.next().is_some() {
        true => Err(DecodeError::InvalidNumber { field: "keys" }),
        false => Ok(()),
    }
}

fn put_session(out: &mut Vec<u8>, session: &SessionSnapshot) {
    let SessionSnapshot {
        id,
        number,
        service,
        user,
        last_sequence,
        last_ordinal,
        consumers,
        jobs,
        foreground,
        seen,
        timeout,
        bytes,
        is_incomplete,
        requests,
    } = session;
    out.extend_from_slice(&id.to_bytes());
    put_number(out, number.0);
    put_text(out, service);
    put_optional(out, user.as_deref(), put_text);
    put_number(out, last_sequence.0);
    put_number(out, u64::from(*last_ordinal));
    put_list(out, consumers, |out, it| {
        put_consumer(out, it.id);
        put_number(out, it.cursor.0);
        put_instant(out, it.seen);
        put_duration(out, it.timeout);
        out.push(u8::from(it.is_uncertain));
    });
    put_list(out, jobs, |out, it| {
        put_job(out, it.id);
        put_mode(out, it.mode);
        out.push(u8::from(it.started));
        put_number(out, it.emitted);
        put_number(out, it.output_limit);
        put_optional(out, it.interrupt, |out, cause| out.push(cause.code()));
        put_number(out, u64::from(it.interrupts));
        put_number(out, it.offsets.stdout);
        put_number(out, it.offsets.stderr);
        out.push(u8::from(it.is_truncated));
        put_instant(out, it.due);
        out.push(u8::from(it.is_uncertain));
        match it.input {
            InputSnapshot::None => out.push(NONE),
            InputSnapshot::Open(written) => {
                out.push(OPEN);
                put_number(out, written);
            }
            InputSnapshot::Ended => out.push(ENDED),
        }
        put_output(out, it.output);
        put_controller(out, it.controller.as_deref());
        put_optional(out, it.screen, |out, screen| put_number(out, screen.0));
    });
    put_optional(out, *foreground, put_job);
    put_instant(out, *seen);
    put_duration(out, *timeout);
    put_number(out, *bytes);
    out.push(u8::from(*is_incomplete));
    put_list(out, requests, |out, it| {
        put_text(out, &it.request);
        put_job(out, it.job);
        put_number(out, it.sequence.0);
        out.extend_from_slice(&it.fingerprint.to_le_bytes());
    });
}

fn session(parts: &mut Parts<'_>, version: u32) -> Result<SessionSnapshot, DecodeError> {
    Ok(SessionSnapshot {
        id: id(parts)?,
        number: SessionNumber(parts.number("session.number")?),
        service: parts.text("session.service")?,
        user: parts.optional("session.user", Parts::text)?,
        last_sequence: sequence(parts, "session.last_sequence")?,
        last_ordinal: parts.number_u32("session.last_ordinal")?,
        consumers: list(parts, "session.consumers", |parts| {
            Ok(ConsumerSnapshot {
                id: consumer(parts)?,
                cursor: sequence(parts, "consumer.cursor")?,
                seen: parts.instant("consumer.seen")?,
                timeout: parts.duration("consumer.timeout")?,
                is_uncertain: flag(parts, "consumer.is_uncertain")?,
            })
        })?,
        jobs: list(parts, "session.jobs", |parts| {
            let id = job(parts)?;
            let mode = mode(parts)?;
            let started = flag(parts, "job.started")?;
            let emitted = parts.number("job.output")?;
            let output_limit = parts.number("job.output_limit")?;
            let interrupt = parts.optional("job.interrupt", Parts::choice)?;
            Ok(JobSnapshot {
                id,
                mode,
                started,
                emitted,
                output_limit,
                interrupt,
                // Of a job that ended with its server, nobody asks how often.
                interrupts: match version {
                    WITHOUT_CLOCK => u32::from(interrupt.is_some()),
                    _ => parts.number_u32("job.interrupts")?,
                },
                offsets: match version {
                    WITHOUT_CLOCK => OutputOffsets::default(),
                    _ => OutputOffsets {
                        stdout: parts.number("job.offsets.stdout")?,
                        stderr: parts.number("job.offsets.stderr")?,
                    },
                },
                // In a list of its own, at the end.
                key: None,
                is_truncated: flag(parts, "job.is_truncated")?,
                due: parts.instant("job.due")?,
                is_uncertain: flag(parts, "job.is_uncertain")?,
                input: input(parts)?,
                output: output_of(parts, version)?,
                controller: controller_of(parts, version)?,
                screen: screen_of(parts, version)?,
            })
        })?,
        foreground: parts.optional("session.foreground", |parts, _| job(parts))?,
        seen: parts.instant("session.seen")?,
        timeout: parts.duration("session.timeout")?,
        bytes: parts.number("session.bytes")?,
        is_incomplete: flag(parts, "session.is_incomplete")?,
        requests: list(parts, "session.requests", |parts| {
            Ok(RequestSnapshot {
                request: parts.text("request")?,
                job: job(parts)?,
                sequence: sequence(parts, "request.sequence")?,
                fingerprint: parts
                    .token("request.fingerprint")
                    .map(u128::from_le_bytes)?,
            })
        })?,
    })
}

fn put_view(out: &mut Vec<u8>, view: &ViewSnapshot) {
    let ViewSnapshot {
        id,
        number,
        service,
        user,
        remote,
        created,
        last_sequence,
        closed,
        foreground,
        since,
        revision,
        changed,
        gaps: (lost, gaps),
        consumers,
        jobs,
    } = view;
    out.extend_from_slice(&id.to_bytes());
    put_number(out, number.0);
    put_text(out, service);
    put_optional(out, user.as_deref(), put_text);
    put_optional(out, remote.as_deref(), put_text);
    put_moment(out, *created);
    put_number(out, last_sequence.0);
    put_optional(out, *closed, |out, (at, cause)| {
        put_time(out, at);
        out.push(cause.code());
    });
    put_optional(out, *foreground, put_job);
    put_moment(out, *since);
    put_number(out, revision.0);
    put_time(out, *changed);
    put_number(out, *lost);
    put_list(out, gaps, |out, (first, last)| {
        put_number(out, first.0);
        put_number(out, last.0);
    });
    put_list(out, consumers, |out, (id, it)| {
        put_consumer(out, *id);
        put_number(out, it.joined.0);
        put_number(out, it.cursor.0);
    });
    put_list(out, jobs, put_job_view);
}

fn view(parts: &mut Parts<'_>, version: u32) -> Result<ViewSnapshot, DecodeError> {
    Ok(ViewSnapshot {
        id: id(parts)?,
        number: SessionNumber(parts.number("view.number")?),
        service: parts.text("view.service")?,
        user: parts.optional("view.user", Parts::text)?,
        remote: parts.optional("view.remote", Parts::text)?,
        created: moment(parts, version, "view.created")?,
        last_sequence: sequence(parts, "view.last_sequence")?,
        closed: parts.optional("view.closed", |parts, field| {
            Ok((parts.timestamp(field)?, parts.choice(field)?))
        })?,
        foreground: parts.optional("view.foreground", |parts, _| job(parts))?,
        since: moment(parts, version, "view.since")?,
        revision: sequence(parts, "view.revision")?,
        changed: parts.timestamp("view.changed")?,
        gaps: (
            parts.number("view.lost")?,
            list(parts, "view.gaps", |parts| {
                let first = sequence(parts, "gap.first")?;
                Ok((first, sequence(parts, "gap.last")?))
            })?,
        ),
        consumers: list(parts, "view.consumers", |parts| {
            let id = consumer(parts)?;
            let view = ConsumerView {
                joined: sequence(parts, "consumer.joined")?,
                cursor: sequence(parts, "consumer.cursor")?,
            };
            Ok((id, view))
        })?,
        jobs: list(parts, "view.jobs", |parts| job_view(parts, version))?,
    })
}

fn put_job_view(out: &mut Vec<u8>, view: &JobView) {
    let JobView {
        job,
        statement,
        mode,
        submitted,
        since,
        by,
        state,
        output,
        controller,
        screen,
    } = view;
    put_job(out, *job);
    put_text(out, statement);
    put_mode(out, *mode);
    put_number(out, submitted.0);
    put_moment(out, *since);
    put_optional(out, by.as_deref(), put_actor);
    match state {
        JobState::Submitted => out.push(SUBMITTED),
        JobState::Running => out.push(RUNNING),
        JobState::Finished {
            outcome,
            status,
            at,
        } => {
            out.push(FINISHED);
            out.push(outcome.code());
            put_signed(out, *status);
            put_moment(out, *at);
        }
    }
    put_output(out, *output);
    put_controller(out, controller.as_deref());
    put_optional(out, *screen, |out, screen| put_number(out, screen.0));
}

fn job_view(parts: &mut Parts<'_>, version: u32) -> Result<JobView, DecodeError> {
    Ok(JobView {
        job: job(parts)?,
        statement: parts.text("job.statement")?,
        mode: mode(parts)?,
        submitted: sequence(parts, "job.submitted")?,
        since: moment(parts, version, "job.since")?,
        by: match version {
            WITHOUT_CLOCK | WITHOUT_ACTORS => None,
            _ => parts
                .optional("job.by", |parts, _| actor(parts))?
                .map(Arc::new),
        },
        state: match parts.byte("job.state")? {
            SUBMITTED => JobState::Submitted,
            RUNNING => JobState::Running,
            FINISHED => JobState::Finished {
                outcome: parts.choice("job.outcome")?,
                status: parts.signed("job.status")?,
                at: moment(parts, version, "job.finished")?,
            },
            code => {
                let field = "job.state";
                return Err(DecodeError::UnknownChoice { field, code });
            }
        },
        output: output_of(parts, version)?,
        controller: controller_of(parts, version)?,
        screen: screen_of(parts, version)?,
    })
}

/// All jobs had two streams before there were terminals.
fn output_of(parts: &mut Parts<'_>, version: u32) -> Result<JobOutput, DecodeError> {
    match version {
        SNAPSHOT_VERSION => output(parts),
        _ => Ok(JobOutput::Separate),
    }
}

fn controller_of(
    parts: &mut Parts<'_>,
    version: u32,
) -> Result<Option<Arc<Controller>>, DecodeError> {
    match version {
        SNAPSHOT_VERSION => controller(parts),
        _ => Ok(None),
    }
}

fn screen_of(parts: &mut Parts<'_>, version: u32) -> Result<Option<Sequence>, DecodeError> {
    match version {
        SNAPSHOT_VERSION => parts.optional("job.screen", |parts, field| sequence(parts, field)),
        _ => Ok(None),
    }
}

fn input(parts: &mut Parts<'_>) -> Result<InputSnapshot, DecodeError> {
    Ok(match parts.byte("job.input")? {
        NONE => InputSnapshot::None,
        OPEN => InputSnapshot::Open(parts.number("job.input")?),
        ENDED => InputSnapshot::Ended,
        code => {
            let field = "job.input";
            return Err(DecodeError::UnknownChoice { field, code });
        }
    })
}

const NONE: u8 = 0;
const OPEN: u8 = 1;
const ENDED: u8 = 2;

const SUBMITTED: u8 = 0;
const RUNNING: u8 = 1;
const FINISHED: u8 = 2;

fn put_time(out: &mut Vec<u8>, at: Timestamp) {
    put_number(out, at.as_millis());
}

fn put_instant(out: &mut Vec<u8>, clock: Instant) {
    put_number(out, clock.as_millis());
}

fn put_moment(out: &mut Vec<u8>, moment: Moment) {
    put_time(out, moment.at);
    put_clock(out, moment);
}

fn moment(parts: &mut Parts<'_>, version: u32, field: &'static str) -> Result<Moment, DecodeError> {
    let at = parts.timestamp(field)?;
    let clock = match version {
        WITHOUT_CLOCK => at.into(),
        _ => parts.clock(at, field)?,
    };
    Ok(Moment { at, clock })
}

fn put_list<T>(out: &mut Vec<u8>, list: &[T], put: impl Fn(&mut Vec<u8>, &T)) {
    put_number(out, list.len() as u64);
    list.iter().for_each(|it| put(out, it));
}

/// Does not preallocate by the encoded length, which may be wrong.
fn list<'a, T>(
    parts: &mut Parts<'a>,
    field: &'static str,
    take: impl Fn(&mut Parts<'a>) -> Result<T, DecodeError>,
) -> Result<Vec<T>, DecodeError> {
    let count = parts.number(field)?;
    (0..count).map(|_| take(parts)).collect()
}

fn id(parts: &mut Parts<'_>) -> Result<SessionId, DecodeError> {
    parts.token("session").map(SessionId::from_bytes)
}

fn sequence(parts: &mut Parts<'_>, field: &'static str) -> Result<Sequence, DecodeError> {
    parts.number(field).map(Sequence)
}

fn flag(parts: &mut Parts<'_>, field: &'static str) -> Result<bool, DecodeError> {
    match parts.byte(field)? {
        0 => Ok(false),
        1 => Ok(true),
        code => Err(DecodeError::UnknownChoice { field, code }),
    }
}
