//! What all requests have in common: paths, methods, bodies, coercions.

use crate::support::{Server, member};

#[test]
fn only_post_is_supported_and_the_status_is_200_all_the_same() {
    let server = Server::start();
    for method in ["GET", "PUT", "DELETE", "OPTIONS", "PATCH"] {
        let received = server.request(method, "/api", "");
        assert_eq!(received.status, 200);
        assert_eq!(
            received.text(),
            format!(r#"{{"message":"Unsupported http method: {method}","state":"REFUSED"}}"#)
        );
    }
    let head = server.request("HEAD", "/api", "");
    assert_eq!((head.status, head.body.len()), (200, 0));
}

#[test]
fn the_path_is_exact_and_a_query_is_not_minded() {
    let server = Server::start();
    for path in ["/API", "/api/x", "/", "/api/"] {
        assert_eq!(server.request("POST", path, "{}").status, 404, "{path}");
    }
    let received = server.request("POST", "/api?a=b", r#"{"action":"init_session"}"#);
    assert_eq!(member(received.text(), "state"), "SUCCEEDED");
}

#[test]
fn any_content_type_will_do_and_the_connection_is_kept() {
    let server = Server::start();
    let mut client = server.client();
    for kind in ["application/x-www-form-urlencoded", "text/plain", ""] {
        let headers = [("content-type", kind)];
        let body = br#"{"action":"init_session"}"#;
        let received = client.request("POST", "/api", &headers, body).unwrap();
        assert_eq!(member(received.text(), "state"), "SUCCEEDED");
        assert_eq!(received.header("set-cookie"), None);
        assert_eq!(received.header("connection"), None);
    }
}

#[test]
fn a_body_that_is_not_a_request_fails_and_echoes_nothing() {
    let server = Server::start();
    let failed = "Process request error: parse request failed: ";
    for (body, reason) in [
        ("", "request body is empty"),
        (" \n", "request body is empty"),
        ("[]", "expect {, but ["),
        (
            r#"{"requestId":"r","execTimeout":"abc"}"#,
            "parseInt error, abc",
        ),
    ] {
        assert_eq!(
            server.post(body),
            format!(r#"{{"message":"{failed}{reason}","state":"FAILED"}}"#)
        );
    }
    for body in ["not json", r#"{"requestId":"r""#, "7"] {
        let answer = server.post(body);
        assert!(member(&answer, "message").starts_with(failed), "{answer}");
        assert!(!answer.contains("requestId"), "{answer}");
    }
    assert_eq!(
        server.post("null"),
        r#"{"message":"Process request error: the request is null","state":"FAILED"}"#
    );
}

#[test]
fn a_request_id_is_echoed_as_it_is_even_when_empty_and_as_json_when_it_is_no_string() {
    let server = Server::start();
    for (sent, echoed) in [
        (r#""""#, r#""""#),
        (r#"" é/\" ""#, r#"" é/\" ""#),
        ("7", r#""7""#),
        ("[1,true]", r#""[1,true]""#),
        (r#"{"a":"b"}"#, r#""{\"a\":\"b\"}""#),
    ] {
        assert_eq!(
            server.post(&format!(r#"{{"requestId":{sent}}}"#)),
            format!(
                r#"{{"message":"'action' is required","requestId":{echoed},"state":"FAILED"}}"#
            )
        );
    }
    assert_eq!(
        server.post(r#"{"requestId":null}"#),
        r#"{"message":"'action' is required","state":"FAILED"}"#
    );
}

#[test]
fn an_action_is_known_in_any_case_and_between_blanks() {
    let server = Server::start();
    for action in [" exec ", "EXEC", "Exec", "\\texec\\n"] {
        let answer = server.post(&format!(r#"{{"action":"{action}","command":"say hi"}}"#));
        assert_eq!(member(&answer, "state"), "SUCCEEDED", "{action}");
    }
}

#[test]
fn a_command_that_is_no_string_is_run_as_its_json() {
    let server = Server::start();
    let answer = server.post(r#"{"action":"exec","command":{"a": [1]},"other":null}"#);
    assert!(
        answer.starts_with(r#"{"body":{"command":"{\"a\": [1]}","jobId":1,"#),
        "{answer}"
    );
}

#[test]
fn the_direct_row_and_tide_give_the_same_answers() {
    let direct = conversation("/api");
    assert_eq!(direct.len(), 17);
    for other_spelling in ["/./api", "/x/../api", "/%2e/api"] {
        assert_eq!(conversation(other_spelling), direct, "{other_spelling}");
    }
}

/// The status, headers and body of each answer to a fixed series of requests, without the date and
/// the identifiers of sessions and consumers.
fn conversation(path: &str) -> Vec<String> {
    // A new session is sent the time.
    let (server, _clock) = Server::in_virtual_time(|_| {});
    let mut client = server.client();
    let mut ids: Vec<(String, &str)> = Vec::new();
    let mut answers = Vec::new();
    let methods = ["GET", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH"];
    let without_body = methods.map(|method| (method, ""));
    let bodies = [
        "",
        "[]",
        r#"{"action":"dance","requestId":"1"}"#,
        r#"{"action":"init_session"}"#,
        r#"{"action":"join_session","sessionId":"SESSION"}"#,
        r#"{"action":"session_info","sessionId":"00000000-0000-0000-0000-000000000000"}"#,
        r#"{"action":"pull_results","sessionId":"SESSION","consumerId":"CONSUMER"}"#,
        r#"{"action":"pull_results","sessionId":"SESSION","consumerId":"nobody"}"#,
        r#"{"action":"interrupt_job","sessionId":"SESSION"}"#,
        r#"{"action":"close_session","sessionId":"SESSION"}"#,
        r#"{"action":"close_session","sessionId":"SESSION"}"#,
    ];
    for (method, body) in without_body
        .into_iter()
        .chain(bodies.map(|body| ("POST", body)))
    {
        let mut sent = body.to_owned();
        for (id, name) in &ids {
            sent = sent.replace(name, id);
        }
        let received = client.request(method, path, &[], sent.as_bytes()).unwrap();
        let text = received.text();
        if body.contains("init_session") {
            ids.push((member(text, "sessionId"), "SESSION"));
            ids.push((member(text, "consumerId"), "CONSUMER"));
        }
        if body.contains("join_session") {
            ids.push((member(text, "consumerId"), "JOINED"));
        }
        let headers = received.headers.iter().filter(|(name, _)| name != "date");
        let mut answer = format!(
            "{} {:?} {text}",
            received.status,
            headers.collect::<Vec<_>>()
        );
        for (id, name) in &ids {
            answer = answer.replace(id, name);
        }
        answers.push(answer);
    }
    answers
}
