//! Reads one session of a log, record by record.

use super::{Choice, Offline, OfflineError, Sessions, Span};
use crate::args::SessionArgs;
use rejoin_core::{Event, Record};
use rejoin_log::segment::VerifyReport;
use rejoin_replay::{PastTerminals, Printer, Rendered, Style, Terminals, View};

/// The session that the command line names, and the part of it to show.
#[derive(Debug)]
pub(crate) struct Session {
    log: Offline,
    pub(crate) choice: Choice,
    pub(crate) view: View,
    span: Span,
}

/// How the output of terminals is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TerminalOutput {
    /// As it was written.
    Bytes,
    /// As the lines that a person saw.
    Text,
}

/// What is read.
#[derive(Debug)]
pub(crate) enum Seen<'a> {
    /// The part begins while these terminals show something already. Only as bytes.
    Begun(&'a Terminals),
    /// A record of the part, and the bytes that show it on a terminal, after a note about records that
    /// are missing before it.
    Record(&'a Record, Vec<u8>),
    /// The part has ended; the rest of the text of terminals that have not.
    Ended(Vec<u8>),
}

impl Session {
    /// Reads the log once to find the session.
    pub(crate) fn find(args: &SessionArgs) -> Result<Self, OfflineError> {
        let (log, name) = Offline::find(&args.place, args.session.as_deref(), args.all)?;
        let mut sessions = Sessions::default();
        log.read(&mut |record| sessions.add(&record))?;
        let choice = sessions.choose(name);
        Ok(Self {
            log,
            choice: choice.map_err(OfflineError::Session)?,
            view: View {
                all: args.all,
                events: args.events,
            },
            span: Span {
                from: args.from,
                until: args.until,
            },
        })
    }

    /// Calls `take` with what is in the range. Stops early when it returns false.
    pub(crate) fn read(
        &self,
        is_styled: bool,
        output: TerminalOutput,
        take: &mut dyn FnMut(Seen<'_>) -> bool,
    ) -> Result<VerifyReport, OfflineError> {
        let mut printer = Printer::new(is_styled);
        let mut continues = true;
        let (mut past, mut text) = (Some(PastTerminals::default()), Terminals::default());
        let report = self.log.read(&mut |record| {
            if !continues || record.session != self.choice.session {
                return;
            }
            let missing = printer.advance(&record.covered_sequences());
            if !self.span.contains(&record, self.choice.begin) {
                if let Some(past) = past.as_mut().filter(|_| self.view.is_visible(&record)) {
                    past.take(&record);
                }
                return;
            }
            if let Some(mut past) = past.take() {
                let terminals = past.terminals();
                match output {
                    TerminalOutput::Text => text = terminals,
                    TerminalOutput::Bytes if terminals.screens().next().is_some() => {
                        continues = take(Seen::Begun(&terminals));
                        if !continues {
                            return;
                        }
                    }
                    TerminalOutput::Bytes => {}
                }
            }
            let is_text = output == TerminalOutput::Text && self.view.is_visible(&record);
            let lines = is_text.then(|| text.take(&record)).flatten();
            let is_output = matches!(record.event, Event::ResultEmitted { .. });
            let shown = self.view.show(&record);
            let shown = shown.filter(|_| !(is_output && lines.is_some()));
            let lines = lines.map(|bytes| Rendered {
                before: None,
                style: Style::Output,
                bytes,
            });
            let shown = missing.iter().chain(&lines).chain(&shown);
            let bytes = shown.flat_map(|shown| printer.bytes(shown)).collect();
            continues = take(Seen::Record(&record, bytes));
        })?;
        if continues {
            take(Seen::Ended(text.finish_all()));
        }
        Ok(report)
    }
}
