//! The servers that are measured: Rejoin, its alternatives, and servers that only send fixed bytes.

mod arthas;
mod bare;
mod hyper;
mod synthetic;

pub use arthas::Arthas;
pub use synthetic::Shape;

use crate::process::Process;
use crate::{Options, Outcome};
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// A running server.
#[derive(Debug)]
pub struct Server {
    pub name: &'static str,
    pub process: Process,
    pub address: SocketAddr,
}

impl Server {
    /// Starts the real server as a user would, with additional flags.
    ///
    /// # Errors
    ///
    /// If it does not start.
    pub fn rejoin(options: &Options, data: &Path, flags: &[&str]) -> Outcome<Self> {
        let mut command = Command::new(&options.rejoin);
        command.args(["serve", "--listen", "127.0.0.1:0", "--data"]);
        Self::of(crate::figures::REJOIN, command.arg(data).args(flags))
    }

    /// Starts the same frontend, engine and log with a runner that emits synthetic results.
    ///
    /// # Errors
    ///
    /// If it does not start.
    pub fn synthetic(data: &Path, shape: &Shape) -> Outcome<Self> {
        let flags = shape.flags();
        Self::own("synthetic", crate::figures::REJOIN, data, &flags)
    }

    /// Starts hyper on smol, which sends the content of the file, `wait` after each request.
    ///
    /// # Errors
    ///
    /// If it does not start.
    pub fn hyper(answer: &Path, wait: Duration) -> Outcome<Self> {
        let wait = wait.as_millis().to_string();
        Self::own("hyper", "hyper on smol", answer, &[wait])
    }

    /// Starts axum on tokio, which does the same.
    ///
    /// # Errors
    ///
    /// If it does not start.
    pub fn axum(answer: &Path, wait: Duration) -> Outcome<Self> {
        let program = std::env::current_exe()?.with_file_name("examples/axum");
        let wait = wait.as_millis().to_string();
        Self::of("axum on tokio", Command::new(program).arg(answer).arg(wait))
    }

    /// Starts this program as another process.
    fn own(role: &str, name: &'static str, path: &Path, flags: &[String]) -> Outcome<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        let role = format!("{SERVE}{role}");
        Self::of(name, command.arg(role).arg(path).args(flags))
    }

    fn of(name: &'static str, command: &mut Command) -> Outcome<Self> {
        let (process, address) = Process::serve(command)?;
        Ok(Self {
            name,
            process,
            address,
        })
    }
}

/// Runs a server in this process if the first argument says so.
///
/// # Errors
///
/// If it cannot serve.
pub fn serve(arguments: &[String]) -> Option<Outcome<()>> {
    let role = arguments.first()?.strip_prefix(SERVE)?;
    let told = arguments.get(1..).unwrap_or_default();
    Some(match role {
        "hyper" => hyper::serve(told),
        "synthetic" => synthetic::serve(told),
        _ => Err(format!("unknown contestant {role}").into()),
    })
}

const SERVE: &str = "serve-";
