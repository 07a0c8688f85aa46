//! `rejoin log --audit`: who asked for what, and when, over all sessions of a log or of a server. Changes
//! nothing.

use crate::args::{LogArgs, ServerArgs};
use crate::client::ClientError;
use crate::client::api::Api;
use crate::client::event::actor_of;
use crate::client::limits::{AUDIT_PAGE, AUDIT_REQUESTS};
use crate::client::table::harmless;
use crate::commands::sessions::{now, percent_encoded};
use crate::offline::{Offline, OfflineError, Sessions, conclude, instant, warn, written};
use rejoin_core::{Event, Record, SessionId, SessionNumber, Timestamp};
use rejoin_native::record_json::audited;
use rejoin_replay::{named, request};
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::{self, BufWriter, Write};
use std::process::ExitCode;

/// Prints what people and programs asked for; the exit status says whether all of it could be read.
pub(crate) fn run(args: &LogArgs) -> Result<ExitCode, OfflineError> {
    if let Some(server) = args.place.server()
        && args.place.directory.is_none()
    {
        return served(&server, args);
    }
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
        let Some(did) = request(&record).filter(|_| filter.takes(&record)) else {
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

/// Prints what was asked for in all sessions of a server.
fn served(server: &ServerArgs, args: &LogArgs) -> Result<ExitCode, OfflineError> {
    if args.from > 1 {
        let reason = "--from is for a directory or one session: use --since";
        return Err(ClientError::Settings(reason.to_owned()).into());
    }
    let api = Api::new(server)?;
    let now = now();
    let mut path = format!("/audit?limit={AUDIT_PAGE}");
    for (name, when) in [("since", args.since), ("until", args.until)] {
        if let Some(when) = when {
            path += &format!("&{name}={}", when.timestamp(now).as_millis());
        }
    }
    if let Some(account) = &args.account {
        path += &format!("&account={}", percent_encoded(account));
    }
    let (mut requests, mut unreadable) = (vec![], vec![]);
    let mut next = path.clone();
    loop {
        let mut page = api.get(&next)?;
        for (all, name) in [(&mut requests, "requests"), (&mut unreadable, "unreadable")] {
            if let Some(Value::Array(part)) = page.get_mut(name).map(Value::take) {
                all.extend(part);
            }
        }
        if requests.len() > AUDIT_REQUESTS {
            let reason = format!(
                "more than {AUDIT_REQUESTS} requests: choose some with --since, --until or --account"
            );
            return Err(ClientError::Settings(reason).into());
        }
        match page["after"].as_str().filter(|_| page["more"] == true) {
            Some(after) => next = format!("{path}&after={}", percent_encoded(after)),
            None => break,
        }
    }
    // The order in which they happened. The text of an instant sorts as the instant.
    let order = |request: &Value| {
        let number = |name: &str| request[name].as_u64().unwrap_or(u64::MAX);
        let at = request["at"].as_str().unwrap_or_default().to_owned();
        (at, number("number"), number("sequence"))
    };
    requests.sort_by_cached_key(order);
    let limit = args
        .limit
        .map_or(usize::MAX, |it| usize::try_from(it).unwrap_or(usize::MAX));
    let mut out = BufWriter::new(io::stdout().lock());
    let mut outcome = Ok(());
    for request in requests.iter().take(limit) {
        let line = match args.json {
            true => request.to_string(),
            false => served_line(request),
        };
        outcome = writeln!(out, "{line}");
        if outcome.is_err() {
            break;
        }
    }
    written(outcome.and_then(|()| out.flush()), "the audit")?;
    for place in &unreadable {
        let text = |name: &str| harmless(place[name].as_str().unwrap_or_default());
        let (session, reason) = (text("session"), text("reason"));
        let after = &place["after"];
        warn(&format!(
            "session {session} can't be read after record {after}: {reason}"
        ));
    }
    Ok(match unreadable.is_empty() {
        true => ExitCode::SUCCESS,
        false => ExitCode::from(INCOMPLETE),
    })
}

/// Exit status if a part of the log could not be read.
const INCOMPLETE: u8 = 1;

fn served_line(request: &Value) -> String {
    let text = |name: &str| request[name].as_str().unwrap_or_default();
    let session = match request["number"].as_u64() {
        Some(number) => number.to_string(),
        None => text("session").to_owned(),
    };
    let who = actor_of(&request["by"]).map(|actor| named(&actor));
    words(text("at"), who, &session, text("what"))
}

fn line(record: &Record, number: Option<SessionNumber>, did: &str) -> String {
    let session = number.map_or_else(|| record.session.to_string(), |it| it.to_string());
    let who = record.actor.as_deref().map(named);
    words(&instant(record.at), who, &session, did)
}

fn words(at: &str, who: Option<String>, session: &str, did: &str) -> String {
    // A log of a version that did not note it, or a program that embeds the engine.
    let who = who.unwrap_or_else(|| "unknown".to_owned());
    harmless(&format!("{at}  {who}  session {session}: {did}"))
}

fn json(record: &Record, position: u64, number: Option<SessionNumber>) -> String {
    let mut fields = audited(record, number).unwrap_or_default();
    fields.insert("position".into(), position.into());
    Value::Object(fields).to_string()
}
