//! A JVM with a real Arthas attached to it.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A Java program and its Arthas, both killed when this is dropped.
pub(crate) struct RealArthas {
    program: Child,
    address: SocketAddr,
    _turn: MutexGuard<'static, ()>,
}

/// One JVM at a time: several that start at once take longer than Arthas may take to answer.
static TURN: Mutex<()> = Mutex::new(());

impl RealArthas {
    /// Starts Arthas' own example, which calls a method once a second.
    pub(crate) fn start() -> Self {
        let home = home();
        Self::attached(&["-jar", "math-game.jar"], &home, free_address())
    }

    /// Starts a program that calls `demo.Busy.work` at a rate.
    pub(crate) fn start_busy(calls_a_second: u32) -> Self {
        let source = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../../tests/arthas/Busy.java")
            .canonicalize()
            .unwrap();
        let arguments = [source.to_str().unwrap(), &calls_a_second.to_string()];
        Self::attached(&arguments, &home(), free_address())
    }

    fn attached(arguments: &[&str], home: &Path, address: SocketAddr) -> Self {
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let program = java(home).args(arguments).spawn().expect("java starts");
        let arthas = Self {
            program,
            address,
            _turn: turn,
        };
        let port = address.port().to_string();
        let attached = java(home)
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
                &port,
            ])
            .arg(arthas.program.id().to_string())
            .status()
            .expect("java starts");
        assert!(attached.success(), "Arthas is attached");
        arthas
    }

    /// The address of its HTTP API.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends the JVM at once.
    pub(crate) fn kill(&mut self) {
        let _ = self.program.kill();
        let _ = self.program.wait();
    }
}

impl Drop for RealArthas {
    fn drop(&mut self) {
        self.kill();
    }
}

fn java(home: &Path) -> Command {
    let mut java = Command::new("java");
    java.current_dir(home)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    java
}

/// Where Arthas was unpacked: `REJOIN_ARTHAS`, or where `tests/arthas/fetch` puts it.
fn home() -> PathBuf {
    let fetched = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/arthas");
    let home = std::env::var_os("REJOIN_ARTHAS").map_or(fetched, PathBuf::from);
    let has_it = home.join("arthas-boot.jar").exists();
    assert!(
        has_it,
        "no Arthas in {}: run tests/arthas/fetch",
        home.display()
    );
    home
}

/// An address where nothing listens. Arthas can't choose one.
fn free_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap()
}
