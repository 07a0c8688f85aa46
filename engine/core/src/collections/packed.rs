//! Integers and identities in as few bytes as they need, because there are many consumers.
//!
//! A value that is too large saturates: it becomes the largest that fits, never a small one.

use crate::{ConsumerId, Instant, Sequence};
use core::array;

/// A little-endian integer of `BYTES` bytes without alignment. Saturates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Packed<const BYTES: usize>([u8; BYTES]);

impl<const BYTES: usize> Packed<BYTES> {
    const MAX: u64 = u64::MAX >> (u64::BITS - u8::BITS * BYTES as u32);

    fn new(number: u64) -> Self {
        let number = number.min(Self::MAX);
        Self(array::from_fn(|byte| (number >> (8 * byte)) as u8))
    }

    fn get(self) -> u64 {
        let bytes = self.0.iter().rev();
        bytes.fold(0, |number, byte| number << 8 | u64::from(*byte))
    }
}

/// A sequence, up to a trillion. A consumer beyond that gets records again, but misses none.
pub(crate) type PackedSequence = Packed<5>;

impl From<Sequence> for PackedSequence {
    fn from(sequence: Sequence) -> Self {
        Self::new(sequence.0)
    }
}

impl From<PackedSequence> for Sequence {
    fn from(packed: PackedSequence) -> Self {
        Self(packed.get())
    }
}

/// An instant, up to the year 10889.
pub(crate) type PackedInstant = Packed<6>;

impl From<Instant> for PackedInstant {
    fn from(at: Instant) -> Self {
        Self::new(at.as_millis())
    }
}

impl From<PackedInstant> for Instant {
    fn from(packed: PackedInstant) -> Self {
        Self::from_millis(packed.get())
    }
}

/// A consumer's identity without alignment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PackedId {
    ordinal: [u8; 4],
    token: [u8; 16],
}

impl From<ConsumerId> for PackedId {
    fn from(ConsumerId { ordinal, token }: ConsumerId) -> Self {
        Self {
            ordinal: ordinal.to_le_bytes(),
            token,
        }
    }
}

impl From<PackedId> for ConsumerId {
    fn from(PackedId { ordinal, token }: PackedId) -> Self {
        Self {
            ordinal: u32::from_le_bytes(ordinal),
            token,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_kept_or_saturates() {
        const MAX: u64 = (1 << 40) - 1;
        for (number, held) in [
            (0, 0),
            (1, 1),
            (0x12_3456_789a, 0x12_3456_789a),
            (MAX, MAX),
            (MAX + 1, MAX),
            (u64::MAX, MAX),
        ] {
            assert_eq!(
                Sequence::from(PackedSequence::from(Sequence(number))).0,
                held
            );
        }
        let now = Instant::from_millis(1_700_000_000_123);
        assert_eq!(Instant::from(PackedInstant::from(now)), now);
    }

    #[test]
    fn an_identity_is_kept_without_alignment() {
        let consumer = ConsumerId {
            ordinal: 0x0102_0304,
            token: *b"0123456789abcdef",
        };
        assert_eq!(ConsumerId::from(PackedId::from(consumer)), consumer);
        assert_eq!(size_of::<PackedId>(), 20);
        assert_eq!(align_of::<PackedId>(), 1);
    }
}
