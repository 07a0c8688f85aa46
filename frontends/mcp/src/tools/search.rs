//! `search`: finds lines in the output of a session, a bounded part in each call.

use super::arguments::{Name, parse, position};
use super::{Failed, ToolResult, session};
use crate::dispatch::Context;
use crate::limits::{MATCHES, MAX_MATCHES};
use crate::output::Position;
use crate::report;
use rejoin_engine::{JobId, SessionId};
use rejoin_search::{Found, OutputSearch, Pattern, PatternError, PatternOptions};
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Search {
    session: Name,
    text: String,
    #[serde(default)]
    regex: bool,
    job: Option<u64>,
    after: Option<Name>,
    limit: Option<u64>,
    #[serde(default)]
    ignore_case: bool,
}

pub(super) async fn search(context: &Context<'_>, arguments: Value) -> ToolResult {
    let search: Search = parse(arguments)?;
    let options = PatternOptions {
        is_regex: search.regex,
        ignore_case: search.ignore_case,
    };
    let pattern = Pattern::new(&search.text, options).map_err(|error| {
        Failed(match error {
            PatternError::Length => "`text` must be a part of one line, of 1 to 1024 bytes".into(),
            error => format!("`text`: {error}"),
        })
    })?;
    let session = session(context, &search.session).await?;
    let after = search.after.as_ref().map(position).transpose()?;
    let most = search.limit.map_or(MATCHES, |limit| {
        usize::try_from(limit).map_or(MAX_MATCHES, |limit| limit.clamp(1, MAX_MATCHES))
    });
    let search = OutputSearch {
        job: search.job.map(JobId),
        after: after.unwrap_or(Position::START),
        lines: most,
        ..OutputSearch::new(session, pattern)
    };
    Ok(structured(session, &search.run(context.engine()).await?))
}

fn structured(session: SessionId, found: &Found) -> Value {
    let mut text = String::new();
    for found in &found.lines {
        text += &format!("job {} at {}: {}\n", found.job, found.at, found.line);
    }
    let next = found.next;
    text += &match (found.lines.is_empty(), found.is_over) {
        (true, true) => "[found nothing]\n".to_owned(),
        (false, true) => "[that is all]\n".to_owned(),
        (_, false) => format!("[there is more to search: `search` with after \"{next}\"]\n"),
    };
    let lines = found.lines.iter();
    let matches: Vec<_> = lines
        .map(|found| json!({"job": found.job.0, "at": found.at.to_string(), "line": found.line}))
        .collect();
    let structured = json!({
        "session": session.to_string(),
        "matches": matches,
        "after": next.to_string(),
        "more": !found.is_over,
    });
    report::result(text, structured, false)
}
