//! Conditional requests.

use crate::support::Server;
use rejoin_http::test_client::Received;

fn tag(received: &Received) -> String {
    received.header("etag").unwrap().into()
}

#[test]
fn a_tag_stays_until_something_changes() {
    let server = Server::with_sessions(2);
    for (path, other) in [
        ("/v1/sessions/1", "/v1/sessions/2"),
        ("/v1/sessions", "/v1/sessions/1"),
    ] {
        let first = server.get(path);
        assert_eq!(tag(&first).len(), 42);
        assert_ne!(tag(&first), tag(&server.get(other)));
        let known = [("if-none-match", &*tag(&first))];
        let same = server.request("GET", path, &known, "");
        assert_eq!((same.status, same.body.len()), (304, 0));
        assert_eq!(tag(&same), tag(&first));
        let session = server
            .engine
            .view(|views| views.open_sessions().next().unwrap().id);
        server.run(session, "true");
        let changed = server.request("GET", path, &known, "");
        assert_eq!(changed.status, 200);
        assert_ne!(tag(&changed), tag(&first));
        assert!(changed.header("last-modified").unwrap().ends_with(" GMT"));
    }
}

#[test]
fn a_precondition_is_checked_before_the_write() {
    let server = Server::with_sessions(1);
    let path = "/v1/sessions/1";
    let wrong = [("if-match", "\"0000\"")];
    let refused = server.request("DELETE", path, &wrong, "");
    assert_eq!((refused.status, refused.body.len()), (412, 0));
    let long_ago = [("if-unmodified-since", "Mon, 17 Jul 2017 11:10:39 GMT")];
    assert_eq!(server.request("DELETE", path, &long_ago, "").status, 412);
    let found = server.get(path);
    assert_eq!(found.status, 200, "it is still open");
    let right = [("if-match", &*tag(&found))];
    assert_eq!(server.request("DELETE", path, &right, "").status, 200);
    assert_eq!(server.get(path).status, 404);
}

#[test]
fn date_conditions_work_and_the_response_is_still_filtered() {
    let server = Server::with_sessions(3);
    let path = "/v1/sessions?page[size]=1";
    let changed = server.get(path).header("last-modified").unwrap().to_owned();
    let since = [("if-modified-since", &*changed)];
    assert_eq!(server.request("GET", path, &since, "").status, 304);
    let before = [("if-modified-since", "Mon, 17 Jul 2017 11:10:39 GMT")];
    let shown = server.request("GET", path, &before, "");
    assert_eq!(shown.status, 200);
    assert!(shown.header("etag").is_some() && shown.text().contains("\"total\": 3"));
}
