//! One session: its attributes, and how it is closed.

use crate::support::Server;
use rejoin_accounts::Accounts;
use rejoin_engine::testing::Hold;
use serde_json::{Value, json};
use std::time::Duration;

/// The members are those of the documentation's example.
#[test]
fn a_session_is_shown_as_documented() {
    let server = Server::with_sessions(1);
    let shown = server.json("/v1/sessions/1");
    let base = format!("http://{}/v1", server.http.address());
    assert_eq!(
        shown["links"],
        json!({"self": format!("{base}/sessions/1")})
    );
    let data = &shown["data"];
    assert_eq!(
        (&data["id"], &data["type"]),
        (&json!("1"), &json!("sessions"))
    );
    assert_eq!(data["links"], shown["links"]);
    let services = &data["relationships"]["services"];
    assert_eq!(
        services["data"],
        json!([{"id": "shell", "type": "services"}])
    );
    assert_eq!(services["links"]["self"], format!("{base}/services/"));
    let attributes = &data["attributes"];
    assert_eq!(attributes["state"], "Session ready for routing");
    assert_eq!(attributes["user"], "ada");
    assert_eq!(attributes["remote"], "10.1.2.3");
    assert_eq!(attributes["port"], 4567);
    assert!(attributes["idle"].is_f64());
    let connected = attributes["connected"].as_str().unwrap();
    assert_eq!(connected.len(), "Mon Jul 17 11:10:39 2017".len());
}

#[test]
fn newer_attributes_have_the_documented_types() {
    let server = Server::with_sessions(1);
    let attributes = &server.json("/v1/sessions/1")["data"]["attributes"];
    assert!(attributes["queries"].is_array() && attributes["connections"].is_array());
    assert!(attributes["memory"]["total"].is_u64() && attributes["client"].is_object());
    assert!(attributes["seconds_alive"].is_f64() && attributes["thread"].is_u64());
    assert!(attributes["log"].is_array() && attributes["io_activity"].is_u64());
    assert_eq!(attributes["parameters"]["log_info"], false);
}

#[test]
fn a_session_of_nobody_has_the_user_that_the_server_runs_as() {
    let open = Accounts::open().unwrap();
    let server = Server::start_with(open.clone());
    server.create(None, "shell");
    server.create(Some("ada"), "shell");
    let user = &server.json("/v1/sessions/1")["data"]["attributes"]["user"];
    assert_eq!(*user, **open.server_user());
    let filter = |user: &str| format!("/v1/sessions?filter=/attributes/user=%22{user}%22");
    assert_eq!(server.ids(&filter(open.server_user())), [1]);
    assert_eq!(server.ids(&filter("ada")), [2]);
    assert!(server.ids(&filter("")).is_empty());
}

#[test]
fn the_running_statement_comes_first_and_then_the_last_ten() {
    let server = Server::start();
    let session = server.create(None, "shell");
    for _ in 0..12 {
        server.run(session, "true");
    }
    let queries = |server: &Server| -> Vec<Value> {
        let shown = server.json("/v1/sessions/1");
        assert!(shown["data"]["attributes"]["idle"].is_f64());
        shown["data"]["attributes"]["queries"]
            .as_array()
            .unwrap()
            .clone()
    };
    let idle = queries(&server);
    assert_eq!(idle.len(), 10);
    assert!(
        idle.iter()
            .all(|it| it["completed"].is_string() && it["statement"] == "true")
    );
    assert!(idle[0]["responses"][0]["duration"].is_u64());
    server.run(session, "sleep 100");
    let busy = queries(&server);
    assert_eq!(busy.len(), 11);
    assert_eq!(
        (&busy[0]["statement"], busy[0].get("completed")),
        (&json!("sleep 100"), None)
    );
}

#[test]
fn a_missing_session_differs_from_an_invalid_id() {
    let server = Server::with_sessions(1);
    for method in ["GET", "DELETE", "PATCH"] {
        assert_eq!(
            server.fault(method, "/v1/sessions/9", ""),
            (404, String::new()),
            "{method}"
        );
        for id in ["abc", "0", "-1", "99999999999999999999"] {
            let (status, detail) = server.fault(method, &format!("/v1/sessions/{id}"), "");
            assert_eq!((status, detail), (404, format!("{id} is not a session")));
        }
    }
}

#[test]
fn a_killed_session_is_gone_for_everyone() {
    let server = Server::with_sessions(2);
    let session = server
        .engine
        .view(|views| views.open_sessions().next().unwrap().id);
    server.run(session, "sleep 100");
    let killed = server.request("DELETE", "/v1/sessions/1?ttl=0", &[], "");
    assert_eq!((killed.status, killed.body.len()), (200, 0));
    assert!(
        server
            .engine
            .session_view(session)
            .unwrap()
            .closed
            .is_some()
    );
    assert_eq!(
        server.fault("DELETE", "/v1/sessions/1", ""),
        (404, String::new())
    );
    assert_eq!(server.ids("/v1/sessions"), [2]);
}

#[test]
fn a_session_with_a_time_to_live_ends_after_it_and_not_before() {
    let (server, clock) = Server::in_virtual_time();
    server.create(None, "shell");
    for _ in 0..2 {
        assert_eq!(
            server
                .request("DELETE", "/v1/sessions/1?ttl=7", &[], "")
                .status,
            200
        );
    }
    clock.wait_for_timer(Duration::from_secs(7));
    clock.advance(Duration::from_millis(6_999));
    assert_eq!(server.get("/v1/sessions/1").status, 200);
    clock.advance(Duration::from_millis(1));
    // The `ttl` has passed, so the session is closed at any moment.
    while server.get("/v1/sessions/1").status != 404 {}
}

#[test]
fn patch_refuses_what_a_session_does_not_have_and_restart_has_nothing_to_do() {
    let server = Server::with_sessions(1);
    let session = "/v1/sessions/1";
    let parameters = |value: &str| {
        format!(r#"{{"data":{{"attributes":{{"parameters":{{"log_info":{value}}}}}}}}}"#)
    };
    let filters = r#"{"data":{"relationships":{"filters":{"data":[{"id":"Hint"}]}}}}"#;
    let number = r#"{"data":{"relationships":{"filters":{"data":[{"id":1}]}}}}"#;
    let ok = (200, String::new());
    let no_log = "Cannot set log_info: a session has no log of its own";
    let on = server.fault("PATCH", session, &parameters("true"));
    assert_eq!(on, (400, no_log.into()));
    for no_change in ["false", "1", "\"yes\""] {
        assert_eq!(server.fault("PATCH", session, &parameters(no_change)), ok);
    }
    assert_eq!(
        server.fault("PATCH", session, ""),
        (400, "Missing request body".into())
    );
    assert_eq!(
        server.fault("PATCH", session, filters),
        (400, "Not a valid filter: Hint".into())
    );
    let not_a_string = (400, "Not a JSON string but a integer".into());
    assert_eq!(server.fault("PATCH", session, number), not_a_string);
    let relationship = "/v1/sessions/1/relationships/filters";
    assert_eq!(server.fault("PATCH", relationship, r#"{"data":[]}"#), ok);
    let form = [("content-type", "application/x-www-form-urlencoded")];
    for path in ["/v1/sessions/1/restart", "/v1/sessions/restart"] {
        let restarted = server.request("POST", path, &form, "");
        assert_eq!((restarted.status, restarted.body.len()), (200, 0));
    }
    assert_eq!(
        server.fault("POST", "/v1/sessions/9/restart", ""),
        (404, String::new())
    );
}

#[test]
fn a_node_that_cannot_ask_does_not_say_that_a_session_is_not_there() {
    let engine = rejoin_engine::testing::cut_off_node(Hold::services(["shell"]));
    let server = Server::of(engine, Accounts::open().unwrap());
    for method in ["GET", "DELETE"] {
        let mut client = server.http.client();
        // In log 1 of 16.
        let answer = client.request(method, "/v1/sessions/17", &[], b"").unwrap();
        assert_eq!(answer.status, 503, "{}", answer.text());
        assert!(
            answer.text().contains("did not answer"),
            "{}",
            answer.text()
        );
    }
}
