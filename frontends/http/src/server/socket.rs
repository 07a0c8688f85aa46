//! hyper's input and output on a non-blocking socket, plain or encrypted, with timeouts.
//!
//! A client that doesn't send the body that is awaited misses its deadline, and one that reads nothing is
//! disconnected. A connection that is closed with unread input discards input for a while: otherwise
//! the kernel sends a reset, which can reach the client before it has read the response.

use crate::limits::{HttpLimits, LINGER_BYTES, READ_BYTES};
use crate::server::deadlines::ConnDeadlines;
use crate::server::explained::HeadLimits;
use crate::server::first_line::FirstLine;
use crate::server::stalls::{Stall, Stalls};
use crate::server::stream::Stream;
use crate::server::timers::{Alarm, Sleep, Timers};
use std::cell::RefCell;
use std::future::Future;
use std::io::{self, IoSlice, Read as _};
use std::net::Shutdown;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

/// One client's connection.
#[derive(Debug)]
pub(crate) struct Socket {
    stream: Stream,
    timers: Timers,
    deadlines: Rc<ConnDeadlines>,
    first_line: FirstLine,
    head_limits: HeadLimits,
    slow_body: Alarm,
    /// All connections of the thread whose clients take no output.
    stalls: Rc<Stalls>,
    /// While this one's client takes none.
    stalled: Option<Stalled>,
    discarding: Option<Discarding>,
    write: Duration,
    linger: Duration,
}

impl Socket {
    pub(crate) fn new(
        stream: Stream,
        timers: Timers,
        deadlines: Rc<ConnDeadlines>,
        stalls: Rc<Stalls>,
        limits: &HttpLimits,
    ) -> Self {
        Self {
            stream,
            timers,
            deadlines,
            first_line: FirstLine::default(),
            head_limits: HeadLimits::new(limits),
            slow_body: Alarm::default(),
            stalls,
            stalled: None,
            discarding: None,
            write: limits.write,
            linger: limits.linger,
        }
    }

    fn poll_output<T>(
        &mut self,
        context: &mut Context<'_>,
        mut attempt: impl FnMut(&mut Stream) -> io::Result<T>,
    ) -> Poll<io::Result<T>> {
        loop {
            match attempt(&mut self.stream) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if self.stream.has_taken() {
                        self.note_taken();
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                done => {
                    self.note_taken();
                    return Poll::Ready(done);
                }
            }
            if self.stream.tcp().poll_writable(context)?.is_pending() {
                ready!(self.poll_stalled(context));
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
        }
    }

    /// Ready when the client may be waited for no longer.
    fn poll_stalled(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let stalled = match &mut self.stalled {
            Some(stalled) => stalled,
            none => {
                let unread = self.deadlines.queued() + self.stream.buffer_bytes();
                let Some(stall) = self.stalls.begin(&self.deadlines, unread) else {
                    return Poll::Ready(());
                };
                self.deadlines.note_stalled();
                none.insert(Stalled {
                    until: self.timers.after(self.write),
                    _stall: stall,
                })
            }
        };
        Pin::new(&mut stalled.until).poll(context)
    }

    /// Writes hyper's refusal of the first request with a text that says why. None if it is none.
    fn poll_explain(
        &mut self,
        context: &mut Context<'_>,
        response: &[u8],
    ) -> Option<Poll<io::Result<usize>>> {
        if self.deadlines.has_taken_head() {
            return None;
        }
        let explained = self.head_limits.explain(response)?;
        let written = self.poll_output(context, |stream| stream.try_write(&explained));
        Some(written.map(|written| match written? == explained.len() {
            true => Ok(response.len()),
            // Nothing was sent before, so it fits the socket's buffer.
            false => Err(io::ErrorKind::WriteZero.into()),
        }))
    }

    fn note_written(&self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(bytes)) = &written {
            self.deadlines.note_written(*bytes);
        }
        written
    }

    fn note_taken(&mut self) {
        if self.stalled.take().is_some() {
            self.deadlines.note_taken();
        }
    }
}

impl hyper::rt::Read for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        mut buffer: hyper::rt::ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let room = this.first_line.room(buffer.remaining());
        let read = with_scratch(room, |scratch| {
            let read = poll_input(&mut this.stream, context, |stream| stream.try_read(scratch));
            read.map_ok(|bytes| {
                let read = scratch.get(..bytes).unwrap_or_default();
                this.first_line.pass(read, |part| buffer.put_slice(part));
                bytes
            })
        });
        match read {
            Poll::Ready(Ok(bytes)) => {
                if bytes > 0 {
                    this.deadlines.note_read();
                }
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => {
                let Some(deadline) = this.deadlines.body_deadline(&this.timers) else {
                    return Poll::Pending;
                };
                ready!(this.slow_body.poll(&this.timers, deadline, context));
                this.deadlines.miss();
                Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
            }
        }
    }
}

impl hyper::rt::Write for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if let Some(written) = self.poll_explain(context, bytes) {
            return written;
        }
        let written = self.poll_output(context, |stream| stream.try_write(bytes));
        self.note_written(written)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut filled = parts.iter().filter(|part| !part.is_empty());
        if let (Some(response), None) = (filled.next(), filled.next())
            && let Some(written) = self.poll_explain(context, response)
        {
            return written;
        }
        let written = self.poll_output(context, |stream| stream.try_write_vectored(parts));
        self.note_written(written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let wants_room = self.deadlines.wants_room();
        if !wants_room && matches!(self.stream, Stream::Plain(_)) {
            return Poll::Ready(Ok(()));
        }
        // In one attempt: a client that takes what was encrypted, and no more, is waited for no longer.
        ready!(self.poll_output(context, |stream| {
            stream.try_flush()?;
            match wants_room {
                true => stream.try_room(),
                false => Ok(()),
            }
        }))?;
        if wants_room {
            self.deadlines.note_room();
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.discarding.is_none() {
            ready!(self.poll_output(context, Stream::try_end))?;
            match self.stream.tcp().get_ref().shutdown(Shutdown::Write) {
                // The client has closed the connection first.
                Err(error) if error.kind() == io::ErrorKind::NotConnected => {
                    return Poll::Ready(Ok(()));
                }
                ended => ended?,
            }
            if !self.deadlines.has_unread() {
                return Poll::Ready(Ok(()));
            }
        }
        let this = &mut *self;
        let discarding = this.discarding.get_or_insert_with(|| Discarding {
            until: this.timers.after(this.linger),
            left: LINGER_BYTES,
        });
        while discarding.left > 0 {
            match with_scratch(READ_BYTES, |scratch| {
                poll_input(&mut this.stream, context, |stream| {
                    stream.tcp().get_ref().read(scratch)
                })
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

/// A client that takes no output.
#[derive(Debug)]
struct Stalled {
    /// Until when it is waited for.
    until: Sleep,
    _stall: Stall,
}

/// A closing connection discards input until the client closes its side, or until the limit of
/// time or bytes is reached.
#[derive(Debug)]
struct Discarding {
    until: Sleep,
    left: usize,
}

fn poll_input(
    stream: &mut Stream,
    context: &mut Context<'_>,
    mut attempt: impl FnMut(&mut Stream) -> io::Result<usize>,
) -> Poll<io::Result<usize>> {
    loop {
        match attempt(stream) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => (),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            read => return Poll::Ready(read),
        }
        ready!(stream.tcp().poll_readable(context))?;
    }
}

/// Lends at most `bytes` of this thread's buffer. hyper's own may be uninitialized, and clearing it
/// for each read costs more than copying the few bytes that arrive.
fn with_scratch<T>(bytes: usize, read: impl FnOnce(&mut [u8]) -> T) -> T {
    thread_local! {
        static SCRATCH: RefCell<Vec<u8>> = RefCell::new(vec![0; READ_BYTES]);
    }
    SCRATCH.with_borrow_mut(|scratch| {
        let bytes = bytes.min(scratch.len());
        read(scratch.get_mut(..bytes).unwrap_or_default())
    })
}
