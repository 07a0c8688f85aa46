//! The events that a webhook has not been sent yet. The first of them are held in memory, and the log
//! has the others: they are read from there once those were delivered.
//!
//! Invariant: an event of what this node wrote is held, or was delivered or given up, or [`Queue::is_behind`].

use super::message::{Message, Submitted, kind, message};
use super::position::Position;
use super::writers::Writers;
use crate::settings::Webhook;
use rejoin_admin::WebhookMetrics;
use rejoin_core::limits::REMEMBERED_SESSIONS;
use rejoin_core::{JobId, SessionView, Views};
use rejoin_engine::{
    Ended, Endings, Engine, Event, ReadLimit, Record, Sequence, SessionId, Timestamp,
};
use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

/// Bytes of the records that are read at once where the log is read again.
const PART_BYTES: usize = 256 * 1024;

/// Sessions that are remembered because of events that are not held. The views remember the open ones
/// and those that ended last.
pub(super) const SESSIONS: usize = 100_000;

/// The queue of one webhook.
pub(super) struct Queue {
    engine: Engine,
    endings: Endings,
    /// One of these, until it is known whether this node wrote it.
    ending: Option<Arc<Record>>,
    writers: Writers,
    webhook: Arc<Webhook>,
    position: Position,
    metrics: Arc<WebhookMetrics>,
    held: VecDeque<Message>,
    /// How many events are held at most.
    room: usize,
    /// Whether the log may have events that are not held, and come after these.
    is_behind: bool,
    /// The sessions that may have such events, and how many of them are known.
    unread: BTreeMap<SessionId, u64>,
    /// Up to when the log was read.
    read_to: Timestamp,
}

impl Queue {
    pub(super) fn new(
        engine: Engine,
        webhook: Arc<Webhook>,
        position: Position,
        metrics: Arc<WebhookMetrics>,
        room: usize,
    ) -> Self {
        let node = engine.config().server.node.clone();
        Self {
            // Before the log is read, so that nothing falls between the two.
            endings: engine.endings(),
            ending: None,
            writers: Writers::new(engine.clone(), node),
            engine,
            webhook,
            position,
            metrics,
            held: VecDeque::new(),
            room,
            is_behind: true,
            unread: BTreeMap::new(),
            read_to: Timestamp::EPOCH,
        }
    }

    /// The next event. None: the engine has ended.
    pub(super) async fn next(&mut self) -> Option<Message> {
        loop {
            if let Some(message) = self.held.pop_front() {
                return Some(message);
            }
            if self.is_behind {
                self.read().await;
            } else {
                self.take_in().await?;
            }
        }
    }

    /// Takes in what ends, for as long as it is polled.
    pub(super) async fn keep_up(&mut self) -> Infallible {
        while self.take_in().await.is_some() {}
        pending().await
    }

    /// Takes in what ended next. None: the engine has ended. If this future is dropped, nothing is lost.
    async fn take_in(&mut self) -> Option<()> {
        let record = match &self.ending {
            Some(record) => record.clone(),
            None => match self.endings.next().await? {
                Ended::Record(record) => record,
                Ended::Unseen => {
                    self.is_behind = true;
                    return Some(());
                }
            },
        };
        self.ending = Some(record.clone());
        if self.endings.take_missed() > 0 {
            self.is_behind = true;
        }
        if self.is_wanted(&record) && self.writers.wrote(&record).await {
            self.note(&record);
        }
        self.writers.forget_ended(&record);
        self.ending = None;
        Some(())
    }

    fn is_wanted(&self, record: &Record) -> bool {
        kind(record).is_some_and(|kind| self.webhook.events.contains(&kind))
    }

    fn note(&mut self, record: &Arc<Record>) {
        let message = self.engine.view(|views| {
            let session = views.session(record.session)?;
            Some(message(record, session, None, &self.webhook))
        });
        let mut message = match message {
            Some(Some(message)) => message,
            Some(None) => return,
            // The session was removed or forgotten meanwhile, which the log knows.
            None => {
                self.is_behind = true;
                self.leave(record.session);
                return;
            }
        };
        // It may have been read from the log, too.
        if !self.is_behind && record.at <= self.read_to {
            let is_held = self.held.iter().any(|held| held.id == message.id);
            if is_held
                || record.at < self.position.from()
                || self.position.has_delivered(&message.id)
            {
                return;
            }
        }
        if !self.is_behind && self.held.len() >= self.room {
            self.is_behind = true;
            let (name, held) = (&self.webhook.name, self.held.len());
            tracing::warn!(webhook = %name, held, "much waits for a webhook: what follows is read from the log later");
        }
        if self.is_behind {
            self.leave(record.session);
            return;
        }
        message.waiting = Some(Arc::new(self.metrics.waiting.enter()));
        self.held.push_back(message);
    }

    /// Leaves an event of a session to the log.
    fn leave(&mut self, session: SessionId) {
        if self.unread.contains_key(&session) || self.unread.len() < SESSIONS {
            *self.unread.entry(session).or_default() += 1;
        }
    }

    /// Reads the first events that were not delivered, as many as are held.
    async fn read(&mut self) {
        let from = self.position.from();
        let is_start = self.read_to == Timestamp::EPOCH;
        if is_start && self.engine.view(|views| may_have_forgotten(views, from)) {
            let (name, most) = (&self.webhook.name, REMEMBERED_SESSIONS);
            tracing::warn!(webhook = %name, most, "many sessions ended since the last event of a webhook: it gets those that ended last");
        }
        let (to, known) = self.engine.view(|views| {
            let all = views.open_sessions().chain(views.ended_sessions());
            let changed = all.filter(|view| view.changed >= from);
            let known: BTreeMap<_, _> = changed.map(|it| (it.id, it.last_sequence)).collect();
            (views.changed(), known)
        });
        let mut first = First::new(self.room, to);
        for (session, last) in &known {
            let after = before(&self.engine, *session, *last, from).await;
            self.scan(*session, after, &mut first).await;
        }
        let forgotten = self.unread.keys().filter(|it| !known.contains_key(it));
        for session in forgotten.copied().collect::<Vec<_>>() {
            self.scan_forgotten(session, &mut first).await;
        }
        self.held = first.messages.into_values().collect();
        for message in &mut self.held {
            message.waiting = Some(Arc::new(self.metrics.waiting.enter()));
            if let Some(unread) = self.unread.get_mut(&message.record.session) {
                *unread = unread.saturating_sub(1);
            }
        }
        self.read_to = to;
        self.is_behind = first.is_beyond;
        if !self.is_behind {
            self.unread.clear();
            return;
        }
        // The views may have forgotten these when the rest is read.
        for session in known.into_keys() {
            if self.unread.len() < SESSIONS {
                self.unread.entry(session).or_default();
            }
        }
    }

    /// Looks at the records of a session after a sequence.
    async fn scan(&mut self, session: SessionId, mut after: Sequence, first: &mut First) {
        let mut submitted: BTreeMap<JobId, Submitted> = BTreeMap::new();
        while let Some(records) = part(&self.engine, session, after, usize::MAX).await {
            for record in records {
                after = record.sequence;
                if !first.is_for(&record) {
                    return;
                }
                if let Event::JobSubmitted { job, statement, .. } = &record.event {
                    submitted.insert(*job, Submitted::new(statement, record.moment()));
                }
                let job = match &record.event {
                    Event::JobFinished { job, .. } => submitted.remove(job),
                    _ => None,
                };
                let message = self.engine.view(|views| {
                    let view = views.session(session)?;
                    self.undelivered(&record, view, job.as_ref())
                });
                self.offer(message, first).await;
            }
        }
    }

    /// As [`Self::scan`], of a session that ended so long ago that the views have forgotten it.
    async fn scan_forgotten(&mut self, session: SessionId, first: &mut First) {
        let (mut views, mut after) = (Views::default(), Sequence::START);
        while let Some(records) = part(&self.engine, session, after, usize::MAX).await {
            for record in records {
                let is_start = matches!(record.event, Event::SessionCreated { .. });
                if after == Sequence::START && !is_start {
                    self.lose(session);
                    return;
                }
                after = record.sequence;
                if !first.is_for(&record) {
                    return;
                }
                views.apply(&record);
                let view = views.session(session);
                let message = view.and_then(|view| self.undelivered(&record, view, None));
                self.offer(message, first).await;
            }
        }
        if after == Sequence::START {
            self.lose(session);
        }
    }

    fn lose(&mut self, session: SessionId) {
        let events = self.unread.remove(&session).unwrap_or_default();
        if events > 0 {
            self.metrics.dropped.add(events);
            tracing::warn!(webhook = %self.webhook.name, %session, events, "a session was removed before a webhook had what ended in it");
        }
    }

    /// The message about a record, if the webhook wants it and has not got it.
    fn undelivered(
        &self,
        record: &Arc<Record>,
        session: &SessionView,
        job: Option<&Submitted>,
    ) -> Option<Message> {
        if record.at < self.position.from() || kind(record).is_none() {
            return None;
        }
        let message = message(record, session, job, &self.webhook);
        message.filter(|it| !self.position.has_delivered(&it.id))
    }

    async fn offer(&mut self, message: Option<Message>, first: &mut First) {
        if let Some(message) = message
            && self.writers.wrote(&message.record).await
        {
            first.insert(message);
        }
    }
}

/// Whether sessions that the views have forgotten may have ended from an instant on.
fn may_have_forgotten(views: &Views, from: Timestamp) -> bool {
    let is_since = |view: &SessionView| view.closed.is_some_and(|(at, _)| at >= from);
    let (mut ended, mut all) = (0, true);
    for view in views.ended_sessions() {
        ended += 1;
        all &= is_since(view);
    }
    all && ended >= REMEMBERED_SESSIONS
}

/// The first events of some instants, in the order in which they happened.
struct First {
    messages: BTreeMap<(Timestamp, SessionId, Sequence), Message>,
    room: usize,
    to: Timestamp,
    /// Whether there may be more than there is room for.
    is_beyond: bool,
}

impl First {
    fn new(room: usize, to: Timestamp) -> Self {
        Self {
            messages: BTreeMap::new(),
            room,
            to,
            is_beyond: false,
        }
    }

    /// Whether this record, or one after it in its session, can be among them.
    fn is_for(&mut self, record: &Record) -> bool {
        let last = self.messages.last_key_value();
        let is_beyond =
            self.messages.len() >= self.room && last.is_some_and(|((at, ..), _)| record.at > *at);
        self.is_beyond |= is_beyond;
        // What was committed later is among the endings.
        !is_beyond && record.at <= self.to
    }

    fn insert(&mut self, message: Message) {
        let record = &message.record;
        let key = (record.at, record.session, record.sequence);
        self.messages.insert(key, message);
        if self.messages.len() > self.room {
            self.messages.pop_last();
            self.is_beyond = true;
        }
    }
}

/// The sequence before the first record of a session from an instant on. Instants never go back.
async fn before(engine: &Engine, session: SessionId, last: Sequence, from: Timestamp) -> Sequence {
    let (mut low, mut high) = (0, last.0);
    while low < high {
        let middle = low + (high - low) / 2;
        match part(engine, session, Sequence(middle), 1).await.as_deref() {
            Some([record, ..]) if record.at < from => low = record.sequence.0.max(middle + 1),
            _ => high = middle,
        }
    }
    Sequence(low)
}

/// Records after a sequence; none if there are no more, or they can't be read.
pub(super) async fn part(
    engine: &Engine,
    session: SessionId,
    after: Sequence,
    records: usize,
) -> Option<Vec<Arc<Record>>> {
    let limit = ReadLimit {
        records,
        bytes: PART_BYTES,
    };
    let read = engine.read(session, after, limit, Duration::ZERO).await;
    match read {
        Ok(records) if records.is_empty() => None,
        Ok(records) => Some(records),
        Err(error) => {
            tracing::warn!(%session, %error, "cannot read what webhooks are waiting for");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::WebhookEvent;
    use futures::FutureExt;
    use futures::future::BoxFuture;
    use rejoin_core::{NodeTerm, Projection, Server, SessionNumber};
    use rejoin_engine::{
        CloseCause, Config, Exit, JobMode, JobOutput, JobSlot, Log, MemoryLog, Numbering, Opened,
        Outcome, Runner, RunnerJob, Visibility,
    };
    use std::path::Path;

    /// Runs nothing: these sessions end without jobs.
    #[derive(Debug)]
    struct Nothing;

    impl Runner for Nothing {
        fn run(&self, _job: RunnerJob) -> BoxFuture<'static, Exit> {
            Box::pin(async { Exit::default() })
        }
    }

    struct Story {
        engine: Engine,
        queue: Queue,
        position: Position,
        metrics: Arc<WebhookMetrics>,
    }

    impl Story {
        async fn begin(directory: &Path, room: usize) -> Self {
            let engine = Engine::in_memory().service("shell", Nothing);
            let engine = engine.open().await.unwrap();
            let events = vec![WebhookEvent::SessionClosed];
            let since = engine.now().at;
            Self::on(engine, directory, since, events, room)
        }

        /// The webhook is new at `since`.
        fn on(
            engine: Engine,
            directory: &Path,
            since: Timestamp,
            events: Vec<WebhookEvent>,
            room: usize,
        ) -> Self {
            let path = directory.join("notify-chat.json");
            let position = Position::open(path, since).unwrap();
            let metrics = Arc::<WebhookMetrics>::default();
            let webhook = Webhook {
                name: "chat".into(),
                url: String::new(),
                key: vec![],
                events,
                services: None,
                labels: BTreeMap::new(),
                longer_than: Duration::ZERO,
                has_statement: true,
                console: None,
                allows_private: false,
                cacert: None,
                timeout: Duration::ZERO,
                attempts: 1,
                first_pause: Duration::ZERO,
                longest_pause: Duration::ZERO,
            };
            let queue = Queue::new(
                engine.clone(),
                Arc::new(webhook),
                position.clone(),
                metrics.clone(),
                room,
            );
            Self {
                engine,
                queue,
                position,
                metrics,
            }
        }

        /// Closes so many new sessions.
        async fn end(&self, count: usize) -> Vec<SessionId> {
            let mut ended = vec![];
            for _ in 0..count {
                let session = self.engine.create_session("shell").await.unwrap();
                session.close().await.unwrap();
                ended.push(session.id());
            }
            ended
        }

        /// Lets the queue take in what has ended, as while a message is on its way.
        fn keep_up(&mut self) {
            assert!(self.queue.keep_up().now_or_never().is_none());
        }

        /// Delivers so many events; returns their sessions.
        async fn deliver(&mut self, count: usize) -> Vec<SessionId> {
            let mut delivered = vec![];
            for _ in 0..count {
                let message = self.queue.next().await.unwrap();
                assert!(self.metrics.waiting.get() <= self.queue.room as u64 + 1);
                self.position
                    .delivered(&message, message.record.at)
                    .await
                    .unwrap();
                delivered.push(message.record.session);
                drop(message);
                self.keep_up();
            }
            delivered
        }
    }

    /// Those of one millisecond have no order.
    fn sorted(mut sessions: Vec<SessionId>) -> Vec<SessionId> {
        sessions.sort();
        sessions
    }

    #[test]
    fn what_is_not_held_is_read_from_the_log_in_order() {
        let directory = tempfile::tempdir().unwrap();
        smol::block_on(async {
            let mut story = Story::begin(directory.path(), 2).await;
            let mut ended = story.end(1).await;
            let mut delivered = story.deliver(1).await;
            ended.extend(story.end(7).await);
            story.keep_up();
            assert_eq!(story.queue.held.len(), 2);
            delivered.extend(story.deliver(4).await);
            // Also what ends while the rest is read.
            ended.extend(story.end(2).await);
            delivered.extend(story.deliver(5).await);
            assert_eq!(sorted(delivered), sorted(ended));
            assert_eq!(
                (story.metrics.waiting.get(), story.metrics.dropped.get()),
                (0, 0)
            );
            ended = story.end(1).await;
            assert_eq!(
                story.deliver(1).await,
                ended,
                "and no other one is delivered again"
            );
            assert!(!story.queue.is_behind);
        });
    }

    #[test]
    fn sessions_that_the_views_have_forgotten_are_read_and_those_that_were_removed_are_counted() {
        let directory = tempfile::tempdir().unwrap();
        let forgotten = 20;
        smol::block_on(async {
            let mut story = Story::begin(directory.path(), 400).await;
            story.end(1).await;
            story.deliver(1).await;
            story.keep_up();
            let ended = story.end(REMEMBERED_SESSIONS + 400 + forgotten);
            let mut ended = ended.await;
            story.keep_up();
            let mut delivered = story.deliver(400).await;
            // The first of the others is not in memory yet, and the views have forgotten it.
            let removed = ended.iter().position(|it| !delivered.contains(it)).unwrap();
            assert!(removed < 400 + forgotten, "{removed}");
            let removed = ended.remove(removed);
            story.engine.remove_session(removed).await.unwrap();
            delivered.extend(story.deliver(ended.len() - 400).await);
            assert_eq!(sorted(delivered), sorted(ended));
            assert_eq!(story.metrics.dropped.get(), 1);
        });
    }

    #[test]
    fn sessions_that_the_views_forget_while_those_before_the_start_are_delivered_are_read() {
        let directory = tempfile::tempdir().unwrap();
        smol::block_on(async {
            let mut story = Story::begin(directory.path(), 400).await;
            story.end(1).await;
            story.deliver(1).await;
            let from = story.position.from();
            let is_unsure = |story: &Story| story.engine.view(|it| may_have_forgotten(it, from));
            let mut ended = story.end(600).await;
            assert!(!is_unsure(&story));
            // As after a restart: it has not seen these end.
            story.queue = Queue::new(
                story.engine.clone(),
                story.queue.webhook.clone(),
                story.position.clone(),
                story.metrics.clone(),
                400,
            );
            let mut delivered = story.deliver(1).await;
            ended.extend(story.end(REMEMBERED_SESSIONS).await);
            story.keep_up();
            assert!(is_unsure(&story));
            delivered.extend(story.deliver(ended.len() - 1).await);
            assert_eq!(sorted(delivered), sorted(ended));
        });
    }

    const SESSION: SessionId = SessionId::from_bytes([0; 16]);

    /// The records of one session, and which node wrote each: n1 created it, n2 took it over and gave it back.
    fn of_two_nodes() -> Vec<(Record, &'static str)> {
        let mode = JobMode {
            slot: JobSlot::Background,
            visibility: Visibility::Session,
        };
        let submitted = |number| Event::JobSubmitted {
            job: JobId(number),
            mode,
            statement: "make".into(),
            timeout: Duration::from_secs(60),
            output_limit: 1_000,
            request: None,
            input: false,
            output: JobOutput::Merged,
            controller: None,
        };
        let finished = |number, outcome| Event::JobFinished {
            job: JobId(number),
            mode,
            outcome,
            status: 0,
            message: None,
        };
        let taken = |node: &str, term| Event::SessionTakenOver {
            by: Arc::new(NodeTerm {
                node: node.into(),
                term,
            }),
        };
        let created = Event::SessionCreated {
            number: SessionNumber(16),
            service: "shell".into(),
            user: None,
            remote: None,
            server: Server {
                process: 1,
                version: "0.1.0".into(),
                node: Some("n1".into()),
            },
            timeout: Duration::from_secs(60),
        };
        let all = [
            (1, "n1", created),
            (2, "n1", submitted(16)),
            (3, "n1", finished(16, Outcome::Completed)),
            (4, "n1", submitted(32)),
            (5, "n1", submitted(48)),
            (6, "n1", submitted(64)),
            // Nobody knows how it ended: that is not the takeover's.
            (7, "n1", finished(32, Outcome::Lost)),
            (8, "n2", finished(48, Outcome::Lost)),
            (8, "n2", finished(64, Outcome::Lost)),
            (8, "n2", taken("n2", 2)),
            (9, "n2", submitted(80)),
            (10, "n2", finished(80, Outcome::Failed)),
            (11, "n1", taken("n1", 3)),
            (
                12,
                "n1",
                Event::SessionClosed {
                    cause: CloseCause::Idle,
                },
            ),
        ];
        let record = |(index, (at, by, event)): (usize, (u64, &'static str, Event))| {
            let record = Record {
                session: SESSION,
                sequence: Sequence(index as u64 + 1),
                at: Timestamp::from_millis(at),
                clock: Timestamp::from_millis(at).into(),
                actor: None,
                redacted: None,
                event,
            };
            (record, by)
        };
        all.into_iter().enumerate().map(record).collect()
    }

    fn all_events() -> Vec<WebhookEvent> {
        vec![
            WebhookEvent::JobFinished,
            WebhookEvent::JobFailed,
            WebhookEvent::JobLost,
            WebhookEvent::SessionClosed,
        ]
    }

    async fn as_node(node: &str) -> Engine {
        let records = of_two_nodes().into_iter().map(|(record, _)| record);
        let records: Vec<_> = records.map(Arc::new).collect();
        let mut config = Config::default();
        config.server.node = Some(node.into());
        config.numbering = Numbering::new(0, 16).unwrap();
        let limits = config.limits;
        let engine = Engine::on_log(move || {
            let mut log = MemoryLog::new();
            log.append(&records).unwrap();
            let log = Box::new(log) as Box<dyn Log>;
            Ok(Opened::from_records(log, limits, records)?)
        });
        let engine = engine.config(config).service("shell", Nothing);
        engine.open().await.unwrap()
    }

    #[test]
    fn after_a_start_each_node_sends_what_it_wrote_and_nothing_else() {
        smol::block_on(async {
            for node in ["n1", "n2", "n3"] {
                let engine = as_node(node).await;
                let mut writers = Writers::new(engine.clone(), Some(node.into()));
                let mut ended = vec![];
                // In any order.
                for (record, by) in of_two_nodes().iter().rev().chain(&of_two_nodes()) {
                    assert_eq!(writers.wrote(record).await, *by == node, "{record:?}");
                }
                for (record, by) in of_two_nodes() {
                    if by == node && kind(&record).is_some() {
                        ended.push(record.sequence);
                    }
                }
                for room in [1, 100] {
                    let directory = tempfile::tempdir().unwrap();
                    let events = all_events();
                    let engine = engine.clone();
                    let since = Timestamp::EPOCH;
                    let mut story = Story::on(engine, directory.path(), since, events, room);
                    let mut delivered = vec![];
                    while delivered.len() < ended.len() {
                        let message = story.queue.next().await.unwrap();
                        story
                            .position
                            .delivered(&message, message.record.at)
                            .await
                            .unwrap();
                        delivered.push(message.record.sequence);
                    }
                    assert_eq!(delivered, ended, "{node}");
                    // Also not once more, and nothing of another node.
                    story.queue.read().await;
                    assert!(story.queue.held.is_empty(), "{node}");
                    assert!(!story.queue.is_behind);
                }
            }
        });
    }

    #[test]
    fn what_this_node_wrote_in_a_log_that_it_follows_only_after_its_start_is_sent() {
        let directory = tempfile::tempdir().unwrap();
        smol::block_on(async {
            let mut config = Config::default();
            config.server.node = Some("n2".into());
            config.numbering = Numbering::new(1, 16).unwrap();
            let mut projection = Projection::new(config.limits);
            let engine = Engine::in_memory().config(config).service("shell", Nothing);
            let engine = engine.open().await.unwrap();
            let directory = directory.path();
            let mut story = Story::on(engine, directory, Timestamp::EPOCH, all_events(), 100);
            story.queue.read().await;
            assert!(story.queue.held.is_empty() && !story.queue.is_behind);

            let mut log = MemoryLog::new();
            let (mut position, mut ended) = (0, vec![]);
            for (record, by) in of_two_nodes() {
                projection.add(&record).unwrap();
                position += 1;
                if by == "n2" && kind(&record).is_some() {
                    ended.push(record.sequence);
                }
                log.append(&[Arc::new(record)]).unwrap();
            }
            let followed = story.engine.follow(0, projection, log.reader(), position);
            followed.unwrap();
            story.keep_up();
            assert!(story.queue.is_behind);
            let mut delivered = vec![];
            while delivered.len() < ended.len() {
                let message = story.queue.next().await.unwrap();
                delivered.push(message.record.sequence);
            }
            assert_eq!(delivered, ended);
            assert!(story.queue.held.is_empty());
        });
    }
}
