//! NATS JetStream as a log: every record published to a stream on disk, every one acknowledged.
//!
//! The few lines of its protocol that this takes are written here; a client library would measure
//! itself as well.

use super::Store;
use crate::Outcome;
use crate::process::Process;
use memchr::memmem;
use rejoin_core::Record;
use rejoin_log::schema;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

#[derive(Debug)]
pub struct Nats {
    stream: TcpStream,
    bytes: Vec<u8>,
    read: Vec<u8>,
    // Ends with the store.
    _server: Process,
}

impl Nats {
    /// Starts a server of its own. Not every version can sync each record.
    ///
    /// # Errors
    ///
    /// When there is none, or it does not take the configuration.
    pub fn start(directory: &Path, sync_always: bool) -> Outcome<Self> {
        std::fs::create_dir_all(directory)?;
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let sync = if sync_always {
            ", sync_interval: always"
        } else {
            ""
        };
        let configuration = directory.join("nats.conf");
        let text = format!(
            "host: 127.0.0.1\nport: {}\njetstream {{ store_dir: {directory:?}{sync} }}\n",
            address.port(),
        );
        std::fs::write(&configuration, text)?;
        let known = Command::new(PROGRAM)
            .arg("-t")
            .arg("-c")
            .arg(&configuration)
            .output()?;
        if !known.status.success() {
            let why = String::from_utf8_lossy(&known.stderr);
            // Reports are read on other machines than this one.
            let why = why.replace(&format!("{}/", directory.display()), "");
            return Err(why.lines().next().unwrap_or("refused").to_owned().into());
        }
        let server = Process::start(Command::new(PROGRAM).arg("-c").arg(&configuration))?;
        let until = Instant::now() + Duration::from_secs(10);
        let stream = loop {
            match TcpStream::connect(address) {
                Ok(stream) => break stream,
                Err(error) if Instant::now() > until => return Err(error.into()),
                Err(_) => std::thread::sleep(Duration::from_millis(20)),
            }
        };
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        let mut nats = Self {
            stream,
            bytes: Vec::new(),
            read: vec![0; 64 * 1024],
            _server: server,
        };
        let create = r#"{"name":"records","subjects":["s.>"],"storage":"file"}"#;
        let hello = format!(
            "CONNECT {{\"verbose\":false,\"pedantic\":false}}\r\nSUB a 1\r\n\
             PUB $JS.API.STREAM.CREATE.records a {}\r\n{create}\r\n",
            create.len()
        );
        nats.stream.write_all(hello.as_bytes())?;
        nats.await_answers(1)?;
        Ok(nats)
    }

    /// What the server says, until so many acknowledgements are in it.
    fn await_answers(&mut self, count: usize) -> Outcome<()> {
        let mut text = Vec::new();
        // The acknowledgement of a stream's creation names it by another member.
        let mut found = 0;
        while found < count {
            let read = self.stream.read(&mut self.read)?;
            if read == 0 {
                return Err("NATS has closed the connection".into());
            }
            text.extend_from_slice(&self.read[..read]);
            if memmem::find(&text, b"\"error\"").is_some() || memmem::find(&text, b"-ERR").is_some()
            {
                return Err(String::from_utf8_lossy(&text).into_owned().into());
            }
            found = memmem::find_iter(&text, b"MSG a 1 ").count();
        }
        // The last one may not have come as a whole; it is what begins the next reading.
        Ok(())
    }
}

impl Store for Nats {
    fn append(&mut self, records: &[Arc<Record>]) -> Outcome<()> {
        self.bytes.clear();
        let mut encoded = Vec::new();
        for record in records {
            encoded.clear();
            schema::encode(record, &mut encoded);
            let head = format!("PUB s.{} a {}\r\n", record.session, encoded.len());
            self.bytes.extend_from_slice(head.as_bytes());
            self.bytes.extend_from_slice(&encoded);
            self.bytes.extend_from_slice(b"\r\n");
        }
        self.stream.write_all(&self.bytes)?;
        self.await_answers(records.len())
    }
}

/// What it says of itself, where there is one.
pub fn version() -> Option<String> {
    let said = crate::machine::said(Command::new(PROGRAM).arg("--version"));
    (!said.is_empty()).then_some(said)
}

const PROGRAM: &str = "nats-server";
