//! A server behind a real nginx: under a path, with what trusted proxies say of their clients, and at a
//! Unix socket.

use crate::accounts::with_accounts;
use crate::server::{Server, directory, outcome, rejoin};
use crate::shell::wait_until;
use rejoin_http::test_client::{Client, Received};
use serde_json::{Value, json};
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

const ADA: &str = "Basic YWRhOmFkYS1zZWNyZXQ=";

/// A proxy in front of a server, ended when it is dropped.
struct Nginx {
    child: Child,
    address: SocketAddr,
    _directory: TempDir,
}

impl Nginx {
    /// Has the server at `upstream` (`127.0.0.1:1`, or `unix:PATH:`) at two paths: `/stripped`, which it
    /// takes from the requests and reports, and `/kept`, which it passes on.
    fn before(upstream: &str) -> Self {
        let directory = directory();
        // Somebody else may take the port in between.
        for _ in 0..10 {
            if let Some((child, address)) = started(directory.path(), upstream) {
                return Self {
                    child,
                    address,
                    _directory: directory,
                };
            }
        }
        let log = fs::read_to_string(directory.path().join("error.log"));
        panic!("nginx did not start: {}", log.unwrap_or_default());
    }

    fn client(&self) -> Client {
        let client = Client::connect(self.address).unwrap();
        client.set_patience(Duration::from_secs(60)).unwrap();
        client
    }

    fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &Value) -> Received {
        ask(&mut self.client(), method, path, headers, body)
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn started(directory: &Path, upstream: &str) -> Option<(Child, SocketAddr)> {
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = free.local_addr().unwrap();
    drop(free);
    let shown = directory.display();
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|name| format!("{name}_temp_path {shown}/{name};\n"))
        .concat();
    let says = "proxy_http_version 1.1;
        proxy_set_header Host $http_host;
        proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
        proxy_set_header X-Forwarded-Proto $scheme;";
    let config = format!(
        "daemon off; master_process off; pid {shown}/pid; error_log {shown}/error.log;
        events {{}}
        http {{
            access_log off;
            {temporary}
            server {{
                listen {address};
                location /stripped/ {{
                    {says}
                    proxy_set_header X-Forwarded-Prefix /stripped;
                    proxy_pass http://{upstream}/;
                }}
                location /encrypted/ {{
                    {says}
                    proxy_set_header X-Forwarded-Proto https;
                    proxy_set_header X-Forwarded-Prefix /encrypted;
                    proxy_pass http://{upstream}/;
                }}
                location /kept {{
                    {says}
                    proxy_pass http://{upstream};
                }}
            }}
        }}"
    );
    let file = directory.join("nginx.conf");
    fs::write(&file, config).unwrap();
    let mut child = Command::new("nginx")
        .args(["-e", &format!("{shown}/error.log"), "-c"])
        .arg(&file)
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("nginx is installed (Debian: nginx-light)");
    let mut is_up = false;
    wait_until("nginx listens or has ended", || {
        is_up = TcpStream::connect(address).is_ok();
        is_up || child.try_wait().unwrap().is_some()
    });
    // Another program may listen there.
    (is_up && child.try_wait().unwrap().is_none()).then_some((child, address))
}

fn ask(
    client: &mut Client,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &Value,
) -> Received {
    let body = match body {
        Value::Null => String::new(),
        body => body.to_string(),
    };
    let headers = [&[("content-type", "application/json")], headers].concat();
    client
        .request(method, path, &headers, body.as_bytes())
        .unwrap()
}

/// Who asked for what, as the log has it: the event and the address.
fn audited(data: &Path) -> Vec<(String, String)> {
    let (status, out, err) = outcome(&["log", data.to_str().unwrap(), "--audit", "--json"]);
    assert!(status.success(), "{err}");
    let events = out.lines().map(|line| {
        let event: Value = serde_json::from_str(line).unwrap();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        (text(&event["event"]), text(&event["by"]["address"]))
    });
    events.collect()
}

#[test]
fn behind_a_path_all_that_leads_back_leads_through_the_proxy() {
    let data = with_accounts();
    let server = Server::start(data.path(), &["--trusted-proxies", "127.0.0.1"]);
    let nginx = Nginx::before(&server.address.to_string());
    // The pages name their files by where they are themselves.
    let page = nginx.ask("GET", "/stripped/", &[], &Value::Null);
    assert_eq!(page.status, 200);
    assert!(
        page.text().contains("src=\"console/main.js\""),
        "{}",
        page.text()
    );
    for file in [
        "console/main.js",
        "console/terminal.html",
        "console/vendor/xterm.css",
    ] {
        let file = nginx.ask("GET", &format!("/stripped/{file}"), &[], &Value::Null);
        assert_eq!(file.status, 200);
        let text = file.text();
        assert!(
            !text.contains("\"/console") && !text.contains("(/console"),
            "{text}"
        );
    }
    let moved = nginx.ask("GET", "/stripped/ui", &[], &Value::Null);
    assert_eq!(
        (moved.status, moved.header("location")),
        (302, Some("/stripped/"))
    );

    let login = json!({"name": "ada", "password": "ada-secret"});
    for (path, is_secure) in [("/stripped", false), ("/encrypted", true)] {
        let to = |rest: &str| format!("{path}{rest}");
        let logged_in = nginx.ask("POST", &to("/login"), &[], &login);
        assert_eq!(logged_in.status, 200, "{}", logged_in.text());
        let cookie = logged_in.header("set-cookie").unwrap();
        assert!(cookie.contains(&format!("; Path={path};")), "{cookie}");
        assert_eq!(cookie.ends_with("; Secure"), is_secure, "{cookie}");
        let cookie = cookie.split(';').next().unwrap();
        let created = nginx.ask("POST", &to("/sessions"), &[("cookie", cookie)], &json!({}));
        let id = created.json()["id"].as_str().unwrap().to_owned();
        let location = to(&format!("/sessions/{id}"));
        assert_eq!(created.header("location"), Some(&*location));
        let seen = nginx.ask("GET", &location, &[("cookie", cookie)], &Value::Null);
        assert_eq!(seen.json()["id"], id.as_str());
        let document = nginx
            .ask("GET", &to("/openapi.json"), &[], &Value::Null)
            .json();
        assert_eq!(document["servers"], json!([{"url": path}]));
        let listed = nginx.ask(
            "GET",
            &to("/v1/sessions"),
            &[("authorization", ADA)],
            &Value::Null,
        );
        let scheme = if is_secure { "https" } else { "http" };
        let link = format!("{scheme}://{}{path}/v1/sessions/", nginx.address);
        assert_eq!(listed.json()["links"]["self"], link.as_str());
        let logged_out = nginx.ask("POST", &to("/logout"), &[("cookie", cookie)], &Value::Null);
        let cookie = logged_out.header("set-cookie").unwrap();
        assert!(cookie.contains(&format!("; Path={path};")), "{cookie}");
    }
    // A page that came without TLS is not the same page.
    let origin = format!("http://{}", nginx.address);
    let headers = [("origin", &*origin), ("authorization", ADA)];
    let post = |path: &str| nginx.ask("POST", path, &headers, &json!({})).status;
    assert_eq!(post("/stripped/sessions"), 201);
    assert_eq!(post("/encrypted/sessions"), 403);
}

#[test]
fn a_path_that_is_set_is_taken_from_requests_whether_the_proxy_keeps_it_or_not() {
    let data = directory();
    let server = Server::start(data.path(), &["--path-prefix", "/kept"]);
    let nginx = Nginx::before(&server.address.to_string());
    let moved = nginx.ask("GET", "/kept?a=b", &[], &Value::Null);
    assert_eq!(
        (moved.status, moved.header("location")),
        (308, Some("/kept/?a=b"))
    );
    assert_eq!(nginx.ask("GET", "/kept/", &[], &Value::Null).status, 200);
    assert_eq!(nginx.ask("GET", "/kepter/", &[], &Value::Null).status, 404);
    let mut direct = server.client();
    for path in ["/kept/sessions", "/sessions"] {
        let created = ask(&mut direct, "POST", path, &[], &json!({}));
        let id = created.json()["id"].as_str().unwrap().to_owned();
        assert_eq!(
            created.header("location"),
            Some(&*format!("/kept/sessions/{id}"))
        );
    }
    // The paths that are looked up without a router, too.
    let init = json!({"action": "init_session"});
    let created = nginx.ask("POST", "/kept/api", &[], &init);
    assert_eq!(created.json()["state"], "SUCCEEDED");

    // Events pass at once, and a command line has the server there, too.
    let url = format!("http://{}/kept", nginx.address);
    let ran = ["run", "--server", &url, "-n", "--", "echo", "through nginx"];
    let (status, out, err) = outcome(&ran);
    assert!(status.success(), "{err}");
    assert_eq!(out, "through nginx\n");
}

#[test]
fn the_address_of_a_client_is_what_a_trusted_proxy_says_and_nobody_else() {
    let data = directory();
    let log = data.path().join("stderr");
    let requests = ["--log-requests", "all", "--log-format", "json"];
    let trusting = [&["--trusted-proxies", "127.0.0.0/8"][..], &requests].concat();
    let mut server = Server::start_saying(
        data.path(),
        &trusting,
        fs::File::create(&log).unwrap().into(),
    );
    let nginx = Nginx::before(&server.address.to_string());
    // What a client claims stands before what the proxy adds, and the proxy's own address is trusted.
    let said = [("x-forwarded-for", "198.51.100.1, 203.0.113.9")];
    let created = nginx.ask("POST", "/stripped/sessions", &said, &json!({}));
    assert_eq!(created.status, 201);
    assert!(server.signal("-TERM").success());
    assert_eq!(
        audited(data.path()),
        [("session-created".into(), "203.0.113.9".into())]
    );
    let logged = fs::read_to_string(&log).unwrap();
    let request = logged
        .lines()
        .find(|line| line.contains("\"POST\""))
        .unwrap();
    assert!(request.contains("\"peer\":\"203.0.113.9\""), "{request}");

    let data = directory();
    let mut server = Server::start(data.path(), &["--trusted-proxies", "10.0.0.0/8,unix"]);
    let lies = [
        ("x-forwarded-for", "203.0.113.9"),
        ("x-forwarded-prefix", "/evil"),
        ("x-forwarded-proto", "https"),
    ];
    let mut client = server.client();
    let created = ask(&mut client, "POST", "/sessions", &lies, &json!({}));
    assert!(
        created
            .header("location")
            .unwrap()
            .starts_with("/sessions/")
    );
    assert!(server.signal("-TERM").success());
    let own = client.local_addr().unwrap().to_string();
    assert_eq!(audited(data.path()), [("session-created".into(), own)]);
}

#[test]
fn a_server_at_a_unix_socket_serves_the_command_line_and_a_proxy() {
    let data = with_accounts();
    let place = directory();
    let socket = place.path().join("rejoin.sock");
    let address = format!("unix:{}", socket.display());
    let trusted = "unix,127.0.0.1";
    let more = ["--socket-mode", "660", "--trusted-proxies", trusted];
    let mut server = UnixServer::start(data.path(), &address, &more);
    assert!(
        server.first_line.contains(&address),
        "{}",
        server.first_line
    );
    let found = fs::symlink_metadata(&socket).unwrap();
    assert!(found.file_type().is_socket());
    assert_eq!(found.permissions().mode() & 0o777, 0o660);

    let run = |words: &str| {
        let mut command = rejoin(&["run", "--server", &address, "-n", "--login", "ada", words]);
        let ran = command
            .env("REJOIN_PASSWORD", "ada-secret")
            .output()
            .unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (ran.status.code(), text(ran.stdout), text(ran.stderr))
    };
    assert_eq!(
        run("echo over a socket; exit 3"),
        (Some(3), "over a socket\n".into(), String::new())
    );
    let (status, out, err) = outcome(&["health", "--at", &address, "--ready"]);
    assert!(status.success(), "{out}{err}");
    let nginx = Nginx::before(&format!("{address}:"));
    let said = [("x-forwarded-for", "203.0.113.9"), ("authorization", ADA)];
    let created = nginx.ask("POST", "/stripped/sessions", &said, &json!({}));
    assert_eq!(created.status, 201, "{}", created.text());
    let refused = nginx.ask(
        "GET",
        "/stripped/sessions",
        &[("host", "evil.example")],
        &Value::Null,
    );
    assert_eq!(refused.status, 403);

    // A second server gets an error, and takes nothing away.
    let other = directory();
    let (status, _, err) = outcome(&[
        "serve",
        "--listen",
        &address,
        "--data",
        other.path().to_str().unwrap(),
    ]);
    assert!(
        !status.success() && err.contains("another server listens there"),
        "{err}"
    );
    assert!(run("true").0 == Some(0));
    // A killed one leaves its socket, which the next replaces.
    server.child.kill().unwrap();
    server.child.wait().unwrap();
    assert!(socket.exists());
    let (status, _, err) = run("true");
    assert!(
        status != Some(0) && err.contains("no server at unix:"),
        "{err}"
    );
    let mut server = UnixServer::start(data.path(), &address, &more);
    assert_eq!(run("echo again").1, "again\n");
    server.end();
    assert!(!socket.exists());

    let who: std::collections::BTreeSet<_> = audited(data.path())
        .into_iter()
        .map(|(_, who)| who)
        .collect();
    let own = format!("unix:uid={}", fs::metadata(place.path()).unwrap().uid());
    assert_eq!(who, [own, "203.0.113.9".to_owned()].into());
}

#[test]
fn what_is_no_socket_is_left_in_its_place() {
    let (data, place) = (directory(), directory());
    let file = place.path().join("kept");
    fs::write(&file, "a file").unwrap();
    let address = format!("unix:{}", file.display());
    let data = data.path().to_str().unwrap();
    let (status, _, err) = outcome(&["serve", "--listen", &address, "--data", data]);
    assert!(!status.success() && err.contains("no socket"), "{err}");
    assert_eq!(fs::read_to_string(&file).unwrap(), "a file");
    let long = format!("unix:{}/{}", place.path().display(), "x".repeat(120));
    let (status, _, err) = outcome(&["serve", "--listen", &long, "--data", data]);
    assert!(!status.success() && err.contains("too long"), "{err}");
    let nowhere = format!("unix:{}/no/such", place.path().display());
    let (status, _, err) = outcome(&["serve", "--listen", &nowhere, "--data", data]);
    assert!(
        !status.success() && err.contains("no such directory"),
        "{err}"
    );
}

/// A server at a Unix socket, killed when it is dropped.
pub(crate) struct UnixServer {
    child: Child,
    first_line: String,
}

impl UnixServer {
    pub(crate) fn start(data: &Path, address: &str, more: &[&str]) -> Self {
        let arguments = [
            "serve",
            "--listen",
            address,
            "--data",
            data.to_str().unwrap(),
        ];
        let mut command = rejoin(&[&arguments, more].concat());
        // No job is left for a keeper to hold.
        command.env("REJOIN_KEEPER_WAIT", "0s");
        let mut child = command.stderr(Stdio::inherit()).spawn().unwrap();
        let mut first_line = String::new();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        out.read_line(&mut first_line).unwrap();
        Self { child, first_line }
    }

    pub(crate) fn end(&mut self) {
        let id = self.child.id().to_string();
        assert!(
            Command::new("kill")
                .args(["-TERM", &id])
                .status()
                .unwrap()
                .success()
        );
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for UnixServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
