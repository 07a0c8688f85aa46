//! Several engines in one process, each a node: streams that all of them read and one writes, and questions
//! that reach the writer.

use futures::channel::oneshot;
use futures::future::{BoxFuture, FutureExt, select};
use rejoin_core::{NodeTerm, Numbering, Projection, Record, SessionId};
use rejoin_engine::peers::{PeerAnswer, PeerError, PeerRequest, Peers};
use rejoin_engine::{
    Config, Engine, Exit, HomeLog, Log, LogId, LogReader, MemoryLog, Runner, RunnerJob, Runtime,
    SmolRuntime, encode_result,
};
use rejoin_log::AppendError;
use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

/// How many logs there are; the first ones are the homes of nodes.
const LOGS: u8 = 16;

/// Nodes and the logs that they share.
pub(crate) struct Cluster {
    pub(crate) nodes: Vec<Arc<Node>>,
    streams: Vec<Mutex<Stream>>,
    /// How often a node was informed that sessions are in use.
    pub(crate) touches: AtomicUsize,
    /// Shuts down at the next append to a log.
    closing: Mutex<Option<Engine>>,
}

/// A log as the servers have it.
#[derive(Default)]
struct Stream {
    records: Vec<Arc<Record>>,
    /// Grows with each owner. An append in an earlier term is refused.
    term: u64,
    owner: Option<u8>,
}

pub(crate) struct Node {
    pub(crate) engine: Engine,
    /// The copies of the logs that it follows.
    copies: Mutex<BTreeMap<u8, MemoryLog>>,
    /// Whether nothing of the others' logs reaches it.
    is_behind: AtomicBool,
    /// Whether its questions are lost.
    is_cut_off: AtomicBool,
}

impl Cluster {
    /// `count` nodes, each of which owns its home and follows the others.
    pub(crate) async fn start(count: u8) -> Arc<Self> {
        Self::start_on(count, Arc::new(SmolRuntime), Config::default()).await
    }

    pub(crate) async fn start_on(
        count: u8,
        runtime: Arc<dyn Runtime>,
        config: Config,
    ) -> Arc<Self> {
        let (cluster, engines) = {
            let cell = Arc::new(Mutex::new(Weak::new()));
            let mut engines = vec![];
            for number in 0..count {
                let log = MemoryLog::new();
                let home = HomeLog {
                    id: LogId::from_bytes([number; 16]),
                    projection: Projection::new(config.limits),
                    position: 0,
                    reader: log.reader(),
                };
                let peers = TestPeers {
                    cluster: cell.clone(),
                    node: number,
                };
                let mut config = config.clone();
                config.numbering = Numbering::new(number, LOGS).unwrap();
                let engine = Engine::node(home, Arc::new(peers))
                    .config(config)
                    .runtime(runtime.clone())
                    .service("shell", Talk)
                    .open()
                    .await
                    .unwrap();
                engines.push((engine, log));
            }
            let mut nodes = vec![];
            for (number, (engine, log)) in engines.into_iter().enumerate() {
                nodes.push(Arc::new(Node {
                    engine,
                    copies: Mutex::new([(number as u8, log)].into()),
                    is_behind: AtomicBool::new(false),
                    is_cut_off: AtomicBool::new(false),
                }));
            }
            let streams = (0..LOGS).map(|_| Mutex::default()).collect();
            let cluster = Arc::new(Self {
                nodes,
                streams,
                touches: AtomicUsize::new(0),
                closing: Mutex::default(),
            });
            *cell.lock().unwrap() = Arc::downgrade(&cluster);
            (cluster, count)
        };
        for node in 0..engines {
            for log in (0..engines).filter(|log| *log != node) {
                cluster.follow(node, log);
            }
        }
        for node in 0..engines {
            cluster.own(node, node);
        }
        cluster
    }

    pub(crate) fn engine(&self, node: u8) -> &Engine {
        &self.nodes[usize::from(node)].engine
    }

    /// Opens a node's copy of a log, which has all that the stream has, and follows it.
    pub(crate) fn follow(&self, node: u8, log: u8) {
        self.follow_without(node, log, &[]);
    }

    /// As `follow`, where the stream no longer has anything of some sessions.
    pub(crate) fn follow_without(&self, node: u8, log: u8, purged: &[SessionId]) {
        let records = self.stream(log).lock().unwrap().records.clone();
        let mut copy = MemoryLog::new();
        let mut projection = Projection::new(Config::default().limits);
        for record in records.iter().filter(|it| !purged.contains(&it.session)) {
            projection.add(record).unwrap();
            copy.append(std::slice::from_ref(record)).unwrap();
        }
        let position = records.len() as u64;
        let it = &self.nodes[usize::from(node)];
        let followed = it.engine.follow(log, projection, copy.reader(), position);
        followed.unwrap();
        it.copies.lock().unwrap().insert(log, copy);
        self.deliver(node, log);
    }

    /// Makes a node the writer of a log. The one before does not notice.
    pub(crate) fn own(self: &Arc<Self>, node: u8, log: u8) {
        let term = {
            let mut stream = self.stream(log).lock().unwrap();
            stream.term += 1;
            stream.owner = None;
            stream.term
        };
        self.deliver(node, log);
        let it = &self.nodes[usize::from(node)];
        let copy = it.copies.lock().unwrap().remove(&log).unwrap();
        let written = Box::new(WrittenLog {
            cluster: Arc::downgrade(self),
            number: log,
            term,
            copy,
        });
        let position = it.engine.position(log).unwrap();
        let by = (node != log).then(|| {
            Arc::new(NodeTerm {
                node: format!("n{node}").into(),
                term,
            })
        });
        it.engine.own(log, written, position, by).unwrap();
        self.stream(log).lock().unwrap().owner = Some(node);
    }

    /// As `own`, where the node shuts down before it has taken the log.
    pub(crate) fn own_while_closing(self: &Arc<Self>, node: u8, log: u8) {
        *self.closing.lock().unwrap() = Some(self.engine(node).clone());
        self.own(node, log);
    }

    /// No node is found that writes the log, as right after its writer died.
    pub(crate) fn orphan(&self, log: u8) {
        self.stream(log).lock().unwrap().owner = None;
    }

    /// A log is the home of a node that no other has heard of yet.
    pub(crate) fn claim(&self, log: u8) {
        self.stream(log).lock().unwrap().term += 1;
    }

    /// Whether a node follows a log up to its end, so that it can become its writer.
    pub(crate) fn can_own(&self, node: u8, log: u8) -> bool {
        let it = &self.nodes[usize::from(node)];
        let is_behind = it.is_behind.load(Ordering::SeqCst);
        !is_behind && !it.engine.owns(log) && it.engine.position(log).is_some()
    }

    /// The node that writes a log.
    pub(crate) fn owner(&self, log: u8) -> Option<u8> {
        self.stream(log).lock().unwrap().owner
    }

    /// Lets a node notice which logs others have taken from it, and follow them.
    pub(crate) async fn settle(&self, node: u8) {
        let engine = self.engine(node);
        for log in 0..self.nodes.len() as u8 {
            if engine.owns(log) && self.owner(log) != Some(node) {
                engine.release(log, Duration::ZERO).await;
                until("the log is given up", || !engine.owns(log)).await;
            }
            if !engine.owns(log) && engine.position(log).is_none() {
                self.follow(node, log);
            }
        }
    }

    /// Lets nothing of the others' logs reach a node, or all that has not.
    pub(crate) fn hold(&self, node: u8, is_behind: bool) {
        let it = &self.nodes[usize::from(node)];
        it.is_behind.store(is_behind, Ordering::SeqCst);
        if !is_behind {
            (0..LOGS).for_each(|log| self.deliver(node, log));
        }
    }

    /// Loses a node's questions, or lets them arrive again.
    pub(crate) fn cut_off(&self, node: u8, is_cut_off: bool) {
        let it = &self.nodes[usize::from(node)];
        it.is_cut_off.store(is_cut_off, Ordering::SeqCst);
    }

    /// Takes a node's copy of a log away.
    pub(crate) fn forget(&self, node: u8, log: u8) {
        let it = &self.nodes[usize::from(node)];
        it.copies.lock().unwrap().remove(&log);
    }

    /// Gives a node what it does not have of a log.
    fn deliver(&self, node: u8, log: u8) {
        let it = &self.nodes[usize::from(node)];
        if it.is_behind.load(Ordering::SeqCst) {
            return;
        }
        let mut copies = it.copies.lock().unwrap();
        let Some(copy) = copies.get_mut(&log) else {
            return;
        };
        let Some(position) = it.engine.position(log) else {
            return;
        };
        let records: Vec<_> = {
            let stream = self.stream(log).lock().unwrap();
            stream.records[position as usize..].to_vec()
        };
        copy.append(&records).unwrap();
        it.engine.tail(log, position, &records).unwrap();
    }

    fn stream(&self, log: u8) -> &Mutex<Stream> {
        &self.streams[usize::from(log)]
    }
}

/// A stream, as its writer has it.
struct WrittenLog {
    cluster: Weak<Cluster>,
    number: u8,
    term: u64,
    copy: MemoryLog,
}

impl fmt::Debug for WrittenLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WrittenLog").finish_non_exhaustive()
    }
}

impl Log for WrittenLog {
    fn append(&mut self, records: &[Arc<Record>]) -> Result<(), AppendError> {
        let Some(cluster) = self.cluster.upgrade() else {
            return self.copy.append(records);
        };
        let closing = cluster.closing.lock().unwrap().take();
        if let Some(engine) = closing {
            smol::block_on(engine.shut_down(Duration::ZERO));
        }
        {
            let mut stream = cluster.stream(self.number).lock().unwrap();
            if stream.term != self.term {
                let why = io::Error::other("another node writes this log");
                return Err(AppendError::Fenced(Arc::new(why)));
            }
            stream.records.extend(records.iter().cloned());
        }
        // The others may have it before its writer knows that it is stored.
        for node in 0..cluster.nodes.len() {
            cluster.deliver(node as u8, self.number);
        }
        self.copy.append(records)
    }

    fn confirm(&mut self) -> Result<(), AppendError> {
        let Some(cluster) = self.cluster.upgrade() else {
            return Ok(());
        };
        let stream = cluster.stream(self.number).lock().unwrap();
        match stream.term == self.term {
            true => Ok(()),
            false => {
                let why = io::Error::other("another node writes this log");
                Err(AppendError::Fenced(Arc::new(why)))
            }
        }
    }

    fn reader(&self) -> Arc<dyn LogReader> {
        self.copy.reader()
    }

    fn close(&mut self) -> Result<(), AppendError> {
        if let Some(cluster) = self.cluster.upgrade() {
            let mut stream = cluster.stream(self.number).lock().unwrap();
            if stream.term == self.term {
                stream.owner = None;
            }
        }
        self.copy.close()
    }
}

struct TestPeers {
    cluster: Arc<Mutex<Weak<Cluster>>>,
    node: u8,
}

impl fmt::Debug for TestPeers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestPeers").finish_non_exhaustive()
    }
}

impl Peers for TestPeers {
    fn ask(
        &self,
        log: u8,
        request: PeerRequest,
    ) -> BoxFuture<'static, Result<PeerAnswer, PeerError>> {
        let (cluster, node) = (self.cluster.lock().unwrap().clone(), self.node);
        async move {
            let cluster = cluster.upgrade().ok_or(PeerError::NoOwner)?;
            if cluster.nodes[usize::from(node)]
                .is_cut_off
                .load(Ordering::SeqCst)
            {
                return Err(PeerError::Unanswered);
            }
            let (owner, term) = {
                let stream = cluster.stream(log).lock().unwrap();
                (stream.owner, stream.term)
            };
            let owner = owner.ok_or(match term {
                0 => PeerError::NoLog,
                _ => PeerError::NoOwner,
            })?;
            let engine = cluster.engine(owner).clone();
            let is_touch = matches!(request, PeerRequest::Touch { .. });
            let answer = engine.answer(log, request).await;
            cluster
                .touches
                .fetch_add(usize::from(is_touch), Ordering::SeqCst);
            answer.ok_or(PeerError::NoOwner)
        }
        .boxed()
    }
}

/// Emits what it reads, and ends with its input or when it is interrupted. `true` ends at once.
#[derive(Debug)]
struct Talk;

impl Runner for Talk {
    fn run(&self, mut job: RunnerJob) -> BoxFuture<'static, Exit> {
        async move {
            let _ = job.reporter.started().await;
            if &*job.statement == "true" {
                return Exit::default();
            }
            let reporter = job.reporter.clone();
            let echoed = async {
                let Some(input) = &mut job.input else {
                    return std::future::pending().await;
                };
                while let Some(bytes) = input.next().await {
                    let text = String::from_utf8_lossy(&bytes).into_owned();
                    let members = [("text".to_owned(), text.into())].into_iter().collect();
                    let result = encode_result(job.job, "echo", members);
                    let _ = reporter.result(result).await;
                }
            };
            let interrupts = &job.interrupts;
            let interrupted = async {
                interrupts.next().await;
            };
            select(Box::pin(echoed), Box::pin(interrupted)).await;
            Exit::default()
        }
        .boxed()
    }
}

/// Waits until it is so, for ten seconds.
pub(crate) async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    for _ in 0..1_000 {
        if is_so() {
            return;
        }
        SmolRuntime.timer(Duration::from_millis(10)).await;
    }
    panic!("it does not become so: {what}");
}

/// Runs a future in the background.
pub(crate) fn in_background<T: Send + 'static>(
    work: impl Future<Output = T> + Send + 'static,
) -> oneshot::Receiver<T> {
    let (sender, receiver) = oneshot::channel();
    smol::spawn(async move {
        let _ = sender.send(work.await);
    })
    .detach();
    receiver
}
