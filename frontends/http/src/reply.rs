//! The body of an answer, as hyper takes it.

use crate::answer::{Content, Parts};
use crate::limits::PART_BYTES;
use crate::pace::Pace;
use crate::watch::Seen;
use bytes::Bytes;
use futures::AsyncBufRead;
use http_body::{Frame, SizeHint};
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::PoisonError;
use std::task::{Context, Poll, ready};

/// Bytes at once, or part by part as the client takes them.
pub(crate) enum Reply {
    Whole(Bytes),
    Parts(Parts),
    /// A body of tide's own, and how much of it is to come if it has said so.
    Reader(tide::Body, Option<u64>),
}

impl Reply {
    pub(crate) fn empty() -> Self {
        Self::Whole(Bytes::new())
    }
}

impl From<Content> for Reply {
    fn from(content: Content) -> Self {
        match content {
            Content::Whole(bytes) => Self::Whole(bytes),
            Content::Parts(parts) => {
                Self::Parts(parts.into_inner().unwrap_or_else(PoisonError::into_inner))
            }
        }
    }
}

impl From<tide::Body> for Reply {
    fn from(body: tide::Body) -> Self {
        let length = body.len().and_then(|length| u64::try_from(length).ok());
        Self::Reader(body, length)
    }
}

impl http_body::Body for Reply {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let part = match self.get_mut() {
            Self::Whole(bytes) if bytes.is_empty() => None,
            Self::Whole(bytes) => Some(Ok(std::mem::take(bytes))),
            Self::Parts(parts) => ready!(parts.as_mut().poll_next(context)),
            Self::Reader(_, Some(0)) => None,
            Self::Reader(body, left) => ready!(poll_part(body, left, context)),
        };
        Poll::Ready(part.map(|part| part.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(bytes) => bytes.is_empty(),
            Self::Reader(_, left) => *left == Some(0),
            Self::Parts(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Self::Reader(_, Some(left)) => SizeHint::with_exact(*left),
            Self::Reader(_, None) | Self::Parts(_) => SizeHint::default(),
        }
    }
}

/// A reply on its way out. Once it has been handed over, the next request is waited for.
pub(crate) struct Sending {
    pub(crate) reply: Reply,
    pub(crate) pace: Rc<Pace>,
    pub(crate) seen: Box<Seen>,
}

impl Drop for Sending {
    fn drop(&mut self) {
        self.pace.wait_for_head();
    }
}

impl http_body::Body for Sending {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let frame = ready!(Pin::new(&mut self.reply).poll_frame(context));
        if let Some(Ok(frame)) = &frame {
            let bytes = frame.data_ref().map_or(0, Bytes::len);
            self.seen.sent(bytes);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.reply.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.reply.size_hint()
    }
}

/// Copies what the reader has, but not more than it has promised. One that ends before it has kept
/// its promise is an error.
fn poll_part(
    body: &mut tide::Body,
    left: &mut Option<u64>,
    context: &mut Context<'_>,
) -> Poll<Option<io::Result<Bytes>>> {
    let mut body = Pin::new(body);
    let read = ready!(body.as_mut().poll_fill_buf(context))?;
    let most = left.map_or(PART_BYTES, |left| {
        usize::try_from(left).map_or(PART_BYTES, |left| left.min(PART_BYTES))
    });
    let part = Bytes::copy_from_slice(read.get(..read.len().min(most)).unwrap_or_default());
    if part.is_empty() {
        return Poll::Ready(left.map(|_| Err(io::ErrorKind::UnexpectedEof.into())));
    }
    body.consume(part.len());
    if let Some(left) = left {
        *left = left.saturating_sub(part.len() as u64);
    }
    Poll::Ready(Some(Ok(part)))
}
