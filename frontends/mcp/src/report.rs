//! What an agent is shown of a job: a text for the model, and the same in members for its client.

use crate::dispatch::millis;
use crate::job::{JobFacts, is_unfinished};
use crate::output::{Gap, Piece, PieceEnd, Position, ended};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rejoin_engine::{Engine, JobId, Outcome, SessionId};
use serde_json::{Map, Value, json};
use std::fmt::Write as _;

/// A part of a job's output.
#[derive(Debug)]
pub(crate) struct OutputPart {
    pub(crate) head: Piece,
    /// The end of the output, if the part between is left out.
    pub(crate) tail: Option<Piece>,
    /// Whether the bytes are given as Base64.
    pub(crate) is_base64: bool,
}

/// The result of a tool that reports on a job. It is an error if the job did not succeed.
pub(crate) fn job(
    engine: &Engine,
    session: SessionId,
    facts: &JobFacts,
    part: &OutputPart,
) -> Value {
    let state = match &facts.finish {
        Some(_) => "finished",
        None if is_unfinished(engine, session, facts.job) => "running",
        // Its end is in records that are lost.
        None => "unknown",
    };
    let last = part.tail.as_ref().unwrap_or(&part.head);
    let next = last.next;
    let more = last.end == PieceEnd::Full;
    let mut structured = Map::new();
    structured.insert("session".into(), session.to_string().into());
    structured.insert("job".into(), facts.job.0.into());
    structured.insert("command".into(), (&*facts.statement).into());
    structured.insert("state".into(), state.into());
    let finish = facts.finish.as_ref();
    structured.insert("outcome".into(), finish.map(|it| it.outcome.name()).into());
    structured.insert("exit_status".into(), facts.exit_status().into());
    let message = finish.and_then(|finish| finish.message.as_deref());
    structured.insert("message".into(), message.into());
    let duration = finish.map(|finish| millis(finish.at.since(facts.since)));
    structured.insert("duration_ms".into(), duration.into());
    let (output, is_exact) = shown(part);
    structured.insert("after".into(), next.to_string().into());
    structured.insert("more".into(), more.into());
    let left_out = left_out(part);
    structured.insert(
        "left_out".into(),
        match left_out {
            Some((from, until)) => json!({"after": from.to_string(), "until": until.to_string()}),
            None => Value::Null,
        },
    );
    let encoding = if part.is_base64 { "base64" } else { "text" };
    structured.insert("encoding".into(), encoding.into());
    structured.insert("exact".into(), is_exact.into());
    structured.insert("gaps".into(), gaps(part));

    let mut text = output.clone();
    structured.insert("output".into(), output.into());
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    let on = format!(
        "`read` with session \"{session}\", job {}, after \"{next}\"",
        facts.job
    );
    let number = facts.job;
    let _ = match (finish, state) {
        (Some(finish), _) => {
            let how = ended(finish.outcome, finish.status);
            write!(text, "[job {number} {how}")
        }
        (None, "running") => write!(text, "[job {number} is still running"),
        (None, _) => write!(
            text,
            "[it is unknown how job {number} ended: records are lost"
        ),
    };
    if let Some(message) = message {
        let _ = write!(text, ": {message}");
    }
    text.push_str("]\n");
    if more {
        let _ = writeln!(text, "[there is more output: {on}]");
    } else if state == "running" {
        let _ = writeln!(text, "[its next output: {on}]");
    }
    if !is_exact {
        text.push_str(
            "[some bytes are no text and were replaced: `encoding` \"base64\" gives them]\n",
        );
    }
    let _ = writeln!(text, "[session {session}]");
    let is_error = finish.is_some_and(|finish| finish.outcome != Outcome::Completed);
    result(text, structured.into(), is_error)
}

/// The result of a tool.
pub(crate) fn result(text: String, structured: Value, is_error: bool) -> Value {
    json!({
        "content": [{"type": "text", "text": text}],
        "structuredContent": structured,
        "isError": is_error,
    })
}

/// The result of a tool that could not do it: what to do instead, for the model.
pub(crate) fn failure(reason: &str) -> Value {
    json!({"content": [{"type": "text", "text": reason}], "isError": true})
}

/// The name of a job in calls that have one name for it.
pub(crate) fn task_id(session: SessionId, job: JobId) -> String {
    format!("{session}.{job}")
}

/// The session and the job of a task.
pub(crate) fn parse_task_id(id: &str) -> Option<(SessionId, JobId)> {
    let (session, job) = id.split_once('.')?;
    let number = job.parse().ok().map(JobId)?;
    // Written in one way only.
    let session = session.parse().ok()?;
    (task_id(session, number) == id).then_some((session, number))
}

/// The output as it is shown, and whether it is exactly the job's bytes.
fn shown(part: &OutputPart) -> (String, bool) {
    if part.is_base64 {
        return (STANDARD.encode(part.head.bytes()), true);
    }
    let mut text = part.head.text();
    if let (Some(tail), Some((from, until))) = (&part.tail, left_out(part)) {
        if !text.ends_with('\n') {
            text.push('\n');
        }
        let _ = writeln!(
            text,
            "[… output is left out here, from {from} to {until}: `read` with after \"{from}\" gives it …]"
        );
        text.push_str(&tail.text());
    }
    let pieces = part.tail.iter().chain([&part.head]);
    let is_exact = pieces
        .flat_map(|piece| &piece.segments)
        .all(|segment| std::str::from_utf8(&segment.bytes).is_ok());
    (text, is_exact)
}

/// The places between which output is left out.
fn left_out(part: &OutputPart) -> Option<(Position, Position)> {
    let tail = part.tail.as_ref()?;
    let until = tail.segments.front().map_or(tail.next, |first| first.at);
    Some((part.head.next, until))
}

fn gaps(part: &OutputPart) -> Value {
    let pieces = [Some(&part.head), part.tail.as_ref()];
    let gaps = pieces.into_iter().flatten().flat_map(|piece| &piece.gaps);
    gaps.map(Gap::json).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_is_named_after_its_session_and_job() {
        let session = SessionId::from_bytes([7; 16]);
        let id = task_id(session, JobId(12));
        assert_eq!(parse_task_id(&id), Some((session, JobId(12))));
        let upper = id.to_uppercase();
        for wrong in [
            "",
            ".",
            "12",
            "x.12",
            &id[1..],
            &format!("{id}x"),
            &format!("{id}.1"),
        ] {
            assert_eq!(parse_task_id(wrong), None, "{wrong}");
        }
        assert!(parse_task_id(&upper).is_none_or(|_| upper == id));
    }
}
