//! What clients, runners and timers can do, in a form that can be generated, shrunk and read. Targets
//! are picked from what exists. Property tests, fuzzers and the simulator share this generator.

use crate::{
    CloseCause, Command, ConsumerId, Controller, CreateSession, DescribeSession, Instant, JobId,
    JobMode, JobOutput, JobSlot, LinkChange, NodeTerm, OutputPosition, OutputStream, Sequence,
    Server, Session, SessionId, State, SubmitJob, TerminalSize, Timestamp, Visibility,
};
use alloc::format;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;

/// Picks an existing target by index, modulo their number. The highest value picks one that does
/// not exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pick(pub u8);

/// An operation on the core.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Create a session, with or without a first consumer.
    Create {
        /// Whether the creator also reads.
        reads: bool,
        /// Its timeouts, in seconds.
        timeout: u8,
    },
    /// Read a session.
    Join(Pick),
    /// Stop reading.
    Leave(Pick, Pick),
    /// Close a session.
    Close(Pick),
    /// Set the user of a session.
    SetUser(Pick, u8),
    /// Set the title of a session, and set or remove a label of it.
    Describe(Pick, u8),
    /// Note what happened to a link.
    NoteLink(Pick, u8),
    /// Use a session.
    Touch(Pick),
    /// Run a statement.
    Submit {
        /// The session.
        session: Pick,
        /// How to run it.
        mode: JobMode,
        /// Its timeout, in seconds.
        timeout: u8,
        /// Its output limit in bytes.
        output_limit: u8,
        /// The client's name for the request.
        request: Option<u8>,
        /// Whether its input stays open.
        input: bool,
        /// How its output goes.
        output: JobOutput,
    },
    /// Write this many bytes to a job; the flag ends the input.
    Write(Pick, Pick, u8, bool),
    /// Type this many bytes that a terminal does not show; who types, if not nobody.
    Hide(Pick, Pick, u8, Option<u8>),
    /// Give a terminal a size; who does, if not nobody.
    Resize(Pick, Pick, u8, Option<u8>),
    /// Take the control of a terminal, or give it back.
    Control(Pick, Pick, u8, bool),
    /// Capture a screen, this many records before the last one.
    Capture(Pick, Pick, u8),
    /// Record a refused statement.
    Refuse(Pick),
    /// Interrupt a job, or the one in the foreground.
    Interrupt(Pick, Option<Pick>),
    /// Give a consumer this many further records.
    Advance(Pick, Pick, u8),
    /// A runner starts a job.
    Start(Pick, Pick),
    /// A runner emits a result of this many bytes.
    Emit(Pick, Pick, u8),
    /// A runner finishes with this status.
    Finish(Pick, Pick, u8),
    /// A timer fires.
    Expire,
    /// The server was restarted. Runners still have the jobs with the numbers whose bit is set, counted
    /// modulo 8; and for bit 0 one that the log does not know.
    Resume {
        /// The bits.
        kept: u8,
    },
    /// The server is shutting down.
    InterruptAll,
}

impl Operation {
    /// The command for this operation in the given state at the given instant.
    pub fn command(self, state: &State, now: impl Into<Instant>) -> Command {
        let now = now.into();
        match self {
            Self::Create { reads, timeout } => {
                let timeout = Duration::from_secs(timeout.into());
                Command::CreateSession(CreateSession {
                    session: fresh_session(state),
                    service: if reads { "test" } else { "other" }.into(),
                    user: (!reads).then(|| "user 0".into()),
                    remote: Some("127.0.0.1:1".into()),
                    server: Server {
                        process: 1,
                        version: "1".into(),
                        node: None,
                    },
                    timeout,
                    consumer: reads.then_some(([0; 16], timeout)),
                })
            }
            Self::Join(session) => Command::JoinSession {
                session: session.session(state),
                token: [1; 16],
                timeout: Duration::from_secs(7),
            },
            Self::Leave(session, consumer) => Command::LeaveSession {
                session: session.session(state),
                consumer: consumer.consumer(session.open(state)),
            },
            Self::Close(session) => {
                let cause = CloseCause::Requested;
                Command::CloseSession {
                    session: session.session(state),
                    cause,
                }
            }
            Self::SetUser(session, user) => Command::SetUser {
                session: session.session(state),
                user: format!("user {user}").into(),
            },
            Self::Describe(session, name) => Command::DescribeSession(DescribeSession {
                session: session.session(state),
                title: (name % 3 > 0).then(|| match name % 3 {
                    1 => format!("title {name}").into(),
                    _ => "".into(),
                }),
                labels: [(
                    format!("key {}", name % 5).into(),
                    (name % 2 == 0).then(|| format!("value {name}").into()),
                )]
                .into(),
            }),
            Self::NoteLink(session, change) => Command::NoteLink {
                session: session.session(state),
                link: format!("link {change}").into(),
                change: match change % 4 {
                    0 => LinkChange::Added {
                        expires: Timestamp::from_millis(change.into()),
                    },
                    1 => LinkChange::Removed,
                    2 => LinkChange::Joined,
                    _ => LinkChange::Left,
                },
            },
            Self::Touch(session) => Command::TouchSession {
                session: session.session(state),
                seen: now,
            },
            Self::Submit {
                session,
                mode,
                timeout,
                output_limit,
                request,
                input,
                output,
            } => Command::SubmitJob(SubmitJob {
                session: session.session(state),
                statement: "statement".into(),
                mode,
                timeout: Duration::from_secs(timeout.into()),
                output_limit: output_limit.into(),
                request: request.map(|request| format!("request {request}").into()),
                input,
                output,
                controller: (timeout % 2 == 0).then(|| client(0)),
                keeps_leftovers: (timeout % 4 < 2).then_some(timeout % 3 == 0),
            }),
            Self::Hide(session, job, bytes, by) => Command::HideInput {
                session: session.session(state),
                job: job.job(session.open(state)),
                bytes: bytes.into(),
                client: by.map(client),
            },
            Self::Resize(session, job, size, by) => Command::ResizeTerminal {
                session: session.session(state),
                job: job.job(session.open(state)),
                size: TerminalSize {
                    columns: size.into(),
                    rows: 24,
                },
                client: by.map(client),
            },
            Self::Control(session, job, by, true) => Command::TakeControl {
                session: session.session(state),
                job: job.job(session.open(state)),
                client: client(by),
            },
            Self::Control(session, job, by, false) => Command::GiveControl {
                session: session.session(state),
                job: job.job(session.open(state)),
                client: client(by),
            },
            Self::Capture(session, job, before) => {
                let last = session.open(state).map(Session::last_sequence);
                let last = last.unwrap_or_default().0;
                Command::ReportScreen {
                    session: session.session(state),
                    job: job.job(session.open(state)),
                    after: Sequence(last.saturating_sub(before.into())),
                    size: TerminalSize {
                        columns: 80,
                        rows: 24,
                    },
                    content: "screen".into(),
                }
            }
            Self::Write(session, job, bytes, end) => Command::WriteInput {
                session: session.session(state),
                job: job.job(session.open(state)),
                bytes: vec![b'x'; bytes.into()].into(),
                end,
                client: (bytes % 3 == 0).then(|| client(bytes % 2)),
            },
            Self::Refuse(session) => Command::RefuseStatement {
                session: session.session(state),
                statement: None,
                reason: "no reason".into(),
            },
            Self::Interrupt(session, job) => Command::InterruptJob {
                session: session.session(state),
                job: job.map(|job| job.job(session.open(state))),
            },
            Self::Advance(session, consumer, by) => {
                let open = session.open(state);
                let id = consumer.consumer(open);
                let cursor = open
                    .and_then(|open| open.consumer(id))
                    .map(|reader| reader.cursor());
                Command::AdvanceCursor {
                    session: session.session(state),
                    consumer: id,
                    to: Sequence(cursor.unwrap_or_default().0 + u64::from(by)),
                    seen: now,
                }
            }
            Self::Start(session, job) => Command::ReportStarted {
                session: session.session(state),
                job: job.job(session.open(state)),
            },
            Self::Emit(session, job, bytes) => Command::ReportResult {
                session: session.session(state),
                job: job.job(session.open(state)),
                result: "x".repeat(bytes.into()).into(),
                position: (bytes % 2 == 1).then_some(OutputPosition {
                    stream: OutputStream::ALL[usize::from(bytes / 2 % 2)],
                    bytes: u64::from(bytes) * 3,
                }),
            },
            Self::Finish(session, job, status) => Command::ReportFinished {
                session: session.session(state),
                job: job.job(session.open(state)),
                status: status.into(),
                message: None,
                lost: status == 137,
            },
            Self::Expire => Command::Expire,
            Self::Resume { kept } => {
                let jobs = state.sessions().flat_map(|(_, open)| open.jobs());
                let (kept_jobs, lost): (Vec<_>, Vec<_>) = jobs
                    .map(|(job, _)| job)
                    .partition(|job| kept >> (job.0 % 8) & 1 == 1);
                let unknown = (kept & 1 == 1).then_some(JobId(u64::MAX));
                let known = lost.into_iter().filter(|job| job.0 % 2 == 0);
                Command::Resume {
                    kept: kept_jobs.into_iter().chain(unknown).collect(),
                    lost: known
                        .map(|job| (job, "its runner is gone".into()))
                        .collect(),
                    by: (kept & 2 == 2).then(|| {
                        NodeTerm {
                            node: "n2".into(),
                            term: kept.into(),
                        }
                        .into()
                    }),
                }
            }
            Self::InterruptAll => Command::InterruptAll,
        }
    }
}

impl JobMode {
    /// Every job mode.
    pub const ALL: [Self; 4] = [
        Self {
            slot: JobSlot::Foreground,
            visibility: Visibility::Session,
        },
        Self {
            slot: JobSlot::Foreground,
            visibility: Visibility::Submitter,
        },
        Self {
            slot: JobSlot::Background,
            visibility: Visibility::Session,
        },
        Self {
            slot: JobSlot::Background,
            visibility: Visibility::Submitter,
        },
    ];
}

impl Pick {
    pub(super) const NOBODY: u8 = u8::MAX;

    fn among<T>(self, count: usize, mut all: impl Iterator<Item = T>) -> Option<T> {
        if self.0 == Self::NOBODY || count == 0 {
            return None;
        }
        all.nth(usize::from(self.0) % count)
    }

    fn open(self, state: &State) -> Option<&Session> {
        self.among(state.sessions.len(), state.sessions())
            .map(|(_, open)| open)
    }

    fn session(self, state: &State) -> SessionId {
        let picked = self.among(state.sessions.len(), state.sessions());
        picked.map_or(SessionId::from_bytes([0xff; 16]), |(id, _)| id)
    }

    fn consumer(self, open: Option<&Session>) -> ConsumerId {
        let picked = open.and_then(|open| self.among(open.consumers.len(), open.consumers()));
        picked.map_or(
            ConsumerId {
                token: [0xff; 16],
                ordinal: u32::MAX,
            },
            |(id, _)| id,
        )
    }

    fn job(self, open: Option<&Session>) -> JobId {
        let picked = open.and_then(|open| self.among(open.jobs.len(), open.jobs()));
        picked.map_or(JobId(u64::MAX), |(id, _)| id)
    }
}

impl JobOutput {
    /// One of each kind.
    pub const ALL: [Self; 3] = [
        Self::Merged,
        Self::Separate,
        Self::Terminal(TerminalSize {
            columns: 80,
            rows: 24,
        }),
    ];
}

/// One of two clients.
fn client(number: u8) -> Arc<Controller> {
    let number = number % 2;
    Arc::new(Controller {
        client: format!("client {number}").into(),
        user: (number == 1).then(|| "user 1".into()),
    })
}

fn fresh_session(state: &State) -> SessionId {
    SessionId::from_bytes(u128::from(state.last_number + 1).to_be_bytes())
}
