//! NATS JetStream as a log: every record is published to a stream on disk and acknowledged.
//!
//! Speaks the few protocol messages itself, because a client library would be measured too.

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
    // Stopped when the store is dropped.
    _server: Process,
}

impl Nats {
    /// Starts a server. Not every version can sync each record.
    ///
    /// # Errors
    ///
    /// If the program is missing or refuses the configuration.
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
            // Paths of this machine mean nothing in a report.
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

    /// Reads until `count` acknowledgements have arrived.
    fn await_answers(&mut self, count: usize) -> Outcome<()> {
        let mut text = Vec::new();
        // Counts message heads: the answer to the stream's creation has another body than the
        // others.
        let mut found = 0;
        while found < count {
            let read = self.stream.read(&mut self.read)?;
            if read == 0 {
                return Err("NATS closed the connection".into());
            }
            text.extend_from_slice(&self.read[..read]);
            if memmem::find(&text, b"\"error\"").is_some() || memmem::find(&text, b"-ERR").is_some()
            {
                return Err(String::from_utf8_lossy(&text).into_owned().into());
            }
            found = memmem::find_iter(&text, b"MSG a 1 ").count();
        }
        // The last message may be incomplete; its rest is read by the next call.
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

/// The version that the program reports, if it is installed.
pub fn version() -> Option<String> {
    let said = crate::machine::said(Command::new(PROGRAM).arg("--version"));
    (!said.is_empty()).then_some(said)
}

const PROGRAM: &str = "nats-server";
