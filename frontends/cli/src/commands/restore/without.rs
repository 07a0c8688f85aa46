//! In place of `restore.rs`, in a build without several nodes.

use crate::args::RestoreArgs;

/// There are no nodes.
#[derive(Debug, thiserror::Error)]
#[error("this build of rejoin can't be one of several nodes: build it with `--features cluster`")]
pub(crate) struct Error;

pub(crate) fn run(_: &RestoreArgs) -> Result<(), Error> {
    Err(Error)
}
