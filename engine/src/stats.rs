//! The engine's metrics: atomic counters, read by [`Engine::stats`](crate::Engine::stats).
//!
//! Totals start at zero with each process. No decision depends on them.

use crate::limits::{PENDING_REDACTIONS, SCREEN_CELLS, SCREENS};
use crate::trace::trace_jump;
use rejoin_core::{
    CloseCause, Command, Event, JobState, JobView, LeaveCause, Outcome, Record, Rejection,
    RejectionKind, SessionId, Views,
};
use rejoin_metrics::{Counter, Gauge, Histogram, HistogramSnapshot};
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

/// The engine's metrics at one moment. Totals are since the engine was started.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Stats {
    /// Sessions that are open.
    pub sessions: u64,
    /// Sessions that were created.
    pub sessions_created: u64,
    /// Sessions that were closed, by cause.
    pub sessions_closed: Totals<CloseCause>,
    /// Consumers of open sessions.
    pub consumers: u64,
    /// Consumers that joined.
    pub consumers_joined: u64,
    /// Consumers that left, by cause.
    pub consumers_left: Totals<LeaveCause>,
    /// Jobs that were submitted and have not finished.
    pub jobs: u64,
    /// Jobs that were submitted.
    pub jobs_submitted: u64,
    /// Jobs that finished, by outcome.
    pub jobs_finished: Totals<Outcome>,
    /// Results that jobs emitted.
    pub results: u64,
    /// Their bytes, as they are logged.
    pub result_bytes: u64,
    /// Records that were appended to the log.
    pub records: u64,
    /// How many records each append carried.
    pub batches: HistogramSnapshot,
    /// Commands that the state accepted, by kind.
    pub accepted: Totals<CommandKind>,
    /// Commands that the state refused, by kind.
    pub refused: Totals<CommandKind>,
    /// Commands that the state refused, by reason: [`Rejection::code`].
    pub rejections: Totals<RejectionKind>,
    /// Requests that wait for the sequencer.
    pub queue: u64,
    /// How many may wait.
    pub queue_limit: u64,
    /// Requests that were refused because the queue was full.
    pub overloaded: u64,
    /// Pulls that are open.
    pub pulls: u64,
    /// The approximate size of the recent records in memory, in bytes.
    pub recent_bytes: u64,
    /// The limit of `recent_bytes`.
    pub recent_limit: u64,
    /// Reads of records that were served from memory.
    pub recent_hits: u64,
    /// Reads of records that had to be served from the log.
    pub recent_misses: u64,
    /// Screens of running terminals that are kept up to date in memory.
    pub screens: u64,
    /// How many there may be: [`SCREENS`](crate::limits::SCREENS).
    pub screens_limit: u64,
    /// Their characters: each takes about twenty bytes.
    pub screen_cells: u64,
    /// How many characters there may be: [`SCREEN_CELLS`](crate::limits::SCREEN_CELLS).
    pub screen_cells_limit: u64,
    /// Redactions that the log has not carried out in all files yet.
    pub pending_redactions: u64,
    /// How many there may be: [`PENDING_REDACTIONS`](crate::limits::PENDING_REDACTIONS).
    pub pending_redactions_limit: u64,
    /// How often the wall clock was found to have jumped: it was set, or the machine was suspended.
    pub clock_jumps: u64,
    /// How far the wall clock is behind the last record. Until it has passed that, the times of
    /// records stand still.
    pub clock_behind: Duration,
    /// Whether the engine takes commands.
    pub status: EngineStatus,
}

/// Whether an engine takes commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EngineStatus {
    /// It takes commands.
    Running,
    /// It is shutting down: it takes no more jobs, and waits for those that run.
    ShuttingDown,
    /// It has ended, by a shutdown or by a failure.
    Stopped,
}

/// What is not counted but read from the engine's parts, for [`Counts::read`].
pub(crate) struct Current {
    /// Open sessions.
    pub(crate) sessions: usize,
    /// Bytes of recent records in memory, and their limit.
    pub(crate) recent_bytes: (u64, u64),
    /// Requests that wait, and how many may.
    pub(crate) queue: (usize, usize),
    /// Screens that are kept in memory, and their characters.
    pub(crate) screens: (usize, usize),
    pub(crate) pending_redactions: u64,
    pub(crate) status: EngineStatus,
}

/// What the open sessions of a log have.
pub(crate) struct LogSessions {
    consumers: i64,
    jobs: i64,
}

impl LogSessions {
    /// Of the log whose sessions these are.
    pub(crate) fn of(views: &Views, is_here: impl Fn(SessionId) -> bool) -> Self {
        let (mut consumers, mut jobs) = (0, 0);
        for view in views.open_sessions().filter(|view| is_here(view.id)) {
            consumers += view.consumers().count();
            if view.is_busy() {
                let is_unfinished =
                    |job: &&JobView| !matches!(job.state, JobState::Finished { .. });
                jobs += view.all_jobs().filter(is_unfinished).count();
            }
        }
        let signed = |count| i64::try_from(count).unwrap_or(i64::MAX);
        Self {
            consumers: signed(consumers),
            jobs: signed(jobs),
        }
    }
}

/// The engine's counters.
#[derive(Debug)]
pub(crate) struct Counts {
    /// Consumers that the logs had when they were opened, less those of logs that were given up since.
    consumers_taken: AtomicI64,
    /// The same of jobs that have not finished.
    jobs_taken: AtomicI64,
    sessions_created: Counter,
    sessions_closed: Counters<CloseCause, { CloseCause::ALL.len() }>,
    consumers_joined: Counter,
    consumers_left: Counters<LeaveCause, { LeaveCause::ALL.len() }>,
    jobs_submitted: Counter,
    jobs_finished: Counters<Outcome, { Outcome::ALL.len() }>,
    results: Counter,
    result_bytes: Counter,
    records: Counter,
    batches: Histogram,
    accepted: Counters<CommandKind, { CommandKind::ALL.len() }>,
    refused: Counters<CommandKind, { CommandKind::ALL.len() }>,
    rejections: Counters<RejectionKind, { RejectionKind::ALL.len() }>,
    pub(crate) overloaded: Counter,
    pub(crate) pulls: Gauge,
    pub(crate) recent_hits: Counter,
    pub(crate) recent_misses: Counter,
    clock_jumps: Counter,
    /// In milliseconds.
    clock_behind: AtomicU64,
}

impl Counts {
    /// All counters at zero.
    pub(crate) fn new() -> Self {
        Self {
            consumers_taken: AtomicI64::new(0),
            jobs_taken: AtomicI64::new(0),
            sessions_created: Counter::default(),
            sessions_closed: Counters::new(),
            consumers_joined: Counter::default(),
            consumers_left: Counters::new(),
            jobs_submitted: Counter::default(),
            jobs_finished: Counters::new(),
            results: Counter::default(),
            result_bytes: Counter::default(),
            records: Counter::default(),
            batches: Histogram::new(&[1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1_024]),
            accepted: Counters::new(),
            refused: Counters::new(),
            rejections: Counters::new(),
            overloaded: Counter::default(),
            pulls: Gauge::default(),
            recent_hits: Counter::default(),
            recent_misses: Counter::default(),
            clock_jumps: Counter::default(),
            clock_behind: AtomicU64::new(0),
        }
    }

    /// A log was opened that has these sessions.
    pub(crate) fn take(&self, sessions: &LogSessions) {
        let LogSessions { consumers, jobs } = sessions;
        self.consumers_taken
            .fetch_add(*consumers, Ordering::Relaxed);
        self.jobs_taken.fetch_add(*jobs, Ordering::Relaxed);
    }

    /// A log was given up that has these sessions.
    pub(crate) fn give_up(&self, sessions: &LogSessions) {
        let LogSessions { consumers, jobs } = sessions;
        self.consumers_taken
            .fetch_sub(*consumers, Ordering::Relaxed);
        self.jobs_taken.fetch_sub(*jobs, Ordering::Relaxed);
    }

    /// The wall clock was read: it has jumped by so many milliseconds, and is so far behind the last
    /// record.
    pub(crate) fn wall_clock(&self, jump: Option<i64>, behind: Duration) {
        let millis = u64::try_from(behind.as_millis()).unwrap_or(u64::MAX);
        self.clock_behind.store(millis, Ordering::Relaxed);
        if let Some(jump) = jump {
            self.clock_jumps.inc();
            trace_jump(jump, behind);
        }
    }

    /// A batch of records was appended.
    pub(crate) fn batch(&self, records: &[Arc<Record>]) {
        let count = u64::try_from(records.len()).unwrap_or(u64::MAX);
        self.batches.observe(count);
        self.records.add(count);
        records.iter().for_each(|record| self.record(record));
    }

    fn record(&self, record: &Record) {
        match &record.event {
            Event::SessionCreated { .. } => self.sessions_created.inc(),
            Event::SessionClosed { cause } => self.sessions_closed.inc(*cause),
            Event::ConsumerJoined { .. } => self.consumers_joined.inc(),
            Event::ConsumerLeft { cause, .. } => self.consumers_left.inc(*cause),
            Event::JobSubmitted { .. } => self.jobs_submitted.inc(),
            Event::JobFinished { outcome, .. } => self.jobs_finished.inc(*outcome),
            Event::ResultEmitted { result, .. } => {
                self.results.inc();
                self.result_bytes.add(result.len() as u64);
            }
            _ => {}
        }
    }

    /// A command of this kind was decided.
    pub(crate) fn decided<T>(&self, kind: CommandKind, outcome: &Result<T, Rejection>) {
        match outcome {
            Ok(_) => self.accepted.inc(kind),
            Err(rejection) => {
                self.refused.inc(kind);
                self.rejections.inc(rejection.kind());
            }
        }
    }

    pub(crate) fn read(&self, now: Current) -> Stats {
        let (recent_bytes, recent_limit) = now.recent_bytes;
        let left = self.consumers_left.read();
        let finished = self.jobs_finished.read();
        let present = |taken: &AtomicI64, came: u64, went: u64| {
            let taken = taken.load(Ordering::Relaxed);
            came.saturating_add_signed(taken).saturating_sub(went)
        };
        let joined = self.consumers_joined.get();
        let submitted = self.jobs_submitted.get();
        Stats {
            sessions: now.sessions as u64,
            sessions_created: self.sessions_created.get(),
            sessions_closed: self.sessions_closed.read(),
            consumers: present(&self.consumers_taken, joined, left.sum()),
            consumers_joined: self.consumers_joined.get(),
            consumers_left: left,
            jobs: present(&self.jobs_taken, submitted, finished.sum()),
            jobs_submitted: submitted,
            jobs_finished: finished,
            results: self.results.get(),
            result_bytes: self.result_bytes.get(),
            records: self.records.get(),
            batches: self.batches.read(),
            accepted: self.accepted.read(),
            refused: self.refused.read(),
            rejections: self.rejections.read(),
            queue: now.queue.0 as u64,
            queue_limit: now.queue.1 as u64,
            overloaded: self.overloaded.get(),
            pulls: self.pulls.get(),
            recent_bytes,
            recent_limit,
            recent_hits: self.recent_hits.get(),
            recent_misses: self.recent_misses.get(),
            screens: now.screens.0 as u64,
            screens_limit: SCREENS as u64,
            screen_cells: now.screens.1 as u64,
            screen_cells_limit: SCREEN_CELLS as u64,
            pending_redactions: now.pending_redactions,
            pending_redactions_limit: PENDING_REDACTIONS,
            clock_jumps: self.clock_jumps.get(),
            clock_behind: Duration::from_millis(self.clock_behind.load(Ordering::Relaxed)),
            status: now.status,
        }
    }
}

/// The kind of a [`Command`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommandKind {
    /// [`Command::CreateSession`].
    CreateSession,
    /// [`Command::JoinSession`].
    JoinSession,
    /// [`Command::LeaveSession`].
    LeaveSession,
    /// [`Command::CloseSession`].
    CloseSession,
    /// [`Command::SetUser`].
    SetUser,
    /// [`Command::DescribeSession`].
    DescribeSession,
    /// [`Command::NoteLink`].
    NoteLink,
    /// [`Command::TouchSession`].
    TouchSession,
    /// [`Command::SubmitJob`].
    SubmitJob,
    /// [`Command::WriteInput`].
    WriteInput,
    /// [`Command::HideInput`].
    HideInput,
    /// [`Command::ResizeTerminal`].
    ResizeTerminal,
    /// [`Command::TakeControl`].
    TakeControl,
    /// [`Command::GiveControl`].
    GiveControl,
    /// [`Command::RefuseStatement`].
    RefuseStatement,
    /// [`Command::InterruptJob`].
    InterruptJob,
    /// [`Command::AdvanceCursor`].
    AdvanceCursor,
    /// [`Command::ReportStarted`].
    ReportStarted,
    /// [`Command::ReportResult`].
    ReportResult,
    /// [`Command::ReportScreen`].
    ReportScreen,
    /// [`Command::ReportFinished`].
    ReportFinished,
    /// [`Command::RedactRecords`].
    RedactRecords,
    /// [`Command::RemoveSession`].
    RemoveSession,
    /// [`Command::Expire`].
    Expire,
    /// [`Command::ExpireConsumers`].
    ExpireConsumers,
    /// [`Command::Resume`].
    Resume,
    /// [`Command::InterruptAll`].
    InterruptAll,
}

impl CommandKind {
    /// All, in the order of their declaration.
    pub const ALL: [Self; 27] = [
        Self::CreateSession,
        Self::JoinSession,
        Self::LeaveSession,
        Self::CloseSession,
        Self::SetUser,
        Self::DescribeSession,
        Self::NoteLink,
        Self::TouchSession,
        Self::SubmitJob,
        Self::WriteInput,
        Self::HideInput,
        Self::ResizeTerminal,
        Self::TakeControl,
        Self::GiveControl,
        Self::RefuseStatement,
        Self::InterruptJob,
        Self::AdvanceCursor,
        Self::ReportStarted,
        Self::ReportResult,
        Self::ReportScreen,
        Self::ReportFinished,
        Self::RedactRecords,
        Self::RemoveSession,
        Self::Expire,
        Self::ExpireConsumers,
        Self::Resume,
        Self::InterruptAll,
    ];

    /// Its name in metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::CreateSession => "create_session",
            Self::JoinSession => "join_session",
            Self::LeaveSession => "leave_session",
            Self::CloseSession => "close_session",
            Self::SetUser => "set_user",
            Self::DescribeSession => "describe_session",
            Self::NoteLink => "note_link",
            Self::TouchSession => "touch_session",
            Self::SubmitJob => "submit_job",
            Self::WriteInput => "write_input",
            Self::HideInput => "hide_input",
            Self::ResizeTerminal => "resize_terminal",
            Self::TakeControl => "take_control",
            Self::GiveControl => "give_control",
            Self::RefuseStatement => "refuse_statement",
            Self::InterruptJob => "interrupt_job",
            Self::AdvanceCursor => "advance_cursor",
            Self::ReportStarted => "report_started",
            Self::ReportResult => "report_result",
            Self::ReportScreen => "report_screen",
            Self::ReportFinished => "report_finished",
            Self::RedactRecords => "redact_records",
            Self::RemoveSession => "remove_session",
            Self::Expire => "expire",
            Self::ExpireConsumers => "expire_consumers",
            Self::Resume => "resume",
            Self::InterruptAll => "interrupt_all",
        }
    }

    pub(crate) const fn of(command: &Command) -> Self {
        match command {
            Command::CreateSession(_) => Self::CreateSession,
            Command::JoinSession { .. } => Self::JoinSession,
            Command::LeaveSession { .. } => Self::LeaveSession,
            Command::CloseSession { .. } => Self::CloseSession,
            Command::SetUser { .. } => Self::SetUser,
            Command::DescribeSession(_) => Self::DescribeSession,
            Command::NoteLink { .. } => Self::NoteLink,
            Command::TouchSession { .. } => Self::TouchSession,
            Command::SubmitJob(_) => Self::SubmitJob,
            Command::WriteInput { .. } => Self::WriteInput,
            Command::HideInput { .. } => Self::HideInput,
            Command::ResizeTerminal { .. } => Self::ResizeTerminal,
            Command::TakeControl { .. } => Self::TakeControl,
            Command::GiveControl { .. } => Self::GiveControl,
            Command::RefuseStatement { .. } => Self::RefuseStatement,
            Command::InterruptJob { .. } => Self::InterruptJob,
            Command::AdvanceCursor { .. } => Self::AdvanceCursor,
            Command::ReportStarted { .. } => Self::ReportStarted,
            Command::ReportResult { .. } => Self::ReportResult,
            Command::ReportScreen { .. } => Self::ReportScreen,
            Command::ReportFinished { .. } => Self::ReportFinished,
            Command::RedactRecords { .. } => Self::RedactRecords,
            Command::RemoveSession { .. } => Self::RemoveSession,
            Command::Expire => Self::Expire,
            Command::ExpireConsumers => Self::ExpireConsumers,
            Command::Resume { .. } => Self::Resume,
            Command::InterruptAll => Self::InterruptAll,
        }
    }
}

/// A label of a metric: a small enum whose variants have names.
///
/// Invariant: `ALL[label as usize]` is `label`.
pub trait Label: Copy + PartialEq + fmt::Debug + 'static {
    /// All, in the order of their declaration.
    const LABELS: &'static [Self];

    /// Its index in `LABELS`.
    fn index(self) -> usize;

    /// The value of its metric label.
    fn label(self) -> &'static str;
}

macro_rules! label {
    ($name:ident, $label:path) => {
        impl Label for $name {
            const LABELS: &'static [Self] = &Self::ALL;

            fn index(self) -> usize {
                self as usize
            }

            fn label(self) -> &'static str {
                $label(self)
            }
        }

        // ALL in another order than the declaration does not compile.
        const _: () = {
            let mut index = 0;
            while index < $name::ALL.len() {
                assert!($name::ALL[index] as usize == index);
                index += 1;
            }
        };
    };
}

label!(CloseCause, CloseCause::name);
label!(LeaveCause, LeaveCause::name);
label!(Outcome, Outcome::name);
label!(RejectionKind, RejectionKind::code);
label!(CommandKind, CommandKind::name);

/// Totals by label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Totals<L> {
    counts: Vec<u64>,
    label: PhantomData<L>,
}

impl<L: Label> Totals<L> {
    /// The total of one label.
    pub fn get(&self, label: L) -> u64 {
        self.counts.get(label.index()).copied().unwrap_or_default()
    }

    /// Every label with its total, in the order of their declaration.
    pub fn iter(&self) -> impl Iterator<Item = (L, u64)> {
        L::LABELS.iter().copied().zip(self.counts.iter().copied())
    }

    /// The total of all labels.
    pub fn sum(&self) -> u64 {
        self.counts.iter().sum()
    }
}

/// One counter for each label.
#[derive(Debug)]
struct Counters<L, const N: usize> {
    counters: [Counter; N],
    label: PhantomData<L>,
}

impl<L: Label, const N: usize> Counters<L, N> {
    fn new() -> Self {
        Self {
            counters: std::array::from_fn(|_| Counter::default()),
            label: PhantomData,
        }
    }

    fn inc(&self, label: L) {
        if let Some(counter) = self.counters.get(label.index()) {
            counter.inc();
        }
    }

    fn read(&self) -> Totals<L> {
        Totals {
            counts: self.counters.iter().map(Counter::get).collect(),
            label: PhantomData,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rejoin_core::JobId;
    use std::collections::BTreeSet;

    #[test]
    fn every_label_has_a_name_of_its_own() {
        fn names<L: Label>() -> Vec<&'static str> {
            L::LABELS.iter().map(|label| label.label()).collect()
        }
        for names in [
            names::<CloseCause>(),
            names::<LeaveCause>(),
            names::<Outcome>(),
            names::<RejectionKind>(),
            names::<CommandKind>(),
        ] {
            let distinct: BTreeSet<_> = names.iter().collect();
            assert_eq!(distinct.len(), names.len(), "{names:?}");
        }
        assert_eq!(Outcome::TimedOut.label(), "timed-out");
        assert_eq!(LeaveCause::SessionClosed.label(), "session-closed");
        assert_eq!(
            CommandKind::of(&Command::InterruptAll).label(),
            "interrupt_all"
        );
    }

    #[test]
    fn a_refusal_is_counted_by_kind_and_by_reason() {
        let counts = Counts::new();
        let kind = CommandKind::InterruptAll;
        counts.decided(kind, &Err::<(), _>(Rejection::JobNotFound(JobId(1))));
        counts.decided(kind, &Ok(()));
        assert_eq!(counts.refused.read().get(kind), 1);
        assert_eq!(counts.accepted.read().get(kind), 1);
        assert_eq!(counts.rejections.read().get(RejectionKind::JobNotFound), 1);
        assert_eq!(counts.rejections.read().sum(), 1);
    }
}
