//! What the servers have stored: the messages of one log, and what they lead to.

use crate::oracle::{ensure, panic_message};
use rejoin_cluster::{Announcement, Chain, Link, MessageKind};
use rejoin_core::testing::Promises;
use rejoin_core::{Event, Limits, Outcome, Record, Sequence, SessionId, State};
use rejoin_log::segment::{LogId, decode_frames};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// The name of a node.
pub(super) fn node_name(number: usize) -> String {
    format!("n{}", number + 1)
}

/// The identity of a log.
pub(super) fn log_id(number: u8) -> LogId {
    let mut id = [9; 16];
    id[15] = number;
    LogId::from_bytes(id)
}

/// One log, as it is stored.
#[derive(Debug)]
pub(super) struct Truth {
    number: u8,
    chain: Chain,
    taken: usize,
    parts: Vec<u8>,
    /// The process that wrote in each term.
    writers: BTreeMap<u64, usize>,
    writer: Option<Writer>,
    /// The node that wrote it first: its home.
    home: Option<String>,
    /// The node whose records came last.
    recorder: Option<String>,
    is_let_go: bool,
    /// The term has no batch yet.
    is_beginning: bool,
    records: Vec<Arc<Record>>,
    sessions: BTreeMap<SessionId, Vec<usize>>,
    promises: Promises,
    pub(super) state: State,
}

/// Who has written a log since its last owner message.
#[derive(Clone, Debug)]
pub(super) struct Writer {
    pub(super) node: String,
    pub(super) process: usize,
    pub(super) term: u64,
}

/// What a message meant.
#[derive(Debug)]
pub(super) enum Stored {
    /// A process has taken the log, from that one if it was not let go.
    Owner {
        before: Option<Writer>,
        was_let_go: bool,
        now: Writer,
    },
    LetGo,
    /// Records. Whether they are the first ones of their term.
    Batch(Vec<Arc<Record>>, bool),
    /// A part of a batch.
    Part,
}

impl Truth {
    pub(super) fn new(number: u8, limits: Limits) -> Self {
        Self {
            number,
            chain: Chain::new(log_id(number), Link::START),
            taken: 0,
            parts: vec![],
            writers: BTreeMap::new(),
            writer: None,
            home: None,
            recorder: None,
            is_let_go: false,
            is_beginning: false,
            records: vec![],
            sessions: BTreeMap::new(),
            promises: Promises::keeping(limits.retention),
            state: State::new(limits),
        }
    }

    /// How many messages were taken.
    pub(super) fn taken(&self) -> usize {
        self.taken
    }

    /// How many records there are.
    pub(super) fn len(&self) -> u64 {
        self.records.len() as u64
    }

    pub(super) fn is_let_go(&self) -> bool {
        self.is_let_go
    }

    pub(super) fn writer(&self) -> Option<&Writer> {
        self.writer.as_ref()
    }

    /// The node that the log belongs to.
    pub(super) fn home(&self) -> Option<&str> {
        self.home.as_deref()
    }

    /// Takes the next message, which a process has sent.
    ///
    /// # Errors
    ///
    /// The promise that it breaks.
    pub(super) fn take(&mut self, encoded: &[u8], process: usize) -> Result<Stored, String> {
        let number = self.number;
        self.taken += 1;
        let message = self
            .chain
            .follow(self.taken as u64, encoded)
            .map_err(|damage| format!("ownership: log {number}: {damage}"))?
            .ok_or_else(|| format!("ownership: log {number} has a message twice"))?;
        let writer = *self.writers.entry(message.term).or_insert(process);
        ensure!(
            writer == process,
            "ownership: log {number} has two writers in term {}",
            message.term
        );
        match message.kind {
            MessageKind::Owner => {
                let said: Announcement =
                    serde_json::from_slice(&message.body).map_err(|error| error.to_string())?;
                let now = Writer {
                    node: said.node,
                    process,
                    term: message.term,
                };
                self.is_beginning = true;
                self.home.get_or_insert_with(|| now.node.clone());
                let was_let_go = std::mem::take(&mut self.is_let_go);
                let before = self.writer.replace(now.clone());
                Ok(Stored::Owner {
                    before,
                    was_let_go,
                    now,
                })
            }
            MessageKind::LetGo => {
                self.is_let_go = true;
                Ok(Stored::LetGo)
            }
            MessageKind::Batch => {
                ensure!(
                    !self.is_let_go,
                    "ownership: log {number} is written after it was let go"
                );
                self.parts.extend_from_slice(&message.body);
                if message.more {
                    return Ok(Stored::Part);
                }
                let frames = std::mem::take(&mut self.parts);
                let records = decode_frames(&frames).map_err(|fault| fault.to_string())?;
                let is_first = std::mem::take(&mut self.is_beginning);
                self.check_first(&records, is_first)?;
                self.recorder = self.writer.as_ref().map(|writer| writer.node.clone());
                for record in &records {
                    self.add(record)?;
                }
                Ok(Stored::Batch(records, is_first))
            }
        }
    }

    /// The first batch of a term says of each open session who goes on with it. Only there, jobs are lost.
    fn check_first(&self, records: &[Arc<Record>], is_first: bool) -> Result<(), String> {
        let number = self.number;
        let Some(writer) = &self.writer else {
            return Err(format!("ownership: log {number} has no owner"));
        };
        let lost = records.iter().find(|record| {
            matches!(
                record.event,
                Event::JobFinished {
                    outcome: Outcome::Lost,
                    ..
                }
            )
        });
        if !is_first {
            ensure!(
                lost.is_none(),
                "takeover: a job is lost although no process went on with log {number}: {lost:?}"
            );
            return Ok(());
        }
        let goes_on = self.recorder.as_ref() == Some(&writer.node);
        for (session, _) in self.state.sessions() {
            let mut own = records.iter().filter(|it| it.session == session);
            let says = own.any(|it| match &it.event {
                Event::SessionTakenOver { by } => {
                    *by.node == *writer.node && by.term == writer.term
                }
                Event::SessionResumed => goes_on,
                _ => false,
            });
            ensure!(
                says,
                "takeover: nothing says that {writer:?} goes on with session {session} of log {number}: {records:?}"
            );
        }
        Ok(())
    }

    fn add(&mut self, record: &Arc<Record>) -> Result<(), String> {
        let promises = &mut self.promises;
        catch_unwind(AssertUnwindSafe(|| promises.take(record)))
            .map_err(|panic| panic_message(&*panic))?;
        self.state
            .try_apply(record)
            .map_err(|violation| format!("promise 9: {violation}"))?;
        let own = self.sessions.entry(record.session).or_default();
        own.push(self.records.len());
        self.records.push(record.clone());
        Ok(())
    }

    /// The records of a session, in order.
    pub(super) fn of(&self, session: SessionId) -> impl DoubleEndedIterator<Item = &Arc<Record>> {
        let own = self.sessions.get(&session);
        let own = own.map(Vec::as_slice).unwrap_or_default();
        own.iter().filter_map(|at| self.records.get(*at))
    }

    /// The sequence of the session's last record.
    pub(super) fn last(&self, session: SessionId) -> Sequence {
        let own = self.sessions.get(&session);
        Sequence(own.map_or(0, |own| own.len() as u64))
    }

    /// Whether the session is open.
    pub(super) fn is_open(&self, session: SessionId) -> bool {
        self.state.session(session).is_some()
    }
}
