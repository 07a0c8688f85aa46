//! `rejoin run`: a command on a server as if it ran here.
//!
//! What enters: words, and standard input. What leaves: what the job writes, to where it wrote it,
//! and its status. Never: the job is submitted twice because an answer was lost, or output that
//! came is left out or written twice because the server was gone.

use super::sessions::print;
use crate::args::RunArgs;
use crate::client::ClientError;
use crate::client::api::Api;
use crate::client::event::SessionEvent;
use crate::client::input::{self, Sink};
use crate::client::limits::{FIRST_PAUSE, LONGEST_PAUSE};
use crate::client::quote::statement;
use crate::client::resolve::{not_ended, resolve};
use crate::client::stream::{Events, Next, line};
use crate::offline::{said, warn, words_of};
use async_signal::{Signal, Signals};
use futures::StreamExt;
use rejoin_core::{Event, Outcome, SessionId};
use serde_json::{Value, json};
use std::io::{self, BufWriter, IsTerminal, Write};
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

/// The status when the command could not be run, or how it ended is not known.
pub(crate) const UNUSABLE: u8 = 125;

/// Runs the command, and answers with its status.
pub(crate) fn run(args: &RunArgs) -> Result<ExitCode, ClientError> {
    let api = Api::new(&args.server)?;
    let place = Place::find(&api, args)?;
    // From here on, Ctrl-C is not the end of this process.
    let signals = Signals::new([Signal::Int, Signal::Term])
        .map_err(|error| ClientError::Local("cannot wait for signals", error))?;
    let has_input = !args.detach && !args.no_input && (args.input || !io::stdin().is_terminal());
    let (job, sequence) = match submit(&api, &place.session, args, has_input) {
        Ok(submitted) => submitted,
        Err(error) => {
            place.close(&api);
            return Err(error);
        }
    };
    let run = Run {
        job,
        is_json: args.json,
        place,
        api,
    };
    if args.verbose {
        let (number, session) = (run.place.number, &run.place.session);
        warn(&format!("job {job} in session {number} ({session})"));
    }
    if args.detach {
        run.detached()?;
        return Ok(ExitCode::SUCCESS);
    }
    run.heed(signals);
    if has_input {
        run.pass_input();
    }
    run.follow(sequence, args.reconnect_for.0)
}

/// The session that a job is run in.
struct Place {
    session: String,
    id: SessionId,
    number: u64,
    /// Whether it is closed at the end.
    is_passing: bool,
}

impl Place {
    fn find(api: &Api, args: &RunArgs) -> Result<Self, ClientError> {
        let shown = match &args.session {
            Some(name) => resolve(api, name)?,
            None => api.post("/sessions", &wanted(args))?,
        };
        let (session, id) = not_ended(&shown)?;
        Ok(Self {
            session,
            id,
            number: shown["number"].as_u64().unwrap_or_default(),
            is_passing: args.session.is_none() && !args.keep && !args.detach,
        })
    }

    /// Closes it, where it was for this run alone. It stays readable.
    fn close(&self, api: &Api) {
        if !self.is_passing {
            return;
        }
        if let Err(error) = api.delete(&format!("/sessions/{}", self.session)) {
            warn(&format!("session {} is left open: {error}", self.number));
        }
    }
}

fn wanted(args: &RunArgs) -> Value {
    let mut wanted = json!({});
    if let Some(user) = &args.user {
        wanted["user"] = user.as_str().into();
    }
    if let Some(service) = &args.service {
        wanted["service"] = service.as_str().into();
    }
    wanted
}

/// Submits the job under a name of its own, so that it can be submitted again where the answer got
/// lost: its number, and the sequence after which it is told of.
fn submit(
    api: &Api,
    session: &str,
    args: &RunArgs,
    has_input: bool,
) -> Result<(u64, u64), ClientError> {
    let mut new = json!({
        "statement": statement(&args.command),
        "request": uuid::Uuid::new_v4().to_string(),
        "input": has_input,
    });
    if let Some(timeout) = args.timeout {
        new["timeoutMillis"] = u64::try_from(timeout.0.as_millis())
            .unwrap_or(u64::MAX)
            .into();
    }
    let path = format!("/sessions/{session}/jobs");
    let mut pause = FIRST_PAUSE;
    let mut waited = Duration::ZERO;
    let submitted = loop {
        match api.post(&path, &new) {
            Err(error) if error.is_retryable() && waited < args.reconnect_for.0 => {
                thread::sleep(pause);
                waited += pause;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
            answer => break answer?,
        }
    };
    match (submitted["job"].as_u64(), submitted["sequence"].as_u64()) {
        (Some(job), Some(sequence)) => Ok((job, sequence)),
        _ => Err(ClientError::Lost(
            "the server does not say which job it is".to_owned(),
        )),
    }
}

/// A job that runs.
struct Run {
    api: Api,
    place: Place,
    job: u64,
    is_json: bool,
}

impl Run {
    fn detached(&self) -> Result<(), ClientError> {
        let (session, number) = (&self.place.session, self.place.number);
        match self.is_json {
            true => {
                let shown = json!({"session": session, "number": number, "job": self.job});
                print(&format!("{shown}\n"))
            }
            false => print(&format!("{session}\n")),
        }
    }

    /// Interrupts the job at the first signal, and leaves at the second.
    fn heed(&self, mut signals: Signals) {
        let api = self.api.clone();
        let (job, number) = (self.job, self.place.number);
        let path = format!("/sessions/{}/jobs/{job}/interrupt", self.place.session);
        thread::spawn(move || {
            let mut next = || smol::block_on(signals.next());
            if next().is_none() {
                return;
            }
            warn(&format!("interrupting job {job}; once more leaves at once"));
            // However long that takes, a second signal is heeded.
            thread::spawn(move || {
                let told = api.post(&path, &json!({}));
                match told {
                    Err(error) if !is_over(&error) => {
                        warn(&format!("the job cannot be interrupted: {error}"));
                    }
                    _ => {}
                }
            });
            if next().is_some() {
                warn(&format!(
                    "left: job {job} may still run; `rejoin attach {number}` shows it"
                ));
                std::process::exit(INTERRUPTED);
            }
        });
    }

    fn pass_input(&self) {
        let sink = Sink::new(&self.api, &self.place.session, self.job);
        thread::spawn(move || {
            // Not locked: a terminal's lines are taken as they come.
            let passed = input::pass(&sink, &mut io::stdin(), true);
            match passed {
                // A job need not read to the end.
                Err(error) if !is_over(&error) => {
                    warn(&format!("no more input is passed on: {error}"));
                }
                _ => {}
            }
        });
    }

    /// Writes what the job writes, until it ends.
    fn follow(&self, sequence: u64, patience: Duration) -> Result<ExitCode, ClientError> {
        let mut events = Events::after(&self.api, &self.place.session, sequence, patience);
        let mut output = Output::new();
        let mut may_wait = false;
        let followed = loop {
            let event = match events.next(may_wait)? {
                Next::Event(event) => event,
                Next::Nothing => {
                    may_wait = true;
                    match output.flush() {
                        Ok(()) => continue,
                        Err(error) => break Err(error),
                    }
                }
                Next::End => {
                    break Err(ClientError::Lost(format!(
                        "session {} has ended, and how job {} ended is not in it",
                        self.place.number, self.job
                    )));
                }
            };
            may_wait = false;
            match self.take(&event, &mut output) {
                Ok(None) => {}
                Ok(Some(status)) => break output.flush().map(|()| status),
                Err(error) => break Err(error),
            }
        };
        if followed.as_ref().is_err_and(ClientError::is_broken_pipe) {
            let path = format!(
                "/sessions/{}/jobs/{}/interrupt",
                self.place.session, self.job
            );
            // The job may have ended meanwhile.
            let _ = self.api.post(&path, &json!({}));
        }
        self.place.close(&self.api);
        match followed {
            Ok(status) => Ok(ExitCode::from(status)),
            Err(error) if error.is_broken_pipe() => Ok(ExitCode::from(UNREAD)),
            Err(error) => Err(error),
        }
    }

    /// Takes an event; a status when the job has ended with it.
    fn take(&self, event: &str, output: &mut Output) -> Result<Option<u8>, ClientError> {
        let told = SessionEvent::parse(event).map_err(|error| {
            ClientError::Lost(format!("the server sends an event that is none: {error}"))
        })?;
        if told.job.is_some_and(|job| job != self.job) {
            return Ok(None);
        }
        let is_of_the_job = told.job.is_some();
        let Some(record) = told.record(self.place.id) else {
            return Ok(None);
        };
        if self.is_json && is_of_the_job {
            output.line(event)?;
        }
        match &record.event {
            Event::ResultEmitted { result, .. } if !self.is_json => {
                output.write(result)?;
                Ok(None)
            }
            Event::RecordsLost { .. } => {
                output.flush()?;
                warn(&words_of(&record.event).unwrap_or_default());
                Ok(None)
            }
            Event::JobFinished {
                outcome,
                status,
                message,
                ..
            } => {
                // An ordinary failure has said itself what there is to say.
                let is_ordinary = matches!(outcome, Outcome::Completed)
                    || (matches!(outcome, Outcome::Failed) && message.is_none());
                if !is_ordinary {
                    output.flush()?;
                    warn(&words_of(&record.event).unwrap_or_default());
                }
                Ok(Some(exit_status(*outcome, *status)))
            }
            _ => Ok(None),
        }
    }
}

/// The job's status, where it is one that a process can end with.
fn exit_status(outcome: Outcome, status: i32) -> u8 {
    match (outcome, u8::try_from(status)) {
        // What did not succeed must not look so.
        (Outcome::Completed, Ok(status)) | (_, Ok(status @ 1..)) => status,
        _ => FAILED,
    }
}

/// Whether there is no such job to speak to any more.
fn is_over(error: &ClientError) -> bool {
    [
        "job_not_found",
        "session_not_found",
        "input_ended",
        "no_foreground_job",
    ]
    .iter()
    .any(|code| error.is_code(code))
}

/// Where what the job writes goes.
struct Output {
    out: BufWriter<io::Stdout>,
}

impl Output {
    fn new() -> Self {
        Self {
            out: BufWriter::new(io::stdout()),
        }
    }

    fn write(&mut self, result: &str) -> Result<(), ClientError> {
        let said = said(result);
        let written = match said.is_error {
            false => self.out.write_all(&said.bytes),
            // In the order in which it came, where both are the same terminal.
            true => self.out.flush().map(|()| {
                // Nobody may be there to read it, and the job's output is wanted all the same.
                let _ = io::stderr().write_all(&said.bytes);
            }),
        };
        written.map_err(unwritten)
    }

    fn line(&mut self, event: &str) -> Result<(), ClientError> {
        writeln!(self.out, "{}", line(event)).map_err(unwritten)
    }

    fn flush(&mut self) -> Result<(), ClientError> {
        // `Stdout` keeps a line that has not ended for itself.
        self.out.flush().map_err(unwritten)
    }
}

fn unwritten(error: io::Error) -> ClientError {
    ClientError::Local("cannot write the output", error)
}

/// The status of who leaves at a second Ctrl-C.
const INTERRUPTED: i32 = 130;

/// The status when nobody reads the output: that of a process that SIGPIPE has ended.
const UNREAD: u8 = 141;

/// The status of a job that failed with one that no process has.
const FAILED: u8 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_did_not_succeed_does_not_look_so() {
        assert_eq!(exit_status(Outcome::Completed, 0), 0);
        assert_eq!(exit_status(Outcome::Failed, 7), 7);
        assert_eq!(exit_status(Outcome::Lost, 137), 137);
        assert_eq!(exit_status(Outcome::Interrupted, 0), 1);
        assert_eq!(exit_status(Outcome::Failed, -1), 1);
        assert_eq!(exit_status(Outcome::Failed, 256), 1);
    }
}
