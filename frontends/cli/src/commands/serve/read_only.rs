//! `rejoin serve --read-only`: everything of a copied log, in all frontends, and nothing changes.
//!
//! Never: a file is written, a process is started or ended, or a session ends because nobody has
//! used it since the copy was made.

use super::{Begun, ServeError};
use crate::commands::verify::find_log;
use crate::offline::OfflineError;
use crate::settings::Settings;
use futures::future::BoxFuture;
use rejoin_engine::{
    Engine, Exit, RecoveredState, Runner, RunnerJob, Runtime, Services, SmolRuntime,
};
use rejoin_log::disk::Directory;
use rejoin_log::segment::{OpenError, SegmentLog};
use std::error::Error;
use std::path::Path;
use std::sync::Arc;

/// Opens the log in a server's directory, or in the one that holds its segments, and an engine that
/// only reads it.
pub(super) fn begin(settings: &Settings, directory: &Path) -> Result<Begun, ServeError> {
    let begin = |error: Box<dyn Error + Send + Sync>| ServeError::Begin(error);
    let at = SmolRuntime.now();
    let (log_directory, _) = find_log(directory).map_err(|it| begin(it.into()))?;
    let mut config = settings.engine();
    config.read_only = true;
    let mut replayed = RecoveredState::new(&config);
    let opened = SegmentLog::open_replaying_read_only(&log_directory, &mut replayed);
    let (log, recovery) = opened.map_err(|error| match error {
        OpenError::Damaged(_) => ServeError::Damaged {
            data: directory.into(),
            error,
        },
        OpenError::Locked { directory } => begin(OfflineError::InUse(directory).into()),
        error => begin(error.into()),
    })?;
    if recovery.segments == 0 && !log_directory.join(Directory::LOCK).exists() {
        return Err(begin(OfflineError::NoLog(log_directory).into()));
    }
    if let Some(violation) = replayed.violation() {
        return Err(ServeError::Replay(directory.into(), violation));
    }
    if let Some(torn) = &recovery.torn {
        let (file, byte) = (torn.file.display(), torn.byte);
        tracing::warn!(%file, byte, "the log's torn end, never acknowledged, is left out");
    }
    let sessions = replayed.views().open_count();
    tracing::info!(
        records = recovery.records,
        sessions,
        "log replayed, to be read only"
    );
    let services = services(&replayed);
    let engine = Engine::start(
        config,
        Arc::new(SmolRuntime),
        Box::new(log),
        replayed,
        services,
    );
    Ok(Begun {
        engine: engine.map_err(|it| begin(it.into()))?,
        shell: None,
        data: log_directory.canonicalize().unwrap_or(log_directory),
        is_read_only: true,
        log: None,
        at,
    })
}

/// The services that the log's open sessions were created on: they are listed, and run nothing.
fn services(replayed: &RecoveredState) -> Services {
    let sessions = replayed.state().sessions();
    let names = sessions.map(|(_, session)| session.service().clone());
    names
        .map(|name| (name, Arc::new(RunsNothing) as Arc<dyn Runner>))
        .collect()
}

/// In the place of a runner: an engine that only reads never asks it.
#[derive(Debug)]
struct RunsNothing;

impl Runner for RunsNothing {
    fn run(&self, _: RunnerJob) -> BoxFuture<'static, Exit> {
        Box::pin(async {
            Exit {
                status: 1,
                message: Some("this server is read-only, and runs nothing".into()),
            }
        })
    }
}
