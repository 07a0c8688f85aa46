//! One story, in three ways: sessions begin, run, are interrupted and killed, each in the words
//! of the product that has words for it. After every step the frontends and the log show the same.

use crate::server::{Server, directory, is_status_of, outcome, text};
use crate::shell::wait_until_none_run;
use rejoin_core::{Views, testing::Promises};
use rejoin_http::test_client::Received;
use rejoin_log::disk::Directory;
use rejoin_log::segment::verify;
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

/// A session, as far as all of them show it.
#[derive(Clone, Debug, PartialEq)]
struct Shown {
    number: String,
    user: String,
    /// What runs.
    statement: Option<String>,
}

/// A session, and what only some show.
#[derive(Clone, Debug)]
struct Known {
    shown: Shown,
    session: String,
    consumer: String,
    jobs: usize,
}

const HELD: &str = "echo ready; exec sleep 1000 >/dev/null 2>&1";

#[test]
fn three_apis_and_the_log_agree_on_one_session() {
    let data = directory();
    let mut server = Server::start(data.path(), &[]);
    let mut open: Vec<Known> = vec![];
    agree(&server, data.path(), &open, &[]);

    for (number, user) in [("1", "ada"), ("2", "bob"), ("3", "ada")] {
        let created = server.api(&json!({"action": "init_session", "userId": user}));
        open.push(Known {
            shown: Shown {
                number: number.into(),
                user: user.into(),
                statement: None,
            },
            session: text(&created["sessionId"]),
            consumer: text(&created["consumerId"]),
            jobs: 0,
        });
        agree(&server, data.path(), &open, &[]);
    }

    server.exec(&open[0].session, "true");
    open[0].jobs += 1;
    let mut running = 0;
    for known in &mut open[1..] {
        running = server.run(&known.session, HELD);
        let (session, consumer) = (&known.session, &known.consumer);
        server.pull_until(session, consumer, |result| result["content"] == "ready\n");
        known.shown.statement = Some(HELD.into());
        known.jobs += 1;
    }
    agree(&server, data.path(), &open, &[]);

    // Interrupted in the words of Arthas.
    let third = &mut open[2];
    server.api(&json!({"action": "interrupt_job", "sessionId": third.session}));
    server.pull_until(&third.session, &third.consumer, is_status_of(running));
    third.shown.statement = None;
    agree(&server, data.path(), &open, &[]);

    // Killed in the words of MaxScale, while it runs.
    let killed = open.remove(1);
    assert_eq!(request(&server, "DELETE", "/v1/sessions/2").status, 200);
    assert_eq!(request(&server, "DELETE", "/v1/sessions/2").status, 404);
    wait_until_none_run("what it ran has ended", &killed.session);
    let mut gone = vec![killed];
    agree(&server, data.path(), &open, &gone);

    // Closed in the words of Arthas.
    gone.push(open.remove(1));
    server.api(&json!({"action": "close_session", "sessionId": gone[1].session}));
    agree(&server, data.path(), &open, &gone);

    // After a crash all show what they showed.
    server.run(&open[0].session, HELD);
    let (session, consumer) = (&open[0].session, &open[0].consumer);
    server.pull_until(session, consumer, |result| result["content"] == "ready\n");
    server.kill();
    let server = Server::start(data.path(), &[]);
    open[0].jobs += 1;
    agree(&server, data.path(), &open, &gone);
}

/// All show these sessions and no others.
fn agree(server: &Server, data: &Path, open: &[Known], gone: &[Known]) {
    let expected: Vec<_> = open.iter().map(|known| known.shown.clone()).collect();
    assert_eq!(maxscale(server, open), expected, "MaxScale");
    for path in ["/rest/v1/session", "/rest/v1/session/all"] {
        assert_eq!(doris(server, path), expected, "Doris");
    }
    for (known, state) in open
        .iter()
        .map(|it| (it, "SUCCEEDED"))
        .chain(gone.iter().map(|it| (it, "FAILED")))
    {
        let info = server.api(&json!({"action": "session_info", "sessionId": known.session}));
        assert_eq!(info["state"], state, "Arthas: {info}");
    }
    assert_eq!(logged(data, open, gone), expected, "the log");
}

fn request(server: &Server, method: &str, path: &str) -> Received {
    server.client().request(method, path, &[], b"").unwrap()
}

fn get(server: &Server, path: &str) -> Value {
    let received = request(server, "GET", path);
    assert_eq!(received.status, 200, "{path}");
    received.json()
}

fn maxscale(server: &Server, open: &[Known]) -> Vec<Shown> {
    let list = get(server, "/v1/sessions?page[size]=9");
    let data = list["data"].as_array().unwrap();
    assert_eq!(list["meta"]["total"], data.len());
    let service = get(server, "/v1/services/shell");
    let connections = &service["data"]["attributes"]["statistics"]["connections"];
    assert_eq!(connections, data.len());
    let jobs = |it: &Value| it["attributes"]["queries"].as_array().unwrap().len();
    assert!(data.iter().map(jobs).eq(open.iter().map(|it| it.jobs)));
    for user in ["ada", "bob"] {
        let path = format!("/v1/sessions?filter=attributes/user=%22{user}%22");
        let of_user = get(server, &path)["data"].as_array().unwrap().len();
        assert_eq!(
            of_user,
            open.iter().filter(|it| it.shown.user == user).count()
        );
    }
    data.iter()
        .map(|it| {
            let number = text(&it["id"]);
            let alone = get(server, &format!("/v1/sessions/{number}"));
            assert_eq!(
                alone["data"]["attributes"]["queries"],
                it["attributes"]["queries"]
            );
            let first = &it["attributes"]["queries"][0];
            let runs = first.is_object() && first["completed"].is_null();
            Shown {
                number,
                user: text(&it["attributes"]["user"]),
                statement: runs.then(|| text(&first["statement"])),
            }
        })
        .collect()
}

fn doris(server: &Server, path: &str) -> Vec<Shown> {
    let table = get(server, path);
    let rows = table["data"]["rows"].as_array().unwrap();
    if path.ends_with("/all") {
        assert_eq!(table["count"], rows.len());
    }
    let shown = |row: &Value| Shown {
        number: text(&row["Id"]),
        user: text(&row["User"]),
        statement: (row["Command"] == "Query").then(|| text(&row["Info"])),
    };
    rows.iter().map(shown).collect()
}

/// What the log says, read from a copy: nobody but the server may open its own.
fn logged(data: &Path, open: &[Known], gone: &[Known]) -> Vec<Shown> {
    let copy = directory();
    let log = copy.path().join("log");
    fs::create_dir(&log).unwrap();
    for file in fs::read_dir(data.join("log")).unwrap() {
        let file = file.unwrap();
        // A spare becomes a segment, under another name, whenever it is ready.
        let _ = fs::copy(file.path(), log.join(file.file_name()));
    }
    let path = copy.path().to_str().unwrap();
    let (status, report, err) = outcome(&["verify", path, "--json"]);
    let report: Value = serde_json::from_str(&report).unwrap_or_else(|_| panic!("{err}"));
    assert_eq!(
        (status.code(), &report["sound"]),
        (Some(0), &json!(true)),
        "{report}"
    );
    assert_eq!(report["torn"], Value::Null, "{report}");

    let (mut views, mut promises) = (Views::default(), Promises::default());
    let mut visit = |record: rejoin_core::Record| {
        promises.take(&record);
        views.apply(&record);
    };
    let disk = Directory::open_to_read(&log).unwrap();
    verify(&disk, &mut visit, &mut |_, _| {}).unwrap();
    assert_eq!(report["sessions"], open.len() + gone.len());
    for known in gone {
        let view = views.session(known.session.parse().unwrap()).unwrap();
        assert!(view.closed.is_some() && !view.is_busy());
        assert_eq!(view.jobs().count(), known.jobs);
    }
    views
        .open_sessions()
        .map(|view| {
            let known = open.iter().find(|it| it.session == view.id.to_string());
            assert_eq!(known.map(|it| it.jobs), Some(view.jobs().count()));
            Shown {
                number: view.number.to_string(),
                user: view.user.as_deref().unwrap_or_default().into(),
                statement: view.current_job().map(|it| it.statement.to_string()),
            }
        })
        .collect()
}
