//! The bytes of messages, and the chain that they form.

use proptest::prelude::*;
use rejoin_cluster::{
    Chain, HEAD_BYTES, Link, Message, MessageFault, MessageKind, StreamDamage, split_batch,
};
use rejoin_log::segment::{LogId, checksum};

const LOG: LogId = LogId::from_bytes([0xab; 16]);

fn message(kind: MessageKind, number: u64, term: u64, link: Link) -> Message {
    Message {
        kind,
        more: false,
        log: LOG,
        term,
        number,
        position: link.position,
        records: u32::from(kind == MessageKind::Batch),
        previous: link.checksum,
        body: b"frames".to_vec(),
    }
}

/// Encoded messages that follow each other: owner, two batches, let go, owner, batch.
fn stream() -> Vec<Vec<u8>> {
    let kinds = [
        (MessageKind::Owner, 1),
        (MessageKind::Batch, 1),
        (MessageKind::Batch, 1),
        (MessageKind::LetGo, 1),
        (MessageKind::Owner, 4),
        (MessageKind::Batch, 4),
    ];
    let mut link = Link::START;
    let mut stream = Vec::new();
    for (number, (kind, term)) in (1..).zip(kinds) {
        let message = message(kind, number, term, link);
        let encoded = message.encode();
        link = Link::after(&message, &encoded);
        stream.push(encoded);
    }
    stream
}

/// What a chain says about a stream: how many messages it has taken, and the damage.
fn read(stream: &[Vec<u8>]) -> (u64, Option<StreamDamage>) {
    let mut chain = Chain::new(LOG, Link::START);
    for (sequence, encoded) in (1..).zip(stream) {
        if let Err(damage) = chain.follow(sequence, encoded) {
            return (chain.link().number, Some(damage));
        }
    }
    (chain.link().number, None)
}

#[test]
fn a_message_is_these_bytes() {
    let message = Message {
        kind: MessageKind::Batch,
        more: true,
        log: LOG,
        term: 3,
        number: 0x0102_0304,
        position: 17,
        records: 2,
        previous: 0xdead_beef,
        body: vec![7, 8, 9],
    };
    let bytes = message.encode();
    let mut expected = b"RjB1\x01\x01\0\0".to_vec();
    expected.extend([0xab; 16]);
    expected.extend([3, 0, 0, 0, 0, 0, 0, 0]);
    expected.extend([4, 3, 2, 1, 0, 0, 0, 0]);
    expected.extend([17, 0, 0, 0, 0, 0, 0, 0]);
    expected.extend([2, 0, 0, 0]);
    expected.extend([0xef, 0xbe, 0xad, 0xde]);
    assert_eq!(expected.len(), HEAD_BYTES);
    expected.extend([7, 8, 9]);
    expected.extend([0x40, 0xc2, 0x25, 0x1f]);
    assert_eq!(bytes, expected);
    assert_eq!(Message::decode(&bytes), Ok(message));
    for (kind, code) in [(MessageKind::Owner, 2), (MessageKind::LetGo, 3)] {
        let message = self::message(kind, 1, 1, Link::START);
        assert_eq!(message.encode()[4], code);
        assert_eq!(Message::decode(&message.encode()), Ok(message));
    }
}

#[test]
fn what_a_newer_version_may_write_is_unknown_and_not_damaged() {
    let encoded = message(MessageKind::Owner, 1, 1, Link::START).encode();
    for (at, value) in [(4, 0), (4, 4), (5, 1), (5, 2), (6, 1), (7, 1), (48, 1)] {
        let mut newer = encoded.clone();
        newer.truncate(newer.len() - 4);
        newer[at] = value;
        newer.extend(checksum(&newer).to_le_bytes());
        assert_eq!(Message::decode(&newer), Err(MessageFault::Unknown), "{at}");
    }
}

#[test]
fn a_flipped_bit_or_a_missing_byte_is_always_found() {
    let stream = stream();
    for (place, encoded) in stream.iter().enumerate() {
        for bit in 0..encoded.len() * 8 {
            let mut flipped = stream.clone();
            flipped[place][bit / 8] ^= 1 << (bit % 8);
            let (taken, damage) = read(&flipped);
            assert_eq!(taken, place as u64, "bit {bit}");
            assert_eq!(damage.unwrap().sequence, place as u64 + 1, "bit {bit}");
        }
        for length in 0..encoded.len() {
            assert!(Message::decode(&encoded[..length]).is_err(), "{length}");
        }
    }
}

#[test]
fn a_chain_names_what_is_missing_and_goes_on_when_it_is_found_elsewhere() {
    let stream = stream();
    let mut chain = Chain::new(LOG, Link::START);
    chain.follow(1, &stream[0]).unwrap();
    chain.follow(2, &stream[1]).unwrap();
    let damage = chain.follow(4, &stream[3]).unwrap_err();
    assert_eq!(damage.sequence, 3);
    assert_eq!(
        damage.to_string(),
        "the stream is damaged at sequence 3: the message is missing, although the stream goes on to \
         sequence 4"
    );
    // Delivered again; and another message in the place of the missing one.
    assert_eq!(chain.follow(1, &stream[0]), Ok(None));
    assert_eq!(chain.follow(3, &stream[3]).unwrap_err().sequence, 3);
    assert!(chain.follow(3, &stream[2]).unwrap().is_some());
    assert!(chain.follow(4, &stream[3]).unwrap().is_some());
}

#[test]
fn a_chain_takes_no_message_that_its_owner_could_not_have_written() {
    let link = |number, term, more, let_go| Link {
        number,
        checksum: 5,
        position: 9,
        term,
        more,
        let_go,
    };
    let refuses = |link: Link, message: Message| {
        Chain::new(LOG, link)
            .follow(link.number + 1, &message.encode())
            .is_err()
    };
    let (batch, owner, let_go) = (MessageKind::Batch, MessageKind::Owner, MessageKind::LetGo);
    let here = link(4, 2, false, false);
    for (kind, term, is_refused) in [
        (batch, 2, false),
        (batch, 1, true),
        (batch, 3, true),
        (owner, 3, false),
        (owner, 9, false),
        (owner, 2, true),
        (owner, 1, true),
        (let_go, 2, false),
        (let_go, 3, true),
    ] {
        assert_eq!(
            refuses(here, message(kind, 5, term, here)),
            is_refused,
            "{kind:?} {term}"
        );
    }
    // Behind a message that let the log go only an owner follows, and nothing cuts a batch.
    let free = link(4, 2, false, true);
    assert!(refuses(free, message(batch, 5, 2, free)));
    assert!(refuses(free, message(let_go, 5, 2, free)));
    assert!(!refuses(free, message(owner, 5, 3, free)));
    let cut = link(4, 2, true, false);
    assert!(refuses(cut, message(owner, 5, 3, cut)));
    assert!(refuses(cut, message(let_go, 5, 2, cut)));
    assert!(!refuses(cut, message(batch, 5, 2, cut)));
    // Another log, number, position or predecessor.
    let fits = message(batch, 5, 2, here);
    let other = LogId::from_bytes([1; 16]);
    for wrong in [
        Message {
            log: other,
            ..fits.clone()
        },
        Message {
            number: 6,
            ..fits.clone()
        },
        Message {
            position: 10,
            ..fits.clone()
        },
        Message {
            previous: 6,
            ..fits.clone()
        },
    ] {
        assert!(refuses(here, wrong.clone()), "{wrong:?}");
    }
    assert!(!refuses(here, fits));
}

#[test]
fn a_chain_behind_a_purge_believes_the_first_message_and_no_other() {
    let stream = stream();
    for first in 2..=6 {
        let mut chain = Chain::after_purge(LOG, first);
        for (sequence, encoded) in (1..).zip(&stream) {
            let taken = chain.follow(sequence, encoded).unwrap();
            assert_eq!(taken.is_some(), sequence >= first);
        }
        assert_eq!(chain.link().number, 6);
        let mut chain = Chain::after_purge(LOG, first);
        assert!(chain.follow(first + 1, &stream[0]).is_err());
    }
}

#[test]
fn a_large_batch_is_split_and_its_records_are_counted_where_they_end() {
    let lengths = [10, 25, 5];
    let frames: Vec<u8> = (0..40).collect();
    let parts = split_batch(&frames, &lengths, 16).unwrap();
    let sizes: Vec<_> = parts
        .iter()
        .map(|(body, ends)| (body.len(), *ends))
        .collect();
    assert_eq!(sizes, [(16, 1), (16, 0), (8, 2)]);
    let joined: Vec<u8> = parts.iter().flat_map(|(body, _)| *body).copied().collect();
    assert_eq!(joined, frames);
    assert_eq!(split_batch(&[], &[], 16).unwrap(), []);
    assert!(split_batch(&[0; 1_001], &[1_001], 1).is_none());
    assert!(split_batch(&[0; 1_000], &[1_000], 1).is_some());
}

proptest! {
    #[test]
    fn bytes_that_are_a_message_are_the_bytes_that_it_encodes_to(
        mut bytes in proptest::collection::vec(any::<u8>(), 56..200),
        code in 0..5_u8,
        more in 0..3_u8,
    ) {
        prop_assert!(Message::decode(&bytes).is_err());
        bytes[..8].copy_from_slice(&[b'R', b'j', b'B', b'1', code, more, 0, 0]);
        if code != 1 {
            bytes[48..52].copy_from_slice(&[0; 4]);
        }
        let sum = checksum(&bytes).to_le_bytes();
        bytes.extend(sum);
        match Message::decode(&bytes) {
            Ok(message) => prop_assert_eq!(message.encode(), bytes),
            Err(fault) => prop_assert_eq!(fault, MessageFault::Unknown),
        }
    }

    #[test]
    fn whatever_is_split_joins_again(
        lengths in proptest::collection::vec(1..50_usize, 1..40),
        largest in 1..80_usize,
    ) {
        let total: usize = lengths.iter().sum();
        let frames: Vec<u8> = (0..total).map(|byte| u8::try_from(byte % 251).unwrap()).collect();
        if let Some(parts) = split_batch(&frames, &lengths, largest) {
            let records: u32 = parts.iter().map(|(_, records)| records).sum();
            prop_assert_eq!(records as usize, lengths.len());
            let joined: Vec<u8> = parts.iter().flat_map(|(body, _)| *body).copied().collect();
            prop_assert_eq!(&joined, &frames);
            prop_assert!(parts.iter().all(|(body, _)| body.len() <= largest));
        }
    }
}
