//! The requests that came last, so that none is carried out twice.

use crate::limits::RECENT;
use std::collections::{BTreeSet, VecDeque};

/// The reply subjects of the last [`RECENT`] requests. Each request has one of its own.
///
/// NATS may deliver a request twice: over a route between two servers that was stuck for a while, to the server
/// that the node is connected to by then, long after the first time.
#[derive(Debug, Default)]
pub(crate) struct Recent {
    order: VecDeque<String>,
    all: BTreeSet<String>,
}

impl Recent {
    /// A request has come. Whether it is the first time.
    pub(crate) fn is_new(&mut self, reply: &str) -> bool {
        if !self.all.insert(reply.to_owned()) {
            return false;
        }
        self.order.push_back(reply.to_owned());
        if self.order.len() > RECENT
            && let Some(oldest) = self.order.pop_front()
        {
            self.all.remove(&oldest);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_new_once_for_as_long_as_it_is_among_the_last_ones() {
        let mut recent = Recent::default();
        assert!(recent.is_new("_INBOX.a.0"));
        assert!(!recent.is_new("_INBOX.a.0"));
        for number in 1..RECENT {
            assert!(recent.is_new(&format!("_INBOX.a.{number}")));
        }
        assert!(!recent.is_new("_INBOX.a.0"));
        assert!(recent.is_new("_INBOX.b.0"));
        assert_eq!((recent.order.len(), recent.all.len()), (RECENT, RECENT));
        assert!(recent.is_new("_INBOX.a.0"), "it is forgotten");
    }
}
