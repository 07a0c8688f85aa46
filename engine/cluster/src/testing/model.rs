//! The model of the server. What it does wrong has been seen on real servers, or is possible by
//! their protocol.

use crate::claim::NodeName;
use crate::server::{Appended, Bounds, Entry, Got, LogServer, Written};
use crate::testing::random::Random;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

const REPLICAS: usize = 3;

/// How often the network misbehaves: once in this number of calls; 0 for never.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    /// A request is lost.
    pub lost: u64,
    /// It is done, and the answer is lost.
    pub unanswered: u64,
    /// It is done up to 15 seconds later, when nobody waits for the answer any more.
    pub late: u64,
    /// It arrives a second time, up to 15 seconds later.
    pub twice: u64,
    /// What was stored can't be read for up to 300 ms.
    pub hidden: u64,
}

impl Network {
    /// Nothing goes wrong.
    pub const CALM: Self = Self {
        lost: 0,
        unanswered: 0,
        late: 0,
        twice: 0,
        hidden: 0,
    };

    /// A bad network.
    pub const BAD: Self = Self {
        lost: 20,
        unanswered: 20,
        late: 20,
        twice: 10,
        hidden: 5,
    };
}

/// How often each fault has been met.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Vices {
    /// Requests that were lost.
    pub lost: u64,
    /// Answers that were lost.
    pub unanswered: u64,
    /// Requests that were done when nobody waited for them any more.
    pub late: u64,
    /// Of these, requests that were done after an election.
    pub after_election: u64,
    /// Requests that arrived twice.
    pub twice: u64,
    /// Reads of a message that was stored and could not be read yet.
    pub hidden: u64,
    /// Appends that were refused because the stream ends elsewhere.
    pub wrong_last: u64,
    /// Elections of the stream's or the store's leader.
    pub elections: u64,
    /// Messages that one replica lost silently.
    pub holes: u64,
    /// Reads that met such a hole.
    pub skipped: u64,
    /// Messages that were read before their writer had an answer.
    pub early: u64,
    /// Messages that were delivered again.
    pub redelivered: u64,
}

/// The server: the streams of some logs, and a key-value store.
#[derive(Debug)]
pub struct Model {
    random: Random,
    /// In milliseconds.
    now: u64,
    network: Network,
    streams: BTreeMap<u8, Stream>,
    entries: BTreeMap<String, Entry>,
    revision: u64,
    /// The store has no leader before this.
    store_leader_at: u64,
    in_flight: Vec<InFlight>,
    /// Clients that are cut off, until when.
    cut: BTreeMap<usize, u64>,
    /// The ends of streams that a client is answered with.
    old_ends: BTreeMap<(usize, u8), Bounds>,
    vices: Vices,
}

#[derive(Debug, Default)]
struct Stream {
    /// All messages ever, with the client that sent each.
    messages: Vec<(Vec<u8>, usize)>,
    /// Messages before this sequence have been purged.
    first: u64,
    /// The leader answers reads up to this sequence.
    readable: u64,
    readable_at: u64,
    leader: usize,
    /// There is no leader before this.
    leader_at: u64,
    /// What a replica lost silently.
    holes: BTreeSet<(usize, u64)>,
}

/// A request that is still on its way.
#[derive(Debug)]
struct InFlight {
    at: u64,
    after_election: bool,
    request: Request,
}

#[derive(Clone, Debug)]
enum Request {
    Append {
        log: u8,
        client: usize,
        expected: u64,
        messages: Vec<Vec<u8>>,
    },
    Write {
        key: String,
        expected: u64,
        value: Vec<u8>,
    },
}

/// What happens to a request.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Done,
    Unanswered,
    Lost,
    Late(u64),
}

impl Model {
    /// A server without streams. Reads of a log that has none find an empty stream.
    #[must_use]
    pub fn new(seed: u64, network: Network) -> Self {
        Self {
            random: Random::new(seed),
            now: 0,
            network,
            streams: BTreeMap::new(),
            entries: BTreeMap::new(),
            revision: 0,
            store_leader_at: 0,
            in_flight: Vec::new(),
            cut: BTreeMap::new(),
            old_ends: BTreeMap::new(),
            vices: Vices::default(),
        }
    }

    /// Sets the time, in milliseconds, and does what was on its way until then.
    pub fn advance(&mut self, now: u64) {
        self.now = now;
        loop {
            let due = self
                .in_flight
                .iter()
                .enumerate()
                .filter(|(_, request)| request.at <= now)
                .min_by_key(|(index, request)| (request.at, *index));
            let Some((index, _)) = due else { break };
            let InFlight {
                after_election,
                request,
                ..
            } = self.in_flight.remove(index);
            let is_done = match request {
                Request::Append {
                    log,
                    client,
                    expected,
                    messages,
                } => self.store(log, client, expected, messages).is_some(),
                Request::Write {
                    key,
                    expected,
                    value,
                } => self.put(&key, expected, value).is_some(),
            };
            self.vices.late += u64::from(is_done);
            self.vices.after_election += u64::from(is_done && after_election);
        }
    }

    /// Changes how often the network misbehaves.
    pub fn set_network(&mut self, network: Network) {
        self.network = network;
    }

    /// The stream's leader is gone; another one is elected in 4 to 10 seconds.
    pub fn elect(&mut self, log: u8) {
        let leader_at = self.now + self.random.between(4_000, 10_000);
        let next = self.random.index(REPLICAS);
        let stream = self.streams.entry(log).or_default();
        stream.leader_at = leader_at;
        stream.leader = next;
        self.vices.elections += 1;
    }

    /// As [`elect`](Self::elect), for the key-value store.
    pub fn elect_for_store(&mut self) {
        self.store_leader_at = self.now + self.random.between(4_000, 10_000);
        self.vices.elections += 1;
    }

    /// One replica loses a message and does not notice. Each message is lost by one at most.
    pub fn lose(&mut self, log: u8) {
        let replica = self.random.index(REPLICAS);
        let stream = self.streams.entry(log).or_default();
        if stream.messages.is_empty() {
            return;
        }
        let sequence = self.random.index(stream.messages.len()) as u64 + 1;
        if !stream.holes.iter().any(|(_, lost)| *lost == sequence) {
            stream.holes.insert((replica, sequence));
            self.vices.holes += 1;
        }
    }

    /// All replicas have again what others have: an operator has replaced those that lost messages.
    pub fn mend(&mut self) {
        for stream in self.streams.values_mut() {
            stream.holes.clear();
        }
    }

    /// Whether the key-value store has a leader.
    #[must_use]
    pub fn store_has_leader(&self) -> bool {
        self.now >= self.store_leader_at
    }

    /// Cuts a client off until a time in milliseconds.
    pub fn cut(&mut self, client: usize, until: u64) {
        self.cut.insert(client, until);
    }

    /// Answers a client with the end that a stream has now, whatever is stored later: its server was the leader,
    /// is cut off from the others, and does not know it yet.
    pub fn keep_end(&mut self, client: usize, log: u8) {
        let end = self.readable(log);
        self.old_ends.insert((client, log), end);
    }

    /// Whether some replica has lost this message.
    #[must_use]
    pub fn is_hole(&self, log: u8, sequence: u64) -> bool {
        let stream = self.streams.get(&log);
        stream.is_some_and(|stream| stream.holes.iter().any(|(_, lost)| *lost == sequence))
    }

    /// All messages that were ever stored, with the client that sent each. The truth: no replica
    /// need have all of them.
    #[must_use]
    pub fn messages(&self, log: u8) -> &[(Vec<u8>, usize)] {
        self.streams
            .get(&log)
            .map_or(&[], |stream| &stream.messages)
    }

    /// How often each fault has been met.
    #[must_use]
    pub fn vices(&self) -> Vices {
        self.vices
    }

    fn is_cut(&self, client: usize) -> bool {
        self.cut.get(&client).is_some_and(|until| *until > self.now)
    }

    fn fate(&mut self, leader_at: u64) -> Fate {
        if self.now < leader_at {
            // The former leader may have passed it on before it died.
            return if self.random.once_in(3) {
                Fate::Late(leader_at + self.random.between(0, 500))
            } else {
                Fate::Lost
            };
        }
        if self.random.once_in(self.network.lost) {
            Fate::Lost
        } else if self.random.once_in(self.network.unanswered) {
            Fate::Unanswered
        } else if self.random.once_in(self.network.late) {
            Fate::Late(self.now + self.random.between(1, 15_000))
        } else {
            Fate::Done
        }
    }

    fn send(&mut self, at: u64, after_election: bool, request: Request) {
        self.in_flight.push(InFlight {
            at,
            after_election,
            request,
        });
    }

    fn append(&mut self, log: u8, client: usize, expected: u64, messages: &[Vec<u8>]) -> Appended {
        if self.is_cut(client) {
            return Appended::Unknown;
        }
        let leader_at = self.streams.entry(log).or_default().leader_at;
        let request = Request::Append {
            log,
            client,
            expected,
            messages: messages.to_vec(),
        };
        let fate = self.fate(leader_at);
        match fate {
            Fate::Lost => {
                self.vices.lost += 1;
                return Appended::Unknown;
            }
            Fate::Late(at) => {
                self.send(at, self.now < leader_at, request);
                return Appended::Unknown;
            }
            Fate::Done | Fate::Unanswered => {}
        }
        if self.random.once_in(self.network.twice) {
            self.vices.twice += 1;
            let at = self.now + self.random.between(1, 15_000);
            self.send(at, false, request);
        }
        let stored = self.store(log, client, expected, messages.to_vec());
        if fate == Fate::Unanswered {
            self.vices.unanswered += 1;
            return Appended::Unknown;
        }
        match stored {
            Some(last) => Appended::Stored(last),
            None => {
                self.vices.wrong_last += 1;
                Appended::WrongLast
            }
        }
    }

    fn store(
        &mut self,
        log: u8,
        client: usize,
        expected: u64,
        messages: Vec<Vec<u8>>,
    ) -> Option<u64> {
        let hides = self.random.once_in(self.network.hidden);
        let readable_at = self.now + self.random.between(20, 300);
        let now = self.now;
        let stream = self.streams.entry(log).or_default();
        if stream.messages.len() as u64 != expected {
            return None;
        }
        let sent = messages.into_iter().map(|message| (message, client));
        stream.messages.extend(sent);
        let last = stream.messages.len() as u64;
        if hides {
            if now >= stream.readable_at {
                stream.readable = expected;
            }
            stream.readable_at = readable_at;
        }
        Some(last)
    }

    fn readable(&self, log: u8) -> Bounds {
        let Some(stream) = self.streams.get(&log) else {
            return Bounds { first: 1, last: 0 };
        };
        let last = if self.now < stream.readable_at {
            stream.readable
        } else {
            stream.messages.len() as u64
        };
        Bounds {
            first: stream.first.max(1),
            last,
        }
    }

    fn get(&mut self, log: u8, client: usize, sequence: u64) -> Got {
        let stream = self.streams.entry(log).or_default();
        let (leader, leader_at) = (stream.leader, stream.leader_at);
        if self.is_cut(client) || self.fate(leader_at) != Fate::Done {
            return Got::Unknown;
        }
        let bounds = self.readable(log);
        if sequence > bounds.last {
            if sequence <= self.messages(log).len() as u64 {
                self.vices.hidden += 1;
            }
            return Got::Nothing(bounds);
        }
        if sequence < bounds.first || sequence == 0 {
            return Got::Nothing(bounds);
        }
        let stream = self.streams.entry(log).or_default();
        if stream.holes.contains(&(leader, sequence)) {
            self.vices.skipped += 1;
            // A good client then asks the other replicas, which may not answer.
            if self.random.once_in(2) {
                return Got::Nothing(bounds);
            }
        }
        let stream = self.streams.entry(log).or_default();
        Got::Message(stream.messages[index(sequence)].0.clone())
    }

    fn bounds(&mut self, log: u8, client: usize) -> Option<Bounds> {
        let leader_at = self.streams.entry(log).or_default().leader_at;
        if self.is_cut(client) || self.fate(leader_at) != Fate::Done {
            return None;
        }
        let readable = self.readable(log);
        Some(*self.old_ends.get(&(client, log)).unwrap_or(&readable))
    }

    fn tail(&mut self, log: u8, client: usize, from: u64) -> Option<Vec<(u64, Vec<u8>)>> {
        if self.is_cut(client) || self.random.once_in(self.network.lost) {
            return None;
        }
        let replica = self.random.index(REPLICAS);
        let lag = self.random.between(0, 3);
        let again = self.random.between(0, 3);
        let repeats = self.random.once_in(self.network.twice);
        let now = self.now;
        let stream = self.streams.entry(log).or_default();
        let last = (stream.messages.len() as u64).saturating_sub(lag);
        let from = from.max(stream.first).max(1);
        let from = if repeats {
            from.saturating_sub(again).max(stream.first).max(1)
        } else {
            from
        };
        let mut tail = Vec::new();
        for sequence in from..=last {
            if stream.holes.contains(&(replica, sequence)) {
                self.vices.skipped += 1;
                continue;
            }
            if now < stream.readable_at && sequence > stream.readable {
                self.vices.early += 1;
            }
            tail.push((sequence, stream.messages[index(sequence)].0.clone()));
        }
        if repeats && !tail.is_empty() {
            self.vices.redelivered += 1;
        }
        Some(tail)
    }

    fn purge(&mut self, log: u8, client: usize, before: u64) -> bool {
        let stream = self.streams.entry(log).or_default();
        let leader_at = stream.leader_at;
        if self.is_cut(client) || self.fate(leader_at) != Fate::Done {
            return false;
        }
        let stream = self.streams.entry(log).or_default();
        let last = stream.messages.len() as u64;
        stream.first = stream.first.max(before.min(last));
        true
    }

    fn read(&mut self, client: usize, key: &str) -> Option<Option<Entry>> {
        let leader_at = self.store_leader_at;
        if self.is_cut(client) || self.fate(leader_at) != Fate::Done {
            return None;
        }
        Some(self.entries.get(key).cloned())
    }

    fn beats(&mut self, client: usize) -> Option<Vec<(NodeName, Entry)>> {
        let leader_at = self.store_leader_at;
        if self.is_cut(client) || self.fate(leader_at) != Fate::Done {
            return None;
        }
        // A node that has ended leaves an empty beat.
        let beats = self.entries.iter().filter(|(_, it)| !it.value.is_empty());
        let beats = beats.filter_map(|(key, entry)| {
            let name = key.strip_prefix("node.")?.parse().ok()?;
            Some((name, entry.clone()))
        });
        Some(beats.collect())
    }

    fn write(&mut self, client: usize, key: &str, expected: u64, value: &[u8]) -> Written {
        if self.is_cut(client) {
            return Written::Unknown;
        }
        let leader_at = self.store_leader_at;
        let request = Request::Write {
            key: key.to_owned(),
            expected,
            value: value.to_vec(),
        };
        let fate = self.fate(leader_at);
        match fate {
            Fate::Lost => {
                self.vices.lost += 1;
                return Written::Unknown;
            }
            Fate::Late(at) => {
                self.send(at, self.now < leader_at, request);
                return Written::Unknown;
            }
            Fate::Done | Fate::Unanswered => {}
        }
        if self.random.once_in(self.network.twice) {
            self.vices.twice += 1;
            let at = self.now + self.random.between(1, 15_000);
            self.send(at, false, request);
        }
        let written = self.put(key, expected, value.to_vec());
        if fate == Fate::Unanswered {
            self.vices.unanswered += 1;
            return Written::Unknown;
        }
        written.map_or(Written::Conflict, Written::Done)
    }

    fn put(&mut self, key: &str, expected: u64, value: Vec<u8>) -> Option<u64> {
        let revision = self.entries.get(key).map_or(0, |entry| entry.revision);
        if revision != expected {
            return None;
        }
        self.revision += 1;
        let entry = Entry {
            revision: self.revision,
            value,
        };
        self.entries.insert(key.to_owned(), entry);
        Some(self.revision)
    }
}

fn index(sequence: u64) -> usize {
    usize::try_from(sequence.saturating_sub(1)).unwrap_or(usize::MAX)
}

/// A client of the model, for one log.
#[derive(Clone, Debug)]
pub struct ModelClient {
    model: Arc<Mutex<Model>>,
    log: u8,
    client: usize,
    ignores_expected: bool,
    /// Milliseconds that each call takes.
    call_takes: u64,
}

impl ModelClient {
    /// Client number `client` of a model, for log number `log`.
    #[must_use]
    pub fn new(model: &Arc<Mutex<Model>>, log: u8, client: usize) -> Self {
        Self {
            model: Arc::clone(model),
            log,
            client,
            ignores_expected: false,
            call_takes: 0,
        }
    }

    /// Each call takes this number of milliseconds of the model's time, which nothing else advances.
    #[must_use]
    pub fn each_call_takes(mut self, millis: u64) -> Self {
        self.call_takes = millis;
        self
    }

    fn lock(&self) -> MutexGuard<'_, Model> {
        let mut model = self.model.lock().unwrap_or_else(PoisonError::into_inner);
        if self.call_takes > 0 {
            let now = model.now + self.call_takes;
            model.advance(now);
        }
        model
    }

    /// A deliberate defect: appends wherever the stream ends.
    pub(crate) fn without_fence(mut self) -> Self {
        self.ignores_expected = true;
        self
    }
}

impl LogServer for ModelClient {
    fn append(&mut self, expected: u64, messages: &[Vec<u8>]) -> Appended {
        let mut model = self.lock();
        let end = model.messages(self.log).len() as u64;
        if self.ignores_expected {
            let count = messages.len() as u64;
            return match model.append(self.log, self.client, end, messages) {
                Appended::Stored(_) => Appended::Stored(expected + count),
                other => other,
            };
        }
        model.append(self.log, self.client, expected, messages)
    }

    fn get(&mut self, sequence: u64) -> Got {
        self.lock().get(self.log, self.client, sequence)
    }

    fn bounds(&mut self) -> Option<Bounds> {
        self.lock().bounds(self.log, self.client)
    }

    fn tail(&mut self, from: u64) -> Option<Vec<(u64, Vec<u8>)>> {
        self.lock().tail(self.log, self.client, from)
    }

    fn purge(&mut self, before: u64) -> bool {
        self.lock().purge(self.log, self.client, before)
    }

    fn beats(&mut self) -> Option<Vec<(NodeName, Entry)>> {
        self.lock().beats(self.client)
    }

    fn read(&mut self, key: &str) -> Option<Option<Entry>> {
        self.lock().read(self.client, key)
    }

    fn write(&mut self, key: &str, expected: u64, value: &[u8]) -> Written {
        let mut model = self.lock();
        model.write(self.client, key, expected, value)
    }

    fn elapsed(&self) -> Duration {
        let model = self.model.lock().unwrap_or_else(PoisonError::into_inner);
        Duration::from_millis(model.now)
    }

    /// Does not wait: the model's time is advanced, if each call takes some.
    fn pause(&mut self, time: Duration) {
        if self.call_takes > 0 {
            let mut model = self.model.lock().unwrap_or_else(PoisonError::into_inner);
            let millis = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
            let now = model.now.saturating_add(millis);
            model.advance(now);
        }
    }
}
