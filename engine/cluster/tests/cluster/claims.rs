//! Who claims which log, and how a log is taken and given back.

use crate::scripted::{Call, Scripted};
use rejoin_cluster::limits::SILENT_BEATS;
use rejoin_cluster::{
    Acquisition, AcquisitionVerdict, Appended, Beats, Bounds, Claim, Entry, Got, Held, Message,
    MessageKind, NodeName, Process, Progress, Release, Released, Written, should_claim,
};
use rejoin_log::segment::LogId;

const LOG: LogId = LogId::from_bytes([3; 16]);
const ME: Process = Process([1; 16]);
const OTHER: Process = Process([2; 16]);

fn node(name: &str) -> NodeName {
    name.parse().unwrap()
}

fn claim(home: &str, owner: Option<&str>, process: Process, term: u64) -> Claim {
    Claim {
        home: node(home),
        owner: owner.map(node),
        process: owner.map(|_| process),
        term,
        retired: false,
    }
}

#[test]
fn the_log_of_a_retired_node_is_claimed_by_the_others_and_never_by_it() {
    for owner in [None, Some("n2")] {
        let retired = Claim {
            retired: true,
            ..claim("n2", owner, OTHER, 4)
        };
        let mut seconds = Beats::new();
        for second in 0..=SILENT_BEATS + 1 {
            // It runs on all the same, and beats where it is not the owner.
            let its_beat = if owner.is_none() { second } else { 5 };
            seconds.observe(Some(&[(node("n2"), its_beat), (node("n3"), 10 + second)]));
            seconds.watch(7, &retired);
        }
        let claims = |me: &str| should_claim(7, &retired, (&node(me), ME), false, &seconds);
        assert!(!claims("n2"), "{owner:?}");
        assert!(claims("n1") || owner.is_none(), "{owner:?}");
        let others = ["n1", "n3"].map(|me| {
            let other = if me == "n1" { "n3" } else { "n1" };
            let beats = beats(&[&[("n2", 1), (other, 1)], &[("n2", 2), (other, 2)]]);
            should_claim(
                7,
                &Claim {
                    owner: None,
                    ..retired.clone()
                },
                (&node(me), ME),
                false,
                &beats,
            )
        });
        assert_eq!(others.iter().filter(|it| **it).count(), 1, "{others:?}");
    }
    let text = r#"{"home":"n2","owner":null,"process":null,"term":4}"#;
    let before = Claim::decode(text.as_bytes()).unwrap();
    assert!(!before.retired && before.encode() == text.as_bytes());
    let retired = Claim {
        retired: true,
        ..before
    };
    assert_eq!(Claim::decode(&retired.encode()), Some(retired));
}

/// Beats of an observer that has seen others, with the revisions of each second.
fn beats(seconds: &[&[(&str, u64)]]) -> Beats {
    let mut beats = Beats::new();
    for second in seconds {
        let seen: Vec<_> = second.iter().map(|(name, at)| (node(name), *at)).collect();
        beats.observe(Some(&seen));
    }
    beats
}

#[test]
fn a_node_is_dead_when_its_beat_stands_still_while_ours_goes_on() {
    let mut beats = Beats::new();
    let seen = |n2| [(node("n2"), n2), (node("n3"), 100)];
    for second in 0..20 {
        beats.observe(Some(&seen(second)));
    }
    assert_eq!(beats.silence(&node("n2")), 0);
    assert_eq!(beats.silence(&node("n3")), 19);
    assert_eq!(beats.live().collect::<Vec<_>>(), [&node("n2")]);
    // A second in which the server answered nobody: nothing is known about anybody.
    beats.observe(None);
    assert_eq!(beats.silence(&node("n3")), 0);
    assert_eq!(beats.live().count(), 2);
    for _ in 0..SILENT_BEATS {
        beats.observe(Some(&seen(19)));
    }
    assert_eq!(beats.silence(&node("n2")), SILENT_BEATS);
    // Not in a row.
    beats.observe(Some(&seen(20)));
    assert_eq!(beats.silence(&node("n2")), 0);
    // A node without a beat, as after a clean end, is not among the live ones.
    beats.observe(Some(&[(node("n2"), 21)]));
    assert_eq!(beats.live().collect::<Vec<_>>(), [&node("n2")]);
}

#[test]
fn a_node_that_has_just_begun_to_observe_gives_no_log_back_to_a_dead_one() {
    let mut beats = Beats::new();
    for second in 0..SILENT_BEATS {
        beats.observe(Some(&[(node("n2"), 5), (node("n3"), 10 + second)]));
        assert!(!beats.is_beating(&node("n2")), "it has never beaten");
        assert_eq!(beats.is_beating(&node("n3")), second > 0);
    }
    // As before: it may have been the servers that were silent.
    assert_eq!(beats.live().count(), 2);
    beats.observe(Some(&[(node("n2"), 6)]));
    assert!(beats.is_beating(&node("n2")));
    assert!(!beats.is_beating(&node("n3")), "it has ended");
}

#[test]
fn a_patient_node_waits_for_longer_and_none_for_less_than_six_beats() {
    let theirs = claim("n2", Some("n2"), OTHER, 1);
    let claims_after = |patience: u64| {
        (0..100).find(|silent| {
            let mut beats = Beats::patient(patience);
            for _ in 0..=*silent {
                beats.observe(Some(&[(node("n2"), 5)]));
                beats.watch(7, &theirs);
            }
            should_claim(7, &theirs, (&node("n1"), ME), false, &beats)
        })
    };
    assert_eq!(claims_after(30), Some(30));
    assert_eq!(claims_after(1), Some(SILENT_BEATS));
}

#[test]
fn a_log_of_a_live_node_is_never_claimed_and_of_a_dead_one_by_one_node_first() {
    let theirs = claim("n2", Some("n2"), OTHER, 1);
    let quiet = |silent: u64| {
        let mut beats = Beats::new();
        for second in 0..=silent {
            beats.observe(Some(&[(node("n2"), 5), (node("n3"), 10 + second)]));
            beats.watch(7, &theirs);
        }
        beats
    };
    let claims_after = |me: &str, other: &str| {
        (0..20).find(|silent| {
            let mut beats = Beats::new();
            for second in 0..=*silent {
                beats.observe(Some(&[(node("n2"), 5), (node(other), 10 + second)]));
                beats.watch(7, &theirs);
            }
            should_claim(7, &theirs, (&node(me), ME), false, &beats)
        })
    };
    let silent_by_one_beat_too_few = quiet(SILENT_BEATS - 1);
    let me = node("n1");
    assert!(!should_claim(
        7,
        &theirs,
        (&me, ME),
        false,
        &silent_by_one_beat_too_few
    ));
    let mut after = [claims_after("n1", "n3"), claims_after("n3", "n1")];
    after.sort();
    assert_eq!(after, [Some(SILENT_BEATS), Some(SILENT_BEATS + 1)]);
}

#[test]
fn who_has_just_claimed_a_log_is_not_held_for_dead_by_what_was_observed_before() {
    let mut beats = Beats::new();
    let claim_of = |node, term| claim("n2", Some(node), OTHER, term);
    let should =
        |claim: &Claim, beats: &Beats| should_claim(7, claim, (&node("n1"), ME), true, beats);
    // A node without a beat has been silent for long, and another one has the log.
    let former = claim_of("n2", 4);
    for second in 0..20 {
        beats.observe(Some(&[(node("n2"), 10 + second)]));
        beats.watch(7, &former);
    }
    // This process was stopped meanwhile, and wakes up.
    let new = claim_of("n3", 5);
    assert!(!should(&new, &beats));
    beats.watch(7, &new);
    assert!(!should(&new, &beats));
    for second in 0..SILENT_BEATS + 1 {
        beats.observe(Some(&[(node("n2"), 40 + second)]));
        beats.watch(7, &new);
    }
    assert!(should(&new, &beats));
}

#[test]
fn a_log_without_an_owner_goes_to_its_home_and_else_to_one_other() {
    let free = claim("n2", None, OTHER, 4);
    let n1_of = |beats: &Beats| should_claim(7, &free, (&node("n1"), ME), false, beats);
    let n2_of = |beats: &Beats| should_claim(7, &free, (&node("n2"), ME), false, beats);
    let n3_of = |beats: &Beats| should_claim(7, &free, (&node("n3"), ME), false, beats);
    // Nobody claims before it has looked around.
    assert!(!n2_of(&Beats::new()));
    assert!(n2_of(&beats(&[&[("n1", 1), ("n3", 1)]])));
    assert!(!n1_of(&beats(&[&[("n2", 1), ("n3", 1)]])));
    assert!(!n3_of(&beats(&[&[("n1", 1), ("n2", 1)]])));
    // Without its home, one of the others.
    let one = n1_of(&beats(&[&[("n3", 1)]]));
    let other = n3_of(&beats(&[&[("n1", 1)]]));
    assert_ne!(one, other);
}

#[test]
fn a_log_that_no_node_has_had_yet_is_left_to_its_home() {
    let new = claim("n2", None, OTHER, 0);
    let others = beats(&[&[("n3", 1)]]);
    let claims = |me: &str| should_claim(7, &new, (&node(me), ME), false, &others);
    assert!(!claims("n1") && !claims("n3"));
    assert!(claims("n2"));
}

#[test]
fn a_node_takes_back_what_its_former_run_had_and_not_what_a_namesake_took_from_it() {
    let of_namesake = claim("n1", Some("n1"), OTHER, 4);
    let own = claim("n1", Some("n1"), ME, 4);
    let decide =
        |claim, has_owned| should_claim(7, claim, (&node("n1"), ME), has_owned, &Beats::new());
    assert!(decide(&of_namesake, false));
    assert!(!decide(&of_namesake, true));
    assert!(decide(&own, true));
}

#[test]
fn a_claim_is_these_bytes_and_others_are_none() {
    let claim = claim("n1", Some("n2"), ME, 4);
    let json =
        r#"{"home":"n1","owner":"n2","process":"01010101010101010101010101010101","term":4}"#;
    assert_eq!(String::from_utf8(claim.encode()).unwrap(), json);
    assert_eq!(Claim::decode(json.as_bytes()), Some(claim));
    for wrong in [
        "",
        "{}",
        r#"{"home":"N 1","owner":null,"process":null,"term":4}"#,
        r#"{"home":"n1","owner":"n2","process":"01","term":4}"#,
        r#"{"home":"n1","owner":"n2","process":"+1010101010101010101010101010101","term":4}"#,
    ] {
        assert_eq!(Claim::decode(wrong.as_bytes()), None, "{wrong}");
    }
    assert!(
        "a23456789012345678901234567890-z"
            .parse::<NodeName>()
            .is_ok()
    );
    for wrong in ["", "A", "a.b", "a b", "a23456789012345678901234567890-zz"] {
        assert!(wrong.parse::<NodeName>().is_err(), "{wrong}");
    }
}

fn batch(number: u64, term: u64) -> Message {
    Message {
        kind: MessageKind::Batch,
        more: false,
        log: LOG,
        term,
        number,
        position: 11,
        records: 4,
        previous: 1,
        body: b"frames".to_vec(),
    }
}

fn entry(revision: u64, claim: &Claim) -> Entry {
    Entry {
        revision,
        value: claim.encode(),
    }
}

fn take(found: Option<(u64, &Claim)>, calls: Vec<Call>) -> (AcquisitionVerdict, Vec<Vec<u8>>) {
    let mut server = Scripted::new(calls);
    let mut acquisition = Acquisition::new(7, LOG, (&node("n1"), ME), "1.2.3", found);
    loop {
        if let Progress::Done(verdict) = acquisition.step(&mut server) {
            assert!(server.is_done(), "{server:?}");
            return (verdict, server.sent);
        }
    }
}

fn held(verdict: AcquisitionVerdict) -> Held {
    match verdict {
        AcquisitionVerdict::Held(held) => held,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_new_log_begins_with_the_message_of_its_owner() {
    let calls = vec![
        Call::Write(0, Written::Done(3)),
        Call::Bounds(Some(Bounds { first: 1, last: 0 })),
        Call::Append(0, Appended::Stored(1)),
    ];
    let (verdict, sent) = take(None, calls);
    let held = held(verdict);
    assert_eq!((held.term(), held.end().number), (1, 1));
    assert_eq!(sent[0], claim("n1", Some("n1"), ME, 1).encode());
    let message = Message::decode(&sent[1]).unwrap();
    assert_eq!(message.kind, MessageKind::Owner);
    assert_eq!(
        String::from_utf8(message.body).unwrap(),
        r#"{"node":"n1","process":"01010101010101010101010101010101","version":"1.2.3"}"#
    );
}

#[test]
fn a_takeover_goes_on_behind_the_last_batch_of_a_former_owner_that_still_writes() {
    let before = claim("n2", Some("n2"), OTHER, 4);
    let last = batch(20, 4).encode();
    let newer = Message {
        position: 15,
        ..batch(21, 4)
    }
    .encode();
    let calls = vec![
        Call::Write(9, Written::Done(10)),
        Call::Bounds(Some(Bounds { first: 1, last: 20 })),
        Call::Get(20, Got::Message(last)),
        Call::Append(20, Appended::WrongLast),
        Call::Get(21, Got::Message(newer.clone())),
        Call::Bounds(Some(Bounds { first: 1, last: 21 })),
        Call::Get(21, Got::Message(newer.clone())),
        Call::Append(21, Appended::Unknown),
        Call::Append(21, Appended::Stored(22)),
    ];
    let (verdict, sent) = take(Some((9, &before)), calls);
    let end = held(verdict).end();
    assert_eq!((end.number, end.term, end.position), (22, 5, 19));
    let owner = Message::decode(sent.last().unwrap()).unwrap();
    assert_eq!(owner.previous, Message::checksum_of(&newer));
    assert_eq!(Claim::decode(&sent[0]).unwrap().home, node("n2"));
}

#[test]
fn a_claim_without_an_answer_is_looked_up() {
    let before = claim("n1", None, OTHER, 4);
    let mine = claim("n1", Some("n1"), ME, 5);
    let theirs = claim("n1", Some("n3"), OTHER, 5);
    let calls = vec![
        Call::Write(9, Written::Unknown),
        Call::Read(Some(Some(entry(9, &before)))),
        Call::Write(9, Written::Conflict),
        Call::Read(None),
        Call::Read(Some(Some(entry(12, &mine)))),
        Call::Bounds(None),
        Call::Bounds(Some(Bounds { first: 1, last: 0 })),
        Call::Append(0, Appended::Stored(1)),
    ];
    assert_eq!(held(take(Some((9, &before)), calls).0).term(), 5);
    let calls = vec![
        Call::Write(9, Written::Conflict),
        Call::Read(Some(Some(entry(12, &theirs)))),
    ];
    assert_eq!(take(Some((9, &before)), calls).0, AcquisitionVerdict::Lost);
}

#[test]
fn a_claim_whose_term_is_not_greater_than_the_streams_is_raised_or_lost() {
    // The store was restored from an old copy: the claim is ours, and becomes greater.
    let before = claim("n1", Some("n1"), OTHER, 1);
    let calls = vec![
        Call::Write(9, Written::Done(10)),
        Call::Bounds(Some(Bounds { first: 1, last: 20 })),
        Call::Get(20, Got::Message(batch(20, 6).encode())),
        Call::Write(10, Written::Done(11)),
        Call::Bounds(Some(Bounds { first: 1, last: 20 })),
        Call::Get(20, Got::Message(batch(20, 6).encode())),
        Call::Append(20, Appended::Stored(21)),
    ];
    assert_eq!(held(take(Some((9, &before)), calls).0).term(), 7);
    // We slept, and another has claimed and taken it meanwhile.
    let theirs = claim("n1", Some("n3"), OTHER, 6);
    let calls = vec![
        Call::Write(9, Written::Done(10)),
        Call::Bounds(Some(Bounds { first: 1, last: 20 })),
        Call::Get(20, Got::Message(batch(20, 6).encode())),
        Call::Write(10, Written::Conflict),
        Call::Read(Some(Some(entry(11, &theirs)))),
    ];
    assert_eq!(take(Some((9, &before)), calls).0, AcquisitionVerdict::Lost);
}

#[test]
fn nobody_writes_behind_an_end_that_is_lost_damaged_or_cut_off() {
    let before = claim("n1", Some("n1"), OTHER, 4);
    let got = |answer| {
        let calls = vec![
            Call::Write(9, Written::Done(10)),
            Call::Bounds(Some(Bounds { first: 1, last: 20 })),
            Call::Get(20, answer),
        ];
        take(Some((9, &before)), calls).0
    };
    let more = Message {
        more: true,
        ..batch(20, 4)
    };
    let other = Message {
        log: LogId::from_bytes([9; 16]),
        ..batch(20, 4)
    };
    for answer in [
        Got::Nothing(Bounds { first: 1, last: 20 }),
        Got::Nothing(Bounds { first: 1, last: 22 }),
        Got::Message(b"bytes".to_vec()),
        Got::Message(more.encode()),
        Got::Message(other.encode()),
        Got::Message(batch(19, 4).encode()),
    ] {
        let verdict = got(answer.clone());
        let AcquisitionVerdict::Damaged(damage) = verdict else {
            panic!("{answer:?}: {verdict:?}");
        };
        assert_eq!(damage.sequence, 20);
    }
}

#[test]
fn a_log_is_given_back_in_its_stream_first_and_then_in_its_claim() {
    let mine = claim("n2", Some("n1"), ME, 1);
    let release = |calls: Vec<Call>| {
        let taking = vec![
            Call::Write(0, Written::Done(3)),
            Call::Bounds(Some(Bounds { first: 1, last: 0 })),
            Call::Append(0, Appended::Stored(1)),
        ];
        let held = held(take(None, taking).0);
        let mut server = Scripted::new(calls);
        let mut release = Release::new(7, (&node("n1"), ME), &held);
        loop {
            if let Progress::Done(released) = release.step(&mut server) {
                assert!(server.is_done(), "{server:?}");
                return (released, server.sent);
            }
        }
    };
    let (released, sent) = release(vec![
        Call::Append(1, Appended::Unknown),
        Call::Append(1, Appended::Stored(2)),
        Call::Read(Some(Some(entry(5, &mine)))),
        Call::Write(5, Written::Unknown),
        Call::Read(Some(Some(entry(5, &mine)))),
        Call::Write(5, Written::Done(6)),
    ]);
    assert_eq!(released, Released::LetGo);
    assert_eq!(Message::decode(&sent[0]).unwrap().kind, MessageKind::LetGo);
    assert_eq!(*sent.last().unwrap(), claim("n2", None, ME, 1).encode());
    let theirs = claim("n2", Some("n3"), OTHER, 2);
    let (released, _) = release(vec![
        Call::Append(1, Appended::Stored(2)),
        Call::Read(Some(Some(entry(7, &theirs)))),
    ]);
    assert_eq!(released, Released::Taken);
    let (released, _) = release(vec![
        Call::Append(1, Appended::WrongLast),
        Call::Get(2, Got::Message(batch(2, 2).encode())),
    ]);
    assert_eq!(released, Released::Taken);
}

#[test]
fn a_claim_of_an_earlier_term_or_from_before_its_home_was_retired_is_older() {
    let first = claim("n1", Some("n1"), Process([1; 16]), 1);
    let let_go = claim("n1", None, Process([1; 16]), 1);
    let next = claim("n1", Some("n2"), Process([2; 16]), 2);
    let retired = Claim {
        retired: true,
        ..next.clone()
    };
    assert!(first.is_before(&next) && next.is_before(&retired) && first.is_before(&retired));
    assert!(!next.is_before(&first) && !retired.is_before(&next) && !next.is_before(&next));
    assert!(!let_go.is_before(&first) && !first.is_before(&let_go));
}
