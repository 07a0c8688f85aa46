//! The body of a response, as hyper takes it.

use crate::observe::RequestSpan;
use crate::server::deadlines::ConnDeadlines;
use bytes::Bytes;
use futures::Stream;
use http_body::{Frame, SizeHint};
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

/// All bytes at once, or part by part as the client takes them.
pub(crate) enum Body {
    Whole(Bytes),
    Parts(Pin<Box<dyn Stream<Item = io::Result<Bytes>> + Send>>),
}

impl Body {
    pub(crate) fn empty() -> Self {
        Self::Whole(Bytes::new())
    }
}

impl http_body::Body for Body {
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
        };
        Poll::Ready(part.map(|part| part.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(bytes) => bytes.is_empty(),
            Self::Parts(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Self::Parts(_) => SizeHint::default(),
        }
    }
}

/// A body on its way to the client. When hyper drops it, the connection waits for its next request.
pub(crate) struct SentBody {
    pub(crate) body: Body,
    pub(crate) deadlines: Rc<ConnDeadlines>,
    pub(crate) span: Box<RequestSpan>,
}

impl Drop for SentBody {
    fn drop(&mut self) {
        self.deadlines.wait_for_head();
    }
}

impl http_body::Body for SentBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        // Nothing is produced that the socket has no room for.
        let is_streamed = matches!(self.body, Body::Parts(_));
        if is_streamed && !self.deadlines.may_produce(context.waker()) {
            return Poll::Pending;
        }
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        if let Some(Ok(frame)) = &frame {
            let bytes = frame.data_ref().map_or(0, Bytes::len);
            self.span.sent(bytes);
            match is_streamed {
                true => self.deadlines.note_part(bytes),
                false => self.deadlines.note_queued(bytes),
            }
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
