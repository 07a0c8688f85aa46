//! Finds sessions, and lines in their output.

use crate::Native;
use crate::answer::{HandlerResult, ok};
use crate::error::Fault;
use crate::handlers::clamp_limit;
use crate::limits::{MATCHES, MAX_MATCHES, MAX_PAGE, PAGE};
use crate::request::{Query, StateFilter};
use futures::future::{Either, select};
use rejoin_accounts::{Caller, Denied};
use rejoin_engine::{EndedSessions, JobId, SessionView};
use rejoin_http::Request;
use rejoin_search::{
    FindSessions, Found, LineMatch, OutputPlace, OutputSearch, Pattern, PatternError,
    PatternOptions, QueryError, SessionQuery, find_sessions,
};
use serde_json::{Value, json};
use std::pin::pin;

impl Native {
    /// `GET /sessions?q=…`: as the list, of the sessions that match.
    pub(crate) async fn find(&self, caller: &Caller, query: &Query, words: &str) -> HandlerResult {
        let words = SessionQuery::parse(words)?;
        let state = StateFilter::parse(query.text("state"))?;
        let (wanted, service) = (query.text("user"), query.text("service"));
        let server_user = &**self.accounts.server_user();
        let entered = self.accounts.entered(caller);
        let admit = |view: &SessionView| {
            let owner = view.user.as_deref().filter(|owner| !owner.is_empty());
            let is_closed = view.closed.is_some();
            (caller.sees(view.user.as_deref()) || entered.contains(&view.number.0))
                && service.is_none_or(|service| *view.service == *service)
                // The sessions of nobody are shown as the server's user's.
                && wanted.is_none_or(|wanted| match owner {
                    Some(owner) => owner == wanted,
                    None => wanted.is_empty() || wanted == server_user,
                })
                && state.is_none_or(|state| match state.ended() {
                    EndedSessions::Only => is_closed,
                    _ => !is_closed && state.busy() == Some(view.is_busy()),
                })
        };
        let find = FindSessions {
            query: &words,
            nobody: server_user,
            before: query.number("before")?.unwrap_or(u64::MAX),
            limit: clamp_limit(query.number("limit")?, PAGE, MAX_PAGE),
        };
        let show = |view: &SessionView| self.show_session(view);
        let found = find_sessions(&self.engine, &find, admit, show).await;
        Ok(ok(&json!({"next": found.next, "sessions": found.sessions})))
    }

    /// `GET /sessions/{session}/search`: lines of its output.
    pub(crate) async fn search(&self, http: &Request) -> HandlerResult {
        let (caller, session, _visit) = self.reader(http).await?;
        let known = [
            "q",
            "regex",
            "ignoreCase",
            "job",
            "stream",
            "after",
            "limit",
        ];
        let query = Query::parse(http.url(), &known)?;
        let options = PatternOptions {
            is_regex: query.flag("regex")?,
            ignore_case: query.flag("ignoreCase")?,
        };
        let pattern = Pattern::new(query.text("q").unwrap_or_default(), options)?;
        let after = query.text("after").map(str::parse).transpose();
        let after = after.map_err(|_| {
            let reason = "`after` must be the `after` of an earlier answer, or the `at` of a match";
            Fault::RequestInvalid(reason.to_owned())
        })?;
        let stream = query.text("stream");
        if stream.is_some_and(|it| !["stdout", "stderr", "terminal"].contains(&it)) {
            let reason = "`stream` must be stdout, stderr or terminal";
            return Err(Fault::RequestInvalid(reason.to_owned()));
        }
        let search = OutputSearch {
            job: query.number("job")?.map(JobId),
            stream: stream.map(str::to_owned),
            after: after.unwrap_or(OutputPlace::START),
            lines: clamp_limit(query.number("limit")?, MATCHES, MAX_MATCHES),
            ..OutputSearch::new(session, pattern)
        };
        let shutdown = http.shutdown();
        let found = pin!(search.run(&self.engine));
        let found = match select(found, pin!(shutdown.wait())).await {
            Either::Left((found, _)) => found?,
            Either::Right(_) => Found {
                lines: vec![],
                next: search.after,
                is_over: false,
            },
        };
        if !self.accounts.is_current(&caller) {
            return Err(Fault::Denied(Denied::Expired));
        }
        let matches: Vec<_> = found.lines.iter().map(line_json).collect();
        Ok(ok(&json!({
            "after": found.next.to_string(),
            "more": !found.is_over,
            "matches": matches,
        })))
    }
}

/// A line that was found.
fn line_json(found: &LineMatch) -> Value {
    let text = |range| found.line.get(range).unwrap_or_default();
    json!({
        "job": found.job.0,
        "stream": found.stream,
        "sequence": found.sequence.0,
        "row": found.row,
        "at": found.at.to_string(),
        "time": found.time.as_millis(),
        "line": found.line,
        "before": text(0..found.range.start),
        "match": text(found.range.clone()),
    })
}

impl From<PatternError> for Fault {
    fn from(error: PatternError) -> Self {
        Self::RequestInvalid(error.to_string())
    }
}

impl From<QueryError> for Fault {
    fn from(error: QueryError) -> Self {
        Self::RequestInvalid(error.to_string())
    }
}
