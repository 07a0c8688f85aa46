//! Who is measured: Rejoin, what a user would pick instead, and servers that only send the bytes.

mod arthas;
mod axum;
mod hyper;
mod synthetic;

pub use arthas::Arthas;
pub use synthetic::Shape;

use crate::process::Process;
use crate::{Options, Outcome};
use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// A server that runs.
#[derive(Debug)]
pub struct Server {
    pub name: &'static str,
    pub process: Process,
    pub address: SocketAddr,
}

impl Server {
    /// The real server, as a user would start it, with flags added.
    ///
    /// # Errors
    ///
    /// When it does not start.
    pub fn rejoin(options: &Options, data: &Path, flags: &[&str]) -> Outcome<Self> {
        let mut command = Command::new(&options.rejoin);
        command.args(["serve", "--listen", "127.0.0.1:0", "--data"]);
        let (process, address) = Process::serve(command.arg(data).args(flags))?;
        Ok(Self {
            name: crate::figures::REJOIN,
            process,
            address,
        })
    }

    /// The same frontend, engine and log, with a runner that says what the harness needs.
    ///
    /// # Errors
    ///
    /// When it does not start.
    pub fn synthetic(data: &Path, shape: &Shape) -> Outcome<Self> {
        let flags = shape.flags();
        Self::own("synthetic", crate::figures::REJOIN, data, &flags)
    }

    /// hyper on smol, which sends what is in the file, `wait` after it was asked.
    ///
    /// # Errors
    ///
    /// When it does not start.
    pub fn hyper(answer: &Path, wait: Duration) -> Outcome<Self> {
        let wait = wait.as_millis().to_string();
        Self::own("hyper", "hyper on smol", answer, &[wait])
    }

    /// axum on tokio, likewise.
    ///
    /// # Errors
    ///
    /// When it does not start.
    pub fn axum(answer: &Path, wait: Duration) -> Outcome<Self> {
        let wait = wait.as_millis().to_string();
        Self::own("axum", "axum on tokio", answer, &[wait])
    }

    /// This program as another process.
    fn own(role: &str, name: &'static str, path: &Path, flags: &[String]) -> Outcome<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        let command = command.arg(format!("{SERVE}{role}")).arg(path).args(flags);
        let (process, address) = Process::serve(command)?;
        Ok(Self {
            name,
            process,
            address,
        })
    }
}

/// What this program does as another process, where its first argument says so.
///
/// # Errors
///
/// When it cannot serve.
pub fn serve(arguments: &[String]) -> Option<Outcome<()>> {
    let role = arguments.first()?.strip_prefix(SERVE)?;
    let path = Path::new(arguments.get(1).map_or("", String::as_str));
    let flags = arguments.get(2..).unwrap_or_default();
    Some(match role {
        "hyper" => hyper::serve(path, flags),
        "axum" => axum::serve(path, flags),
        "synthetic" => synthetic::serve(path, flags),
        _ => Err(format!("there is no contestant {role}").into()),
    })
}

/// Listens with as much room for those who knock as Rejoin has. With the 128 that libraries take, a
/// thousand who come at once knock again a second later, and it is that second that is measured.
fn listen() -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())?;
    socket.listen(WAITING)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

fn millis(flags: &[String]) -> Duration {
    let millis = flags.first().and_then(|it| it.parse().ok());
    Duration::from_millis(millis.unwrap_or(0))
}

const SERVE: &str = "serve-";

const WAITING: i32 = 1024;
