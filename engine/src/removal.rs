//! What became of a session that nobody knows any more.

use crate::Engine;
use rejoin_core::{Event, LossCause, Sequence, SessionId};
use rejoin_log::ReadLimit;
use std::time::Duration;

impl Engine {
    /// The last sequence of a session that retention has removed, with all before it. None: there
    /// was no such session, or it has not been removed, or that cannot be read.
    pub async fn removed(&self, session: SessionId) -> Option<Sequence> {
        if let Some(last) = self.view(|views| views.removed(session)) {
            return Some(last);
        }
        let first = ReadLimit {
            records: 1,
            bytes: 1,
        };
        let read = self.read(session, Sequence::START, first, Duration::ZERO);
        match read.await.ok()?.first()?.event {
            Event::RecordsLost {
                last,
                cause: LossCause::Retention { .. },
                ..
            } => Some(last),
            _ => None,
        }
    }
}
