//! Turns bytes into operations of clients, runners and timers. Every byte sequence is valid, so property
//! tests, fuzzers and the simulator can use it.

use super::{Operation, Pick};
use crate::{JobMode, JobOutput};
use alloc::vec::Vec;

/// Operations, each with the number of milliseconds by which the clock moves before it; sometimes it
/// moves back.
///
/// Each operation takes six bytes, so a mutation of the bytes changes, adds or removes single
/// operations and leaves the others alone. Left-over bytes at the end are ignored.
///
/// ```
/// use rejoin_core::testing::{Operation, Pick, operations};
///
/// let bytes = [1, 0, 1, 9, 0, 0, 125, 2, 0, 0, 0, 0, 240];
/// let [create, join] = operations(&bytes)[..] else { panic!() };
/// assert_eq!(create, (4, Operation::Create { reads: true, timeout: 10 }));
/// assert_eq!(join, (1_100, Operation::Join(Pick(0))));
/// ```
pub fn operations(bytes: &[u8]) -> Vec<(i64, Operation)> {
    let (chunks, _) = bytes.as_chunks();
    let drawn = chunks
        .iter()
        .map(|&[clock, what, a, b, c, d]| (moved(clock), Operation::drawn(what, [a, b, c, d])));
    drawn.collect()
}

/// Often shorter than any timeout, as often about as long as one, and sometimes negative.
fn moved(byte: u8) -> i64 {
    let byte = i64::from(byte);
    match byte {
        0..114 => byte * 4,
        114..228 => (byte - 114) * 100,
        _ => (227 - byte) * 200,
    }
}

impl Operation {
    fn drawn(what: u8, [a, b, c, d]: [u8; 4]) -> Self {
        let (first, second) = (Pick::drawn(a), Pick::drawn(b));
        match what % 44 {
            0..=1 => Self::Create {
                reads: a % 2 == 1,
                timeout: 1 + b % 29,
            },
            2..=4 => Self::Join(first),
            5 => Self::Leave(first, second),
            6 => Self::Close(first),
            7 if b >= 192 => Self::NoteLink(first, c),
            7 if b >= 128 => Self::Describe(first, c),
            7 => Self::SetUser(first, b % 3),
            8 => Self::Touch(first),
            9..=13 => Self::Submit {
                session: first,
                mode: JobMode::ALL[usize::from(b % 4)],
                timeout: 1 + c % 19,
                output_limit: d,
                request: (b >= 128).then_some(b / 8 % 8),
                input: b / 4 % 2 == 1,
                output: JobOutput::ALL[usize::from(b / 16 % 3)],
            },
            14 => Self::Refuse(first),
            15..=16 => Self::Interrupt(first, (c % 2 == 1).then_some(second)),
            17..=19 => Self::Advance(first, second, c % 5),
            20..=21 => Self::Start(first, second),
            22..=26 => Self::Emit(first, second, c % 100),
            27..=29 => Self::Finish(first, second, if d % 16 == 0 { 137 } else { c % 3 }),
            30..=33 => Self::Expire,
            34 => Self::Resume { kept: a },
            35 => Self::InterruptAll,
            36 => Self::Hide(first, second, c % 9, (d % 2 == 1).then_some(d / 2)),
            37 => Self::Resize(first, second, c, (d % 2 == 1).then_some(d / 2)),
            38..=39 => Self::Control(first, second, c, d % 3 > 0),
            40 => Self::Capture(first, second, c % 4),
            _ => Self::Write(first, second, c % 50, d % 8 == 0),
        }
    }
}

impl Pick {
    /// Few targets, so that operations meet; sometimes one that does not exist.
    fn drawn(byte: u8) -> Self {
        if byte < 230 {
            Self(byte % 4)
        } else {
            Self(Self::NOBODY)
        }
    }
}
