//! What a handler gives back: an answer whose body and headers reach the connection uncopied.

use bytes::Bytes;
use futures::{Stream, StreamExt};
use http::header::{CONNECTION, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::Mutex;

/// An answer to a request. Turns into tide's response, of which it is one extension.
///
/// Headers are sent in the order in which they are added, then the length and the date. An answer
/// needs no length of its own: bytes have one, and a stream is sent in chunks.
///
/// ```
/// use rejoin_http::{Answer, StatusCode};
///
/// async fn greet(_: tide::Request<()>) -> tide::Result<Answer> {
///     let answer = Answer::new(StatusCode::OK, "text/plain; charset=utf-8", "Welcome!");
///     Ok(answer.header("set-cookie", "seen=yes").close())
/// }
/// rejoin_http::app().at("/greet").get(greet);
/// ```
pub struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    content: Content,
}

impl Answer {
    /// An answer of bytes. They are handed over, not copied.
    #[must_use]
    pub fn new(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Self {
        Self::of(status, content_type, Content::Whole(body.into()))
    }

    /// An answer of bytes without a type, where a product sends none.
    #[must_use]
    pub fn untyped(status: StatusCode, body: impl Into<Bytes>) -> Self {
        Self {
            status,
            headers: HeaderMap::new(),
            content: Content::Whole(body.into()),
        }
    }

    /// An answer without a body or a type.
    #[must_use]
    pub fn empty(status: StatusCode) -> Self {
        Self {
            status,
            headers: HeaderMap::new(),
            content: Content::Whole(Bytes::new()),
        }
    }

    /// An answer that goes on until the stream ends, for example Server-Sent Events.
    ///
    /// The next part is asked for when the client has taken enough of the last ones. The stream is
    /// dropped when the client leaves and when the server stops for good; it should end by itself
    /// on [`closing`](crate::closing). An error cuts the connection, so that nobody takes the part
    /// for the whole.
    #[must_use]
    pub fn streaming(
        status: StatusCode,
        content_type: &'static str,
        parts: impl Stream<Item = io::Result<Bytes>> + Send + 'static,
    ) -> Self {
        Self::of(
            status,
            content_type,
            Content::Parts(Mutex::new(parts.boxed())),
        )
    }

    /// Adds a header. One that is no valid header is left out and logged, since nothing that comes
    /// from outside may bring the server down or split an answer in two.
    #[must_use]
    pub fn header<N, V>(mut self, name: N, value: V) -> Self
    where
        N: TryInto<HeaderName> + fmt::Debug + Clone,
        V: TryInto<HeaderValue>,
    {
        match (name.clone().try_into(), value.try_into()) {
            (Ok(name), Ok(value)) => {
                self.headers.append(name, value);
            }
            _ => tracing::error!(?name, "an answer's header is not valid and was left out"),
        }
        self
    }

    /// Closes the connection after this answer.
    #[must_use]
    pub fn close(mut self) -> Self {
        self.headers
            .insert(CONNECTION, HeaderValue::from_static("close"));
        self
    }

    pub(crate) fn into_parts(self) -> (StatusCode, HeaderMap, Content) {
        (self.status, self.headers, self.content)
    }

    fn of(status: StatusCode, content_type: &'static str, content: Content) -> Self {
        let mut headers = HeaderMap::with_capacity(4);
        match HeaderValue::from_maybe_shared(Bytes::from_static(content_type.as_bytes())) {
            Ok(value) => {
                headers.insert(CONTENT_TYPE, value);
            }
            Err(_) => tracing::error!(content_type, "not a valid header, left out"),
        }
        Self {
            status,
            headers,
            content,
        }
    }
}

impl From<Answer> for tide::Response {
    fn from(answer: Answer) -> Self {
        // For middleware to see; the answer's own status is what is sent.
        let status = tide::StatusCode::try_from(answer.status.as_u16());
        let mut response = Self::new(status.unwrap_or(tide::StatusCode::Ok));
        let inner: &mut tide::http::Response = response.as_mut();
        inner.ext_mut().insert(answer);
        response
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer")
            .field("status", &self.status)
            .field("headers", &self.headers)
            .finish_non_exhaustive()
    }
}

/// [`Answer::new`] as tide's response, for handlers that give nothing else back.
///
/// ```
/// use rejoin_http::StatusCode;
///
/// async fn version(_: tide::Request<()>) -> tide::Result {
///     Ok(rejoin_http::answer(StatusCode::OK, "application/json", r#"{"version":1}"#))
/// }
/// rejoin_http::app().at("/version").get(version);
/// ```
#[must_use]
pub fn answer(
    status: StatusCode,
    content_type: &'static str,
    body: impl Into<Bytes>,
) -> tide::Response {
    Answer::new(status, content_type, body).into()
}

pub(crate) enum Content {
    Whole(Bytes),
    // Never locked: tide wants its extensions to be `Sync`, which a stream need not be.
    Parts(Mutex<Parts>),
}

pub(crate) type Parts = Pin<Box<dyn Stream<Item = io::Result<Bytes>> + Send>>;
