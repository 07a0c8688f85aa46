//! Which node wrote a record: that one sends its event, so that each is sent once although all nodes have all
//! records. The records of a session say it, so it is the same for all nodes, and after a restart.

use super::queue::{SESSIONS, part};
use rejoin_engine::{Engine, Event, Outcome, Record, Sequence, SessionId};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Records that may be read at once to see what follows the end of a job: a takeover ends all jobs of a session
/// before it says so.
const FOLLOWING: usize = 64;

/// Knows which records this node wrote.
pub(super) struct Writers {
    engine: Engine,
    /// This node. None: the server is alone, and wrote all.
    node: Option<Arc<str>>,
    /// What was read of some sessions that have not ended, at most [`SESSIONS`], so that each record is read once.
    read: BTreeMap<SessionId, Writer>,
}

impl Writers {
    /// `node` is this one. None: the server is alone.
    pub(super) fn new(engine: Engine, node: Option<Arc<str>>) -> Self {
        Self {
            engine,
            node,
            read: BTreeMap::new(),
        }
    }

    /// Whether this node wrote a record. If the log does not say it any more, whether it would now.
    ///
    /// If this future is dropped, it can be asked again, and goes on about where it was.
    pub(super) async fn wrote(&mut self, record: &Record) -> bool {
        let Some(node) = self.node.clone() else {
            return true;
        };
        let writer = match self.taker(record).await {
            Some(taker) => Some(taker),
            None => self.writer(record).await,
        };
        self.forget_ended(record);
        let log = self.engine.config().numbering.log_of(record.session);
        writer.map_or_else(|| self.engine.owns(log), |writer| writer == node)
    }

    /// Forgets what was read of a session if this is its last record.
    pub(super) fn forget_ended(&mut self, record: &Record) {
        if let Event::SessionClosed { .. } = record.event {
            self.read.remove(&record.session);
        }
    }

    async fn taker(&self, record: &Record) -> Option<Arc<str>> {
        if !is_lost(record) {
            return None;
        }
        let (session, after) = (record.session, record.sequence);
        let following = part(&self.engine, session, after, FOLLOWING);
        taker(record, &following.await?)
    }

    async fn writer(&mut self, record: &Record) -> Option<Arc<str>> {
        let session = record.session;
        let read = self.read.get(&session).cloned();
        let mut writer = read
            .filter(|it| it.to <= record.sequence)
            .unwrap_or_default();
        while writer.to < record.sequence {
            let records = part(&self.engine, session, writer.to, usize::MAX).await?;
            let before = writer.to;
            let up_to = records.iter().filter(|it| it.sequence <= record.sequence);
            up_to.for_each(|it| writer.apply(it));
            if writer.to == before {
                // Its last records before this one are lost.
                break;
            }
            if self.read.len() >= SESSIONS && !self.read.contains_key(&session) {
                self.read.clear();
            }
            self.read.insert(session, writer.clone());
        }
        writer.node
    }
}

/// Who writes a session's records from some sequence on.
#[derive(Clone, Debug, Default)]
struct Writer {
    /// None: that is not known.
    node: Option<Arc<str>>,
    /// The sequence of the last record that was read.
    to: Sequence,
}

impl Writer {
    fn apply(&mut self, record: &Record) {
        self.to = record.sequence;
        match &record.event {
            Event::SessionCreated { server, .. } => self.node.clone_from(&server.node),
            Event::SessionTakenOver { by } => self.node = Some(by.node.clone()),
            _ => {}
        }
    }
}

/// The node that lost a job by taking its session over, as the records after this one say. It writes both at the
/// same moment, and the job's end first. None: whoever had the session before wrote this one.
fn taker(lost: &Record, following: &[Arc<Record>]) -> Option<Arc<str>> {
    let next = following.iter().find(|it| !is_lost(it))?;
    match &next.event {
        Event::SessionTakenOver { by } if next.moment() == lost.moment() => Some(by.node.clone()),
        _ => None,
    }
}

const fn is_lost(record: &Record) -> bool {
    matches!(
        record.event,
        Event::JobFinished {
            outcome: Outcome::Lost,
            ..
        }
    )
}
