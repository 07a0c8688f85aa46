//! Instants for people and programs.

use rejoin_core::Timestamp;

/// An instant as RFC 3339 writes it, in UTC, with milliseconds.
#[must_use]
pub fn instant(at: Timestamp) -> String {
    let millis = i64::try_from(at.as_millis()).unwrap_or(i64::MAX);
    let instant = jiff::Timestamp::from_millisecond(millis).unwrap_or(jiff::Timestamp::MAX);
    format!("{instant:.3}")
}
