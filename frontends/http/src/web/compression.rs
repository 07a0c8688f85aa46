//! Compresses the bodies of responses with gzip, for clients that ask for it.
//!
//! A body is compressed part by part as its client takes it, so that no connection holds more than one
//! compressor and one part. A stream is flushed after each of its parts: what has happened arrives at once.
//!
//! The length of what was compressed gives a bit of it away. An attacker who sees the lengths and can put text
//! next to a secret can guess the secret (BREACH). So nothing is compressed that gives a cookie, nor
//! what is short, as all answers with a token are; and other sites' pages are refused before anything is
//! answered. In output, both can stand side by side: `HttpLimits::compressed` turns compression off.

use crate::limits::{COMPRESSED_AT_ONCE, UNCOMPRESSED_BYTES};
use crate::server::connection::HttpResponse;
use crate::web::body::Body;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures::{Stream, StreamExt};
use http::header::{
    ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, ETAG, SET_COOKIE, VARY,
};
use http::{HeaderMap, HeaderValue, StatusCode};
use rejoin_metrics::{Gauge, GaugeGuard};
use std::io::{self, Write};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// Whether a client takes gzip (RFC 9110, 12.5.3).
pub(crate) fn accepts_gzip(headers: &HeaderMap) -> bool {
    let values = headers.get_all(ACCEPT_ENCODING).iter();
    let codings = values.filter_map(|value| value.to_str().ok());
    let codings = codings.flat_map(|value| value.split(','));
    let mut accepted = (None, None);
    for coding in codings {
        let mut parts = coding.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default();
        let weight = parts.find_map(|part| part.strip_prefix("q="));
        let is_wanted = weight.is_none_or(|weight| weight.parse().unwrap_or(0.0_f32) > 0.0);
        match name {
            "*" => accepted.1 = Some(is_wanted),
            _ if name.eq_ignore_ascii_case("gzip") || name.eq_ignore_ascii_case("x-gzip") => {
                accepted.0 = Some(is_wanted);
            }
            _ => {}
        }
    }
    accepted.0.or(accepted.1).unwrap_or(false)
}

/// Compresses a response for a client that takes gzip, unless that is worth nothing, would give a secret away,
/// or `most` others are being compressed.
pub(crate) fn compress(mut response: HttpResponse, open: &Gauge, most: usize) -> HttpResponse {
    let headers = response.headers();
    let is_compressible = headers.get(CONTENT_TYPE).is_some_and(is_text)
        && !headers.contains_key(CONTENT_ENCODING)
        && !headers.contains_key(SET_COOKIE)
        && response.status() != StatusCode::PARTIAL_CONTENT;
    let is_short = match response.body() {
        Body::Whole(bytes) => bytes.len() < UNCOMPRESSED_BYTES,
        Body::Parts(_) => false,
    };
    if !is_compressible || is_short || open.get() >= most as u64 {
        return response;
    }
    let headers = response.headers_mut();
    headers.remove(CONTENT_LENGTH);
    headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    let varies = headers
        .get_all(VARY)
        .iter()
        .any(|it| it == "accept-encoding");
    if !varies {
        headers.append(VARY, HeaderValue::from_static("accept-encoding"));
    }
    // The same file, but not the same bytes.
    if let Some(tag) = headers.get_mut(ETAG)
        && !tag.as_bytes().starts_with(b"W/")
        && let Ok(weak) = HeaderValue::from_bytes(&[b"W/", tag.as_bytes()].concat())
    {
        *tag = weak;
    }
    let one = open.enter();
    response.map(|body| {
        let compressed = Compressed {
            encoder: Some(GzEncoder::new(Vec::new(), Compression::fast())),
            body,
            _one: one,
        };
        Body::Parts(compressed.boxed())
    })
}

/// Whether bodies of a type are worth it. What a program has written is mostly text, too.
fn is_text(kind: &HeaderValue) -> bool {
    let kind = kind.to_str().unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    kind.starts_with("text/")
        || kind.ends_with("json")
        || matches!(
            kind,
            "image/svg+xml" | "application/jsonl" | "application/x-asciicast" | RECORDS
        )
}

/// The records of a session, as the log has them.
const RECORDS: &str = "application/vnd.rejoin.records";

/// A body that is compressed while it is taken.
struct Compressed {
    /// None once the end has been given.
    encoder: Option<GzEncoder<Vec<u8>>>,
    body: Body,
    _one: GaugeGuard,
}

impl Stream for Compressed {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        let Some(encoder) = &mut this.encoder else {
            return Poll::Ready(None);
        };
        let part = match &mut this.body {
            Body::Whole(bytes) => {
                let length = bytes.len().min(COMPRESSED_AT_ONCE);
                (length > 0).then(|| Ok(bytes.split_to(length)))
            }
            Body::Parts(parts) => ready!(parts.as_mut().poll_next(context)),
        };
        let compressed = match part {
            Some(Err(error)) => {
                this.encoder = None;
                return Poll::Ready(Some(Err(error)));
            }
            Some(Ok(part)) => (|| {
                encoder.write_all(&part)?;
                if matches!(this.body, Body::Parts(_)) {
                    encoder.flush()?;
                }
                Ok(std::mem::take(encoder.get_mut()))
            })(),
            None => match this.encoder.take() {
                Some(encoder) => encoder.finish(),
                None => return Poll::Ready(None),
            },
        };
        match compressed {
            // Others have their turn while much becomes little.
            Ok(bytes) if bytes.is_empty() => {
                context.waker().wake_by_ref();
                Poll::Pending
            }
            compressed => Poll::Ready(Some(compressed.map(Bytes::from))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gzip_is_for_those_who_ask_for_it() {
        let asks = |all: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for value in all {
                headers.append(ACCEPT_ENCODING, HeaderValue::from_static(value));
            }
            accepts_gzip(&headers)
        };
        for yes in [
            &["gzip"][..],
            &["br, GZIP;q=0.5"],
            &["*"],
            &["br", "gzip"],
            &["*;q=0, gzip"],
            &["x-gzip"],
        ] {
            assert!(asks(yes), "{yes:?}");
        }
        for no in [
            &[][..],
            &[""],
            &["br, zstd"],
            &["gzip;q=0"],
            &["gzip; q=0.000, *"],
            &["*;q=0"],
            &["gzip;q=much"],
            &["identity"],
        ] {
            assert!(!asks(no), "{no:?}");
        }
    }
}
