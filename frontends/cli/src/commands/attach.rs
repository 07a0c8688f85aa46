//! `rejoin attach`: shows a session from the beginning and follows it live, as a replay would, and takes
//! part in the terminal that runs.

use crate::args::AttachArgs;
use crate::client::ClientError;
use crate::client::api::Api;
use crate::client::event::SessionEvent;
use crate::client::resolve::{address_following, identity, resolve};
use crate::client::stream::{Events, Next, line};
use crate::commands::replay::may_be_styled;
use crate::offline::{Bound, warn};
use crate::terminal::{self, Attachment, Seat, Watcher};
use rejoin_core::{
    Event, JobId, JobMode, JobSlot, Record, Sequence, SessionId, Timestamp, Visibility,
};
use rejoin_replay::{Printer, Rendered, Style, Terminals, View, describe, output_of};
use serde_json::Value;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::time::Duration;

/// Shows the session until it ends.
pub(crate) fn attach(args: &AttachArgs) -> Result<(), ClientError> {
    let (api, name) = address_following(&args.at, args.connection.reconnecting.reconnect_for.0)?;
    let shown = resolve(&api, &name)?;
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
    let is_terminal = out.is_terminal();
    let is_styled = is_terminal && may_be_styled(std::env::var_os("NO_COLOR"));
    let takes_part = !args.json && terminal::are_terminals();
    let mut lines = Lines {
        session: id,
        from,
        is_json: args.json,
        view: View {
            all: false,
            events: args.events,
        },
        printer: Printer::after(is_styled, Sequence(after)),
        terminals: is_terminal.then(Terminals::default),
        out: BufWriter::new(out),
    };
    let mut events = Events::after(
        &api,
        &session,
        after,
        args.connection.reconnecting.reconnect_for.0,
    );
    let seat = |job| Seat {
        api: api.clone(),
        session: session.clone(),
        number: shown["number"].as_u64().unwrap_or_default(),
        job,
        client: uuid::Uuid::new_v4().to_string(),
        watcher: match args.watch || api.is_by_link() {
            true => Watcher::Reader,
            false => Watcher::Participant,
        },
        prefix: args.connection.prefix_key,
        status_when_left: 0,
    };
    // A terminal that began before what is wanted.
    let mut entered = running_terminal(&shown, after).filter(|_| takes_part);
    let mut may_wait = false;
    loop {
        if let Some(job) = entered.take() {
            lines.flush()?;
            events = lines.take_part(
                seat(job),
                &api,
                &session,
                args.connection.reconnecting.reconnect_for.0,
            )?;
            may_wait = false;
        }
        match events.next(may_wait)? {
            Next::Event(event) => {
                may_wait = false;
                let begun = lines.take(&event)?.filter(|_| takes_part);
                entered = begun.filter(|job| is_running(&api, &session, *job));
            }
            // Show what has arrived before waiting for more.
            Next::Nothing => {
                lines.flush()?;
                may_wait = true;
            }
            Next::Restored => {
                lines.flush()?;
                warn(
                    "the server was restored from a backup, and has other events than those shown: \
                     the session begins again",
                );
                lines.printer = Printer::after(is_styled, Sequence::START);
                may_wait = true;
            }
            Next::End => {
                lines.end()?;
                return lines.flush();
            }
        }
    }
}

/// The foreground job with a terminal that runs and was submitted at `after` or before.
fn running_terminal(session: &Value, after: u64) -> Option<u64> {
    let jobs = session["jobs"].as_array().into_iter().flatten();
    let mut running = jobs.filter(|job| {
        job["state"] != "finished"
            && job["place"] == "foreground"
            && !job["terminal"].is_null()
            && job["submittedSequence"]
                .as_u64()
                .is_some_and(|it| it <= after)
    });
    running.next().and_then(|job| job["job"].as_u64())
}

fn is_running(api: &Api, session: &str, job: u64) -> bool {
    let shown = api.get(&format!("/sessions/{session}/jobs/{job}"));
    shown.is_ok_and(|job| job["state"] != "finished")
}

/// The session as lines.
struct Lines {
    session: SessionId,
    from: Option<Timestamp>,
    is_json: bool,
    view: View,
    printer: Printer,
    /// The text of terminals; none: their bytes are passed on.
    terminals: Option<Terminals>,
    out: BufWriter<io::Stdout>,
}

impl Lines {
    /// Shows an event. Returns the job, if one with a terminal begins in the foreground.
    fn take(&mut self, event: &str) -> Result<Option<u64>, ClientError> {
        let decoded = SessionEvent::parse(event).map_err(|error| {
            ClientError::Lost(format!("the server sent an invalid event: {error}"))
        })?;
        let is_wanted = self.from.is_none_or(|from| decoded.at() >= from);
        if self.is_json {
            if is_wanted {
                writeln!(self.out, "{}", line(event)).map_err(write_error)?;
            }
            return Ok(None);
        }
        let begun = (decoded.kind() == "job-submitted" && decoded.is_foreground())
            .then(|| decoded.size().and(decoded.job))
            .flatten();
        let text = self.terminal_text(&decoded);
        let sequence = Sequence(decoded.sequence);
        let record = decoded.record(self.session);
        let covered_sequences = record.as_ref().map(Record::covered_sequences);
        let missing = self
            .printer
            .advance(&covered_sequences.unwrap_or(sequence..=sequence));
        if !is_wanted {
            return Ok(begun);
        }
        let is_output = matches!(
            record.as_ref().map(|it| &it.event),
            Some(Event::ResultEmitted { .. })
        );
        let shown = record.and_then(|record| self.view.show(&record));
        let shown = shown.filter(|_| !(is_output && text.is_some()));
        let text = text.map(|bytes| Rendered {
            before: None,
            style: Style::Output,
            bytes,
        });
        for shown in missing.iter().chain(&text).chain(&shown) {
            let bytes = self.printer.bytes(shown);
            self.out.write_all(&bytes).map_err(write_error)?;
        }
        Ok(begun)
    }

    /// The lines of a terminal that an event completes; none: it is not about a terminal's text.
    fn terminal_text(&mut self, event: &SessionEvent<'_>) -> Option<Vec<u8>> {
        let (terminals, job) = (self.terminals.as_mut()?, JobId(event.job?));
        match event.kind() {
            "job-submitted" => {
                terminals.begin(job, event.size()?);
                None
            }
            "result" => terminals.output(job, &output_of(event.result()?).bytes),
            "terminal-resized" => terminals.resize(job, event.size()?),
            "job-finished" => terminals.finish(job),
            _ => None,
        }
    }

    /// Takes part in a job's terminal until it ends; returns the events that follow.
    fn take_part(
        &mut self,
        seat: Seat,
        api: &Api,
        session: &str,
        patience: Duration,
    ) -> Result<Events, ClientError> {
        let job = JobId(seat.job);
        if let Some(terminals) = &mut self.terminals {
            terminals.finish(job);
        }
        seat.introduce();
        let (attachment, after) = Attachment::join(seat)?;
        let mut events = Events::after(api, session, after, patience);
        let ended = attachment.follow(&mut events)?;
        drop(attachment);
        events.warn_on_change();
        self.printer = Printer::after(self.printer.is_styled(), Sequence(events.last()));
        let event = Event::JobFinished {
            job,
            mode: JobMode {
                slot: JobSlot::Foreground,
                visibility: Visibility::Session,
            },
            outcome: ended.outcome,
            status: ended.status,
            message: ended.message.map(Into::into),
        };
        let note = Rendered {
            before: None,
            style: Style::Note,
            bytes: format!("[{}]", describe(&event).unwrap_or_default()).into_bytes(),
        };
        let bytes = self.printer.bytes(&note);
        self.out.write_all(&bytes).map_err(write_error)?;
        Ok(events)
    }

    /// Shows what has begun and will not end.
    fn end(&mut self) -> Result<(), ClientError> {
        let rest = self.terminals.as_mut().map(Terminals::finish_all);
        let rest = rest.unwrap_or_default();
        self.out.write_all(&rest).map_err(write_error)
    }

    fn flush(&mut self) -> Result<(), ClientError> {
        self.out.flush().map_err(write_error)
    }
}

fn write_error(error: io::Error) -> ClientError {
    ClientError::Local("cannot write the output", error)
}
