//! A person at the terminal of a job: sees it, and types if they control it.
//!
//! Output is written by the thread that reads the events; keys are read and sent by two others, so
//! that leaving works whatever the server does. Invariant: nothing typed is sent twice.

use super::display::Display;
use super::keys::{Keys, PrefixKey, Typed};
use super::limits::{KEYS_BYTES, KEYS_WAITING, LEAVE, NOTICE, SCREEN_PAUSE, SCREEN_TRIES};
use super::local::{self, LocalOut, LocalTerminal};
use super::signals;
use crate::client::ClientError;
use crate::client::api::Api;
use crate::client::event::SessionEvent;
use crate::client::limits::{FIRST_PAUSE, LONGEST_PAUSE};
use crate::client::stream::{ConnectionState, Events, Next};
use crate::client::table::harmless;
use crate::offline::warn;
use rejoin_core::Outcome;
use rejoin_replay::output_of;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use serde_json::{Value, json};
use std::io::{self, PipeReader, PipeWriter};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, TrySendError, channel, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

/// Who may type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Watcher {
    /// Types if they control the terminal.
    Participant,
    /// Only watches.
    Reader,
}

/// The job whose terminal it is, and how it is used.
#[derive(Clone, Debug)]
pub(crate) struct Seat {
    pub(crate) api: Api,
    pub(crate) session: String,
    pub(crate) number: u64,
    pub(crate) job: u64,
    /// The name of this process among the clients of the terminal.
    pub(crate) client: String,
    pub(crate) watcher: Watcher,
    pub(crate) prefix: PrefixKey,
    /// The exit status after leaving while the job goes on.
    pub(crate) status_when_left: u8,
}

/// How a job with a terminal ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) outcome: Outcome,
    pub(crate) status: i32,
    pub(crate) message: Option<String>,
}

/// A person at a job's terminal.
#[derive(Debug)]
pub(crate) struct Attachment {
    shared: Arc<Shared>,
    _terminal: LocalTerminal,
    /// Its end ends the thread that reads keys.
    _stop: PipeWriter,
}

/// What the threads share.
#[derive(Debug)]
pub(super) struct Shared {
    seat: Seat,
    view: Mutex<View>,
    control: Mutex<Control>,
    /// The number of the last notice.
    notices: AtomicU64,
}

#[derive(Debug)]
struct View {
    display: Display<LocalOut>,
    /// The sequence up to which output is shown.
    shown: u64,
}

/// Who controls the terminal.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Control {
    Here,
    Nobody,
    Somebody(String),
}

impl Attachment {
    /// Takes part in a job that this process has started after a sequence. What the local terminal
    /// shows stays there.
    pub(crate) fn begin(seat: Seat, size: (u16, u16), after: u64) -> Result<Self, ClientError> {
        let display = Display::new(LocalOut, size, local::size());
        Self::open(seat, display, Control::Here, after)
    }

    /// Takes part in a job that runs: shows its screen, and takes control if nobody has it. Returns the
    /// sequence after which its events are to be read.
    pub(crate) fn join(seat: Seat) -> Result<(Self, u64), ClientError> {
        let job = seat.api.get(&seat.path(""))?;
        let size = size_of(&job["terminal"]).unwrap_or_else(local::size);
        let mut control = control_of(&job["controller"], &seat.client);
        if seat.watcher == Watcher::Participant && !matches!(control, Control::Somebody(_)) {
            match seat.take_control() {
                Ok(()) => control = Control::Here,
                // Who may only watch does so.
                Err(error) if is_forbidden(&error) => {}
                Err(error) => return Err(error),
            }
        }
        if control == Control::Here {
            seat.set_size(local::size());
        }
        let display = Display::new(LocalOut, size, local::size());
        let attachment = Self::open(seat, display, control, 0)?;
        attachment.shared.show_screen()?;
        let after = attachment.shared.view().shown;
        Ok((attachment, after))
    }

    fn open(
        seat: Seat,
        mut display: Display<LocalOut>,
        control: Control,
        shown: u64,
    ) -> Result<Self, ClientError> {
        display.set_control(control == Control::Here);
        let shared = Arc::new(Shared {
            seat,
            view: Mutex::new(View { display, shown }),
            control: Mutex::new(control),
            notices: AtomicU64::new(0),
        });
        shared.set_title();
        let failed = |error| ClientError::Local("cannot use the terminal", error);
        signals::listen(&shared).map_err(failed)?;
        let terminal = LocalTerminal::open().map_err(failed)?;
        let (stopped, stop) = io::pipe().map_err(failed)?;
        let (sender, parts) = sync_channel(KEYS_WAITING);
        let (reading, sending) = (Arc::clone(&shared), Arc::clone(&shared));
        thread::spawn(move || reading.read_keys(&stopped, &sender));
        thread::spawn(move || sending.send_keys(&parts));
        Ok(Self {
            shared,
            _terminal: terminal,
            _stop: stop,
        })
    }

    /// Shows the terminal until its job ends.
    pub(crate) fn follow(&self, events: &mut Events) -> Result<Ended, ClientError> {
        let shared = Arc::clone(&self.shared);
        events.on_change(Box::new(move |state| match state {
            ConnectionState::Lost => {
                shared.hold_notice("connection lost, reconnecting …");
            }
            ConnectionState::Restored => {
                // Its output goes on where it was; the notice has to go.
                let _ = shared.view().display.drop_notice();
                let _ = shared.show_screen();
            }
        }));
        let mut may_wait = false;
        loop {
            match events.next(may_wait)? {
                Next::Event(event) => {
                    may_wait = false;
                    if let Some(ended) = self.shared.take(&event)? {
                        self.shared.view().display.finish().map_err(write_error)?;
                        return Ok(ended);
                    }
                }
                Next::Nothing => {
                    self.shared.view().display.flush().map_err(write_error)?;
                    may_wait = true;
                }
                Next::Restored => {
                    return Err(ClientError::Lost(format!(
                        "the server was restored from a backup and may not have job {} any more: \
                         `rejoin attach {}` shows what it has",
                        self.shared.seat.job, self.shared.seat.session
                    )));
                }
                Next::End => {
                    return Err(ClientError::Lost(format!(
                        "session {} has ended without an outcome for job {}",
                        self.shared.seat.number, self.shared.seat.job
                    )));
                }
            }
        }
    }
}

impl Drop for Attachment {
    fn drop(&mut self) {
        signals::forget();
        // After an error, too: the terminal must not stay painted.
        let _ = self.shared.view().display.leave();
    }
}

impl Seat {
    /// Says on standard error which job it is, and which key leaves it.
    pub(crate) fn introduce(&self) {
        let (job, number) = (self.job, self.number);
        match self.prefix.to_string().as_str() {
            "none" => warn(&format!("job {job} in session {number}")),
            prefix => warn(&format!(
                "job {job} in session {number}; {prefix} d leaves and lets it go on"
            )),
        }
    }

    fn path(&self, rest: &str) -> String {
        let (session, job) = (&self.session, self.job);
        format!("/sessions/{session}/jobs/{job}{rest}")
    }

    fn take_control(&self) -> Result<(), ClientError> {
        let wanted = json!({"client": self.client});
        self.api.put(&self.path("/controller"), &wanted).map(|_| ())
    }

    fn give_control_back(&self) -> Result<(), ClientError> {
        let path = self.path(&format!("/controller?client={}", self.client));
        self.api.delete(&path).map(|_| ())
    }

    /// Makes the job's terminal as large as the local one.
    fn set_size(&self, (columns, rows): (u16, u16)) {
        let path = self.path(&format!("/size?client={}", self.client));
        // If it fails, the server is away, the job has ended, or somebody else has taken control.
        let _ = self
            .api
            .put(&path, &json!({"columns": columns, "rows": rows}));
    }

    /// The keys for `rejoin`, in words.
    fn keys(&self) -> String {
        let prefix = self.prefix;
        match prefix.to_string().as_str() {
            "none" => "no key leaves: close the window".to_owned(),
            _ => format!(
                "{prefix} d leaves, {prefix} t takes control, {prefix} Ctrl-Z stops here, \
                 {prefix} {prefix} types {prefix}"
            ),
        }
    }
}

impl Shared {
    fn view(&self) -> MutexGuard<'_, View> {
        self.view.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn control(&self) -> MutexGuard<'_, Control> {
        self.control.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes an event of the session; returns how the job ended, if it has.
    fn take(self: &Arc<Self>, event: &str) -> Result<Option<Ended>, ClientError> {
        let event = SessionEvent::parse(event).map_err(|error| {
            ClientError::Lost(format!("the server sent an invalid event: {error}"))
        })?;
        if event.job.is_some_and(|job| job != self.seat.job) {
            return Ok(None);
        }
        let mut view = self.view();
        let is_new = event.sequence > view.shown;
        let mut must_show = false;
        match event.kind() {
            "result" if is_new => {
                if let Some(result) = event.result() {
                    let output = output_of(result);
                    view.display.output(&output.bytes).map_err(write_error)?;
                    view.shown = event.sequence;
                }
            }
            "terminal-resized" if is_new => {
                view.shown = event.sequence;
                if let Some(size) = event.size() {
                    must_show = view.display.set_job(size).map_err(write_error)?;
                }
            }
            "controller-changed" => {
                drop(view);
                let control = match event.client() {
                    None => Control::Nobody,
                    Some(client) if client == self.seat.client => Control::Here,
                    Some(_) => Control::Somebody(who(event.user())),
                };
                self.change_control(control);
                return Ok(None);
            }
            "records-lost" => must_show = true,
            "job-finished" => {
                let (outcome, status, message) = event.ending();
                return Ok(Some(Ended {
                    outcome,
                    status,
                    message,
                }));
            }
            _ => {}
        }
        drop(view);
        if must_show {
            self.show_screen()?;
        }
        Ok(None)
    }

    /// Shows the screen as the server has it, which is the same for everybody.
    fn show_screen(&self) -> Result<(), ClientError> {
        let mut view = self.view();
        for _ in 0..SCREEN_TRIES {
            let screen = self.seat.api.get(&self.seat.path("/screen"))?;
            let after = screen["after"].as_u64().unwrap_or_default();
            let size = size_of(&screen).unwrap_or_else(local::size);
            // What is shown must not go back.
            if after >= view.shown {
                view.shown = after;
                let content = screen["content"].as_str().unwrap_or_default();
                return view.display.show(size, content).map_err(write_error);
            }
            thread::sleep(SCREEN_PAUSE);
        }
        Ok(())
    }

    fn change_control(self: &Arc<Self>, control: Control) {
        let before = std::mem::replace(&mut *self.control(), control.clone());
        if before == control {
            return;
        }
        self.set_title();
        let is_here = control == Control::Here;
        if is_here {
            self.seat.set_size(local::size());
        }
        let must_show = self.view().display.set_control(is_here);
        if must_show {
            // Where it fails, the connection is lost, and the screen is shown when it is back.
            let _ = self.show_screen();
        }
        match (before, control) {
            (_, Control::Here) => self.notice("you control this terminal"),
            (_, Control::Somebody(who)) => {
                let prefix = self.seat.prefix;
                self.notice(&format!(
                    "{who} has taken control, and you watch: {prefix} t takes it back"
                ));
            }
            (Control::Somebody(who), Control::Nobody) => {
                self.notice(&format!("{who} has left: type to take control"));
            }
            (_, Control::Nobody) => {}
        }
    }

    fn set_title(&self) {
        let prefix = self.seat.prefix;
        let keys = match self.seat.watcher {
            Watcher::Participant => format!("{prefix} t takes control, {prefix} d leaves"),
            Watcher::Reader => format!("{prefix} d leaves"),
        };
        let control = self.control().clone();
        let title = match (control, self.seat.watcher) {
            (Control::Here, _) => String::new(),
            (Control::Somebody(who), _) => format!("{who} types, you watch ({keys}): "),
            (Control::Nobody, _) => format!("you watch ({keys}): "),
        };
        self.view().display.set_title(&title);
    }

    /// Shows a line for a moment.
    fn notice(self: &Arc<Self>, words: &str) {
        let number = self.hold_notice(words);
        let shared = Arc::clone(self);
        thread::spawn(move || {
            thread::sleep(NOTICE);
            if shared.notices.load(Ordering::Relaxed) != number {
                return;
            }
            let dropped = shared.view().display.drop_notice();
            if dropped.is_ok_and(|must_show| must_show) {
                let _ = shared.show_screen();
            }
        });
    }

    /// Shows a line until the screen is shown anew; returns its number.
    fn hold_notice(&self, words: &str) -> u64 {
        let number = self.notices.fetch_add(1, Ordering::Relaxed) + 1;
        // Keys must work while a request holds the view: then there is no notice.
        if let Ok(mut view) = self.view.try_lock() {
            let _ = view.display.notice(&harmless(words));
        }
        number
    }

    /// Reads what is typed until the attachment ends.
    fn read_keys(self: &Arc<Self>, stopped: &PipeReader, parts: &SyncSender<Vec<u8>>) {
        let stdin = io::stdin();
        let mut keys = Keys::new(self.seat.prefix);
        let mut bytes = vec![0; KEYS_BYTES];
        loop {
            let mut wanted = [
                PollFd::new(&stdin, PollFlags::IN),
                PollFd::new(stopped, PollFlags::IN),
            ];
            match poll(&mut wanted, None) {
                Ok(_) if !wanted[1].revents().is_empty() => return,
                Ok(_) => {}
                Err(Errno::INTR) => continue,
                Err(_) => return,
            }
            let read = match rustix::io::read(&stdin, &mut bytes) {
                Err(Errno::INTR | Errno::AGAIN) => continue,
                // The terminal is gone.
                Ok(0) | Err(_) => self.leave(HUNG_UP),
                Ok(read) => read,
            };
            for typed in keys.split(&bytes[..read]) {
                self.typed(typed, parts);
            }
        }
    }

    fn typed(self: &Arc<Self>, typed: Typed, parts: &SyncSender<Vec<u8>>) {
        match typed {
            Typed::Detach => self.leave(self.seat.status_when_left),
            Typed::Help => self.notice(&self.seat.keys()),
            Typed::TakeControl => {
                let shared = Arc::clone(self);
                // On a thread, so that leaving works meanwhile.
                thread::spawn(move || shared.take_control());
            }
            Typed::Suspend => self.suspend(),
            Typed::Bytes(bytes) => {
                let control = self.control().clone();
                match (self.seat.watcher, control) {
                    (Watcher::Participant, Control::Here | Control::Nobody) => {
                        if let Err(TrySendError::Full(_)) = parts.try_send(bytes) {
                            let _ = LocalTerminal::write(b"\x07");
                        }
                    }
                    // A terminal's answers to a program's questions begin so; nobody typed them.
                    _ if bytes.first() == Some(&0x1b) => {}
                    (Watcher::Reader, _) => {
                        self.notice(&format!("you only watch: {}", self.seat.keys()));
                    }
                    (Watcher::Participant, Control::Somebody(who)) => {
                        self.notice(&format!("{who} types here: {}", self.seat.keys()));
                    }
                }
            }
        }
    }

    fn take_control(self: &Arc<Self>) {
        match (self.seat.watcher, self.seat.take_control()) {
            (Watcher::Reader, _) => {}
            (_, Ok(())) => self.change_control(Control::Here),
            (_, Err(error)) => self.notice(&format!("cannot take control: {error}")),
        }
    }

    /// Sends what was typed.
    fn send_keys(self: &Arc<Self>, parts: &Receiver<Vec<u8>>) {
        let path = self
            .seat
            .path(&format!("/input?client={}", self.seat.client));
        while let Ok(mut part) = parts.recv() {
            // What was typed meanwhile goes along.
            while part.len() < KEYS_BYTES {
                match parts.try_recv() {
                    Ok(more) => part.extend_from_slice(&more),
                    Err(TryRecvError::Empty | TryRecvError::Disconnected) => break,
                }
            }
            let mut pause = FIRST_PAUSE;
            loop {
                let sent = self
                    .seat
                    .api
                    .post_bytes(&path, "application/octet-stream", &part);
                match sent {
                    Ok(_) => break,
                    // Never arrived, or not taken yet.
                    Err(error) if is_not_sent(&error) => {
                        thread::sleep(pause);
                        pause = (pause * 2).min(LONGEST_PAUSE);
                    }
                    Err(error) if error.is_code("not_controller") => {
                        let control = Control::Somebody(who(None));
                        if *self.control() == Control::Here {
                            self.change_control(control);
                        }
                        break;
                    }
                    // Perhaps it has arrived: better typed again by hand than twice.
                    Err(ClientError::Unreachable(..) | ClientError::Unanswered(..)) => break,
                    Err(error) if is_over(&error) => return,
                    Err(error) => {
                        self.notice(&format!("not typed: {error}"));
                        break;
                    }
                }
            }
        }
    }

    /// The local terminal has another size.
    pub(super) fn local_resized(&self) {
        let mut size = local::size();
        loop {
            if *self.control() == Control::Here {
                self.seat.set_size(size);
            }
            let must_show = self.view().display.set_local(size);
            if must_show.is_ok_and(|must_show| must_show) {
                let _ = self.show_screen();
            }
            // It may have changed meanwhile.
            let now = local::size();
            if now == size {
                return;
            }
            size = now;
        }
    }

    /// Stops this process until a shell continues it.
    pub(super) fn suspend(&self) {
        local::pause();
        let own = rustix::process::getpid();
        // All of the pipeline that it may be a part of.
        let _ = rustix::process::kill_process(own, rustix::process::Signal::STOP);
        let _ = local::resume();
        let _ = self.show_screen();
        self.local_resized();
    }

    /// Interrupts the job.
    pub(super) fn interrupt(self: &Arc<Self>) {
        let shared = Arc::clone(self);
        thread::spawn(move || {
            let path = shared.seat.path("/interrupt");
            match shared.seat.api.post(&path, &json!({})) {
                Err(error) if !is_over(&error) => {
                    shared.notice(&format!("cannot interrupt the job: {error}"));
                }
                _ => {}
            }
        });
    }

    /// Leaves, and lets the job go on.
    pub(super) fn leave(&self, status: u8) -> ! {
        if *self.control() == Control::Here {
            let seat = self.seat.clone();
            let (done, wait) = channel();
            thread::spawn(move || {
                let _ = seat.give_control_back();
                let _ = done.send(());
            });
            // The server may be away.
            let _ = wait.recv_timeout(LEAVE);
        }
        let _ = LocalTerminal::write(b"\r\n");
        local::restore();
        let (job, number) = (self.seat.job, self.seat.number);
        warn(&format!(
            "left job {job} in session {number}, which goes on: `rejoin attach {number}` comes back"
        ));
        std::process::exit(status.into());
    }
}

/// The size in the API's JSON.
fn size_of(value: &Value) -> Option<(u16, u16)> {
    let number = |name: &str| value[name].as_u64().and_then(|it| u16::try_from(it).ok());
    Some((number("columns")?, number("rows")?))
}

fn control_of(controller: &Value, client: &str) -> Control {
    match controller["client"].as_str() {
        None => Control::Nobody,
        Some(it) if it == client => Control::Here,
        Some(_) => Control::Somebody(who(controller["user"].as_str())),
    }
}

fn who(user: Option<&str>) -> String {
    user.map_or_else(|| "somebody else".to_owned(), harmless)
}

fn is_forbidden(error: &ClientError) -> bool {
    matches!(error, ClientError::Refused { status: 403, .. })
}

/// Whether the server has not taken it, and may soon.
fn is_not_sent(error: &ClientError) -> bool {
    matches!(
        error,
        ClientError::NoServer(_)
            | ClientError::Refused {
                is_retryable: true,
                ..
            }
    )
}

/// Whether the job can't take input any more.
pub(crate) fn is_over(error: &ClientError) -> bool {
    [
        "job_not_found",
        "session_not_found",
        "input_ended",
        "no_foreground_job",
    ]
    .iter()
    .any(|code| error.is_code(code))
}

fn write_error(error: io::Error) -> ClientError {
    ClientError::Local("cannot write to the terminal", error)
}

/// Exit status when the terminal is gone: as after SIGHUP.
const HUNG_UP: u8 = 129;
