//! What a server listens on: a TCP address, or a Unix socket in the file system.
//!
//! A Unix socket is made under another name, gets its mode and owner, and then takes its place in one
//! step: no one can connect before only those can who may. What a killed server left there is
//! replaced. A lock beside it says whether a server still listens.

use crate::limits::BACKLOG;
#[cfg(target_os = "linux")]
use crate::limits::UNSENT_BYTES;
use crate::web::client_address::ClientAddress;
use async_io::Async;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use std::fmt;
use std::fs::{self, File, Permissions, TryLockError};
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, chown};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

/// Where a server listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListenAddress {
    /// At an address and port; port 0 means any free port.
    Tcp(SocketAddr),
    /// At a Unix socket.
    Unix(UnixSocket),
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(socket) => write!(f, "unix:{}", socket.path.display()),
        }
    }
}

/// A Unix socket, and who may connect to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnixSocket {
    /// Its path, of about 100 bytes at most. Beside it are a file with the ending `.lock`, which stays, and
    /// for a moment one with the ending `.new`.
    pub path: PathBuf,
    /// Permission bits: those who may write may connect.
    pub mode: u32,
    /// The user that it belongs to, if not the server's.
    pub user: Option<u32>,
    /// The group that it belongs to, if not the server's.
    pub group: Option<u32>,
}

/// A socket that accepts connections.
#[derive(Debug)]
pub(crate) enum Listening {
    Tcp(Async<TcpListener>),
    Unix {
        listener: Async<UnixListener>,
        _place: UnixPlace,
    },
}

/// A connection and who is at its other end.
type Connection = (Async<TcpStream>, ClientAddress);

impl Listening {
    /// Listens. The address that is returned has the actual port.
    pub(crate) fn begin(address: &ListenAddress) -> io::Result<(Self, ListenAddress)> {
        match address {
            ListenAddress::Tcp(address) => {
                let listener = listen_on_tcp(*address)?;
                let actual = ListenAddress::Tcp(listener.local_addr()?);
                Ok((Self::Tcp(Async::new(listener)?), actual))
            }
            ListenAddress::Unix(socket) => {
                let (listener, place) = listen_on_unix(socket)?;
                let listening = Self::Unix {
                    listener: Async::new(listener)?,
                    _place: place,
                };
                Ok((listening, address.clone()))
            }
        }
    }

    /// Waits for a connection. None: its client has left at once.
    pub(crate) async fn accept(&self) -> io::Result<Option<Connection>> {
        match self {
            Self::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                // Send small responses at once instead of waiting for the client's next packet.
                if let Err(error) = stream.get_ref().set_nodelay(true) {
                    tracing::debug!(%error, %peer, "the client disconnected at once");
                    return Ok(None);
                }
                Ok(Some((stream, ClientAddress::Tcp(peer))))
            }
            Self::Unix { listener, .. } => {
                let (stream, _) = listener.accept().await?;
                let stream = stream.into_inner()?;
                let user = user_of(&stream);
                // Reading, writing and shutting down are the same calls for every stream socket, so that
                // connections need no second type.
                let stream = TcpStream::from(OwnedFd::from(stream));
                Ok(Some((Async::new(stream)?, ClientAddress::Unix { user })))
            }
        }
    }
}

fn listen_on_tcp(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    // A restarted server gets its port back at once. On Windows this option would share the port.
    socket.set_reuse_address(true)?;
    // Accepted connections inherit it.
    #[cfg(target_os = "linux")]
    socket.set_tcp_notsent_lowat(UNSENT_BYTES)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// The place of a Unix socket. It is given back when this is dropped.
#[derive(Debug)]
pub(crate) struct UnixPlace {
    path: PathBuf,
    /// Device and inode of the socket.
    identity: (u64, u64),
    /// Its lock says that a server listens.
    _lock: File,
}

impl Drop for UnixPlace {
    fn drop(&mut self) {
        // Another process may have put its own socket there.
        if identity(&self.path).is_ok_and(|found| found == self.identity) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn listen_on_unix(socket: &UnixSocket) -> io::Result<(UnixListener, UnixPlace)> {
    let path = &socket.path;
    let lock = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(beside(path, ".lock"))?;
    lock.set_permissions(Permissions::from_mode(0o600))?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(io::ErrorKind::AddrInUse.into()),
        Err(TryLockError::Error(error)) => return Err(error),
    }
    match fs::symlink_metadata(path) {
        Ok(found) if !found.file_type().is_socket() => {
            return Err(io::Error::other("there is something that is no socket"));
        }
        // Of a program that has no such lock, for example.
        Ok(_) if UnixStream::connect(path).is_ok() => {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        _ => {}
    }
    let new = beside(path, ".new");
    let _ = fs::remove_file(&new);
    let listener = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    listener.bind(&SockAddr::unix(&new)?)?;
    let placed = (|| {
        fs::set_permissions(&new, Permissions::from_mode(socket.mode))?;
        if socket.user.is_some() || socket.group.is_some() {
            chown(&new, socket.user, socket.group)?;
        }
        listener.listen(BACKLOG)?;
        let identity = identity(&new)?;
        fs::rename(&new, path)?;
        Ok(identity)
    })();
    let identity = placed.inspect_err(|_: &io::Error| {
        let _ = fs::remove_file(&new);
    })?;
    let place = UnixPlace {
        path: path.clone(),
        identity,
        _lock: lock,
    };
    Ok((listener.into(), place))
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    let found = fs::symlink_metadata(path)?;
    Ok((found.dev(), found.ino()))
}

/// The user as who the program at the other end connected.
#[cfg(target_os = "linux")]
fn user_of(stream: &UnixStream) -> Option<u32> {
    let peer = rustix::net::sockopt::socket_peercred(stream).ok()?;
    Some(peer.uid.as_raw())
}

#[cfg(not(target_os = "linux"))]
fn user_of(_: &UnixStream) -> Option<u32> {
    None
}
