//! Reads a log for `replay`, `export` and `log`: in a directory that no server has open, or a session of a
//! server.
//!
//! Invariant: nothing in the directory changes, and damage is always reported.

mod range;
mod selection;
mod served;
mod session;

pub(crate) use range::{Bound, Span, When};
pub(crate) use rejoin_native::record_json::{fields, instant};
pub(crate) use selection::{Choice, Sessions};
pub(crate) use served::ServedSession;
pub(crate) use session::{Seen, Session, TerminalOutput};

use crate::args::LogPlace;
use crate::client::ClientError;
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
        "the log in {} is in use by a running server: ask the server, with `--server URL SESSION` instead \
         of the directory, or read a copy of the directory",
        .0.display()
    )]
    InUse(PathBuf),
    /// A link is given, by which no records are read.
    #[error(
        "a link gives no access to the session's records, which this command reads: `rejoin attach` with the link's \
         address shows the session, and in a browser, the menu of the link's page has *Download as asciicast*"
    )]
    ByLink,
    /// The server does not answer, or refuses.
    #[error(transparent)]
    Server(#[from] ClientError),
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
pub(crate) enum Offline {
    /// All of a log.
    Directory {
        /// The directory with its segments.
        directory: PathBuf,
        /// Its files.
        disk: Directory,
    },
    /// One session of a server's log.
    Served(ServedSession),
}

impl Offline {
    /// Finds the log in a server's directory or in its `log` directory, or a session on a server. Also
    /// returns the name of the session that is still to be chosen in it, if there is one.
    pub(crate) fn find<'args>(
        place: &'args LogPlace,
        session: Option<&'args str>,
        wants_private: bool,
    ) -> Result<(Self, Option<&'args str>), OfflineError> {
        if place.is_link() {
            return Err(OfflineError::ByLink);
        }
        if let Some((server, name)) = place.served(session).map_err(OfflineError::Session)? {
            let served = ServedSession::find(&server, name, wants_private)?;
            return Ok((Self::Served(served), None));
        }
        let (directory, disk) = find_log(place.directory())?;
        Ok((Self::Directory { directory, disk }, session))
    }

    /// Reads all readable records in log order. No server can open the log meanwhile. Of a server, the
    /// records up to now.
    pub(crate) fn read(&self, visit: &mut dyn FnMut(Record)) -> Result<VerifyReport, OfflineError> {
        let (directory, disk) = match self {
            Self::Directory { directory, disk } => (directory, disk),
            Self::Served(served) => {
                served.read(visit)?;
                return Ok(VerifyReport::default());
            }
        };
        let found = verify(disk, visit, &mut |_, _| {});
        let findings = found.map_err(|error| match error {
            OpenError::Locked { directory } => OfflineError::InUse(directory),
            error => OfflineError::Unreadable(error),
        })?;
        if findings.segments == 0 && !directory.join(Directory::LOCK).exists() {
            return Err(OfflineError::NoLog(directory.clone()));
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
