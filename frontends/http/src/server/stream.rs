//! A client's byte stream, plain or encrypted.

use crate::limits::ENCRYPT_BYTES;
use crate::server::encrypted::Encrypted;
use async_io::Async;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::io::{self, IoSlice, Read as _, Write as _};
use std::net::TcpStream;

/// A plain or encrypted stream. Nothing here waits: what can't be done now fails with `WouldBlock`
/// or `Interrupted`.
#[derive(Debug)]
pub(crate) enum Stream {
    Plain(Async<TcpStream>),
    Encrypted(Box<Encrypted>),
}

impl Stream {
    pub(crate) fn tcp(&self) -> &Async<TcpStream> {
        match self {
            Self::Plain(tcp) => tcp,
            Self::Encrypted(encrypted) => encrypted.tcp(),
        }
    }

    pub(crate) fn try_read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(tcp) => tcp.get_ref().read(bytes),
            Self::Encrypted(encrypted) => encrypted.try_read(bytes),
        }
    }

    pub(crate) fn try_write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(tcp) => tcp.get_ref().write(bytes),
            Self::Encrypted(encrypted) => encrypted.try_write(|writer| writer.write(bytes)),
        }
    }

    pub(crate) fn try_write_vectored(&mut self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Self::Plain(tcp) => tcp.get_ref().write_vectored(parts),
            Self::Encrypted(encrypted) => {
                encrypted.try_write(|writer| writer.write_vectored(parts))
            }
        }
    }

    /// Sends what has been encrypted.
    pub(crate) fn try_flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(_) => Ok(()),
            Self::Encrypted(encrypted) => encrypted.try_flush(),
        }
    }

    /// Fails with `WouldBlock` if the socket has no room for output.
    pub(crate) fn try_room(&self) -> io::Result<()> {
        let tcp = self.tcp().get_ref();
        let mut sockets = [PollFd::new(tcp, PollFlags::OUT)];
        match poll(&mut sockets, Some(&Timespec::default()))? {
            0 => Err(io::ErrorKind::WouldBlock.into()),
            // Also after an error, which the next write finds.
            _ => Ok(()),
        }
    }

    /// Sends the end of the TLS stream (`close_notify`).
    pub(crate) fn try_end(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(_) => Ok(()),
            Self::Encrypted(encrypted) => encrypted.try_end(),
        }
    }

    /// Most bytes of output that may be buffered here.
    pub(crate) fn buffer_bytes(&self) -> usize {
        match self {
            Self::Plain(_) => 0,
            Self::Encrypted(_) => ENCRYPT_BYTES,
        }
    }

    /// Whether the client has taken any of the output that is buffered here. Plain output is not
    /// buffered.
    pub(crate) fn has_taken(&mut self) -> bool {
        match self {
            Self::Plain(_) => false,
            Self::Encrypted(encrypted) => encrypted.has_taken(),
        }
    }
}
