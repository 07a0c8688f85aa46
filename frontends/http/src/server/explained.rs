//! Says why hyper refuses a request: its own responses have a status alone.

use crate::limits::{HttpLimits, MAX_HEADER_BYTES};
use crate::server::connection::TEXT;
use bytes::Bytes;

/// The limits that an explanation names.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HeadLimits {
    bytes: usize,
    headers: usize,
}

impl HeadLimits {
    pub(crate) fn new(limits: &HttpLimits) -> Self {
        Self {
            bytes: limits.header_bytes.min(MAX_HEADER_BYTES),
            headers: limits.headers,
        }
    }

    /// The same response with a text, if it is one of those that hyper writes for a head that it cannot
    /// take. It must be the first response of its connection, and to no request that a handler got.
    pub(crate) fn explain(self, response: &[u8]) -> Option<Bytes> {
        let head = std::str::from_utf8(response).ok()?;
        let head = head.strip_suffix("\r\n")?;
        let (status, _) = head.strip_prefix("HTTP/1.1 ")?.split_once(' ')?;
        let is_head_alone = head.find("\r\n\r\n").is_none();
        if !is_head_alone || !head.ends_with("\r\n") {
            return None;
        }
        let (before, after) = head.split_once(EMPTY)?;
        let Self { bytes, headers } = self;
        let text = match status {
            "400" => "The request is not valid HTTP: its target or a header contains a character that \
                      must be percent-encoded (a space is %20, a quote %22), or a header is malformed."
                .to_owned(),
            "414" => "The target of the request is too long: shorten its path and query.".to_owned(),
            "431" => format!(
                "The request's line and headers are too large: send at most {bytes} bytes (the server's \
                 --max-header) and {headers} headers."
            ),
            _ => return None,
        };
        let close = match head.contains(CLOSE) {
            true => "",
            false => CLOSE,
        };
        let length = text.len();
        let explained = format!(
            "{before}content-type: {TEXT}\r\ncontent-length: {length}\r\n\
             x-content-type-options: nosniff\r\ncache-control: no-store\r\n{close}{after}\r\n{text}"
        );
        Some(explained.into())
    }
}

const EMPTY: &str = "content-length: 0\r\n";

const CLOSE: &str = "connection: close\r\n";

#[cfg(test)]
mod tests {
    use super::*;

    fn explain(response: &str) -> Option<String> {
        let limits = HeadLimits::new(&HttpLimits::default());
        let explained = limits.explain(response.as_bytes())?;
        Some(String::from_utf8(explained.to_vec()).unwrap())
    }

    #[test]
    fn an_empty_refusal_gets_a_text_of_its_length_and_keeps_its_other_headers() {
        for (status, word) in [
            ("400 Bad Request", "percent-encoded"),
            ("414 URI Too Long", "shorten"),
            ("431 Request Header Fields Too Large", "16384 bytes"),
        ] {
            for close in ["connection: close\r\n", ""] {
                let explained = explain(&format!(
                    "HTTP/1.1 {status}\r\n{close}content-length: 0\r\ndate: today\r\n\r\n"
                ))
                .unwrap();
                let (head, text) = explained.split_once("\r\n\r\n").unwrap();
                assert!(text.contains(word), "{text}");
                assert!(head.starts_with(&format!("HTTP/1.1 {status}\r\n")));
                assert!(head.contains(&format!("content-length: {}\r\n", text.len())));
                assert!(head.ends_with("date: today"));
                assert_eq!(head.matches("connection: close").count(), 1);
            }
        }
    }

    #[test]
    fn any_other_response_stays_as_it_is() {
        for response in [
            "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
            "HTTP/1.1 400 Bad Request\r\ncontent-length: 3\r\n\r\nBad",
            "HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
            "HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n",
            "HTTP/1.0 400 Bad Request\r\ncontent-length: 0\r\n\r\n",
            "HTTP/1.1 100 Continue\r\n\r\n",
            "",
        ] {
            assert_eq!(explain(response), None, "{response}");
        }
    }
}
