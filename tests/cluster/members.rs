//! Nodes that are added to a cluster, and nodes that are taken out of it.

use crate::server::{Server, directory, outcome, said};
use crate::servers::{ServerOptions, Servers};
use crate::{arguments, body, events, get, until, writers};
use serde_json::Value;

/// The nodes that live, as one node sees them.
fn nodes(server: &Server) -> Vec<String> {
    let (_, cluster) = get(server, "/cluster");
    let nodes = cluster["nodes"].as_array().unwrap().iter();
    nodes
        .filter(|node| node["state"] == "live")
        .map(|node| crate::server::text(&node["node"]))
        .collect()
}

#[test]
fn a_fourth_node_joins_and_what_was_the_third_ones_stays_when_it_is_retired() {
    let nats = Servers::start(1, ServerOptions::USUAL);
    let directory = directory();
    let arguments = |name: &str| {
        let mut all = arguments(&nats, name);
        all.extend(["--cluster-replicas", "1"].map(str::to_owned));
        all
    };
    let start = |name: &str| {
        let arguments = arguments(name);
        let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
        Server::start(&directory.path().join(name), &arguments)
    };
    let mut all: Vec<_> = ["n1", "n2", "n3"].map(start).into();
    let (of_third, _) = all[2].create();
    all[2].exec(&of_third, "echo before it went");

    all.push(start("n4"));
    let names = ["n1", "n2", "n3", "n4"];
    for node in &all {
        until("each node knows all four", || {
            nodes(node) == names && writers(node).len() == 4
        });
    }
    let (of_fourth, _) = all[3].create();
    let results = all[0].exec(&of_fourth, "echo at the fourth");
    assert!(said(&results, "stdout").contains("at the fourth"));
    let (_, shown) = get(&all[1], &format!("/sessions/{of_fourth}"));
    assert_eq!(shown["node"], "n4", "{shown}");

    let one = format!("http://{}", all[0].address);
    let retire = |node: &str| outcome(&["cluster", "retire", node, "--server", &one]);
    for (node, why) in [
        ("n3", "n3 is alive: stop it first"),
        ("n1", "n1 is the one that was asked"),
        ("n9", "no node n9"),
    ] {
        let (status, out, err) = retire(node);
        assert!(!status.success() && out.is_empty(), "{node}: {out}");
        assert!(err.contains(why), "{err}");
    }
    let ended = all[2].signal("-TERM");
    assert!(ended.success(), "{ended}");
    let writer = || writers(&all[0]).get(&2).map(|(writer, _)| writer.clone());
    until("another node writes its log", || {
        writer().is_some_and(|writer| writer != "n3")
    });
    until("nobody waits for it", || {
        !nodes(&all[0]).contains(&"n3".to_owned())
    });
    for _ in 0..2 {
        let (status, out, err) = retire("n3");
        assert!(status.success(), "{err}");
        assert!(
            out.starts_with("Node n3 is out of the cluster: node n"),
            "{out}"
        );
    }
    let (_, out, _) = outcome(&["cluster", "status", "--server", &one]);
    assert!(out.contains("n3 (retired)"), "{out}");
    let retired = |line: &str| line.starts_with("n3 ") && line.contains("retired");
    assert!(out.lines().any(retired), "{out}");

    // Its session is read, used and closed, wherever that is asked.
    let session = format!("/sessions/{of_third}");
    for node in [&all[0], &all[1], &all[3]] {
        let ran = |event: &Value| event["statement"] == "echo before it went";
        assert!(events(node, &of_third).iter().any(ran));
        assert_eq!(body(node, "/readyz"), "ready\n");
        assert_eq!(nodes(node), ["n1", "n2", "n4"]);
    }
    let results = all[1].exec(&of_third, "echo after it");
    assert!(said(&results, "stdout").contains("after it"), "{results:?}");

    // Its name is refused from then on, with its old directory and with a new one.
    for data in ["n3", "new"] {
        let data = directory.path().join(data);
        let mut again = vec![
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--data",
            data.to_str().unwrap(),
        ];
        let arguments = arguments("n3");
        again.extend(arguments.iter().map(String::as_str));
        let (status, out, err) = outcome(&again);
        assert_eq!((status.code(), &*out), (Some(1), ""), "{err}");
        assert!(err.contains("node n3 was retired"), "{err}");
    }
    let closed = all[3]
        .client()
        .request("DELETE", &session, &[], b"")
        .unwrap();
    assert!(closed.status < 300, "{}", closed.text());
    let (_, shown) = get(&all[3], &session);
    assert_ne!(shown["closed"], Value::Null, "{shown}");
}
