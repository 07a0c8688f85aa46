//! Which sessions of others an account has entered: it finds them in its lists from then on.
//!
//! They are remembered by number until the server ends, the last ones of each account.

use crate::limits::ENTERED;
use std::collections::{BTreeMap, VecDeque};

#[derive(Debug, Default)]
pub(crate) struct Entered {
    /// The sessions of each account, in the order of their last use.
    of: BTreeMap<String, VecDeque<u64>>,
}

impl Entered {
    pub(crate) fn note(&mut self, account: &str, session: u64) {
        let mine = match self.of.get_mut(account) {
            Some(mine) => mine,
            None => self.of.entry(account.into()).or_default(),
        };
        if mine.back() == Some(&session) {
            return;
        }
        mine.retain(|known| *known != session);
        if mine.len() >= ENTERED {
            mine.pop_front();
        }
        mine.push_back(session);
    }

    pub(crate) fn contains(&self, account: &str, session: u64) -> bool {
        self.of
            .get(account)
            .is_some_and(|mine| mine.contains(&session))
    }

    /// In ascending order.
    pub(crate) fn all(&self, account: &str) -> Vec<u64> {
        let mine = self.of.get(account);
        let mut all: Vec<u64> = mine.into_iter().flatten().copied().collect();
        all.sort_unstable();
        all
    }

    /// Forgets accounts that no longer exist: one of the same name may be somebody else's.
    pub(crate) fn retain(&mut self, is_account: impl Fn(&str) -> bool) {
        self.of.retain(|account, _| is_account(account));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_sessions_of_each_account_are_remembered() {
        let mut entered = Entered::default();
        let many = ENTERED as u64 + 2;
        for session in 1..=many {
            entered.note("vic", session);
            entered.note("vic", 2);
        }
        entered.note("bob", 1);
        assert_eq!(entered.all("vic").len(), ENTERED);
        assert!(entered.contains("vic", 2) && entered.contains("vic", many));
        assert!(!entered.contains("vic", 1) && entered.contains("bob", 1));
        assert!(entered.all("vic").is_sorted());
        entered.retain(|account| account == "vic");
        assert!(entered.all("bob").is_empty());
    }
}
