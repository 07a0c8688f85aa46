//! What systemd is told of a service of type `notify`: that the server listens, and that it ends.
//!
//! One datagram to the socket that the environment names (sd_notify(3)); where none is named,
//! nobody is told. Never: the server fails because nobody listens there.

use std::env;
use std::ffi::OsStr;
use std::io;
use std::os::unix::net::UnixDatagram;

/// The server answers requests.
pub(super) fn ready() {
    tell("READY=1");
}

/// The server has been told to end.
pub(super) fn stopping() {
    tell("STOPPING=1");
}

fn tell(words: &str) {
    if let Some(socket) = env::var_os("NOTIFY_SOCKET")
        && let Err(error) = send(&socket, words)
    {
        tracing::warn!(%error, ?socket, "the service manager could not be told {words}");
    }
}

#[cfg(target_os = "linux")]
fn send(socket: &OsStr, words: &str) -> io::Result<()> {
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::net::SocketAddr;

    let address = match socket.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        _ => SocketAddr::from_pathname(socket)?,
    };
    UnixDatagram::unbound()?
        .send_to_addr(words.as_bytes(), &address)
        .map(drop)
}

#[cfg(not(target_os = "linux"))]
fn send(socket: &OsStr, words: &str) -> io::Result<()> {
    let sender = UnixDatagram::unbound()?;
    sender.send_to(words.as_bytes(), socket).map(drop)
}
