//! `rejoin export`: writes a session for other programs. Changes nothing in the log.

mod asciicast;

use crate::args::{ExportArgs, ExportFormat};
use crate::offline::{OfflineError, Session, conclude, fields, written};
use asciicast::{Asciicast, Screen};
use rejoin_core::Record;
use serde_json::Value;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::process::ExitCode;

/// Exports the session; the exit status says whether all of it could be read.
pub(crate) fn run(args: &ExportArgs) -> Result<ExitCode, OfflineError> {
    let session = Session::find(&args.session)?;
    let (mut out, to): (Box<dyn Write>, String) = match &args.output {
        None => (Box::new(io::stdout().lock()), "the export".into()),
        Some(file) => {
            let name = file.display().to_string();
            let file = File::create(file).map_err(|it| OfflineError::Write(name.clone(), it))?;
            (Box::new(file), name)
        }
    };
    let mut out = BufWriter::new(&mut out);
    let mut exporter = Exporter::new(args, &session);
    let mut outcome = Ok(());
    let findings = session.read(exporter.is_styled(), &mut |record, shown| {
        outcome = out.write_all(&exporter.take(&session, record, shown));
        outcome.is_ok()
    })?;
    let outcome = outcome.and_then(|()| out.write_all(exporter.end().as_bytes()));
    written(outcome.and_then(|()| out.flush()), &to)?;
    Ok(conclude(&findings, Some(session.choice.session)))
}

enum Exporter {
    Asciicast(Box<Asciicast>),
    Lines,
    Text,
}

impl Exporter {
    fn new(args: &ExportArgs, session: &Session) -> Self {
        match args.format {
            ExportFormat::Asciicast => Self::Asciicast(Box::new(Asciicast::new(
                Screen {
                    columns: args.columns,
                    rows: args.rows,
                    idle_limit: args.idle_limit.map(|it| it.0),
                },
                &session.choice,
            ))),
            ExportFormat::Jsonl => Self::Lines,
            ExportFormat::Text => Self::Text,
        }
    }

    /// A recording shows a terminal with styles; text has none.
    fn is_styled(&self) -> bool {
        matches!(self, Self::Asciicast(_))
    }

    /// What to write for the next record, which a terminal shows as these bytes.
    fn take(&mut self, session: &Session, record: &Record, shown: Vec<u8>) -> Vec<u8> {
        match self {
            Self::Asciicast(cast) => {
                let is_visible = session.view.is_visible(record);
                cast.take(record, is_visible, &shown).into_bytes()
            }
            Self::Lines if session.view.is_visible(record) => {
                format!("{}\n", Value::Object(fields(record))).into_bytes()
            }
            Self::Lines => vec![],
            Self::Text => shown,
        }
    }

    fn end(&mut self) -> String {
        match self {
            Self::Asciicast(cast) => cast.end(),
            Self::Lines | Self::Text => String::new(),
        }
    }
}
