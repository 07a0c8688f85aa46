//! The `state` that a list of sessions is filtered by.

use crate::error::Fault;
use rejoin_engine::EndedSessions;

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

    /// What it asks of open sessions.
    pub(crate) fn busy(self) -> Option<bool> {
        match self {
            Self::Running => Some(true),
            Self::Idle => Some(false),
            Self::Ended => None,
        }
    }

    pub(crate) fn ended(self) -> EndedSessions {
        match self {
            Self::Running | Self::Idle => EndedSessions::Exclude,
            Self::Ended => EndedSessions::Only,
        }
    }
}
