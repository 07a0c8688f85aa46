//! Reads a log that no server has open, for `replay`, `export` and `log`.
//!
//! Invariant: nothing in the directory changes, and damage is always reported.

mod arthas;
mod range;
mod record_json;
mod selection;
mod session;
mod terminals;
mod view;

pub(crate) use range::{Bound, Span, When};
pub(crate) use record_json::{fields, instant};
pub(crate) use selection::{Choice, Sessions};
pub(crate) use session::{Seen, Session, TerminalOutput};
pub(crate) use terminals::{Terminals, size_of};
pub(crate) use view::{CLEAR, Shown, Style, View, Viewer, describe, named, output_of, plain};

use crate::commands::verify::{VerifyError, find_log};
use rejoin_core::{Record, SessionId};
use rejoin_log::disk::Directory;
use rejoin_log::segment::{OpenError, VerifyReport, verify};
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

/// Exit status if a part of the log could not be read.
const DAMAGED: u8 = 1;

/// Why nothing could be read or written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OfflineError {
    /// The directory cannot be read.
    #[error(transparent)]
    Find(#[from] VerifyError),
    /// There is no log in it.
    #[error("no log in {}: it has neither segments nor a `log` directory", .0.display())]
    NoLog(PathBuf),
    /// A server has it open.
    #[error(
        "the log in {} is in use by a running server: stop the server, or read a copy of the \
         directory",
        .0.display()
    )]
    InUse(PathBuf),
    /// This version or the operating system could not read it.
    #[error(transparent)]
    Unreadable(OpenError),
    /// The name matches no session, or several.
    #[error("{0}")]
    Session(String),
    /// The output could not be written.
    #[error("cannot write {0}: {1}")]
    Write(String, #[source] io::Error),
}

/// A log that is only read.
#[derive(Debug)]
pub(crate) struct Offline {
    directory: PathBuf,
    disk: Directory,
}

impl Offline {
    /// Finds the log in a server's directory, or in its `log` directory.
    pub(crate) fn find(directory: &std::path::Path) -> Result<Self, OfflineError> {
        let (directory, disk) = find_log(directory)?;
        Ok(Self { directory, disk })
    }

    /// Reads all readable records in log order. No server can open the log meanwhile.
    pub(crate) fn read(&self, visit: &mut dyn FnMut(Record)) -> Result<VerifyReport, OfflineError> {
        let found = verify(&self.disk, visit, &mut |_, _| {});
        let findings = found.map_err(|error| match error {
            OpenError::Locked { directory } => OfflineError::InUse(directory),
            error => OfflineError::Unreadable(error),
        })?;
        if findings.segments == 0 && !self.directory.join(Directory::LOCK).exists() {
            return Err(OfflineError::NoLog(self.directory.clone()));
        }
        Ok(findings)
    }
}

/// Reports on standard error what could not be read, and returns the exit status.
pub(crate) fn conclude(findings: &VerifyReport, session: Option<SessionId>) -> ExitCode {
    if let Some(torn) = &findings.torn {
        let file = torn.file.file_name().unwrap_or_default().display();
        let byte = torn.byte;
        warn(&format!(
            "ignored an incomplete last write ({file}, from byte {byte}): it was cut off by a crash and \
             never acknowledged"
        ));
    }
    if findings.is_sound() {
        return ExitCode::SUCCESS;
    }
    for gap in &findings.missing {
        if session.is_none_or(|session| session == gap.session) {
            let (first, last) = (gap.first, gap.last);
            warn(&format!(
                "session {}: sequences {first} to {last} are missing",
                gap.session
            ));
        }
    }
    let places = findings.damaged.len();
    warn(&format!(
        "the log is damaged in {places} {}, so this is not everything: run `rejoin verify` for \
         details",
        if places == 1 { "place" } else { "places" }
    ));
    ExitCode::from(DAMAGED)
}

/// Prints a message to standard error.
pub(crate) fn warn(message: &str) {
    // If standard error is closed, nothing can be reported.
    let _ = writeln!(io::stderr(), "rejoin: {message}");
}

/// The outcome of writing; a closed pipe is not an error: the reader has read enough.
pub(crate) fn written(outcome: io::Result<()>, to: &str) -> Result<(), OfflineError> {
    match outcome {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(OfflineError::Write(to.to_owned(), error))
        }
        _ => Ok(()),
    }
}
