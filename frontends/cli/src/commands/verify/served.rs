//! Checks one session of a server that runs.

use super::{DAMAGED, LISTED_VIOLATIONS, VerifyError};
use crate::args::ServerArgs;
use crate::client::table::harmless;
use crate::offline::ServedSession;
use rejoin_engine::RecordValidator;
use serde_json::json;
use std::io::{self, Write};
use std::process::ExitCode;

pub(super) fn run(server: &ServerArgs, name: &str, as_json: bool) -> Result<ExitCode, VerifyError> {
    let failed = |error: crate::offline::OfflineError| VerifyError::Served(error.to_string());
    let served = ServedSession::find(server, name, true).map_err(failed)?;
    let mut validator = RecordValidator::default();
    let (mut records, mut last) = (0_u64, 0);
    let (mut violations, mut count) = (vec![], 0_u64);
    let read = served.read(&mut |record| {
        records += 1;
        last = record.sequence.0;
        if let Err(violation) = validator.take(&record) {
            count += 1;
            if violations.len() < LISTED_VIOLATIONS {
                violations.push(violation.to_string());
            }
        }
    });
    read.map_err(failed)?;
    let session = served.session;
    let report = if as_json {
        let report = json!({
            "session": session.to_string(),
            "intact": count == 0,
            "records": records,
            "last": last,
            "violations": violations,
            "violationCount": count,
        });
        report.to_string()
    } else {
        let state = if count == 0 { "intact" } else { "invalid" };
        let mut report =
            format!("Session {session} is {state}.\nRead {records} records, up to {last}.");
        for violation in &violations {
            report += "\n";
            report += &harmless(violation);
        }
        report
    };
    let mut out = io::stdout();
    writeln!(out, "{report}")?;
    out.flush()?;
    Ok(match count {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::from(DAMAGED),
    })
}
