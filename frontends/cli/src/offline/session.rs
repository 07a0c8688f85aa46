//! One session of a log, record by record.

use super::{Choice, Offline, OfflineError, Sessions, Span, View, Viewer};
use crate::args::SessionArgs;
use rejoin_core::Record;
use rejoin_log::segment::VerifyReport;

/// A session that the command line names, and what of it is wanted.
#[derive(Debug)]
pub(crate) struct Session {
    log: Offline,
    pub(crate) choice: Choice,
    pub(crate) view: View,
    span: Span,
}

impl Session {
    /// Finds it: reads the log once, to know which sessions there are.
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

    /// Reads it: gives each record that is wanted, and the bytes that show it to a terminal, if it
    /// shows anything; what is missing before it is said among them. Ends early, and reads no
    /// more of the session, when `take` answers that this was enough.
    pub(crate) fn read(
        &self,
        is_styled: bool,
        take: &mut dyn FnMut(&Record, Vec<u8>) -> bool,
    ) -> Result<VerifyReport, OfflineError> {
        let mut viewer = Viewer::new(is_styled);
        let mut goes_on = true;
        self.log.read(&mut |record| {
            if !goes_on || record.session != self.choice.session {
                return;
            }
            let missing = viewer.pass(&record.covered_sequences());
            if !self.span.holds(&record, self.choice.begin) {
                return;
            }
            let shown = self.view.show(&record);
            let shown = missing.iter().chain(&shown);
            let bytes = shown.flat_map(|shown| viewer.bytes(shown)).collect();
            goes_on = take(&record, bytes);
        })
    }
}
