//! `rejoin log --audit`: who asked for what, and when, over all sessions of a log. Changes nothing.

use crate::args::LogArgs;
use crate::client::table::harmless;
use crate::commands::sessions::now;
use crate::offline::{Offline, OfflineError, Sessions, conclude, fields, instant, written};
use rejoin_core::{
    CloseCause, Event, InterruptCause, LeaveCause, LinkChange, Record, SessionId, SessionNumber,
    Timestamp,
};
use rejoin_replay::{describe, named};
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::{self, BufWriter, Write};
use std::process::ExitCode;

/// Prints what people and programs asked for; the exit status says whether all of it could be read.
pub(crate) fn run(args: &LogArgs) -> Result<ExitCode, OfflineError> {
    let (log, name) = Offline::find(&args.place, args.session.as_deref(), true)?;
    let mut sessions = Sessions::default();
    let session = match name {
        None => None,
        Some(name) => {
            log.read(&mut |record| sessions.add(&record))?;
            let choice = sessions.choose(Some(name)).map_err(OfflineError::Session)?;
            Some(choice.session)
        }
    };
    let now = now();
    let filter = Filter {
        session,
        account: args.account.as_deref(),
        since: args.since.map(|when| when.timestamp(now)),
        until: args.until.map(|when| when.timestamp(now)),
    };
    let mut numbers = BTreeMap::new();
    let mut out = BufWriter::new(io::stdout().lock());
    let mut outcome = Ok(());
    let (mut position, mut left) = (0_u64, args.limit.unwrap_or(u64::MAX));
    let findings = log.read(&mut |record| {
        position += 1;
        if let Event::SessionCreated { number, .. } = record.event {
            numbers.insert(record.session, number);
        }
        let Some(did) = did(&record).filter(|_| filter.takes(&record)) else {
            return;
        };
        if left == 0 || outcome.is_err() || position < args.from {
            return;
        }
        left -= 1;
        let number = numbers.get(&record.session).copied();
        let line = match args.json {
            true => json(&record, position, number),
            false => line(&record, number, &did),
        };
        outcome = writeln!(out, "{line}");
    })?;
    written(outcome.and_then(|()| out.flush()), "the audit")?;
    Ok(conclude(&findings, session))
}

/// Which of the requests are shown.
struct Filter<'a> {
    session: Option<SessionId>,
    account: Option<&'a str>,
    since: Option<Timestamp>,
    until: Option<Timestamp>,
}

impl Filter<'_> {
    fn takes(&self, record: &Record) -> bool {
        let account = record.actor.as_ref().and_then(|it| it.account.as_deref());
        self.session.is_none_or(|it| it == record.session)
            && self.account.is_none_or(|it| account == Some(it))
            && self.since.is_none_or(|since| record.at >= since)
            && self.until.is_none_or(|until| record.at <= until)
    }
}

fn line(record: &Record, number: Option<SessionNumber>, did: &str) -> String {
    let at = instant(record.at);
    let who = match record.actor.as_deref() {
        Some(actor) => named(actor),
        // A log of a version that did not note it, or a program that embeds the engine.
        None => "unknown".into(),
    };
    let session = match number {
        Some(number) => format!("session {number}"),
        None => format!("session {}", record.session),
    };
    harmless(&format!("{at}  {who}  {session}: {did}"))
}

fn json(record: &Record, position: u64, number: Option<SessionNumber>) -> String {
    let mut fields = fields(record);
    fields.insert("position".into(), position.into());
    if let Some(number) = number {
        // Also of the events that are not its first.
        fields.insert("number".into(), number.0.into());
    }
    // What was typed may be a password, and an audit is passed on.
    if let Event::InputWritten { bytes, .. } = &record.event {
        fields.remove("content");
        fields.remove("contentBase64");
        fields.insert("inputBytes".into(), bytes.len().into());
    }
    Value::Object(fields).to_string()
}

/// What somebody asked for, in the past tense; none for all that follows from it or happens by itself.
fn did(record: &Record) -> Option<String> {
    Some(match &record.event {
        Event::SessionCreated { service, .. } => format!("created it on the service {service}"),
        Event::UserSet { user } => format!("set its user to {user}"),
        Event::LinkChanged { link, change } => match change {
            LinkChange::Added { expires } => {
                format!(
                    "made the link {link} to watch it, until {}",
                    instant(*expires)
                )
            }
            LinkChange::Removed => format!("removed the link {link}"),
            LinkChange::Joined => format!("began to watch it by the link {link}"),
            LinkChange::Left => format!("stopped watching it by the link {link}"),
        },
        Event::ConsumerJoined { consumer, .. } => {
            format!("joined as consumer {}", consumer.ordinal)
        }
        Event::ConsumerLeft {
            consumer,
            cause: LeaveCause::Left,
        } => format!("left as consumer {}", consumer.ordinal),
        Event::JobSubmitted { job, statement, .. } => {
            format!("ran {} as job {job}", Value::from(&**statement))
        }
        Event::InputWritten {
            job, bytes, end, ..
        } => {
            let end = if *end { " and ended the input" } else { "" };
            format!("wrote {} bytes to job {job}{end}", bytes.len())
        }
        Event::StatementRefused { statement, reason } => match statement {
            Some(statement) => {
                format!("was refused to run {}: {reason}", Value::from(&**statement))
            }
            None => format!("was refused to run something: {reason}"),
        },
        Event::InterruptRequested {
            job,
            cause: InterruptCause::Requested,
            ..
        } => format!("interrupted job {job}"),
        Event::SessionClosed {
            cause: CloseCause::Requested,
        } => "closed it".into(),
        Event::RecordsLost { .. } => {
            record.actor.as_ref()?;
            "deleted its records".into()
        }
        Event::RecordsRedacted { records } => {
            let all: Vec<_> = records.iter().map(ToString::to_string).collect();
            format!("redacted record {}", all.join(", "))
        }
        // They follow from something else.
        Event::ConsumerLeft { .. }
        | Event::InterruptRequested { .. }
        | Event::JobFinished { .. }
        | Event::SessionClosed { .. } => return None,
        event => {
            record.actor.as_ref()?;
            describe(event)?
        }
    })
}
