//! Decodes records from arbitrary bytes.

use super::bytes::Parts;
use super::codes::{link, loss, output, tag};
use rejoin_core::{
    Actor, ConsumerId, Controller, Description, Event, JobId, JobMode, JobOutput, LinkChange,
    LossCause, Moment, NodeTerm, OutputPosition, Record, Redaction, Sequence, Server, SessionId,
    SessionNumber, TerminalSize,
};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Decodes the record with `sequence` of `session` from `bytes`.
///
/// # Errors
///
/// If [`encode`](super::encode) would not produce exactly these bytes.
pub fn decode(session: SessionId, sequence: Sequence, bytes: &[u8]) -> Result<Record, DecodeError> {
    let mut parts = Parts::new(bytes);
    let Prefix {
        moment,
        actor,
        redaction,
        tag,
    } = prefix(&mut parts)?;
    let record = Record {
        session,
        sequence,
        at: moment.at,
        clock: moment.clock,
        actor: actor.map(Arc::new),
        redacted: redaction.map(Arc::new),
        event: event(&mut parts, tag)?,
    };
    if record.redacted.is_some() && !record.is_redactable() {
        return Err(DecodeError::UnknownEvent { tag });
    }
    parts.end()?;
    Ok(record)
}

/// The sequence before which the session's records may be dropped, if `bytes` encode a removal by
/// retention. Cheap for other records: reads only the tag.
pub(crate) fn removes_before(bytes: &[u8]) -> Option<Sequence> {
    let mut parts = Parts::new(bytes);
    if prefix(&mut parts).ok()?.tag != tag::RECORDS_LOST {
        return None;
    }
    let record = decode(SessionId::from_bytes([0; 16]), Sequence::START, bytes).ok()?;
    record.event.removes_before()
}

/// Why bytes are not a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The bytes end before the record does.
    #[error("the record ends too early, in `{field}`")]
    Truncated {
        /// The field at which the bytes end.
        field: &'static str,
    },
    /// Bytes follow the end of the record.
    #[error("{bytes} bytes follow the record's end")]
    TooLong {
        /// Number of extra bytes.
        bytes: usize,
    },
    /// This version does not know the event tag.
    #[error("event tag {tag} is not known to this version; a newer one may have written it")]
    UnknownEvent {
        /// The unknown tag.
        tag: u8,
    },
    /// This version does not know the code of an enum.
    #[error(
        "`{field}` has code {code}, which is not known to this version; a newer one may have written it"
    )]
    UnknownChoice {
        /// The field that contains the code.
        field: &'static str,
        /// The unknown code.
        code: u8,
    },
    /// A text is not UTF-8.
    #[error("`{field}` is not UTF-8")]
    NotText {
        /// The field that contains the text.
        field: &'static str,
    },
    /// The keys of a list are not in ascending order.
    #[error("`{field}` is not in ascending order")]
    NotSorted {
        /// The field that contains the list.
        field: &'static str,
    },
    /// A number is too large for its field, or is not in its shortest encoding.
    #[error("`{field}` is not a valid number")]
    InvalidNumber {
        /// The field that contains the number.
        field: &'static str,
    },
}

impl DecodeError {
    /// Whether a newer version may be able to decode the bytes.
    pub fn may_be_newer(&self) -> bool {
        matches!(self, Self::UnknownEvent { .. } | Self::UnknownChoice { .. })
    }
}

/// What stands before the fields of an event.
struct Prefix {
    moment: Moment,
    actor: Option<Actor>,
    redaction: Option<Redaction>,
    tag: u8,
}

fn prefix(parts: &mut Parts<'_>) -> Result<Prefix, DecodeError> {
    let at = parts.timestamp("at")?;
    let mut moment = Moment::from(at);
    let mut tag = parts.byte("tag")?;
    if tag == tag::CLOCK {
        moment.clock = parts.clock(at, "clock")?;
        if moment == at.into() {
            // `encode` leaves such a clock out; accepting it would give a record two encodings.
            return Err(DecodeError::InvalidNumber { field: "clock" });
        }
        tag = parts.byte("tag")?;
    }
    let mut actor = None;
    if tag == tag::ACTOR {
        actor = Some(self::actor(parts)?);
        tag = parts.byte("tag")?;
    }
    let mut redaction = None;
    if tag == tag::REDACTED {
        redaction = Some(Redaction {
            at: parts.timestamp("redacted.at")?,
            by: parts
                .optional("redacted.by", |parts, _| self::actor(parts))?
                .map(Arc::new),
        });
        tag = parts.byte("tag")?;
    }
    Ok(Prefix {
        moment,
        actor,
        redaction,
        tag,
    })
}

/// The sequences of redacted records: at least one, in ascending order.
fn redacted(parts: &mut Parts<'_>) -> Result<Arc<[Sequence]>, DecodeError> {
    let field = "records";
    let count = parts.number(field)?;
    let mut records: Vec<Sequence> = vec![];
    for _ in 0..count {
        let sequence = Sequence(parts.number(field)?);
        if records.last().is_some_and(|last| *last >= sequence) {
            return Err(DecodeError::NotSorted { field });
        }
        records.push(sequence);
    }
    match records.is_empty() {
        true => Err(DecodeError::InvalidNumber { field }),
        false => Ok(records.into()),
    }
}

fn event(parts: &mut Parts<'_>, tag: u8) -> Result<Event, DecodeError> {
    Ok(match tag {
        tag @ (tag::SESSION_CREATED | tag::SESSION_CREATED_AT_NODE) => Event::SessionCreated {
            number: SessionNumber(parts.number("number")?),
            service: parts.text("service")?,
            user: parts.optional("user", Parts::text)?,
            remote: parts.optional("remote", Parts::text)?,
            server: Server {
                process: parts.number_u32("server.process")?,
                version: parts.text("server.version")?,
                node: match tag {
                    tag::SESSION_CREATED => None,
                    _ => Some(parts.text("server.node")?),
                },
            },
            timeout: parts.duration("timeout")?,
        },
        tag::SESSION_RESUMED => Event::SessionResumed,
        tag::SESSION_TAKEN_OVER => Event::SessionTakenOver {
            by: Arc::new(NodeTerm {
                node: parts.text("node")?,
                term: parts.number("term")?,
            }),
        },
        tag::SESSION_TOUCHED => Event::SessionTouched {
            seen: parts.instant("seen")?,
        },
        tag::USER_SET => Event::UserSet {
            user: parts.text("user")?,
        },
        tag::SESSION_DESCRIBED => Event::SessionDescribed {
            description: description(parts)?.into(),
        },
        tag::LINK_CHANGED => Event::LinkChanged {
            link: parts.text("link")?,
            change: match parts.byte("change")? {
                link::ADDED => LinkChange::Added {
                    expires: parts.timestamp("expires")?,
                },
                link::REMOVED => LinkChange::Removed,
                link::JOINED => LinkChange::Joined,
                link::LEFT => LinkChange::Left,
                code => {
                    return Err(DecodeError::UnknownChoice {
                        field: "change",
                        code,
                    });
                }
            },
        },
        tag::CONSUMER_JOINED => Event::ConsumerJoined {
            consumer: consumer(parts)?,
            timeout: parts.duration("timeout")?,
            foreground: parts.optional("foreground", Parts::number)?.map(JobId),
        },
        tag::CURSOR_ADVANCED => Event::CursorAdvanced {
            consumer: consumer(parts)?,
            to: Sequence(parts.number("to")?),
            seen: parts.instant("seen")?,
        },
        tag::CONSUMER_LEFT => Event::ConsumerLeft {
            consumer: consumer(parts)?,
            cause: parts.choice("cause")?,
        },
        tag::JOB_SUBMITTED => Event::JobSubmitted {
            job: job(parts)?,
            mode: mode(parts)?,
            statement: parts.text("statement")?,
            timeout: parts.duration("timeout")?,
            output_limit: parts.number("output_limit")?,
            request: None,
            input: false,
            output: JobOutput::Separate,
            controller: None,
        },
        tag @ (tag::JOB_REQUESTED | tag::JOB_WITH_OUTPUT) => {
            let (job, mode) = (job(parts)?, mode(parts)?);
            let statement = parts.text("statement")?;
            let timeout = parts.duration("timeout")?;
            let output_limit = parts.number("output_limit")?;
            let request = parts.optional("request", Parts::text)?;
            let input = parts.flag("input")?;
            let (output, controller) = match tag {
                tag::JOB_REQUESTED => (JobOutput::Separate, None),
                _ => (output(parts)?, controller(parts)?),
            };
            if tag == tag::JOB_WITH_OUTPUT && output == JobOutput::Separate && controller.is_none()
            {
                return Err(DecodeError::UnknownChoice {
                    field: "output",
                    code: output::SEPARATE,
                });
            }
            if tag == tag::JOB_REQUESTED && request.is_none() && !input {
                // `encode` uses the other tag for such a job; accepting this one would give a
                // record two encodings.
                return Err(DecodeError::UnknownChoice {
                    field: "input",
                    code: 0,
                });
            }
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
        }
        tag::TERMINAL_RESIZED => Event::TerminalResized {
            job: job(parts)?,
            mode: mode(parts)?,
            size: size(parts)?,
        },
        tag::CONTROLLER_CHANGED => Event::ControllerChanged {
            job: job(parts)?,
            mode: mode(parts)?,
            controller: controller(parts)?,
        },
        tag::LEFTOVERS_CHOSEN => Event::LeftoversChosen {
            job: job(parts)?,
            mode: mode(parts)?,
            kept: parts.flag("kept")?,
        },
        tag::RECORDS_REDACTED => Event::RecordsRedacted {
            records: redacted(parts)?,
        },
        tag::INPUT_HIDDEN => Event::InputHidden {
            job: job(parts)?,
            mode: mode(parts)?,
            bytes: parts.number("bytes")?,
        },
        tag::SCREEN_CAPTURED => Event::ScreenCaptured {
            job: job(parts)?,
            mode: mode(parts)?,
            after: Sequence(parts.number("after")?),
            size: size(parts)?,
            content: parts.text("content")?,
        },
        tag::INPUT_WRITTEN => Event::InputWritten {
            job: job(parts)?,
            mode: mode(parts)?,
            bytes: parts.counted("bytes")?.into(),
            end: parts.flag("end")?,
        },
        tag::STATEMENT_REFUSED => Event::StatementRefused {
            statement: parts.optional("statement", Parts::text)?,
            reason: parts.text("reason")?,
        },
        tag @ (tag::JOB_STARTED | tag::PRIVATE_JOB_STARTED) => Event::JobStarted {
            job: job(parts)?,
            private: tag == tag::PRIVATE_JOB_STARTED,
        },
        tag::RESULT_EMITTED => Event::ResultEmitted {
            job: job(parts)?,
            mode: mode(parts)?,
            position: None,
            result: parts.text("result")?,
        },
        tag::RESULT_POSITIONED => Event::ResultEmitted {
            job: job(parts)?,
            mode: mode(parts)?,
            position: Some(OutputPosition {
                stream: parts.choice("position.stream")?,
                bytes: parts.number("position.bytes")?,
            }),
            result: parts.text("result")?,
        },
        tag @ (tag::INTERRUPT_REQUESTED | tag::PRIVATE_INTERRUPT_REQUESTED) => {
            Event::InterruptRequested {
                job: job(parts)?,
                cause: parts.choice("cause")?,
                private: tag == tag::PRIVATE_INTERRUPT_REQUESTED,
            }
        }
        tag::JOB_FINISHED => Event::JobFinished {
            job: job(parts)?,
            mode: mode(parts)?,
            outcome: parts.choice("outcome")?,
            status: parts.signed("status")?,
            message: parts.optional("message", Parts::text)?,
        },
        tag::SESSION_CLOSED => Event::SessionClosed {
            cause: parts.choice("cause")?,
        },
        tag::RECORDS_LOST => Event::RecordsLost {
            first: Sequence(parts.number("first")?),
            last: Sequence(parts.number("last")?),
            cause: match parts.byte("cause")? {
                loss::DAMAGE => LossCause::Damage,
                loss::RETENTION => LossCause::Retention {
                    last_number: SessionNumber(parts.number("last_number")?),
                    last_job: job(parts)?,
                },
                code => {
                    let field = "cause";
                    return Err(DecodeError::UnknownChoice { field, code });
                }
            },
        },
        tag => return Err(DecodeError::UnknownEvent { tag }),
    })
}

pub(super) fn actor(parts: &mut Parts<'_>) -> Result<Actor, DecodeError> {
    Ok(Actor {
        account: parts.optional("actor.account", Parts::text)?,
        token: parts.optional("actor.token", Parts::text)?,
        frontend: parts.text("actor.frontend")?,
        address: parts.optional("actor.address", Parts::text)?,
    })
}

pub(super) fn description(parts: &mut Parts<'_>) -> Result<Description, DecodeError> {
    let mut description = Description {
        title: parts.optional("title", Parts::text)?,
        labels: BTreeMap::new(),
    };
    for _ in 0..parts.number("labels")? {
        let key = parts.text("label.key")?;
        if description
            .labels
            .last_key_value()
            .is_some_and(|(last, _)| *last >= key)
        {
            return Err(DecodeError::NotSorted { field: "labels" });
        }
        description.labels.insert(key, parts.text("label.value")?);
    }
    Ok(description)
}

pub(super) fn job(parts: &mut Parts<'_>) -> Result<JobId, DecodeError> {
    parts.number("job").map(JobId)
}

pub(super) fn consumer(parts: &mut Parts<'_>) -> Result<ConsumerId, DecodeError> {
    Ok(ConsumerId {
        token: parts.token("consumer.token")?,
        ordinal: parts.number_u32("consumer.ordinal")?,
    })
}

pub(super) fn mode(parts: &mut Parts<'_>) -> Result<JobMode, DecodeError> {
    Ok(JobMode {
        slot: parts.choice("mode.slot")?,
        visibility: parts.choice("mode.visibility")?,
    })
}

pub(super) fn output(parts: &mut Parts<'_>) -> Result<JobOutput, DecodeError> {
    Ok(match parts.byte("output")? {
        output::MERGED => JobOutput::Merged,
        output::SEPARATE => JobOutput::Separate,
        output::TERMINAL => JobOutput::Terminal(size(parts)?),
        code => {
            let field = "output";
            return Err(DecodeError::UnknownChoice { field, code });
        }
    })
}

pub(super) fn size(parts: &mut Parts<'_>) -> Result<TerminalSize, DecodeError> {
    Ok(TerminalSize {
        columns: parts.number_u16("size.columns")?,
        rows: parts.number_u16("size.rows")?,
    })
}

pub(super) fn controller(parts: &mut Parts<'_>) -> Result<Option<Arc<Controller>>, DecodeError> {
    let controller = parts.optional("controller", |parts, _| {
        Ok(Controller {
            client: parts.text("controller.client")?,
            user: parts.optional("controller.user", Parts::text)?,
        })
    })?;
    Ok(controller.map(Arc::new))
}
