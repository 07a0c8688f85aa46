//! What the records of an accepted command say to whoever asked for it.

use rejoin_core::{ConsumerId, Event, Record};
use std::sync::Arc;

pub(crate) fn joined(record: &Record) -> Option<ConsumerId> {
    match record.event {
        Event::ConsumerJoined { consumer, .. } => Some(consumer),
        _ => None,
    }
}

/// What an accepted command has surely led to.
///
/// # Panics
///
/// When the core accepted the command without the event that it stands for.
pub(crate) fn find<T>(records: &[Arc<Record>], pick: impl Fn(&Record) -> Option<T>) -> T {
    records
        .iter()
        .find_map(|record| pick(record))
        .expect("the event of an accepted command")
}
