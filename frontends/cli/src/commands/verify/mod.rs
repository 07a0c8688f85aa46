//! `rejoin verify`: reads a log offline, and says what is damaged, what is missing, and what is
//! still readable. Changes nothing; what is sound may be written to a new log.

mod progress;
mod report;
mod salvage;

use crate::args::VerifyArgs;
use progress::Progress;
use rejoin_core::{Record, Violation};
use rejoin_engine::{RecordValidator, Salvaged};
use rejoin_log::AppendError;
use rejoin_log::disk::Directory;
use rejoin_log::segment::{OpenError, VerifyReport, verify};
use salvage::NewLog;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// More violations than this are counted, and not told.
const TOLD_VIOLATIONS: usize = 100;

/// Why nothing can be said about a log.
#[derive(Debug, thiserror::Error)]
pub(crate) enum VerifyError {
    /// There is none.
    #[error("there is no log in {}: it holds neither segments nor a directory `log`", .0.display())]
    NoLog(PathBuf),
    /// The directory is none, or cannot be read.
    #[error("{}: {}", .0.display(), .1)]
    Directory(PathBuf, #[source] io::Error),
    /// A server has it open.
    #[error(
        "the log in {} is in use: a running server's log cannot be verified; stop the server \
         first, or verify a snapshot of its file system",
        .0.display()
    )]
    InUse(PathBuf),
    /// This version cannot judge it, or the operating system could not read it.
    #[error(transparent)]
    Unreadable(OpenError),
    /// What is sound must not be mixed with anything.
    #[error("{} is not empty: what is sound is written to a directory of its own", .0.display())]
    NotEmpty(PathBuf),
    /// What is verified must not be changed.
    #[error("{} is in the directory of the log that is verified, which is not changed", .0.display())]
    Inside(PathBuf),
    /// The new log could not be begun.
    #[error("the new log could not be written: {0}")]
    Begin(#[source] OpenError),
    /// The new log took no more. It has been removed.
    #[error("the new log could not be written: {0}")]
    Append(#[from] AppendError),
    /// Nobody could be told.
    #[error("the report could not be written: {0}")]
    Report(#[from] io::Error),
}

/// All that there is to say about a log.
struct Verdict {
    directory: PathBuf,
    findings: VerifyReport,
    transitions: RecordValidator,
    /// The first ones, and how many there are.
    violations: (Vec<Violation>, u64),
    /// What was written to a new log, and where.
    salvaged: Option<(PathBuf, Salvaged)>,
}

impl Verdict {
    fn is_sound(&self) -> bool {
        self.findings.is_sound() && self.violations.1 == 0
    }

    fn status(&self) -> ExitCode {
        let is_whole = match &self.salvaged {
            // A record may have been lost of which nothing tells any more.
            Some((_, salvaged)) => {
                let mut places = self.findings.damaged.iter();
                salvaged.is_complete() && places.all(|place| place.lost == Some(0))
            }
            None => self.is_sound(),
        };
        if is_whole {
            ExitCode::SUCCESS
        } else {
            ExitCode::from(DAMAGED)
        }
    }
}

/// Verifies and reports; the status says whether the log is sound.
pub(crate) fn run(args: &VerifyArgs) -> Result<ExitCode, VerifyError> {
    let (directory, disk) = find_log(&args.directory)?;
    let mut new_log = match &args.salvage {
        Some(out) => Some(NewLog::begin(out, &[&args.directory, &directory])?),
        None => None,
    };
    let mut verdict = match judge(directory, &disk, &mut new_log) {
        Ok(verdict) => verdict,
        Err(error) => {
            if let Some(new_log) = new_log {
                new_log.discard();
            }
            return Err(error);
        }
    };
    if let Some(new_log) = new_log {
        verdict.salvaged = Some(new_log.finish(&verdict.findings)?);
    }
    let mut report = if args.json {
        report::json(&verdict)
    } else {
        report::words(&verdict)
    };
    report.push('\n');
    let mut out = io::stdout();
    out.write_all(report.as_bytes())?;
    out.flush()?;
    Ok(verdict.status())
}

/// The status of a log that is not sound, or of which something is lost.
const DAMAGED: u8 = 1;

/// The log in a server's directory, or in the one that holds its segments.
pub(crate) fn find_log(directory: &Path) -> Result<(PathBuf, Directory), VerifyError> {
    let inner = directory.join("log");
    let directory = if inner.is_dir() {
        inner
    } else {
        directory.to_owned()
    };
    match Directory::open_to_read(&directory) {
        Ok(disk) => Ok((directory, disk)),
        Err(error) => Err(VerifyError::Directory(directory, error)),
    }
}

fn judge(
    directory: PathBuf,
    disk: &Directory,
    new_log: &mut Option<NewLog>,
) -> Result<Verdict, VerifyError> {
    let mut transitions = RecordValidator::default();
    let mut violations = (Vec::new(), 0);
    let mut visit = |record: Record| {
        if let Err(violation) = transitions.take(&record) {
            violations.1 += 1;
            if violations.0.len() < TOLD_VIOLATIONS {
                violations.0.push(violation);
            }
        }
        if let Some(new_log) = new_log {
            new_log.take(record);
        }
    };
    let mut progress = Progress::begin();
    let found = verify(disk, &mut visit, &mut |done, of| progress.show(done, of));
    drop(progress);
    let findings = found.map_err(|error| match error {
        OpenError::Locked { directory } => VerifyError::InUse(directory),
        error => VerifyError::Unreadable(error),
    })?;
    if findings.segments == 0 && !directory.join(Directory::LOCK).exists() {
        return Err(VerifyError::NoLog(directory));
    }
    Ok(Verdict {
        directory,
        findings,
        transitions,
        violations,
        salvaged: None,
    })
}
