//! Encodes and decodes the primitive values of records. Decoding accepts arbitrary bytes without
//! panicking.

use super::DecodeError;
use super::codes::Coded;
use rejoin_core::{Instant, Moment, Timestamp};
use std::sync::Arc;
use std::time::Duration;

pub(crate) fn put_number(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    out.push(number.to_le_bytes()[0]);
}

pub(super) fn put_signed(out: &mut Vec<u8>, number: i32) {
    let zigzag = (number << 1) ^ (number >> 31);
    put_number(out, u64::from(zigzag.cast_unsigned()));
}

/// The log's clock at this moment: how far the wall's time is ahead of it.
pub(super) fn put_clock(out: &mut Vec<u8>, moment: Moment) {
    let ahead = moment.at.as_millis().wrapping_sub(moment.clock.as_millis());
    let ahead = ahead.cast_signed();
    put_number(out, ((ahead << 1) ^ (ahead >> 63)).cast_unsigned());
}

pub(super) fn put_text(out: &mut Vec<u8>, text: &str) {
    put_number(out, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}

pub(super) fn put_duration(out: &mut Vec<u8>, duration: Duration) {
    put_number(out, duration.as_secs());
    put_number(out, u64::from(duration.subsec_nanos()));
}

pub(super) fn put_optional<T>(
    out: &mut Vec<u8>,
    value: Option<T>,
    put: impl FnOnce(&mut Vec<u8>, T),
) {
    match value {
        None => out.push(0),
        Some(value) => {
            out.push(1);
            put(out, value);
        }
    }
}

/// The rest of a record that is being decoded. Each method reads the next value; `field` names it
/// in errors.
#[derive(Debug)]
pub(crate) struct Parts<'a> {
    rest: &'a [u8],
}

type Field = &'static str;

impl<'a> Parts<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(super) fn byte(&mut self, field: Field) -> Result<u8, DecodeError> {
        let (&byte, rest) = self
            .rest
            .split_first()
            .ok_or(DecodeError::Truncated { field })?;
        self.rest = rest;
        Ok(byte)
    }

    fn bytes(&mut self, field: Field, length: u64) -> Result<&'a [u8], DecodeError> {
        let (bytes, rest) = usize::try_from(length)
            .ok()
            .and_then(|length| self.rest.split_at_checked(length))
            .ok_or(DecodeError::Truncated { field })?;
        self.rest = rest;
        Ok(bytes)
    }

    pub(crate) fn number(&mut self, field: Field) -> Result<u64, DecodeError> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte(field)?;
            let bits = u64::from(byte & 0x7f);
            // A number has only one encoding: the tenth byte has room for one bit, and a final
            // zero byte is not allowed.
            if (shift == 63 && bits > 1) || (shift > 0 && byte == 0) {
                break;
            }
            number |= bits << shift;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(DecodeError::InvalidNumber { field })
    }

    pub(crate) fn number_u32(&mut self, field: Field) -> Result<u32, DecodeError> {
        u32::try_from(self.number(field)?).map_err(|_| DecodeError::InvalidNumber { field })
    }

    pub(super) fn number_u16(&mut self, field: Field) -> Result<u16, DecodeError> {
        u16::try_from(self.number(field)?).map_err(|_| DecodeError::InvalidNumber { field })
    }

    pub(super) fn signed(&mut self, field: Field) -> Result<i32, DecodeError> {
        let zigzag = self.number_u32(field)?;
        Ok((zigzag >> 1).cast_signed() ^ -(zigzag & 1).cast_signed())
    }

    pub(super) fn counted(&mut self, field: Field) -> Result<&'a [u8], DecodeError> {
        let length = self.number(field)?;
        self.bytes(field, length)
    }

    pub(super) fn flag(&mut self, field: Field) -> Result<bool, DecodeError> {
        match self.byte(field)? {
            0 => Ok(false),
            1 => Ok(true),
            code => Err(DecodeError::UnknownChoice { field, code }),
        }
    }

    pub(super) fn text(&mut self, field: Field) -> Result<Arc<str>, DecodeError> {
        let bytes = self.counted(field)?;
        std::str::from_utf8(bytes)
            .map(Arc::from)
            .map_err(|_| DecodeError::NotText { field })
    }

    pub(super) fn timestamp(&mut self, field: Field) -> Result<Timestamp, DecodeError> {
        self.number(field).map(Timestamp::from_millis)
    }

    pub(super) fn instant(&mut self, field: Field) -> Result<Instant, DecodeError> {
        self.number(field).map(Instant::from_millis)
    }

    /// What [`put_clock`] wrote of a moment with this wall time.
    pub(super) fn clock(&mut self, at: Timestamp, field: Field) -> Result<Instant, DecodeError> {
        let zigzag = self.number(field)?;
        let ahead = (zigzag >> 1) ^ (zigzag & 1).wrapping_neg();
        Ok(Instant::from_millis(at.as_millis().wrapping_sub(ahead)))
    }

    pub(super) fn duration(&mut self, field: Field) -> Result<Duration, DecodeError> {
        let seconds = self.number(field)?;
        let nanos = self.number_u32(field)?;
        if nanos >= 1_000_000_000 {
            return Err(DecodeError::InvalidNumber { field });
        }
        Ok(Duration::new(seconds, nanos))
    }

    pub(super) fn token(&mut self, field: Field) -> Result<[u8; 16], DecodeError> {
        self.bytes(field, 16)?
            .try_into()
            .map_err(|_| DecodeError::Truncated { field })
    }

    pub(super) fn choice<T: Coded>(&mut self, field: Field) -> Result<T, DecodeError> {
        let code = self.byte(field)?;
        T::from_code(code).ok_or(DecodeError::UnknownChoice { field, code })
    }

    pub(super) fn optional<T>(
        &mut self,
        field: Field,
        take: impl FnOnce(&mut Self, Field) -> Result<T, DecodeError>,
    ) -> Result<Option<T>, DecodeError> {
        match self.byte(field)? {
            0 => Ok(None),
            1 => take(self, field).map(Some),
            code => Err(DecodeError::UnknownChoice { field, code }),
        }
    }

    pub(super) fn end(self) -> Result<(), DecodeError> {
        match self.rest.len() {
            0 => Ok(()),
            bytes => Err(DecodeError::TooLong { bytes }),
        }
    }
}
