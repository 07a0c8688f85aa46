//! Encodes what `curl -g` and others leave bare in the query of a request, and what hyper would refuse.
//!
//! Invariant: bytes are changed only in the query of a connection's first request line, where it is
//! certain what they are. Later bytes may belong to a body, whose length must not change.

/// How far the first request line of a connection has been read. It needs no room for the line itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum FirstLine {
    #[default]
    Method,
    /// The target up to its query.
    Path,
    Query,
    /// The query has ended, or this is no request line. Everything passes as it is.
    Passed,
}

impl FirstLine {
    /// How many bytes may be read next, so that what [`Self::pass`] makes of them fits into `free` bytes.
    pub(crate) fn room(&mut self, free: usize) -> usize {
        let room = free / LONGEST;
        if room == 0 {
            *self = Self::Passed;
        }
        match self {
            Self::Passed => free,
            _ => room,
        }
    }

    /// Passes the next bytes on, part by part.
    pub(crate) fn pass(&mut self, bytes: &[u8], mut put: impl FnMut(&[u8])) {
        let mut done = 0;
        for (at, &byte) in bytes.iter().enumerate() {
            *self = self.after(byte);
            match self {
                Self::Passed => break,
                Self::Query => {
                    if let Some(encoded) = encoded(byte) {
                        put(bytes.get(done..at).unwrap_or_default());
                        put(encoded);
                        done = at + 1;
                    }
                }
                Self::Method | Self::Path => (),
            }
        }
        put(bytes.get(done..).unwrap_or_default());
    }

    fn after(self, byte: u8) -> Self {
        match (self, byte) {
            (Self::Method, b' ') => Self::Path,
            (Self::Path, b'?') => Self::Query,
            // A fragment is not sent to anyone, and hyper drops it.
            (Self::Path | Self::Query, b'#') => Self::Passed,
            // The line ends, or is none.
            (_, byte) if byte.is_ascii_control() || byte == b' ' => Self::Passed,
            (state, _) => state,
        }
    }
}

/// The characters that `http::Uri` refuses in a query and that mean nothing there but themselves.
fn encoded(byte: u8) -> Option<&'static [u8; LONGEST]> {
    match byte {
        b'"' => Some(b"%22"),
        b'<' => Some(b"%3C"),
        b'>' => Some(b"%3E"),
        _ => None,
    }
}

/// Bytes of an encoded character.
const LONGEST: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;

    fn passed<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
        let mut line = FirstLine::default();
        let mut passed = Vec::new();
        for part in parts {
            line.pass(part, |bytes| passed.extend_from_slice(bytes));
        }
        passed
    }

    #[test]
    fn quotes_in_the_first_query_are_encoded_however_the_line_is_split() {
        let sent = b"GET /\"?a=\"b\"&c=<?> HTTP/1.1\r\nx: ?\"<>\r\n\r\nGET /?\"<> HTTP/1.1\r\n\r\n";
        let expected =
            b"GET /\"?a=%22b%22&c=%3C?%3E HTTP/1.1\r\nx: ?\"<>\r\n\r\nGET /?\"<> HTTP/1.1\r\n\r\n";
        for size in 1..=sent.len() {
            let passed = passed(sent.chunks(size));
            assert_eq!(
                passed.escape_ascii().to_string(),
                expected.escape_ascii().to_string()
            );
        }
    }

    #[test]
    fn what_is_no_first_query_stays_as_it_is() {
        for sent in [
            &b"\r\nGET /?\" HTTP/1.1\r\n\r\n"[..],
            b"GET / HTTP/1.1\r\nx: /?\"\r\n\r\n",
            b"GET /\nx ?\"",
            b"GET /#?\" HTTP/1.1\r\n\r\n",
            b"GET /?a#\" HTTP/1.1\r\n\r\n",
            b"GET  /?\" HTTP/1.1\r\n\r\n",
            b"GET /a b?\" HTTP/1.1\r\n\r\n",
            b"POST / HTTP/1.1\r\ncontent-length: 3\r\n\r\n?\"<",
            b"\x16\x03\x01 ?\"",
            b"?\"<>",
            b"",
        ] {
            let passed = passed([sent]);
            assert_eq!(passed, sent, "{}", sent.escape_ascii());
        }
    }

    #[test]
    fn no_printable_character_of_a_query_is_refused() {
        for byte in b'!'..=b'~' {
            let target = [b"/?a=", &[byte][..], b"z"].concat();
            let line = [b"GET ", &target[..], b" "].concat();
            let passed = passed([&line[..]]);
            let passed = passed.strip_prefix(b"GET ").unwrap();
            let uri = http::Uri::try_from(passed.strip_suffix(b" ").unwrap());
            let uri = uri.unwrap_or_else(|error| panic!("{}: {error}", char::from(byte)));
            // Encoded only where it is refused otherwise.
            let is_same = uri.path_and_query().unwrap().as_str().as_bytes() == target;
            let is_fragment = byte == b'#';
            let is_valid = http::Uri::try_from(&target[..]).is_ok() && !is_fragment;
            assert_eq!(is_same, is_valid, "{}", char::from(byte));
        }
    }

    #[test]
    fn what_is_read_fits_when_it_is_encoded() {
        let mut line = FirstLine::default();
        line.pass(b"GET /?", |_| ());
        for free in [3, 4, 5, 8192] {
            let quotes = vec![b'"'; line.room(free)];
            let mut passed = 0;
            line.pass(&quotes, |bytes| passed += bytes.len());
            assert!(passed > 0 && passed <= free, "{passed} of {free}");
        }
        assert_eq!(line.room(2), 2);
        assert_eq!(line, FirstLine::Passed);
    }
}
