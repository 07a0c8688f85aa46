//! All servers of NATS have lost everything, and a node still has its copies.

use crate::gates::{start_one, with};
use crate::server::{directory, outcome, said};
use crate::servers::{ServerOptions, Servers};
use crate::{arguments, events};

#[test]
fn logs_that_all_servers_have_lost_are_made_again_from_the_copies_of_a_node() {
    let directory = directory();
    let data = directory.path().join("data");
    let nats = Servers::start(1, ServerOptions::USUAL);
    let mut node = start_one(&nats, &data);
    let (session, _) = node.create();
    node.exec(&session, "echo kept");
    let before = events(&node, &session);
    assert!(node.signal("-TERM").success());
    drop(node);
    drop(nats);

    let nats = Servers::start(1, ServerOptions::USUAL);
    let settings = with(arguments(&nats, "n1"), &["--cluster-replicas", "1"]);
    let restore = || {
        let mut all = vec!["cluster", "restore", "--data", data.to_str().unwrap()];
        all.extend(settings.iter().map(String::as_str));
        outcome(&all)
    };
    let (status, out, err) = restore();
    assert!(status.success(), "{err}");
    assert!(out.starts_with("Log 0 of node n1 has "), "{out}");

    let mut node = start_one(&nats, &data);
    let after = events(&node, &session);
    assert_eq!(after[..before.len()], before[..]);
    let results = node.exec(&session, "echo and on");
    assert!(said(&results, "stdout").contains("and on"), "{results:?}");
    assert!(node.signal("-TERM").success());

    // Not over an earlier one, and not over streams that are there.
    let (status, _, err) = restore();
    assert_eq!(status.code(), Some(2), "{err}");
    assert!(err.contains("logs.old is there already"), "{err}");
    std::fs::remove_dir_all(data.join("logs.old")).unwrap();
    let (status, _, err) = restore();
    assert_eq!(status.code(), Some(2), "{err}");
    assert!(err.contains("has messages"), "{err}");
}
