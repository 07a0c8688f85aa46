//! `rejoin attach`: shows a session from the beginning and follows it live, as a replay would.

use crate::args::AttachArgs;
use crate::client::ClientError;
use crate::client::api::Api;
use crate::client::event::SessionEvent;
use crate::client::resolve::{identity, resolve};
use crate::client::stream::{Events, Next, line};
use crate::commands::replay::may_be_styled;
use crate::offline::{Bound, View, Viewer, warn};
use rejoin_core::{Record, Sequence, SessionId, Timestamp};
use std::io::{self, BufWriter, IsTerminal, Write};

/// Shows the session until it ends.
pub(crate) fn attach(args: &AttachArgs) -> Result<(), ClientError> {
    let api = Api::new(&args.at.server)?;
    let shown = resolve(&api, &args.at.session)?;
    let (session, id) = identity(&shown)?;
    let (after, from) = match (args.no_history, args.since) {
        (true, _) => (shown["lastSequence"].as_u64().unwrap_or_default(), None),
        (false, None) => (0, None),
        (false, Some(Bound::Sequence(sequence))) => (sequence.saturating_sub(1), None),
        // The sequence is not known: read from the beginning and skip earlier events.
        (false, Some(Bound::Instant(instant))) => (0, Some(instant)),
        (false, Some(Bound::After(ago))) => {
            let now = u64::try_from(jiff::Timestamp::now().as_millisecond()).unwrap_or_default();
            let ago = u64::try_from(ago.as_millis()).unwrap_or(u64::MAX);
            (0, Some(Timestamp::from_millis(now.saturating_sub(ago))))
        }
    };
    let out = io::stdout();
    let is_styled = out.is_terminal() && may_be_styled(std::env::var_os("NO_COLOR"));
    let mut screen = Screen {
        session: id,
        from,
        is_json: args.json,
        view: View {
            all: false,
            events: args.events,
        },
        viewer: Viewer::after(is_styled, Sequence(after)),
        out: BufWriter::new(out.lock()),
    };
    let mut events = Events::after(&api, &session, after, args.reconnect_for.0);
    let mut may_wait = false;
    loop {
        match events.next(may_wait)? {
            Next::Event(event) => {
                may_wait = false;
                screen.take(&event)?;
            }
            // Show what has arrived before waiting for more.
            Next::Nothing => {
                screen.out.flush().map_err(write_error)?;
                may_wait = true;
            }
            Next::Restored => {
                screen.out.flush().map_err(write_error)?;
                warn(
                    "the server was restored from a backup, and has other events than those shown: \
                     the session begins again",
                );
                screen.viewer = Viewer::after(is_styled, Sequence::START);
                may_wait = true;
            }
            Next::End => return screen.out.flush().map_err(write_error),
        }
    }
}

struct Screen<'a> {
    session: SessionId,
    from: Option<Timestamp>,
    is_json: bool,
    view: View,
    viewer: Viewer,
    out: BufWriter<io::StdoutLock<'a>>,
}

impl Screen<'_> {
    fn take(&mut self, event: &str) -> Result<(), ClientError> {
        let decoded = SessionEvent::parse(event).map_err(|error| {
            ClientError::Lost(format!("the server sent an invalid event: {error}"))
        })?;
        let is_wanted = self.from.is_none_or(|from| decoded.at() >= from);
        if self.is_json {
            return match is_wanted {
                true => writeln!(self.out, "{}", line(event)).map_err(write_error),
                false => Ok(()),
            };
        }
        let sequence = Sequence(decoded.sequence);
        let record = decoded.record(self.session);
        let covered_sequences = record.as_ref().map(Record::covered_sequences);
        let missing = self
            .viewer
            .advance(&covered_sequences.unwrap_or(sequence..=sequence));
        if !is_wanted {
            return Ok(());
        }
        let shown = record.and_then(|record| self.view.show(&record));
        for shown in missing.iter().chain(&shown) {
            let bytes = self.viewer.bytes(shown);
            self.out.write_all(&bytes).map_err(write_error)?;
        }
        Ok(())
    }
}

fn write_error(error: io::Error) -> ClientError {
    ClientError::Local("cannot write the output", error)
}
