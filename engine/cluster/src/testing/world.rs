//! Several nodes that share logs on the model, with nodes that stop, sleep, restart and are cut
//! off. Checks what must hold in each run.

use crate::acquisition::{Acquisition, AcquisitionVerdict, Held};
use crate::beats::{Beats, revisions};
use crate::chain::{Chain, Link, StreamDamage};
use crate::claim::{Claim, NodeName, Process, claim_key, node_key, should_claim};
use crate::message::{Message, MessageKind};
use crate::publication::{Publication, PublishVerdict};
use crate::release::Release;
use crate::server::{Got, LogServer, Progress, Written};
use crate::testing::model::{Model, ModelClient, Network, Vices};
use crate::testing::random::Random;
use rejoin_log::segment::{LogId, checksum};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

const NODES: usize = 3;
/// After this time nothing fails any more, and everything must become whole.
const CALM_AFTER: u64 = 150_000;
const END: u64 = 230_000;
/// Bodies are cut at this length, so that batches of several messages occur.
const BODY: usize = 48;

/// What may happen in a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Faults {
    /// How bad the network is.
    pub network: Network,
    /// Nodes are stopped, put to sleep and restarted, and let logs go.
    pub nodes: bool,
    /// Nodes are cut off from the server.
    pub cuts: bool,
    /// The server elects leaders.
    pub elections: bool,
    /// Replicas lose messages silently.
    pub holes: bool,
}

impl Faults {
    /// Everything.
    pub const ALL: Self = Self {
        network: Network::BAD,
        nodes: true,
        cuts: true,
        elections: true,
        holes: true,
    };

    /// The server elects leaders all the time, and nothing else happens.
    pub const ELECTIONS: Self = Self {
        network: Network::CALM,
        nodes: false,
        cuts: false,
        elections: true,
        holes: false,
    };
}

/// A deliberate defect, which the checks must find.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClusterMutant {
    /// Appends wherever the stream ends.
    NoFence,
    /// Goes on at the new end after it was fenced.
    ForgetsFence,
    /// Counts the seconds in which nobody's beats could be written, as a lease with a time to live
    /// does.
    LeaseByTime,
    /// After a timeout, takes a message that can't be read for one that was not stored.
    TakesAbsenceForNotThere,
    /// Takes an append without an answer for stored.
    BelievesTimeouts,
    /// Reads past what is missing.
    NoChain,
    /// Writes its batch again behind a fence, although it may be there already.
    SendsElsewhere,
}

impl ClusterMutant {
    /// Every mutant.
    pub const ALL: [Self; 7] = [
        Self::NoFence,
        Self::ForgetsFence,
        Self::LeaseByTime,
        Self::TakesAbsenceForNotThere,
        Self::BelievesTimeouts,
        Self::NoChain,
        Self::SendsElsewhere,
    ];
}

/// What a run has seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunReport {
    /// A digest of all that was stored and acknowledged, and when.
    pub trace: u64,
    /// Batches whose writers know that they are stored.
    pub acknowledged: u64,
    /// Times that a node became the owner of a log that another had.
    pub takeovers: u64,
    /// Writers that noticed by an append that they were fenced.
    pub fenced: u64,
    /// Writers that noticed it by reading.
    pub noticed: u64,
    /// Logs that were let go.
    pub let_go: u64,
    /// Damage that was named.
    pub damage: u64,
    /// Batches of several messages.
    pub split: u64,
    /// What the server did wrong.
    pub vices: Vices,
}

/// A promise that was broken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("seed {seed}: {what}")]
pub struct BrokenPromise {
    /// The seed that repeats it.
    pub seed: u64,
    /// What went wrong.
    pub what: String,
}

/// Runs three nodes with a log each for some virtual minutes.
///
/// # Errors
///
/// If a promise was broken.
pub fn run(
    seed: u64,
    faults: Faults,
    mutant: Option<ClusterMutant>,
) -> Result<RunReport, BrokenPromise> {
    let mut world = World::new(seed, faults, mutant);
    world
        .run()
        .and_then(|()| world.check())
        .map_err(|what| BrokenPromise { seed, what })?;
    let vices = world.model().vices();
    world.report.vices = vices;
    Ok(world.report)
}

struct World {
    random: Random,
    now: u64,
    faults: Faults,
    mutant: Option<ClusterMutant>,
    model: Arc<Mutex<Model>>,
    nodes: Vec<SimNode>,
    chaos_at: u64,
    next_client: usize,
    next_batch: u64,
    acknowledged: Vec<Acknowledged>,
    /// Batches that were fenced: log and first sequence, with the checksum.
    fenced: Vec<(u8, u64, u32)>,
    report: RunReport,
}

struct Acknowledged {
    log: u8,
    sequence: u64,
    checksum: u32,
    at: u64,
}

/// A node, with everything that it does at the same time.
struct SimNode {
    name: NodeName,
    process: Process,
    /// Changes with each process.
    client: usize,
    /// Does nothing before this.
    up_at: u64,
    beats: Beats,
    /// What the last successful observation saw, for a mutant.
    last_seen: Vec<(NodeName, u64)>,
    beat_at: u64,
    /// Lets the next log go that it comes to write to.
    lets_go: bool,
    logs: Vec<SimLog>,
}

/// A log at a node.
struct SimLog {
    number: u8,
    write_at: u64,
    read_at: u64,
    state: State,
    has_owned: bool,
    /// What was read, and where: survives the process.
    chain: Chain,
    copy: Vec<(u64, u32)>,
}

enum State {
    Idle,
    Taking(Acquisition, bool),
    Owning(Held, Option<Sending>),
    Releasing(Release),
}

struct Sending {
    publication: Publication,
    frames: Vec<u8>,
    lengths: Vec<usize>,
}

fn log_id(number: u8) -> LogId {
    LogId::from_bytes([number + 1; 16])
}

impl World {
    fn new(seed: u64, faults: Faults, mutant: Option<ClusterMutant>) -> Self {
        let mut random = Random::new(seed);
        let model = Model::new(random.bits(), faults.network);
        let nodes = (0..NODES).map(|index| SimNode {
            name: format!("n{index}")
                .parse()
                .unwrap_or_else(|_| unreachable!()),
            process: Process(random.bytes()),
            client: index,
            up_at: 0,
            beats: Beats::new(),
            last_seen: Vec::new(),
            beat_at: random.between(0, 1_000),
            lets_go: false,
            logs: (0..NODES)
                .map(|log| SimLog {
                    number: u8::try_from(log).unwrap_or(0),
                    write_at: random.between(0, 500),
                    read_at: random.between(0, 500),
                    state: State::Idle,
                    has_owned: false,
                    chain: Chain::new(log_id(u8::try_from(log).unwrap_or(0)), Link::START),
                    copy: Vec::new(),
                })
                .collect(),
        });
        let nodes = nodes.collect();
        Self {
            now: 0,
            faults,
            mutant,
            model: Arc::new(Mutex::new(model)),
            nodes,
            chaos_at: 5_000,
            next_client: NODES,
            next_batch: 0,
            acknowledged: Vec::new(),
            fenced: Vec::new(),
            report: RunReport::default(),
            random,
        }
    }

    fn run(&mut self) -> Result<(), String> {
        loop {
            let next = self.next_event();
            if next.0 >= END {
                return Ok(());
            }
            self.now = next.0;
            self.model().advance(self.now);
            match next.1 {
                Event::Chaos => self.chaos(),
                Event::Beat(node) => self.beat(node),
                Event::Write(node, log) => self.write(node, log)?,
                Event::Read(node, log) => self.read(node, log)?,
            }
        }
    }

    fn model(&self) -> MutexGuard<'_, Model> {
        self.model.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next_event(&self) -> (u64, Event) {
        let mut next = (self.chaos_at, Event::Chaos);
        for (index, node) in self.nodes.iter().enumerate() {
            let mut consider = |at: u64, event| {
                let at = at.max(node.up_at);
                if at < next.0 {
                    next = (at, event);
                }
            };
            consider(node.beat_at, Event::Beat(index));
            for (log, state) in node.logs.iter().enumerate() {
                consider(state.write_at, Event::Write(index, log));
                consider(state.read_at, Event::Read(index, log));
            }
        }
        next
    }

    fn client(&self, node: usize, log: usize) -> ModelClient {
        let node = &self.nodes[node];
        let client = ModelClient::new(&self.model, node.logs[log].number, node.client);
        if self.mutant == Some(ClusterMutant::NoFence) {
            client.without_fence()
        } else {
            client
        }
    }

    /// Something goes wrong.
    fn chaos(&mut self) {
        self.chaos_at = self.now + self.random.between(300, 4_000);
        if self.now >= CALM_AFTER {
            self.model().set_network(Network::CALM);
            self.chaos_at = END;
            return;
        }
        let node = self.random.index(NODES);
        let log = u8::try_from(self.random.index(NODES)).unwrap_or(0);
        match self.random.between(0, 8) {
            0 if self.faults.nodes => {
                // Asleep, and then it goes on as if nothing had happened.
                self.nodes[node].up_at = self.now + self.random.between(100, 30_000);
            }
            1 if self.faults.nodes => self.restart(node),
            2 if self.faults.nodes => self.nodes[node].lets_go = true,
            3 if self.faults.elections => self.model().elect(log),
            4 if self.faults.elections => self.model().elect_for_store(),
            5 if self.faults.elections => {
                let mut model = self.model();
                model.elect_for_store();
                for log in 0..NODES {
                    model.elect(u8::try_from(log).unwrap_or(0));
                }
            }
            6 if self.faults.cuts => {
                let until = self.now + self.random.between(100, 20_000);
                self.model().cut(self.nodes[node].client, until);
            }
            7 if self.faults.holes => self.model().lose(log),
            _ => {}
        }
    }

    /// A process is killed; a new one starts in the same directory, or in an empty one.
    fn restart(&mut self, node: usize) {
        let up_at = self.now + self.random.between(500, 30_000);
        let process = Process(self.random.bytes());
        let forgets = self.random.once_in(3);
        let client = self.next_client;
        self.next_client += 1;
        let node = &mut self.nodes[node];
        node.process = process;
        node.client = client;
        node.up_at = up_at;
        node.beats = Beats::new();
        for log in &mut node.logs {
            log.state = State::Idle;
            log.has_owned = false;
            if forgets {
                log.chain = Chain::new(log_id(log.number), Link::START);
                log.copy.clear();
            }
        }
    }

    fn beat(&mut self, index: usize) {
        let mut client = self.client(index, 0);
        let node = &mut self.nodes[index];
        let key = node_key(&node.name);
        let revision = client
            .read(&key)
            .map(|entry| entry.map_or(0, |it| it.revision));
        let is_written = revision.is_some_and(|revision| {
            matches!(client.write(&key, revision, b"{}"), Written::Done(_))
        });
        let seen = client.beats().filter(|_| is_written);
        let seen = seen.map(|mut seen| {
            seen.retain(|(name, _)| *name != node.name);
            revisions(&seen)
        });
        if let Some(seen) = &seen {
            node.last_seen.clone_from(seen);
        }
        if seen.is_none() && self.mutant == Some(ClusterMutant::LeaseByTime) {
            let last = node.last_seen.clone();
            node.beats.observe(Some(&last));
        } else {
            node.beats.observe(seen.as_deref());
        }
        node.beat_at = self.now + 1_000;
    }

    /// The next step of a node that writes, or would like to.
    fn write(&mut self, node: usize, log: usize) -> Result<(), String> {
        let mut client = self.client(node, log);
        let state = std::mem::replace(&mut self.nodes[node].logs[log].state, State::Idle);
        let mut wait = self.random.between(1, 5);
        let pause = self.random.between(10, 150);
        let state = match state {
            State::Idle => {
                wait = 200 + pause;
                self.consider(node, log, &mut client)
            }
            State::Taking(mut acquisition, is_other) => match acquisition.step(&mut client) {
                Progress::Again => State::Taking(acquisition, is_other),
                Progress::Pause => {
                    wait = pause;
                    State::Taking(acquisition, is_other)
                }
                Progress::Done(AcquisitionVerdict::Held(held)) => {
                    self.report.takeovers += u64::from(is_other);
                    self.nodes[node].logs[log].has_owned = true;
                    State::Owning(held, None)
                }
                Progress::Done(AcquisitionVerdict::Lost) => State::Idle,
                Progress::Done(AcquisitionVerdict::Damaged(damage)) => {
                    self.named(log, &damage)?;
                    wait = 1_000;
                    State::Idle
                }
                Progress::Done(AcquisitionVerdict::Refused(reason)) => return Err(reason),
            },
            State::Owning(held, None) if self.nodes[node].lets_go => {
                let node = &mut self.nodes[node];
                node.lets_go = false;
                let number = node.logs[log].number;
                State::Releasing(Release::new(number, (&node.name, node.process), &held))
            }
            State::Owning(held, None) => {
                wait = self.random.between(1, 300);
                let sending = self.begin(&held);
                State::Owning(held, Some(sending))
            }
            State::Owning(held, Some(sending)) => {
                let (next, pauses) = self.send(log, held, sending, &mut client)?;
                if pauses {
                    wait = pause;
                }
                next
            }
            State::Releasing(mut release) => match release.step(&mut client) {
                Progress::Again => State::Releasing(release),
                Progress::Pause => {
                    wait = pause;
                    State::Releasing(release)
                }
                Progress::Done(_) => {
                    self.report.let_go += 1;
                    State::Idle
                }
            },
        };
        let log = &mut self.nodes[node].logs[log];
        log.state = state;
        log.write_at = self.now + wait;
        Ok(())
    }

    fn consider(&mut self, node: usize, log: usize, client: &mut ModelClient) -> State {
        let node = &mut self.nodes[node];
        let log = &node.logs[log];
        let me = (&node.name, node.process);
        let Some(entry) = client.read(&claim_key(log.number)) else {
            return State::Idle;
        };
        let is_home = node.name.as_str() == format!("n{}", log.number);
        let version = "simulated";
        let Some(entry) = entry else {
            if !is_home {
                return State::Idle;
            }
            let acquisition = Acquisition::new(log.number, log_id(log.number), me, version, None);
            return State::Taking(acquisition, false);
        };
        let Some(claim) = Claim::decode(&entry.value) else {
            return State::Idle;
        };
        node.beats.watch(log.number, &claim);
        if !should_claim(log.number, &claim, me, log.has_owned, &node.beats) {
            return State::Idle;
        }
        let is_other = claim.owner.as_ref() != Some(&node.name);
        let found = Some((entry.revision, &claim));
        let acquisition = Acquisition::new(log.number, log_id(log.number), me, version, found);
        State::Taking(acquisition, is_other)
    }

    /// Begins a batch of its own bytes, of which many are split over several messages.
    fn begin(&mut self, held: &Held) -> Sending {
        self.next_batch += 1;
        let count = self.random.between(1, 6);
        let mut frames = Vec::new();
        let mut lengths = Vec::new();
        for record in 0..count {
            let text = format!("batch {} record {record};", self.next_batch);
            lengths.push(text.len());
            frames.extend_from_slice(text.as_bytes());
        }
        let publication = held
            .publish(&frames, &lengths, BODY)
            .unwrap_or_else(|| unreachable!());
        self.report.split += u64::from(publication.messages().len() > 1);
        Sending {
            publication,
            frames,
            lengths,
        }
    }

    fn send(
        &mut self,
        log: usize,
        mut held: Held,
        mut sending: Sending,
        client: &mut ModelClient,
    ) -> Result<(State, bool), String> {
        let number = u8::try_from(log).unwrap_or(0);
        let first = held.end().number + 1;
        let progress = sending.publication.step(client);
        let sum = Message::checksum_of(&sending.publication.messages()[0]);
        let verdict = match progress {
            Progress::Again => return Ok((State::Owning(held, Some(sending)), false)),
            Progress::Pause if self.mutant == Some(ClusterMutant::BelievesTimeouts) => {
                PublishVerdict::Stored
            }
            Progress::Pause if self.mutant == Some(ClusterMutant::TakesAbsenceForNotThere) => {
                if matches!(client.get(first), Got::Nothing(_)) {
                    // It was not stored, so something else can be.
                    sending = self.begin(&held);
                }
                return Ok((State::Owning(held, Some(sending)), true));
            }
            Progress::Pause => return Ok((State::Owning(held, Some(sending)), true)),
            Progress::Done(verdict) => verdict,
        };
        match verdict {
            PublishVerdict::Stored => {
                held.stored(&sending.publication);
                self.report.acknowledged += 1;
                self.acknowledged.push(Acknowledged {
                    log: number,
                    sequence: first,
                    checksum: sum,
                    at: self.now,
                });
                Ok((State::Owning(held, None), false))
            }
            PublishVerdict::Fenced(term) => {
                if term.is_some_and(|term| term <= held.term()) {
                    return Err(format!("log {log}: fenced by its own term {}", held.term()));
                }
                self.fenced.push((number, first, sum));
                self.report.fenced += 1;
                let goes_on = matches!(
                    self.mutant,
                    Some(ClusterMutant::ForgetsFence | ClusterMutant::SendsElsewhere)
                );
                if goes_on
                    && let Some(bounds) = client.bounds()
                    && let Got::Message(encoded) = client.get(bounds.last)
                    && let Ok(message) = Message::decode(&encoded)
                {
                    let forged = held.moved_to(Link::after(&message, &encoded));
                    if self.mutant == Some(ClusterMutant::SendsElsewhere)
                        && let Some(publication) =
                            forged.publish(&sending.frames, &sending.lengths, BODY)
                    {
                        sending.publication = publication;
                        return Ok((State::Owning(forged, Some(sending)), true));
                    }
                    return Ok((State::Owning(forged, None), true));
                }
                Ok((State::Idle, false))
            }
            PublishVerdict::Damaged(damage) => {
                self.named(log, &damage)?;
                Ok((State::Idle, true))
            }
            PublishVerdict::Refused(reason) => Err(reason),
        }
    }

    /// Damage was named: it must be there.
    fn named(&mut self, log: usize, damage: &StreamDamage) -> Result<(), String> {
        self.report.damage += 1;
        let number = u8::try_from(log).unwrap_or(0);
        if self.model().is_hole(number, damage.sequence) {
            Ok(())
        } else {
            Err(format!("log {log}: {damage}, but no replica has lost it"))
        }
    }

    /// Reads the tail of a log, at the owner and at the others.
    fn read(&mut self, node: usize, log: usize) -> Result<(), String> {
        let mut client = self.client(node, log);
        let from = self.nodes[node].logs[log].chain.link().number + 1;
        for (sequence, encoded) in client.tail(from).unwrap_or_default() {
            // What follows a message that no server has is asked for again later.
            if !self.take(node, log, sequence, &encoded, &mut client)? {
                break;
            }
        }
        let wait = self.random.between(20, 300);
        self.nodes[node].logs[log].read_at = self.now + wait;
        Ok(())
    }

    /// Takes a message, and first the one before it from elsewhere if it is missing. False: nobody
    /// who answers has that one.
    fn take(
        &mut self,
        node: usize,
        log: usize,
        sequence: u64,
        encoded: &[u8],
        client: &mut ModelClient,
    ) -> Result<bool, String> {
        let here = &mut self.nodes[node].logs[log];
        if self.mutant == Some(ClusterMutant::NoChain) && sequence > here.chain.link().number + 1 {
            let link = Link {
                number: sequence - 1,
                ..here.chain.link()
            };
            here.chain = Chain::new(log_id(here.number), link);
            let message = Message::decode(encoded).map_err(|fault| fault.to_string())?;
            here.chain = Chain::new(log_id(here.number), Link::after(&message, encoded));
            here.copy.push((sequence, Message::checksum_of(encoded)));
            return Ok(true);
        }
        match here.chain.follow(sequence, encoded) {
            Ok(None) => {}
            Ok(Some(message)) => {
                here.copy.push((sequence, Message::checksum_of(encoded)));
                // Who has lost a log without writing to it notices it here.
                if let State::Owning(held, _) = &here.state
                    && message.kind == MessageKind::Owner
                    && message.term > held.term()
                {
                    let keeps = matches!(
                        self.mutant,
                        Some(
                            ClusterMutant::NoFence
                                | ClusterMutant::ForgetsFence
                                | ClusterMutant::SendsElsewhere
                        )
                    );
                    if !keeps {
                        here.state = State::Idle;
                        self.report.noticed += 1;
                    }
                }
            }
            Err(damage) => {
                self.named(log, &damage)?;
                // Another replica may have it.
                if let Got::Message(found) = client.get(damage.sequence) {
                    let here = &mut self.nodes[node].logs[log];
                    let followed = here.chain.follow(damage.sequence, &found);
                    if followed.map_err(|damage| damage.to_string())?.is_some() {
                        here.copy
                            .push((damage.sequence, Message::checksum_of(&found)));
                    }
                    return self.take(node, log, sequence, encoded, client);
                }
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Compares all that was acknowledged and read with what is stored.
    fn check(&mut self) -> Result<(), String> {
        let model = Arc::clone(&self.model);
        let model = model.lock().unwrap_or_else(PoisonError::into_inner);
        let mut trace = 0_u64;
        for number in 0..NODES {
            let log = u8::try_from(number).unwrap_or(0);
            let truth = model.messages(log);
            let mut chain = Chain::new(log_id(log), Link::START);
            let mut writers = BTreeMap::new();
            for (index, (encoded, client)) in truth.iter().enumerate() {
                let sequence = index as u64 + 1;
                let message = chain
                    .follow(sequence, encoded)
                    .map_err(|damage| format!("log {log}: {damage}"))?
                    .ok_or("a message is there twice")?;
                let writer = *writers.entry(message.term).or_insert(*client);
                if writer != *client {
                    return Err(format!("log {log}: two writers in term {}", message.term));
                }
                let sum = Message::checksum_of(encoded);
                trace = digest(trace, [sequence, u64::from(sum), *client as u64]);
            }
            let is_there = |sequence: u64, sum: u32| {
                let at = usize::try_from(sequence.saturating_sub(1)).unwrap_or(usize::MAX);
                truth
                    .get(at)
                    .is_some_and(|(encoded, _)| Message::checksum_of(encoded) == sum)
            };
            for acknowledged in self
                .acknowledged
                .iter()
                .filter(|acknowledged| acknowledged.log == log)
            {
                if !is_there(acknowledged.sequence, acknowledged.checksum) {
                    let sequence = acknowledged.sequence;
                    return Err(format!(
                        "log {log}: {sequence} was acknowledged and is not there"
                    ));
                }
                trace = digest(
                    trace,
                    [
                        acknowledged.at,
                        acknowledged.sequence,
                        u64::from(acknowledged.checksum),
                    ],
                );
            }
            for (_, sequence, sum) in self.fenced.iter().filter(|(other, ..)| *other == log) {
                if is_there(*sequence, *sum) {
                    return Err(format!("log {log}: {sequence} was fenced and is there"));
                }
            }
            for node in &self.nodes {
                let here = &node.logs[number];
                let name = &node.name;
                for (index, (sequence, sum)) in here.copy.iter().enumerate() {
                    if *sequence != index as u64 + 1 || !is_there(*sequence, *sum) {
                        return Err(format!(
                            "log {log}: {name} read something else at {sequence}"
                        ));
                    }
                }
                if here.copy.len() + 20 < truth.len() {
                    let (read, all) = (here.copy.len(), truth.len());
                    return Err(format!(
                        "log {log}: {name} has read {read} of {all} messages"
                    ));
                }
            }
            let owners = self.nodes.iter().filter(|node| {
                matches!(&node.logs[number].state, State::Owning(held, _)
                    if held.term() == chain.link().term)
            });
            let owners = owners.count();
            if owners != 1 {
                return Err(format!("log {log} has {owners} owners in the end"));
            }
            let last = self
                .acknowledged
                .iter()
                .rfind(|acknowledged| acknowledged.log == log);
            if last.is_none_or(|acknowledged| acknowledged.at + 10_000 < END) {
                return Err(format!("log {log} is not written any more"));
            }
        }
        self.report.trace = trace;
        if self.faults == Faults::ELECTIONS && self.report.takeovers > 0 {
            return Err(format!(
                "{} takeovers, although no node was ever away",
                self.report.takeovers
            ));
        }
        Ok(())
    }
}

fn digest(trace: u64, numbers: [u64; 3]) -> u64 {
    numbers.into_iter().fold(trace, |trace, number| {
        let sum = checksum(&(trace ^ number).to_le_bytes());
        trace.rotate_left(7) ^ u64::from(sum)
    })
}

#[derive(Clone, Copy)]
enum Event {
    Chaos,
    Beat(usize),
    Write(usize, usize),
    Read(usize, usize),
}
