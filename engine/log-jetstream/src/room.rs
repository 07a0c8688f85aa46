//! Whether the servers have room for what is written.

use crate::limits::FULL;
use std::collections::BTreeMap;
use std::time::Duration;

/// What was refused because streams, or a server's disk, are full. By the subject of the message.
#[derive(Debug, Default)]
pub(crate) struct Room {
    refused: BTreeMap<String, Refused>,
}

#[derive(Debug)]
struct Refused {
    reason: String,
    at: Duration,
}

impl Room {
    /// A message was refused for want of room. Whether that is new.
    pub(crate) fn refuse(&mut self, subject: &str, reason: &str, now: Duration) -> bool {
        let refused = Refused {
            reason: reason.to_owned(),
            at: now,
        };
        self.refused.insert(subject.to_owned(), refused).is_none()
    }

    /// A message had another answer. Whether its subject had none before.
    pub(crate) fn answer(&mut self, subject: &str) -> bool {
        self.refused.remove(subject).is_some()
    }

    /// What the servers say. What was refused long ago does not count: whoever still has it to write tries again
    /// and again, but it may have become another node's.
    pub(crate) fn missing(&mut self, now: Duration) -> Option<String> {
        self.refused
            .retain(|_, refused| now.saturating_sub(refused.at) < FULL);
        let refused = self.refused.values().next()?;
        Some(refused.reason.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(100);

    #[test]
    fn there_is_no_room_from_a_refusal_until_another_answer() {
        let mut room = Room::default();
        assert!(room.refuse("log.1", "insufficient resources", NOW));
        assert!(!room.refuse("log.1", "insufficient resources", NOW));
        assert!(room.refuse("log.2", "maximum bytes exceeded", NOW));
        assert!(room.answer("log.1"));
        assert!(!room.answer("log.1"));
        assert_eq!(room.missing(NOW).as_deref(), Some("maximum bytes exceeded"));
        assert!(room.answer("log.2"));
        assert_eq!(room.missing(NOW), None);
    }

    #[test]
    fn what_nobody_tries_to_write_again_is_forgotten() {
        let mut room = Room::default();
        room.refuse("entry", "full", NOW);
        room.refuse("log", "full", NOW);
        let later = NOW + FULL - Duration::from_millis(1);
        room.refuse("log", "still full", later);
        assert_eq!(room.missing(later).as_deref(), Some("full"));
        assert_eq!(room.missing(NOW + FULL).as_deref(), Some("still full"));
        assert_eq!(room.missing(later + FULL), None);
    }
}
