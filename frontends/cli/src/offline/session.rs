//! Reads one session of a log, record by record.

use super::{Choice, Offline, OfflineError, Sessions, Span, View, Viewer};
use crate::args::SessionArgs;
use rejoin_core::Record;
use rejoin_log::segment::VerifyReport;

/// The session that the command line names, and the part of it to show.
#[derive(Debug)]
pub(crate) struct Session {
    log: Offline,
    pub(crate) choice: Choice,
    pub(crate) view: View,
    span: Span,
}

impl Session {
    /// Reads the log once to find the session.
    pub(crate) fn find(args: &SessionArgs) -> Result<Self, OfflineError> {
        let log = Offline::find(&args.directory)?;
        let mut sessions = Sessions::default();
        log.read(&mut |record| sessions.add(&record))?;
        let choice = sessions.choose(args.session.as_deref());
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

    /// Calls `take` with each record in the range and the bytes that show it on a terminal, including
    /// a note about records that are missing before it. Stops early when `take` returns false.
    pub(crate) fn read(
        &self,
        is_styled: bool,
        take: &mut dyn FnMut(&Record, Vec<u8>) -> bool,
    ) -> Result<VerifyReport, OfflineError> {
        let mut viewer = Viewer::new(is_styled);
        let mut continues = true;
        self.log.read(&mut |record| {
            if !continues || record.session != self.choice.session {
                return;
            }
            let missing = viewer.advance(&record.covered_sequences());
            if !self.span.contains(&record, self.choice.begin) {
                return;
            }
            let shown = self.view.show(&record);
            let shown = missing.iter().chain(&shown);
            let bytes = shown.flat_map(|shown| viewer.bytes(shown)).collect();
            continues = take(&record, bytes);
        })
    }
}
