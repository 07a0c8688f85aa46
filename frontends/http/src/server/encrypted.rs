//! One client's connection, encrypted: rustls' state over a non-blocking socket.
//!
//! Nothing waits here but the handshake. Reading and writing are tried and say `WouldBlock`, as the
//! socket's own do; nothing more is encrypted before what was encrypted is taken, so that a client
//! that reads slowly makes the server hold one buffer and no more.

use crate::limits::ENCRYPT_BYTES;
use crate::server::tls::Tls;
use async_io::Async;
use rustls::{ServerConnection, Writer};
use std::io::{self, Read as _};
use std::net::TcpStream;

#[derive(Debug)]
pub(crate) struct Encrypted {
    tcp: Async<TcpStream>,
    tls: ServerConnection,
    /// Between the handshake and our word that nothing more will come.
    open: bool,
    /// Whether the client has taken something since that was asked last.
    taken: bool,
}

impl Encrypted {
    /// Doesn't wait, and sends nothing.
    pub(crate) fn new(tcp: Async<TcpStream>, tls: &Tls) -> io::Result<Self> {
        let mut tls = ServerConnection::new(tls.config()).map_err(io::Error::other)?;
        tls.set_buffer_limit(Some(ENCRYPT_BYTES));
        Ok(Self {
            tcp,
            tls,
            open: false,
            taken: false,
        })
    }

    pub(crate) fn tcp(&self) -> &Async<TcpStream> {
        &self.tcp
    }

    /// Waits until both sides have agreed. May be dropped at any time. If the client is told what
    /// is wrong, then before this fails.
    pub(crate) async fn shake_hands(&mut self) -> io::Result<()> {
        loop {
            match self.try_flush() {
                Ok(()) => (),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.tcp.writable().await?;
                    continue;
                }
                Err(error) => return Err(error),
            }
            if !self.tls.is_handshaking() {
                self.open = true;
                return Ok(());
            }
            match self.take_in() {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(_) => (),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.tcp.readable().await?;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Decrypted bytes; none at the end of what the client sends, said or not.
    pub(crate) fn try_read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.tls.reader().read(bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => (),
                // Many leave without a word. A request says itself how long it is.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(0),
                read => return read,
            }
            self.take_in()?;
            // What is to be said between two answers; if it can't be now, the next takes it along.
            match self.try_flush() {
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(error),
                _ => (),
            }
        }
    }

    /// Encrypts what `write` gives and sends what the client takes of it. Takes nothing while the
    /// client hasn't taken what came before.
    pub(crate) fn try_write(
        &mut self,
        write: impl FnOnce(&mut Writer<'_>) -> io::Result<usize>,
    ) -> io::Result<usize> {
        self.try_flush()?;
        let written = write(&mut self.tls.writer())?;
        match self.try_flush() {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
            _ => Ok(written),
        }
    }

    /// Sends all that is encrypted.
    pub(crate) fn try_flush(&mut self) -> io::Result<()> {
        while self.tls.wants_write() {
            match self.tls.write_tls(&mut self.tcp.get_ref()) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(_) => self.taken = true,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => (),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Says that nothing more will come, and sends that.
    pub(crate) fn try_end(&mut self) -> io::Result<()> {
        if self.open {
            self.open = false;
            self.tls.send_close_notify();
        }
        self.try_flush()
    }

    /// Whether the client has taken anything since this was asked last.
    pub(crate) fn has_taken(&mut self) -> bool {
        std::mem::take(&mut self.taken)
    }

    /// Takes what the client has sent; none at its end.
    fn take_in(&mut self) -> io::Result<usize> {
        let bytes = loop {
            match self.tls.read_tls(&mut self.tcp.get_ref()) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => (),
                read => break read?,
            }
        };
        self.tls.process_new_packets().map_err(|error| {
            // The client is told why, as far as it takes that at once, and nothing else any more.
            self.open = false;
            let _ = self.try_flush();
            io::Error::new(io::ErrorKind::InvalidData, error)
        })?;
        Ok(bytes)
    }
}

impl Drop for Encrypted {
    /// A client that was silent for too long is told that this is the end, if it takes that at once.
    fn drop(&mut self) {
        let _ = self.try_end();
    }
}
