//! `rejoin shell`: a session's shell on the terminal here.

use super::run::{Place, Wanted, run_here, status_of};
use crate::args::ShellArgs;
use crate::client::ClientError;
use crate::client::api::Api;
use crate::client::resolve::resolve;
use crate::client::stream::Events;
use crate::terminal::{self, Attachment, Seat, Watcher};
use serde_json::Value;
use std::process::ExitCode;

/// Opens the shell, or comes back to it; returns its exit status.
pub(crate) fn run(args: &ShellArgs) -> Result<ExitCode, ClientError> {
    if !terminal::are_terminals() {
        return Err(ClientError::Settings(
            "`rejoin shell` needs a terminal; use `rejoin run` without one".to_owned(),
        ));
    }
    let api = Api::following(&args.server, args.connection.reconnecting.reconnect_for.0)?;
    if let Some(name) = &args.session
        && let session = resolve(&api, name)?
        && let Some(job) = running_terminal(&session)
    {
        return rejoin(&api, &session, job, args);
    }
    let wanted = Wanted {
        statement: String::new(),
        shell: args.shell.as_deref(),
        session: args.session.as_deref(),
        keeps: args.keep,
        user: args.new_session.user.as_deref(),
        service: args.new_session.service.as_deref(),
        patience: args.connection.reconnecting.reconnect_for.0,
        timeout: None,
        leftovers: None,
    };
    let place = Place::find(&api, &wanted)?;
    run_here(&api, place, &wanted, args.connection.prefix_key, true)
}

fn rejoin(api: &Api, session: &Value, job: u64, args: &ShellArgs) -> Result<ExitCode, ClientError> {
    let id = session["id"].as_str().unwrap_or_default();
    let seat = Seat {
        api: api.clone(),
        session: id.to_owned(),
        number: session["number"].as_u64().unwrap_or_default(),
        job,
        client: uuid::Uuid::new_v4().to_string(),
        watcher: Watcher::Participant,
        prefix: args.connection.prefix_key,
        status_when_left: super::run::LEFT,
    };
    seat.introduce();
    let ended = {
        let (attachment, after) = Attachment::join(seat)?;
        let mut events =
            Events::after(api, id, after, args.connection.reconnecting.reconnect_for.0);
        attachment.follow(&mut events)?
    };
    Ok(ExitCode::from(status_of(job, &ended)))
}

/// The job of a session that runs and has a terminal: that in the foreground, if there are several.
pub(super) fn running_terminal(session: &Value) -> Option<u64> {
    let jobs = session["jobs"].as_array().into_iter().flatten();
    let running = jobs.filter(|job| job["state"] != "finished" && !job["terminal"].is_null());
    let chosen = running.max_by_key(|job| (job["place"] == "foreground", job["job"].as_u64()));
    chosen.and_then(|job| job["job"].as_u64())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_terminal_that_runs_is_the_newest_and_rather_in_the_foreground() {
        let terminal = json!({"columns": 80, "rows": 24});
        let job = |job: u64, state: &str, place: &str, terminal: &Value| json!({"job": job, "state": state, "place": place, "terminal": terminal});
        let jobs = [
            job(1, "finished", "foreground", &terminal),
            job(2, "running", "foreground", &Value::Null),
            job(3, "running", "foreground", &terminal),
            job(4, "running", "background", &terminal),
        ];
        let chosen = |jobs: &[Value]| running_terminal(&json!({"jobs": jobs}));
        assert_eq!(chosen(&jobs), Some(3));
        assert_eq!(chosen(&jobs[..2]), None);
        assert_eq!(chosen(&jobs[3..]), Some(4));
    }
}
