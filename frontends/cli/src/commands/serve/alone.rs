//! In place of `cluster.rs`, in a build without several nodes.

use super::{ServeError, WaitingSignals, start_error};
use crate::settings::Settings;
use rejoin_accounts::{Accounts, SharedStore};
use rejoin_engine::{Config, Engine, EngineBuilder};
use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// There is none.
pub(super) struct Member(Infallible);

/// Nothing, or an error if the settings ask for a cluster.
pub(super) async fn join(
    settings: &Settings,
    _: &Config,
) -> Result<Option<(EngineBuilder, Config, Member)>, ServeError> {
    match settings.cluster().is_set() {
        false => Ok(None),
        true => Err(start_error(
            "this build of rejoin can't be one of several nodes: build it with `--features cluster`, or remove \
             the settings of the cluster",
        )),
    }
}

impl Member {
    pub(super) fn log_directory(&self) -> PathBuf {
        match self.0 {}
    }

    pub(super) async fn start(
        &mut self,
        _: &Engine,
        _: &mut WaitingSignals,
    ) -> Result<(), ServeError> {
        match self.0 {}
    }

    pub(super) fn announcement(&self) -> String {
        match self.0 {}
    }

    pub(super) fn show_accounts(&self, _: Accounts) {
        match self.0 {}
    }

    pub(super) fn shared_store(&self) -> Result<Arc<dyn SharedStore>, ServeError> {
        match self.0 {}
    }

    pub(super) fn begin_leaving(&self) {
        match self.0 {}
    }

    pub(super) fn give_up_appends(&self) {
        match self.0 {}
    }

    pub(super) fn patience(&self) -> Duration {
        match self.0 {}
    }

    pub(super) async fn leave(self) {
        match self.0 {}
    }
}
