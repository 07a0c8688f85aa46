//! Pages of the list of sessions, newest first, including ended ones. Pure.
//!
//! Invariant: the cost of a page depends on its size and on the bounded number of ended sessions
//! that are remembered, not on how many sessions are open.

use crate::error::Fault;
use rejoin_core::{Selection, SessionNumber, SessionView, Views};

/// A request for a page.
#[derive(Debug)]
pub(crate) struct ListQuery<'a> {
    pub(crate) user: Option<&'a str>,
    pub(crate) service: Option<&'a str>,
    pub(crate) state: Option<State>,
    /// Only sessions with lower numbers than this.
    pub(crate) before: u64,
    /// The most sessions on the page.
    pub(crate) limit: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Running,
    Idle,
    Ended,
}

impl State {
    pub(crate) fn parse(name: Option<&str>) -> Result<Option<Self>, Fault> {
        Ok(Some(match name {
            None => return Ok(None),
            Some("running") => Self::Running,
            Some("idle") => Self::Idle,
            Some("ended") => Self::Ended,
            Some(_) => {
                let reason = "`state` must be running, idle or ended";
                return Err(Fault::RequestInvalid(reason.to_owned()));
            }
        }))
    }
}

impl ListQuery<'_> {
    /// The sessions of the page, and the `before` of the next page if there is one.
    pub(crate) fn page<T>(
        &self,
        views: &Views,
        render: impl Fn(&SessionView) -> T,
    ) -> (Vec<T>, Option<u64>) {
        let mut page: Vec<&SessionView> = vec![];
        if self.state != Some(State::Ended) {
            let selection = Selection {
                user: self.user,
                service: self.service,
                busy: self.state.map(|state| state == State::Running),
                numbers: 0..=self.before.saturating_sub(1),
            };
            let skip = views.count(&selection).saturating_sub(self.limit + 1);
            page.extend(views.select(&selection, skip).take(self.limit + 1));
        }
        if matches!(self.state, None | Some(State::Ended)) {
            page.extend(views.ended_sessions().filter(|view| self.selects(view)));
        }
        page.sort_unstable_by_key(|view| std::cmp::Reverse(view.number));
        let more = page.len() > self.limit;
        page.truncate(self.limit);
        let next = page.last().filter(|_| more).map(|view| {
            let SessionNumber(number) = view.number;
            number
        });
        (page.into_iter().map(render).collect(), next)
    }

    fn selects(&self, view: &SessionView) -> bool {
        self.user
            .is_none_or(|user| view.user.as_deref() == Some(user))
            && self.service.is_none_or(|service| &*view.service == service)
            && view.number.0 < self.before
    }
}
