//! Resources: the transcript of each session, from any place.

use crate::dispatch::Context;
use crate::error::RpcError;
use crate::limits::{PAGE, RESOURCE_BYTES};
use crate::message::Call;
use crate::output::{OutputReader, PieceEnd, Position, Show};
use rejoin_accounts::Permission;
use rejoin_engine::{EndedSessions, PullError, Selection, SessionId, SessionPager, SessionView};
use serde_json::{Value, json};
use std::time::Duration;

pub(crate) fn templates() -> Value {
    json!([{
        "uriTemplate": "rejoin://sessions/{session}/transcript{?after}",
        "name": "transcript",
        "title": "Transcript of a session",
        "description": "The commands of a session, their output and how they ended. `after` is the place where an earlier read ended.",
        "mimeType": MIME,
    }])
}

/// The transcripts of the newest sessions that the agent finds.
pub(crate) fn list(context: &Context<'_>, call: &Call) -> Result<Value, RpcError> {
    let before = match call.params.get("cursor") {
        None => u64::MAX,
        Some(cursor) => {
            let cursor = cursor.as_str().and_then(|cursor| cursor.parse().ok());
            cursor.ok_or_else(|| RpcError::invalid_params("invalid cursor"))?
        }
    };
    let selection = Selection {
        user: context.agent.shown_user(),
        numbers: 0..=before.saturating_sub(1),
        ..Selection::default()
    };
    let pager = SessionPager::new(context.engine(), &selection);
    let (page, next) = pager.newest(PAGE, EndedSessions::Include, |view| {
        let may_use = context.agent.may_use(&view.service);
        may_use.then(|| resource(view))
    });
    let resources: Vec<_> = page.into_iter().flatten().collect();
    let mut listed = json!({"resources": resources});
    if let Some(next) = next {
        listed["nextCursor"] = next.to_string().into();
    }
    Ok(context.cached(listed, Duration::ZERO))
}

pub(crate) async fn read(context: &Context<'_>, call: &Call) -> Result<Value, RpcError> {
    let uri = call.text("uri");
    let uri = uri.ok_or_else(|| RpcError::invalid_params("`uri` is missing"))?;
    let not_found = || {
        let code = match context.era.is_modern() {
            true => -32602,
            false => -32002,
        };
        RpcError {
            code,
            data: Some(json!({"uri": uri})),
            ..RpcError::invalid_params("resource not found")
        }
    };
    let (session, from) = parse(uri).ok_or_else(not_found)?;
    if !context.agent.may(Permission::Read) {
        return Err(not_found());
    }
    let session = context
        .agent
        .session(context.engine(), &session.to_string())
        .await
        .map_err(|error| RpcError::internal(error.to_string()))?;
    let session = session.ok_or_else(not_found)?;
    context.http.log_session(session);
    let reader = OutputReader {
        engine: context.engine(),
        session,
        show: Show::Transcript,
    };
    let piece = match reader.forward(from, RESOURCE_BYTES).await {
        Err(PullError::SessionNotFound) => return Err(not_found()),
        piece => piece.map_err(|error| RpcError::internal(error.to_string()))?,
    };
    let (next, more) = (piece.next, piece.end == PieceEnd::Full);
    let mut text = piece.text();
    if more {
        if !text.ends_with('\n') {
            text.push('\n');
        }
        text += &format!("[there is more: {}?after={next}]\n", uri_of(session));
    }
    let contents = json!([{
        "uri": uri,
        "mimeType": MIME,
        "text": text,
        "_meta": {"rejoin/after": next.to_string(), "rejoin/more": more},
    }]);
    Ok(context.cached(json!({"contents": contents}), Duration::ZERO))
}

fn resource(view: &SessionView) -> Value {
    let last = view.jobs().rfind(|job| !job.mode.is_private());
    let name = format!("Session {}", view.number);
    let mut shown = json!({
        "uri": uri_of(view.id),
        "name": format!("session-{}", view.number),
        "title": name,
        "mimeType": MIME,
    });
    if let Some(last) = last {
        shown["description"] = format!("Its last command: {}", last.statement).into();
    }
    shown
}

fn uri_of(session: SessionId) -> String {
    format!("{PREFIX}{session}{SUFFIX}")
}

fn parse(uri: &str) -> Option<(SessionId, Position)> {
    let (path, query) = uri.split_once('?').unwrap_or((uri, ""));
    let session = path.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)?;
    let from = match query {
        "" => Position::START,
        // A plus in a query may be encoded.
        query => query
            .strip_prefix("after=")?
            .replace("%2B", "+")
            .parse()
            .ok()?,
    };
    Some((session.parse().ok()?, from))
}

const PREFIX: &str = "rejoin://sessions/";
const SUFFIX: &str = "/transcript";
const MIME: &str = "text/plain";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uri_names_a_session_and_a_place() {
        let session = SessionId::from_bytes([7; 16]);
        let uri = uri_of(session);
        assert_eq!(parse(&uri), Some((session, Position::START)));
        let place = "17+5".parse().unwrap();
        assert_eq!(parse(&format!("{uri}?after=17+5")), Some((session, place)));
        assert_eq!(
            parse(&format!("{uri}?after=17%2B5")),
            Some((session, place))
        );
        for wrong in ["", "rejoin://sessions/1/transcript", "file:///etc/passwd"] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
        assert_eq!(parse(&format!("{uri}?after=x")), None);
        assert_eq!(parse(&format!("{uri}?before=1")), None);
    }
}
