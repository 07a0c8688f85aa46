//! `rejoin run`: runs a command on a server as if it ran here.
//!
//! Invariant: a lost response never submits the job twice, and a broken connection never loses or
//! repeats output.

use super::sessions::print;
use crate::args::RunArgs;
use crate::client::ClientError;
use crate::client::api::Api;
use crate::client::event::SessionEvent;
use crate::client::input::{self, Sink};
use crate::client::limits::{ANSWER, FIRST_PAUSE, LONGEST_PAUSE};
use crate::client::quote::statement;
use crate::client::resolve::{not_ended, resolve};
use crate::client::stream::{Events, Next, line};
use crate::client::table::harmless;
use crate::offline::warn;
use crate::settings::LeftoverProcesses;
use crate::terminal::{self, Attachment, Ended, PrefixKey, Seat, Watcher, is_over};
use async_signal::{Signal, Signals};
use futures::StreamExt;
use rejoin_core::{Event, JobId, JobMode, JobSlot, Outcome, SessionId, Visibility};
use rejoin_engine::{Runtime, SmolRuntime};
use rejoin_replay::{CLEAR, describe, lost, output_of};
use serde_json::{Value, json};
use std::io::{self, BufWriter, IsTerminal, Write};
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

/// Exit status if the command could not be run, or its outcome is unknown.
pub(crate) const UNUSABLE: u8 = 125;

/// Runs the command; returns its exit status.
pub(crate) fn run(args: &RunArgs) -> Result<ExitCode, ClientError> {
    let ran = run_to_end(args);
    if args.notify
        && ran
            .as_ref()
            .is_ok_and(|status| *status != ExitCode::from(LEFT))
    {
        let ended = match ran
            .as_ref()
            .is_ok_and(|status| *status == ExitCode::SUCCESS)
        {
            true => "done",
            false => "failed",
        };
        notify(&format!("{ended}: {}", statement(&args.command)));
    }
    ran
}

/// Has the terminal of the person say something: by a notification, where it knows how, and by its bell,
/// which terminals and tmux show in other ways. Without a terminal, nothing is said.
fn notify(words: &str) {
    let words: String = harmless(words).chars().take(NOTIFIED_CHARS).collect();
    let sequence = format!("\x1b]9;{words}\x1b\\\x07");
    let terminal = std::fs::OpenOptions::new().write(true).open("/dev/tty");
    if let Ok(mut terminal) = terminal {
        let _ = terminal.write_all(sequence.as_bytes());
    }
}

fn run_to_end(args: &RunArgs) -> Result<ExitCode, ClientError> {
    let api = Api::following(&args.server, args.connection.reconnecting.reconnect_for.0)?;
    let wanted = Wanted {
        statement: statement(&args.command),
        session: args.session.as_deref(),
        shell: None,
        keeps: args.keep || args.detach,
        user: args.new_session.user.as_deref(),
        service: args.new_session.service.as_deref(),
        patience: args.connection.reconnecting.reconnect_for.0,
        timeout: args.timeout.map(|it| it.0),
        leftovers: args.leftover_processes,
    };
    let uses_terminal = args.terminal
        || !(args.no_terminal || args.input || args.no_input || args.json || args.detach)
            && terminal::are_terminals();
    let place = Place::find(&api, &wanted)?;
    if uses_terminal && !args.detach && !args.json && terminal::are_terminals() {
        return run_here(
            &api,
            place,
            &wanted,
            args.connection.prefix_key,
            args.terminal,
        );
    }
    // From here on, Ctrl-C interrupts the job instead of this process.
    let signals = Signals::new([Signal::Int, Signal::Term])
        .map_err(|error| ClientError::Local("cannot wait for signals", error))?;
    let has_input = !args.detach && !args.no_input && (args.input || !io::stdin().is_terminal());
    let output = match uses_terminal {
        true => Output::Terminal(None),
        // Programs expect their two streams apart, where they are to go to different places.
        false if args.json || !io::stdout().is_terminal() || !io::stderr().is_terminal() => {
            Output::Separate
        }
        false => Output::Merged,
    };
    let (job, sequence) = match submit(&api, &place, &wanted, &output, has_input) {
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
    run.handle_signals(signals);
    if has_input {
        run.pass_input();
    }
    run.follow(sequence, args.connection.reconnecting.reconnect_for.0)
}

/// A command to run, and where.
pub(super) struct Wanted<'a> {
    /// For the shell; empty: the shell itself.
    pub(super) statement: String,
    /// Which shell, if it is the shell itself; none: the one of the session.
    pub(super) shell: Option<&'a str>,
    /// A session that is there; none: a new one.
    pub(super) session: Option<&'a str>,
    /// Whether a new session stays open.
    pub(super) keeps: bool,
    pub(super) user: Option<&'a str>,
    pub(super) service: Option<&'a str>,
    pub(super) patience: Duration,
    pub(super) timeout: Option<Duration>,
    /// What becomes of processes that it leaves; none: as the server is set.
    pub(super) leftovers: Option<LeftoverProcesses>,
}

/// How the output of the command goes.
enum Output<'a> {
    /// To a terminal as large as the one here, that this client controls; none: without a client.
    Terminal(Option<&'a str>),
    Merged,
    Separate,
}

/// Runs the command on the terminal here. Without `must`, runs it without a terminal where the service
/// has none.
pub(super) fn run_here(
    api: &Api,
    place: Place,
    wanted: &Wanted<'_>,
    prefix: PrefixKey,
    must: bool,
) -> Result<ExitCode, ClientError> {
    let client = uuid::Uuid::new_v4().to_string();
    let size = terminal::size();
    let mut submitted = submit(api, &place, wanted, &Output::Terminal(Some(&client)), false);
    if !must && submitted.as_ref().is_err_and(has_no_terminal) {
        submitted = submit(api, &place, wanted, &Output::Merged, false);
        if let Ok((job, sequence)) = submitted {
            let signals = Signals::new([Signal::Int, Signal::Term])
                .map_err(|error| ClientError::Local("cannot wait for signals", error))?;
            let run = Run {
                job,
                is_json: false,
                place,
                api: api.clone(),
            };
            run.handle_signals(signals);
            return run.follow(sequence, wanted.patience);
        }
    }
    let (job, sequence) = match submitted {
        Ok(submitted) => submitted,
        Err(error) => {
            place.close(api);
            return Err(error);
        }
    };
    let seat = Seat {
        api: api.clone(),
        session: place.session.clone(),
        number: place.number,
        job,
        client,
        watcher: Watcher::Participant,
        prefix,
        status_when_left: LEFT,
    };
    seat.introduce();
    let ended = {
        let attachment = Attachment::begin(seat, size, sequence)?;
        let mut events = Events::after(api, &place.session, sequence, wanted.patience);
        attachment.follow(&mut events)
    };
    place.close(api);
    Ok(ExitCode::from(status_of(job, &ended?)))
}

/// The exit status of a job that has ended, after saying what was unusual.
pub(super) fn status_of(job: u64, ended: &Ended) -> u8 {
    let is_ordinary =
        matches!(ended.outcome, Outcome::Completed | Outcome::Failed) && ended.message.is_none();
    if !is_ordinary {
        let event = Event::JobFinished {
            job: JobId(job),
            mode: JobMode {
                slot: JobSlot::Foreground,
                visibility: Visibility::Session,
            },
            outcome: ended.outcome,
            status: ended.status,
            message: ended.message.as_deref().map(Into::into),
        };
        warn(&describe(&event).unwrap_or_default());
    }
    exit_status(ended.outcome, ended.status)
}

/// Whether the service of the session runs commands without terminals only.
fn has_no_terminal(error: &ClientError) -> bool {
    error.is_code("terminal_not_supported")
}

/// The session that the job runs in.
pub(super) struct Place {
    session: String,
    id: SessionId,
    number: u64,
    /// Whether to close it when the job ends.
    is_temporary: bool,
}

impl Place {
    pub(super) fn find(api: &Api, wanted: &Wanted<'_>) -> Result<Self, ClientError> {
        let shown = match wanted.session {
            Some(name) => resolve(api, name)?,
            None => api.post("/sessions", &new_session(wanted))?,
        };
        let (session, id) = not_ended(&shown)?;
        Ok(Self {
            session,
            id,
            number: shown["number"].as_u64().unwrap_or_default(),
            is_temporary: wanted.session.is_none() && !wanted.keeps,
        })
    }

    /// Closes a session that was created for this job. It stays readable.
    fn close(&self, api: &Api) {
        if !self.is_temporary {
            return;
        }
        if let Err(error) = api.delete(&format!("/sessions/{}", self.session)) {
            warn(&format!("could not close session {}: {error}", self.number));
        }
    }
}

fn new_session(wanted: &Wanted<'_>) -> Value {
    let mut new = json!({});
    if let Some(user) = wanted.user {
        new["user"] = user.into();
    }
    if let Some(service) = wanted.service {
        new["service"] = service.into();
    }
    new
}

/// Submits the job with a request ID, so that submitting again after a lost response is safe. Returns
/// the job's number and the sequence before its first event.
fn submit(
    api: &Api,
    place: &Place,
    wanted: &Wanted<'_>,
    output: &Output<'_>,
    has_input: bool,
) -> Result<(u64, u64), ClientError> {
    let mut new = json!({
        "statement": wanted.statement,
        "request": uuid::Uuid::new_v4().to_string(),
        "input": has_input,
    });
    match output {
        Output::Terminal(client) => {
            let (columns, rows) = terminal::size();
            new["terminal"] = json!({"columns": columns, "rows": rows});
            if let Some(client) = client {
                new["client"] = (*client).into();
            }
        }
        Output::Merged => new["output"] = "merged".into(),
        Output::Separate => new["output"] = "separate".into(),
    }
    if let Some(shell) = wanted.shell {
        new["shell"] = shell.into();
    }
    if let Some(timeout) = wanted.timeout {
        new["timeoutMillis"] = u64::try_from(timeout.as_millis())
            .unwrap_or(u64::MAX)
            .into();
    }
    if let Some(leftovers) = wanted.leftovers {
        new["leftoverProcesses"] = leftovers.as_str().into();
    }
    let session = &place.session;
    let path = format!("/sessions/{session}/jobs");
    let mut pause = FIRST_PAUSE;
    let begun = SmolRuntime.elapsed();
    let submitted = loop {
        let waited = SmolRuntime.elapsed().saturating_sub(begun);
        let left = wanted.patience.saturating_sub(waited);
        match api.within(left.max(ANSWER)).post(&path, &new) {
            Err(error) if error.is_retryable() && !left.is_zero() => {
                thread::sleep(pause.min(left));
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
            Err(error) if error.is_code("job_running") => {
                let reason = format!("{error} (use --session for another session)");
                return Err(ClientError::Session(reason));
            }
            answer => break answer?,
        }
    };
    match (submitted["job"].as_u64(), submitted["sequence"].as_u64()) {
        (Some(job), Some(sequence)) => Ok((job, sequence)),
        _ => Err(ClientError::Lost(
            "the server did not return a job number".to_owned(),
        )),
    }
}

/// A running job.
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

    /// Interrupts the job at the first signal, and detaches at the second.
    fn handle_signals(&self, mut signals: Signals) {
        let api = self.api.clone();
        let (job, number) = (self.job, self.place.number);
        let path = format!("/sessions/{}/jobs/{job}/interrupt", self.place.session);
        thread::spawn(move || {
            let mut next = || smol::block_on(signals.next());
            if next().is_none() {
                return;
            }
            warn(&format!(
                "interrupting job {job} (press Ctrl-C again to detach)"
            ));
            // On a thread, so that a second signal is handled meanwhile.
            thread::spawn(move || {
                let interrupted = api.post(&path, &json!({}));
                match interrupted {
                    Err(error) if !is_over(&error) => {
                        warn(&format!("cannot interrupt the job: {error}"));
                    }
                    _ => {}
                }
            });
            if next().is_some() {
                warn(&format!(
                    "detached: job {job} may still be running; `rejoin attach {number}` shows it"
                ));
                std::process::exit(INTERRUPTED);
            }
        });
    }

    fn pass_input(&self) {
        let sink = Sink::new(&self.api, &self.place.session, self.job);
        thread::spawn(move || {
            // Not locked, so that lines from a terminal are passed on at once.
            let passed = input::pass(&sink, &mut io::stdin(), true);
            match passed {
                // A job may end without reading all its input.
                Err(error) if !is_over(&error) => {
                    warn(&format!("stopped passing on input: {error}"));
                }
                _ => {}
            }
        });
    }

    /// Writes the job's output until it ends.
    fn follow(&self, sequence: u64, patience: Duration) -> Result<ExitCode, ClientError> {
        let mut events = Events::after(&self.api, &self.place.session, sequence, patience);
        let mut output = Streams::new();
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
                Next::Restored => {
                    break Err(ClientError::Lost(format!(
                        "the server was restored from a backup and may not have job {} any more: \
                         `rejoin attach {}` shows what it has",
                        self.job, self.place.session
                    )));
                }
                Next::End => {
                    break Err(ClientError::Lost(format!(
                        "session {} has ended without an outcome for job {}",
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
            // Best effort: the job may have ended meanwhile.
            let _ = self.api.post(&path, &json!({}));
        }
        self.place.close(&self.api);
        match followed {
            Ok(status) => Ok(ExitCode::from(status)),
            Err(error) if error.is_broken_pipe() => Ok(ExitCode::from(UNREAD)),
            Err(error) => Err(error),
        }
    }

    /// Handles an event; returns the exit status if the job has ended.
    fn take(&self, event: &str, output: &mut Streams) -> Result<Option<u8>, ClientError> {
        let decoded = SessionEvent::parse(event).map_err(|error| {
            ClientError::Lost(format!("the server sent an invalid event: {error}"))
        })?;
        if decoded.job.is_some_and(|job| job != self.job) {
            return Ok(None);
        }
        let is_of_the_job = decoded.job.is_some();
        let Some(record) = decoded.record(self.place.id) else {
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
                warn(&lost(&record).unwrap_or_default());
                Ok(None)
            }
            Event::JobFinished {
                outcome,
                status,
                message,
                ..
            } => {
                // A command that fails has printed its own message.
                let is_ordinary =
                    matches!(outcome, Outcome::Completed | Outcome::Failed) && message.is_none();
                if !is_ordinary {
                    output.flush()?;
                    warn(&describe(&record.event).unwrap_or_default());
                }
                Ok(Some(exit_status(*outcome, *status)))
            }
            _ => Ok(None),
        }
    }
}

/// The job's exit status, mapped to what a process can exit with.
pub(super) fn exit_status(outcome: Outcome, status: i32) -> u8 {
    match (outcome, u8::try_from(status)) {
        // A job that did not complete must not look successful.
        (Outcome::Completed, Ok(status)) | (_, Ok(status @ 1..)) => status,
        _ => FAILED,
    }
}

/// Writes the job's output to standard output and standard error.
struct Streams {
    out: BufWriter<io::Stdout>,
    is_terminal: bool,
}

impl Streams {
    fn new() -> Self {
        Self {
            out: BufWriter::new(io::stdout()),
            is_terminal: io::stdout().is_terminal(),
        }
    }

    fn write(&mut self, result: &str) -> Result<(), ClientError> {
        let decoded = output_of(result);
        if decoded.repaints && self.is_terminal {
            self.out.write_all(CLEAR.as_bytes()).map_err(write_error)?;
        }
        let written = match decoded.is_error {
            false => self.out.write_all(&decoded.bytes),
            // Flush first, to keep the order if both are the same terminal.
            true => self.out.flush().map(|()| {
                // A closed standard error must not stop standard output.
                let _ = io::stderr().write_all(&decoded.bytes);
            }),
        };
        written.map_err(write_error)
    }

    fn line(&mut self, event: &str) -> Result<(), ClientError> {
        writeln!(self.out, "{}", line(event)).map_err(write_error)
    }

    fn flush(&mut self) -> Result<(), ClientError> {
        // `Stdout` holds back incomplete lines.
        self.out.flush().map_err(write_error)
    }
}

fn write_error(error: io::Error) -> ClientError {
    ClientError::Local("cannot write the output", error)
}

/// Characters of a notification.
const NOTIFIED_CHARS: usize = 100;

/// Exit status after a second Ctrl-C.
const INTERRUPTED: i32 = 130;

/// Exit status after leaving a terminal: the job goes on, so it is no success yet.
pub(super) const LEFT: u8 = 130;

/// Exit status when the reader of the output is gone: as after SIGPIPE.
const UNREAD: u8 = 141;

/// Exit status of a failed job whose own status is not one of a process.
const FAILED: u8 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_that_did_not_complete_does_not_look_successful() {
        assert_eq!(exit_status(Outcome::Completed, 0), 0);
        assert_eq!(exit_status(Outcome::Failed, 7), 7);
        assert_eq!(exit_status(Outcome::Lost, 137), 137);
        assert_eq!(exit_status(Outcome::Interrupted, 0), 1);
        assert_eq!(exit_status(Outcome::Failed, -1), 1);
        assert_eq!(exit_status(Outcome::Failed, 256), 1);
    }
}
