//! What the engine can say of itself in numbers, for whoever operates it.
//!
//! Counted where things happen, by atomic additions; nothing is decided by them, and none is a
//! fold of the log: totals begin with the process.

use crate::published::Published;
use rejoin_core::{CloseCause, Command, Event, LeaveCause, Outcome, Record, Rejection};
use rejoin_metrics::{Counter, Gauge, Histogram, HistogramSnapshot};

/// The engine's numbers at one time. Totals are since the engine was started.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Stats {
    /// Sessions that are open.
    pub sessions: u64,
    /// Sessions that were created.
    pub sessions_created: u64,
    /// Sessions that were closed, by cause.
    pub sessions_closed: Vec<(&'static str, u64)>,
    /// Consumers of open sessions.
    pub consumers: u64,
    /// Consumers that joined.
    pub consumers_joined: u64,
    /// Consumers that left, by cause.
    pub consumers_left: Vec<(&'static str, u64)>,
    /// Jobs that were submitted and have not finished.
    pub jobs: u64,
    /// Jobs that were submitted.
    pub jobs_submitted: u64,
    /// Jobs that finished, by outcome.
    pub jobs_finished: Vec<(&'static str, u64)>,
    /// Results that jobs emitted.
    pub results: u64,
    /// Their bytes, as they are logged.
    pub result_bytes: u64,
    /// Records that were appended to the log.
    pub records: u64,
    /// How many records each append carried.
    pub batches: HistogramSnapshot,
    /// Commands that the state accepted, by kind.
    pub accepted: Vec<(&'static str, u64)>,
    /// Commands that the state refused, by kind.
    pub refused: Vec<(&'static str, u64)>,
    /// Commands that the state refused, by reason: [`Rejection::code`].
    pub rejections: Vec<(&'static str, u64)>,
    /// Requests that wait to be decided.
    pub queue: u64,
    /// How many may.
    pub queue_limit: u64,
    /// Requests that found the queue full.
    pub overloaded: u64,
    /// Pulls that are open.
    pub pulls: u64,
    /// About the bytes of recent records in memory.
    pub recent_bytes: u64,
    /// How many bytes they may have.
    pub recent_limit: u64,
    /// Reads of records that were served from memory.
    pub recent_hits: u64,
    /// Reads of records that the log had to be asked for.
    pub recent_misses: u64,
    /// Whether it takes commands.
    pub status: EngineStatus,
}

/// How far an engine has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EngineStatus {
    /// It takes commands.
    Running,
    /// It was told to end, takes no more jobs, and waits for those that run.
    ShuttingDown,
    /// It has ended, for whatever reason.
    Stopped,
}

/// Where the engine counts.
#[derive(Debug)]
pub(crate) struct Counts {
    /// Consumers that there were when the engine was started.
    consumers_at_start: u64,
    sessions_created: Counter,
    sessions_closed: [Counter; CLOSE_CAUSES.len()],
    consumers_joined: Counter,
    consumers_left: [Counter; LEAVE_CAUSES.len()],
    jobs_submitted: Counter,
    jobs_finished: [Counter; OUTCOMES.len()],
    results: Counter,
    result_bytes: Counter,
    records: Counter,
    batches: Histogram,
    accepted: [Counter; KINDS.len()],
    refused: [Counter; KINDS.len()],
    rejections: [Counter; REASONS.len()],
    pub(crate) overloaded: Counter,
    pub(crate) pulls: Gauge,
    pub(crate) recent_hits: Counter,
    pub(crate) recent_misses: Counter,
}

impl Counts {
    /// Nothing has happened yet, and so many consumers were there before.
    pub(crate) fn new(consumers_at_start: u64) -> Self {
        Self {
            consumers_at_start,
            sessions_created: Counter::default(),
            sessions_closed: Default::default(),
            consumers_joined: Counter::default(),
            consumers_left: Default::default(),
            jobs_submitted: Counter::default(),
            jobs_finished: Default::default(),
            results: Counter::default(),
            result_bytes: Counter::default(),
            records: Counter::default(),
            batches: Histogram::new(&[1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1_024]),
            accepted: Default::default(),
            refused: Default::default(),
            rejections: Default::default(),
            overloaded: Counter::default(),
            pulls: Gauge::default(),
            recent_hits: Counter::default(),
            recent_misses: Counter::default(),
        }
    }

    /// A batch was appended.
    pub(crate) fn batch(&self, records: usize) {
        let records = u64::try_from(records).unwrap_or(u64::MAX);
        self.batches.observe(records);
        self.records.add(records);
    }

    /// A durable record.
    pub(crate) fn record(&self, record: &Record) {
        match &record.event {
            Event::SessionCreated { .. } => self.sessions_created.inc(),
            Event::SessionClosed { cause } => self.sessions_closed[*cause as usize].inc(),
            Event::ConsumerJoined { .. } => self.consumers_joined.inc(),
            Event::ConsumerLeft { cause, .. } => self.consumers_left[*cause as usize].inc(),
            Event::JobSubmitted { .. } => self.jobs_submitted.inc(),
            Event::JobFinished { outcome, .. } => self.jobs_finished[*outcome as usize].inc(),
            Event::ResultEmitted { result, .. } => {
                self.results.inc();
                self.result_bytes.add(result.len() as u64);
            }
            _ => {}
        }
    }

    /// A command of this kind was decided.
    pub(crate) fn decided<T>(&self, kind: Kind, outcome: &Result<T, Rejection>) {
        match outcome {
            Ok(_) => self.accepted[kind.0].inc(),
            Err(rejection) => {
                self.refused[kind.0].inc();
                let code = rejection.code();
                let reason = REASONS.iter().position(|known| *known == code);
                self.rejections[reason.unwrap_or(REASONS.len() - 1)].inc();
            }
        }
    }

    pub(crate) fn read(&self, published: &Published, queue: (usize, usize)) -> Stats {
        let (recent_bytes, recent_limit) = published.recent_bytes();
        let left = named(LEAVE_CAUSES, &self.consumers_left);
        let finished = named(OUTCOMES, &self.jobs_finished);
        let sum = |counts: &[(&str, u64)]| counts.iter().map(|(_, count)| count).sum();
        let joined = self.consumers_at_start + self.consumers_joined.get();
        let submitted = self.jobs_submitted.get();
        Stats {
            sessions: published.view(|views| views.open_count()) as u64,
            sessions_created: self.sessions_created.get(),
            sessions_closed: named(CLOSE_CAUSES, &self.sessions_closed),
            consumers: joined.saturating_sub(sum(&left)),
            consumers_joined: self.consumers_joined.get(),
            consumers_left: left,
            jobs: submitted.saturating_sub(sum(&finished)),
            jobs_submitted: submitted,
            jobs_finished: finished,
            results: self.results.get(),
            result_bytes: self.result_bytes.get(),
            records: self.records.get(),
            batches: self.batches.read(),
            accepted: named(KINDS, &self.accepted),
            refused: named(KINDS, &self.refused),
            rejections: named(REASONS, &self.rejections),
            queue: queue.0 as u64,
            queue_limit: queue.1 as u64,
            overloaded: self.overloaded.get(),
            pulls: self.pulls.get(),
            recent_bytes,
            recent_limit,
            recent_hits: self.recent_hits.get(),
            recent_misses: self.recent_misses.get(),
            status: published.status(),
        }
    }
}

/// What kind of command it is: a place in [`KINDS`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kind(usize);

impl Kind {
    pub(crate) const fn of(command: &Command) -> Self {
        Self(match command {
            Command::CreateSession(_) => 0,
            Command::JoinSession { .. } => 1,
            Command::LeaveSession { .. } => 2,
            Command::CloseSession { .. } => 3,
            Command::SetUser { .. } => 4,
            Command::TouchSession { .. } => 5,
            Command::SubmitJob(_) => 6,
            Command::WriteInput { .. } => 7,
            Command::RefuseStatement { .. } => 8,
            Command::InterruptJob { .. } => 9,
            Command::AdvanceCursor { .. } => 10,
            Command::ReportStarted { .. } => 11,
            Command::ReportResult { .. } => 12,
            Command::ReportFinished { .. } => 13,
            Command::Expire => 14,
            Command::ExpireConsumers => 15,
            Command::Resume => 16,
            Command::InterruptAll => 17,
        })
    }
}

const KINDS: [&str; 18] = [
    "create_session",
    "join_session",
    "leave_session",
    "close_session",
    "set_user",
    "touch_session",
    "submit_job",
    "write_input",
    "refuse_statement",
    "interrupt_job",
    "advance_cursor",
    "report_started",
    "report_result",
    "report_finished",
    "expire",
    "expire_consumers",
    "resume",
    "interrupt_all",
];

/// The last is for those that were added to the core and not here.
const REASONS: [&str; 15] = [
    "consumer_not_found",
    "cursor_ahead",
    "input_ended",
    "job_not_found",
    "job_running",
    "no_foreground_job",
    "no_input",
    "output_limit_reached",
    "request_repeated",
    "request_taken",
    "session_exists",
    "session_not_found",
    "too_long",
    "too_many",
    "other",
];

const CLOSE_CAUSES: [&str; 2] = ["requested", "idle"];
const LEAVE_CAUSES: [&str; 3] = ["left", "expired", "session_closed"];
const OUTCOMES: [&str; 5] = ["completed", "failed", "interrupted", "timed_out", "lost"];

// Who adds a cause or an outcome behind these finds its name missing here.
const _: () = assert!(CloseCause::Idle as usize == CLOSE_CAUSES.len() - 1);
const _: () = assert!(LeaveCause::SessionClosed as usize == LEAVE_CAUSES.len() - 1);
const _: () = assert!(Outcome::Lost as usize == OUTCOMES.len() - 1);

fn named<const N: usize>(
    names: [&'static str; N],
    counts: &[Counter; N],
) -> Vec<(&'static str, u64)> {
    let counts = counts.iter().map(Counter::get);
    names.into_iter().zip(counts).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rejoin_core::{JobId, SessionId};

    #[test]
    fn every_cause_outcome_and_command_has_its_own_name() {
        assert_eq!(CLOSE_CAUSES[CloseCause::Requested as usize], "requested");
        assert_eq!(LEAVE_CAUSES[LeaveCause::Expired as usize], "expired");
        assert_eq!(OUTCOMES[Outcome::TimedOut as usize], "timed_out");
        let session = SessionId::from_bytes([1; 16]);
        let interrupt = Command::InterruptJob { session, job: None };
        for (command, name) in [
            (interrupt, "interrupt_job"),
            (Command::Expire, "expire"),
            (Command::InterruptAll, "interrupt_all"),
        ] {
            assert_eq!(KINDS[Kind::of(&command).0], name);
        }
    }

    #[test]
    fn a_refusal_is_counted_by_kind_and_by_reason() {
        let counts = Counts::new(0);
        let kind = Kind::of(&Command::InterruptAll);
        counts.decided(kind, &Err::<(), _>(Rejection::JobNotFound(JobId(1))));
        counts.decided(kind, &Ok(()));
        assert_eq!(named(KINDS, &counts.refused)[kind.0].1, 1);
        assert_eq!(named(KINDS, &counts.accepted)[kind.0].1, 1);
        assert!(named(REASONS, &counts.rejections).contains(&("job_not_found", 1)));
    }
}
