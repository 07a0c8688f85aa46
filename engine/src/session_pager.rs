//! Lists sessions in bounded steps, for frontends that show them.

use crate::Engine;
use rejoin_core::{Selection, SessionNumber, SessionView, Views};
use std::cmp::Reverse;
use std::fmt;
use std::ops::{ControlFlow, RangeInclusive};
use std::sync::Arc;
use std::time::Duration;

/// Lists the sessions of a [`Selection`] in bounded steps.
///
/// Lists in ascending order are read by [`step`](Self::step), which looks at [`STEP`](Self::STEP)
/// sessions at most and keeps its place by number: sessions that end between two steps are left
/// out, new ones come at the end, and none is shown twice. Lists that begin with the newest session
/// are read by [`newest`](Self::newest), one page at a time.
///
/// A page is found by an index, not by walking to it. The engine cannot publish new records while
/// a step reads the views, so do nothing slow there, and call [`yield_now`](Self::yield_now)
/// between two steps.
///
/// ```
/// use rejoin_core::Selection;
/// use rejoin_engine::testing::{Hold, in_memory};
/// use rejoin_engine::{Config, EndedSessions, NewSession, SessionPager, SmolRuntime};
/// use std::ops::ControlFlow;
/// use std::sync::Arc;
///
/// let services = Hold::services(["shell"]);
/// let engine = in_memory(Config::default(), Arc::new(SmolRuntime), services, &[]);
/// smol::block_on(async {
///     for _ in 0..3 {
///         engine.create_session(NewSession::default()).await?;
///     }
///
///     let mut pager = SessionPager::new(&engine, &Selection::default());
///     assert_eq!(pager.skip(1), 3);
///     let mut numbers = vec![];
///     while pager.step(|session| {
///         numbers.push(session.number.0);
///         ControlFlow::Continue(())
///     }) {
///         pager.yield_now().await;
///     }
///     assert_eq!(numbers, [2, 3]);
///
///     let pager = SessionPager::new(&engine, &Selection::default());
///     let (page, next) = pager.newest(2, EndedSessions::Include, |session| session.number.0);
///     assert_eq!((page, next), (vec![3, 2], Some(2)));
///     Ok::<_, rejoin_engine::CommandError>(())
/// })
/// # .unwrap();
/// ```
#[derive(Clone)]
pub struct SessionPager {
    engine: Engine,
    user: Option<Arc<str>>,
    also: Arc<[u64]>,
    service: Option<Arc<str>>,
    busy: Option<bool>,
    /// The number at which the next step begins; none at the end.
    next: Option<u64>,
    /// The last number of the selection.
    last: u64,
}

/// Whether [`SessionPager::newest`] lists sessions that have ended, of which the engine remembers a
/// [bounded number](rejoin_core::limits::REMEMBERED_SESSIONS).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndedSessions {
    /// Only open sessions.
    Exclude,
    /// Open and ended ones. `busy` of the selection applies to open ones only.
    Include,
    /// Only ended ones.
    Only,
}

impl SessionPager {
    /// How many sessions one [`step`](Self::step) looks at.
    pub const STEP: usize = 100;

    /// A pager before the first session of the selection.
    #[must_use]
    pub fn new(engine: &Engine, selection: &Selection<'_>) -> Self {
        Self {
            engine: engine.clone(),
            user: selection.user.map(Into::into),
            also: selection.also.into(),
            service: selection.service.map(Into::into),
            busy: selection.busy,
            next: Some(*selection.numbers.start()),
            last: *selection.numbers.end(),
        }
    }

    /// How many open sessions are left. Costs as [`Views::count`] does.
    #[must_use]
    pub fn remaining(&self) -> usize {
        let selection = self.selection();
        self.engine.view(|views| views.count(&selection))
    }

    /// Skips open sessions, and returns how many there were before. Costs as [`Views::count`] does,
    /// however many are skipped.
    pub fn skip(&mut self, count: usize) -> usize {
        let selection = self.selection();
        let (first, total) = self.engine.view(|views| {
            let first = views.select(&selection, count).next();
            (first.map(|view| view.number), views.count(&selection))
        });
        self.start_at(first);
        total
    }

    /// Continues at the session with this number, or at the next one if it has ended. None: moves to
    /// the end.
    pub fn start_at(&mut self, number: Option<SessionNumber>) {
        self.next = number.map(|SessionNumber(number)| number);
    }

    /// Shows the next open sessions to `visit`, by number, until it breaks or has seen
    /// [`STEP`](Self::STEP) of them. Returns whether there may be more: the next step goes on after
    /// the last one that was shown.
    pub fn step(&mut self, mut visit: impl FnMut(&SessionView) -> ControlFlow<()>) -> bool {
        let selection = self.selection();
        let (last, is_end) = self.engine.view(|views| {
            let (mut last, mut count) = (None, 0);
            for view in views.select(&selection, 0).take(Self::STEP) {
                last = Some(view.number.0);
                count += 1;
                if visit(view).is_break() {
                    return (last, false);
                }
            }
            (last, count < Self::STEP)
        });
        let next = last
            .filter(|_| !is_end)
            .and_then(|last| last.checked_add(1));
        self.start_at(next.map(SessionNumber));
        next.is_some()
    }

    /// Lets other tasks of this thread run.
    pub async fn yield_now(&self) {
        self.engine.runtime().timer(Duration::ZERO).await;
    }

    /// The newest sessions of the selection, in descending order and `limit` at most, and the number
    /// of the last one if there are more: the next page has the numbers below it. Costs no more for
    /// sessions that are not on the page, apart from the remembered ones that have ended.
    #[must_use]
    pub fn newest<T>(
        &self,
        limit: usize,
        ended: EndedSessions,
        show: impl Fn(&SessionView) -> T,
    ) -> (Vec<T>, Option<u64>) {
        let selection = self.selection();
        self.engine.view(|views| {
            let mut sessions = newest(views, &selection, limit.saturating_add(1), ended);
            let has_more = sessions.len() > limit;
            sessions.truncate(limit);
            let last = sessions.last().filter(|_| has_more);
            let next = last.map(|view| view.number.0);
            (sessions.into_iter().map(show).collect(), next)
        })
    }

    fn selection(&self) -> Selection<'_> {
        Selection {
            user: self.user.as_deref(),
            also: &self.also,
            service: self.service.as_deref(),
            busy: self.busy,
            numbers: self.next.map_or(NO_NUMBERS, |next| next..=self.last),
        }
    }
}

impl fmt::Debug for SessionPager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.selection().fmt(f)
    }
}

fn newest<'views>(
    views: &'views Views,
    selection: &Selection<'_>,
    count: usize,
    ended: EndedSessions,
) -> Vec<&'views SessionView> {
    let mut sessions = vec![];
    if ended != EndedSessions::Only {
        let skip = views.count(selection).saturating_sub(count);
        sessions.extend(views.select(selection, skip).take(count));
    }
    if ended != EndedSessions::Exclude {
        let is_selected = |view: &&SessionView| {
            selection.numbers.contains(&view.number.0)
                && (selection
                    .user
                    .is_none_or(|user| view.user.as_deref().unwrap_or_default() == user)
                    || selection.also.contains(&view.number.0))
                && selection
                    .service
                    .is_none_or(|service| &*view.service == service)
        };
        sessions.extend(views.ended_sessions().filter(is_selected));
    }
    sessions.sort_unstable_by_key(|view| Reverse(view.number));
    sessions
}

#[expect(clippy::reversed_empty_ranges, reason = "it is meant to be empty")]
const NO_NUMBERS: RangeInclusive<u64> = u64::MAX..=0;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Hold, in_memory};
    use crate::{Config, NewSession, SmolRuntime};

    /// Sessions numbered from 1: the odd ones are ada's, the even ones bob's.
    fn engine_with_sessions(count: usize) -> Engine {
        let services = Hold::services(["shell"]);
        let engine = in_memory(Config::default(), Arc::new(SmolRuntime), services, &[]);
        for number in 1..=count {
            let new = NewSession {
                user: Some(["bob", "ada"][number % 2].into()),
                ..NewSession::default()
            };
            smol::block_on(engine.create_session(new)).unwrap();
        }
        engine
    }

    fn end(engine: &Engine, number: u64) {
        let session = engine.view(|views| views.open_session(SessionNumber(number)).unwrap().id);
        smol::block_on(engine.close_session(session)).unwrap();
    }

    fn of_user(user: &str) -> Selection<'_> {
        Selection {
            user: Some(user),
            ..Selection::default()
        }
    }

    fn step(pager: &mut SessionPager, most: usize) -> (Vec<u64>, bool) {
        let mut numbers = vec![];
        let has_more = pager.step(|view| {
            numbers.push(view.number.0);
            match numbers.len() < most {
                true => ControlFlow::Continue(()),
                false => ControlFlow::Break(()),
            }
        });
        (numbers, has_more)
    }

    #[test]
    fn steps_are_bounded_and_show_every_selected_session_once() {
        let count = 2 * SessionPager::STEP as u64 + 1;
        let engine = engine_with_sessions(2 * count as usize);
        let mut pager = SessionPager::new(&engine, &of_user("ada"));
        assert_eq!(pager.remaining(), count as usize);
        let mut numbers = vec![];
        loop {
            let (shown, has_more) = step(&mut pager, usize::MAX);
            assert!(shown.len() <= SessionPager::STEP);
            numbers.extend(shown);
            if !has_more {
                break;
            }
        }
        assert_eq!(
            numbers,
            (0..count).map(|index| 2 * index + 1).collect::<Vec<_>>()
        );
        assert_eq!(pager.remaining(), 0);
        assert_eq!(step(&mut pager, usize::MAX), (vec![], false));
    }

    #[test]
    fn a_step_goes_on_after_the_last_session_whatever_ends_meanwhile() {
        let engine = engine_with_sessions(6);
        let mut pager = SessionPager::new(&engine, &Selection::default());
        assert_eq!(step(&mut pager, 2), (vec![1, 2], true));
        for number in [1, 3] {
            end(&engine, number);
        }
        assert_eq!(step(&mut pager, 2), (vec![4, 5], true));
        assert_eq!(step(&mut pager, 2), (vec![6], false));
    }

    #[test]
    fn a_pager_at_its_end_can_start_again() {
        let engine = engine_with_sessions(3);
        let mut pager = SessionPager::new(&engine, &Selection::default());
        assert_eq!(step(&mut pager, usize::MAX), (vec![1, 2, 3], false));
        pager.start_at(Some(SessionNumber(2)));
        assert_eq!(step(&mut pager, usize::MAX), (vec![2, 3], false));
    }

    #[test]
    fn skipping_counts_all_and_stops_at_the_end() {
        let engine = engine_with_sessions(9);
        let mut pager = SessionPager::new(&engine, &of_user("ada"));
        assert_eq!(pager.skip(2), 5);
        assert_eq!(step(&mut pager, usize::MAX).0, [5, 7, 9]);
        let mut pager = SessionPager::new(&engine, &of_user("ada"));
        assert_eq!(pager.skip(usize::MAX), 5);
        assert_eq!(step(&mut pager, usize::MAX), (vec![], false));
    }

    #[test]
    fn pages_of_the_newest_have_ended_sessions_in_their_place() {
        let engine = engine_with_sessions(6);
        end(&engine, 3);
        end(&engine, 5);
        let page = |user: Option<&str>, before: u64, ended| {
            let selection = Selection {
                user,
                numbers: 0..=before - 1,
                ..Selection::default()
            };
            SessionPager::new(&engine, &selection).newest(2, ended, |view| view.number.0)
        };
        assert_eq!(
            page(None, 100, EndedSessions::Include),
            (vec![6, 5], Some(5))
        );
        assert_eq!(page(None, 5, EndedSessions::Include), (vec![4, 3], Some(3)));
        assert_eq!(page(None, 3, EndedSessions::Include), (vec![2, 1], None));
        assert_eq!(
            page(None, 100, EndedSessions::Exclude),
            (vec![6, 4], Some(4))
        );
        assert_eq!(page(None, 100, EndedSessions::Only), (vec![5, 3], None));
        assert_eq!(page(Some("bob"), 100, EndedSessions::Only), (vec![], None));
        assert_eq!(
            page(Some("ada"), 5, EndedSessions::Include),
            (vec![3, 1], None)
        );
    }
}
