//! A log that this engine writes: its sequencer, and what clients of its sessions do there.

use crate::clock::{Clock, WallClock};
use crate::ending::Ending;
use crate::engine::JobsAtEnd;
use crate::error::{CommandError, Unavailable};
use crate::jobs::stdin::Inputs;
use crate::jobs::supervisor::{ResumedJob, Services, Supervisor};
use crate::limits;
use crate::liveness::Liveness;
use crate::logs::peer_pulls::PeerPulls;
use crate::node::Node;
use crate::screens::{ScreenLog, Unfolded};
use crate::sequencer::{KeptQuestion, Request, Sequencer};
use crate::stats::{Counts, LogSessions};
use crate::takeover::{LostJob, RefusedJob, Takeover, kept_jobs, lost_jobs};
use crate::{Config, Runtime};
use async_channel::{Sender, TrySendError};
use futures::channel::oneshot;
use futures::future::{Either, select};
use rejoin_core::{Actor, Command, NodeTerm, Numbering, Record, SessionId, State, Views};
use rejoin_log::{AppendError, Log, LogReader};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The engine's side of a log that it writes. The sequencer runs on a thread of its own, and ends when
/// this is dropped.
#[derive(Debug)]
pub(crate) struct OwnedLog {
    pub(crate) clock: Arc<Clock>,
    pub(crate) liveness: Arc<Liveness>,
    pub(crate) reader: Arc<dyn LogReader>,
    pub(crate) inputs: Arc<Inputs>,
    /// Why the log is no longer written.
    pub(crate) ending: Arc<Ending>,
    /// Pulls of this log's consumers at other nodes.
    pub(crate) peer_pulls: PeerPulls,
    /// Whether the engine ends with it.
    is_only: bool,
    /// How many records the log has.
    position: Arc<AtomicU64>,
    counts: Arc<Counts>,
    runtime: Arc<dyn Runtime>,
    requests: Sender<Request>,
    reports: Sender<Command>,
    end: Sender<JobsAtEnd>,
}

/// The answer to a command: its durable records.
pub(crate) type Answer = Result<Vec<Arc<Record>>, CommandError>;

/// A log of which it was decided, durably, what becomes of the jobs that it says are running.
pub(crate) struct Resumption {
    log: Box<dyn Log>,
    state: State,
    kept: Vec<ResumedJob>,
    clock: Arc<Clock>,
    wall: WallClock,
    jump: Option<i64>,
    behind: Duration,
    /// What was logged. The views don't have it yet.
    pub(crate) records: Vec<Arc<Record>>,
    pub(crate) takeover: Takeover,
}

/// The jobs that a log says are running.
pub(crate) struct FoundJobs {
    kept: Vec<ResumedJob>,
    refused: Vec<RefusedJob>,
    lost: Vec<LostJob>,
}

impl FoundJobs {
    /// Which jobs of the log with this numbering the runners still have, and which are lost. Blocks while
    /// it reads input that a job was not given.
    pub(crate) fn of(
        services: &Services,
        state: &State,
        views: &Views,
        log: &dyn LogReader,
        numbering: Numbering,
    ) -> Self {
        let (kept, refused) = kept_jobs(services, state, views, log, numbering);
        let lost = lost_jobs(services, state, views, &kept, &refused);
        Self {
            kept,
            refused,
            lost,
        }
    }

    /// The lost ones ran at a node that has lost the log: what a runner of this one says of its own keepers is not
    /// why.
    pub(crate) fn ran_elsewhere(&mut self) {
        for job in &mut self.lost {
            job.reason = Some("its node ended or was cut off".to_owned());
        }
    }
}

impl Resumption {
    /// Goes on where the log ends. Jobs that it says are running go on if their runners still have them;
    /// the others are finished as lost. `by` says that this node has taken the log from another one. Blocks
    /// for that append.
    pub(crate) fn begin(
        config: &Config,
        runtime: &Arc<dyn Runtime>,
        found: FoundJobs,
        mut log: Box<dyn Log>,
        mut state: State,
        by: Option<Arc<NodeTerm>>,
    ) -> Result<Self, AppendError> {
        let FoundJobs {
            kept,
            refused,
            lost,
        } = found;
        let reasons = lost
            .iter()
            .filter_map(|it| Some((it.job, it.reason.as_deref()?.into())));
        let is_from_another = by.is_some();
        let resume = Command::Resume {
            kept: kept.iter().map(|job| job.job).collect(),
            lost: reasons.collect(),
            by,
        };
        let last = state.last();
        let clock = Arc::new(Clock::resume(runtime.clone(), &mut *log, last));
        let mut wall = WallClock::new(clock.clone(), last);
        let (now, jump) = wall.read();
        // How far apart another machine's clocks were says nothing about this one's.
        let jump = jump.filter(|_| !is_from_another);
        let behind = last.at.since(now.at);
        let resumed = state.step(now, resume).expect("resuming is never rejected");
        let records: Vec<_> = resumed
            .into_iter()
            .map(|step| Arc::new(step.record))
            .collect();
        log.append(&records)?;
        for it in refused {
            it.runner.forget(it.job);
        }
        let takeover = match config.read_only {
            true => Takeover::default(),
            false => Takeover::new(kept.len(), lost),
        };
        Ok(Self {
            log,
            state,
            kept,
            clock,
            wall,
            jump,
            behind,
            records,
            takeover,
        })
    }

    /// The log's clock.
    pub(crate) fn clock(&self) -> &Arc<Clock> {
        &self.clock
    }
}

impl OwnedLog {
    /// Starts the sequencer of log `number`, which has `position` records. The views have them.
    pub(crate) fn start(
        node: &Node,
        number: u8,
        resumption: Resumption,
        position: u64,
        ending: Arc<Ending>,
    ) -> Self {
        let Resumption {
            log,
            state,
            kept,
            clock,
            wall,
            jump,
            behind,
            records: _,
            takeover: _,
        } = resumption;
        let is_here = |session| node.logs.number_of(session) == number;
        let sessions = node.committed.view(|views| LogSessions::of(views, is_here));
        let (requests, request_inbox) = async_channel::bounded(node.config.queue);
        let (reports, report_inbox) = async_channel::bounded(limits::REPORTS);
        // Giving back, and the end for good.
        let (end, end_inbox) = async_channel::bounded(2);
        node.counts.wall_clock(jump, behind);
        node.counts.take(&sessions);
        let liveness = Arc::new(Liveness::new(clock.clone(), node.committed.clone()));
        let inputs = Arc::new(Inputs::default());
        let reader = log.reader();
        let screen_log = ScreenLog {
            reader: reader.clone(),
            reports: Some(reports.clone()),
        };
        let mut supervisor = Supervisor::new(
            node.runtime.clone(),
            node.services.clone(),
            node.builtin.clone(),
            reports.clone(),
            inputs.clone(),
            Unfolded::new(node.screens.clone(), screen_log),
        );
        kept.into_iter().for_each(|job| supervisor.resume(job));
        let position = Arc::new(AtomicU64::new(position));
        let sequencer = Sequencer {
            position: position.clone(),
            state,
            log,
            runtime: node.runtime.clone(),
            committed: node.committed.clone(),
            liveness: liveness.clone(),
            counts: node.counts.clone(),
            supervisor,
            requests: request_inbox,
            reports: report_inbox,
            end: end_inbox,
            cursors_logged: clock.instant(),
            given_back: None,
            clock: clock.clone(),
            wall,
            ending: ending.clone(),
            read_only: node.config.read_only,
        };
        node.runtime
            .spawn_dedicated("rejoin-sequencer", Box::pin(sequencer.run()));
        Self {
            clock,
            liveness,
            reader,
            inputs,
            is_only: Arc::ptr_eq(&ending, node.committed.ending()),
            ending,
            position,
            peer_pulls: PeerPulls::default(),
            counts: node.counts.clone(),
            runtime: node.runtime.clone(),
            requests,
            reports,
            end,
        }
    }

    /// Sends a command to the sequencer, and waits for its answer.
    pub(crate) async fn command(&self, command: Command, actor: Option<Arc<Actor>>) -> Answer {
        self.answer(self.send(Some(command), actor).await?).await
    }

    /// Waits until it is known that no other writer has taken the log.
    pub(crate) async fn confirm(&self) -> Result<(), CommandError> {
        self.answer(self.send(None, None).await?).await.map(drop)
    }

    /// In a cluster the servers of the log may be away for long.
    async fn answer(&self, answer: oneshot::Receiver<Answer>) -> Answer {
        let answered = match self.is_only {
            true => answer.await,
            false => match select(answer, self.runtime.timer(limits::ASK_PATIENCE)).await {
                Either::Left((answered, _)) => answered,
                Either::Right(_) => {
                    return Err(CommandError::Unavailable(Unavailable::Unanswered));
                }
            },
        };
        match answered {
            Ok(answer) => answer,
            Err(oneshot::Canceled) => Err(self.unavailable().await),
        }
    }

    /// Sends a command to the sequencer, and returns where its answer will be.
    pub(crate) async fn send(
        &self,
        command: Option<Command>,
        actor: Option<Arc<Actor>>,
    ) -> Result<oneshot::Receiver<Answer>, CommandError> {
        let (reply, answer) = oneshot::channel();
        let request = Request::Command {
            command,
            actor,
            reply,
        };
        match self.requests.try_send(request) {
            Ok(()) => Ok(answer),
            Err(TrySendError::Full(_)) => {
                self.counts.overloaded.inc();
                Err(CommandError::Overloaded)
            }
            Err(TrySendError::Closed(_)) => Err(self.unavailable().await),
        }
    }

    /// Those of some sessions that are not removed, as the durable log says. None: it is not written now, or too
    /// much waits.
    pub(crate) async fn kept(&self, sessions: Vec<SessionId>) -> Option<Vec<SessionId>> {
        let (reply, answer) = oneshot::channel();
        let question = KeptQuestion { sessions, reply };
        self.requests.try_send(Request::Kept(question)).ok()?;
        answer.await.ok()
    }

    /// Why a command was not answered.
    pub(crate) async fn unavailable(&self) -> CommandError {
        let why = self.ended().await;
        CommandError::Unavailable(match self.is_only {
            true => why,
            false => Unavailable::Moved,
        })
    }

    /// Whether a command has certainly had no effect, because another node has taken the log, or was given it.
    pub(crate) async fn has_left_undone(&self, answer: &Answer) -> bool {
        let Err(CommandError::Unavailable(Unavailable::Moved)) = answer else {
            return false;
        };
        match self.ended().await {
            Unavailable::ShuttingDown => true,
            Unavailable::LogFailed(error) => matches!(*error, AppendError::Fenced(_)),
            _ => false,
        }
    }

    /// Waits until the log is no longer written.
    pub(crate) async fn ended(&self) -> Unavailable {
        self.ending.wait().await
    }

    /// How many records the log has, at least: all that was answered is among them.
    pub(crate) fn position(&self) -> u64 {
        self.position.load(Ordering::SeqCst)
    }

    /// Asks the sequencer to close the log.
    pub(crate) fn end(&self, jobs: JobsAtEnd) {
        if jobs == JobsAtEnd::Idle && !self.end.is_empty() {
            return;
        }
        let _ = self.end.try_send(jobs);
    }

    /// How many requests wait for the sequencer.
    pub(crate) fn queued(&self) -> usize {
        self.requests.len()
    }

    /// The log, for the screens of its terminals.
    pub(crate) fn screen_log(&self) -> ScreenLog {
        ScreenLog {
            reader: self.reader.clone(),
            reports: Some(self.reports.clone()),
        }
    }
}
