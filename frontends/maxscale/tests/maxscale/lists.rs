//! Lists and their pages.

use crate::support::Server;
use serde_json::{Value, json};

#[test]
fn all_sessions_are_listed_by_number() {
    let server = Server::with_sessions(3);
    let listed = server.json("/v1/sessions");
    assert_eq!(server.ids("/v1/sessions"), [1, 2, 3]);
    let own = format!("http://{}/v1/sessions/", server.http.address());
    assert_eq!(listed["links"], json!({"self": own}));
    assert_eq!(listed.get("meta"), None);
    let members: Vec<_> = listed.as_object().unwrap().keys().collect();
    assert_eq!(members, ["data", "links"]);
    assert_eq!(server.json("/v1/sessions/")["links"], listed["links"]);
}

#[test]
fn names_are_not_looked_up_and_nothing_is_synchronized() {
    let server = Server::with_sessions(1);
    let listed = server.json("/v1/sessions?rdns=true&sync=false");
    assert_eq!(listed["data"][0]["attributes"]["remote"], "10.1.2.3");
}

#[test]
fn without_sessions_the_list_is_empty() {
    let server = Server::start();
    let received = server.get("/v1/sessions");
    let own = format!("http://{}/v1/sessions/", server.http.address());
    let expected = "{\n    \"data\": [],\n    \"links\": {\n        \"self\": \"OWN\"\n    }\n}";
    assert_eq!(received.text(), expected.replace("OWN", &own));
    let page = server.json("/sessions?page[size]=5");
    assert_eq!(page["meta"]["total"], 0);
    assert!(
        page["links"]["last"]
            .as_str()
            .unwrap()
            .ends_with("page%5Bnumber%5D=0")
    );
}

#[test]
fn pages_are_walked_by_their_links() {
    let server = Server::with_sessions(5);
    let mut path = "/v1/sessions?page[size]=2".to_owned();
    let mut seen = vec![];
    let base = format!("http://{}", server.http.address());
    loop {
        let page = server.json(&path);
        assert_eq!(page["meta"], json!({"total": 5}));
        let links = &page["links"];
        let first = format!("{base}/v1/sessions/?page%5Bsize%5D=2&page%5Bnumber%5D=0");
        assert_eq!(links["first"], first);
        assert_eq!(links["last"], first.replace("D=0", "D=2"));
        assert_eq!(links.get("prev").is_some(), !seen.is_empty());
        seen.push(server.ids(&path));
        match links.get("next").and_then(Value::as_str) {
            Some(next) => path = next.strip_prefix(&base).unwrap().into(),
            None => break,
        }
    }
    assert_eq!(seen, [vec![1, 2], vec![3, 4], vec![5]]);
}

#[test]
fn pages_are_cut_even_where_all_would_fit_and_beyond_the_end_there_is_nothing() {
    let server = Server::with_sessions(3);
    assert_eq!(server.ids("/v1/sessions?page[size]=9999"), [1, 2, 3]);
    let beyond = server.json("/v1/sessions?page[size]=9999&page[number]=1");
    assert_eq!(beyond["data"], json!([]));
    assert_eq!(beyond["links"].get("next"), None);
    assert_eq!(beyond["links"].get("prev"), None);
    let all = server.json("/v1/sessions?page[size]=9999");
    assert_eq!(all["links"]["first"], all["links"]["last"]);
    for huge in ["18446744073709551615", "99999999999999999999"] {
        let path = format!("/v1/sessions?page[size]={huge}&page[number]=2");
        assert_eq!(server.get(&path).status, 200);
    }
}

#[test]
fn a_page_of_a_filtered_list_leads_to_the_next_of_the_same() {
    let server = Server::with_sessions(9);
    let filter = "filter=attributes/user=%22ada%22&fields[sessions]=user";
    let page = server.json(&format!(
        "/v1/sessions?{filter}&page[size]=2&page[number]=1"
    ));
    assert_eq!(page["meta"]["total"], 5);
    let base = format!("http://{}", server.http.address());
    let next = page["links"]["next"]
        .as_str()
        .unwrap()
        .strip_prefix(&base)
        .unwrap();
    assert_eq!(server.ids(next), [9]);
    assert_eq!(
        server.json(next)["data"][0]["attributes"],
        json!({"user": "ada"})
    );
    // The same with a filter that no index serves.
    let looked = "/v1/sessions?filter[attributes.user]=ne(%22bob%22)&page[size]=2&page[number]=1";
    assert_eq!(server.ids(looked), [5, 7]);
    assert_eq!(server.json(looked)["meta"]["total"], 5);
}

#[test]
fn a_long_list_is_streamed() {
    let server = Server::with_sessions(1_101);
    let received = server.get("/v1/sessions?fields[sessions]=user&pretty=0");
    assert_eq!(received.header("content-length"), None);
    let listed: Value = serde_json::from_slice(&received.body).unwrap();
    let data = listed["data"].as_array().unwrap();
    assert_eq!(data.len(), 1_101);
    assert!(
        data.iter()
            .zip(1..)
            .all(|(it, number)| it["id"] == format!("{number}"))
    );
    assert_eq!(
        server.ids("/v1/sessions?page[size]=100&page[number]=11"),
        [1_101]
    );
    // A filter that matches few sessions continues beyond the first step.
    assert_eq!(
        server.ids("/v1/sessions?filter=id=or(eq(7),eq(1100))"),
        [7, 1_100]
    );
}
