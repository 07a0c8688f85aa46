//! The real server, encrypted, for real clients that trust who has vouched for it.

use crate::server::{Server, api, directory, is_status_of, outcome, said, text};
use rejoin_http::test_client::Client;
use rejoin_http::test_tls::{Authority, Shown};
use serde_json::{Value, json};
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// An encrypted server, with its log and its certificate in one directory.
struct Encrypted {
    server: Server,
    authority: Authority,
    shown: Shown,
    /// What clients trust.
    trusted: PathBuf,
    directory: TempDir,
}

impl Encrypted {
    fn start(more: &[&str]) -> Self {
        let directory = directory();
        let authority = Authority::new();
        let shown = authority.vouch().write(directory.path()).unwrap();
        let trusted = directory.path().join("authority.pem");
        fs::write(&trusted, authority.pem()).unwrap();
        let mut arguments = files(&shown).to_vec();
        arguments.extend(more);
        let server = Server::start(&directory.path().join("data"), &arguments);
        Self {
            server,
            authority,
            shown,
            trusted,
            directory,
        }
    }

    fn client(&self) -> Client {
        Client::connect_encrypted(self.server.address, &self.authority).unwrap()
    }

    /// `curl`, as a user calls it.
    fn curl(&self, address: SocketAddr, path: &str, more: &[&str]) -> (Option<i32>, String) {
        let done = Command::new("curl")
            .args(["--silent", "--show-error", "--max-time", "20", "--cacert"])
            .arg(&self.trusted)
            .args(more)
            .arg(format!("https://{address}{path}"))
            .output()
            .unwrap();
        (done.status.code(), String::from_utf8(done.stdout).unwrap())
    }

    fn get(&self, address: SocketAddr, path: &str) -> Value {
        let (code, said) = self.curl(address, path, &["--fail"]);
        assert_eq!(code, Some(0), "{path}");
        serde_json::from_str(&said).unwrap()
    }

    fn certificate(&self) -> Vec<u8> {
        let client = self.client();
        client.session().unwrap().certificate().unwrap().to_vec()
    }
}

fn files(shown: &Shown) -> [&str; 4] {
    fn path(path: &Path) -> &str {
        path.to_str().unwrap()
    }
    [
        "--tls-cert",
        path(&shown.chain),
        "--tls-key",
        path(&shown.key),
    ]
}

#[test]
fn every_address_uses_tls() {
    let any = "127.0.0.1:0";
    let mut server = Encrypted::start(&[
        "--maxscale-listen",
        any,
        "--doris-listen",
        any,
        "--admin-listen",
        any,
    ]);
    assert!(
        server
            .server
            .first_line
            .starts_with("Rejoin listens on https://127.0.0.1:"),
        "{}",
        server.server.first_line
    );
    let mut found = || -> SocketAddr {
        let mut line = String::new();
        server.server.out.read_line(&mut line).unwrap();
        let (_, address) = line.trim_end().split_once(": https://").unwrap();
        address.parse().unwrap()
    };
    let (maxscale, doris, admin) = (found(), found(), found());
    let created = server
        .curl(
            server.server.address,
            "/api",
            &["--data", r#"{"action":"init_session"}"#],
        )
        .1;
    let created: Value = serde_json::from_str(&created).unwrap();
    assert_eq!(created["state"], "SUCCEEDED");

    let sessions = server.get(maxscale, "/v1/sessions");
    let link = |path: &str| format!("https://{maxscale}/v1/{path}");
    assert_eq!(sessions["links"]["self"], link("sessions/"));
    assert_eq!(sessions["data"][0]["links"]["self"], link("sessions/1"));
    assert_eq!(
        server.get(doris, "/rest/v1/session/all")["data"]["rows"][0]["Id"],
        "1"
    );
    let path = format!("/sessions/{}", text(&created["sessionId"]));
    assert_eq!(
        server.get(server.server.address, &path)["id"],
        created["sessionId"]
    );
    assert_eq!(server.curl(admin, "/healthz", &[]).1, "well\n");
    for address in [server.server.address, maxscale, doris, admin] {
        let plain = Client::connect(address).unwrap().get("/").unwrap();
        assert_eq!(plain.status, 400);
        assert!(plain.text().contains("https://"), "{}", plain.text());
    }
    let (status, out, _) = outcome(&["health", "--at", &admin.to_string()]);
    assert_eq!((status.code(), out.as_str()), (Some(0), "well\n"));
}

#[test]
fn results_and_events_arrive_live_over_tls() {
    let server = Encrypted::start(&[]);
    let mut client = server.client();
    let created = api(&mut client, &json!({"action": "init_session"}));
    let (session, consumer) = (text(&created["sessionId"]), text(&created["consumerId"]));
    let address = server.server.address;
    // The stream is there before anything happens, and is open until its reader leaves.
    let mut stream = Command::new("curl")
        .args(["--silent", "--no-buffer", "--cacert"])
        .arg(&server.trusted)
        .arg(format!("https://{address}/sessions/{session}/stream"))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut events = BufReader::new(stream.stdout.take().unwrap()).lines();
    let run = json!({
        "action": "async_exec",
        "sessionId": session,
        "command": "echo hello; seq 1 50000",
    });
    let job = api(&mut client, &run)["body"]["jobId"].as_u64().unwrap();
    let heard = events.any(|line| line.unwrap().contains("job-finished"));
    assert!(heard);
    stream.kill().unwrap();
    stream.wait().unwrap();

    let mut results = vec![];
    let pull = json!({"action": "pull_results", "sessionId": session, "consumerId": consumer});
    while !results.iter().any(is_status_of(job)) {
        let pulled = api(&mut client, &pull);
        assert_eq!(pulled["state"], "SUCCEEDED", "{pulled}");
        results.extend(
            pulled["body"]["results"]
                .as_array()
                .unwrap()
                .iter()
                .cloned(),
        );
    }
    let numbers: String = (1..=50_000).map(|number| format!("{number}\n")).collect();
    assert_eq!(said(&results, "stdout"), format!("hello\n{numbers}"));
}

#[test]
fn tls_1_2_and_1_3_work_for_clients_that_trust_the_certificate() {
    let server = Encrypted::start(&[]);
    let address = server.server.address;
    for versions in [["--tls-max", "1.2"], ["--tlsv1.3", "--http1.1"]] {
        let (code, said) = server.curl(address, "/v1/sessions", &versions);
        assert_eq!(code, Some(0), "{versions:?}: {said}");
    }
    fs::write(&server.trusted, Authority::new().pem()).unwrap();
    let (code, said) = server.curl(address, "/v1/sessions", &[]);
    // curl tells whom it doesn't know (60) from whom it takes for a liar (35).
    assert!(matches!(code, Some(35 | 60)), "{code:?}");
    assert_eq!(said, "");
}

#[test]
fn a_renewed_certificate_is_reloaded_and_a_broken_one_is_ignored() {
    let server = Encrypted::start(&[]);
    let before = server.certificate();
    fs::write(&server.shown.chain, "half of a certif").unwrap();
    assert_eq!(server.certificate(), before);
    let renewed = server.authority.vouch();
    renewed.write(server.directory.path()).unwrap();
    assert_ne!(server.certificate(), before);
    server.get(server.server.address, "/v1/sessions");
}

#[test]
fn the_server_does_not_start_with_unusable_files() {
    let directory = directory();
    let authority = Authority::new();
    let shown = authority.vouch().write(directory.path()).unwrap();
    let [cert, chain, of_key, key] = files(&shown);
    let data = directory.path().join("data");
    let missing = directory.path().join("missing.pem");
    let missing = missing.to_str().unwrap();
    let other = directory.path().join("other.pem");
    fs::write(&other, authority.vouch().key).unwrap();
    let other = other.to_str().unwrap();
    for (arguments, expected) in [
        (vec![cert, chain], "requires --tls-key"),
        (vec![of_key, key], "requires --tls-cert"),
        (vec![cert, missing, of_key, key], "cannot read"),
        (vec![cert, key, of_key, key], "there is no certificate in"),
        (
            vec![cert, chain, of_key, chain],
            "there is no private key in",
        ),
        (
            vec![cert, chain, of_key, other],
            "doesn't belong to the first",
        ),
    ] {
        let mut all = vec!["serve", "--listen", "127.0.0.1:0", "--data"];
        all.push(data.to_str().unwrap());
        all.extend(arguments);
        let (status, out, err) = outcome(&all);
        assert_eq!((status.code(), out.as_str()), (Some(1), ""), "{err}");
        assert!(err.contains(expected), "{expected}: {err}");
    }
    assert!(!data.exists(), "nothing was begun");
}

#[test]
fn a_tls_server_shuts_down_cleanly_with_open_connections() {
    let mut server = Encrypted::start(&[]);
    let mut idle = server.client();
    assert_eq!(idle.get("/v1/sessions").unwrap().status, 200);
    let mut unfinished = Client::connect(server.server.address).unwrap();
    unfinished.send_raw(b"\x16\x03\x01").unwrap();
    let mut reader = server.client();
    let created = api(&mut reader, &json!({"action": "init_session"}));
    let path = format!("/sessions/{}/stream", text(&created["sessionId"]));
    reader.send_request("GET", &path, &[], b"").unwrap();
    assert_eq!(reader.receive_head().unwrap().status, 200);
    assert_eq!(server.server.signal("-TERM").code(), Some(0));
    // The last word is said within the encryption, or reading it would fail.
    assert!(idle.receive_rest().unwrap().is_empty());
    while reader.receive_chunk().unwrap().is_some() {}
    assert!(reader.receive_rest().unwrap().is_empty());
    assert!(unfinished.receive_rest().unwrap().is_empty());
}
