//! A handle to one session, for programs that embed the engine.

use crate::engine::{Engine, joined};
use crate::error::{CommandError, PullError};
use crate::request::{JobAck, NewJob};
use futures::StreamExt;
use futures::future::pending;
use futures::stream::{self, BoxStream};
use rejoin_core::{
    ConsumerId, JobId, JobMode, JobSlot, Record, Sequence, SessionId, SessionNumber, SessionView,
    Views, Visibility,
};
use rejoin_log::ReadLimit;
use std::collections::VecDeque;
use std::sync::Arc;

/// A handle to one session. Cheap to clone. It does not keep the session open: a session that is not
/// used is closed after its timeout, and then commands are refused.
///
/// ```
/// use futures::StreamExt;
/// use rejoin_engine::testing::Hold;
/// use rejoin_engine::{Engine, Sequence};
///
/// # smol::block_on(async {
/// let engine = Engine::in_memory().service("shell", Hold).open().await?;
/// let session = engine.create_session("shell").await?;
/// let job = session.run("true").await?;
/// session.close().await?;
///
/// let events: Vec<_> = session.events_after(Sequence::START).collect().await;
/// assert!(events.iter().all(Result::is_ok));
/// assert!(events.len() >= 4, "created, submitted, finished, closed");
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
#[derive(Clone, Debug)]
pub struct Session {
    engine: Engine,
    id: SessionId,
    number: SessionNumber,
    consumer: Option<ConsumerId>,
    /// The records of its creation, if this handle is of then.
    created: Vec<Arc<Record>>,
}

impl Session {
    pub(crate) fn new(engine: Engine, id: SessionId, number: SessionNumber) -> Self {
        Self {
            engine,
            id,
            number,
            consumer: None,
            created: vec![],
        }
    }

    pub(crate) fn created(
        engine: Engine,
        id: SessionId,
        number: SessionNumber,
        created: Vec<Arc<Record>>,
    ) -> Self {
        Self {
            consumer: created.iter().find_map(|record| joined(record)),
            created,
            ..Self::new(engine, id, number)
        }
    }

    /// The identity, which is random and secret.
    pub fn id(&self) -> SessionId {
        self.id
    }

    /// The number, which lists show.
    pub fn number(&self) -> SessionNumber {
        self.number
    }

    /// The consumer of the creator, if [`NewSession::reads`](crate::NewSession::reads) was set.
    pub fn consumer(&self) -> Option<ConsumerId> {
        self.consumer
    }

    /// Runs a statement in the foreground; all readers see its results. Waits until the job is
    /// durable, not until it has run.
    ///
    /// # Errors
    ///
    /// As [`Engine::submit_job`].
    pub async fn run(&self, statement: impl Into<Arc<str>>) -> Result<JobAck, CommandError> {
        let mode = JobMode {
            slot: JobSlot::Foreground,
            visibility: Visibility::Session,
        };
        self.engine
            .submit_job(NewJob::new(self.id, statement, mode))
            .await
    }

    /// The records after a sequence, in order, and then each new one as it becomes durable. Ends
    /// with the session. [`Sequence::START`] begins with the first record.
    ///
    /// Reads ahead up to 1 MiB. Dropping the stream changes nothing for the session or for other
    /// readers. After an error the stream has ended; go on with a new one after the last sequence.
    pub fn events_after(
        &self,
        after: Sequence,
    ) -> BoxStream<'static, Result<Arc<Record>, PullError>> {
        struct Reader {
            engine: Engine,
            id: SessionId,
            after: Sequence,
            ahead: VecDeque<Arc<Record>>,
            failed: bool,
        }
        let reader = Reader {
            engine: self.engine.clone(),
            id: self.id,
            after,
            ahead: VecDeque::new(),
            failed: false,
        };
        let events = stream::unfold(reader, |mut reader| async move {
            if reader.failed {
                return None;
            }
            if reader.ahead.is_empty() {
                let read = reader
                    .engine
                    .read_until(reader.id, reader.after, READ_AHEAD, pending::<()>())
                    .await;
                match read {
                    Ok(records) => reader.ahead = records.into(),
                    Err(error) => {
                        reader.failed = true;
                        return Some((Err(error), reader));
                    }
                }
            }
            // An empty read without a timeout: the session has ended.
            let record = reader.ahead.pop_front()?;
            reader.after = record.sequence;
            Some((Ok(record), reader))
        });
        events.boxed()
    }

    /// Interrupts a job, or the one in the foreground. As [`Engine::interrupt_job`].
    ///
    /// ```
    /// use rejoin_engine::testing::Hold;
    /// use rejoin_engine::Engine;
    ///
    /// # smol::block_on(async {
    /// let engine = Engine::in_memory().service("shell", Hold).open().await?;
    /// let session = engine.create_session("shell").await?;
    /// let job = session.run("tail -f app.log").await?;
    /// session.interrupt(Some(job.job)).await?;
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    ///
    /// # Errors
    ///
    /// As [`Engine::interrupt_job`].
    pub async fn interrupt(&self, job: Option<JobId>) -> Result<JobAck, CommandError> {
        self.engine.interrupt_job(self.id, job).await
    }

    /// Closes the session, after finishing its jobs. As [`Engine::close_session`].
    ///
    /// # Errors
    ///
    /// As [`Engine::close_session`].
    pub async fn close(&self) -> Result<(), CommandError> {
        self.engine.close_session(self.id).await
    }

    /// The view of the session. None: it ended too long ago, or another node has just created it, and this one
    /// has not followed its log up to there: see [`view_at_creation`](Self::view_at_creation).
    pub fn view(&self) -> Option<SessionView> {
        self.engine.session_view(self.id)
    }

    /// The session as its creation left it. None: this handle does not come from
    /// [`Engine::create_session`].
    ///
    /// ```
    /// use rejoin_engine::Engine;
    /// use rejoin_engine::testing::Hold;
    ///
    /// # smol::block_on(async {
    /// let engine = Engine::in_memory().service("shell", Hold).open().await?;
    /// let session = engine.create_session("shell").await?;
    /// session.run("true").await?;
    /// let created = session.view_at_creation().ok_or("it was created here")?;
    /// assert_eq!((created.number, created.is_busy()), (session.number(), false));
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    pub fn view_at_creation(&self) -> Option<SessionView> {
        let mut views = Views::default();
        self.created.iter().for_each(|record| views.apply(record));
        views.session(self.id).cloned()
    }
}

/// How much a stream of events reads at once.
const READ_AHEAD: ReadLimit = ReadLimit {
    records: 1_024,
    bytes: 1024 * 1024,
};
