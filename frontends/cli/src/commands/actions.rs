//! `rejoin interrupt`, `close` and `send`: one request each.

use super::sessions::print;
use crate::args::{CloseArgs, InterruptArgs, SendArgs};
use crate::client::ClientError;
use crate::client::input::{self, Sink};
use crate::client::resolve::open;
use serde_json::json;
use std::io;

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

/// Closes a session.
pub(crate) fn close(args: &CloseArgs) -> Result<(), ClientError> {
    let (api, session) = open(&args.at)?;
    api.delete(&format!("/sessions/{session}"))?;
    match args.json {
        true => print(&format!("{}\n", json!({"session": session}))),
        false => print(&format!("closed session {session}\n")),
    }
}

/// Sends input to a job.
pub(crate) fn send(args: &SendArgs) -> Result<(), ClientError> {
    let (api, session) = open(&args.at)?;
    let sink = Sink::new(&api, &session, args.job);
    match &args.line {
        Some(line) => sink.write(format!("{line}\n").as_bytes(), args.end),
        None => input::pass(&sink, &mut io::stdin().lock(), args.end),
    }
}
