//! `rejoin attach`: a session as it was and as it goes on, shown as a replay shows it.

use crate::args::AttachArgs;
use crate::client::ClientError;
use crate::client::api::Api;
use crate::client::event::SessionEvent;
use crate::client::resolve::{identity, resolve};
use crate::client::stream::{Events, Next, line};
use crate::commands::replay::may_be_styled;
use crate::offline::{Bound, View, Viewer};
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
        // Which sequence that is, only the events say.
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
            // What has come is seen before more is waited for.
            Next::Nothing => {
                screen.out.flush().map_err(unwritten)?;
                may_wait = true;
            }
            Next::End => return screen.out.flush().map_err(unwritten),
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
        let told = SessionEvent::parse(event).map_err(|error| {
            ClientError::Lost(format!("the server sends an event that is none: {error}"))
        })?;
        let is_wanted = self.from.is_none_or(|from| told.at() >= from);
        if self.is_json {
            return match is_wanted {
                true => writeln!(self.out, "{}", line(event)).map_err(unwritten),
                false => Ok(()),
            };
        }
        let sequence = Sequence(told.sequence);
        let record = told.record(self.session);
        let covered_sequences = record.as_ref().map(Record::covered_sequences);
        let missing = self
            .viewer
            .pass(&covered_sequences.unwrap_or(sequence..=sequence));
        if !is_wanted {
            return Ok(());
        }
        let shown = record.and_then(|record| self.view.show(&record));
        for shown in missing.iter().chain(&shown) {
            let bytes = self.viewer.bytes(shown);
            self.out.write_all(&bytes).map_err(unwritten)?;
        }
        Ok(())
    }
}

fn unwritten(error: io::Error) -> ClientError {
    ClientError::Local("cannot write the output", error)
}
