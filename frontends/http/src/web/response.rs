//! What a handler returns: a status, headers, and a body that reaches the connection uncopied.

use crate::server::budget::Share;
use crate::web::body::Body;
use bytes::Bytes;
use futures::{Stream, StreamExt};
use http::header::{CONNECTION, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use std::fmt;
use std::io;

/// A response to a request.
///
/// Headers are sent in the order in which they are added, then the length and the date. A response
/// needs no `Content-Length` of its own: bytes have one, and a stream is sent in chunks.
///
/// ```
/// use rejoin_http::{Response, StatusCode};
///
/// let response = Response::new(StatusCode::OK, "text/plain; charset=utf-8", "Welcome!")
///     .header("set-cookie", "seen=yes")
///     .close();
/// assert_eq!(response.status(), StatusCode::OK);
/// ```
pub struct Response {
    status: StatusCode,
    headers: HeaderMap,
    body: Body,
}

impl Response {
    /// A response whose body is these bytes, which are not copied.
    #[must_use]
    pub fn new(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Self {
        Self::typed(status, content_type, Body::Whole(body.into()))
    }

    /// A response of bytes without a content type, for products that send none.
    #[must_use]
    pub fn untyped(status: StatusCode, body: impl Into<Bytes>) -> Self {
        Self {
            status,
            headers: HeaderMap::new(),
            body: Body::Whole(body.into()),
        }
    }

    /// A response without a body or a content type.
    #[must_use]
    pub fn empty(status: StatusCode) -> Self {
        Self::untyped(status, Bytes::new())
    }

    /// A response that lasts until the stream ends, for example Server-Sent Events.
    ///
    /// The next part is requested when the client has taken enough of the previous ones. The stream
    /// is dropped when the client leaves and when the server's shutdown deadline passes; it should
    /// end by itself on [`Request::shutdown`](crate::Request::shutdown). An error closes the
    /// connection in mid-response, so that no client takes a part for the whole.
    #[must_use]
    pub fn streaming(
        status: StatusCode,
        content_type: &'static str,
        parts: impl Stream<Item = io::Result<Bytes>> + Send + 'static,
    ) -> Self {
        Self::typed(status, content_type, Body::Parts(parts.boxed()))
    }

    /// A response whose body is produced in parts: streamed if it `is_long`, so that it is never
    /// whole in memory, otherwise collected first, so that it has a `Content-Length`.
    pub async fn from_parts(
        status: StatusCode,
        content_type: &'static str,
        is_long: bool,
        parts: impl Stream<Item = Vec<u8>> + Send + 'static,
    ) -> Self {
        if is_long {
            let parts = parts.map(|part| Ok(Bytes::from(part)));
            return Self::streaming(status, content_type, parts);
        }
        Self::new(status, content_type, parts.concat().await)
    }

    /// The same response, whose bytes are in use of a budget until the client has taken them.
    #[must_use]
    pub fn holding(mut self, share: Share) -> Self {
        struct Held(
            Bytes,
            #[expect(dead_code, reason = "it gives back when dropped")] Share,
        );
        impl AsRef<[u8]> for Held {
            fn as_ref(&self) -> &[u8] {
                &self.0
            }
        }
        if let Body::Whole(bytes) = self.body {
            self.body = Body::Whole(Bytes::from_owner(Held(bytes, share)));
        }
        self
    }

    /// The same response with another status.
    #[must_use]
    pub fn with_status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    /// Adds a header. An invalid one is left out and logged: nothing that comes from outside may
    /// end the server or split a response in two.
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
            _ => tracing::error!(?name, "left out an invalid response header"),
        }
        self
    }

    /// Closes the connection after this response.
    #[must_use]
    pub fn close(mut self) -> Self {
        self.headers
            .insert(CONNECTION, HeaderValue::from_static("close"));
        self
    }

    /// The status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.status
    }

    pub(crate) fn into_parts(self) -> (StatusCode, HeaderMap, Body) {
        (self.status, self.headers, self.body)
    }

    fn typed(status: StatusCode, content_type: &'static str, body: Body) -> Self {
        let mut headers = HeaderMap::with_capacity(4);
        match HeaderValue::from_maybe_shared(Bytes::from_static(content_type.as_bytes())) {
            Ok(value) => {
                headers.insert(CONTENT_TYPE, value);
            }
            Err(_) => tracing::error!(content_type, "left out an invalid content type"),
        }
        Self {
            status,
            headers,
            body,
        }
    }
}

/// A handler's `Result`: its error becomes a response in the frontend's own shape.
impl<E: Into<Self>> From<Result<Self, E>> for Response {
    fn from(result: Result<Self, E>) -> Self {
        result.unwrap_or_else(Into::into)
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Response")
            .field("status", &self.status)
            .field("headers", &self.headers)
            .finish_non_exhaustive()
    }
}
