//! What is asked of the engine, and what is answered, in a form that can grow.

use rejoin_core::{JobId, JobMode, Sequence, SessionId};
use std::sync::Arc;
use std::time::Duration;

/// What it takes to begin a session. Each name has at most [`Limits::name`](rejoin_core::Limits)
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
    /// The service that is to run its jobs; none means the only one, or else `shell`.
    pub service: Option<Arc<str>>,
    /// Who creates it, where that is known.
    pub user: Option<Arc<str>>,
    /// The network address that it is created from, with its port, where there is one.
    pub remote: Option<Arc<str>>,
    /// Whether the creator reads: then it is the first consumer.
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

/// What it takes to run a statement.
#[derive(Clone, Debug)]
pub struct NewJob {
    /// The session to run it in.
    pub session: SessionId,
    /// What to run.
    pub statement: Arc<str>,
    /// How.
    pub mode: JobMode,
    /// How long it may run before it is interrupted; none means as configured.
    pub timeout: Option<Duration>,
    /// How many bytes of results it may emit; none means as configured.
    pub output_limit: Option<u64>,
    /// What the client calls this request, where it may ask again: the same name with the same
    /// statement is then the job that there is, and not another one.
    pub request: Option<Arc<str>>,
    /// Whether its standard input stays open, for [`Engine::write_input`](crate::Engine).
    pub input: bool,
}

impl NewJob {
    /// The statement in the session, with the timeout and the output limit as configured.
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
        }
    }
}

/// A record that a request about a job led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JobAck {
    /// The job.
    pub job: JobId,
    /// The record's sequence: what the job does because of it comes later.
    pub sequence: Sequence,
}
