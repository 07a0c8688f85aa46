//! `rejoin verify`: checks a log offline and reports what is damaged, missing and still readable.
//! Changes nothing; can write everything intact to a new log.

mod progress;
mod report;
mod salvage;
mod served;

use crate::args::VerifyArgs;
use crate::offline::OfflineError;
use progress::Progress;
use rejoin_core::{Record, SessionId, Violation};
use rejoin_engine::{RecordValidator, Salvaged};
use rejoin_log::AppendError;
use rejoin_log::disk::Directory;
use rejoin_log::segment::{OpenError, VerifyReport, verify};
use salvage::{NewLog, UNFINISHED};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// The most violations in a report; further ones are counted.
const LISTED_VIOLATIONS: usize = 100;

/// Why a log could not be checked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum VerifyError {
    /// There is none.
    #[error("no log in {}: it has neither segments nor a `log` directory", .0.display())]
    NoLog(PathBuf),
    /// The directory cannot be read.
    #[error("cannot read {}: {}{}", .0.display(), .1, hint(.0, .1))]
    Directory(PathBuf, #[source] io::Error),
    /// A server has it open.
    #[error(
        "the log in {} is in use by a running server: ask the server, with `--server URL SESSION` instead \
         of the directory, or read a copy of the directory",
        .0.display()
    )]
    InUse(PathBuf),
    /// The session of a server could not be read.
    #[error("{0}")]
    Served(String),
    /// This version or the operating system cannot read it.
    #[error(transparent)]
    Unreadable(OpenError),
    /// The new log needs an empty directory.
    #[error("{} is not empty: --salvage needs a new or empty directory", .0.display())]
    NotEmpty(PathBuf),
    /// The log being verified must not be changed.
    #[error("{} is inside the directory of the log: --salvage needs a directory outside it", .0.display())]
    Inside(PathBuf),
    /// `--salvage` was interrupted while it wrote this log.
    #[error(
        "{} is a log that `rejoin verify --salvage` was writing when it was interrupted, or is still \
         writing: records are missing. If it does not run any more, remove this directory and run it \
         again",
        .0.display()
    )]
    Unfinished(PathBuf),
    /// The new log could not be created.
    #[error("cannot write the new log: {0}")]
    Begin(#[source] OpenError),
    /// Writing to the new log failed; it was removed.
    #[error("cannot write the new log: {0}")]
    Append(#[from] AppendError),
    /// Standard output could not be written.
    #[error("cannot write the report: {0}")]
    Report(#[from] io::Error),
}

/// The result of a verification.
struct Verdict {
    directory: PathBuf,
    findings: VerifyReport,
    transitions: RecordValidator,
    /// The first violations, and the count of all.
    violations: (Vec<Violation>, u64),
    /// The new log's directory and contents, with --salvage.
    salvaged: Option<(PathBuf, Salvaged)>,
}

impl Verdict {
    fn is_sound(&self) -> bool {
        self.findings.is_sound() && self.violations.1 == 0
    }

    fn status(&self) -> ExitCode {
        let is_whole = match &self.salvaged {
            // Records may be lost of which there is no other trace.
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

/// Verifies and reports; the exit status says whether the log is intact.
pub(crate) fn run(args: &VerifyArgs) -> Result<ExitCode, VerifyError> {
    if args.place.is_link() {
        return Err(VerifyError::Served(OfflineError::ByLink.to_string()));
    }
    if let Some((server, name)) = args.place.served(None).map_err(VerifyError::Served)? {
        return served::run(&server, name, args.json);
    }
    let given = args.place.directory();
    let (directory, disk) = find_log(given)?;
    let mut new_log = match &args.salvage {
        Some(out) => Some(NewLog::begin(out, &[given, &directory])?),
        None => None,
    };
    let mut verdict = match check(directory, &disk, &mut new_log) {
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
        report::text(&verdict)
    };
    report.push('\n');
    let mut out = io::stdout();
    out.write_all(report.as_bytes())?;
    out.flush()?;
    Ok(verdict.status())
}

/// Exit status if the log is not intact, or something was lost.
const DAMAGED: u8 = 1;

/// How to name the session of a server, where a session was named instead of a directory.
fn hint(directory: &Path, error: &io::Error) -> String {
    let name = directory.to_str().unwrap_or_default();
    let is_number = !name.is_empty() && name.bytes().all(|it| it.is_ascii_digit());
    let is_session = is_number || name.parse::<SessionId>().is_ok();
    if !is_session || error.kind() != io::ErrorKind::NotFound {
        return String::new();
    }
    let server = std::env::var("REJOIN_SERVER").ok();
    let server = server.filter(|it| !it.is_empty());
    let url = server.as_deref().unwrap_or("URL");
    let because = match &server {
        Some(_) => ", because REJOIN_SERVER does not count here",
        None => "",
    };
    format!(" (for session {name} of a server that runs, use --server {url} {name}{because})")
}

/// Finds the log in a server's directory, or in its `log` directory.
///
/// # Errors
///
/// If the directory cannot be read, or has what an interrupted `--salvage` left.
pub(crate) fn find_log(directory: &Path) -> Result<(PathBuf, Directory), VerifyError> {
    check_finished(directory)?;
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

/// Fails if a directory has, or is, the log of a `--salvage` that was interrupted.
pub(crate) fn check_finished(directory: &Path) -> Result<(), VerifyError> {
    let inner = directory.join(UNFINISHED);
    if inner.exists() {
        return Err(VerifyError::Unfinished(inner));
    }
    // Resolve `.`, and links.
    let real = directory
        .canonicalize()
        .unwrap_or_else(|_| directory.to_owned());
    match real.file_name() {
        Some(name) if name == UNFINISHED => Err(VerifyError::Unfinished(directory.to_owned())),
        _ => Ok(()),
    }
}

fn check(
    directory: PathBuf,
    disk: &Directory,
    new_log: &mut Option<NewLog>,
) -> Result<Verdict, VerifyError> {
    let mut transitions = RecordValidator::default();
    let mut violations = (Vec::new(), 0);
    let mut visit = |record: Record| {
        if let Err(violation) = transitions.take(&record) {
            violations.1 += 1;
            if violations.0.len() < LISTED_VIOLATIONS {
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
