//! `rejoin serve --read-only`: serves a copy of a log in all frontends without changing it.
//!
//! Invariant: no file is written, no process is started or killed, and no session times out.

use super::{ServeError, Started, start_error};
use crate::commands::verify::find_log;
use crate::offline::OfflineError;
use crate::settings::Settings;
use futures::future::BoxFuture;
use rejoin_engine::{
    Engine, Exit, RecoveredState, Runner, RunnerJob, Runtime, Services, SmolRuntime,
};
use rejoin_log::disk::Directory;
use rejoin_log::segment::{OpenError, SegmentLog};
use std::path::Path;
use std::sync::Arc;

/// Opens the log in a server's directory, or in its `log` directory, with an engine that only reads
/// it.
pub(super) fn start(settings: &Settings, directory: &Path) -> Result<Started, ServeError> {
    let at = SmolRuntime.now();
    let (log_directory, _) = find_log(directory).map_err(start_error)?;
    let mut config = settings.engine();
    config.read_only = true;
    let mut replayed = RecoveredState::new(&config);
    let opened = SegmentLog::open_replaying_read_only(&log_directory, &mut replayed);
    let (log, recovery) = opened.map_err(|error| match error {
        OpenError::Damaged(_) => ServeError::Damaged {
            data: directory.into(),
            error,
        },
        OpenError::Locked { directory } => start_error(OfflineError::InUse(directory)),
        error => start_error(error),
    })?;
    if recovery.segments == 0 && !log_directory.join(Directory::LOCK).exists() {
        return Err(start_error(OfflineError::NoLog(log_directory)));
    }
    if let Some(violation) = replayed.violation() {
        return Err(ServeError::Replay(directory.into(), violation));
    }
    if let Some(torn) = &recovery.torn {
        let (file, byte) = (torn.file.display(), torn.byte);
        tracing::warn!(%file, byte, "ignored an incomplete last write that was never acknowledged");
    }
    let sessions = replayed.views().open_count();
    tracing::info!(
        records = recovery.records,
        sessions,
        "opened the log for reading only"
    );
    let services = services(&replayed);
    let engine = Engine::start(
        config,
        Arc::new(SmolRuntime),
        Box::new(log),
        replayed,
        services,
    );
    Ok(Started {
        engine: engine.map_err(start_error)?,
        shell: None,
        data: log_directory.canonicalize().unwrap_or(log_directory),
        is_read_only: true,
        log: None,
        at,
    })
}

/// The services of the log's open sessions: they are listed, but run nothing.
fn services(replayed: &RecoveredState) -> Services {
    let sessions = replayed.state().sessions();
    let names = sessions.map(|(_, session)| session.service().clone());
    names
        .map(|name| (name, Arc::new(RunsNothing) as Arc<dyn Runner>))
        .collect()
}

/// Stands in for a runner; a read-only engine never calls it.
#[derive(Debug)]
struct RunsNothing;

impl Runner for RunsNothing {
    fn run(&self, _: RunnerJob) -> BoxFuture<'static, Exit> {
        Box::pin(async {
            Exit {
                status: 1,
                message: Some("this server is read-only and runs no commands".into()),
            }
        })
    }
}
