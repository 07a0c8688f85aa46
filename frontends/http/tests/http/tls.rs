//! Tests of TLS connections.

use crate::harness::{PATIENCE, Running, get, limits, text, usual_app};
use crate::limits::Leaving;
use rejoin_http::test_client::Client;
use rejoin_http::test_tls::{Authority, Shown};
use rejoin_http::{HostCheck, HttpLimits, HttpServer, Response, Router, StatusCode, Tls};
use std::fs;
use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::mpsc::channel;
use std::time::Duration;
use tempfile::TempDir;

/// A server with a certificate, and who has vouched for it.
struct Encrypted {
    running: Running,
    authority: Authority,
    shown: Shown,
    directory: TempDir,
}

impl Encrypted {
    fn usual() -> Self {
        Self::start(app(), limits())
    }

    fn start(app: Router, limits: HttpLimits) -> Self {
        let authority = Authority::new();
        let directory = tempfile::tempdir().unwrap();
        let shown = authority.vouch().write(directory.path()).unwrap();
        let tls = Tls::open(&shown.chain, &shown.key).unwrap();
        let any_port = ([127, 0, 0, 1], 0).into();
        let server = HttpServer::bind(any_port, app, limits, HostCheck::same_origin()).unwrap();
        Self {
            running: Running::of(server.with_tls(tls)),
            authority,
            shown,
            directory,
        }
    }

    fn try_client(&self) -> io::Result<Client> {
        Client::connect_encrypted(self.running.address, &self.authority)
    }

    fn client(&self) -> Client {
        self.try_client().unwrap()
    }

    fn raw(&self) -> TcpStream {
        let raw = TcpStream::connect(self.running.address).unwrap();
        raw.set_read_timeout(Some(PATIENCE)).unwrap();
        raw
    }

    fn certificate(&self) -> Vec<u8> {
        let client = self.client();
        client.session().unwrap().certificate().unwrap().to_vec()
    }

    fn is_well(&self) -> bool {
        self.client().get("/").unwrap().status == 200
    }
}

fn app() -> Router {
    let mut app = usual_app();
    get(&mut app, "/encrypted", |request| async move {
        text(request.is_encrypted().to_string())
    });
    app
}

/// What a client sends first, as far as it is the same for all.
const HELLO: &[u8] = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03";

/// Everything until the end; a reset is one.
fn rest(mut raw: TcpStream) -> Vec<u8> {
    let mut rest = Vec::new();
    match raw.read_to_end(&mut rest) {
        Err(error) if error.kind() != io::ErrorKind::ConnectionReset => panic!("{error}"),
        _ => rest,
    }
}

#[test]
fn a_request_is_answered_encrypted_and_its_handler_knows() {
    let server = Encrypted::usual();
    let mut client = server.client();
    assert_eq!(client.get("/encrypted").unwrap().text(), "true");
    let session = client.session().unwrap();
    assert_eq!(session.protocol(), Some(&b"http/1.1"[..]));
    assert!(session.is_of_version_1_3());
    let plain = Running::start(app(), limits());
    assert_eq!(plain.client().get("/encrypted").unwrap().text(), "false");
}

#[test]
fn a_client_that_does_not_trust_the_authority_does_not_connect() {
    let server = Encrypted::usual();
    let stranger = Authority::new();
    assert!(Client::connect_encrypted(server.running.address, &stranger).is_err());
    assert!(server.is_well());
}

#[test]
fn long_bodies_travel_both_ways_on_one_connection() {
    let server = Encrypted::usual();
    let mut client = server.client();
    let body: String = ('a'..='z').cycle().take(3_000_001).collect();
    for _ in 0..3 {
        assert_eq!(client.post("/echo", &body).unwrap().text(), body);
    }
    assert_eq!(client.post("/echo", "").unwrap().text(), "");
}

#[test]
fn a_stream_s_parts_come_as_they_are_given() {
    let mut app = app();
    get(&mut app, "/events", |_| async {
        let first = futures::stream::once(async { Ok("one".into()) });
        let silence = futures::stream::pending();
        let parts = futures::StreamExt::chain(first, silence);
        Response::streaming(StatusCode::OK, "text/plain", parts)
    });
    let server = Encrypted::start(app, limits());
    let mut client = server.client();
    client.send_request("GET", "/events", &[], b"").unwrap();
    client.receive_head().unwrap();
    assert_eq!(client.receive_chunk().unwrap().unwrap(), b"one");
}

#[test]
fn a_slow_handshake_is_disconnected() {
    let handshake = Duration::from_millis(30);
    let server = Encrypted::start(
        app(),
        HttpLimits {
            handshake,
            ..limits()
        },
    );
    assert!(rest(server.raw()).is_empty(), "it never spoke");
    let mut slow = server.raw();
    slow.write_all(HELLO).unwrap();
    assert!(rest(slow).is_empty(), "it never finished");
}

#[test]
fn an_idle_connection_is_closed_with_close_notify() {
    let server = Encrypted::start(
        app(),
        HttpLimits {
            idle: Duration::from_millis(30),
            ..limits()
        },
    );
    let mut client = server.client();
    // The end is said within the encryption, or this would fail.
    assert!(client.receive_rest().unwrap().is_empty());
}

#[test]
fn a_client_that_does_not_read_is_cut() {
    let (left, gone) = channel();
    let mut app = app();
    get(&mut app, "/endless", move |_| {
        let left = Leaving(left.clone());
        async move {
            let parts = futures::stream::repeat_with(move || {
                let _held = &left;
                Ok(vec![b'x'; 100_000].into())
            });
            Response::streaming(StatusCode::OK, "text/plain", parts)
        }
    });
    let write = Duration::from_millis(50);
    let server = Encrypted::start(app, HttpLimits { write, ..limits() });
    let mut client = server.client();
    client.send_request("GET", "/endless", &[], b"").unwrap();
    gone.recv_timeout(PATIENCE).unwrap();
    assert!(server.is_well());
}

#[test]
fn plain_http_gets_a_hint_to_use_https() {
    let server = Encrypted::usual();
    let answer = server.running.client().get("/").unwrap();
    assert_eq!(answer.status, 400);
    assert_eq!(
        answer.text(),
        "This address is encrypted: ask for it with https:// instead."
    );
    assert_eq!(answer.header("connection"), Some("close"));
    assert!(server.is_well());
}

#[test]
fn garbage_instead_of_a_handshake_does_not_harm_the_server() {
    let server = Encrypted::usual();
    let mut noise = 1_u32;
    let mut garbage = vec![0; 5000];
    for byte in &mut garbage {
        noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        *byte = (noise >> 24) as u8;
    }
    let records = [
        HELLO.to_vec(),
        [HELLO, &garbage].concat(),
        [&b"\x16\x03\x01\xff\xff"[..], &garbage].concat(),
        [&b"\x17\x03\x03\x10\x00"[..], &garbage].concat(),
        [&b"\x80\x2e\x01\x00\x02"[..], &garbage].concat(),
        [&b"\x16\x03\x01\x00\x00"[..]; 500].concat(),
        [&b"\x15\x03\x01\x00\x02\x01\x00"[..]; 500].concat(),
        vec![0; 100_000],
        garbage,
    ];
    for record in records {
        // The server may have had enough before the end.
        let mut cut_off = server.running.client();
        let _ = cut_off.send_raw(&record);
        let _ = cut_off.finish();
        let said = cut_off.receive_rest().unwrap();
        assert!(said.is_empty() || said[0] == 0x15, "an alert: {said:?}");
        let mut gone = server.running.client();
        let _ = gone.send_raw(&record);
        drop(gone);
    }
    assert!(server.is_well());
}

#[test]
fn garbage_after_the_handshake_ends_that_connection_only() {
    let server = Encrypted::usual();
    let mut client = server.client();
    assert_eq!(client.get("/").unwrap().status, 200);
    let record = [&b"\x17\x03\x03\x00\x40"[..], &[b'x'; 0x40]].concat();
    client.send_unencrypted(&record).unwrap();
    // The client hears an alert.
    let error = client.receive_rest().unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{error}");
    assert!(server.is_well());
}

#[test]
fn unfinished_handshakes_count_towards_the_limit_of_connections() {
    let server = Encrypted::start(
        app(),
        HttpLimits {
            connections: 1,
            ..limits()
        },
    );
    let unfinished = server.raw();
    let answer = server.client().get("/").unwrap();
    assert_eq!(
        (answer.status, answer.text()),
        (503, "Too many connections.")
    );
    drop(unfinished);
    for _ in 0..1000 {
        if server.client().get("/").unwrap().status == 200 {
            return;
        }
    }
    panic!("a place never becomes free");
}

#[test]
fn a_renewed_certificate_is_used_for_the_next_connection() {
    let server = Encrypted::usual();
    let mut kept = server.client();
    let first = server.certificate();
    assert_eq!(first, server.certificate());
    let next = server.authority.vouch();
    fs::write(&server.shown.chain, &next.chain).unwrap();
    // It is not the old key's, so the old certificate stays in use.
    assert_eq!(server.certificate(), first);
    fs::write(&server.shown.key, &next.key).unwrap();
    let second = server.certificate();
    assert_ne!(second, first);
    assert_eq!(kept.get("/").unwrap().status, 200);
    for broken in ["", "no certificate"] {
        fs::write(&server.shown.chain, broken).unwrap();
        assert_eq!(server.certificate(), second);
    }
    fs::remove_file(&server.shown.chain).unwrap();
    assert_eq!(server.certificate(), second);
    // As those do who renew certificates: a new file in the place of the old.
    let newest = server.authority.vouch();
    let elsewhere = tempfile::tempdir_in(server.directory.path()).unwrap();
    let written = newest.write(elsewhere.path()).unwrap();
    fs::rename(written.chain, &server.shown.chain).unwrap();
    fs::rename(written.key, &server.shown.key).unwrap();
    let third = server.certificate();
    assert!(third != first && third != second);
}

#[test]
fn each_kind_of_unusable_file_has_its_own_error() {
    let directory = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let shown = authority.vouch().write(directory.path()).unwrap();
    let file = |name: &str, text: &str| {
        let path = directory.path().join(name);
        fs::write(&path, text).unwrap();
        path
    };
    let other_key = file("other.pem", &authority.vouch().key);
    let encrypted =
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
    let encrypted = file("encrypted.pem", encrypted);
    let broken = "-----BEGIN CERTIFICATE-----\n*\n-----END CERTIFICATE-----\n";
    let broken = file("broken.pem", broken);
    let no_certificate = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let no_certificate = file("none.pem", no_certificate);
    let long = file("long.pem", &"x".repeat(2_000_000));
    let missing = directory.path().join("missing.pem");
    let (chain, key) = (&shown.chain, &shown.key);
    for (chain, key, expected) in [
        (&missing, key, "cannot read"),
        (chain, &missing, "cannot read"),
        (key, key, "no certificate in"),
        (chain, chain, "no private key in"),
        (chain, &other_key, "doesn't belong to the first certificate"),
        (chain, &encrypted, "is encrypted"),
        (&broken, key, "is not valid PEM"),
        (&no_certificate, key, "cannot be used"),
        (&long, key, "is longer than"),
    ] {
        let error = Tls::open(chain, key).unwrap_err().to_string();
        assert!(error.contains(expected), "{expected}: {error}");
    }
    let both = fs::read_to_string(chain).unwrap() + &fs::read_to_string(key).unwrap();
    let both = file("both.pem", &both);
    Tls::open(&both, &both).unwrap();
}

#[test]
fn a_server_that_stops_ends_silent_connections_and_handshakes_cleanly() {
    let server = Encrypted::usual();
    let mut spoken = server.client();
    assert_eq!(spoken.get("/").unwrap().status, 200);
    let mut never_spoke = server.client();
    let unfinished = server.raw();
    assert!(server.is_well());
    assert_eq!(server.running.stop().aborted, 0);
    assert!(spoken.receive_rest().unwrap().is_empty());
    assert!(never_spoke.receive_rest().unwrap().is_empty());
    assert!(rest(unfinished).is_empty());
}

#[test]
fn a_page_loaded_over_plain_http_is_of_another_origin() {
    let server = Encrypted::usual();
    for (scheme, status) in [("https", 200), ("http", 403)] {
        let origin = format!("{scheme}://{}", server.running.address);
        let headers = [("origin", origin.as_str())];
        let answer = server.client().request("GET", "/", &headers, b"").unwrap();
        assert_eq!(answer.status, status);
    }
}
