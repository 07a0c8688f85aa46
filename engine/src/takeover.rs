//! What becomes, at a start, of the jobs that the log says are running.

use crate::limits::LOST_JOBS_NAMED;
use rejoin_core::{JobId, SessionId};
use std::collections::BTreeMap;

/// What became of the jobs that the log said were running when the engine was started.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Takeover {
    /// How many went on.
    pub kept: usize,
    /// How many were lost, by the reason. Runners have few reasons.
    pub lost: BTreeMap<String, usize>,
}

impl Takeover {
    /// Logs what went on and what was lost.
    pub(crate) fn new(kept: usize, lost: Vec<(SessionId, JobId, String)>) -> Self {
        if kept > 0 {
            tracing::info!(jobs = kept, "went on with jobs of the previous server");
        }
        for (session, job, reason) in lost.iter().take(LOST_JOBS_NAMED) {
            tracing::warn!(%session, %job, %reason, "lost a job of the previous server");
        }
        if lost.len() > LOST_JOBS_NAMED {
            let jobs = lost.len() - LOST_JOBS_NAMED;
            tracing::warn!(jobs, "lost further jobs of the previous server");
        }
        let mut by_reason = BTreeMap::new();
        for (_, _, reason) in lost {
            *by_reason.entry(reason).or_default() += 1;
        }
        Self {
            kept,
            lost: by_reason,
        }
    }

    /// How many were lost in all.
    pub fn lost(&self) -> usize {
        self.lost.values().sum()
    }
}
