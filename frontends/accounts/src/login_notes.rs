//! What is known of logins beside their tokens: which have ended, and when others were last used. Pure.

use crate::limits::{ALL_SHARED_LOGINS, ENDED_BEFORE, SHARED_LOGINS};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Notes about logins by the digests of their tokens.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub(crate) struct LoginNotes {
    notes: BTreeMap<String, LoginNote>,
    /// Logins of an account that were made at this second or before have ended.
    ended_before: BTreeMap<String, u64>,
}

/// What is known of a login. All times are seconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LoginNote {
    pub(crate) account: String,
    pub(crate) made: u64,
    pub(crate) used: u64,
    /// When it ends in any case. Then the note is worth nothing.
    pub(crate) until: u64,
    #[serde(default)]
    pub(crate) ended: bool,
}

impl LoginNotes {
    pub(crate) fn len(&self) -> usize {
        self.notes.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.notes.is_empty() && self.ended_before.is_empty()
    }

    pub(crate) fn get(&self, digest: &str) -> Option<&LoginNote> {
        self.notes.get(digest)
    }

    /// Whether a login has ended, other than by its age.
    pub(crate) fn has_ended(&self, digest: &str, account: &str, made: u64) -> bool {
        let before = self.ended_before.get(account);
        self.get(digest).is_some_and(|note| note.ended) || before.is_some_and(|it| made <= *it)
    }

    pub(crate) fn note(&mut self, digest: &str, note: LoginNote) {
        merge(&mut self.notes, digest, &note);
        self.hold_bounds();
    }

    /// Adds what another server knows. In whatever order servers do so, and however often, no end is lost.
    pub(crate) fn add(&mut self, other: &Self, now: u64) {
        for (digest, note) in &other.notes {
            merge(&mut self.notes, digest, note);
        }
        for (account, until) in &other.ended_before {
            self.end_before(account, *until);
        }
        self.notes.retain(|_, note| now < note.until);
        self.hold_bounds();
    }

    /// Removes what is the same in `other`.
    pub(crate) fn remove(&mut self, other: &Self) {
        self.notes
            .retain(|digest, note| other.notes.get(digest) != Some(note));
        self.ended_before
            .retain(|account, until| other.ended_before.get(account) != Some(until));
    }

    /// Where there are too many notes of an account, the older half of its logins ends: whatever is dropped,
    /// no login that has ended begins again.
    fn hold_bounds(&mut self) {
        loop {
            let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
            for note in self.notes.values() {
                let count = counts.entry(&note.account).or_default();
                *count = count.saturating_add(1);
            }
            let most = counts.into_iter().max_by_key(|(_, count)| *count);
            let Some((account, count)) = most else { return };
            if count <= SHARED_LOGINS && self.notes.len() <= ALL_SHARED_LOGINS {
                return;
            }
            let account = account.to_owned();
            let of_account = self.notes.values().filter(|it| it.account == account);
            let mut made: Vec<_> = of_account.map(|note| note.made).collect();
            made.sort_unstable();
            let until = made.get(made.len() / 2).copied().unwrap_or_default();
            self.end_before(&account, until);
        }
    }

    fn end_before(&mut self, account: &str, until: u64) {
        self.notes
            .retain(|_, note| note.account != account || note.made > until);
        let before = self.ended_before.entry(account.to_owned()).or_default();
        *before = until.max(*before);
        // The logins that the oldest one is about have ended by their age first.
        while self.ended_before.len() > ENDED_BEFORE {
            let oldest = self.ended_before.iter().min_by_key(|(_, until)| **until);
            let Some(oldest) = oldest.map(|(account, _)| account.clone()) else {
                break;
            };
            self.ended_before.remove(&oldest);
        }
    }
}

/// Adds a note to what is known of the same login: an end is never taken back.
fn merge(notes: &mut BTreeMap<String, LoginNote>, digest: &str, note: &LoginNote) {
    match notes.get_mut(digest) {
        Some(known) => {
            known.used = known.used.max(note.used);
            known.ended |= note.ended;
        }
        None => drop(notes.insert(digest.to_owned(), note.clone())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(account: &str, made: u64, ended: bool) -> LoginNote {
        LoginNote {
            account: account.into(),
            made,
            used: made,
            until: made + 1_000_000,
            ended,
        }
    }

    fn notes(all: impl IntoIterator<Item = LoginNote>) -> LoginNotes {
        let mut notes = LoginNotes::default();
        for (number, note) in all.into_iter().enumerate() {
            notes.note(&format!("{}{number:020}", note.account), note);
        }
        notes
    }

    #[test]
    fn whoever_notes_it_first_an_end_holds_and_the_last_use_counts() {
        let one = notes([note("ada", 10, true)]);
        let mut two = one.clone();
        for note in two.notes.values_mut() {
            (note.used, note.ended) = (50, false);
        }
        for order in [[&one, &two], [&two, &one]] {
            let mut known = LoginNotes::default();
            for notes in order {
                known.add(notes, 60);
            }
            let note = known.notes.values().next().unwrap();
            assert!(note.ended && note.used == 50);
        }
    }

    #[test]
    fn what_has_expired_is_forgotten() {
        let mut known = LoginNotes::default();
        known.add(&notes([note("ada", 10, true)]), 1_000_009);
        assert_eq!(known.len(), 1);
        known.add(&LoginNotes::default(), 1_000_010);
        assert!(known.is_empty());
    }

    #[test]
    fn what_was_noted_meanwhile_is_not_removed() {
        let before = notes([note("ada", 10, false)]);
        let mut now = before.clone();
        now.note(&format!("ada{:020}", 0), note("ada", 10, true));
        now.note("other", note("bob", 11, true));
        now.remove(&before);
        assert_eq!(now.len(), 2);
    }

    #[test]
    fn an_account_with_too_many_ends_loses_its_older_logins_and_no_other_account_does() {
        let most = SHARED_LOGINS as u64;
        let many = (0..=most).map(|made| note("ada", made, true));
        let known = notes(many.chain([note("bob", 1, false)]));
        assert!(known.has_ended("any", "ada", most / 2));
        assert!(!known.has_ended("any", "ada", most + 1));
        assert!(!known.has_ended("any", "bob", 1));
        assert!(known.len() <= SHARED_LOGINS);
    }
}
