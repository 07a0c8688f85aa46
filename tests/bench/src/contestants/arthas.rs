//! The real Arthas, attached to an idle Java program.

use super::Server;
use crate::load::{Connection, api};
use crate::process::Process;
use crate::{Options, Outcome};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// The directory of the unpacked archive.
#[derive(Debug)]
pub struct Arthas {
    pub version: String,
    home: PathBuf,
}

impl Arthas {
    /// Checks that Arthas and Java are installed.
    ///
    /// # Errors
    ///
    /// Names what is missing.
    pub fn find(options: &Options) -> Outcome<Self> {
        let home = options.arthas.clone().ok_or("no --arthas DIR was given")?;
        let boot = home.join("arthas-boot.jar");
        if !boot.exists() {
            return Err(format!("{} does not exist", boot.display()).into());
        }
        let version = crate::machine::said(Command::new("java").arg("-version"));
        if version.is_empty() {
            return Err("java was not found".into());
        }
        let version = format!("{} on {version}", versioned(&home));
        Ok(Self { version, home })
    }

    /// Starts the program and attaches Arthas to it.
    ///
    /// # Errors
    ///
    /// If it does not answer within 30 seconds.
    pub fn start(&self, scratch: &Path) -> Outcome<Server> {
        let program = scratch.join("Idle.java");
        std::fs::write(&program, IDLE)?;
        let process = Process::start(Command::new("java").arg("-Xmx1g").arg(&program))?;
        // Picks a free port, because Arthas does not print the port that it uses.
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let until = Instant::now() + Duration::from_secs(30);
        loop {
            // The program may not accept agents yet.
            Command::new("java")
                .current_dir(&self.home)
                .args([
                    "-jar",
                    "arthas-boot.jar",
                    "--attach-only",
                    "--arthas-home",
                    ".",
                ])
                .args([
                    "--target-ip",
                    "127.0.0.1",
                    "--telnet-port",
                    "0",
                    "--http-port",
                ])
                .args([address.port().to_string(), process.id().to_string()])
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status()?;
            let version = api(r#"{"action":"exec","command":"version"}"#);
            let answered = Connection::open(address)
                .is_ok_and(|mut connection| connection.ask(&version).is_ok());
            if answered {
                return Ok(Server {
                    name: "Arthas",
                    process,
                    address,
                });
            }
            if Instant::now() > until {
                return Err("Arthas does not answer".into());
            }
            std::thread::sleep(Duration::from_millis(500));
        }
    }
}

/// The version, from the name of the directory.
fn versioned(home: &Path) -> String {
    let name = home.file_name().unwrap_or_default().to_string_lossy();
    name.trim_start_matches("arthas-").to_owned()
}

const IDLE: &str = "public class Idle {
    public static void main(String[] arguments) throws Exception {
        Thread.currentThread().join();
    }
}
";
