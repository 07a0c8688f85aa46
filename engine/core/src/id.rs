//! Identities and numbers: sessions, jobs, consumers, and positions in a session's stream.

use crate::{Instant, Moment, Timestamp};
use core::cmp::Ordering;
use core::fmt;
use core::str::FromStr;

/// A session's identity: 128 random bits, written as a lower-case UUID.
///
/// ```
/// use rejoin_core::SessionId;
///
/// let session = SessionId::from_bytes([0xab; 16]);
/// assert_eq!(session.to_string(), "abababab-abab-abab-abab-abababababab");
/// assert_eq!(session.to_string().parse(), Ok(session));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SessionId([u8; 16]);

/// Compares the bytes as one number, because a replay spends most of its time looking up sessions.
impl Ord for SessionId {
    fn cmp(&self, other: &Self) -> Ordering {
        u128::from_be_bytes(self.0).cmp(&u128::from_be_bytes(other.0))
    }
}

impl PartialOrd for SessionId {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl SessionId {
    /// A random identity (a version 4 UUID, RFC 9562) made from 128 random bits, of which six are
    /// replaced by version and variant.
    pub const fn from_random(mut bytes: [u8; 16]) -> Self {
        bytes[6] = bytes[6] & 0x0f | 0x40;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        Self(bytes)
    }

    /// The identity with exactly these bytes.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The identity's bytes.
    pub const fn to_bytes(self) -> [u8; 16] {
        self.0
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = hex(&self.0);
        for (part, dash) in [
            (0..8, "-"),
            (8..12, "-"),
            (12..16, "-"),
            (16..20, "-"),
            (20..32, ""),
        ] {
            f.write_str(text(digits.get(part)))?;
            f.write_str(dash)?;
        }
        Ok(())
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text is not an identity in the form that `Display` writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidId;

impl fmt::Display for InvalidId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a valid identity")
    }
}

impl core::error::Error for InvalidId {}

/// Accepts exactly the form that `Display` writes, so that an identity has one spelling.
impl FromStr for SessionId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let text = text.as_bytes();
        if text.len() != 36 {
            return Err(InvalidId);
        }
        let mut digits = [0; 32];
        let mut count = 0;
        for (place, &character) in text.iter().enumerate() {
            match (place, character) {
                (8 | 13 | 18 | 23, b'-') => {}
                (8 | 13 | 18 | 23, _) => return Err(InvalidId),
                _ => {
                    *digits.get_mut(count).ok_or(InvalidId)? = character;
                    count += 1;
                }
            }
        }
        parse_hex(&digits).map(Self)
    }
}

/// A session's number in lists: counts up from 1 across the server, never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionNumber(pub u64);

impl fmt::Display for SessionNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A job's number: counts up from 1 across the server, never reused in a log. One that is restored from a
/// backup uses later numbers again, for other jobs ([`Submission`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobId(pub u64);

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The place of a job's submission in its log, and when that was. A log that is restored from a backup
/// uses the numbers of later jobs again: this tells whether two jobs of one number are the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Submission {
    /// The sequence of its record.
    pub sequence: Sequence,
    /// When it was submitted.
    pub at: Moment,
}

impl Submission {
    /// As plain numbers, to be kept outside the log: the sequence, and the milliseconds of both clocks.
    pub const fn to_numbers(self) -> [u64; 3] {
        let Moment { at, clock } = self.at;
        [self.sequence.0, at.as_millis(), clock.as_millis()]
    }

    /// What [`to_numbers`](Self::to_numbers) was made of.
    pub const fn from_numbers([sequence, at, clock]: [u64; 3]) -> Self {
        Self {
            sequence: Sequence(sequence),
            at: Moment {
                at: Timestamp::from_millis(at),
                clock: Instant::from_millis(clock),
            },
        }
    }
}

/// A consumer's identity: a random token and its ordinal within the session, written
/// `<32 hexadecimal digits>_<ordinal>`.
///
/// ```
/// use rejoin_core::ConsumerId;
///
/// let consumer = ConsumerId { token: [7; 16], ordinal: 2 };
/// assert_eq!(consumer.to_string(), "07070707070707070707070707070707_2");
/// assert_eq!(consumer.to_string().parse(), Ok(consumer));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConsumerId {
    // The first field, so that consumers are sorted in the order in which they joined.
    /// Counted by the session, from 1.
    pub ordinal: u32,
    /// Random, so that an identity cannot be guessed.
    pub token: [u8; 16],
}

impl fmt::Display for ConsumerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(text(Some(&hex(&self.token))))?;
        write!(f, "_{}", self.ordinal)
    }
}

impl fmt::Debug for ConsumerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Accepts exactly the form that `Display` writes.
impl FromStr for ConsumerId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let (token, ordinal) = text.split_once('_').ok_or(InvalidId)?;
        let digits: &[u8; 32] = token.as_bytes().try_into().map_err(|_| InvalidId)?;
        if ordinal.starts_with(['0', '+']) {
            return Err(InvalidId);
        }
        Ok(Self {
            token: parse_hex(digits)?,
            ordinal: ordinal.parse().map_err(|_| InvalidId)?,
        })
    }
}

/// A position in a session's stream: counts up from 1 without gaps, never reused. Zero is before
/// the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Sequence(pub u64);

impl Sequence {
    /// Before the first record of a session.
    pub const START: Self = Self(0);

    /// The sequence after this one; saturates.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for Sequence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// By hand, because identities are in every answer and formatting digit by digit would cost more
/// than most of the rest.
fn hex(bytes: &[u8; 16]) -> [u8; 32] {
    let mut digits = [0; 32];
    for (pair, byte) in digits.chunks_exact_mut(2).zip(bytes) {
        pair.copy_from_slice(&[hex_digit(byte >> 4), hex_digit(byte & 0xf)]);
    }
    digits
}

const fn hex_digit(value: u8) -> u8 {
    match value {
        0..=9 => b'0' + value,
        _ => b'a' + value - 10,
    }
}

fn text(digits: Option<&[u8]>) -> &str {
    core::str::from_utf8(digits.unwrap_or_default()).unwrap_or_default()
}

fn parse_hex(digits: &[u8; 32]) -> Result<[u8; 16], InvalidId> {
    let mut bytes = [0; 16];
    for (byte, pair) in bytes.iter_mut().zip(digits.as_chunks::<2>().0) {
        let [high, low] = *pair;
        *byte = hex_value(high)? << 4 | hex_value(low)?;
    }
    Ok(bytes)
}

fn hex_value(digit: u8) -> Result<u8, InvalidId> {
    match digit {
        b'0'..=b'9' => Ok(digit - b'0'),
        b'a'..=b'f' => Ok(digit - b'a' + 10),
        // Read, but never written (RFC 9562, 4).
        b'A'..=b'F' => Ok(digit - b'A' + 10),
        _ => Err(InvalidId),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn a_random_identity_is_a_version_4_uuid() {
        let zeros = SessionId::from_random([0; 16]).to_string();
        assert_eq!(zeros, "00000000-0000-4000-8000-000000000000");
        let ones = SessionId::from_random([0xff; 16]).to_string();
        assert_eq!(ones, "ffffffff-ffff-4fff-bfff-ffffffffffff");
    }

    #[test]
    fn a_session_has_one_name_only_whatever_its_case() {
        let session = SessionId::from_bytes(
            *b"\x00\x11\x22\x33\x44\x55\x66\x77\x88\x99\xaa\xbb\xcc\xdd\xee\xff",
        );
        let name = session.to_string();
        assert_eq!(name, "00112233-4455-6677-8899-aabbccddeeff");
        assert_eq!(name.parse(), Ok(session));
        assert_eq!(name.to_uppercase().parse(), Ok(session));
        for other in [
            name.replace('-', ""),
            name.replacen('-', "0", 1),
            alloc::format!("{name} "),
            "".to_string(),
            "é".repeat(18),
        ] {
            assert_eq!(other.parse::<SessionId>(), Err(InvalidId), "{other}");
        }
    }

    #[test]
    fn a_consumer_has_one_name_only() {
        let name = "5ae4e5fbab8b4e529ac404f260d4e2d1_1";
        assert_eq!(name.parse::<ConsumerId>().unwrap().to_string(), name);
        for other in [
            "5ae4e5fbab8b4e529ac404f260d4e2d1",
            "5ae4e5fbab8b4e529ac404f260d4e2d1_01",
            "x_1",
            "_1",
            "5ae4e5fbab8b4e529ac404f260d4e2d1_+1",
        ] {
            assert_eq!(other.parse::<ConsumerId>(), Err(InvalidId), "{other}");
        }
    }
}
