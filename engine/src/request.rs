//! The arguments and answers of commands.

use rejoin_core::{Controller, JobId, JobMode, JobOutput, Sequence, SessionId};
use std::sync::Arc;
use std::time::Duration;

/// A session to create. Each name has at most [`Limits::name`](rejoin_core::Limits)
/// bytes.
///
/// ```
/// use rejoin_engine::NewSession;
///
/// let new = NewSession { user: Some("bob".into()), reads: true, ..NewSession::default() };
/// assert_eq!(new.service, None);
/// ```
#[derive(Clone, Debug, Default)]
pub struct NewSession {
    /// The service that runs its jobs. None: the only service, or `shell` if there are several.
    pub service: Option<Arc<str>>,
    /// Who creates it, if that is known.
    pub user: Option<Arc<str>>,
    /// The network address and port of the creator, if there is one.
    pub remote: Option<Arc<str>>,
    /// Whether the creator becomes the first consumer.
    pub reads: bool,
}

/// A session on the service of this name.
impl From<&str> for NewSession {
    fn from(service: &str) -> Self {
        Self {
            service: Some(service.into()),
            ..Self::default()
        }
    }
}

/// A job to submit.
#[derive(Clone, Debug)]
pub struct NewJob {
    /// The session to run it in.
    pub session: SessionId,
    /// What to run.
    pub statement: Arc<str>,
    /// In which slot it runs, and who sees its results.
    pub mode: JobMode,
    /// How long it may run before it is interrupted. None: as configured.
    pub timeout: Option<Duration>,
    /// How many bytes of results it may emit. None: as configured.
    pub output_limit: Option<u64>,
    /// The client's name for this request, to retry it safely: a second request with the same name
    /// and statement is answered with the first one's job.
    pub request: Option<Arc<str>>,
    /// Whether its standard input stays open, for [`Engine::write_input`](crate::Engine). Always, if it
    /// has a terminal.
    pub input: bool,
    /// How its output goes. A runner that has no terminals ignores it.
    pub output: JobOutput,
    /// Who controls its terminal at first: its submitter, if that is known.
    pub controller: Option<Arc<Controller>>,
    /// Whether the processes that it leaves go on until the session ends. None: as its runner does with
    /// all jobs.
    pub keeps_leftovers: Option<bool>,
}

impl NewJob {
    /// A job with the timeout and the output limit as configured.
    ///
    /// ```
    /// use rejoin_core::{Visibility, JobMode, JobSlot, SessionId};
    /// use rejoin_engine::NewJob;
    /// use std::time::Duration;
    ///
    /// let session = SessionId::from_bytes([7; 16]);
    /// let mode = JobMode { slot: JobSlot::Background, visibility: Visibility::Session };
    /// let mut job = NewJob::new(session, "make all", mode);
    /// job.timeout = Some(Duration::from_secs(600));
    /// assert_eq!(job.output_limit, None);
    /// ```
    pub fn new(session: SessionId, statement: impl Into<Arc<str>>, mode: JobMode) -> Self {
        Self {
            session,
            statement: statement.into(),
            mode,
            timeout: None,
            output_limit: None,
            request: None,
            input: false,
            output: JobOutput::default(),
            controller: None,
            keeps_leftovers: None,
        }
    }
}

/// The answer to a request about a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JobAck {
    /// The job.
    pub job: JobId,
    /// The sequence of the request's record. What the job does because of it comes later.
    pub sequence: Sequence,
}
