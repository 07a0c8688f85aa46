//! Servers that are not trusted with a log.

use crate::servers::{ServerOptions, Servers};
use crate::{connect, open};
use rejoin_log::Log;
use rejoin_log::testing::record;
use rejoin_log_jetstream::{ConnectError, JetStreamSettings, ServerFault, SyncProof};

fn gate(settings: &JetStreamSettings, has_records: bool) -> ServerFault {
    match connect(settings, has_records) {
        Err(ConnectError::ServerFault(gate)) => gate,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_server_that_does_not_sync_is_refused_unless_that_is_not_required() {
    let options = ServerOptions {
        syncs: false,
        ..ServerOptions::USUAL
    };
    let servers = Servers::start(1, options);
    let settings = servers.settings("lazy");
    let refused = gate(&settings, false);
    assert!(
        matches!(refused, ServerFault::NotSynced { .. }),
        "{refused}"
    );
    assert!(refused.to_string().contains("sync_interval: always"));
    let tolerant = JetStreamSettings {
        sync: SyncProof::NotRequired,
        ..settings.clone()
    };
    connect(&tolerant, false).unwrap();
    let nobody = JetStreamSettings {
        sync: SyncProof::Monitoring(vec!["127.0.0.1:1".to_owned()]),
        ..settings.clone()
    };
    assert!(matches!(
        gate(&nobody, false),
        ServerFault::SyncUnknown { .. }
    ));
    let none = JetStreamSettings {
        sync: SyncProof::Monitoring(vec![]),
        ..settings
    };
    assert!(matches!(
        gate(&none, false),
        ServerFault::NotAllAsked { .. }
    ));
}

#[test]
fn small_messages_few_replicas_and_other_configurations_are_refused() {
    let options = ServerOptions {
        max_payload: 512 * 1024,
        ..ServerOptions::USUAL
    };
    let servers = Servers::start(1, options);
    let refused = gate(&servers.settings("small"), false);
    assert_eq!(refused, ServerFault::Payload { found: 512 * 1024 });
    drop(servers);

    let servers = Servers::start(1, ServerOptions::USUAL);
    let settings = servers.settings("few");
    connect(&settings, false).unwrap();
    let three = JetStreamSettings {
        replicas: 3,
        sync: SyncProof::NotRequired,
        ..settings
    };
    let refused = gate(&three, false);
    assert!(
        matches!(
            refused,
            ServerFault::Replicas {
                found: 1,
                wanted: 3,
                ..
            }
        ),
        "{refused}"
    );
    let new = JetStreamSettings {
        cluster: "new".parse().unwrap(),
        ..three
    };
    let refused = connect(&new, false).unwrap_err();
    assert!(matches!(refused, ConnectError::Refused { .. }), "{refused}");

    let aged = r#"{"name":"REJOIN-aged-0","subjects":["rejoin.aged.log.0"],"storage":"file",
        "num_replicas":1,"retention":"limits","discard":"old","max_age":3600000000000,
        "allow_direct":true,"allow_atomic":true}"#;
    let aged = aged.replace('\n', "");
    let created = servers.ask("$JS.API.STREAM.CREATE.REJOIN-aged-0", &aged);
    assert!(created.contains("\"config\""), "{created}");
    let refused = gate(&servers.settings("aged"), false);
    assert!(
        matches!(refused, ServerFault::Configuration { .. }),
        "{refused}"
    );
}

#[test]
fn a_stream_that_its_servers_have_lost_is_not_created_again() {
    let servers = Servers::start(1, ServerOptions::USUAL);
    let settings = servers.settings("gone");
    let directory = tempfile::tempdir().unwrap();
    let mut log = open(&settings, directory.path(), "n1", false).unwrap();
    log.append(&[record(1, 1)]).unwrap();
    drop(log);
    let deleted = servers.ask("$JS.API.STREAM.DELETE.REJOIN-gone-0", "");
    assert!(deleted.contains("\"success\":true"), "{deleted}");
    let refused = gate(&settings, true);
    assert!(matches!(refused, ServerFault::Gone { .. }), "{refused}");
    assert!(refused.to_string().contains("REJOIN-gone-0"));
}

#[test]
fn no_server_at_all_is_said_with_its_address() {
    let settings = JetStreamSettings {
        servers: vec!["nats://127.0.0.1:1".to_owned()],
        cluster: "none".parse().unwrap(),
        number: 0,
        replicas: 1,
        sync: SyncProof::NotRequired,
    };
    let refused = connect(&settings, false).unwrap_err().to_string();
    assert!(refused.contains("nats://127.0.0.1:1"), "{refused}");
}
