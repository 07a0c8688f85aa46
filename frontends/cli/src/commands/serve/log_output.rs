//! The server's log lines on standard error, or in systemd's journal.
//!
//! Standard error may be a full disk, a pipe without a reader, or one whose reader has stopped. A
//! thread of its own writes the lines, so that nothing else fails or waits because of it. Lines that
//! could not be written are counted.

use crate::commands::serve::journal::{Journal, JournalEntries};
use crate::settings::{LogFormat, LogLevel, Settings};
use rejoin_metrics::Counter;
use std::collections::VecDeque;
use std::io::{self, IsTerminal, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// The lines on their way to standard error. Dropping it waits for those that are under way, for
/// [`PATIENCE`] at most.
#[derive(Debug)]
pub(super) struct LogOutput {
    queue: Arc<Queue>,
}

impl LogOutput {
    /// Starts logging as configured. Call it once.
    ///
    /// # Errors
    ///
    /// When the thread can't be started, or there is no journal.
    pub(super) fn start(settings: &Settings) -> io::Result<Self> {
        let level = match settings.log_level.unwrap_or_default() {
            LogLevel::Error => LevelFilter::ERROR,
            LogLevel::Warn => LevelFilter::WARN,
            LogLevel::Info => LevelFilter::INFO,
            LogLevel::Debug => LevelFilter::DEBUG,
            LogLevel::Trace => LevelFilter::TRACE,
        };
        let queue = Arc::new(Queue::default());
        let (source, target) = (queue.clone(), queue.clone());
        let format = settings.log_format.unwrap_or_default();
        let out: Box<dyn Write + Send> = match format {
            LogFormat::Human | LogFormat::Json => Box::new(io::stderr()),
            LogFormat::Journald => Box::new(Journal::connect()?),
        };
        thread::Builder::new()
            .name("rejoin-stderr".into())
            .spawn(move || source.write_all_to(out))?;
        let builder = tracing_subscriber::fmt()
            .with_writer(move || Line(target.clone()))
            // It reports a failed write with `eprintln!`, which panics.
            .log_internal_errors(false)
            .with_max_level(level);
        match format {
            LogFormat::Human => {
                let builder = builder.with_ansi(io::stderr().is_terminal());
                builder.with_target(false).finish().with(filter()).init();
            }
            LogFormat::Json => {
                let builder = builder.json().flatten_event(true);
                builder.finish().with(filter()).init();
            }
            LogFormat::Journald => {
                let builder = builder.event_format(JournalEntries);
                builder.finish().with(filter()).init();
            }
        }
        Ok(Self { queue })
    }

    /// Waits until all lines are written, for [`PATIENCE`] at most.
    pub(super) fn flush(&self) {
        let pending = self.queue.lock();
        let is_busy = |pending: &mut Pending| pending.is_writing || !pending.lines.is_empty();
        // A guard or a poisoned lock: either way the waiting is over.
        let _ = self
            .queue
            .changed
            .wait_timeout_while(pending, PATIENCE, is_busy);
    }

    /// Counts the lines that were lost.
    pub(super) fn lost(&self) -> Arc<Counter> {
        self.queue.lost.clone()
    }
}

/// The client of NATS logs each try to connect; whether its servers answer is said elsewhere.
fn filter() -> Targets {
    Targets::new()
        .with_default(LevelFilter::TRACE)
        .with_target("async_nats", LevelFilter::WARN)
}

impl Drop for LogOutput {
    fn drop(&mut self) {
        self.flush();
    }
}

/// Takes one line, which tracing-subscriber writes as a whole.
struct Line(Arc<Queue>);

impl Write for Line {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.push(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[derive(Debug, Default)]
struct Queue {
    pending: Mutex<Pending>,
    changed: Condvar,
    lost: Arc<Counter>,
}

#[derive(Debug, Default)]
struct Pending {
    lines: VecDeque<Vec<u8>>,
    /// The length of all lines.
    bytes: usize,
    is_writing: bool,
}

impl Queue {
    fn push(&self, line: &[u8]) {
        let mut pending = self.lock();
        if pending.bytes + line.len() > WAITING_BYTES {
            self.lost.inc();
            return;
        }
        pending.bytes += line.len();
        pending.lines.push_back(line.to_vec());
        self.changed.notify_all();
    }

    /// Never returns.
    fn write_all_to(&self, mut out: impl Write) {
        loop {
            let line = self.next();
            if out.write_all(&line).and_then(|()| out.flush()).is_err() {
                self.lost.inc();
            }
        }
    }

    /// Waits for the next line.
    fn next(&self) -> Vec<u8> {
        let mut pending = self.lock();
        pending.is_writing = false;
        self.changed.notify_all();
        loop {
            if let Some(line) = pending.lines.pop_front() {
                pending.bytes -= line.len();
                pending.is_writing = true;
                return line;
            }
            pending = self
                .changed
                .wait(pending)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Also after another holder has panicked: no change under this lock can fail half-way.
    fn lock(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Bytes of lines that may wait to be written. Further lines are lost.
const WAITING_BYTES: usize = 1024 * 1024;

/// How long the end of the server waits for standard error.
const PATIENCE: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    /// Each write waits for a permission, and then succeeds or fails.
    struct Slow {
        may: mpsc::Receiver<bool>,
        written: mpsc::Sender<String>,
    }

    impl Write for Slow {
        fn write(&mut self, line: &[u8]) -> io::Result<usize> {
            match self.may.recv() {
                Ok(true) => {
                    self.written
                        .send(String::from_utf8_lossy(line).into())
                        .map_err(io::Error::other)?;
                    Ok(line.len())
                }
                _ => Err(io::ErrorKind::StorageFull.into()),
            }
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lines_that_cannot_be_written_are_counted_and_nothing_waits() {
        let queue = Arc::new(Queue::default());
        let (permit, may) = mpsc::channel();
        let (written, lines) = mpsc::channel();
        let writer = queue.clone();
        thread::spawn(move || writer.write_all_to(Slow { may, written }));

        queue.push(b"fails");
        queue.push(b"works");
        permit.send(false).unwrap();
        permit.send(true).unwrap();
        assert_eq!(lines.recv().unwrap(), "works");
        assert_eq!(queue.lost.get(), 1);

        // Nothing is written any more.
        let line = vec![b'x'; WAITING_BYTES / 4];
        (0..100).for_each(|_| queue.push(&line));
        assert!(queue.lost.get() >= 90, "{}", queue.lost.get());
        assert!(queue.lock().bytes <= WAITING_BYTES);
    }
}
