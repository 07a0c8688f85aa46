//! Searches the output of a session in the log, a bounded part in each call.

use crate::limits::{OUTPUT_BYTES, OUTPUT_TIME, READ_BYTES, READ_RECORDS, TURN};
use crate::lines::{LineMatch, Lines, Wanted};
use crate::pattern::Pattern;
use crate::position::OutputPlace;
use rejoin_engine::{Engine, JobId, PullError, ReadLimit, SessionId};
use std::time::Duration;

/// What is searched for in the output of a session.
///
/// ```
/// use rejoin_engine::testing::Hold;
/// use rejoin_engine::Engine;
/// use rejoin_search::{OutputSearch, Pattern, PatternOptions};
///
/// # smol::block_on(async {
/// let engine = Engine::in_memory().service("shell", Hold).open().await?;
/// let session = engine.create_session("shell").await?;
/// let pattern = Pattern::new("error", PatternOptions::default())?;
/// let search = OutputSearch::new(session.id(), pattern);
/// let found = search.run(&engine).await?;
/// assert!(found.lines.is_empty() && found.is_over);
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
#[derive(Clone, Debug)]
pub struct OutputSearch {
    /// The session.
    pub session: SessionId,
    /// What is searched for.
    pub pattern: Pattern,
    /// Only output of this job.
    pub job: Option<JobId>,
    /// Only output of this stream, `stdout`, `stderr` or `terminal`.
    pub stream: Option<String>,
    /// Where to begin.
    pub after: OutputPlace,
    /// How many lines are enough. There may be a few more.
    pub lines: usize,
}

/// What a search has found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The lines in the order in which they end.
    pub lines: Vec<LineMatch>,
    /// Where to go on.
    pub next: OutputPlace,
    /// Whether all of the session was searched, as far as it is now. If not, there may be more, even
    /// if nothing was found.
    pub is_over: bool,
}

impl OutputSearch {
    /// Searches all of a session's output from its beginning on, for a hundred lines.
    #[must_use]
    pub fn new(session: SessionId, pattern: Pattern) -> Self {
        Self {
            session,
            pattern,
            job: None,
            stream: None,
            after: OutputPlace::START,
            lines: 100,
        }
    }

    /// Searches a bounded part: 64 MiB of records at most, and for two seconds. The search goes on at
    /// [`Found::next`].
    ///
    /// A line is found once, also if searches end inside of it, with one exception: where a search ends
    /// in a line that began before everything else it has read, because output of another job or stream
    /// came between, the two parts of this line are searched each for itself.
    ///
    /// # Errors
    ///
    /// As [`Engine::read`].
    pub async fn run(&self, engine: &Engine) -> Result<Found, PullError> {
        let wanted = Wanted {
            pattern: &self.pattern,
            job: self.job,
            stream: self.stream.as_deref(),
        };
        let mut lines = Lines::new(wanted, self.after, self.lines.max(1));
        let limit = ReadLimit {
            records: READ_RECORDS,
            bytes: READ_BYTES,
        };
        let runtime = engine.runtime();
        let end = runtime.elapsed() + OUTPUT_TIME;
        let mut bytes = 0_u64;
        let mut is_over = false;
        while bytes < OUTPUT_BYTES as u64 && !lines.is_full() && !is_over && runtime.elapsed() < end
        {
            let read = engine.read(self.session, lines.read.after, limit, Duration::ZERO);
            let records = read.await?;
            is_over = records.is_empty();
            let mut turn = runtime.elapsed();
            for record in &records {
                if lines.is_full() {
                    break;
                }
                bytes += record.bytes();
                lines.add(record);
                if runtime.elapsed().saturating_sub(turn) > TURN {
                    runtime.timer(Duration::ZERO).await;
                    turn = runtime.elapsed();
                    if turn > end {
                        break;
                    }
                }
            }
        }
        let next = lines.finish(is_over);
        Ok(Found {
            lines: lines.found,
            next,
            is_over,
        })
    }
}
