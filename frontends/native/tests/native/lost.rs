//! Lost and removed records: readers learn which.

use crate::support::{Server, kinds};
use rejoin_core::testing::{SESSION, created, instant, record_at};
use rejoin_engine::{CloseCause, Config, Event, JobId, LossCause, Record, Sequence, SessionNumber};
use serde_json::json;

pub(crate) fn record(sequence: u64, event: Event) -> Record {
    record_at(sequence, instant(sequence), event)
}

#[test]
fn a_declared_gap_is_an_event_like_any_other() {
    let lost = Event::RecordsLost {
        first: Sequence(2),
        last: Sequence(9),
        cause: LossCause::Damage,
    };
    let closed = Event::SessionClosed {
        cause: CloseCause::Requested,
    };
    let records = [record(1, created()), record(9, lost), record(10, closed)];
    let server = Server::with(Config::default(), &records);
    let path = format!("/sessions/{SESSION}");
    for after in 0..=10 {
        let page = server.get(&format!("{path}/events?after={after}"));
        let expected: Vec<_> = ["session-created", "records-lost", "session-closed"]
            .into_iter()
            .zip([1, 9, 10])
            .filter(|(_, sequence)| *sequence > after)
            .map(|(kind, _)| kind)
            .collect();
        let events = page["events"].as_array().unwrap();
        assert_eq!(kinds(events), expected, "after {after}");
        if let Some(lost) = events.iter().find(|event| event["type"] == "records-lost") {
            let expected_loss = json!({
                "sequence": 9, "at": lost["at"], "type": "records-lost",
                "first": 2, "last": 9, "cause": "damage",
            });
            assert_eq!(*lost, expected_loss);
        }
    }
    let stream = server.request("GET", &format!("{path}/stream?after=3"), b"");
    let ids: Vec<_> = stream
        .text()
        .lines()
        .filter(|it| it.starts_with("id: "))
        .collect();
    let sequences: Vec<_> = ids.iter().filter_map(|it| it.split('-').next()).collect();
    assert_eq!(sequences, ["id: 9", "id: 10"]);
}

#[test]
fn a_read_of_a_removed_session_says_which_sequences_are_gone() {
    // The record that remains of it.
    let removed = Event::RecordsLost {
        first: Sequence(1),
        last: Sequence(8),
        cause: LossCause::Retention {
            last_number: SessionNumber(3),
            last_job: JobId(5),
        },
    };
    let server = Server::with(Config::default(), &[record(9, removed)]);
    let session = SESSION;
    let page = server.get(&format!("/sessions/{session}/events"));
    let lost = &page["events"][0];
    assert_eq!(
        (&lost["type"], &lost["cause"]),
        (&json!("records-lost"), &json!("retention"))
    );
    assert_eq!((&lost["first"], &lost["last"]), (&json!(1), &json!(8)));
    assert_eq!(page["ended"], true);
    let stream = server.request("GET", &format!("/sessions/{session}/stream"), b"");
    assert_eq!(stream.status, 200);
    assert!(stream.text().contains("records-lost"), "{}", stream.text());
    assert!(stream.text().contains("event: end\n"), "{}", stream.text());
    let rest = format!("/sessions/{session}/stream?after={}", page["after"]);
    assert_eq!(server.request("GET", &rest, b"").status, 204);
    assert_eq!(
        server.fault("GET", &format!("/sessions/{session}"), b""),
        (410, "session_gone".into())
    );
}
