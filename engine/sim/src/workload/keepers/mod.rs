//! Keepers: they hold the jobs of a service, outlive the server, and die when the world wants it.
//!
//! As in the shell's keepers, a server and a keeper speak in frames, which arrive late and in order.
//! When the server dies, a keeper may still get some of the frames that were under way, and the server
//! gets none.

mod keeper;
mod program;
mod runner;

pub(crate) use runner::KeptRunner;

use crate::mutants::Mutant;
use crate::oracle::{Checker, ensure};
use crate::world::{Random, World};
use futures::future::{poll_fn, select};
use keeper::{Keeper, ToKeeper};
use rejoin_core::{JobId, OutputOffsets, SessionId, Submission};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};
use std::time::Duration;

/// The keepers of a machine.
#[derive(Debug)]
pub(crate) struct Keepers {
    mutant: Option<Mutant>,
    /// How long they wait for a server.
    patience: Duration,
    all: Mutex<All>,
}

#[derive(Debug, Default)]
struct All {
    made: u64,
    keepers: BTreeMap<u64, Keeper>,
}

/// A job that a keeper holds.
#[derive(Clone, Debug)]
pub(crate) struct HeldJob {
    pub(crate) keeper: u64,
    pub(crate) job: JobId,
    pub(crate) session: SessionId,
    pub(crate) submission: Submission,
    pub(crate) settled: OutputOffsets,
    pub(crate) end: OutputOffsets,
    pub(crate) input: u64,
    pub(crate) input_ended: bool,
    pub(crate) interrupts: u32,
    /// How many servers have attended to it.
    pub(crate) servers: u32,
}

impl Keepers {
    pub(crate) fn new(mutant: Option<Mutant>, patience: Duration) -> Arc<Self> {
        Arc::new(Self {
            mutant,
            patience,
            all: Mutex::default(),
        })
    }

    /// A server greets all keepers: those of this owner say what they hold.
    pub(crate) fn greet(&self, world: &World, owner: u64) -> Vec<HeldJob> {
        let now = world.clock.elapsed();
        let mut all = self.all();
        all.advance(world);
        all.keepers.retain(|_, keeper| {
            let is_over = keeper.has_given_up(now, self.patience);
            if is_over {
                world.count("keeper: ended its jobs because no server came");
                keeper.die(world);
            }
            !is_over
        });
        let mut held = vec![];
        for (id, keeper) in &mut all.keepers {
            if keeper.is_out_of_reach {
                continue;
            }
            if keeper.owner != owner && !mutated(self.mutant, Mutant::TakesOverCopies) {
                world.count("keeper: turned away a server of another directory");
                continue;
            }
            keeper.alone_since = None;
            held.extend(keeper.jobs.iter().map(|(job, it)| HeldJob {
                keeper: *id,
                job: *job,
                session: it.session,
                submission: it.submission,
                settled: match mutated(self.mutant, Mutant::DropsWhatWasSent) {
                    true => it.program.sent(),
                    false => it.program.settled(),
                },
                end: it.program.end_of_output(),
                input: match mutated(self.mutant, Mutant::RepeatsInput) {
                    true => 0,
                    false => it.program.given,
                },
                input_ended: it.program.input_ended(),
                interrupts: match mutated(self.mutant, Mutant::RepeatsInterrupts) {
                    true => 0,
                    false => it.interrupts,
                },
                servers: it.servers,
            }));
        }
        held
    }

    /// A server on a copy of the data directory comes while no other server is there. It does not know
    /// the jobs that were started since, and would end them.
    pub(crate) fn visit_of_a_copy(&self, world: &World) {
        for held in self.greet(world, COPY) {
            let mut all = self.all();
            if let Some(keeper) = all.keepers.get_mut(&held.keeper) {
                keeper.jobs.remove(&held.job);
            }
        }
    }

    /// The keeper for a new job.
    fn for_new_job(&self, owner: u64) -> u64 {
        let mut all = self.all();
        let least = all
            .keepers
            .iter()
            .filter(|(_, keeper)| keeper.alone_since.is_none())
            .min_by_key(|(_, keeper)| keeper.jobs.len());
        let is_enough = all.keepers.len() >= KEEPERS;
        let least = least.filter(|(_, keeper)| is_enough || keeper.jobs.is_empty());
        if let Some((id, _)) = least {
            return *id;
        }
        all.made += 1;
        let id = all.made;
        let keeper = Keeper {
            owner,
            is_out_of_reach: false,
            jobs: BTreeMap::new(),
            alone_since: None,
            inbox: VecDeque::new(),
            is_served: false,
            is_pausing: false,
            waker: None,
        };
        all.keepers.insert(id, keeper);
        id
    }

    /// Sends a frame, which arrives later.
    fn send(self: &Arc<Self>, world: &Arc<World>, id: u64, frame: ToKeeper) {
        // A dead process sends nothing.
        if world.is_crashed() {
            return;
        }
        let waker = {
            let mut all = self.all();
            let Some(keeper) = all.keepers.get_mut(&id) else {
                return;
            };
            keeper.inbox.push_back(frame);
            if !std::mem::replace(&mut keeper.is_served, true) {
                let random = world.draw(Random::fork);
                let serving = serve(self.clone(), world.clone(), id, random);
                world.executor.spawn("keeper", Box::pin(serving));
            }
            keeper.waker.take()
        };
        waker.into_iter().for_each(Waker::wake);
    }

    /// The connections to the server have ended: nothing more is sent or received.
    fn disconnect(&self) {
        let wakers: Vec<_> = {
            let mut all = self.all();
            let keepers = all.keepers.values_mut();
            keepers
                .filter_map(|keeper| {
                    keeper.is_served = false;
                    keeper.waker.take()
                })
                .collect()
        };
        wakers.into_iter().for_each(Waker::wake);
    }

    /// The server is dead. Of the frames that were under way, each keeper gets the first ones.
    pub(crate) fn lose_server(&self, world: &World, random: &mut Random) {
        let now = world.clock.elapsed();
        let mut all = self.all();
        all.advance(world);
        for keeper in all.keepers.values_mut() {
            let arrive = random.index(keeper.inbox.len() + 1);
            if arrive < keeper.inbox.len() {
                world.count("keeper: frames lost with the server");
            }
            for frame in keeper.inbox.drain(..arrive).collect::<Vec<_>>() {
                keeper.obey(frame, world, self.mutant);
            }
            for frame in keeper.inbox.drain(..) {
                if let ToKeeper::Input { job, bytes, .. } = frame
                    && mutated(self.mutant, Mutant::CountsLostInput)
                    && let Some(job) = keeper.jobs.get_mut(&job)
                {
                    job.program.given += bytes.len() as u64;
                }
            }
            keeper.is_served = false;
            keeper.is_pausing = false;
            keeper.waker = None;
            keeper.alone_since.get_or_insert(now);
            for job in keeper.jobs.values_mut() {
                job.events = None;
                job.is_told = false;
            }
        }
    }

    /// The log is taken to another machine, where no server reaches these keepers, or back to this one.
    pub(crate) fn set_out_of_reach(&self, is_out_of_reach: bool) {
        let mut all = self.all();
        for keeper in all.keepers.values_mut() {
            keeper.is_out_of_reach = is_out_of_reach;
        }
    }

    /// The jobs that keepers have, and their sessions.
    pub(crate) fn numbers(&self) -> BTreeMap<JobId, SessionId> {
        let all = self.all();
        let jobs = all.keepers.values().flat_map(|keeper| &keeper.jobs);
        jobs.map(|(id, job)| (*id, job.session)).collect()
    }

    /// Whether a keeper that is out of reach has another job of a number that runs in the log.
    pub(crate) fn has_used_numbers(&self, checker: &Checker) -> bool {
        let all = self.all();
        let mut unseen = all.keepers.values().filter(|it| it.is_out_of_reach);
        unseen.any(|keeper| {
            let mut jobs = keeper.jobs.iter();
            jobs.any(|(id, job)| {
                let session = checker.model.state.session(job.session);
                let runs = session.is_some_and(|it| it.jobs().any(|(running, _)| running == *id));
                runs && checker.kept.statement(*id) != Some(&*job.statement)
            })
        })
    }

    /// Some of the keepers, or all of them, are killed.
    pub(crate) fn kill(&self, world: &World, mut is_hit: impl FnMut() -> bool) -> usize {
        let mut all = self.all();
        all.advance(world);
        let hit: Vec<u64> = all.keepers.keys().copied().filter(|_| is_hit()).collect();
        let mut jobs = 0;
        for id in hit {
            if let Some(mut keeper) = all.keepers.remove(&id) {
                world.note(format_args!("keeper {id} dies"));
                jobs += keeper.jobs.len();
                keeper.die(world);
                keeper.waker.take().into_iter().for_each(Waker::wake);
            }
        }
        jobs
    }

    /// Lets the keepers do what they do without a server.
    pub(crate) fn pass(&self, world: &World) {
        let ended = |all: &All| {
            let jobs = all.keepers.values().flat_map(|keeper| keeper.jobs.values());
            jobs.filter(|job| job.program.has_ended()).count()
        };
        let mut all = self.all();
        let before = ended(&all);
        all.advance(world);
        if ended(&all) > before {
            world.count("keeper: a program ended while no server was there");
        }
    }

    /// No task can proceed until time passes: what is under way has arrived.
    pub(crate) fn check(&self, checker: &Checker) -> Result<(), String> {
        if checker.ended.is_some() {
            return Ok(());
        }
        let all = self.all();
        let model = &checker.model;
        let mut held = BTreeSet::new();
        for keeper in all.keepers.values().filter(|it| !it.is_out_of_reach) {
            held.extend(keeper.jobs.keys().copied());
            for frame in &keeper.inbox {
                if let ToKeeper::Start { job, .. } = frame {
                    held.insert(*job);
                }
            }
            if keeper.is_served && keeper.inbox.is_empty() && !keeper.is_pausing {
                for (id, job) in &keeper.jobs {
                    job.check(*id, checker)?;
                }
            }
        }
        for (id, session) in model.state.sessions() {
            for (job, _) in session.jobs() {
                ensure!(
                    held.contains(&job) || !checker.kept.knows(job),
                    "promise 7: job {job} of session {id} runs in the log and nowhere else"
                );
            }
        }
        Ok(())
    }

    /// The jobs that must go on in a process that starts now, and the statements of those that can't.
    /// `is_served` says whether a session's service is there.
    pub(crate) fn expected(
        &self,
        held: &[HeldJob],
        is_served: impl Fn(&str) -> bool,
        checker: &Checker,
    ) -> (BTreeSet<JobId>, BTreeSet<Arc<str>>) {
        let all = self.all();
        let goes_on = |held: &&HeldJob| {
            let job = all.keepers.get(&held.keeper)?.jobs.get(&held.job)?;
            Some(job.goes_on(held.job, &is_served, checker))
        };
        let (expected, refused): (Vec<_>, Vec<_>) =
            held.iter().partition(|held| goes_on(held).unwrap_or(false));
        let expected = expected.iter().map(|held| held.job).collect();
        let refused = refused.iter().filter_map(|held| {
            let job = all.keepers.get(&held.keeper)?.jobs.get(&held.job)?;
            Some(job.statement.clone())
        });
        let out_of_reach = all.keepers.values().filter(|it| it.is_out_of_reach);
        let unseen = out_of_reach.flat_map(|keeper| keeper.jobs.values());
        let unseen = unseen.map(|job| job.statement.clone());
        (expected, refused.chain(unseen).collect())
    }

    /// The programs that have not ended.
    pub(crate) fn running(&self) -> usize {
        let all = self.all();
        all.keepers.values().map(|keeper| keeper.jobs.len()).sum()
    }

    fn all(&self) -> MutexGuard<'_, All> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl All {
    fn advance(&mut self, world: &World) {
        for keeper in self.keepers.values_mut() {
            keeper.advance(world);
        }
    }
}

/// Lets a keeper work while a server is there.
async fn serve(keepers: Arc<Keepers>, world: Arc<World>, id: u64, mut random: Random) {
    loop {
        if random.once_in(3) {
            keepers.set_pausing(id, true);
            world.pause(random.millis(40)).await;
            keepers.set_pausing(id, false);
        }
        let next = {
            let mut all = keepers.all();
            let Some(keeper) = all.keepers.get_mut(&id).filter(|it| it.is_served) else {
                return;
            };
            keeper.advance(&world);
            let frames = random.index(4).min(keeper.inbox.len());
            for frame in keeper.inbox.drain(..frames).collect::<Vec<_>>() {
                keeper.obey(frame, &world, keepers.mutant);
            }
            let has_sent = keeper.report(&world, &mut random, keepers.mutant);
            if has_sent || !keeper.inbox.is_empty() {
                Some(Duration::ZERO)
            } else {
                let next = keeper
                    .jobs
                    .values()
                    .filter_map(|job| job.program.next())
                    .min();
                next.map(|next| next.saturating_sub(world.clock.elapsed()))
            }
        };
        let frame = pin!(keepers.next_frame(id));
        match next {
            Some(wait) => {
                select(frame, pin!(world.clock.timer(wait))).await;
            }
            None => frame.await,
        }
    }
}

impl Keepers {
    fn set_pausing(&self, id: u64, is_pausing: bool) {
        if let Some(keeper) = self.all().keepers.get_mut(&id) {
            keeper.is_pausing = is_pausing;
        }
    }

    /// Waits until a frame is under way, or the keeper or the server is gone.
    async fn next_frame(&self, id: u64) {
        poll_fn(|context| {
            let mut all = self.all();
            match all.keepers.get_mut(&id) {
                Some(keeper) if keeper.is_served && keeper.inbox.is_empty() => {
                    keeper.waker = Some(context.waker().clone());
                    Poll::Pending
                }
                _ => Poll::Ready(()),
            }
        })
        .await;
    }
}

fn mutated(mutant: Option<Mutant>, it: Mutant) -> bool {
    mutant == Some(it)
}

/// Further jobs share them.
const KEEPERS: usize = 3;

/// Bytes of input that a job may be given before it reads them.
const INPUT_WINDOW: u64 = 150;

/// The mark of the data directory, and that of its copy.
pub(crate) const OWNER: u64 = 1;
const COPY: u64 = 2;
