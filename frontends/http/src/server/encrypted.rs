//! One encrypted connection: rustls' state over a non-blocking socket.
//!
//! Only the handshake waits. Reading and writing fail with `WouldBlock`, as those of the socket do.
//! Output is encrypted only when the client has taken what was encrypted before, so a client that
//! reads slowly makes the server hold one buffer at most.

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
    /// From the end of the handshake until `close_notify` is sent.
    open: bool,
    /// Whether the client has taken output since the last call of `has_taken`.
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

    /// Does the handshake. May be dropped at any time. If it fails, the client has been sent an alert,
    /// as far as it takes one.
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
            match self.receive() {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(_) => (),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.tcp.readable().await?;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Reads decrypted bytes; none at the end of the stream, with `close_notify` or without.
    pub(crate) fn try_read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.tls.reader().read(bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => (),
                // Many clients leave without `close_notify`. A request has its own length.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(0),
                read => return read,
            }
            self.receive()?;
            // Output of TLS itself; what can't be sent now is sent with the next response.
            match self.try_flush() {
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(error),
                _ => (),
            }
        }
    }

    /// Encrypts what `write` gives and sends as much as the client takes. `WouldBlock` while the client
    /// has not taken earlier output.
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

    /// Sends everything that has been encrypted.
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

    /// Sends `close_notify`.
    pub(crate) fn try_end(&mut self) -> io::Result<()> {
        if self.open {
            self.open = false;
            self.tls.send_close_notify();
        }
        self.try_flush()
    }

    /// Whether the client has taken output since the last call.
    pub(crate) fn has_taken(&mut self) -> bool {
        std::mem::take(&mut self.taken)
    }

    /// Receives encrypted bytes; none at the end of the stream.
    fn receive(&mut self) -> io::Result<usize> {
        let bytes = loop {
            match self.tls.read_tls(&mut self.tcp.get_ref()) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => (),
                read => break read?,
            }
        };
        self.tls.process_new_packets().map_err(|error| {
            // Sends the alert, if the client takes it at once, and nothing after it.
            self.open = false;
            let _ = self.try_flush();
            io::Error::new(io::ErrorKind::InvalidData, error)
        })?;
        Ok(bytes)
    }
}

impl Drop for Encrypted {
    /// Sends `close_notify` if the client takes it at once.
    fn drop(&mut self) {
        let _ = self.try_end();
    }
}
