//! A request as a text: method and target on the first line, headers on the next ones, an empty
//! line, and the body. What frontends that tell several paths apart are asked with.

use crate::harness::Harness;
use rejoin_http::Router;
use rejoin_http::test_call::{Called, call};
use serde_json::Value;
use std::fmt;

/// A request to an application.
#[derive(Clone, Copy)]
pub(crate) struct HttpRequest<'a> {
    pub(crate) method: &'a str,
    pub(crate) target: &'a str,
    headers: &'a [u8],
    body: &'a [u8],
}

impl<'a> HttpRequest<'a> {
    /// None: this has no line that ends, no target, or no text for them.
    pub(crate) fn parse(bytes: &'a [u8]) -> Option<Self> {
        let (first, rest) = split_once(bytes, b"\n").unwrap_or((bytes, b""));
        let (method, target) = std::str::from_utf8(first).ok()?.split_once(' ')?;
        let (headers, body) = match rest.strip_prefix(b"\n") {
            Some(body) => (&b""[..], body),
            None => split_once(rest, b"\n\n").unwrap_or((rest, b"")),
        };
        Some(Self {
            method,
            target,
            headers,
            body,
        })
    }

    /// A GET of this.
    pub(crate) fn get(target: &'a str) -> Self {
        Self {
            method: "GET",
            target,
            headers: b"",
            body: b"",
        }
    }

    /// The answer. None: it does not get as far as an application, or takes too long.
    pub(crate) fn send(self, harness: &mut Harness, router: &Router) -> Option<Called> {
        let router = router.clone();
        let (method, target) = (self.method.to_owned(), self.target.to_owned());
        let (headers, body) = (self.headers.to_vec(), self.body.to_vec());
        harness.run(async move {
            let headers: Vec<_> = headers
                .split(|byte| *byte == b'\n')
                .filter_map(|line| split_once(line, b":"))
                .filter_map(|(name, value)| {
                    Some((std::str::from_utf8(name).ok()?, value.trim_ascii()))
                })
                .collect();
            call(&router, &method, &target, &headers, &body).await
        })?
    }
}

/// The value of an answer that is JSON; null where it is empty.
///
/// # Panics
///
/// When it is something else, or the server's own fault.
pub(crate) fn value_of(called: &Called) -> Value {
    let shown = String::from_utf8_lossy(&called.body);
    assert!(called.status < 500, "{}: {shown}", called.status);
    if called.body.is_empty() {
        return Value::Null;
    }
    assert_eq!(
        called.headers["content-type"], "application/json",
        "{shown}"
    );
    serde_json::from_slice(&called.body)
        .unwrap_or_else(|error| panic!("not valid JSON: {error}: {shown}"))
}

fn split_once<'a>(bytes: &'a [u8], by: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let place = bytes.windows(by.len()).position(|window| window == by)?;
    Some((bytes.get(..place)?, bytes.get(place + by.len()..)?))
}

/// As it would be typed.
impl fmt::Debug for HttpRequest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} {}", self.method, self.target)?;
        writeln!(f, "{}\n", String::from_utf8_lossy(self.headers))?;
        f.write_str(&String::from_utf8_lossy(self.body))
    }
}
