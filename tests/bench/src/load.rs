//! The load generator: persistent connections on two threads of this process, which send a request
//! on each connection and then read all answers.
//!
//! It shares the machine with the server. Requests per second therefore favor the slower server, so
//! ratios are taken of the server's own processor time.

use crate::Outcome;
use crate::process::Process;
use memchr::memmem;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

/// The result of a load.
#[derive(Debug, Default)]
pub struct Loaded {
    pub answered: usize,
    pub took: Duration,
    /// Processor time of the contestant.
    pub time: Duration,
    /// Microseconds from the first byte of a request sent to the last byte of its answer received.
    pub waits: Vec<f64>,
    pub bodies: Vec<Vec<u8>>,
}

impl Loaded {
    pub fn per_second(&self) -> f64 {
        self.answered as f64 / self.took.as_secs_f64()
    }

    pub fn microseconds_each(&self) -> f64 {
        self.time.as_secs_f64() * 1e6 / self.answered.max(1) as f64
    }
}

/// Sends `requests`, distributed over the connections in turn, until all are answered or `most` has
/// passed.
///
/// # Errors
///
/// If a connection breaks or is not answered for a long time.
pub fn load(
    process: &Process,
    address: SocketAddr,
    connections: usize,
    requests: &[Vec<u8>],
    most: Duration,
) -> Outcome<Loaded> {
    let threads = connections.min(THREADS);
    let mut lanes = Vec::new();
    for _ in 0..connections {
        lanes.push(Connection::open(address)?);
    }
    let mut shares: Vec<(Vec<Connection>, Vec<&[u8]>)> =
        (0..threads).map(|_| Default::default()).collect();
    for (place, lane) in lanes.into_iter().enumerate() {
        shares[place % threads].0.push(lane);
    }
    for (place, request) in requests.iter().enumerate() {
        shares[place % threads].1.push(request);
    }
    let (began, time) = (Instant::now(), process.time()?);
    let parts: Vec<io::Result<Loaded>> = thread::scope(|scope| {
        let running: Vec<_> = shares
            .into_iter()
            .map(|(lanes, requests)| scope.spawn(move || drive(lanes, &requests, began + most)))
            .collect();
        let joined = running.into_iter().map(|it| it.join());
        joined
            .map(|it| it.unwrap_or_else(|_| Err(io::Error::other("a loader panicked"))))
            .collect()
    });
    let mut whole = Loaded {
        took: began.elapsed(),
        time: process.time()?.saturating_sub(time),
        ..Loaded::default()
    };
    for part in parts {
        let part = part?;
        whole.answered += part.answered;
        whole.waits.extend(part.waits);
        whole.bodies.extend(part.bodies);
    }
    Ok(whole)
}

fn drive(mut lanes: Vec<Connection>, requests: &[&[u8]], until: Instant) -> io::Result<Loaded> {
    let mut done = Loaded::default();
    for asked in requests.chunks(lanes.len()) {
        if Instant::now() >= until {
            break;
        }
        let mut began = Vec::with_capacity(asked.len());
        for (lane, request) in lanes.iter_mut().zip(asked) {
            began.push(Instant::now());
            lane.send(request)?;
        }
        for (lane, began) in lanes.iter_mut().zip(began) {
            done.bodies.push(lane.receive()?.to_vec());
            done.waits.push(began.elapsed().as_secs_f64() * 1e6);
            done.answered += 1;
        }
    }
    Ok(done)
}

/// A persistent connection.
#[derive(Debug)]
pub struct Connection {
    address: SocketAddr,
    stream: TcpStream,
    buffer: Vec<u8>,
    filled: usize,
    /// The server closes the connection after its last answer.
    is_over: bool,
}

impl Connection {
    /// # Errors
    ///
    /// If the connection is refused.
    pub fn open(address: SocketAddr) -> io::Result<Self> {
        Ok(Self {
            address,
            stream: connect(address)?,
            buffer: vec![0; 4 * 1024],
            filled: 0,
            is_over: false,
        })
    }

    /// Sends a request, on a new connection if the server has closed this one.
    ///
    /// # Errors
    ///
    /// If the connection breaks.
    pub fn send(&mut self, request: &[u8]) -> io::Result<()> {
        if std::mem::take(&mut self.is_over) {
            self.stream = connect(self.address)?;
        }
        self.stream.write_all(request)
    }

    /// The body of the next answer.
    ///
    /// # Errors
    ///
    /// If the connection breaks or the answer has no `content-length`.
    pub fn receive(&mut self) -> io::Result<&[u8]> {
        self.filled = 0;
        let head = loop {
            let read = self.buffer.get(..self.filled).unwrap_or_default();
            if let Some(end) = memmem::find(read, b"\r\n\r\n") {
                break end + 4;
            }
            self.more()?;
        };
        let value = |name| header(&self.buffer[..head], name);
        let length = value("content-length")
            .and_then(|it| it.parse::<usize>().ok())
            .ok_or_else(|| io::Error::other("an answer without content-length"))?;
        self.is_over = value("connection") == Some("close");
        while self.filled < head + length {
            if self.buffer.len() < head + length {
                self.buffer.resize(head + length, 0);
            }
            self.more()?;
        }
        Ok(&self.buffer[head..head + length])
    }

    /// # Errors
    ///
    /// Same as `send` and `receive`.
    pub fn ask(&mut self, request: &[u8]) -> io::Result<&[u8]> {
        self.send(request)?;
        self.receive()
    }

    /// Sends a request whose answer does not end. The caller reads it from the returned stream.
    ///
    /// # Errors
    ///
    /// If the connection breaks.
    pub fn begin(mut self, request: &[u8]) -> io::Result<TcpStream> {
        self.send(request)?;
        Ok(self.stream)
    }

    fn more(&mut self) -> io::Result<()> {
        if self.filled == self.buffer.len() {
            self.buffer.resize(self.filled * 2, 0);
        }
        let read = self.stream.read(&mut self.buffer[self.filled..])?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.filled += read;
        Ok(())
    }
}

fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}

fn header<'head>(head: &'head [u8], name: &str) -> Option<&'head str> {
    let head = std::str::from_utf8(head).ok()?;
    head.split("\r\n").find_map(|line| {
        let (known, value) = line.split_once(':')?;
        known.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

/// A request to the Arthas API.
pub fn api(body: &str) -> Vec<u8> {
    format!(
        "POST /api HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

pub fn get(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n").into_bytes()
}

/// The first JSON string member with this name in an answer, at any depth.
pub fn member<'body>(body: &'body [u8], name: &str) -> Outcome<&'body str> {
    let text = std::str::from_utf8(body)?;
    let missing = || format!("no {name} in {text}");
    let (_, rest) = text
        .split_once(&format!("\"{name}\":\""))
        .ok_or_else(missing)?;
    Ok(rest.split_once('"').ok_or_else(missing)?.0)
}

const THREADS: usize = 2;
const PATIENCE: Duration = Duration::from_secs(30);
