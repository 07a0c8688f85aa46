//! Plays the terminals of jobs on a terminal of any size.

use crate::terminal::Display;
use crate::terminal::limits::REPLAY_LINES;
use rejoin_core::{Event, JobId, Record};
use rejoin_replay::{Terminals, output_of, size_of};
use std::collections::VecDeque;
use std::io::{self, Write};

/// Where terminals are played: one at a time, as a picture; its lines stay when it has ended.
#[derive(Debug)]
pub(super) struct Theatre {
    /// Columns and rows of the terminal here.
    size: (u16, u16),
    terminals: Terminals,
    /// The terminal that is played.
    stage: Option<Stage>,
}

#[derive(Debug)]
struct Stage {
    job: JobId,
    display: Display<Vec<u8>>,
    /// What is shown after it.
    held: VecDeque<Vec<u8>>,
}

impl Theatre {
    pub(super) fn new(size: (u16, u16)) -> Self {
        Self {
            size,
            terminals: Terminals::default(),
            stage: None,
        }
    }

    /// Whether a record changes a terminal's picture.
    pub(super) fn pictures(&self, record: &Record) -> bool {
        match (&record.event, &self.stage) {
            (Event::TerminalResized { job, .. }, Some(stage)) => *job == stage.job,
            _ => false,
        }
    }

    /// The replay begins while these terminals show something.
    pub(super) fn resume(&mut self, terminals: &Terminals, out: &mut dyn Write) -> io::Result<()> {
        for (job, screen) in terminals.screens() {
            self.terminals.begin(job, screen.size());
            let content = screen.content();
            self.terminals.output(job, content.as_bytes());
            if self.stage.is_none() {
                self.open(job, screen.size(), content.as_bytes(), out)?;
            }
        }
        Ok(())
    }

    /// Takes a record, which shows these bytes unless it is a terminal's output.
    pub(super) fn take(
        &mut self,
        record: &Record,
        bytes: &[u8],
        out: &mut dyn Write,
    ) -> io::Result<()> {
        let text = self.terminals.take(record);
        if let Event::JobSubmitted { job, output, .. } = &record.event
            && let Some(size) = output.terminal()
            && self.stage.is_none()
        {
            out.write_all(bytes)?;
            return self.open(*job, size_of(size), b"", out);
        }
        let job = match &record.event {
            Event::ResultEmitted { job, .. }
            | Event::TerminalResized { job, .. }
            | Event::JobFinished { job, .. } => Some(*job),
            _ => None,
        };
        let Some(stage) = self.stage.as_mut().filter(|it| job == Some(it.job)) else {
            // A terminal that is not played is shown by its lines.
            let is_output = matches!(record.event, Event::ResultEmitted { .. });
            let shown = text.filter(|_| is_output);
            return self.show(shown.as_deref().unwrap_or(bytes), out);
        };
        match &record.event {
            Event::ResultEmitted { result, .. } => {
                stage.display.output(&output_of(result).bytes)?;
                stage.hold(text.unwrap_or_default());
                Ok(())
            }
            Event::TerminalResized { size, .. } => {
                stage.display.set_job(size_of(*size))?;
                stage.hold(text.unwrap_or_default());
                Ok(())
            }
            _ => {
                stage.hold(text.unwrap_or_default());
                self.close(out)?;
                // The lines have ended, whatever the last byte was.
                out.write_all(bytes.strip_prefix(b"\n").unwrap_or(bytes))
            }
        }
    }

    /// Shows what was taken.
    pub(super) fn flush(&mut self, out: &mut dyn Write) -> io::Result<()> {
        match &mut self.stage {
            Some(stage) => {
                stage.display.flush()?;
                out.write_all(&stage.display.take_written())
            }
            None => Ok(()),
        }
    }

    /// The replay ends.
    pub(super) fn end(&mut self, out: &mut dyn Write) -> io::Result<()> {
        self.close(out)?;
        out.write_all(&self.terminals.finish_all())
    }

    fn open(
        &mut self,
        job: JobId,
        size: (u16, u16),
        content: &[u8],
        out: &mut dyn Write,
    ) -> io::Result<()> {
        let mut display = Display::new(vec![], size, self.size);
        display.set_title("replay, ");
        display.paint_from_now(size, content)?;
        self.stage = Some(Stage {
            job,
            display,
            held: VecDeque::new(),
        });
        self.flush(out)
    }

    fn close(&mut self, out: &mut dyn Write) -> io::Result<()> {
        let Some(mut stage) = self.stage.take() else {
            return Ok(());
        };
        stage.display.leave()?;
        out.write_all(&stage.display.take_written())?;
        for held in stage.held {
            out.write_all(&held)?;
        }
        Ok(())
    }

    fn show(&mut self, bytes: &[u8], out: &mut dyn Write) -> io::Result<()> {
        match &mut self.stage {
            Some(stage) => {
                stage.hold(bytes.to_vec());
                Ok(())
            }
            None => out.write_all(bytes),
        }
    }
}

impl Stage {
    /// Keeps what is to be shown after the picture.
    fn hold(&mut self, bytes: Vec<u8>) {
        if bytes.is_empty() {
            return;
        }
        self.held.push_back(bytes);
        while self.held.len() > REPLAY_LINES {
            self.held.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rejoin_core::testing::{instant, record_at};
    use rejoin_core::{JobMode, JobOutput, JobSlot, Outcome, TerminalSize, Visibility};
    use rejoin_screen::Screen;
    use std::time::Duration;

    #[test]
    fn a_terminal_is_played_on_another_size_and_its_lines_stay() {
        let job = JobId(1);
        let mode = JobMode {
            slot: JobSlot::Foreground,
            visibility: Visibility::Session,
        };
        let submitted = Event::JobSubmitted {
            job,
            mode,
            statement: "seq".into(),
            timeout: Duration::ZERO,
            output_limit: 0,
            request: None,
            input: true,
            output: JobOutput::Terminal(TerminalSize {
                columns: 20,
                rows: 3,
            }),
            controller: None,
        };
        let said = Event::ResultEmitted {
            job,
            mode,
            result: r#"{"content":"1\r\n2\r\n3\r\n4","type":"terminal"}"#.into(),
            position: None,
        };
        let finished = Event::JobFinished {
            job,
            mode,
            outcome: Outcome::Completed,
            status: 0,
            message: None,
        };
        let mut theatre = Theatre::new((30, 8));
        let mut local = Screen::new(30, 8);
        let mut shown = |event: Event, bytes: &str| {
            let record = record_at(1, instant(1), event);
            let mut out = vec![];
            theatre.take(&record, bytes.as_bytes(), &mut out).unwrap();
            theatre.flush(&mut out).unwrap();
            // As a terminal's line discipline does.
            let text = String::from_utf8(out).unwrap();
            local.feed(text.replace("\r\n", "\n").replace('\n', "\r\n").as_bytes());
            (local.text(), local.is_alternate())
        };
        assert!(shown(submitted, "$ seq\n").1);
        let (text, is_alternate) = shown(said, "not this");
        assert!(is_alternate && text.starts_with("2\n3\n4\n"), "{text}");
        let (text, is_alternate) = shown(finished, "\n[job 1 completed]\n");
        assert_eq!(text.trim_end(), "$ seq\n1\n2\n3\n4\n[job 1 completed]");
        assert!(!is_alternate);
    }
}
