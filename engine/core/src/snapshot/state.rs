//! Converts the state to a snapshot and back.

use super::{
    ClosedSnapshot, ConsumerSnapshot, InputSnapshot, JobSnapshot, SessionSnapshot, Snapshot,
};
use crate::state::consumers::{Consumer, Consumers};
use crate::state::deadlines::{Deadlines, NextDeadlines};
use crate::state::idempotency::IdempotencyKeys;
use crate::state::retention::{ClosedSession, RetentionQueue};
use crate::state::{Input, Job, Session, State};
use crate::{ConsumerId, JobId, Limits, Numbering, SessionId};
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

impl State {
    /// The state that a snapshot was made of, with the current limits.
    pub(super) fn restored(limits: Limits, snapshot: &Snapshot) -> Self {
        let mut deadlines = Deadlines::default();
        let descriptions: BTreeMap<_, _> = snapshot.descriptions.iter().cloned().collect();
        let sessions = snapshot.sessions.iter().map(|from| {
            let mut session = Box::new(Session::restored(from));
            session.description = descriptions.get(&from.number).cloned();
            deadlines.reset(from.id, NextDeadlines::default(), session.next());
            (from.id, session)
        });
        let sessions = sessions.collect();
        Self {
            limits,
            numbering: Numbering::ALONE,
            sessions,
            deadlines,
            closed: RetentionQueue::restored(&snapshot.closed),
            last_number: snapshot.last_number,
            last_job: snapshot.last_job,
            last: snapshot.last,
        }
    }

    pub(super) fn write_to(&self, snapshot: &mut Snapshot) {
        let Self {
            limits: _,
            numbering: _,
            sessions,
            closed,
            deadlines: _,
            last_number,
            last_job,
            last,
        } = self;
        snapshot.last_number = *last_number;
        snapshot.last_job = *last_job;
        snapshot.last = *last;
        let sessions = sessions.iter().map(|(id, session)| session.snapshot(*id));
        snapshot.sessions = sessions.collect();
        snapshot.closed = closed.snapshot();
    }
}

impl Session {
    fn restored(from: &SessionSnapshot) -> Self {
        let mut consumers = Consumers::default();
        for it in &from.consumers {
            consumers.join(it.id, Consumer::restored(it));
        }
        let jobs = from.jobs.iter();
        Self {
            number: from.number,
            service: from.service.clone(),
            user: from.user.clone(),
            description: None,
            last_sequence: from.last_sequence,
            last_ordinal: from.last_ordinal,
            consumers,
            jobs: jobs.map(|it| (it.id, Job::restored(it))).collect(),
            foreground: from.foreground,
            seen: from.seen,
            timeout: from.timeout,
            bytes: from.bytes,
            is_incomplete: from.is_incomplete,
            requests: IdempotencyKeys::restored(&from.requests),
        }
    }

    fn snapshot(&self, id: SessionId) -> SessionSnapshot {
        let Self {
            number,
            service,
            user,
            description: _,
            last_sequence,
            last_ordinal,
            consumers,
            jobs,
            foreground,
            seen,
            timeout,
            bytes,
            is_incomplete,
            requests,
        } = self;
        SessionSnapshot {
            id,
            number: *number,
            service: service.clone(),
            user: user.clone(),
            last_sequence: *last_sequence,
            last_ordinal: *last_ordinal,
            consumers: consumers.iter().map(|(id, it)| it.snapshot(id)).collect(),
            jobs: jobs.iter().map(|(id, it)| it.snapshot(*id)).collect(),
            foreground: *foreground,
            seen: *seen,
            timeout: *timeout,
            bytes: *bytes,
            is_incomplete: *is_incomplete,
            requests: requests.snapshot(),
        }
    }
}

impl Consumer {
    fn restored(from: &ConsumerSnapshot) -> Self {
        Self {
            cursor: from.cursor,
            seen: from.seen,
            timeout: from.timeout,
            is_uncertain: from.is_uncertain,
        }
    }

    fn snapshot(&self, id: ConsumerId) -> ConsumerSnapshot {
        let Self {
            cursor,
            seen,
            timeout,
            is_uncertain,
        } = *self;
        ConsumerSnapshot {
            id,
            cursor,
            seen,
            timeout,
            is_uncertain,
        }
    }
}

impl Job {
    fn restored(from: &JobSnapshot) -> Self {
        Self {
            mode: from.mode,
            started: from.started,
            emitted: from.emitted,
            output_limit: from.output_limit,
            offsets: from.offsets,
            interrupt: from.interrupt,
            interrupts: from.interrupts,
            key: from.key,
            is_truncated: from.is_truncated,
            due: from.due,
            is_uncertain: from.is_uncertain,
            input: match from.input {
                InputSnapshot::None => Input::None,
                InputSnapshot::Open(written) => Input::Open(written),
                InputSnapshot::Ended => Input::Ended,
            },
            output: from.output,
            controller: from.controller.clone(),
            screen: from.screen,
        }
    }

    fn snapshot(&self, id: JobId) -> JobSnapshot {
        let Self {
            mode,
            started,
            emitted,
            output_limit,
            offsets,
            interrupt,
            interrupts,
            key,
            is_truncated,
            due,
            is_uncertain,
            input,
            output,
            ref controller,
            screen,
        } = *self;
        JobSnapshot {
            id,
            mode,
            started,
            emitted,
            output_limit,
            offsets,
            interrupt,
            interrupts,
            key,
            is_truncated,
            due,
            is_uncertain,
            input: match input {
                Input::None => InputSnapshot::None,
                Input::Open(written) => InputSnapshot::Open(written),
                Input::Ended => InputSnapshot::Ended,
            },
            output,
            controller: controller.clone(),
            screen,
        }
    }
}

impl RetentionQueue {
    fn restored(from: &[ClosedSnapshot]) -> Self {
        let mut closed = Self::default();
        for &ClosedSnapshot {
            id,
            last_sequence,
            at,
            bytes,
        } in from
        {
            let session = ClosedSession {
                last_sequence,
                at,
                bytes,
            };
            closed.insert(id, session);
        }
        closed
    }

    fn snapshot(&self) -> Vec<ClosedSnapshot> {
        let sessions = self.iter().map(|(id, closed)| {
            let ClosedSession {
                last_sequence,
                at,
                bytes,
            } = *closed;
            ClosedSnapshot {
                id,
                last_sequence,
                at,
                bytes,
            }
        });
        sessions.collect()
    }
}
