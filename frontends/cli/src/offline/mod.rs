//! Reading a log that no server has open, for `replay`, `export` and `log`.
//!
//! What enters: the directory that the command line names. What leaves: records, in the order of
//! the log, and what is wrong with it, in words on standard error. Never: anything in the directory
//! changes, or damage is passed over in silence.

mod range;
mod record_json;
mod selection;
mod session;
mod view;

pub(crate) use range::{Bound, Span};
pub(crate) use record_json::{fields, instant};
pub(crate) use selection::{Choice, Sessions};
pub(crate) use session::Session;
pub(crate) use view::{View, Viewer, plain, said, words_of};

use crate::commands::verify::{VerifyError, find_log};
use rejoin_core::{Record, SessionId};
use rejoin_log::disk::Directory;
use rejoin_log::segment::{OpenError, VerifyReport, verify};
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

/// The status when something of the log could not be read.
const DAMAGED: u8 = 1;

/// Why nothing could be read, or told.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OfflineError {
    /// The directory is none, or cannot be read.
    #[error(transparent)]
    Find(#[from] VerifyError),
    /// There is no log in it.
    #[error("there is no log in {}: it holds neither segments nor a directory `log`", .0.display())]
    NoLog(PathBuf),
    /// A server has it open.
    #[error(
        "the log in {} is in use by a running server: stop the server first, or copy the \
         directory and read the copy",
        .0.display()
    )]
    InUse(PathBuf),
    /// This version cannot read it, or the operating system could not.
    #[error(transparent)]
    Unreadable(OpenError),
    /// The session that was named is not one of these.
    #[error("{0}")]
    Session(String),
    /// What was to be written could not be.
    #[error("{0}: {1}")]
    Write(String, #[source] io::Error),
}

/// A log in a directory that is only read.
#[derive(Debug)]
pub(crate) struct Offline {
    directory: PathBuf,
    disk: Directory,
}

impl Offline {
    /// The log in a server's directory, or in the one that holds its segments.
    pub(crate) fn find(directory: &std::path::Path) -> Result<Self, OfflineError> {
        let (directory, disk) = find_log(directory)?;
        Ok(Self { directory, disk })
    }

    /// Reads every record that is readable, in the order of the log. Until that has ended, no
    /// server can open the log.
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

/// Says what could not be read, of one session or of all, and which status that is.
pub(crate) fn conclude(findings: &VerifyReport, session: Option<SessionId>) -> ExitCode {
    if let Some(torn) = &findings.torn {
        let file = torn.file.file_name().unwrap_or_default().display();
        let byte = torn.byte;
        warn(&format!(
            "the log has a torn end ({file}, from byte {byte}): what a crash cut short was never \
             acknowledged, and is left out"
        ));
    }
    if findings.is_sound() {
        return ExitCode::SUCCESS;
    }
    for gap in &findings.missing {
        if session.is_none_or(|session| session == gap.session) {
            let (first, last) = (gap.first, gap.last);
            warn(&format!(
                "sequences {first} to {last} of session {} are missing",
                gap.session
            ));
        }
    }
    let places = findings.damaged.len();
    warn(&format!(
        "the log is damaged in {places} {}, and what could be read is not all: `rejoin verify` \
         says more",
        if places == 1 { "place" } else { "places" }
    ));
    ExitCode::from(DAMAGED)
}

/// Says something on standard error.
pub(crate) fn warn(words: &str) {
    // There is nobody left to tell when this fails.
    let _ = writeln!(io::stderr(), "rejoin: {words}");
}

/// Takes what writing led to. Whoever has read enough has gone, and that is no failure.
pub(crate) fn written(outcome: io::Result<()>, to: &str) -> Result<(), OfflineError> {
    match outcome {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(OfflineError::Write(to.to_owned(), error))
        }
        _ => Ok(()),
    }
}
