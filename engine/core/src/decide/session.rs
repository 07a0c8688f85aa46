//! Decisions about sessions.

use super::job::cut;
use super::{Decision, at_most, fewer_than};
use crate::state::Session;
use crate::{
    CloseCause, ConsumerId, CreateSession, DescribeSession, Event, Instant, InterruptCause, JobId,
    LeaveCause, LinkChange, NodeTerm, Outcome, Rejection, SessionId, SessionNumber, State,
};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;

impl State {
    pub(super) fn create_session(&self, create: CreateSession) -> Decision {
        let CreateSession {
            session,
            service,
            user,
            remote,
            server,
            timeout,
            consumer,
        } = create;
        let limits = &self.limits;
        if self.session(session).is_some() || self.closed.get(session).is_some() {
            return Err(Rejection::SessionExists(session));
        }
        fewer_than("sessions", limits.sessions, self.sessions.len())?;
        at_most("service", limits.name, service.len())?;
        at_most(
            "user",
            limits.name,
            user.as_ref().map_or(0, |user| user.len()),
        )?;
        at_most(
            "remote address",
            limits.name,
            remote.as_ref().map_or(0, |remote| remote.len()),
        )?;
        let number = SessionNumber(self.numbering.after(self.last_number));
        let created = Event::SessionCreated {
            number,
            service,
            user,
            remote,
            server,
            timeout,
        };
        let joined = consumer.map(|(token, timeout)| Event::ConsumerJoined {
            consumer: ConsumerId { token, ordinal: 1 },
            timeout,
            foreground: None,
        });
        Ok([Some(created), joined]
            .into_iter()
            .flatten()
            .map(|event| (session, event))
            .collect())
    }

    pub(super) fn close_session(&self, session: SessionId, cause: CloseCause) -> Decision {
        Ok(self.open(session)?.close(session, cause))
    }

    pub(super) fn set_user(&self, session: SessionId, user: Arc<str>) -> Decision {
        at_most("user", self.limits.name, user.len())?;
        let known = self.open(session)?.user.as_ref() == Some(&user);
        Ok(if known {
            vec![]
        } else {
            vec![(session, Event::UserSet { user })]
        })
    }

    pub(super) fn note_link(
        &self,
        session: SessionId,
        link: Arc<str>,
        change: LinkChange,
    ) -> Decision {
        at_most("name of a link", self.limits.name, link.len())?;
        self.open(session)?;
        Ok(vec![(session, Event::LinkChanged { link, change })])
    }

    pub(super) fn describe_session(&self, describe: DescribeSession) -> Decision {
        let DescribeSession {
            session,
            title,
            labels,
        } = describe;
        let limits = &self.limits;
        let open = self.open(session)?;
        let mut description = open.description().cloned().unwrap_or_default();
        if let Some(title) = title {
            at_most("title", limits.name, title.len())?;
            description.title = Some(title).filter(|title| !title.is_empty());
        }
        for (key, value) in labels {
            at_most("key of a label", limits.name, key.len())?;
            match value {
                Some(value) => {
                    at_most("value of a label", limits.name, value.len())?;
                    description.labels.insert(key, value);
                }
                None => drop(description.labels.remove(&key)),
            }
        }
        if description.labels.len() > limits.labels {
            return Err(Rejection::TooMany {
                what: "labels",
                limit: limits.labels,
            });
        }
        let known = match open.description() {
            Some(known) => *known == description,
            None => description.is_empty(),
        };
        let description = Arc::new(description);
        Ok(if known {
            vec![]
        } else {
            vec![(session, Event::SessionDescribed { description })]
        })
    }

    pub(super) fn touch_session(&self, session: SessionId, seen: Instant) -> Decision {
        let known = self.open(session)?.seen >= seen;
        Ok(if known {
            vec![]
        } else {
            vec![(session, Event::SessionTouched { seen })]
        })
    }

    /// The first decision after a start: running jobs that their runners do not have any more are
    /// lost, and timeouts of sessions and consumers start again, because no consumer could pull while
    /// the server was down.
    ///
    /// The same if another node takes the log; then the records say so.
    pub(super) fn resume(
        &self,
        kept: &BTreeSet<JobId>,
        lost: &BTreeMap<JobId, Arc<str>>,
        by: Option<&Arc<NodeTerm>>,
    ) -> Vec<(SessionId, Event)> {
        let ended = match by {
            None => ENDED,
            Some(_) => ENDED_ELSEWHERE,
        };
        let mut events = vec![];
        for (id, session) in self.sessions() {
            for (job, running) in session.jobs().filter(|(job, _)| !kept.contains(job)) {
                let message = match lost.get(&job) {
                    _ if running.is_uncertain => ENDED_UNSEEN.into(),
                    // Another node's runner does not know.
                    Some(reason) if running.started && by.is_none() => {
                        cut(format!("{ended}: {reason}").into(), self.limits.message)
                    }
                    _ => ended.into(),
                };
                let finished = Event::JobFinished {
                    job,
                    mode: running.mode,
                    outcome: Outcome::Lost,
                    status: LOST_STATUS,
                    message: Some(message),
                };
                events.push((id, finished));
            }
            let resumed = by.map_or(Event::SessionResumed, |by| Event::SessionTakenOver {
                by: by.clone(),
            });
            events.push((id, resumed));
        }
        events
    }
}

impl Session {
    /// Jobs finish first, then consumers leave, then the session is closed.
    pub(super) fn close(&self, session: SessionId, cause: CloseCause) -> Vec<(SessionId, Event)> {
        let mut events = vec![];
        for (job, running) in self.jobs() {
            events.push(running.interrupt_event(job, InterruptCause::SessionClosed));
            events.push(Event::JobFinished {
                job,
                mode: running.mode,
                outcome: Outcome::Interrupted,
                status: CLOSED_STATUS,
                message: InterruptCause::SessionClosed.message().map(Into::into),
            });
        }
        for (consumer, _) in self.consumers() {
            events.push(Event::ConsumerLeft {
                consumer,
                cause: LeaveCause::SessionClosed,
            });
        }
        events.push(Event::SessionClosed { cause });
        events.into_iter().map(|event| (session, event)).collect()
    }
}

/// The exit status after SIGHUP, as shells report it.
const CLOSED_STATUS: i32 = 129;

/// The message for a job that was running when the server ended.
const ENDED: &str = "the server ended while the job ran";

/// The message for a job that was running at a node that has lost its log, to another one or for some time.
const ENDED_ELSEWHERE: &str =
    "the node that ran the job ended or was cut off, and the session was taken over";

/// The message for a job that may have finished before that.
const ENDED_UNSEEN: &str = "records are missing in which the job may have ended";

/// The exit status after SIGKILL, as shells report it.
const LOST_STATUS: i32 = 137;
