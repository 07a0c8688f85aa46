//! A page of the list of sessions: the newest first, ended ones among them. Pure.
//!
//! What is never true: that a page costs more for the sessions that are not on it, beyond the
//! bounded number of ended ones that are remembered.

use crate::error::Fault;
use rejoin_core::{Selection, SessionNumber, SessionView, Views};

/// What a list is asked for.
#[derive(Debug)]
pub(crate) struct Listed<'a> {
    pub(crate) user: Option<&'a str>,
    pub(crate) service: Option<&'a str>,
    pub(crate) state: Option<State>,
    /// Only sessions with lower numbers.
    pub(crate) before: u64,
    /// How many at most.
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
                let reason = "`state` is one of running, idle, ended";
                return Err(Fault::RequestInvalid(reason.to_owned()));
            }
        }))
    }
}

impl Listed<'_> {
    /// The sessions of the page, and what to ask for as `before` to get the next, where there is
    /// one.
    pub(crate) fn page<T>(
        &self,
        views: &Views,
        tell: impl Fn(&SessionView) -> T,
    ) -> (Vec<T>, Option<u64>) {
        let mut found: Vec<&SessionView> = vec![];
        if self.state != Some(State::Ended) {
            let selection = Selection {
                user: self.user,
                service: self.service,
                busy: self.state.map(|state| state == State::Running),
                numbers: 0..=self.before.saturating_sub(1),
            };
            let skip = views.count(&selection).saturating_sub(self.limit + 1);
            found.extend(views.select(&selection, skip).take(self.limit + 1));
        }
        if matches!(self.state, None | Some(State::Ended)) {
            found.extend(views.ended_sessions().filter(|view| self.selects(view)));
        }
        found.sort_unstable_by_key(|view| std::cmp::Reverse(view.number));
        let more = found.len() > self.limit;
        found.truncate(self.limit);
        let next = found.last().filter(|_| more).map(|view| {
            let SessionNumber(number) = view.number;
            number
        });
        (found.into_iter().map(tell).collect(), next)
    }

    fn selects(&self, view: &SessionView) -> bool {
        self.user
            .is_none_or(|user| view.user.as_deref() == Some(user))
            && self.service.is_none_or(|service| &*view.service == service)
            && view.number.0 < self.before
    }
}
