//! `rejoin interrupt`, `close` and `send`: one request each.

use super::sessions::{labels_shown, print};
use crate::args::{CloseArgs, DeleteArgs, InterruptArgs, LabelArgs, SendArgs};
use crate::client::ClientError;
use crate::client::input::{self, Sink};
use crate::client::resolve::{any, identity, open};
use crate::client::table::harmless;
use crate::offline::warn;
use serde_json::{Map, Value, json};
use std::io::{self, BufRead, IsTerminal, Read, Write};

/// Interrupts a job.
pub(crate) fn interrupt(args: &InterruptArgs) -> Result<(), ClientError> {
    let (api, session) = open(&args.at)?;
    let path = match args.job {
        Some(job) => format!("/sessions/{session}/jobs/{job}/interrupt"),
        None => format!("/sessions/{session}/interrupt"),
    };
    let ack = api.post(&path, &json!({}))?;
    match args.json {
        true => print(&format!("{ack}\n")),
        false => print(&format!("interrupting job {}\n", ack["job"])),
    }
}

/// Changes the title and the labels of a session.
pub(crate) fn label(args: &LabelArgs) -> Result<(), ClientError> {
    let mut labels = Map::new();
    for label in &args.labels {
        let (key, value) = match (label.split_once('='), label.strip_suffix('-')) {
            (Some((key, value)), _) => (key, Value::from(value)),
            (None, Some(key)) => (key, Value::Null),
            (None, None) => {
                let reason = format!("{label}: a label is KEY=VALUE, or KEY- to remove it");
                return Err(ClientError::Settings(reason));
            }
        };
        labels.insert(key.to_owned(), value);
    }
    let mut change = json!({"labels": labels});
    if let Some(title) = &args.title {
        change["title"] = title.as_str().into();
    }
    let (api, session) = open(&args.at)?;
    let shown = api.patch(&format!("/sessions/{session}"), &change)?;
    if args.json {
        return print(&format!("{shown}\n"));
    }
    let title = shown["title"].as_str().map(harmless);
    let labels = labels_shown(&shown);
    let words = title
        .into_iter()
        .chain((!labels.is_empty()).then_some(labels));
    let words: Vec<_> = words.collect();
    let words = match words.is_empty() {
        true => "no title and no labels".to_owned(),
        false => words.join("  "),
    };
    print(&format!("session {}: {words}\n", shown["number"]))
}

/// Closes a session.
pub(crate) fn close(args: &CloseArgs) -> Result<(), ClientError> {
    let (api, session) = open(&args.at)?;
    api.delete(&format!("/sessions/{session}"))?;
    match args.json {
        true => print(&format!("{}\n", json!({"session": session}))),
        false => print(&format!("closed session {session}\n")),
    }
}

/// Deletes a session with its records.
pub(crate) fn delete(args: &DeleteArgs) -> Result<(), ClientError> {
    let (api, shown) = any(&args.at)?;
    let (session, _) = identity(&shown)?;
    let question = format!(
        "Delete session {} and all that it printed?",
        args.at.session
    );
    if !args.yes && !is_sure(&question, "delete it") {
        return Err(ClientError::Settings("nothing was deleted".to_owned()));
    }
    match api.delete(&format!("/sessions/{session}/records")) {
        // It may be gone, and its number with it.
        Err(ClientError::Unanswered(url, why)) => {
            return Err(ClientError::Lost(format!(
                "cannot reach the server at {url}: {why}; it is unknown whether session {session} was \
                 deleted: `rejoin show {session}` says so"
            )));
        }
        deleted => deleted?,
    };
    match args.json {
        true => print(&format!("{}\n", json!({"session": session})))?,
        false => print(&format!("deleted session {session}\n"))?,
    }
    if !args.json && has_nodes(&shown) {
        warn(NATS_KEEPS);
    }
    Ok(())
}

/// Whether a session's server is one of several nodes.
pub(super) fn has_nodes(session: &Value) -> bool {
    session["homeNode"].is_string()
}

/// What is said where several nodes share their logs.
pub(super) const NATS_KEEPS: &str = "no node shows it any more, but the servers of NATS keep the old bytes until all sessions \
     up to there were removed: see the book, \"What the servers of NATS keep\"";

/// Asks before something is gone for good. Without a terminal, or where it was read already, there is no
/// one to say yes.
pub(super) fn is_sure(question: &str, what: &str) -> bool {
    if !io::stdin().is_terminal() {
        warn(&format!("say --yes to {what} without being asked"));
        return false;
    }
    let _ = write!(io::stderr(), "{question} [y/N] ");
    let mut answer = String::new();
    let read = io::stdin().lock().take(LINE).read_line(&mut answer);
    read.is_ok() && matches!(answer.trim(), "y" | "Y" | "yes")
}

/// Bytes of an answer that are read.
const LINE: u64 = 64;

/// Sends input to a job.
pub(crate) fn send(args: &SendArgs) -> Result<(), ClientError> {
    let (api, session) = open(&args.at)?;
    let sink = Sink::new(&api, &session, args.job);
    match &args.line {
        Some(line) => sink.write(format!("{line}\n").as_bytes(), args.end),
        None => input::pass(&sink, &mut io::stdin().lock(), args.end),
    }
}
