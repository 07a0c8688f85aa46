//! Tests of the tables over a real connection, byte for byte.

mod logins;

use rejoin_accounts::Accounts;
use rejoin_doris::{Columns, Settings, mount};
use rejoin_engine::testing::{Hold, in_memory};
use rejoin_engine::{
    Config, Engine, JobMode, JobSlot, NewJob, NewSession, SmolRuntime, Visibility,
};
use rejoin_http::test_client::Received;
use rejoin_http::test_server::TestServer;
use serde_json::{Value, json};
use std::sync::Arc;

struct Server {
    engine: Engine,
    http: TestServer,
}

impl Server {
    fn start(settings: Settings) -> Self {
        Self::start_with(Accounts::open().unwrap(), settings)
    }

    fn start_with(accounts: Accounts, settings: Settings) -> Self {
        let services = Hold::services(["shell"]);
        let engine = in_memory(Config::default(), Arc::new(SmolRuntime), services, &[]);
        let mut app = rejoin_http::Router::default();
        mount(&mut app, engine.clone(), accounts, settings);
        let http = TestServer::start(app);
        Self { engine, http }
    }

    /// Two sessions: one is idle, one runs a job.
    fn with_two_sessions(settings: Settings) -> Self {
        let server = Self::start(settings);
        server.create(Some("root"), Some("10.81.85.89:31465"));
        let mode = JobMode {
            slot: JobSlot::Foreground,
            visibility: Visibility::Session,
        };
        let busy = server.create(None, None);
        smol::block_on(server.engine.submit_job(NewJob::new(busy, "sleep 9", mode))).unwrap();
        server
    }

    fn create(&self, user: Option<&str>, remote: Option<&str>) -> rejoin_engine::SessionId {
        let new = NewSession {
            user: user.map(Into::into),
            remote: remote.map(Into::into),
            ..NewSession::default()
        };
        smol::block_on(self.engine.create_session(new))
            .unwrap()
            .id()
    }

    fn request(&self, method: &str, path: &str) -> Received {
        self.http.client().request(method, path, &[], b"").unwrap()
    }

    fn get(&self, path: &str) -> String {
        let received = self.request("GET", path);
        assert_eq!(received.status, 200);
        assert_eq!(received.header("content-type"), Some("application/json"));
        received.text().into()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.engine.begin_closing();
    }
}

const ASLEEP: &str = r#""Id":"1","User":"root","Host":"10.81.85.89:31465","Cluster":"default_cluster","Db":"shell","Command":"Sleep","Time":"0","State":"","Info":""}"#;
const BUSY: &str = r#""Id":"2","User":"SERVER","Host":"","Cluster":"default_cluster","Db":"shell","Command":"Query","Time":"0","State":"","Info":"sleep 9"}"#;

/// Whom a session of nobody is shown as.
fn server_user() -> Arc<str> {
    Accounts::open().unwrap().server_user().clone()
}

/// As in the product's documentation, apart from the values.
#[test]
fn the_sessions_of_this_node_are_shown_as_documented() {
    let server = Server::with_two_sessions(Settings::default());
    let names = r#""Id","User","Host","Cluster","Db","Command","Time","State","Info""#;
    let expected = format!(
        r#"{{"msg":"success","code":0,"data":{{"column_names":[{names}],"rows":[{{{ASLEEP},{{{BUSY}]}},"count":2}}"#
    );
    let expected = expected.replace("SERVER", &server_user());
    for path in ["/rest/v1/session", "/rest/v1/session/"] {
        assert_eq!(without_time(&server.get(path)), expected, "{path}");
    }
}

#[test]
fn the_sessions_of_all_nodes_are_shown_with_their_node() {
    let mut settings = Settings::default();
    settings.node = "10.14.170.23".into();
    let server = Server::with_two_sessions(settings);
    let names = r#""FE","Id","User","Host","Cluster","Db","Command","Time","State","Info""#;
    let fe = r#""FE":"10.14.170.23","#;
    let expected = format!(
        r#"{{"msg":"success","code":0,"data":{{"column_names":[{names}],"rows":[{{{fe}{ASLEEP},{{{fe}{BUSY}]}},"count":2}}"#
    );
    let expected = expected.replace("SERVER", &server_user());
    assert_eq!(without_time(&server.get("/rest/v1/session/all")), expected);
}

#[test]
fn the_count_is_two_for_one_node_and_the_number_of_rows_for_all() {
    let server = Server::start(Settings::default());
    for rows in [0, 1] {
        let counts = ["/rest/v1/session", "/rest/v1/session/all"].map(|path| {
            let table: Value = serde_json::from_str(&server.get(path)).unwrap();
            assert_eq!(table["data"]["rows"].as_array().unwrap().len(), rows);
            table["count"].clone()
        });
        assert_eq!(counts, [json!(2), json!(rows)]);
        server.create(None, None);
    }
}

#[test]
fn a_setting_gives_the_fourteen_columns_of_newer_versions() {
    let mut settings = Settings::default();
    settings.columns = Columns::Newer;
    let server = Server::with_two_sessions(settings);
    for path in ["/rest/v1/session", "/rest/v1/session/all"] {
        let table: Value = serde_json::from_str(&server.get(path)).unwrap();
        let names = table["data"]["column_names"].as_array().unwrap();
        assert_eq!(names.len(), 14);
        let row = &table["data"]["rows"][1];
        // The product's old web page sorts cells as strings, and fails on other types.
        assert!(
            names
                .iter()
                .all(|name| row[name.as_str().unwrap()].is_string())
        );
        assert_eq!(row["QueryId"], "2-1");
        assert_eq!(row["Info"], "sleep 9");
    }
}

#[test]
fn a_wrong_method_is_reported_in_the_envelope() {
    let server = Server::start(Settings::default());
    for method in ["POST", "PUT", "DELETE", "PATCH"] {
        let received = server.request(method, "/rest/v1/session");
        let expected = format!(
            r#"{{"msg":"Internal Error","code":500,"data":"Request method '{method}' not supported","count":0}}"#
        );
        assert_eq!((received.status, received.text()), (200, &*expected));
    }
    assert_eq!(
        server.request("OPTIONS", "/rest/v1/session/all").status,
        204
    );
    let head = server.request("HEAD", "/rest/v1/session");
    assert_eq!((head.status, head.body.len()), (200, 0));
}

#[test]
fn a_streamed_table_is_complete() {
    let server = Server::start(Settings::default());
    for _ in 0..1_101 {
        server.create(None, None);
    }
    let received = server.request("GET", "/rest/v1/session/all");
    assert_eq!(received.header("content-length"), None);
    let table: Value = serde_json::from_slice(&received.body).unwrap();
    let rows = table["data"]["rows"].as_array().unwrap();
    assert!(
        rows.iter()
            .zip(1..)
            .all(|(row, number)| row["Id"] == format!("{number}"))
    );
    assert_eq!((rows.len(), &table["count"]), (1_101, &json!(1_101)));
}

#[test]
fn a_session_that_has_ended_is_in_no_table() {
    let server = Server::with_two_sessions(Settings::default());
    let busy = server
        .engine
        .view(|views| views.open_sessions().last().unwrap().id);
    smol::block_on(server.engine.close_session(busy)).unwrap();
    let left = server.get("/rest/v1/session");
    assert!(
        left.contains(r#""Id":"1""#) && !left.contains(r#""Id":"2""#),
        "{left}"
    );
}

/// The table with `Time` set to 0, since a test may take a second or two.
fn without_time(table: &str) -> String {
    table
        .replace(r#""Time":"1""#, r#""Time":"0""#)
        .replace(r#""Time":"2""#, r#""Time":"0""#)
}
