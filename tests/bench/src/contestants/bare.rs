//! Shared by the servers that only send fixed bytes: arguments and listening. Also included by the
//! axum server, which is a separate program.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};

/// The answer to every request, and its delay.
#[derive(Debug)]
pub struct Told {
    pub answer: Vec<u8>,
    pub wait: Duration,
}

impl Told {
    /// Reads the arguments: a file with the answer, and the delay in milliseconds.
    ///
    /// # Errors
    ///
    /// If the arguments are wrong or the file cannot be read.
    pub fn read(arguments: &[String]) -> io::Result<Self> {
        let [answer, wait] = arguments else {
            return Err(io::Error::other(
                "expected two arguments: a file and milliseconds",
            ));
        };
        let answer = std::fs::read(answer)?;
        let wait = wait.parse().map_err(io::Error::other)?;
        let wait = Duration::from_millis(wait);
        Ok(Self { answer, wait })
    }
}

/// Listens with the same backlog as Rejoin. With the 128 that libraries use, many of a thousand
/// simultaneous connections are retried after a second, and that second would be measured.
///
/// # Errors
///
/// If no port is free.
pub fn listen() -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())?;
    socket.listen(WAITING)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

const WAITING: i32 = 1024;
