//! The part of the engine's handle for one of several nodes: which logs it follows and owns, and what it
//! answers to the others.

use super::{Engine, JobsAtEnd};
use crate::builder::{EngineBuilder, HomeLog};
use crate::clock::LogClocks;
use crate::ending::Ending;
use crate::error::{CommandError, FollowError, OwnError, Unavailable};
use crate::limits::{ASK_AGAIN, ASK_PATIENCE, RELEASES, TAIL_PATIENCE, TICK};
use crate::logs::{FollowedLog, FoundJobs, LogRole, OwnedLog, Resumption};
use crate::node::Node;
use crate::peers::{
    ClusterStatus, LogPlace, PeerAnswer, PeerError, PeerReply, PeerRequest, Peers, RetireError,
    RetiredNode,
};
use crate::stats::LogSessions;
use futures::StreamExt;
use futures::future::{Either, select};
use rejoin_core::{
    Command, JobId, NodeTerm, Numbering, Projection, Record, SessionId, SessionNumber,
};
use rejoin_log::{Log, LogReader};
use std::sync::Arc;
use std::time::Duration;

impl Engine {
    /// Opens an engine that is one of several nodes, each with a log of its own, its home, and all with copies of
    /// the others'. [`Config::numbering`](crate::Config) says which is the home of this one.
    ///
    /// At first it owns no log. `peers` asks the nodes that own them.
    pub fn node(home: HomeLog, peers: Arc<dyn Peers>) -> EngineBuilder {
        EngineBuilder::node(home, peers)
    }
}

/// Several nodes. The program that embeds the engine learns which node writes which log, and says so
/// here; the engine does the rest.
impl Engine {
    /// Follows a log that another node writes, from its first `position` records on, which lead to
    /// `projection`. They are visible at once, and those after them by [`tail`](Self::tail). `reader` reads
    /// the copy of the log on this machine.
    ///
    /// Also called after this engine has lost a log ([`log_ended`](Self::log_ended)): its state in memory
    /// may be ahead of the log then. What of its sessions is not visible yet is read from the copy, so this
    /// may block for a moment.
    ///
    /// # Errors
    ///
    /// If there is no log of this number, this engine owns it, or its copy can't be read.
    pub fn follow(
        &self,
        log: u8,
        projection: Projection,
        reader: Arc<dyn LogReader>,
        position: u64,
    ) -> Result<(), FollowError> {
        let node = &self.node;
        if let Some(LogRole::Owned(_)) = node.logs.role(log) {
            return Err(FollowError::Owned);
        }
        let (state, views) = projection.into_parts();
        node.committed
            .include(
                views,
                |session| node.logs.number_of(session) == log,
                &*reader,
            )
            .map_err(FollowError::Log)?;
        let followed = FollowedLog::new(&*node.runtime, reader, Some(state), position);
        match node.logs.set(log, LogRole::Followed(Arc::new(followed))) {
            true => Ok(()),
            false => Err(FollowError::NoSuchLog),
        }
    }

    /// Takes the records after the first `position` ones of a followed log, in order: they are durable, and
    /// become visible. May be called before the node that appended them knows that it has.
    ///
    /// # Errors
    ///
    /// If the log is not followed, these are not the next records, or they can't follow the ones before
    /// them. In the last case the log is no longer followed.
    pub fn tail(&self, log: u8, position: u64, records: &[Arc<Record>]) -> Result<(), FollowError> {
        match self.node.logs.role(log) {
            Some(LogRole::Followed(followed)) => {
                let Node {
                    runtime, committed, ..
                } = &*self.node;
                followed.follow(&**runtime, committed, position, records)
            }
            Some(LogRole::Owned(_)) => Err(FollowError::Owned),
            None => Err(FollowError::NoSuchLog),
        }
    }

    /// Writes a log from now on, of which this node has become the only writer: `opened`, with `position`
    /// records, all of which were followed. Sessions go on. Jobs go on if a runner of this engine has
    /// them; the others are lost, and a record says so. `by` is this node with its term, if it has taken the
    /// log from another one: a record in each session says that, too. Blocks for the append of that.
    ///
    /// # Errors
    ///
    /// If the log was not followed up to there, the engine is closing, or the log takes no record. If it
    /// took none, it has to be opened and [followed](Self::follow) again.
    pub fn own(
        &self,
        log: u8,
        opened: Box<dyn Log>,
        position: u64,
        by: Option<Arc<NodeTerm>>,
    ) -> Result<(), OwnError> {
        let node = &self.node;
        if node.committed.is_closing() {
            return Err(OwnError::Closing);
        }
        let followed = match node.logs.role(log) {
            Some(LogRole::Followed(followed)) => followed,
            Some(LogRole::Owned(_)) => return Err(FollowError::Owned.into()),
            None => return Err(FollowError::NoSuchLog.into()),
        };
        let numbering = Numbering::new(log, node.config.numbering.logs());
        let numbering = numbering.ok_or(FollowError::NoSuchLog)?;
        let state = followed.take_state(position)?.numbered(numbering);
        let reader = opened.reader();
        let mut found = node
            .committed
            .view(|views| FoundJobs::of(&node.services, &state, views, &*reader, numbering));
        if by.is_some() {
            found.ran_elsewhere();
        }
        let resumption = Resumption::begin(&node.config, &node.runtime, found, opened, state, by)?;
        node.committed.commit(&resumption.records);
        let _ = node.takeover.set(resumption.takeover.clone());
        let position = position.saturating_add(resumption.records.len() as u64);
        let ending = Arc::<Ending>::default();
        let owned = Arc::new(OwnedLog::start(
            node,
            log,
            resumption,
            position,
            ending.clone(),
        ));
        self.give_up_at_end(log, &owned, ending);
        node.logs.set(log, LogRole::Owned(owned.clone()));
        // A close that began meanwhile does not know of this log.
        if node.committed.is_closing() {
            owned.end(JobsAtEnd::Interrupted);
        }
        Ok(())
    }

    /// When the log's part of the engine ends, the engine goes on as one of its readers.
    fn give_up_at_end(&self, log: u8, owned: &Arc<OwnedLog>, ending: Arc<Ending>) {
        // Not the log itself: its sequencer ends when the last handle of the engine is dropped.
        let owned = Arc::downgrade(owned);
        let logs = Arc::downgrade(&self.node.logs);
        let runtime = self.node.runtime.clone();
        let (committed, counts) = (self.node.committed.clone(), self.node.counts.clone());
        self.node.runtime.spawn(Box::pin(async move {
            ending.wait().await;
            if let (Some(logs), Some(owned)) = (logs.upgrade(), owned.upgrade()) {
                let is_here = |session| logs.number_of(session) == log;
                counts.give_up(&committed.view(|views| LogSessions::of(views, is_here)));
                logs.give_up(&*runtime, log, &owned);
            }
        }));
    }

    /// Gives a log back: interrupts its jobs and waits for them `patience` at most, then closes it. Jobs
    /// that have not ended by then are lost when another node goes on with it. This engine goes on as one
    /// of its readers, once it [follows](Self::follow) it.
    pub async fn release(&self, log: u8, patience: Duration) -> Unavailable {
        let Some(LogRole::Owned(owned)) = self.node.logs.role(log) else {
            return Unavailable::Moved;
        };
        let interrupted = owned.command(Command::InterruptAll, self.actor.clone());
        if interrupted.await.is_ok() {
            let idle =
                Box::pin(self.wait_for_jobs(|session| self.node.logs.number_of(session) == log));
            let _ = select(idle, self.runtime().timer(patience)).await;
        }
        // Those that are left are lost: nothing of them may go on here.
        owned.end(JobsAtEnd::Lost);
        owned.ended().await
    }

    /// Gives a log back as soon as no job runs in it, within the next two seconds: ask again until then. What is
    /// asked for at that moment is for the node that takes the log. [`log_ended`](Self::log_ended) says when it was given.
    pub fn give_back(&self, log: u8) {
        if let Some(LogRole::Owned(owned)) = self.node.logs.role(log) {
            owned.end(JobsAtEnd::Idle);
        }
    }

    /// Cleans up what this node has of the open sessions of a log that another node writes, or has written:
    /// their directories and variables, and processes that their jobs have left. Those don't follow a session to
    /// another node, nor back. Call it before this node [owns](Self::own) the log again. Takes as long as jobs
    /// take to end.
    pub async fn leave_sessions(&self, log: u8) {
        if self.owns(log) {
            return;
        }
        let sessions: Vec<_> = self.view(|views| {
            let open = views.open_sessions();
            let here = open.filter(|it| self.node.logs.number_of(it.id) == log);
            here.map(|it| (it.id, it.service.clone())).collect()
        });
        let released = sessions.into_iter().filter_map(|(session, service)| {
            let runner = self.node.services.get(&service)?;
            Some(runner.release(session))
        });
        futures::stream::iter(released)
            .for_each_concurrent(RELEASES, |released| released)
            .await;
    }

    /// Those of some sessions of a log that are not removed, as the durable log says: what was removed stays
    /// removed. None: this engine does not write it, or is too busy.
    pub async fn kept_sessions(&self, log: u8, sessions: Vec<SessionId>) -> Option<Vec<SessionId>> {
        match self.node.logs.role(log)? {
            LogRole::Owned(owned) => owned.kept(sessions).await,
            LogRole::Followed(_) => None,
        }
    }

    /// What the clocks of all logs show now: for how long something of a session has lasted. As
    /// [`now`](Self::now), if there is one log. The clock of a log that another node writes is behind by as
    /// much as its last record took to come.
    pub fn clocks(&self) -> LogClocks {
        let node = &self.node;
        let at = node.runtime.now();
        let clocks = (0..node.config.numbering.logs()).map(|log| match node.logs.role(log) {
            Some(LogRole::Owned(log)) => log.clock.instant(),
            Some(LogRole::Followed(log)) => log.instant(&*node.runtime),
            None => node.clock.instant(),
        });
        let numbering = node.config.numbering;
        LogClocks::new(numbering, at, clocks.collect())
    }

    /// Waits until this engine no longer writes a log, because another node has taken it, or it failed, or
    /// it was given back. At once if it does not write it.
    pub async fn log_ended(&self, log: u8) -> Unavailable {
        match self.node.logs.role(log) {
            Some(LogRole::Owned(owned)) => owned.ended().await,
            _ => Unavailable::Moved,
        }
    }

    /// How many records of a log are visible here. None: the log is not known, or must be
    /// [followed](Self::follow) again.
    pub fn position(&self, log: u8) -> Option<u64> {
        match self.node.logs.role(log)? {
            LogRole::Owned(owned) => Some(owned.position()),
            LogRole::Followed(followed) => followed.is_followed().then(|| followed.position()),
        }
    }

    /// Whether this engine writes a log.
    pub fn owns(&self, log: u8) -> bool {
        matches!(self.node.logs.role(log), Some(LogRole::Owned(_)))
    }

    /// What this node knows of its cluster. None: there are no other nodes.
    pub fn cluster(&self) -> Option<ClusterStatus> {
        self.node.peers.as_ref()?.status()
    }

    /// Takes a node out of the cluster for good: its log stays with the other nodes, and no node of that name may start
    /// again. Harmless if it was done already.
    ///
    /// # Errors
    ///
    /// When the node is alive or unknown, or the servers of the cluster do not answer.
    pub async fn retire(&self, node: &str) -> Result<RetiredNode, RetireError> {
        match &self.node.peers {
            Some(peers) => peers.retire(node).await,
            None => Err(RetireError::Alone),
        }
    }

    /// Where a session's log is written. None: there are no other nodes.
    pub fn place(&self, session: SessionId) -> Option<LogPlace> {
        let peers = self.node.peers.as_ref()?;
        peers.place(self.node.logs.number_of(session))
    }

    /// Answers what another node asks about a log. None: this engine does not write it, and nothing was
    /// done.
    pub async fn answer(&self, log: u8, request: PeerRequest) -> Option<PeerAnswer> {
        let Some(LogRole::Owned(owned)) = self.node.logs.role(log) else {
            return None;
        };
        let reply = match request {
            PeerRequest::Position => match owned.confirm().await {
                Ok(()) => PeerReply::Position,
                Err(_) => return None,
            },
            // The node that goes on with the log takes it.
            PeerRequest::Command {
                command: Command::SubmitJob(_),
                ..
            } if self.node.committed.is_closing() => return None,
            PeerRequest::Command { command, actor } => {
                let answer = owned.command(command, actor).await;
                if owned.has_left_undone(&answer).await {
                    return None;
                }
                PeerReply::Records(answer)
            }
            PeerRequest::WriteInput {
                session,
                job,
                bytes,
                end,
                client,
                actor,
            } => {
                let engine = Self {
                    actor,
                    ..self.clone()
                };
                let write = engine.write_owned(&owned, client, session, job, bytes, end);
                PeerReply::Done(write.await)
            }
            PeerRequest::Touch { sessions } => {
                for session in sessions {
                    owned.liveness.touch(session);
                }
                PeerReply::Position
            }
            PeerRequest::BeginPull {
                session,
                consumer,
                pull,
                lease,
            } => PeerReply::Pull(
                self.begin_peer_pull(&owned, session, consumer, pull, lease)
                    .await,
            ),
            PeerRequest::EndPull { pull, advance } => {
                owned.peer_pulls.end(pull, advance);
                PeerReply::Position
            }
        };
        // After the reply: what it depends on is committed by then.
        let position = owned.position();
        Some(PeerAnswer { position, reply })
    }

    /// Makes sure that what is not known of a session does not exist: that its log was followed up to
    /// where the node is that writes it, and if that is this one, that it still is. Call it before a client is
    /// answered that something is not there. At once if there are no other nodes.
    ///
    /// # Errors
    ///
    /// If the node that writes the log can't be asked, or this one is too far behind it. The client may
    /// try again.
    pub async fn catch_up(&self, session: SessionId) -> Result<(), Unavailable> {
        self.catch_up_log(self.node.logs.number_of(session)).await
    }

    /// As [`catch_up`](Self::catch_up), for a session or a job of this number.
    ///
    /// # Errors
    ///
    /// As [`catch_up`](Self::catch_up).
    pub async fn catch_up_number(&self, number: u64) -> Result<(), Unavailable> {
        let log = self.node.config.numbering.log_of_number(number);
        self.catch_up_log(log).await
    }

    /// Makes sure that a session is known here if there is one, or was, that is remembered. Call it before
    /// anything is decided by what the [views](Self::view) have of a session that a client names: also
    /// whether the client may do what it asks for.
    ///
    /// # Errors
    ///
    /// As [`catch_up`](Self::catch_up).
    pub async fn know(&self, session: SessionId) -> Result<(), Unavailable> {
        match self.node.committed.session(session, |_| ()) {
            Some(()) => Ok(()),
            None => self.catch_up(session).await,
        }
    }

    /// As [`know`](Self::know), by the session's number.
    ///
    /// # Errors
    ///
    /// As [`catch_up`](Self::catch_up).
    pub async fn know_number(&self, number: SessionNumber) -> Result<(), Unavailable> {
        match self.view(|views| views.numbered(number).is_some()) {
            true => Ok(()),
            false => self.catch_up_number(number.0).await,
        }
    }

    /// As [`know`](Self::know), of a job of a session.
    ///
    /// # Errors
    ///
    /// As [`catch_up`](Self::catch_up).
    pub async fn know_job(&self, session: SessionId, job: JobId) -> Result<(), Unavailable> {
        let known = self
            .node
            .committed
            .session(session, |view| view.job(job).is_some());
        match known {
            Some(true) => Ok(()),
            _ => self.catch_up(session).await,
        }
    }

    async fn catch_up_log(&self, log: u8) -> Result<(), Unavailable> {
        if self.node.peers.is_none() {
            return Ok(());
        }
        loop {
            let changed = self.node.logs.listen();
            if let Some(LogRole::Owned(owned)) = self.node.logs.role(log) {
                match owned.confirm().await {
                    Ok(()) => return Ok(()),
                    Err(CommandError::Unavailable(Unavailable::Moved)) => {}
                    Err(CommandError::Unavailable(why)) => return Err(why),
                    Err(_) => return Err(Unavailable::Behind),
                }
                // The engine is about to become a reader of the log.
                select(changed, self.node.runtime.timer(TAIL_PATIENCE)).await;
            }
            return match self.ask(log, PeerRequest::Position).await? {
                Asked::Owned => continue,
                Asked::NoLog | Asked::Answered(_, true) => Ok(()),
                Asked::Answered(_, false) => Err(Unavailable::Behind),
            };
        }
    }

    /// Asks the node that writes a log, and waits until this one has followed it up to the answer. While
    /// no node writes the log, it asks again for a while; also the node that takes it meanwhile, if that can't
    /// do anything twice.
    pub(crate) async fn ask(&self, log: u8, request: PeerRequest) -> Result<Asked, Unavailable> {
        let node = &self.node;
        let Some(peers) = &node.peers else {
            return Ok(Asked::NoLog);
        };
        let end = node.runtime.elapsed().saturating_add(ASK_PATIENCE);
        loop {
            let changed = node.logs.listen();
            if let Some(LogRole::Owned(_)) = node.logs.role(log) {
                return Ok(Asked::Owned);
            }
            match peers.ask(log, request.clone()).await {
                Ok(PeerAnswer { position, reply }) => {
                    let is_reached = self.reach(log, position).await;
                    return Ok(Asked::Answered(reply, is_reached));
                }
                // The node that has the log now knows what was done.
                Err(PeerError::Deposed) if request.is_repeatable() => {}
                Err(PeerError::Unanswered | PeerError::Deposed) => {
                    return Err(Unavailable::Unanswered);
                }
                // Not because it is not known here: this node may just have been started.
                Err(PeerError::NoLog) => return Ok(Asked::NoLog),
                Err(PeerError::NoOwner) => {}
            }
            if node.runtime.elapsed() >= end {
                return Err(Unavailable::Moved);
            }
            select(changed, node.runtime.timer(ASK_AGAIN)).await;
        }
    }

    /// Waits until a log was followed up to a position, or this engine writes it. False: that took too long.
    async fn reach(&self, log: u8, position: u64) -> bool {
        let logs = &self.node.logs;
        let mut patience = self.node.runtime.timer(TAIL_PATIENCE);
        loop {
            let changed = logs.listen();
            let followed = match logs.role(log) {
                Some(LogRole::Owned(_)) => return true,
                Some(LogRole::Followed(followed)) => Some(followed),
                None if position == 0 => return true,
                None => None,
            };
            let arrived = match &followed {
                Some(followed) => followed.listen(),
                None => logs.listen(),
            };
            let has_arrived = |it: &Arc<FollowedLog>| it.position() >= position;
            if followed.as_ref().is_some_and(has_arrived) {
                return true;
            }
            match select(select(arrived, changed), patience).await {
                Either::Left((_, rest)) => patience = rest,
                Either::Right(_) => return false,
            }
        }
    }

    /// Notes that a session of a log that another node writes was used. That is sent once a tick.
    pub(crate) fn touch_followed(&self, followed: &Arc<FollowedLog>, session: SessionId) {
        if !followed.touch(session) {
            return;
        }
        let Some(peers) = self.node.peers.clone() else {
            return;
        };
        let log = self.node.logs.number_of(session);
        let followed = followed.clone();
        let tick = self.node.runtime.timer(TICK);
        self.node.runtime.spawn(Box::pin(async move {
            tick.await;
            let sessions = followed.take_touched();
            // If it is lost, the session's idle timeout is a little shorter.
            let _ = peers.ask(log, PeerRequest::Touch { sessions }).await;
        }));
    }
}

/// What became of a question to the node that writes a log.
pub(crate) enum Asked {
    /// This one writes it now.
    Owned,
    /// No node has ever written it, as far as is known.
    NoLog,
    /// The answer, and whether this node has followed the log up to it.
    Answered(PeerReply, bool),
}
