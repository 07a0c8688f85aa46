//! What clients asked for, and what they were told: each answer is judged by what is durable when
//! it arrives.
//!
//! Never: an answer that a crash could take back, two answers for one record, a record of a
//! command that was refused.

use super::{Model, SessionState, ensure};
use rejoin_core::{
    CloseCause, Command, ConsumerId, Event, InterruptCause, JobId, LeaveCause, Record, Rejection,
    Sequence, SessionId,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What was asked and answered.
#[derive(Debug, Default)]
pub(crate) struct History {
    asked: u64,
    open: BTreeMap<u64, PendingCommand>,
    /// Records that somebody was told to be the outcome of a command.
    claimed: BTreeSet<usize>,
    /// Texts of commands that had no effect, and were said to have none.
    refused: BTreeSet<Arc<str>>,
}

#[derive(Clone, Debug)]
pub(crate) struct PendingCommand {
    pub(crate) command: Command,
    /// How many records were durable.
    pub(crate) from: usize,
}

/// What an accepted command led to, as its client was told.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Reply {
    Created(SessionId, Option<ConsumerId>),
    Joined(ConsumerId),
    Noted(JobId, Sequence),
    Done,
}

impl History {
    pub(crate) fn ask(&mut self, command: Command, model: &Model) -> u64 {
        self.asked += 1;
        let from = model.log().len();
        self.open
            .insert(self.asked, PendingCommand { command, from });
        self.asked
    }

    /// Nobody waits for the answer any more.
    pub(crate) fn give_up(&mut self, ticket: u64) {
        self.open.remove(&ticket);
    }

    pub(crate) fn restart(&mut self) {
        self.open.clear();
    }

    /// Commands that wait for their answer.
    pub(crate) fn waiting(&self) -> Vec<&Command> {
        self.open.values().map(|asked| &asked.command).collect()
    }

    /// A command was accepted: its record is durable, is newer than the question, and is nobody
    /// else's. Or it was asked before, by its name.
    pub(crate) fn accept(&mut self, ticket: u64, told: Reply, model: &Model) -> Result<(), String> {
        let Some(PendingCommand { command, from }) = self.open.remove(&ticket) else {
            return Ok(());
        };
        let found = find(&command, told, from, model, &self.claimed);
        let Some(place) = found else {
            if is_asked_again(&command, told, model) {
                return Ok(());
            }
            return Err(format!(
                "promise 3: {command:?} was accepted as {told:?}, and no new record of it is durable"
            ));
        };
        ensure!(
            self.claimed.insert(place),
            "promise 2: {command:?} was told of the record of another command"
        );
        Ok(())
    }

    /// A command was rejected: at some moment since it was asked, that was right by what is
    /// durable now.
    pub(crate) fn reject(
        &mut self,
        ticket: u64,
        rejection: Rejection,
        model: &Model,
    ) -> Result<(), String> {
        let Some(PendingCommand { command, from }) = self.open.remove(&ticket) else {
            return Ok(());
        };
        self.refused.extend(text(&command));
        ensure!(
            was_right(&command, rejection, from, model),
            "promise 3: {command:?} was rejected as {rejection:?}, which no durable record supports"
        );
        Ok(())
    }

    /// A command was turned away without being looked at.
    pub(crate) fn turn_away(&mut self, ticket: u64) {
        if let Some(asked) = self.open.remove(&ticket) {
            self.refused.extend(text(&asked.command));
        }
    }

    /// Every text stands in the log once at most, and not at all where it was refused.
    pub(crate) fn check(&self, model: &Model) -> Result<(), String> {
        let mut found = BTreeSet::new();
        for record in model.log() {
            let Some(text) = text_of(&record.event) else {
                continue;
            };
            ensure!(
                found.insert(text.clone()),
                "promise 2: {text:?} was asked once and is logged twice"
            );
            ensure!(
                !self.refused.contains(&text),
                "promise 3: {text:?} was refused and is logged"
            );
        }
        Ok(())
    }
}

/// The newest record that the answer is about, where that is durable and younger than the question.
fn find(
    command: &Command,
    told: Reply,
    from: usize,
    model: &Model,
    claimed: &BTreeSet<usize>,
) -> Option<usize> {
    let by_event = |session: SessionId, is_it: &dyn Fn(&Event) -> bool| {
        let mut since = model
            .records(session)
            .rev()
            .take_while(|(place, _)| *place >= from);
        let found = since.find(|(place, record)| is_it(&record.event) && !claimed.contains(place));
        found.map(|(place, _)| place)
    };
    let by_sequence = |session, sequence, is_it: &dyn Fn(&Record) -> bool| {
        let (place, record) = model.record(session, sequence)?;
        (place >= from && is_it(record)).then_some(place)
    };
    match (command, told) {
        (Command::CreateSession(create), Reply::Created(session, consumer)) => {
            let joined = by_sequence(
                session,
                Sequence(2),
                &|record| matches!(record.event, Event::ConsumerJoined { consumer: it, .. } if Some(it) == consumer),
            );
            let created = by_sequence(
                session,
                Sequence(1),
                &|record| matches!(&record.event, Event::SessionCreated { user, .. } if *user == create.user),
            );
            created.filter(|_| consumer.is_none() || joined.is_some())
        }
        (Command::JoinSession { session, .. }, Reply::Joined(consumer)) => by_event(
            *session,
            &|event| matches!(event, Event::ConsumerJoined { consumer: it, .. } if *it == consumer),
        ),
        (Command::LeaveSession { session, consumer }, _) => by_event(
            *session,
            &|event| matches!(event, Event::ConsumerLeft { consumer: it, cause: LeaveCause::Left } if it == consumer),
        ),
        (Command::CloseSession { session, .. }, _) => by_event(*session, &|event| {
            matches!(
                event,
                Event::SessionClosed {
                    cause: CloseCause::Requested
                }
            )
        }),
        (Command::SubmitJob(submit), Reply::Noted(job, sequence)) => {
            by_sequence(submit.session, sequence, &|record| {
                matches!(&record.event, Event::JobSubmitted { job: it, statement, .. }
                    if *it == job && *statement == submit.statement)
            })
        }
        (Command::InterruptJob { session, .. }, Reply::Noted(job, sequence)) => {
            let cause = InterruptCause::Requested;
            by_sequence(
                *session,
                sequence,
                &|record| matches!(record.event, Event::InterruptRequested { job: it, cause: why, .. } if it == job && why == cause),
            )
        }
        (
            Command::WriteInput {
                session,
                job,
                bytes,
                end,
            },
            _,
        ) => by_event(*session, &|event| {
            matches!(event, Event::InputWritten { job: it, bytes: written, end: is_end, .. }
                if it == job && written == bytes && is_end == end)
        }),
        (Command::SetUser { session, .. } | Command::RefuseStatement { session, .. }, _) => {
            let wanted = text(command);
            by_event(*session, &|event| text_of(event) == wanted)
        }
        _ => None,
    }
}

/// Whether a job was asked for by the name and in the words of one that is durable: that one is
/// the answer. Most statements are asked once only; built-in ones come again.
fn is_asked_again(command: &Command, told: Reply, model: &Model) -> bool {
    let (Command::SubmitJob(submit), Reply::Noted(noted, sequence)) = (command, told) else {
        return false;
    };
    let known = model.record(submit.session, sequence);
    known.is_some_and(|(_, record)| {
        matches!(&record.event, Event::JobSubmitted { job, mode, statement, request, input, .. }
            if *job == noted
                && (mode, statement, input) == (&submit.mode, &submit.statement, &submit.input)
                && request.is_some()
                && *request == submit.request)
    })
}

fn was_right(command: &Command, rejection: Rejection, from: usize, model: &Model) -> bool {
    let limits = model.limits();
    let Some(session) = session_of(command) else {
        return match rejection {
            Rejection::TooMany { limit, .. } => {
                limit == limits.sessions && model.ever_had_open(from, limit)
            }
            Rejection::TooLong { limit, .. } => {
                text(command).is_some_and(|text| text.len() > limit)
            }
            _ => false,
        };
    };
    let ever = |holds: &dyn Fn(&SessionState) -> bool| model.ever(session, from, holds);
    match rejection {
        Rejection::ConsumerNotFound(consumer) => {
            ever(&|state| !state.consumers.contains(&consumer))
        }
        Rejection::InputEnded(job) => model.records(session).any(|(_, record)| {
            matches!(record.event, Event::InputWritten { job: it, end: true, .. } if it == job)
        }),
        Rejection::NoInput(job) => model.records(session).any(|(_, record)| {
            matches!(record.event, Event::JobSubmitted { job: it, input: false, .. } if it == job)
        }),
        Rejection::RequestTaken(job) => model.records(session).any(|(_, record)| {
            matches!((&record.event, command),
                (Event::JobSubmitted { job: it, request: Some(request), .. }, Command::SubmitJob(submit))
                    if *it == job && submit.request.as_ref() == Some(request))
        }),
        Rejection::JobNotFound(job) => ever(&|state| !state.jobs.contains(&job)),
        Rejection::JobRunning(job) => ever(&|state| state.foreground == Some(job)),
        Rejection::NoForegroundJob => ever(&|state| state.foreground.is_none()),
        Rejection::SessionNotFound(_) => ever(&|state| !state.is_open),
        Rejection::TooLong { limit, .. } => text(command).is_some_and(|text| text.len() > limit),
        Rejection::TooMany { limit, .. } => match command {
            Command::JoinSession { .. } => ever(&|state| state.consumers.len() >= limit),
            _ => ever(&|state| state.jobs.len() >= limit),
        },
        // The engine answers a repeated request with its job.
        Rejection::CursorAhead
        | Rejection::OutputLimitReached(_)
        | Rejection::RequestRepeated { .. }
        | Rejection::SessionExists(_) => false,
    }
}

fn session_of(command: &Command) -> Option<SessionId> {
    match command {
        Command::JoinSession { session, .. }
        | Command::LeaveSession { session, .. }
        | Command::CloseSession { session, .. }
        | Command::SetUser { session, .. }
        | Command::RefuseStatement { session, .. }
        | Command::InterruptJob { session, .. }
        | Command::WriteInput { session, .. } => Some(*session),
        Command::SubmitJob(submit) => Some(submit.session),
        _ => None,
    }
}

/// The text by which a command's record is known; no two commands have the same.
fn text(command: &Command) -> Option<Arc<str>> {
    match command {
        Command::CreateSession(create) => create.user.clone(),
        Command::SetUser { user, .. } => Some(user.clone()),
        Command::SubmitJob(submit) => Some(submit.statement.clone()).filter(|it| it.contains('#')),
        Command::RefuseStatement { reason, .. } => Some(reason.clone()),
        _ => None,
    }
}

fn text_of(event: &Event) -> Option<Arc<str>> {
    match event {
        Event::SessionCreated { user, .. } => user.clone(),
        Event::UserSet { user } => Some(user.clone()),
        Event::JobSubmitted { statement, .. } => {
            Some(statement.clone()).filter(|it| it.contains('#'))
        }
        Event::StatementRefused { reason, .. } => Some(reason.clone()),
        _ => None,
    }
}
