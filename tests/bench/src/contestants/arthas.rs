//! The real Arthas, attached to a Java program that does nothing.

use super::Server;
use crate::load::{Connection, api};
use crate::process::Process;
use crate::{Options, Outcome};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Where its archive was unpacked.
#[derive(Debug)]
pub struct Arthas {
    pub version: String,
    home: PathBuf,
}

impl Arthas {
    /// Looks whether it is there to be run.
    ///
    /// # Errors
    ///
    /// What is missing.
    pub fn find(options: &Options) -> Outcome<Self> {
        let home = options.arthas.clone().ok_or("no --arthas DIR was named")?;
        let boot = home.join("arthas-boot.jar");
        if !boot.exists() {
            return Err(format!("there is no {}", boot.display()).into());
        }
        let version = crate::machine::said(Command::new("java").arg("-version"));
        if version.is_empty() {
            return Err("there is no java".into());
        }
        let version = format!("{} on {version}", versioned(&home));
        Ok(Self { version, home })
    }

    /// Starts the program, and Arthas in it.
    ///
    /// # Errors
    ///
    /// When it does not answer in half a minute.
    pub fn start(&self, scratch: &Path) -> Outcome<Server> {
        let program = scratch.join("Idle.java");
        std::fs::write(&program, IDLE)?;
        let process = Process::start(Command::new("java").arg("-Xmx1g").arg(&program))?;
        // A port that was free a moment ago: Arthas does not say which one it took.
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let until = Instant::now() + Duration::from_secs(30);
        loop {
            // The program may not have begun to take agents yet.
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

/// The directory's name says the version, as the archive does.
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
