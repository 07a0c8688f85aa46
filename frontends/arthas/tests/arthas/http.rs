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
