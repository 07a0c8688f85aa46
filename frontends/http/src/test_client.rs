//! A small blocking HTTP/1.1 client for tests of whole programs.
//!
//! It sends exactly what a test gives it, valid or not, and returns responses as they came. Every
//! wait is bounded, so that a server that hangs fails the test.
//!
//! ```
//! use rejoin_http::{Router, test_client::Client, test_server::TestServer};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let server = TestServer::start(Router::default());
//! let mut client = Client::connect(server.address())?;
//! let received = client.get("/")?;
//! assert_eq!((received.status, received.text()), (404, "Not found"));
//! assert_eq!(received.header("content-length"), Some("9"));
//! # Ok(())
//! # }
//! ```

use crate::test_tls::{Authority, Session};
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

/// One kept connection to a server.
#[derive(Debug)]
pub struct Client {
    stream: TcpStream,
    /// The TLS session, if the connection is encrypted.
    session: Option<Box<Session>>,
    address: SocketAddr,
    /// Read, but not yet returned.
    ahead: Vec<u8>,
}

impl Client {
    /// Connects. No later read or write waits longer than ten seconds.
    ///
    /// # Errors
    ///
    /// When no server listens there.
    pub fn connect(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self {
            stream,
            session: None,
            address,
            ahead: Vec::new(),
        })
    }

    /// Connects with TLS to a server whose certificate was issued by the authority.
    ///
    /// # Errors
    ///
    /// When no server listens there, or the server isn't trusted.
    pub fn connect_encrypted(address: SocketAddr, authority: &Authority) -> io::Result<Self> {
        let mut client = Self::connect(address)?;
        let session = Session::begin(&mut client.stream, authority)?;
        client.session = Some(Box::new(session));
        Ok(client)
    }

    /// The TLS session; none if the connection is plain.
    #[must_use]
    pub fn session(&self) -> Option<&Session> {
        self.session.as_deref()
    }

    /// How long a read or a write may wait from now on; more than zero.
    ///
    /// # Errors
    ///
    /// When the duration is zero.
    pub fn set_patience(&self, patience: Duration) -> io::Result<()> {
        self.stream.set_read_timeout(Some(patience))?;
        self.stream.set_write_timeout(Some(patience))
    }

    /// The client's own address, as the server sees it.
    ///
    /// # Errors
    ///
    /// When the socket is gone.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.stream.local_addr()
    }

    /// Sends a GET request.
    ///
    /// # Errors
    ///
    /// As [`Client::request`].
    pub fn get(&mut self, path: &str) -> io::Result<Received> {
        self.request("GET", path, &[], b"")
    }

    /// Posts JSON to a path.
    ///
    /// # Errors
    ///
    /// As [`Client::request`].
    pub fn post(&mut self, path: &str, json: &str) -> io::Result<Received> {
        let headers = [("content-type", "application/json")];
        self.request("POST", path, &headers, json.as_bytes())
    }

    /// Sends a request and waits for its response, skipping any `100 Continue`. `Host` and
    /// `Content-Length` are added unless they are among the headers.
    ///
    /// # Errors
    ///
    /// When the connection breaks or the answer doesn't come in time or is malformed.
    pub fn request(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> io::Result<Received> {
        self.send_request(method, path, headers, body)?;
        loop {
            let received = self.receive_for(method)?;
            if received.status >= 200 {
                return Ok(received);
            }
        }
    }

    /// Sends a request as [`Client::request`] does, and doesn't wait.
    ///
    /// # Errors
    ///
    /// When the connection breaks, or the server takes nothing for too long.
    pub fn send_request(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> io::Result<()> {
        let has = |name: &str| {
            headers
                .iter()
                .any(|(other, _)| other.eq_ignore_ascii_case(name))
        };
        let mut request = format!("{method} {path} HTTP/1.1\r\n").into_bytes();
        if !has("host") {
            write!(request, "host: {}\r\n", self.address)?;
        }
        for (name, value) in headers {
            write!(request, "{name}: {value}\r\n")?;
        }
        let bodiless = body.is_empty() && matches!(method, "GET" | "HEAD" | "OPTIONS" | "DELETE");
        if !bodiless && !has("content-length") && !has("transfer-encoding") {
            write!(request, "content-length: {}\r\n", body.len())?;
        }
        request.extend_from_slice(b"\r\n");
        request.extend_from_slice(body);
        self.send_raw(&request)
    }

    /// Sends any bytes.
    ///
    /// # Errors
    ///
    /// When the connection breaks, or the server takes nothing for too long.
    pub fn send_raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.session {
            Some(session) => session.over(&mut self.stream).write_all(bytes),
            None => self.stream.write_all(bytes),
        }
    }

    /// Sends bytes past any encryption.
    ///
    /// # Errors
    ///
    /// As [`Client::send_raw`].
    pub fn send_unencrypted(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Says that nothing more will be sent.
    ///
    /// # Errors
    ///
    /// When the connection is broken.
    pub fn finish(&self) -> io::Result<()> {
        self.stream.shutdown(Shutdown::Write)
    }

    /// Waits for the next answer, which may be a `100 Continue`.
    ///
    /// # Errors
    ///
    /// When the connection breaks or the answer doesn't come in time or is malformed.
    pub fn receive(&mut self) -> io::Result<Received> {
        self.receive_for("GET")
    }

    /// As [`Client::receive`], for an answer to that method: one to HEAD has no body, whatever its
    /// length.
    ///
    /// # Errors
    ///
    /// As [`Client::receive`].
    pub fn receive_for(&mut self, method: &str) -> io::Result<Received> {
        let mut received = self.receive_head()?;
        if method == "HEAD" || received.status < 200 || matches!(received.status, 204 | 304) {
            return Ok(received);
        }
        if received.header("transfer-encoding").is_some() {
            while let Some(part) = self.receive_chunk()? {
                received.body.extend_from_slice(&part);
            }
        } else if let Some(length) = received.header("content-length") {
            let length = length.parse().map_err(|_| malformed("content-length"))?;
            received.body = self.read_exactly(length)?;
        } else {
            received.body = self.receive_rest()?;
        }
        Ok(received)
    }

    /// Waits for an answer's status and headers only. Its body is still to be read.
    ///
    /// # Errors
    ///
    /// As [`Client::receive`].
    pub fn receive_head(&mut self) -> io::Result<Received> {
        let status_line = self.read_line()?;
        let mut words = status_line.splitn(3, ' ');
        let version = words.next().unwrap_or_default().to_owned();
        if !version.starts_with("HTTP/1.") {
            return Err(malformed(&status_line));
        }
        let status = words.next().unwrap_or_default();
        let status = status.parse().map_err(|_| malformed(&status_line))?;
        let mut headers = Vec::new();
        loop {
            let line = self.read_line()?;
            if line.is_empty() {
                break;
            }
            let (name, value) = line.split_once(':').ok_or_else(|| malformed(&line))?;
            headers.push((name.to_owned(), value.trim().to_owned()));
        }
        Ok(Received {
            version,
            status,
            headers,
            body: Vec::new(),
        })
    }

    /// Waits for the next part of a body that comes in chunks; none at its end.
    ///
    /// # Errors
    ///
    /// As [`Client::receive`].
    pub fn receive_chunk(&mut self) -> io::Result<Option<Vec<u8>>> {
        let size = self.read_line()?;
        let size = usize::from_str_radix(&size, 16).map_err(|_| malformed(&size))?;
        let part = self.read_exactly(size)?;
        let end = self.read_line()?;
        if !end.is_empty() {
            return Err(malformed(&end));
        }
        Ok((size > 0).then_some(part))
    }

    /// Waits until the server closes the connection, and returns all that came before. A reset is
    /// taken as a close.
    ///
    /// # Errors
    ///
    /// When the server doesn't close it in time.
    pub fn receive_rest(&mut self) -> io::Result<Vec<u8>> {
        loop {
            match self.read_more() {
                Ok(0) => break,
                Ok(_) => (),
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => break,
                Err(error) => return Err(error),
            }
        }
        Ok(std::mem::take(&mut self.ahead))
    }

    fn read_line(&mut self) -> io::Result<String> {
        loop {
            if let Some(end) = self.ahead.iter().position(|byte| *byte == b'\n') {
                let mut line: Vec<u8> = self.ahead.drain(..=end).collect();
                line.pop();
                if line.pop() != Some(b'\r') {
                    return Err(malformed("a line that doesn't end in CR LF"));
                }
                return String::from_utf8(line).map_err(|_| malformed("a line that isn't UTF-8"));
            }
            self.read_some()?;
        }
    }

    fn read_exactly(&mut self, bytes: usize) -> io::Result<Vec<u8>> {
        while self.ahead.len() < bytes {
            self.read_some()?;
        }
        Ok(self.ahead.drain(..bytes).collect())
    }

    fn read_some(&mut self) -> io::Result<()> {
        match self.read_more()? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }

    fn read_more(&mut self) -> io::Result<usize> {
        let mut part = [0; 16 * 1024];
        let bytes = loop {
            let read = match &mut self.session {
                Some(session) => session.over(&mut self.stream).read(&mut part),
                None => self.stream.read(&mut part),
            };
            match read {
                // A signal to the process ends a read that has a timeout, whatever its handler says.
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => break read?,
            }
        };
        self.ahead
            .extend_from_slice(part.get(..bytes).unwrap_or_default());
        Ok(bytes)
    }
}

/// An answer as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    /// `HTTP/1.1` or `HTTP/1.0`.
    pub version: String,
    /// The status code.
    pub status: u16,
    /// Names and values in the order in which they came, names as they were written.
    pub headers: Vec<(String, String)>,
    /// The body, without the framing of chunks.
    pub body: Vec<u8>,
}

impl Received {
    /// The first header of that name, in whatever case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        let (_, value) = headers.find(|(other, _)| other.eq_ignore_ascii_case(name))?;
        Some(value)
    }

    /// The body as text; a replacement if it isn't UTF-8, which no test expects.
    #[must_use]
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap_or("(not UTF-8)")
    }

    /// The body as JSON.
    ///
    /// # Panics
    ///
    /// If it is none: with the answer.
    #[must_use]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|_| panic!("no JSON: {} {}", self.status, self.text()))
    }

    /// The cookie that the answer has the client keep, as the client sends it.
    ///
    /// # Panics
    ///
    /// If there is none: with the answer.
    #[must_use]
    pub fn cookie(&self) -> String {
        let cookie = self
            .header("set-cookie")
            .and_then(|set| set.split(';').next());
        let cookie = cookie.unwrap_or_else(|| panic!("no cookie: {} {}", self.status, self.text()));
        cookie.to_owned()
    }
}

fn malformed(what: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("malformed answer: {what}"),
    )
}

const PATIENCE: Duration = Duration::from_secs(10);
