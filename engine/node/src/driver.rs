//! Follows a log, takes it when it is this node's turn, and follows it again when it has lost it.

use crate::limits::{AFTER_NOTICE, NOTICE, REOPEN};
use crate::purge::Purger;
use crate::surroundings::{Noticing, Server};
use crate::watched_log::{Appends, WatchedLog};
use crate::{Shared, join, lock};
use futures::future::{Either, FutureExt, select};
use rejoin_cluster::{Claim, NodeName, should_claim};
use rejoin_core::NodeTerm;
use rejoin_engine::peers::{LogActivity, PeerRequest};
use rejoin_engine::{Engine, Unavailable};
use rejoin_log::Log;
use rejoin_log_jetstream::{Follower, NotTaken, StreamOpenError, Taken};
use std::any::Any;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Drives one log on a thread of its own, until the node leaves.
pub(crate) struct Driver {
    shared: Arc<Shared>,
    engine: Engine,
    log: u8,
    /// The home, which the engine follows from the start.
    first: Option<Follower<Server>>,
    has_owned: bool,
    /// Whether nothing is left here of the log's sessions.
    is_clean: bool,
    /// Why it could not be followed the last time.
    fault: Option<String>,
}

/// Why a log is no longer followed.
enum Left {
    /// The node leaves.
    Leaving,
    /// The log is this node's.
    Taken(Box<Taken<Server>>, Claim),
    /// It has to be opened again.
    Failed(String),
}

impl Driver {
    pub(crate) fn new(
        shared: Arc<Shared>,
        engine: Engine,
        log: u8,
        first: Option<Follower<Server>>,
    ) -> Self {
        Self {
            shared,
            engine,
            log,
            first,
            has_owned: false,
            is_clean: false,
            fault: None,
        }
    }

    pub(crate) fn run(mut self) {
        // From here on it is behind for as long as it is not.
        self.shared.is_whole(self.log);
        while !self.shared.is_leaving() {
            let fault = match self.once() {
                Ok(()) => None,
                Err(fault) => {
                    let log = self.log;
                    // Once, however often it is tried.
                    match self.fault.as_ref() == Some(&fault) {
                        true => tracing::debug!(log, %fault, "still cannot follow a log"),
                        false => {
                            tracing::warn!(log, %fault, "cannot follow a log, and opens it again")
                        }
                    }
                    Some(fault)
                }
            };
            let has_failed = fault.is_some();
            self.fault = fault.clone();
            self.shared.note(self.log, |status| status.fault = fault);
            if has_failed {
                self.shared.pause(REOPEN);
            }
        }
    }

    /// Follows the log until it is taken, and has it until it is lost.
    fn once(&mut self) -> Result<(), String> {
        let follower = match self.first.take() {
            Some(home) => home,
            None => self.open()?,
        };
        let notices = self.shared.surroundings.notices(self.log)?;
        match self.follow(follower, &*notices) {
            Left::Leaving => Ok(()),
            Left::Failed(fault) => Err(fault),
            Left::Taken(taken, before) => self.own(*taken, &before),
        }
    }

    fn open(&self) -> Result<Follower<Server>, String> {
        self.does(LogActivity::Opening);
        let opened = join::open(&self.shared.member, &*self.shared.surroundings, self.log);
        let opened = opened.map_err(|error| error.to_string())?;
        let (follower, projection, _) = opened.into_parts();
        let followed =
            self.engine
                .follow(self.log, projection, follower.reader(), follower.position());
        followed.map_err(|error| error.to_string())?;
        Ok(follower)
    }

    /// Notes what this node does with the log.
    fn does(&self, activity: LogActivity) {
        self.shared
            .note(self.log, |status| status.activity = activity);
    }

    fn follow(&mut self, mut follower: Follower<Server>, notices: &dyn Noticing) -> Left {
        self.does(LogActivity::Following);
        let position = follower.position();
        self.shared.note(self.log, |status| {
            status.position = position;
            status.fault = None;
        });
        self.fault = None;
        let mut pauses = AFTER_NOTICE.iter();
        loop {
            if self.shared.is_leaving() {
                return Left::Leaving;
            }
            let before = follower.position();
            let read = match follower.read() {
                Ok(read) => read,
                Err(error) => return Left::Failed(error.to_string()),
            };
            let has_answered = read.is_some();
            let records = read.unwrap_or_default();
            if has_answered && records.is_empty() {
                self.shared.is_whole(self.log);
            }
            if !records.is_empty() {
                if let Err(error) = self.engine.tail(self.log, before, &records) {
                    return Left::Failed(error.to_string());
                }
                let position = follower.position();
                self.shared
                    .note(self.log, |status| status.position = position);
                pauses = AFTER_NOTICE.iter();
                continue;
            }
            let claim = self.claim();
            let owner = claim.as_ref().and_then(|claim| claim.owner.as_ref());
            if owner.is_some_and(|owner| *owner != self.shared.member.node) {
                self.clean_up();
            }
            if let Some(claim) = claim.filter(|claim| self.should_take(claim)) {
                match self.take(follower) {
                    Ok(taken) => return Left::Taken(taken, claim),
                    Err(not) => {
                        let NotTaken {
                            error,
                            follower: same,
                            ..
                        } = *not;
                        match error {
                            // The log has a writer.
                            StreamOpenError::Lost => {
                                tracing::debug!(
                                    log = self.log,
                                    "another node has taken the log first"
                                );
                            }
                            error => tracing::warn!(log = self.log, %error, "could not take a log"),
                        }
                        self.does(LogActivity::Following);
                        follower = same;
                        self.shared.pause(REOPEN);
                        continue;
                    }
                }
            }
            match pauses.next() {
                Some(pause) => self.shared.surroundings.sleep(*pause),
                None if notices.wait(NOTICE) => pauses = AFTER_NOTICE.iter(),
                None => {}
            }
        }
    }

    /// Ends what this node has left of the log's sessions, from an earlier time when it wrote the log.
    fn clean_up(&mut self) {
        if !self.is_clean {
            self.wait(self.engine.leave_sessions(self.log));
            self.is_clean = true;
        }
    }

    fn claim(&self) -> Option<Claim> {
        lock(&self.shared.claims).get(&self.log).cloned()
    }

    fn should_take(&self, claim: &Claim) -> bool {
        let is_silent = self.shared.is_silent.load(Ordering::Acquire);
        let beats = lock(&self.shared.beats);
        !is_silent && should_claim(self.log, claim, self.shared.me(), self.has_owned, &beats)
    }

    /// Takes the log. What was read meanwhile is visible before it is written here.
    fn take(
        &self,
        follower: Follower<Server>,
    ) -> Result<Box<Taken<Server>>, Box<NotTaken<Server>>> {
        self.does(LogActivity::Taking);
        let before = follower.position();
        // What this node knows of the claim is up to a second old.
        let taken = follower.take(&|claim| self.should_take(claim));
        let records = match &taken {
            Ok(taken) => &taken.records,
            Err(not) => &not.records,
        };
        if let Err(error) = self.engine.tail(self.log, before, records) {
            tracing::error!(log = self.log, %error, "the records of a log can't be followed");
        }
        taken.map(Box::new)
    }

    /// Writes the log until another node has taken it, it fails, or this node leaves or gives it back.
    fn own(&mut self, mut taken: Taken<Server>, before: &Claim) -> Result<(), String> {
        if self.shared.is_leaving() {
            // It was let go a moment ago, by another node that leaves.
            return taken.log.close().map_err(|error| error.to_string());
        }
        let (me, log) = (&self.shared.member.node.clone(), self.log);
        let term = taken.log.term();
        let appends = self.shared.appends_of(taken.log.stop_appends());
        let position = self
            .engine
            .position(log)
            .ok_or("its records can't be read")?;
        lock(&self.shared.appends).insert(log, appends.clone());
        // What a former run of this node knew of the sessions of other nodes is not kept.
        let is_lent = before.home != *me;
        let is_from_another = match &taken.from {
            _ if is_lent => true,
            Some(writer) => writer != me,
            // Its message may have been purged.
            None => before.owner.as_ref().is_some_and(|owner| owner != me),
        };
        // What ran here when this process lost the log has ended.
        let by = (is_from_another || self.has_owned).then(|| {
            Arc::new(NodeTerm {
                node: me.as_str().into(),
                term,
            })
        });
        if by.is_some() {
            self.clean_up();
        }
        self.is_clean = false;
        let opened: Box<dyn Log> = Box::new(WatchedLog::new(taken.log, appends.clone()));
        let owned = self.engine.own(log, opened, position, by);
        if let Err(error) = owned {
            lock(&self.shared.appends).remove(&log);
            return match self.shared.is_leaving() {
                true => Ok(()),
                false => Err(error.to_string()),
            };
        }
        self.has_owned = true;
        self.claimed(term);
        self.shared.note(log, |status| {
            status.activity = LogActivity::Writing;
            status.position = self.engine.position(log).unwrap_or(position);
            status.takeovers = status.takeovers.saturating_add(u64::from(is_lent));
        });
        match taken.from.filter(|writer| writer != me) {
            Some(from) => tracing::info!(log, node = %me, term, %from, "has taken a log over"),
            None => tracing::info!(log, node = %me, term, "writes a log"),
        }
        let answering = self.answer(term)?;
        let ended = self.wait_for_end(&before.home, term, &appends);
        drop(answering);
        lock(&self.shared.appends).remove(&log);
        tracing::info!(log, node = %me, term, reason = %ended, "writes a log no longer");
        if !self.shared.is_leaving() {
            self.clean_up();
        }
        Ok(())
    }

    /// What was claimed is known here before it is read again.
    fn claimed(&self, term: u64) {
        let (node, process) = self.shared.me();
        if let Some(claim) = lock(&self.shared.claims).get_mut(&self.log)
            && claim.term < term
        {
            claim.owner = Some(node.clone());
            claim.process = Some(process);
            claim.term = term;
        }
        self.shared.on_new_term.notify(usize::MAX);
    }

    fn answer(&self, term: u64) -> Result<Box<dyn Any + Send>, String> {
        let (engine, log) = (self.engine.clone(), self.log);
        let answer = move |bytes: Vec<u8>| {
            let engine = engine.clone();
            async move {
                let request = PeerRequest::decode(&bytes).inspect_err(|error| {
                    tracing::warn!(log, %error, "cannot read what another node asks");
                });
                let answer = engine.answer(log, request.ok()?).await;
                answer.map(|answer| answer.encode())
            }
            .boxed()
        };
        let surroundings = &self.shared.surroundings;
        surroundings.answer(log, term, Box::new(answer))
    }

    /// Waits for a future.
    fn wait<T>(&self, future: impl Future<Output = T>) -> Option<T> {
        let mut output = None;
        let waiting = async { output = Some(future.await) };
        self.shared.surroundings.wait(waiting.boxed_local());
        output
    }

    /// Waits until the log is not this node's any more. That another node has taken it is noticed without an
    /// append, too, so that its jobs don't go on here. A log of another node is given back when that one is
    /// alive again and no job runs.
    fn wait_for_end(&self, home: &NodeName, term: u64, appends: &Appends) -> String {
        let mut purger = Purger::new(self.log);
        loop {
            let ended = self.wait(async {
                let tick = self.engine.runtime().timer(Duration::from_secs(1));
                let news = pin!(self.shared.newer_term(self.log, term));
                let ended = pin!(self.engine.log_ended(self.log));
                match select(ended, select(tick, news)).await {
                    Either::Left((why, _)) => Some(why),
                    Either::Right(_) => None,
                }
            });
            if let Some(why) = ended.flatten() {
                if !self.shared.is_leaving() && !matches!(why, Unavailable::ShuttingDown) {
                    self.note_fenced();
                }
                return reason(&why);
            }
            if let Some(position) = self.engine.position(self.log) {
                self.shared
                    .note(self.log, |status| status.position = position);
                self.shared.is_whole(self.log);
            }
            let is_retired = self.claim().is_some_and(|claim| claim.retired);
            let is_taken = self.shared.term(self.log) > term;
            let is_home = *home == self.shared.member.node;
            let is_lent = !is_home && !is_retired && lock(&self.shared.beats).is_beating(home);
            if is_lent {
                self.engine.give_back(self.log);
            }
            if is_taken {
                self.note_fenced();
            }
            if is_taken || (is_home && is_retired) {
                let given = self.engine.release(self.log, Duration::ZERO);
                let why = self.wait(given);
                return why.map_or_else(String::new, |why| reason(&why));
            }
            if self.is_cut_off() && self.is_busy() {
                appends.give_up();
                self.wait(self.engine.release(self.log, Duration::ZERO));
                return CUT_OFF_TOO_LONG.to_owned();
            }
            purger.tick(&self.shared, &self.engine);
        }
    }

    /// Whether the servers have not answered for so long that jobs must not go on here.
    fn is_cut_off(&self) -> bool {
        self.shared.unanswered() >= self.shared.surroundings.patience().stop_jobs_after
    }

    fn note_fenced(&self) {
        self.shared.note(self.log, |status| {
            status.fenced = status.fenced.saturating_add(1);
        });
    }

    fn is_busy(&self) -> bool {
        let numbering = self.engine.config().numbering;
        self.engine.view(|views| {
            let mut sessions = views.open_sessions();
            sessions.any(|it| numbering.log_of(it.id) == self.log && it.is_busy())
        })
    }
}

/// Why a log is given up whose jobs must end.
const CUT_OFF_TOO_LONG: &str = "cut off from the NATS servers for so long that its jobs are stopped: another node may have taken it";

/// Why a log is no longer written, for people.
fn reason(why: &Unavailable) -> String {
    match why {
        Unavailable::LogFailed(error) => error.to_string(),
        Unavailable::ShuttingDown => "it was given back".to_owned(),
        why => why.to_string(),
    }
}
