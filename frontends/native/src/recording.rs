//! A session as a recording for players, as `rejoin export --format asciicast-v3` writes it.

use rejoin_engine::{Event, Record, SessionView};
use rejoin_replay::{Asciicast, DEFAULT_SIZE, Printer, Recording, Version, View, size_of};

/// Writes a recording, record by record.
pub(crate) struct RecordingWriter {
    view: View,
    printer: Printer,
    cast: Asciicast,
}

impl RecordingWriter {
    /// A recording of a session whose first terminal has this size, if it has any.
    pub(crate) fn new(
        version: Version,
        session: &SessionView,
        terminal: Option<(u16, u16)>,
        shows_private: bool,
    ) -> Self {
        let (columns, rows) = terminal.unwrap_or(DEFAULT_SIZE);
        let recording = Recording {
            version,
            columns,
            rows,
            idle_limit: None,
            // What was typed may be a secret that no program has shown.
            input: false,
        };
        let number = Some(session.number);
        Self {
            view: View {
                all: shows_private,
                events: false,
            },
            // A player has a terminal.
            printer: Printer::new(true),
            cast: Asciicast::new(recording, session.id, number, session.created),
        }
    }

    /// Adds the lines for the next record.
    pub(crate) fn add(&mut self, out: &mut Vec<u8>, record: &Record) {
        let missing = self.printer.advance(&record.covered_sequences());
        let shown = self.view.show(record);
        let shown = missing.iter().chain(&shown);
        let bytes: Vec<u8> = shown.flat_map(|shown| self.printer.bytes(shown)).collect();
        let is_visible = self.view.is_visible(record);
        out.extend_from_slice(self.cast.take(record, is_visible, &bytes).as_bytes());
    }
}

/// Whether no job of a session has a terminal, as far as the jobs that are remembered tell it. False: only
/// its records do.
pub(crate) fn has_no_terminal(session: &SessionView) -> bool {
    let mut has_terminal = false;
    let mut count = 0;
    for job in session.all_jobs() {
        has_terminal |= job.output.terminal().is_some();
        count += 1;
    }
    let last = session.all_jobs().next_back();
    !has_terminal && last.is_none_or(|last| last.job.0 == count)
}

/// Columns and rows of a terminal that a record opens.
pub(crate) fn opened_terminal(record: &Record) -> Option<(u16, u16)> {
    match &record.event {
        Event::JobSubmitted { output, .. } => output.terminal().map(size_of),
        _ => None,
    }
}
