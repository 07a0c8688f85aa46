//! `rejoin sessions` and `rejoin show`: sessions of a server, as tables or JSON.

use crate::args::{SessionOrder, SessionState, SessionsArgs, ShowArgs};
use crate::client::ClientError;
use crate::client::api::Api;
use crate::client::limits::PAGE;
use crate::client::resolve::{address, resolve};
use crate::client::table::{ago, duration, harmless, table};
use crate::offline::{instant, warn};
use rejoin_core::Timestamp;
use rejoin_replay::plain;
use serde_json::{Value, json};
use std::cmp::Reverse;
use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write as _};
use std::time::Duration;

/// Lists sessions.
pub(crate) fn sessions(args: &SessionsArgs) -> Result<(), ClientError> {
    let api = Api::new(&args.server)?;
    let (mut sessions, more) = pages(&api, args)?;
    sort(&mut sessions, args.sort);
    if args.json {
        return print(&format!(
            "{}\n",
            json!({"sessions": sessions, "more": more})
        ));
    }
    let now = now();
    let has_nodes = sessions.iter().any(|it| it["homeNode"].is_string());
    let has_titles = sessions.iter().any(|it| it["title"].is_string());
    let mut columns = COLUMNS.to_vec();
    let mut rows: Vec<_> = sessions.iter().map(|it| row(it, now)).collect();
    if has_nodes {
        columns.insert(NODE, "NODE");
        for (row, session) in rows.iter_mut().zip(&sessions) {
            row.insert(NODE, node(session));
        }
    }
    if has_titles {
        columns.insert(TITLE, "TITLE");
        for (row, session) in rows.iter_mut().zip(&sessions) {
            row.insert(TITLE, or_none(text(session, "title")));
        }
    }
    print(&table(&columns, &rows, width()))?;
    if more {
        warn(&format!(
            "showing the newest {}; use --limit to see more",
            rows.len()
        ));
    }
    Ok(())
}

/// Shows a session and its jobs.
pub(crate) fn show(args: &ShowArgs) -> Result<(), ClientError> {
    let (api, name) = address(&args.at)?;
    let session = resolve(&api, &name)?;
    if args.json {
        return print(&format!("{session}\n"));
    }
    let now = now();
    let mut out = String::new();
    let mut field = |name: &str, value: &str| {
        let _ = writeln!(out, "{name:9} {}", harmless(value));
    };
    field("session", text(&session, "id"));
    field("number", &session["number"].to_string());
    let state = match session["closed"]["cause"].as_str() {
        Some(cause) => format!("{} ({cause})", text(&session, "state")),
        None => text(&session, "state").to_owned(),
    };
    field("state", &state);
    if session["homeNode"].is_string() {
        field("node", &node(&session));
        if text(&session, "node") != text(&session, "homeNode") {
            field(
                "",
                "the directory and the variables of its shell did not follow",
            );
        }
    }
    for name in ["user", "service", "remote"] {
        if let Some(value) = session[name].as_str() {
            field(name, value);
        }
    }
    if let Some(title) = session["title"].as_str() {
        field("title", title);
    }
    let labels = labels_shown(&session);
    if !labels.is_empty() {
        field("labels", &labels);
    }
    let mut when = |name: &str, value: &Value| {
        if let Some(at) = value.as_u64().map(Timestamp::from_millis) {
            field(name, &format!("{} ({})", instant(at), ago(at, now)));
        }
    };
    when("created", &session["created"]);
    when("ended", &session["closed"]["at"]);
    field("events", &session["lastSequence"].to_string());
    for viewer in viewers(&api, &session) {
        field("viewer", &viewer);
    }
    let jobs = session["jobs"].as_array().into_iter().flatten();
    let rows: Vec<_> = jobs.map(|job| job_row(job, now)).collect();
    if !rows.is_empty() {
        out.push('\n');
        out.push_str(&table(&JOB_COLUMNS, &rows, width()));
    }
    print(&out)
}

/// Who watches the session now; empty where the server is of a version that doesn't say.
fn viewers(api: &Api, session: &Value) -> Vec<String> {
    let Ok(found) = api.get(&format!("/sessions/{}/viewers", text(session, "id"))) else {
        return vec![];
    };
    let listed = found["viewers"].as_array().into_iter().flatten();
    let mut viewers: Vec<_> = listed
        .map(|viewer| {
            let since = Timestamp::from_millis(viewer["since"].as_u64().unwrap_or_default());
            let who = match who(&viewer["by"]) {
                known if known != "-" => known,
                _ => "someone".to_owned(),
            };
            format!("{who} since {}", instant(since))
        })
        .collect();
    let count = found["count"].as_u64().unwrap_or_default();
    let more = count.saturating_sub(viewers.len() as u64);
    if more > 0 {
        viewers.push(format!("and {more} more"));
    }
    viewers
}

/// As many sessions as requested, and whether there are more.
fn pages(api: &Api, args: &SessionsArgs) -> Result<(Vec<Value>, bool), ClientError> {
    let mut sessions = vec![];
    let mut before = None;
    loop {
        let left = args.limit.get().saturating_sub(sessions.len());
        if left == 0 {
            return Ok((sessions, true));
        }
        let listed = api.get(&page(args, left.min(PAGE), before))?;
        let found = listed["sessions"].as_array().cloned().unwrap_or_default();
        sessions.extend(found);
        before = listed["next"].as_u64();
        if before.is_none() {
            return Ok((sessions, false));
        }
    }
}

fn page(args: &SessionsArgs, limit: usize, before: Option<u64>) -> String {
    let mut path = format!("/sessions?limit={limit}");
    let state = match args.state {
        SessionState::Running => Some("running"),
        SessionState::Idle => Some("idle"),
        SessionState::Ended => Some("ended"),
        SessionState::All => None,
    };
    let before = before.map(|it| it.to_string());
    for (name, value) in [
        ("user", args.user.as_deref()),
        ("service", args.service.as_deref()),
        ("state", state),
        ("before", before.as_deref()),
        ("q", args.query.as_deref()),
    ] {
        if let Some(value) = value {
            let _ = write!(path, "&{name}={}", percent_encoded(value));
        }
    }
    path
}

/// Sorts sessions, which come newest first. Those that are equal stay in this order.
fn sort(sessions: &mut [Value], order: SessionOrder) {
    let rank = |session: &Value| {
        let outcome = session["lastJob"]["outcome"].as_str();
        match (text(session, "state"), outcome) {
            ("running", _) => 0,
            (_, Some(outcome)) if outcome != "completed" => 1,
            ("idle", _) => 2,
            _ => 3,
        }
    };
    match order {
        SessionOrder::Newest => {}
        SessionOrder::Changed => sessions.sort_by_key(|it| Reverse(it["since"].as_u64())),
        SessionOrder::State => sessions.sort_by_key(rank),
        SessionOrder::Title => sessions.sort_by_key(|it| {
            let title = it["title"].as_str().map(str::to_lowercase);
            (title.is_none(), title)
        }),
    }
}

/// The labels of a session as `KEY=VALUE`.
pub(crate) fn labels_shown(session: &Value) -> String {
    let labels = session["labels"].as_object();
    let labels = labels.into_iter().flatten().map(|(key, value)| {
        let value = value.as_str().unwrap_or_default();
        harmless(&format!("{key}={value}"))
    });
    labels.collect::<Vec<_>>().join(" ")
}

/// A value, percent-encoded for a query.
pub(crate) fn percent_encoded(value: &str) -> String {
    let mut out = String::new();
    for byte in value.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                out.push(char::from(byte));
            }
            byte => {
                let _ = write!(out, "%{byte:02X}");
            }
        }
    }
    out
}

fn row(session: &Value, now: Timestamp) -> Vec<String> {
    let created = session["created"].as_u64().unwrap_or_default();
    let statement = match &session["currentJob"] {
        Value::Null => text(session, "lastStatement"),
        job => text(job, "statement"),
    };
    vec![
        session["number"].to_string(),
        text(session, "id").get(..8).unwrap_or_default().to_owned(),
        or_none(text(session, "user")),
        text(session, "state").to_owned(),
        text(session, "service").to_owned(),
        ago(Timestamp::from_millis(created), now),
        or_none(statement),
    ]
}

/// The node of a cluster that runs the session, and the one that it was created on if that is another.
fn node(session: &Value) -> String {
    let (node, home) = (text(session, "node"), text(session, "homeNode"));
    match node {
        "" => format!("- (of {home})"),
        node if node == home => node.to_owned(),
        node => format!("{node} (of {home})"),
    }
}

fn job_row(job: &Value, now: Timestamp) -> Vec<String> {
    let submitted = Timestamp::from_millis(job["submitted"].as_u64().unwrap_or_default());
    let took = match job["durationMillis"].as_u64() {
        Some(millis) => Duration::from_millis(millis),
        None => now.since(submitted),
    };
    let place = match text(job, "place") {
        "background" => " &",
        _ => "",
    };
    vec![
        job["job"].to_string(),
        match job["outcome"].as_str() {
            Some(outcome) => plain(outcome),
            None => text(job, "state").to_owned(),
        },
        job["status"]
            .as_i64()
            .map_or_else(|| "-".to_owned(), |it| it.to_string()),
        duration(took),
        ago(submitted, now),
        who(&job["by"]),
        format!("{}{place}", text(job, "statement")),
    ]
}

/// Who asked for something: the account, and with what.
fn who(by: &Value) -> String {
    match by["frontend"].as_str() {
        Some(frontend) => {
            let account = by["account"].as_str().unwrap_or("someone");
            format!("{account} ({frontend})")
        }
        None => "-".to_owned(),
    }
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_default()
}

fn or_none(text: &str) -> String {
    match text {
        "" => "-".to_owned(),
        text => text.to_owned(),
    }
}

/// The width of the terminal; none if standard output is not one.
fn width() -> Option<usize> {
    if !is_terminal() {
        return None;
    }
    terminal_size::terminal_size().map(|(width, _)| usize::from(width.0))
}

/// The time on the wall.
pub(crate) fn now() -> Timestamp {
    let millis = jiff::Timestamp::now().as_millisecond();
    Timestamp::from_millis(u64::try_from(millis).unwrap_or_default())
}

/// Whether standard output is a terminal.
pub(crate) fn is_terminal() -> bool {
    io::stdout().is_terminal()
}

/// Writes to standard output.
pub(crate) fn print(words: &str) -> Result<(), ClientError> {
    let mut out = io::stdout().lock();
    let written = out.write_all(words.as_bytes()).and_then(|()| out.flush());
    written.map_err(|error| ClientError::Local("cannot write the output", error))
}

const COLUMNS: [&str; 7] = [
    "NUMBER", "SESSION", "USER", "STATE", "SERVICE", "CREATED", "COMMAND",
];

/// The place of the node's column, which is there if the server is one of several nodes.
const NODE: usize = 5;

/// The place of the title's column, which is there if one of the sessions has a title.
const TITLE: usize = 3;

const JOB_COLUMNS: [&str; 7] = [
    "JOB",
    "STATE",
    "STATUS",
    "TOOK",
    "SUBMITTED",
    "BY",
    "COMMAND",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_in_a_query_is_percent_encoded() {
        assert_eq!(percent_encoded("a b&c=é"), "a%20b%26c%3D%C3%A9");
    }

    #[test]
    fn sessions_that_run_and_that_failed_can_come_first() {
        let session = |number: u64, state: &str, outcome: Option<&str>, title: Option<&str>| {
            json!({"number": number, "state": state, "since": number % 3, "title": title,
                "lastJob": outcome.map(|outcome| json!({"outcome": outcome}))})
        };
        let sessions = vec![
            session(6, "idle", None, Some("b")),
            session(5, "ended", Some("completed"), None),
            session(4, "ended", Some("lost"), Some("A")),
            session(3, "running", Some("failed"), None),
            session(2, "idle", Some("failed"), Some("c")),
        ];
        let sorted = |order| {
            let mut sessions = sessions.clone();
            sort(&mut sessions, order);
            let numbers = sessions.iter().map(|it| it["number"].as_u64().unwrap());
            numbers.collect::<Vec<_>>()
        };
        assert_eq!(sorted(SessionOrder::Newest), [6, 5, 4, 3, 2]);
        assert_eq!(sorted(SessionOrder::State), [3, 4, 2, 6, 5]);
        assert_eq!(sorted(SessionOrder::Changed), [5, 2, 4, 6, 3]);
        assert_eq!(sorted(SessionOrder::Title), [4, 6, 2, 5, 3]);
    }

    #[test]
    fn sessions_and_jobs_are_table_rows() {
        let now = Timestamp::from_millis(65_000);
        let session = json!({"number": 3, "id": "b09f8e12-0000", "user": null, "state": "idle",
            "service": "shell", "created": 5_000, "currentJob": null, "lastStatement": "ls"});
        let shown = ["3", "b09f8e12", "-", "idle", "shell", "1m ago", "ls"];
        assert_eq!(row(&session, now), shown);
        let running = json!({"job": 7, "state": "running", "place": "background",
            "submitted": 64_000, "statement": "sleep 9",
            "by": {"account": "ada", "frontend": "mcp"}});
        let shown = [
            "7",
            "running",
            "-",
            "1s",
            "1s ago",
            "ada (mcp)",
            "sleep 9 &",
        ];
        assert_eq!(job_row(&running, now), shown);
        let ended = json!({"job": 7, "state": "finished", "outcome": "failed", "status": 3,
            "submitted": 5_000, "durationMillis": 120, "statement": "x"});
        let shown = ["7", "failed", "3", "120ms", "1m ago", "-", "x"];
        assert_eq!(job_row(&ended, now), shown);
    }
}
