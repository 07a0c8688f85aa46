//! A place in the output of a session.

use rejoin_engine::Sequence;
use std::fmt;
use std::str::FromStr;

/// A place in a session: after a record, and a number of bytes into the output of the next one. Written
/// `17`, or `17+4096`.
///
/// ```
/// use rejoin_engine::Sequence;
/// use rejoin_search::OutputPlace;
///
/// let place: OutputPlace = "17+4096".parse()?;
/// assert_eq!((place.after, place.skip), (Sequence(17), 4096));
/// assert_eq!(place.to_string(), "17+4096");
/// # Ok::<_, rejoin_search::OutputPlaceError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct OutputPlace {
    /// The record.
    pub after: Sequence,
    /// Bytes of the output of the record that follows.
    pub skip: usize,
}

/// A text is not a place: see [`OutputPlace`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a place is a sequence, alone or followed by + and a number of bytes, such as 17 or 17+4096"
)]
pub struct OutputPlaceError;

impl OutputPlace {
    /// Before the first record.
    pub const START: Self = Self::after(Sequence::START);

    /// After a record.
    #[must_use]
    pub const fn after(after: Sequence) -> Self {
        Self { after, skip: 0 }
    }
}

impl fmt::Display for OutputPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.skip {
            0 => write!(f, "{}", self.after),
            skip => write!(f, "{}+{skip}", self.after),
        }
    }
}

impl FromStr for OutputPlace {
    type Err = OutputPlaceError;

    fn from_str(text: &str) -> Result<Self, OutputPlaceError> {
        let number = |text: &str| match text.bytes().all(|byte| byte.is_ascii_digit()) {
            true => text.parse::<u64>().map_err(|_| OutputPlaceError),
            false => Err(OutputPlaceError),
        };
        let (after, skip) = text.split_once('+').unwrap_or((text, "0"));
        Ok(Self {
            after: Sequence(number(after)?),
            skip: usize::try_from(number(skip)?).map_err(|_| OutputPlaceError)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_read_as_it_is_written() {
        for text in ["0", "17", "17+4096"] {
            let place: OutputPlace = text.parse().unwrap();
            assert_eq!(place.to_string(), text);
        }
        assert_eq!("17+0".parse(), Ok(OutputPlace::after(Sequence(17))));
        for wrong in [
            "",
            "+",
            "1+",
            "+1",
            "-1",
            "1+1+1",
            "x",
            "99999999999999999999",
            "+1+1",
        ] {
            assert!(wrong.parse::<OutputPlace>().is_err(), "{wrong}");
        }
    }
}
