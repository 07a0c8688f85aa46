//! A receiver of webhooks, and the settings with which a server sends it events.

use serde_json::Value;
use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread;

pub(crate) const SECRET: &str = "a secret of more than 24 bytes";

/// A request as the receiver got it.
#[derive(Clone, Debug)]
pub(crate) struct Delivery {
    pub(crate) path: String,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: String,
    /// What it answered.
    pub(crate) status: u16,
}

impl Delivery {
    pub(crate) fn id(&self) -> &str {
        &self.headers["webhook-id"]
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

/// Receives webhooks, and answers with a status that the test sets.
pub(crate) struct Receiver {
    pub(crate) port: u16,
    status: Arc<Mutex<u16>>,
    delivered: Arc<Mutex<Vec<Delivery>>>,
}

impl Receiver {
    pub(crate) fn start(status: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let receiver = Self {
            port: listener.local_addr().unwrap().port(),
            status: Arc::new(Mutex::new(status)),
            delivered: Arc::default(),
        };
        let (status, delivered) = (receiver.status.clone(), receiver.delivered.clone());
        // Ends with the test's process.
        thread::spawn(move || {
            for stream in listener.incoming() {
                let status = *status.lock().unwrap();
                // A server that is killed leaves a request in the middle.
                if let Some(request) = receive(stream.unwrap(), status) {
                    delivered.lock().unwrap().push(request);
                }
            }
        });
        receiver
    }

    pub(crate) fn answer(&self, status: u16) {
        *self.status.lock().unwrap() = status;
    }

    pub(crate) fn deliveries(&self) -> Vec<Delivery> {
        self.delivered.lock().unwrap().clone()
    }

    pub(crate) fn taken(&self) -> Vec<Delivery> {
        let delivered = self.deliveries().into_iter();
        delivered.filter(|it| it.status == 200).collect()
    }
}

fn receive(stream: TcpStream, status: u16) -> Option<Delivery> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let path = line.split(' ').nth(1)?.to_owned();
    let mut headers = BTreeMap::new();
    loop {
        line.clear();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(": ") else {
            break;
        };
        headers.insert(name.to_lowercase(), value.to_owned());
    }
    let mut body = vec![0; headers.get("content-length")?.parse().ok()?];
    reader.read_exact(&mut body).ok()?;
    let more = match status {
        302 => "location: /elsewhere\r\n",
        _ => "",
    };
    let answer = format!("HTTP/1.1 {status} x\r\n{more}content-length: 0\r\n\r\n");
    reader.get_mut().write_all(answer.as_bytes()).ok()?;
    Some(Delivery {
        path,
        headers,
        body: String::from_utf8(body).ok()?,
        status,
    })
}

/// Writes a settings file with these tables, and the secret beside it; its path.
pub(crate) fn config(data: &Path, tables: &str) -> String {
    let secret = data.join("secret");
    fs::write(&secret, SECRET).unwrap();
    fs::set_permissions(&secret, Permissions::from_mode(0o600)).unwrap();
    let file = data.join("rejoin.toml");
    let tables = tables.replace(
        "SECRET",
        &format!("secret-file = {:?}", secret.display().to_string()),
    );
    fs::write(&file, tables).unwrap();
    file.to_str().unwrap().into()
}

pub(crate) fn table(receiver: &Receiver, more: &str) -> String {
    let port = receiver.port;
    format!(
        "[notify.chat]\nurl = 'http://127.0.0.1:{port}/hook'\nSECRET\nallow-http = true\n\
         allow-private = true\nfirst-pause = '50ms'\nlongest-pause = '200ms'\n{more}\n"
    )
}
