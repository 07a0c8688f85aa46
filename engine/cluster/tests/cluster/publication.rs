//! What an append without an answer means.

use crate::scripted::{Call, Scripted};
use rejoin_cluster::{
    Appended, Bounds, Got, Link, Message, MessageKind, Progress, Publication, PublishVerdict,
};
use rejoin_log::segment::LogId;

fn encoded(term: u64, body: &[u8]) -> Vec<u8> {
    Message {
        kind: MessageKind::Batch,
        more: false,
        log: LogId::from_bytes([3; 16]),
        term,
        number: 8,
        position: Link::START.position,
        records: 1,
        previous: 1,
        body: body.to_vec(),
    }
    .encode()
}

/// Steps until the end. Returns the pauses on the way, and the end.
fn publish(calls: Vec<Call>) -> (usize, PublishVerdict) {
    let mut server = Scripted::new(calls);
    let mut publication = Publication::new(7, vec![encoded(2, b"mine")]);
    let mut pauses = 0;
    loop {
        match publication.step(&mut server) {
            Progress::Again => {}
            Progress::Pause => pauses += 1,
            Progress::Done(verdict) => {
                assert!(server.is_done(), "{server:?}");
                // Whatever happens, the same bytes are sent.
                assert!(server.sent.iter().all(|sent| *sent == encoded(2, b"mine")));
                return (pauses, verdict);
            }
        }
    }
}

const fn nothing(first: u64, last: u64) -> Got {
    Got::Nothing(Bounds { first, last })
}

#[test]
fn an_answer_is_believed() {
    let calls = vec![Call::Append(7, Appended::Stored(8))];
    assert_eq!(publish(calls), (0, PublishVerdict::Stored));
}

#[test]
fn what_was_not_answered_is_sent_again_until_it_is_found_to_be_ours() {
    let calls = vec![
        Call::Append(7, Appended::Unknown),
        Call::Append(7, Appended::Unknown),
        Call::Append(7, Appended::WrongLast),
        Call::Get(8, Got::Unknown),
        Call::Get(8, Got::Message(encoded(2, b"mine"))),
    ];
    assert_eq!(publish(calls), (3, PublishVerdict::Stored));
}

#[test]
fn what_is_in_the_way_and_can_not_be_read_yet_decides_nothing() {
    let calls = vec![
        Call::Append(7, Appended::WrongLast),
        Call::Get(8, nothing(1, 7)),
        Call::Append(7, Appended::WrongLast),
        // A new leader that has not caught up.
        Call::Get(8, nothing(1, 5)),
        Call::Append(7, Appended::Stored(8)),
    ];
    assert_eq!(publish(calls), (2, PublishVerdict::Stored));
}

#[test]
fn another_message_at_our_place_fences_us() {
    let calls = vec![
        Call::Append(7, Appended::WrongLast),
        Call::Get(8, Got::Message(encoded(3, b"theirs"))),
    ];
    assert_eq!(publish(calls), (0, PublishVerdict::Fenced(Some(3))));
    // Of a sleeper whose place was purged while it slept.
    let calls = vec![
        Call::Append(7, Appended::WrongLast),
        Call::Get(8, nothing(20, 30)),
    ];
    assert_eq!(publish(calls), (0, PublishVerdict::Fenced(None)));
}

#[test]
fn a_message_that_the_server_counts_and_does_not_have_is_damage_and_not_absence() {
    let calls = vec![
        Call::Append(7, Appended::Unknown),
        Call::Append(7, Appended::WrongLast),
        Call::Get(8, nothing(1, 8)),
    ];
    let (_, PublishVerdict::Damaged(damage)) = publish(calls) else {
        panic!("the damage was not found");
    };
    assert_eq!(damage.sequence, 8);
    let calls = vec![
        Call::Append(7, Appended::WrongLast),
        Call::Get(8, Got::Message(b"something else".to_vec())),
    ];
    assert!(matches!(publish(calls).1, PublishVerdict::Damaged(_)));
    let calls = vec![Call::Append(7, Appended::Stored(9))];
    assert!(matches!(publish(calls).1, PublishVerdict::Damaged(_)));
}

#[test]
fn a_refusal_is_believed_only_if_no_earlier_try_may_have_been_stored() {
    let refused = || Appended::Refused("too large".to_owned());
    let calls = vec![Call::Append(7, refused())];
    let verdict = PublishVerdict::Refused("too large".to_owned());
    assert_eq!(publish(calls), (0, verdict));
    let calls = vec![
        Call::Append(7, Appended::Unknown),
        Call::Append(7, refused()),
        Call::Append(7, Appended::WrongLast),
        Call::Get(8, Got::Message(encoded(2, b"mine"))),
    ];
    assert_eq!(publish(calls), (2, PublishVerdict::Stored));
}
