//! The columns of the tables, and the row of a session.

use crate::Columns;
use crate::limits::INFO_CHARS;
use jiff::tz::TimeZone;
use rejoin_accounts::Accounts;
use rejoin_engine::{Engine, LogClocks, SessionId, SessionView, Timestamp};
use std::sync::Arc;

/// What a row depends on apart from its session.
#[derive(Clone, Debug)]
pub(crate) struct RowContext {
    pub(crate) columns: &'static [&'static str],
    /// Says which of several nodes runs the session, for the column `FE`.
    pub(crate) engine: Engine,
    /// Of several nodes, only the sessions of this one.
    pub(crate) only: Option<Arc<str>>,
    /// The value of that column, if the server is alone.
    pub(crate) node: String,
    pub(crate) now: LogClocks,
    pub(crate) zone: TimeZone,
    pub(crate) accounts: Accounts,
}

/// The columns of `/rest/v1/session`, and of `/rest/v1/session/all`.
pub(crate) fn columns(columns: Columns, is_all: bool) -> &'static [&'static str] {
    match (columns, is_all) {
        (Columns::Documented, true) => &DOCUMENTED,
        (Columns::Documented, false) => {
            let [_fe, documented @ ..] = &DOCUMENTED;
            documented
        }
        (Columns::Newer, _) => &NEWER,
    }
}

impl RowContext {
    /// The session's row, a JSON object: every cell is a string, in the order of the columns.
    pub(crate) fn row(&self, view: &SessionView) -> Vec<u8> {
        let mut row = b"{".to_vec();
        for column in self.columns {
            if row.len() > 1 {
                row.push(b',');
            }
            let cell = serde_json::Value::from(self.cell(view, column));
            row.extend_from_slice(format!("\"{column}\":{cell}").as_bytes());
        }
        row.push(b'}');
        row
    }

    fn cell(&self, view: &SessionView, column: &str) -> String {
        let current = view.current_job();
        match column {
            "Catalog" => "internal".into(),
            "CloudCluster" => "NULL".into(),
            "Cluster" => "default_cluster".into(),
            // A private job is not shown, but the session is busy with it.
            "Command" => if view.is_busy() { "Query" } else { "Sleep" }.into(),
            "CurrentConnected" => "No".into(),
            "Db" => view.service.as_ref().into(),
            "FE" => self.node_of(view.id),
            "Host" => view.remote.as_deref().unwrap_or_default().into(),
            "Id" => view.number.to_string(),
            "Info" => current.map_or_else(String::new, |job| {
                job.statement.chars().take(INFO_CHARS).collect()
            }),
            "LoginTime" => self.login_time(view.created.at),
            "QueryId" => current.map_or_else(String::new, |job| {
                format!("{:x}-{:x}", view.number.0, job.job.0)
            }),
            "State" if self.columns.len() == NEWER.len() => "OK".into(),
            "Time" => self
                .now
                .now(view.id)
                .since(view.since)
                .as_secs()
                .to_string(),
            "User" => self.accounts.shown_as(view.user.as_deref()).into(),
            _ => String::new(),
        }
    }

    /// Whether the session is in the table.
    pub(crate) fn shows(&self, session: SessionId) -> bool {
        let Some(node) = &self.only else { return true };
        let place = self.engine.place(session);
        place.is_none_or(|place| place.owner.as_ref() == Some(node))
    }

    /// While no node has the session, the one that it was created on.
    fn node_of(&self, session: SessionId) -> String {
        let place = self.engine.place(session);
        let node = place.map(|place| place.owner.unwrap_or(place.home));
        node.map_or_else(|| self.node.clone(), |node| node.to_string())
    }

    /// `2017-07-17 11:10:39`. A time beyond the range of dates is shown as the epoch.
    fn login_time(&self, at: Timestamp) -> String {
        let millis = i64::try_from(at.as_millis()).unwrap_or_default();
        let instant = jiff::Timestamp::from_millisecond(millis).unwrap_or_default();
        let zoned = instant.to_zoned(self.zone.clone());
        zoned.strftime("%Y-%m-%d %H:%M:%S").to_string()
    }
}

const DOCUMENTED: [&str; 10] = [
    "FE", "Id", "User", "Host", "Cluster", "Db", "Command", "Time", "State", "Info",
];

const NEWER: [&str; 14] = [
    "CurrentConnected",
    "Id",
    "User",
    "Host",
    "LoginTime",
    "Catalog",
    "Db",
    "Command",
    "Time",
    "State",
    "QueryId",
    "Info",
    "FE",
    "CloudCluster",
];

#[cfg(test)]
mod tests {
    use super::*;
    use rejoin_core::testing::{SESSION, created, instant};
    use rejoin_engine::{
        Event, JobId, JobMode, JobSlot, Moment, Outcome, Record, Sequence, Views, Visibility,
    };
    use std::time::Duration;

    const MODE: JobMode = JobMode {
        slot: JobSlot::Foreground,
        visibility: Visibility::Session,
    };

    /// The row of a session that was created at 1 s and then had these events at 2 s, 3 s …
    fn row(events: Vec<Event>, columns: Columns, is_all: bool) -> String {
        let mut views = Views::default();
        let mut first = created();
        if let Event::SessionCreated { user, remote, .. } = &mut first {
            *user = Some("ro\"ot".into());
            *remote = Some("10.81.85.89:31465".into());
        }
        for (event, sequence) in [first].into_iter().chain(events).zip(1..) {
            let at = instant(sequence);
            let sequence = Sequence(sequence);
            views.apply(&Record {
                session: SESSION,
                sequence,
                at,
                clock: at.into(),
                actor: None,
                redacted: None,
                event,
            });
        }
        let context = RowContext {
            columns: super::columns(columns, is_all),
            engine: smol::block_on(Engine::in_memory().open()).unwrap(),
            only: None,
            node: "10.14.170.23".into(),
            now: Moment::from(Timestamp::from_millis(231_999)).into(),
            zone: TimeZone::UTC,
            accounts: Accounts::open().unwrap(),
        };
        String::from_utf8(context.row(views.session(SESSION).unwrap())).unwrap()
    }

    fn submitted(statement: &str) -> Event {
        Event::JobSubmitted {
            job: JobId(26),
            mode: MODE,
            statement: statement.into(),
            timeout: Duration::from_secs(1),
            output_limit: 1,
            request: None,
            input: false,
            output: rejoin_engine::JobOutput::Separate,
            controller: None,
        }
    }

    #[test]
    fn the_time_of_an_idle_session_counts_from_its_last_job() {
        let idle = r#"{"Id":"1","User":"ro\"ot","Host":"10.81.85.89:31465","Cluster":"default_cluster","Db":"test","Command":"Sleep","Time":"230","State":"","Info":""}"#;
        assert_eq!(row(vec![], Columns::Documented, false), idle);
        let finished = Event::JobFinished {
            job: JobId(26),
            mode: MODE,
            outcome: Outcome::Completed,
            status: 0,
            message: None,
        };
        let later = row(vec![submitted("ls"), finished], Columns::Documented, false);
        assert_eq!(later, idle.replace("230", "228"));
    }

    #[test]
    fn the_table_of_all_nodes_begins_with_the_host() {
        let row = row(vec![], Columns::Documented, true);
        assert!(
            row.starts_with(r#"{"FE":"10.14.170.23","Id":"1","#),
            "{row}"
        );
    }

    #[test]
    fn a_busy_session_shows_the_beginning_of_its_statement() {
        let long = "ä".repeat(INFO_CHARS + 1);
        let row = row(vec![submitted(&long)], Columns::Documented, false);
        let busy = format!(
            r#""Command":"Query","Time":"229","State":"","Info":"{}"}}"#,
            "ä".repeat(INFO_CHARS)
        );
        assert!(row.ends_with(&busy), "{row}");
    }

    #[test]
    fn a_private_statement_is_not_shown_but_its_session_is_busy() {
        let mut private = submitted("hidden");
        if let Event::JobSubmitted { mode, .. } = &mut private {
            *mode = JobMode {
                slot: JobSlot::Background,
                visibility: Visibility::Submitter,
            };
        }
        let newer = row(vec![private.clone()], Columns::Newer, false);
        assert!(newer.contains(r#""QueryId":"","Info":"""#), "{newer}");
        let row = row(vec![private], Columns::Documented, false);
        let busy = r#""Command":"Query","Time":"229","State":"","Info":""}"#;
        assert!(row.ends_with(busy), "{row}");
    }

    #[test]
    fn the_newer_columns_are_the_same_for_one_node_and_for_all() {
        let one = row(vec![submitted("ls")], Columns::Newer, false);
        let expected = concat!(
            r#"{"CurrentConnected":"No","Id":"1","User":"ro\"ot","Host":"10.81.85.89:31465","#,
            r#""LoginTime":"1970-01-01 00:00:01","Catalog":"internal","Db":"test","#,
            r#""Command":"Query","Time":"229","State":"OK","QueryId":"1-1a","Info":"ls","#,
            r#""FE":"10.14.170.23","CloudCluster":"NULL"}"#,
        );
        assert_eq!(one, expected);
        assert_eq!(row(vec![submitted("ls")], Columns::Newer, true), expected);
    }
}
