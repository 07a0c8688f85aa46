//! `rejoin export`: writes a session for other programs. Changes nothing in the log.

use crate::args::{ExportArgs, ExportFormat};
use crate::offline::{OfflineError, Seen, Session, TerminalOutput, conclude, fields, written};
use rejoin_core::Event;
use rejoin_replay::{Asciicast, DEFAULT_SIZE, Recording, Version, output_of};
use serde_json::Value;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Exports the session; the exit status says whether all of it could be read.
pub(crate) fn run(args: &ExportArgs) -> Result<ExitCode, OfflineError> {
    let format = args.format().map_err(OfflineError::Session)?;
    let session = Session::find(&args.session)?;
    let to = args.output.as_ref();
    let to = to.map_or_else(
        || "the export".to_owned(),
        |file| file.display().to_string(),
    );
    let output = Output::begin(args.output.as_deref());
    let mut destination = output.map_err(|error| OfflineError::Write(to.clone(), error))?;
    let mut out = BufWriter::new(&mut destination.to);
    let mut exporter = Exporter::new(args, format, &session);
    let mut outcome = Ok(());
    let output = match exporter {
        Exporter::Text => TerminalOutput::Text,
        _ => TerminalOutput::Bytes,
    };
    let findings = session.read(exporter.is_styled(), output, &mut |seen| {
        outcome = out.write_all(&exporter.take(&session, seen));
        outcome.is_ok()
    })?;
    let outcome = outcome.and_then(|()| out.write_all(exporter.end().as_bytes()));
    let outcome = outcome.and_then(|()| out.flush());
    drop(out);
    written(outcome.and_then(|()| destination.complete()), &to)?;
    Ok(conclude(&findings, Some(session.choice.session)))
}

/// Where the export goes. A file is written beside its place and renamed once it is complete, so that
/// what is there is never a part of an export.
struct Output {
    to: Box<dyn Write>,
    /// Where the file is written, and its place.
    beside: Option<(PathBuf, PathBuf)>,
}

impl Output {
    fn begin(file: Option<&Path>) -> io::Result<Self> {
        let Some(file) = file else {
            let to = Box::new(io::stdout().lock());
            return Ok(Self { to, beside: None });
        };
        let is_special = fs::metadata(file).is_ok_and(|found| !found.is_file());
        let beside = match file.file_name() {
            Some(name) if !is_special => {
                // A link stays, and what it leads to is replaced.
                let place = fs::canonicalize(file).unwrap_or_else(|_| file.to_owned());
                let name = place.file_name().unwrap_or(name);
                let mut unfinished = name.to_owned();
                unfinished.push(".unfinished");
                Some((place.with_file_name(unfinished), place))
            }
            // A device or a pipe, for example.
            _ => None,
        };
        let created = beside.as_ref().map_or(file, |(unfinished, _)| unfinished);
        let created = File::create(created)?;
        if let Some((_, place)) = &beside
            && let Ok(replaced) = fs::metadata(place)
        {
            created.set_permissions(replaced.permissions())?;
        }
        let to = Box::new(created);
        Ok(Self { to, beside })
    }

    fn complete(mut self) -> io::Result<()> {
        match self.beside.take() {
            Some((unfinished, place)) => fs::rename(unfinished, place),
            None => Ok(()),
        }
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        if let Some((unfinished, _)) = &self.beside {
            // It is worth nothing, and what failed is reported anyway.
            let _ = fs::remove_file(unfinished);
        }
    }
}

enum Exporter {
    Asciicast(Box<Asciicast>),
    Lines,
    Text,
    Raw,
}

impl Exporter {
    fn new(args: &ExportArgs, format: ExportFormat, session: &Session) -> Self {
        let version = match format {
            ExportFormat::AsciicastV2 => Version::Two,
            ExportFormat::AsciicastV3 => Version::Three,
            ExportFormat::Jsonl => return Self::Lines,
            ExportFormat::Text => return Self::Text,
            ExportFormat::Raw => return Self::Raw,
        };
        let (columns, rows) = session.choice.terminal.unwrap_or(DEFAULT_SIZE);
        let cast = Asciicast::new(
            Recording {
                version,
                columns: args.columns.unwrap_or(columns),
                rows: args.rows.unwrap_or(rows),
                idle_limit: args.idle_limit.map(|it| it.0),
                input: args.input,
            },
            session.choice.session,
            session.choice.number,
            session.choice.begin,
        );
        Self::Asciicast(Box::new(cast))
    }

    /// A recording shows a terminal with styles; text has none.
    fn is_styled(&self) -> bool {
        matches!(self, Self::Asciicast(_))
    }

    /// What to write for what is read.
    fn take(&mut self, session: &Session, seen: Seen<'_>) -> Vec<u8> {
        match (self, seen) {
            (Self::Asciicast(cast), Seen::Begun(terminals)) => {
                for (job, screen) in terminals.screens() {
                    cast.resume(job, screen);
                }
                vec![]
            }
            (Self::Asciicast(cast), Seen::Record(record, shown)) => {
                let is_visible = session.view.is_visible(record);
                cast.take(record, is_visible, &shown).into_bytes()
            }
            (Self::Lines, Seen::Record(record, _)) if session.view.is_visible(record) => {
                format!("{}\n", Value::Object(fields(record))).into_bytes()
            }
            (Self::Text, Seen::Record(_, shown) | Seen::Ended(shown)) => shown,
            (Self::Raw, Seen::Record(record, _)) if session.view.is_visible(record) => {
                match &record.event {
                    Event::ResultEmitted { result, .. } => output_of(result).bytes,
                    _ => vec![],
                }
            }
            _ => vec![],
        }
    }

    fn end(&mut self) -> String {
        match self {
            Self::Asciicast(cast) => cast.end(),
            Self::Lines | Self::Text | Self::Raw => String::new(),
        }
    }
}
