//! What servers have in common that only send the bytes: what they are told, and how they listen.
//! The one that is a program of its own has this file too.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};

/// What is sent to whoever asks, and when.
#[derive(Debug)]
pub struct Told {
    pub answer: Vec<u8>,
    pub wait: Duration,
}

impl Told {
    /// Takes it from the arguments: a file, and after how many milliseconds.
    ///
    /// # Errors
    ///
    /// When there are others, or no such file.
    pub fn read(arguments: &[String]) -> io::Result<Self> {
        let [answer, wait] = arguments else {
            return Err(io::Error::other("two arguments: a file, and milliseconds"));
        };
        let answer = std::fs::read(answer)?;
        let wait = wait.parse().map_err(io::Error::other)?;
        let wait = Duration::from_millis(wait);
        Ok(Self { answer, wait })
    }
}

/// Listens with as much room for those who knock as Rejoin has. With the 128 that libraries take, a
/// thousand who come at once knock again a second later, and it is that second that is measured.
///
/// # Errors
///
/// When the machine has no port left.
pub fn listen() -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())?;
    socket.listen(WAITING)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

const WAITING: i32 = 1024;
