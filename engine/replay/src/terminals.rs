//! The terminals of a session: what they showed, for those who read it as lines, and for those who begin
//! in the middle.

use crate::output_of;
use rejoin_core::{Event, JobId, Record, Sequence, TerminalSize};
use rejoin_screen::{Screen, Transcript};
use std::collections::BTreeMap;

/// The terminals of the jobs that run.
#[derive(Debug, Default)]
pub struct Terminals(BTreeMap<JobId, Transcript>);

impl Terminals {
    /// Takes a record; returns the lines that can't change any more. None: it is not about the output of
    /// a terminal.
    pub fn take(&mut self, record: &Record) -> Option<Vec<u8>> {
        match &record.event {
            Event::JobSubmitted { job, output, .. } => {
                self.begin(*job, size_of(output.terminal()?));
                None
            }
            Event::ResultEmitted { job, result, .. } => {
                let transcript = self.0.get_mut(job)?;
                Some(text(transcript.feed(&output_of(result).bytes)))
            }
            Event::TerminalResized { job, size, .. } => self.resize(*job, size_of(*size)),
            Event::JobFinished { job, .. } => self.finish(*job),
            _ => None,
        }
    }

    /// A job with a terminal of this size begins.
    pub fn begin(&mut self, job: JobId, (columns, rows): (u16, u16)) {
        self.0.insert(job, Transcript::new(columns, rows));
    }

    /// Takes output; returns the lines that can't change any more. None: the job has no terminal.
    pub fn output(&mut self, job: JobId, bytes: &[u8]) -> Option<Vec<u8>> {
        Some(text(self.0.get_mut(&job)?.feed(bytes)))
    }

    /// Changes a size; returns the lines that can't change any more. None: the job has no terminal.
    pub fn resize(&mut self, job: JobId, (columns, rows): (u16, u16)) -> Option<Vec<u8>> {
        Some(text(self.0.get_mut(&job)?.resize(columns, rows)))
    }

    /// A job ends; returns the rest of its lines.
    pub fn finish(&mut self, job: JobId) -> Option<Vec<u8>> {
        Some(text(self.0.remove(&job)?.finish()))
    }

    /// The rest of the lines of all that run.
    pub fn finish_all(&mut self) -> Vec<u8> {
        let all = std::mem::take(&mut self.0);
        let lines = all.into_values().flat_map(Transcript::finish);
        text(lines.collect())
    }

    /// What they show now.
    pub fn screens(&self) -> impl Iterator<Item = (JobId, &Screen)> {
        self.0.iter().map(|(job, it)| (*job, it.screen()))
    }
}

fn text(lines: Vec<String>) -> Vec<u8> {
    let mut text = String::new();
    for line in lines {
        text.push_str(&line);
        text.push('\n');
    }
    text.into_bytes()
}

/// Columns and rows.
#[must_use]
pub const fn size_of(size: TerminalSize) -> (u16, u16) {
    (size.columns, size.rows)
}

/// The terminals at a place in the middle of a session. Computes their screens from the last that the log
/// has, so that only the output since then is interpreted.
#[derive(Debug, Default)]
pub struct PastTerminals(BTreeMap<JobId, PastTerminal>);

#[derive(Debug)]
struct PastTerminal {
    transcript: Transcript,
    /// What came since, and is not in the transcript.
    later: Vec<(Sequence, Later)>,
    later_bytes: usize,
}

#[derive(Debug)]
enum Later {
    Output(Vec<u8>),
    Size((u16, u16)),
}

impl PastTerminals {
    /// Takes a record before the place.
    pub fn take(&mut self, record: &Record) {
        match &record.event {
            Event::JobSubmitted { job, output, .. } => {
                if let Some(size) = output.terminal() {
                    self.0.insert(*job, PastTerminal::new(size_of(size)));
                }
            }
            Event::ResultEmitted { job, result, .. } => {
                if let Some(terminal) = self.0.get_mut(job) {
                    let later = Later::Output(output_of(result).bytes);
                    terminal.push(record.sequence, later);
                }
            }
            Event::TerminalResized { job, size, .. } => {
                if let Some(terminal) = self.0.get_mut(job) {
                    terminal.push(record.sequence, Later::Size(size_of(*size)));
                }
            }
            Event::ScreenCaptured {
                job,
                after,
                size,
                content,
                ..
            } => {
                if let Some(terminal) = self.0.get_mut(job) {
                    terminal.capture(*after, size_of(*size), content);
                }
            }
            Event::JobFinished { job, .. } => {
                self.0.remove(job);
            }
            _ => {}
        }
    }

    /// The terminals at the place.
    pub fn terminals(&mut self) -> Terminals {
        let all = std::mem::take(&mut self.0);
        let terminals = all.into_iter().map(|(job, mut terminal)| {
            terminal.fold();
            (job, terminal.transcript)
        });
        Terminals(terminals.collect())
    }
}

impl PastTerminal {
    fn new((columns, rows): (u16, u16)) -> Self {
        Self {
            transcript: Transcript::new(columns, rows),
            later: vec![],
            later_bytes: 0,
        }
    }

    fn push(&mut self, sequence: Sequence, later: Later) {
        if let Later::Output(bytes) = &later {
            self.later_bytes += bytes.len();
        }
        self.later.push((sequence, later));
        if self.later_bytes > LATER_BYTES {
            self.fold();
        }
    }

    fn capture(&mut self, after: Sequence, (columns, rows): (u16, u16), content: &str) {
        self.transcript = Transcript::new(columns, rows);
        // Lines that scrolled off before the place are not asked for.
        self.transcript.feed(content.as_bytes());
        self.later.retain(|(sequence, _)| *sequence > after);
        let bytes = self.later.iter().map(|(_, later)| match later {
            Later::Output(bytes) => bytes.len(),
            Later::Size(_) => 0,
        });
        self.later_bytes = bytes.sum();
    }

    fn fold(&mut self) {
        for (_, later) in std::mem::take(&mut self.later) {
            match later {
                Later::Output(bytes) => self.transcript.feed(&bytes),
                Later::Size((columns, rows)) => self.transcript.resize(columns, rows),
            };
        }
        self.later_bytes = 0;
    }
}

/// Output that waits for the next screen in the log, in bytes; more of it is interpreted. The server puts
/// screens into the log more often.
const LATER_BYTES: usize = 16 * 1024 * 1024;
