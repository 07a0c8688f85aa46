//! Who watches a session now, as the API and the command line say it.

use crate::accounts::with_accounts;
use crate::server::{Server, rejoin};
use crate::shell::wait_until;
use rejoin_http::test_client::Client;
use serde_json::{Value, json};

const ADA: &str = "Basic YWRhOmFkYS1zZWNyZXQ=";
const OLGA: &str = "Basic b2xnYTpvbGdhLXNlY3JldA==";

fn ask(server: &Server, method: &str, path: &str, authorization: &str, body: &Value) -> Value {
    let mut client = server.client();
    let headers = [("authorization", authorization)];
    let body = body.to_string();
    let received = client.request(method, path, &headers, body.as_bytes());
    let received = received.unwrap();
    assert!(received.status < 300, "{path}: {}", received.text());
    received.json()
}

/// A client that reads a session's stream for as long as it is kept.
fn watch(server: &Server, path: &str, authorization: &str) -> Client {
    let mut client = server.client();
    let headers = [("authorization", authorization)];
    let path = format!("{path}/stream");
    client.send_request("GET", &path, &headers, b"").unwrap();
    assert_eq!(client.receive_head().unwrap().status, 200);
    client
}

/// As the console and the terminal in it do.
#[test]
fn what_one_client_of_an_account_reads_is_one_viewer() {
    let data = with_accounts();
    let server = Server::start(data.path(), &[]);
    let session = ask(&server, "POST", "/sessions", OLGA, &json!({}));
    let path = format!("/sessions/{}", session["id"].as_str().unwrap());
    let count = || {
        let path = format!("{path}/viewers");
        ask(&server, "GET", &path, OLGA, &Value::Null)["count"].as_u64()
    };
    let watch = |client: &str, authorization: &str| {
        let mut connection = server.client();
        let headers = [("authorization", authorization)];
        let path = format!("{path}/stream?client={client}");
        connection
            .send_request("GET", &path, &headers, b"")
            .unwrap();
        connection.receive_head().unwrap();
        connection
    };
    let page = watch("window", OLGA);
    let frame = watch("window", OLGA);
    assert_eq!(count(), Some(1));
    let others = [watch("another", OLGA), watch("window", ADA)];
    assert_eq!(count(), Some(3));
    drop(page);
    drop(others);
    wait_until("the others are gone", || count() == Some(1));
    drop(frame);
    wait_until("nobody is left", || count() == Some(0));
    let mut connection = server.client();
    let headers = [("authorization", OLGA)];
    let path = format!("{path}/stream?client=a%20b");
    let refused = connection.request("GET", &path, &headers, b"").unwrap();
    assert_eq!(refused.status, 400, "{}", refused.text());
}

#[test]
fn viewers_come_and_go_with_their_connections() {
    let data = with_accounts();
    let server = Server::start(data.path(), &[]);
    let session = ask(&server, "POST", "/sessions", OLGA, &json!({}));
    let path = format!("/sessions/{}", session["id"].as_str().unwrap());
    let viewers = || {
        ask(
            &server,
            "GET",
            &format!("{path}/viewers"),
            OLGA,
            &Value::Null,
        )
    };
    let accounts = || {
        let viewers = viewers();
        let listed = viewers["viewers"].as_array().unwrap();
        assert_eq!(viewers["count"], listed.len());
        let accounts = listed
            .iter()
            .map(|viewer| viewer["by"]["account"].as_str().unwrap().to_owned());
        accounts.collect::<Vec<_>>()
    };
    assert_eq!(accounts(), [""; 0]);

    let first = watch(&server, &path, OLGA);
    let second = watch(&server, &path, OLGA);
    let third = watch(&server, &path, ADA);
    assert_eq!(accounts(), ["olga", "olga", "ada"], "two consoles are two");
    let join = json!({"action": "join_session", "sessionId": session["id"]});
    let joined = ask(&server, "POST", "/api", ADA, &join);
    assert_eq!(joined["state"], "SUCCEEDED");
    assert_eq!(accounts(), ["olga", "olga", "ada", "ada"]);
    let found = viewers();
    let kinds = found["viewers"].as_array().unwrap().iter();
    let kinds: Vec<_> = kinds
        .map(|viewer| (&viewer["by"]["frontend"], &viewer["consumer"]))
        .collect();
    assert_eq!(kinds[0], (&json!("native"), &Value::Null));
    assert_eq!(kinds[3], (&json!("arthas"), &json!(1)));
    assert_eq!(
        found["viewers"][0]["by"]["address"],
        first.local_addr().unwrap().to_string()
    );
    assert!(found["viewers"][3]["since"].as_u64() >= session["created"].as_u64());

    let address = format!("http://{}", server.address);
    let shown = rejoin(&["show", "1", "--server", &address, "--login", "olga"])
        .env("REJOIN_PASSWORD", "olga-secret")
        .output()
        .unwrap();
    let shown = String::from_utf8(shown.stdout).unwrap();
    assert!(shown.contains("viewer    olga (native) since "), "{shown}");
    assert!(shown.contains("viewer    ada (arthas) since "), "{shown}");

    drop((second, third));
    // A server learns that a client is gone when it writes to it, or reads its end.
    wait_until("the viewers that left are gone", || {
        accounts() == ["olga", "ada"]
    });
}
