//! Filters and fields, over a real connection; the filter language has unit tests.

use crate::support::Server;
use serde_json::json;

#[test]
fn the_documented_filters_select_the_documented_sessions() {
    let server = Server::with_sessions(9);
    let service = "relationships/services/data/0/id";
    for (query, expected) in [
        ("filter=id=and(ge(3),le(5))", vec![3, 4, 5]),
        ("filter=/id=or(eq(1),eq(5))", vec![1, 5]),
        ("filter=id=%227%22", vec![7]),
        ("filter=id=not(gt(2))", vec![1, 2]),
        ("filter=attributes/user=%22bob%22", vec![2, 4, 6, 8]),
        (
            "filter[attributes.user]=eq(%22bob%22)&filter[id]=gt(5)",
            vec![6, 8],
        ),
        (
            "filter=attributes/user=%22bob%22&filter[id]=gt(5)",
            vec![6, 8],
        ),
        (&format!("filter=/{service}=%22sql%22"), vec![2, 4, 6, 8]),
        (
            "filter[relationships.services.data[*].id]=%22shell%22&filter[id]=lt(4)",
            vec![1, 3],
        ),
        (
            "filter=attributes/user=%22ada%22&filter[relationships.services.data[0].id]=%22sql%22",
            vec![],
        ),
        (
            "filter=attributes/state=%22Session%20ready%20for%20routing%22&filter[id]=1",
            vec![1],
        ),
        (
            "filter=attributes/idle=lt(1000)&filter[id]=lt(3)",
            vec![1, 2],
        ),
        ("filter=attributes/nothing=ne(1)", vec![]),
        ("filter=nothing", (1..=9).collect()),
    ] {
        assert_eq!(
            server.ids(&format!("/v1/sessions?{query}")),
            expected,
            "{query}"
        );
    }
}

#[test]
fn an_invalid_filter_is_refused_with_the_message_of_the_product() {
    let server = Server::with_sessions(1);
    for (query, detail) in [
        (
            "filter=id=magic(1)",
            "Not a valid filter expression: magic(1)",
        ),
        ("filter=id=magic", "Not a valid filter expression: magic"),
        ("filter=id=", "Empty filter expression"),
        ("filter[id]=eq(1", "Expected ')', got ''"),
        ("filter=id=true", "Not a valid filter expression: true"),
    ] {
        let path = format!("/v1/sessions?{query}");
        assert_eq!(
            server.fault("GET", &path, ""),
            (400, detail.into()),
            "{query}"
        );
    }
}

#[test]
fn a_bare_quote_is_taken_in_the_first_url_of_a_connection() {
    let server = Server::with_sessions(1);
    assert_eq!(server.ids("/v1/sessions?filter=id=\"1\""), [1]);
    assert_eq!(server.ids("/v1/sessions?filter=id=%221%22"), [1]);
}

#[test]
fn one_session_is_not_filtered() {
    let server = Server::with_sessions(1);
    assert_eq!(server.get("/v1/sessions/1?filter=id=eq(7)").status, 200);
    assert_eq!(
        server.fault("GET", "/v1/sessions/1?filter[id]=eq(1)", ""),
        (400, String::new())
    );
}

#[test]
fn only_requested_fields_are_shown() {
    let server = Server::with_sessions(2);
    for path in ["/v1/sessions/1", "/v1/sessions?filter=id=1"] {
        let join = if path.contains('?') { '&' } else { '?' };
        let shown = |fields: &str| {
            let body = server.json(&format!("{path}{join}fields[sessions]={fields}"));
            let data = &body["data"];
            data.get(0).unwrap_or(data).clone()
        };
        let one = shown("user");
        assert_eq!(one["attributes"], json!({"user": "ada"}));
        let members: Vec<_> = one.as_object().unwrap().keys().collect();
        assert_eq!(members, ["attributes", "id", "links", "type"]);
        assert_eq!(shown("services").get("attributes"), None);
        assert_eq!(
            shown("client/cipher")["attributes"],
            json!({"client": {"cipher": ""}})
        );
        assert!(shown("")["attributes"]["queries"].is_array());
    }
    let other = server.json("/v1/sessions/1?fields[servers]=x");
    assert!(other["data"]["attributes"]["queries"].is_array());
}
