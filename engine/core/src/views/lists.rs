//! The open sessions in list order, with one index per selectable property.

use super::SessionView;
use crate::SessionNumber;
use crate::collections::RankSet;
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::RangeInclusive;

/// A filter of open sessions. A session must match every field that is set.
///
/// ```
/// use rejoin_core::{Selection, SessionNumber, Views};
///
/// let mut views = Views::default();
/// // … apply records …
/// let of_bob = Selection { user: Some("bob"), ..Selection::default() };
/// assert_eq!(views.count(&of_bob), 0);
/// // The third page of a hundred:
/// assert_eq!(views.select(&of_bob, 200).take(100).count(), 0);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selection<'a> {
    /// The user; the empty name selects the sessions that have none.
    pub user: Option<&'a str>,
    /// Numbers, in ascending order, of sessions that match `user` whosever they are. Meant for few:
    /// they are looked at one by one, and a list with some is not found by position.
    pub also: &'a [u64],
    /// The service.
    pub service: Option<&'a str>,
    /// Whether jobs are running.
    pub busy: Option<bool>,
    /// The range of session numbers.
    pub numbers: RangeInclusive<u64>,
}

impl Default for Selection<'_> {
    fn default() -> Self {
        Self {
            user: None,
            also: &[],
            service: None,
            busy: None,
            numbers: 0..=u64::MAX,
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Lists {
    all: RankSet,
    /// Those of nobody have the empty name.
    users: BTreeMap<Arc<str>, RankSet>,
    services: BTreeMap<Arc<str>, RankSet>,
    busy: RankSet,
    idle: RankSet,
}

impl Lists {
    pub(crate) fn enter(&mut self, view: &SessionView) {
        let SessionNumber(number) = view.number;
        self.all.insert(number);
        self.state(view.is_busy()).insert(number);
        self.services
            .entry(view.service.clone())
            .or_default()
            .insert(number);
        self.enter_user(view);
    }

    pub(super) fn leave(&mut self, view: &SessionView) {
        let SessionNumber(number) = view.number;
        self.all.remove(number);
        self.busy.remove(number);
        self.idle.remove(number);
        remove(&mut self.services, &view.service, number);
        remove(&mut self.users, name(view.user.as_ref()), number);
    }

    /// Updates a session that has become busy or idle.
    pub(super) fn turn(&mut self, view: &SessionView) {
        let SessionNumber(number) = view.number;
        self.state(!view.is_busy()).remove(number);
        self.state(view.is_busy()).insert(number);
    }

    /// Updates a session whose user has changed.
    pub(super) fn rename(&mut self, before: Option<&Arc<str>>, view: &SessionView) {
        remove(&mut self.users, name(before), view.number.0);
        self.enter_user(view);
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    /// How many sessions match. Fast unless more than one of user, service and state is set; then
    /// the smallest of these sets is scanned.
    pub(super) fn count(&self, selection: &Selection<'_>) -> usize {
        self.count_own(selection) + self.also(selection).count()
    }

    fn count_own(&self, selection: &Selection<'_>) -> usize {
        let Some((first, others)) = self.sets(selection) else {
            return 0;
        };
        let (from, to) = (*selection.numbers.start(), *selection.numbers.end());
        if others.iter().flatten().next().is_some() {
            return Self::walk(first, others, from, to).count();
        }
        let up_to = first.below(to) + usize::from(first.contains(to));
        up_to.saturating_sub(first.below(from))
    }

    /// The numbers of the matching sessions in ascending order, without the first `skip`.
    pub(super) fn select(
        &self,
        selection: &Selection<'_>,
        skip: usize,
    ) -> impl Iterator<Item = u64> + '_ {
        let mut also: Vec<u64> = self.also(selection).collect();
        if also.is_empty() {
            return Either::Own(self.select_own(selection, skip));
        }
        // Of descending numbers the last is the next.
        also.reverse();
        let mut own = self.select_own(selection, 0).peekable();
        let both = core::iter::from_fn(move || match (own.peek(), also.last()) {
            (Some(first), Some(second)) if second < first => also.pop(),
            (None, _) => also.pop(),
            (Some(_), _) => own.next(),
        });
        Either::Both(both.skip(skip))
    }

    /// The numbers of `also` that are not selected by their user, but by everything else.
    fn also(&self, selection: &Selection<'_>) -> impl Iterator<Item = u64> {
        let own = selection.user.map(|user| self.users.get(user));
        let service = selection.service.map(|name| self.services.get(name));
        let state = selection.busy.map(|busy| match busy {
            true => &self.busy,
            false => &self.idle,
        });
        let has = |set: Option<&RankSet>, number| set.is_some_and(|set| set.contains(number));
        selection.also.iter().copied().filter(move |number| {
            own.is_some_and(|own| !has(own, *number))
                && has(Some(&self.all), *number)
                && selection.numbers.contains(number)
                && service.is_none_or(|service| has(service, *number))
                && state.is_none_or(|state| state.contains(*number))
        })
    }

    fn select_own(&self, selection: &Selection<'_>, skip: usize) -> impl Iterator<Item = u64> + '_ {
        let (from, to) = (*selection.numbers.start(), *selection.numbers.end());
        self.sets(selection)
            .into_iter()
            .flat_map(move |(first, others)| {
                // A single set knows the position; an intersection must be counted.
                let (start, skip) = match others.iter().flatten().next() {
                    Some(_) => (Some(from), skip),
                    None => (first.nth(first.below(from).saturating_add(skip)), 0),
                };
                // Past the end: start from the highest number.
                let (start, to) = start.map_or((u64::MAX, 0), |start| (start, to));
                Self::walk(first, others, start, to).skip(skip)
            })
    }

    /// The sets whose intersection the selection is, smallest first. None if one is empty.
    fn sets(&self, selection: &Selection<'_>) -> Option<(&RankSet, [Option<&RankSet>; 2])> {
        let user = match selection.user {
            Some(user) => Some(self.users.get(user)?),
            None => None,
        };
        let service = match selection.service {
            Some(service) => Some(self.services.get(service)?),
            None => None,
        };
        let state = selection
            .busy
            .map(|busy| if busy { &self.busy } else { &self.idle });
        let mut sets = [user, service, state];
        sets.sort_by_key(|set| set.map_or(usize::MAX, RankSet::len));
        let [first, others @ ..] = sets;
        Some((first.unwrap_or(&self.all), others))
    }

    fn walk<'a>(
        first: &'a RankSet,
        others: [Option<&'a RankSet>; 2],
        from: u64,
        to: u64,
    ) -> impl Iterator<Item = u64> + 'a {
        first
            .from(from)
            .take_while(move |number| *number <= to)
            .filter(move |number| others.iter().flatten().all(|it| it.contains(*number)))
    }

    fn state(&mut self, busy: bool) -> &mut RankSet {
        if busy { &mut self.busy } else { &mut self.idle }
    }

    fn enter_user(&mut self, view: &SessionView) {
        let name = view.user.clone().unwrap_or_default();
        self.users.entry(name).or_default().insert(view.number.0);
    }
}

/// One of two iterators.
enum Either<A, B> {
    Own(A),
    Both(B),
}

impl<A: Iterator<Item = u64>, B: Iterator<Item = u64>> Iterator for Either<A, B> {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        match self {
            Self::Own(own) => own.next(),
            Self::Both(both) => both.next(),
        }
    }
}

fn name(user: Option<&Arc<str>>) -> &str {
    user.map_or("", |user| user)
}

fn remove(index: &mut BTreeMap<Arc<str>, RankSet>, key: &str, number: u64) {
    if let Some(numbers) = index.get_mut(key) {
        numbers.remove(number);
        if numbers.is_empty() {
            index.remove(key);
        }
    }
}
