//! `rejoin keeper SOCKET`: a process that holds jobs of a server, so that they outlive it. The server
//! starts it; people don't.

use std::ffi::OsString;
use std::io;
use std::path::Path;

/// The subcommand.
pub(crate) const KEEPER: &str = "keeper";

/// Runs a keeper if that is what the arguments ask for. Looked at before anything else, because a job
/// waits for it.
pub(crate) fn run(mut arguments: impl Iterator<Item = OsString>) -> Option<io::Result<()>> {
    if arguments.next()? != KEEPER {
        return None;
    }
    let socket = arguments.next().filter(|_| arguments.next().is_none())?;
    let socket = Path::new(&socket);
    socket
        .is_absolute()
        .then(|| rejoin_engine::run_keeper(socket))
}
