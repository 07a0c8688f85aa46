//! Requests of other nodes and their answers, as bytes. As stable as the log: nodes of two versions run
//! beside each other, and one that gets what it does not know says so.
//!
//! Numbers are little-endian, of 8 bytes; texts and parts of other encodings have their length before them,
//! of 4 bytes. A request begins with byte 1, the version, and a tag; an answer with byte 1, the position
//! and a tag.

use super::{BegunPull, PeerAnswer, PeerReply, PeerRequest};
use crate::error::{CommandError, PullError, Unavailable};
use crate::limits::TOUCHED_SESSIONS;
use rejoin_core::{Command, ConsumerId, Record, Sequence, SessionId};
use rejoin_log::schema;
use std::sync::Arc;
use std::time::Duration;

const VERSION: u8 = 1;

/// Bytes that are no request or no answer, or one of a newer version.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PeerBytesError {
    /// They end too early, or go on behind the end.
    #[error("another node has sent what is not a request or an answer")]
    Length,
    /// A part is of a newer version, or none at all.
    #[error("another node has sent what this version does not know: {0}")]
    Unknown(String),
}

impl From<schema::DecodeError> for PeerBytesError {
    fn from(error: schema::DecodeError) -> Self {
        Self::Unknown(error.to_string())
    }
}

mod request {
    pub(super) const POSITION: u8 = 1;
    pub(super) const COMMAND: u8 = 2;
    pub(super) const WRITE_INPUT: u8 = 3;
    pub(super) const TOUCH: u8 = 4;
    pub(super) const BEGIN_PULL: u8 = 5;
    pub(super) const END_PULL: u8 = 6;
}

mod reply {
    pub(super) const POSITION: u8 = 1;
    pub(super) const RECORDS: u8 = 2;
    pub(super) const DONE: u8 = 3;
    pub(super) const PULL: u8 = 4;
    pub(super) const COMMAND_ERROR: u8 = 5;
    pub(super) const DONE_ERROR: u8 = 6;
    pub(super) const PULL_ERROR: u8 = 7;
}

mod command_error {
    pub(super) const REJECTED: u8 = 1;
    pub(super) const NO_SUCH_SERVICE: u8 = 2;
    pub(super) const READ_ONLY: u8 = 3;
    pub(super) const INPUT_FULL: u8 = 4;
    pub(super) const LINE_TOO_LONG: u8 = 5;
    pub(super) const OVERLOADED: u8 = 6;
    pub(super) const UNAVAILABLE: u8 = 7;
}

mod pull_error {
    pub(super) const SESSION_NOT_FOUND: u8 = 1;
    pub(super) const CONSUMER_NOT_FOUND: u8 = 2;
    pub(super) const CURSOR_UNKNOWN: u8 = 3;
    pub(super) const OVERLOADED: u8 = 4;
    pub(super) const UNAVAILABLE: u8 = 5;
}

mod unavailable {
    pub(super) const MOVED: u8 = 1;
    pub(super) const UNANSWERED: u8 = 2;
    pub(super) const BEHIND: u8 = 3;
}

impl PeerRequest {
    /// Its bytes. None: the command is one of an engine itself, which is never asked of another node.
    #[must_use]
    pub fn encode(&self) -> Option<Vec<u8>> {
        let mut out = vec![VERSION];
        match self {
            Self::Position => out.push(request::POSITION),
            Self::Command { command, actor } => {
                out.push(request::COMMAND);
                if !schema::encode_command(command, actor.as_deref(), &mut out) {
                    return None;
                }
            }
            Self::WriteInput {
                session,
                job,
                bytes,
                end,
                client,
                actor,
            } => {
                out.push(request::WRITE_INPUT);
                let command = Command::WriteInput {
                    session: *session,
                    job: *job,
                    bytes: bytes.clone(),
                    end: *end,
                    client: client.clone(),
                };
                schema::encode_command(&command, actor.as_deref(), &mut out);
            }
            Self::Touch { sessions } => {
                out.push(request::TOUCH);
                for session in sessions {
                    out.extend_from_slice(&session.to_bytes());
                }
            }
            Self::BeginPull {
                session,
                consumer,
                pull,
                lease,
            } => {
                out.push(request::BEGIN_PULL);
                out.extend_from_slice(&session.to_bytes());
                out.extend_from_slice(&consumer.token);
                put_number(&mut out, consumer.ordinal.into());
                out.extend_from_slice(pull);
                put_number(&mut out, millis(*lease));
            }
            Self::EndPull { pull, advance } => {
                out.push(request::END_PULL);
                out.extend_from_slice(pull);
                if let Some((to, is_worth_a_record)) = advance {
                    put_number(&mut out, to.0);
                    out.push(u8::from(*is_worth_a_record));
                }
            }
        }
        Some(out)
    }

    /// The request with these bytes.
    ///
    /// # Errors
    ///
    /// If they are none that this version knows.
    pub fn decode(bytes: &[u8]) -> Result<Self, PeerBytesError> {
        let mut rest = Rest(bytes);
        rest.version()?;
        let request = match rest.byte()? {
            request::POSITION => Self::Position,
            request::COMMAND => {
                let (command, actor) = schema::decode_command(rest.all())?;
                Self::Command { command, actor }
            }
            request::WRITE_INPUT => match schema::decode_command(rest.all())? {
                (
                    Command::WriteInput {
                        session,
                        job,
                        bytes,
                        end,
                        client,
                    },
                    actor,
                ) => Self::WriteInput {
                    session,
                    job,
                    bytes,
                    end,
                    client,
                    actor,
                },
                _ => return Err(PeerBytesError::Unknown("an input".to_owned())),
            },
            request::TOUCH => {
                let mut sessions = Vec::new();
                while !rest.0.is_empty() {
                    if sessions.len() == TOUCHED_SESSIONS {
                        return Err(PeerBytesError::Length);
                    }
                    sessions.push(SessionId::from_bytes(rest.sixteen()?));
                }
                Self::Touch { sessions }
            }
            request::BEGIN_PULL => Self::BeginPull {
                session: SessionId::from_bytes(rest.sixteen()?),
                consumer: ConsumerId {
                    token: rest.sixteen()?,
                    ordinal: u32::try_from(rest.number()?).map_err(|_| PeerBytesError::Length)?,
                },
                pull: rest.sixteen()?,
                lease: Duration::from_millis(rest.number()?),
            },
            request::END_PULL => Self::EndPull {
                pull: rest.sixteen()?,
                advance: match rest.0.is_empty() {
                    true => None,
                    false => Some((Sequence(rest.number()?), rest.flag()?)),
                },
            },
            tag => return Err(unknown("request", tag)),
        };
        rest.end()?;
        Ok(request)
    }
}

impl PeerAnswer {
    /// Its bytes. The causes of a log that failed stay at the node whose log it was: others are told that
    /// there was no answer, because it is unknown what became of the command.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![VERSION];
        put_number(&mut out, self.position);
        match &self.reply {
            PeerReply::Position => out.push(reply::POSITION),
            PeerReply::Records(Ok(records)) => {
                out.push(reply::RECORDS);
                for record in records {
                    put_record(&mut out, record);
                }
            }
            PeerReply::Records(Err(error)) => {
                out.push(reply::COMMAND_ERROR);
                put_command_error(&mut out, error);
            }
            PeerReply::Done(Ok(())) => out.push(reply::DONE),
            PeerReply::Done(Err(error)) => {
                out.push(reply::DONE_ERROR);
                put_command_error(&mut out, error);
            }
            PeerReply::Pull(Ok(begun)) => {
                out.push(reply::PULL);
                put_number(&mut out, begun.cursor.0);
                put_number(&mut out, begun.joined.0);
                out.push(u8::from(begun.is_open));
            }
            PeerReply::Pull(Err(error)) => {
                out.push(reply::PULL_ERROR);
                put_pull_error(&mut out, error);
            }
        }
        out
    }

    /// The answer with these bytes.
    ///
    /// # Errors
    ///
    /// If they are none that this version knows.
    pub fn decode(bytes: &[u8]) -> Result<Self, PeerBytesError> {
        let mut rest = Rest(bytes);
        rest.version()?;
        let position = rest.number()?;
        let reply = match rest.byte()? {
            reply::POSITION => PeerReply::Position,
            reply::RECORDS => {
                let mut records = Vec::new();
                while !rest.0.is_empty() {
                    records.push(Arc::new(record(&mut rest)?));
                }
                PeerReply::Records(Ok(records))
            }
            reply::COMMAND_ERROR => PeerReply::Records(Err(command_error(&mut rest)?)),
            reply::DONE => PeerReply::Done(Ok(())),
            reply::DONE_ERROR => PeerReply::Done(Err(command_error(&mut rest)?)),
            reply::PULL => PeerReply::Pull(Ok(BegunPull {
                cursor: Sequence(rest.number()?),
                joined: Sequence(rest.number()?),
                is_open: rest.flag()?,
            })),
            reply::PULL_ERROR => PeerReply::Pull(Err(pull_error(&mut rest)?)),
            tag => return Err(unknown("answer", tag)),
        };
        rest.end()?;
        Ok(Self { position, reply })
    }
}

fn put_record(out: &mut Vec<u8>, record: &Record) {
    out.extend_from_slice(&record.session.to_bytes());
    put_number(out, record.sequence.0);
    let mut bytes = Vec::new();
    schema::encode(record, &mut bytes);
    put_counted(out, &bytes);
}

fn record(rest: &mut Rest<'_>) -> Result<Record, PeerBytesError> {
    let session = SessionId::from_bytes(rest.sixteen()?);
    let sequence = Sequence(rest.number()?);
    Ok(schema::decode(session, sequence, rest.counted()?)?)
}

fn put_command_error(out: &mut Vec<u8>, error: &CommandError) {
    match error {
        CommandError::Rejected(rejection) => {
            out.push(command_error::REJECTED);
            schema::encode_rejection(*rejection, out);
        }
        CommandError::NoSuchService(service) => {
            out.push(command_error::NO_SUCH_SERVICE);
            put_counted(out, service.as_bytes());
        }
        CommandError::ReadOnly => out.push(command_error::READ_ONLY),
        CommandError::InputFull => out.push(command_error::INPUT_FULL),
        CommandError::LineTooLong => out.push(command_error::LINE_TOO_LONG),
        CommandError::Overloaded => out.push(command_error::OVERLOADED),
        CommandError::Unavailable(why) => {
            out.push(command_error::UNAVAILABLE);
            put_unavailable(out, why);
        }
    }
}

fn command_error(rest: &mut Rest<'_>) -> Result<CommandError, PeerBytesError> {
    Ok(match rest.byte()? {
        command_error::REJECTED => CommandError::Rejected(schema::decode_rejection(rest.all())?),
        command_error::NO_SUCH_SERVICE => {
            let service = std::str::from_utf8(rest.counted()?);
            let service = service.map_err(|_| PeerBytesError::Length)?;
            CommandError::NoSuchService(service.into())
        }
        command_error::READ_ONLY => CommandError::ReadOnly,
        command_error::INPUT_FULL => CommandError::InputFull,
        command_error::LINE_TOO_LONG => CommandError::LineTooLong,
        command_error::OVERLOADED => CommandError::Overloaded,
        command_error::UNAVAILABLE => CommandError::Unavailable(unavailable(rest)?),
        tag => return Err(unknown("error of a command", tag)),
    })
}

fn put_pull_error(out: &mut Vec<u8>, error: &PullError) {
    match error {
        PullError::SessionNotFound => out.push(pull_error::SESSION_NOT_FOUND),
        PullError::ConsumerNotFound => out.push(pull_error::CONSUMER_NOT_FOUND),
        PullError::CursorUnknown { last } => {
            out.push(pull_error::CURSOR_UNKNOWN);
            put_number(out, last.0);
        }
        PullError::Overloaded => out.push(pull_error::OVERLOADED),
        // The log of this node: the other one reads its own copy.
        PullError::Log(_) => {
            out.push(pull_error::UNAVAILABLE);
            out.push(unavailable::UNANSWERED);
        }
        PullError::Unavailable(why) => {
            out.push(pull_error::UNAVAILABLE);
            put_unavailable(out, why);
        }
    }
}

fn pull_error(rest: &mut Rest<'_>) -> Result<PullError, PeerBytesError> {
    Ok(match rest.byte()? {
        pull_error::SESSION_NOT_FOUND => PullError::SessionNotFound,
        pull_error::CONSUMER_NOT_FOUND => PullError::ConsumerNotFound,
        pull_error::CURSOR_UNKNOWN => PullError::CursorUnknown {
            last: Sequence(rest.number()?),
        },
        pull_error::OVERLOADED => PullError::Overloaded,
        pull_error::UNAVAILABLE => PullError::Unavailable(unavailable(rest)?),
        tag => return Err(unknown("error of a pull", tag)),
    })
}

/// A node that ends hands its logs over: for others, the session moves.
fn put_unavailable(out: &mut Vec<u8>, why: &Unavailable) {
    out.push(match why {
        Unavailable::ShuttingDown | Unavailable::Moved => unavailable::MOVED,
        Unavailable::LogFailed(_) | Unavailable::Broken | Unavailable::Unanswered => {
            unavailable::UNANSWERED
        }
        Unavailable::Behind => unavailable::BEHIND,
    });
}

fn unavailable(rest: &mut Rest<'_>) -> Result<Unavailable, PeerBytesError> {
    Ok(match rest.byte()? {
        unavailable::MOVED => Unavailable::Moved,
        unavailable::UNANSWERED => Unavailable::Unanswered,
        unavailable::BEHIND => Unavailable::Behind,
        tag => return Err(unknown("reason", tag)),
    })
}

fn unknown(what: &str, tag: u8) -> PeerBytesError {
    PeerBytesError::Unknown(format!("{what} {tag}"))
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn put_number(out: &mut Vec<u8>, number: u64) {
    out.extend_from_slice(&number.to_le_bytes());
}

/// Far below 4 GiB: a message has at most some MiB.
fn put_counted(out: &mut Vec<u8>, bytes: &[u8]) {
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(bytes);
}

/// What is left of the bytes.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn version(&mut self) -> Result<(), PeerBytesError> {
        match self.byte()? {
            VERSION => Ok(()),
            other => Err(unknown("version", other)),
        }
    }

    fn byte(&mut self) -> Result<u8, PeerBytesError> {
        let [byte] = self.array()?;
        Ok(byte)
    }

    fn flag(&mut self) -> Result<bool, PeerBytesError> {
        match self.byte()? {
            0 => Ok(false),
            1 => Ok(true),
            other => Err(unknown("flag", other)),
        }
    }

    fn number(&mut self) -> Result<u64, PeerBytesError> {
        self.array().map(u64::from_le_bytes)
    }

    fn sixteen(&mut self) -> Result<[u8; 16], PeerBytesError> {
        self.array()
    }

    fn counted(&mut self) -> Result<&'a [u8], PeerBytesError> {
        let length = u32::from_le_bytes(self.array()?);
        let length = usize::try_from(length).map_err(|_| PeerBytesError::Length)?;
        let split = self.0.split_at_checked(length);
        let (bytes, rest) = split.ok_or(PeerBytesError::Length)?;
        self.0 = rest;
        Ok(bytes)
    }

    fn all(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.0)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], PeerBytesError> {
        let split = self.0.split_first_chunk::<N>();
        let (bytes, rest) = split.ok_or(PeerBytesError::Length)?;
        self.0 = rest;
        Ok(*bytes)
    }

    fn end(&self) -> Result<(), PeerBytesError> {
        match self.0.is_empty() {
            true => Ok(()),
            false => Err(PeerBytesError::Length),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rejoin_core::{Actor, Controller, Event, JobId, Rejection, Timestamp};

    const SESSION: SessionId = SessionId::from_bytes(*b"0123456789abcdef");

    fn requests() -> Vec<PeerRequest> {
        let ada = Arc::new(Actor {
            account: Some("ada".into()),
            token: None,
            frontend: "native".into(),
            address: None,
        });
        let client = Arc::new(Controller {
            client: "c".into(),
            user: None,
        });
        vec![
            PeerRequest::Position,
            PeerRequest::Command {
                command: Command::RemoveSession { session: SESSION },
                actor: Some(ada.clone()),
            },
            PeerRequest::WriteInput {
                session: SESSION,
                job: JobId(3),
                bytes: (*b"ls\n").into(),
                end: true,
                client: Some(client),
                actor: Some(ada),
            },
            PeerRequest::Touch {
                sessions: vec![SESSION; 3],
            },
            PeerRequest::BeginPull {
                session: SESSION,
                consumer: ConsumerId {
                    token: [7; 16],
                    ordinal: 2,
                },
                pull: [9; 16],
                lease: Duration::from_millis(1_500),
            },
            PeerRequest::EndPull {
                pull: [9; 16],
                advance: None,
            },
            PeerRequest::EndPull {
                pull: [9; 16],
                advance: Some((Sequence(300), true)),
            },
        ]
    }

    fn answers() -> Vec<PeerAnswer> {
        let record = Arc::new(Record {
            session: SESSION,
            sequence: Sequence(2),
            at: Timestamp::from_millis(300),
            clock: Timestamp::from_millis(300).into(),
            actor: None,
            redacted: None,
            event: Event::SessionResumed,
        });
        let begun = BegunPull {
            cursor: Sequence(4),
            joined: Sequence(2),
            is_open: true,
        };
        let replies = [
            PeerReply::Position,
            PeerReply::Records(Ok(vec![record.clone(), record])),
            PeerReply::Records(Err(Rejection::JobRunning(JobId(3)).into())),
            PeerReply::Records(Err(CommandError::NoSuchService("shell".into()))),
            PeerReply::Records(Err(CommandError::ReadOnly)),
            PeerReply::Records(Err(CommandError::Overloaded)),
            PeerReply::Records(Err(CommandError::Unavailable(Unavailable::Moved))),
            PeerReply::Done(Ok(())),
            PeerReply::Done(Err(CommandError::InputFull)),
            PeerReply::Done(Err(CommandError::LineTooLong)),
            PeerReply::Pull(Ok(begun)),
            PeerReply::Pull(Err(PullError::SessionNotFound)),
            PeerReply::Pull(Err(PullError::ConsumerNotFound)),
            PeerReply::Pull(Err(PullError::CursorUnknown { last: Sequence(8) })),
            PeerReply::Pull(Err(PullError::Overloaded)),
            PeerReply::Pull(Err(PullError::Unavailable(Unavailable::Behind))),
            PeerReply::Pull(Err(PullError::Unavailable(Unavailable::Unanswered))),
        ];
        let answer = |reply| PeerAnswer {
            position: 300,
            reply,
        };
        replies.into_iter().map(answer).collect()
    }

    #[test]
    fn every_request_comes_back_from_its_bytes_and_from_no_part_of_them() {
        for request in requests() {
            let bytes = request.encode().unwrap();
            assert_eq!(PeerRequest::decode(&bytes).as_ref(), Ok(&request));
            let longer = [&bytes[..], b"\0"].concat();
            assert!(PeerRequest::decode(&longer).is_err(), "{request:?}");
            for end in 0..bytes.len() {
                let shorter = PeerRequest::decode(&bytes[..end]);
                // Some parts are other requests: with fewer sessions, or without an advance.
                assert_ne!(shorter, Ok(request.clone()), "{end}");
            }
        }
    }

    #[test]
    fn every_answer_comes_back_from_its_bytes() {
        for answer in answers() {
            let bytes = answer.encode();
            let decoded = PeerAnswer::decode(&bytes).unwrap();
            assert_eq!(format!("{decoded:?}"), format!("{answer:?}"));
            assert_eq!(decoded.encode(), bytes);
        }
    }

    #[test]
    fn a_request_and_an_answer_are_these_bytes_for_ever() {
        let touch = PeerRequest::Touch {
            sessions: vec![SESSION],
        };
        assert_eq!(touch.encode().unwrap(), b"\x01\x040123456789abcdef");
        let answer = PeerAnswer {
            position: 258,
            reply: PeerReply::Records(Err(Rejection::CursorAhead.into())),
        };
        let expected = b"\x01\x02\x01\0\0\0\0\0\0\x05\x01\x01\x02";
        assert_eq!(answer.encode(), expected);
    }

    #[test]
    fn what_an_engine_does_by_itself_is_not_asked_of_another_node() {
        let request = PeerRequest::Command {
            command: Command::Expire,
            actor: None,
        };
        assert_eq!(request.encode(), None);
    }

    #[test]
    fn a_failed_log_of_another_node_is_an_unknown_outcome_here() {
        let answer = PeerAnswer {
            position: 0,
            reply: PeerReply::Records(Err(CommandError::Unavailable(Unavailable::Broken))),
        };
        let decoded = PeerAnswer::decode(&answer.encode()).unwrap().reply;
        assert!(matches!(
            decoded,
            PeerReply::Records(Err(CommandError::Unavailable(Unavailable::Unanswered)))
        ));
    }

    proptest! {
        #[test]
        fn no_bytes_of_another_node_do_harm(
            head in prop_oneof![Just(1_u8), any::<u8>()],
            tag in 0..9_u8,
            rest: Vec<u8>,
        ) {
            let bytes = [&[head, tag], &rest[..]].concat();
            if let Ok(request) = PeerRequest::decode(&bytes) {
                prop_assert_eq!(request.encode(), Some(bytes));
            }
            let answer = [&[head, 0, 0, 0, 0, 0, 0, 0, 0, tag], &rest[..]].concat();
            if let Ok(decoded) = PeerAnswer::decode(&answer) {
                prop_assert_eq!(decoded.encode(), answer);
            }
        }
    }
}
