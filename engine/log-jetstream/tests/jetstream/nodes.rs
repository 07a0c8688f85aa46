//! What nodes say to each other, on real servers.

use crate::servers::{ServerOptions, Servers};
use crate::{connect, copy, open, options, read, up_to};
use rejoin_cluster::NodeName;
use rejoin_log::Log;
use rejoin_log::testing::record;
use rejoin_log_jetstream::{
    Access, AskError, ConnectError, Connection, ConnectionSettings, Follower, JetStream,
    JetStreamSettings,
};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Longer than any election.
const PATIENCE: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_millis(500);

fn follow(settings: &JetStreamSettings, directory: &Path, node: &str) -> Follower<JetStream> {
    let connection = connect(settings, false).unwrap();
    let log = connection.log();
    let followed = options(node, log, false).follow_unfolded(connection, copy(directory, log));
    followed.unwrap()
}

fn read_up_to(follower: &mut Follower<JetStream>, position: u64) {
    let deadline = Instant::now() + PATIENCE;
    while follower.position() < position {
        assert!(Instant::now() < deadline, "at {}", follower.position());
        if follower.read().unwrap().is_none_or(|read| read.is_empty()) {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

#[test]
fn a_follower_reads_on_through_an_election_and_takes_the_log_when_its_owner_sleeps() {
    let mut servers = Servers::start(3, ServerOptions::USUAL);
    let settings = servers.settings("follow");
    let directory = tempfile::tempdir().unwrap();
    let mut log = open(&settings, &directory.path().join("1"), "n1", false).unwrap();
    log.append(&[record(1, 1)]).unwrap();
    let mut follower = follow(&settings, &directory.path().join("2"), "n2");
    read_up_to(&mut follower, 1);
    let leader = servers.leader("REJOIN-follow-0");
    servers.kill(leader);
    for sequence in 2..=20 {
        log.append(&[record(1, sequence)]).unwrap();
    }
    read_up_to(&mut follower, 20);
    assert_eq!(
        follower.owner().0,
        1,
        "an election of the servers changes no owner"
    );
    log.append(&[record(1, 21)]).unwrap();
    let mut taken = follower.take(&|_| true).unwrap().log;
    assert_eq!((taken.term(), read(&taken, 1)), (2, up_to(21)));
    log.append(&[record(1, 22)]).unwrap_err();
    taken.append(&[record(1, 22)]).unwrap();
    assert_eq!(read(&taken, 1), up_to(22));
}

#[test]
fn a_node_is_asked_in_its_term_and_nobody_listens_is_said_at_once() {
    let servers = Servers::start(1, ServerOptions::USUAL);
    let settings = connection(&servers);
    let cluster: NodeName = "asks".parse().unwrap();
    let (owner, asker) = (
        Connection::open(&settings).unwrap(),
        Connection::open(&settings).unwrap(),
    );
    let ask = |term, request: &str| {
        smol::block_on(asker.ask(&cluster, 3, term, request.into(), PATIENCE))
    };
    let before = Instant::now();
    assert_eq!(ask(1, "hello"), Err(AskError::NoOwner));
    assert!(before.elapsed() < PATIENCE / 2, "it waited for an answer");

    let answering = owner.answer(&cluster, 3, 1, |request| {
        Box::pin(async move {
            let is_of_another = request == b"given away";
            (!is_of_another).then(|| [b"re: ", &request[..]].concat())
        })
    });
    let answering = answering.unwrap();
    assert_eq!(ask(1, "hello"), Ok(b"re: hello".to_vec()));
    assert_eq!(ask(1, "given away"), Err(AskError::NoOwner));
    // A former owner that wakes up has another term.
    assert_eq!(ask(2, "hello"), Err(AskError::NoOwner));
    let large = "x".repeat(2 * 1024 * 1024);
    assert_eq!(ask(1, &large), Err(AskError::TooLarge));
    let almost = "x".repeat(900 * 1024);
    assert_eq!(
        ask(1, &almost).map(|answer| answer.len()),
        Ok(almost.len() + 4)
    );

    drop(answering);
    // In time: what was on the way is answered, too.
    let deadline = Instant::now() + PATIENCE / 2;
    while ask(1, "hello") != Err(AskError::NoOwner) {
        assert!(Instant::now() < deadline, "it is still answered");
    }
}

#[test]
fn a_server_that_hangs_is_left_for_another_before_other_nodes_hold_this_one_for_dead() {
    let servers = Servers::start(3, ServerOptions::USUAL);
    let all = connection(&servers);
    let (owner, asker) = (
        // Connected to the one that will hang.
        Connection::open(&ConnectionSettings {
            servers: vec![servers.addresses()[0].clone()],
            ..ConnectionSettings::default()
        })
        .unwrap(),
        Connection::open(&ConnectionSettings {
            servers: all.servers[1..].to_vec(),
            ..ConnectionSettings::default()
        })
        .unwrap(),
    );
    let cluster: NodeName = "hangs".parse().unwrap();
    let _answering = owner
        .answer(&cluster, 0, 1, |request| {
            Box::pin(async move { Some(request) })
        })
        .unwrap();
    let ask = || smol::block_on(asker.ask(&cluster, 0, 1, b"hello".to_vec(), SHORT));
    let deadline = Instant::now() + PATIENCE;
    while ask().is_err() {
        assert!(Instant::now() < deadline, "it is not answered at all");
    }
    servers.suspend(0);
    let begun = Instant::now();
    while ask().is_err() {
        assert!(
            begun.elapsed() < PATIENCE,
            "it stays with the server that hangs"
        );
        std::thread::sleep(Duration::from_millis(50));
    }
    let took = begun.elapsed();
    servers.resume(0);
    assert!(took < Duration::from_secs(20), "{took:?}");
}

#[test]
fn a_request_that_the_servers_deliver_twice_is_carried_out_once() {
    let servers = Servers::start(1, ServerOptions::USUAL);
    let connection = Connection::open(&connection(&servers)).unwrap();
    let cluster: NodeName = "twice".parse().unwrap();
    let requests = Arc::new(Mutex::new(vec![]));
    let seen = requests.clone();
    let _answering = connection
        .answer(&cluster, 0, 1, move |request| {
            seen.lock().unwrap().push(request.clone());
            Box::pin(async move { Some(request) })
        })
        .unwrap();
    let subject = "rejoin.twice.ask.0.1";
    assert_eq!(servers.ask(subject, "first"), "first");
    servers.send_again(subject, "first");
    let asked = connection.ask(&cluster, 0, 1, b"second".to_vec(), PATIENCE);
    assert_eq!(smol::block_on(asked), Ok(b"second".to_vec()));
    assert_eq!(*requests.lock().unwrap(), [&b"first"[..], b"second"]);
}

#[test]
fn an_answer_that_does_not_come_is_an_unknown_outcome() {
    let servers = Servers::start(1, ServerOptions::USUAL);
    let connection = Connection::open(&connection(&servers)).unwrap();
    let cluster: NodeName = "slow".parse().unwrap();
    let _answering = connection
        .answer(&cluster, 0, 1, |_| Box::pin(std::future::pending()))
        .unwrap();
    let asked = connection.ask(&cluster, 0, 1, b"hello".to_vec(), SHORT);
    assert_eq!(smol::block_on(asked), Err(AskError::Unanswered));
}

#[test]
fn an_append_of_any_node_is_noticed() {
    let servers = Servers::start(1, ServerOptions::USUAL);
    let settings = servers.settings("notice");
    let directory = tempfile::tempdir().unwrap();
    let mut log = open(&settings, &directory.path().join("1"), "n1", false).unwrap();
    let other = Connection::open(&connection(&servers)).unwrap();
    let notices = other.notice(&settings.cluster, 0).unwrap();
    assert!(!notices.wait(Duration::from_millis(50)));
    log.append(&[record(1, 1)]).unwrap();
    assert!(notices.wait(PATIENCE));
}

#[test]
fn servers_that_want_a_password_or_a_token_get_it_and_refuse_a_wrong_one() {
    let password = |password: &str| Access::Password {
        user: "rejoin".to_owned(),
        password: password.to_owned(),
    };
    let token = |token: &str| Access::Token(token.to_owned());
    for (authorization, right, wrong) in [
        (
            "user: rejoin, password: \"s3cret\"",
            password("s3cret"),
            password("guess"),
        ),
        ("token: \"s3cret\"", token("s3cret"), token("guess")),
    ] {
        let servers = Servers::start_with(
            1,
            ServerOptions::USUAL,
            &format!("authorization {{ {authorization} }}"),
        );
        let settings = |access| ConnectionSettings {
            access,
            ..connection(&servers)
        };
        let opened = Connection::open(&settings(right)).unwrap();
        let cluster: NodeName = "locked".parse().unwrap();
        let asked = opened.ask(&cluster, 0, 1, b"hello".to_vec(), SHORT);
        assert_eq!(smol::block_on(asked), Err(AskError::NoOwner));
        for access in [wrong, Access::Open] {
            assert!(
                !format!("{access:?}").contains("guess"),
                "a secret is shown"
            );
            let refused = Connection::open(&settings(access)).unwrap_err();
            assert!(
                matches!(&refused, ConnectError::Unreachable { reason, .. }
                    if reason.contains("authorization")),
                "{refused}"
            );
        }
    }
}

#[test]
fn servers_with_tls_are_known_by_the_authority_that_is_named_and_by_no_other() {
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let signed = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let certificate = write("cert.pem", &signed.cert.pem());
    let key = write("key.pem", &signed.signing_key.serialize_pem());
    let other = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let other = write("other.pem", &other.cert.pem());
    let tls = format!("tls {{ cert_file: {certificate:?}, key_file: {key:?} }}");
    let servers = Servers::start_with(1, ServerOptions::USUAL, &tls);
    let plain = connection(&servers).servers;
    let encrypted: Vec<_> = plain
        .iter()
        .map(|it| it.replace("nats://127.0.0.1", "tls://localhost"))
        .collect();
    let settings = |authority| ConnectionSettings {
        servers: encrypted.clone(),
        authority,
        ..ConnectionSettings::default()
    };
    let opened = Connection::open(&settings(Some(certificate))).unwrap();
    let cluster: NodeName = "hidden".parse().unwrap();
    let asked = opened.ask(&cluster, 0, 1, b"hello".to_vec(), SHORT);
    assert_eq!(smol::block_on(asked), Err(AskError::NoOwner));
    for authority in [Some(other), None] {
        let refused = Connection::open(&settings(authority)).unwrap_err();
        assert!(
            matches!(refused, ConnectError::Unreachable { .. }),
            "{refused}"
        );
    }
}

fn connection(servers: &Servers) -> ConnectionSettings {
    ConnectionSettings {
        servers: servers.settings("any").servers,
        ..ConnectionSettings::default()
    }
}
