//! hyper's reading and writing directly over a non-blocking socket.
//!
//! Two rules of time live here because only here it is known when bytes move: a client that takes
//! nothing is cut, and a connection that is closed with input unread discards it for a while, since
//! the kernel answers unread input with a reset that can overtake the answer.

use crate::limits::{LINGER_BYTES, READ_BYTES};
use crate::timers::{Sleep, Timers};
use async_io::Async;
use std::cell::{Cell, RefCell};
use std::future::Future;
use std::io::{self, IoSlice, Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

/// One client's connection.
#[derive(Debug)]
pub(crate) struct Socket {
    stream: Async<TcpStream>,
    timers: Timers,
    write: Duration,
    linger: Duration,
    /// Since when the client takes nothing.
    stalled: Option<Sleep>,
    /// Whether bytes have been read that no request has used up.
    unread: Rc<Cell<bool>>,
    discarding: Option<Discarding>,
}

impl Socket {
    /// `write` and `linger` as in [`Limits`](crate::Limits).
    pub(crate) fn new(
        stream: Async<TcpStream>,
        timers: Timers,
        write: Duration,
        linger: Duration,
    ) -> Self {
        Self {
            stream,
            timers,
            write,
            linger,
            stalled: None,
            unread: Rc::default(),
            discarding: None,
        }
    }

    /// Set when bytes have come; to be cleared by whoever has read a whole request.
    pub(crate) fn unread(&self) -> Rc<Cell<bool>> {
        self.unread.clone()
    }

    fn poll_output(
        &mut self,
        context: &mut Context<'_>,
        write: impl Fn(&mut &TcpStream) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        loop {
            match write(&mut self.stream.get_ref()) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => (),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                written => {
                    self.stalled = None;
                    return Poll::Ready(written);
                }
            }
            if self.stream.poll_writable(context)?.is_pending() {
                let stalled = self
                    .stalled
                    .get_or_insert_with(|| self.timers.after(self.write));
                ready!(Pin::new(stalled).poll(context));
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
        }
    }
}

impl hyper::rt::Read for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        mut buffer: hyper::rt::ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        with_scratch(buffer.remaining(), |scratch| {
            let bytes = ready!(poll_input(&self.stream, context, scratch))?;
            if bytes > 0 {
                self.unread.set(true);
            }
            buffer.put_slice(scratch.get(..bytes).unwrap_or_default());
            Poll::Ready(Ok(()))
        })
    }
}

impl hyper::rt::Write for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_output(context, |stream| stream.write(bytes))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_output(context, |stream| stream.write_vectored(parts))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let discarding = match &mut this.discarding {
            Some(discarding) => discarding,
            None => {
                match this.stream.get_ref().shutdown(Shutdown::Write) {
                    // The client was quicker.
                    Err(error) if error.kind() == io::ErrorKind::NotConnected => {
                        return Poll::Ready(Ok(()));
                    }
                    ended => ended?,
                }
                if !this.unread.get() {
                    return Poll::Ready(Ok(()));
                }
                this.discarding.insert(Discarding {
                    until: this.timers.after(this.linger),
                    left: LINGER_BYTES,
                })
            }
        };
        while discarding.left > 0 {
            match with_scratch(READ_BYTES, |scratch| {
                poll_input(&this.stream, context, scratch)
            }) {
                Poll::Ready(Ok(0) | Err(_)) => break,
                Poll::Ready(Ok(bytes)) => {
                    discarding.left = discarding.left.saturating_sub(bytes);
                }
                Poll::Pending => {
                    ready!(Pin::new(&mut discarding.until).poll(context));
                    break;
                }
            }
        }
        Poll::Ready(Ok(()))
    }
}

/// What a closing connection still does: read and forget, until the client has closed its side or
/// has had enough time or bytes.
#[derive(Debug)]
struct Discarding {
    until: Sleep,
    left: usize,
}

fn poll_input(
    stream: &Async<TcpStream>,
    context: &mut Context<'_>,
    scratch: &mut [u8],
) -> Poll<io::Result<usize>> {
    loop {
        match stream.get_ref().read(scratch) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => (),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            read => return Poll::Ready(read),
        }
        ready!(stream.poll_readable(context))?;
    }
}

/// Lends this thread's buffer, at most `bytes` of it. hyper's own may not be initialized, and
/// clearing it for each read costs more than copying the few bytes that come.
fn with_scratch<T>(bytes: usize, read: impl FnOnce(&mut [u8]) -> T) -> T {
    thread_local! {
        static SCRATCH: RefCell<Vec<u8>> = RefCell::new(vec![0; READ_BYTES]);
    }
    SCRATCH.with_borrow_mut(|scratch| {
        let bytes = bytes.min(scratch.len());
        read(scratch.get_mut(..bytes).unwrap_or_default())
    })
}
