//! Commands and their answers: each answer is checked against what is durable when it arrives.
//!
//! Invariant: no answer can be undone by a crash, no two answers claim one record, and a refused
//! command leaves no record.

use super::{Model, SessionState, ensure};
use rejoin_core::{
    Actor, CloseCause, Command, ConsumerId, DescribeSession, Event, InterruptCause, JobId,
    LeaveCause, Record, Rejection, Sequence, SessionId,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The commands of a run and what is known of their answers.
#[derive(Clone, Debug, Default)]
pub(crate) struct History {
    tickets: u64,
    open: BTreeMap<u64, PendingCommand>,
    /// Log positions of records that were reported as the outcome of a command.
    claimed: BTreeSet<usize>,
    /// Texts of commands that were refused.
    refused: BTreeSet<Arc<str>>,
}

#[derive(Clone, Debug)]
pub(crate) struct PendingCommand {
    pub(crate) command: Command,
    /// On whose behalf it was sent.
    pub(crate) actor: Option<Arc<Actor>>,
    /// How many records were durable when it was sent.
    pub(crate) from: usize,
}

/// What the engine returned for an accepted command.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Reply {
    Created(SessionId, Option<ConsumerId>),
    Joined(ConsumerId),
    Acknowledged(JobId, Sequence),
    Done,
}

impl History {
    pub(crate) fn ask(
        &mut self,
        command: Command,
        actor: Option<Arc<Actor>>,
        model: &Model,
    ) -> u64 {
        self.tickets += 1;
        let from = model.log().len();
        let asked = PendingCommand {
            command,
            actor,
            from,
        };
        self.open.insert(self.tickets, asked);
        self.tickets
    }

    /// The client no longer waits for the answer.
    pub(crate) fn give_up(&mut self, ticket: u64) {
        self.open.remove(&ticket);
    }

    pub(crate) fn restart(&mut self) {
        self.open.clear();
    }

    /// Commands that have no answer yet.
    pub(crate) fn waiting(&self) -> Vec<&Command> {
        self.open.values().map(|asked| &asked.command).collect()
    }

    /// Checks an acceptance: the command's record is durable, newer than the command, says who sent
    /// it and is claimed by no other, or the command repeats a request that was accepted before.
    pub(crate) fn accept(
        &mut self,
        ticket: u64,
        reply: Reply,
        model: &Model,
    ) -> Result<(), String> {
        let Some(asked) = self.open.remove(&ticket) else {
            return Ok(());
        };
        // They lead to no record if it is so already.
        if let Command::ResizeTerminal { .. }
        | Command::TakeControl { .. }
        | Command::GiveControl { .. } = asked.command
        {
            return Ok(());
        }
        let found = find(&asked, reply, model, &self.claimed);
        let PendingCommand { command, actor, .. } = asked;
        let Some(index) = found else {
            if is_repeated(&command, reply, model) {
                return Ok(());
            }
            return Err(format!(
                "promise 3: {command:?} was accepted as {reply:?}, and no new record of it by {actor:?} is durable"
            ));
        };
        ensure!(
            self.claimed.insert(index),
            "promise 2: {command:?} was answered with the record of another command"
        );
        Ok(())
    }

    /// Checks a rejection: it was correct at some moment since the command was sent, judging by what
    /// is durable now.
    pub(crate) fn reject(
        &mut self,
        ticket: u64,
        rejection: Rejection,
        model: &Model,
    ) -> Result<(), String> {
        let Some(asked) = self.open.remove(&ticket) else {
            return Ok(());
        };
        let command = &asked.command;
        self.refused.extend(text(command));
        ensure!(
            was_right(&asked, rejection, model),
            "promise 3: {command:?} was rejected as {rejection:?}, which no durable record supports"
        );
        Ok(())
    }

    /// The command was turned away before a decision was made.
    pub(crate) fn turn_away(&mut self, ticket: u64) {
        if let Some(asked) = self.open.remove(&ticket) {
            self.refused.extend(text(&asked.command));
        }
    }

    /// Checks that every unique text is in the log at most once, and never if it was refused.
    pub(crate) fn check(&self, model: &Model) -> Result<(), String> {
        let mut found = BTreeSet::new();
        for record in model.log() {
            let Some(text) = text_of(&record.event) else {
                continue;
            };
            ensure!(
                found.insert(text.clone()),
                "promise 2: {text:?} was sent once and is logged twice"
            );
            ensure!(
                !self.refused.contains(&text),
                "promise 3: {text:?} was refused and is logged"
            );
        }
        Ok(())
    }
}

/// The position of the newest durable record that the answer is about, if it is newer than the
/// command and says who sent it.
fn find(
    asked: &PendingCommand,
    reply: Reply,
    model: &Model,
    claimed: &BTreeSet<usize>,
) -> Option<usize> {
    let PendingCommand {
        command,
        actor,
        from,
    } = asked;
    let by_event = |session: SessionId, is_match: &dyn Fn(&Event) -> bool| {
        let mut since = model
            .records(session)
            .rev()
            .take_while(|(index, _)| index >= from);
        let found = since.find(|(index, record)| {
            is_match(&record.event) && record.actor == *actor && !claimed.contains(index)
        });
        found.map(|(index, _)| index)
    };
    let by_sequence = |session, sequence, is_match: &dyn Fn(&Record) -> bool| {
        let (index, record) = model.record(session, sequence)?;
        (index >= *from && record.actor == *actor && is_match(record)).then_some(index)
    };
    match (command, reply) {
        (Command::CreateSession(create), Reply::Created(session, consumer)) => {
            let joined = by_sequence(
                session,
                Sequence(2),
                &|record| matches!(record.event, Event::ConsumerJoined { consumer: joined, .. } if Some(joined) == consumer),
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
            &|event| matches!(event, Event::ConsumerJoined { consumer: joined, .. } if *joined == consumer),
        ),
        (Command::LeaveSession { session, consumer }, _) => by_event(
            *session,
            &|event| matches!(event, Event::ConsumerLeft { consumer: left, cause: LeaveCause::Left } if left == consumer),
        ),
        (Command::RemoveSession { session }, _) => {
            by_event(*session, &|event| event.removes_before().is_some())
        }
        (Command::CloseSession { session, .. }, _) => by_event(*session, &|event| {
            matches!(
                event,
                Event::SessionClosed {
                    cause: CloseCause::Requested
                }
            )
        }),
        (Command::SubmitJob(submit), Reply::Acknowledged(job, sequence)) => {
            by_sequence(submit.session, sequence, &|record| {
                matches!(&record.event, Event::JobSubmitted { job: other, statement, .. }
                    if *other == job && *statement == submit.statement)
            })
        }
        (Command::InterruptJob { session, .. }, Reply::Acknowledged(job, sequence)) => {
            let cause = InterruptCause::Requested;
            by_sequence(
                *session,
                sequence,
                &|record| matches!(record.event, Event::InterruptRequested { job: other, cause: why, .. } if other == job && why == cause),
            )
        }
        (
            Command::WriteInput {
                session,
                job,
                bytes,
                end,
                ..
            },
            _,
        ) => {
            let is_written = |event: &Event| match event {
                Event::InputWritten {
                    job: other,
                    bytes: written,
                    end: is_end,
                    ..
                } => other == job && written == bytes && is_end == end,
                _ => false,
            };
            // Only then: another write that is hidden may have as many bytes.
            let is_hidden = |event: &Event| match event {
                Event::InputHidden {
                    job: other,
                    bytes: count,
                    ..
                } => other == job && *count == bytes.len() as u64 && !end,
                _ => false,
            };
            by_event(*session, &is_written).or_else(|| by_event(*session, &is_hidden))
        }
        (
            Command::SetUser { session, .. }
            | Command::NoteLink { session, .. }
            | Command::RefuseStatement { session, .. }
            | Command::DescribeSession(DescribeSession { session, .. }),
            _,
        ) => {
            let wanted = text(command);
            by_event(*session, &|event| text_of(event) == wanted)
        }
        _ => None,
    }
}

/// Whether a durable job has the same request name and the same content: then that job is the
/// correct answer.
fn is_repeated(command: &Command, reply: Reply, model: &Model) -> bool {
    let (Command::SubmitJob(submit), Reply::Acknowledged(acknowledged, sequence)) =
        (command, reply)
    else {
        return false;
    };
    let accepted = model.record(submit.session, sequence);
    accepted.is_some_and(|(_, record)| {
        let has_input = submit.input || submit.output.terminal().is_some();
        matches!(&record.event, Event::JobSubmitted { job, mode, statement, request, input, output, .. }
            if *job == acknowledged
                && (mode, statement, input) == (&submit.mode, &submit.statement, &has_input)
                && output.terminal().is_some() == submit.output.terminal().is_some()
                && request.is_some()
                && *request == submit.request)
    })
}

fn was_right(asked: &PendingCommand, rejection: Rejection, model: &Model) -> bool {
    let PendingCommand {
        command,
        actor,
        from,
    } = asked;
    let is_too_long = |limit| {
        let account = actor.as_ref().and_then(|actor| actor.account.clone());
        [text(command), account]
            .iter()
            .flatten()
            .any(|text| text.len() > limit)
    };
    let limits = model.limits();
    let Some(session) = session_of(command) else {
        return match rejection {
            Rejection::TooMany { limit, .. } => {
                limit == limits.sessions && model.ever_had_open(*from, limit)
            }
            Rejection::TooLong { limit, .. } => is_too_long(limit),
            _ => false,
        };
    };
    if let Command::RemoveSession { session } = command {
        // A session that has ended can be removed, too.
        let is_unknown = model.last(*session) == Sequence::START || model.is_removed(*session);
        return match rejection {
            Rejection::SessionNotFound(_) => is_unknown,
            Rejection::TooLong { limit, .. } => is_too_long(limit),
            _ => false,
        };
    }
    let ever = |holds: &dyn Fn(&SessionState) -> bool| model.ever(session, *from, holds);
    match rejection {
        Rejection::ConsumerNotFound(consumer) => {
            ever(&|state| !state.consumers.contains(&consumer))
        }
        Rejection::InputEnded(job) => model.records(session).any(|(_, record)| {
            matches!(record.event, Event::InputWritten { job: other, end: true, .. } if other == job)
        }),
        Rejection::NoInput(job) => model.records(session).any(|(_, record)| {
            matches!(record.event, Event::JobSubmitted { job: other, input: false, .. } if other == job)
        }),
        Rejection::NoTerminal(job) => model.records(session).any(|(_, record)| {
            matches!(record.event, Event::JobSubmitted { job: other, output, .. }
                if other == job && output.terminal().is_none())
        }),
        Rejection::NotController(job) => model.records(session).any(|(_, record)| {
            matches!(record.event,
                Event::JobSubmitted { job: other, controller: Some(_), .. }
                | Event::ControllerChanged { job: other, controller: Some(_), .. } if other == job)
        }),
        Rejection::InvalidSize(size) => size.columns == 0 || size.rows == 0,
        Rejection::RequestTaken(job) => model.records(session).any(|(_, record)| {
            matches!((&record.event, command),
                (Event::JobSubmitted { job: other, request: Some(request), .. }, Command::SubmitJob(submit))
                    if *other == job && submit.request.as_ref() == Some(request))
        }),
        Rejection::JobNotFound(job) => ever(&|state| !state.jobs.contains(&job)),
        Rejection::JobRunning(job) => ever(&|state| state.foreground == Some(job)),
        Rejection::NoForegroundJob => ever(&|state| state.foreground.is_none()),
        Rejection::SessionNotFound(_) => ever(&|state| !state.is_open),
        Rejection::TooLong { limit, .. } => is_too_long(limit),
        Rejection::TooMany { limit, .. } => match command {
            Command::JoinSession { .. } => ever(&|state| state.consumers.len() >= limit),
            // The simulator gives each session five different labels at most.
            Command::DescribeSession(_) => false,
            _ => ever(&|state| state.jobs.len() >= limit),
        },
        // The engine answers a repeated request with its job.
        Rejection::CursorAhead
        | Rejection::RecordNotFound
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
        | Command::RemoveSession { session }
        | Command::SetUser { session, .. }
        | Command::NoteLink { session, .. }
        | Command::DescribeSession(DescribeSession { session, .. })
        | Command::RefuseStatement { session, .. }
        | Command::InterruptJob { session, .. }
        | Command::ResizeTerminal { session, .. }
        | Command::TakeControl { session, .. }
        | Command::GiveControl { session, .. }
        | Command::WriteInput { session, .. } => Some(*session),
        Command::SubmitJob(submit) => Some(submit.session),
        _ => None,
    }
}

/// The unique text of a command, by which its record is recognized.
fn text(command: &Command) -> Option<Arc<str>> {
    match command {
        Command::CreateSession(create) => create.user.clone(),
        Command::SetUser { user, .. } => Some(user.clone()),
        Command::DescribeSession(describe) => describe.title.clone(),
        Command::NoteLink { link, .. } => Some(link.clone()),
        Command::SubmitJob(submit) => Some(submit.statement.clone()).filter(|it| it.contains('#')),
        Command::RefuseStatement { reason, .. } => Some(reason.clone()),
        _ => None,
    }
}

fn text_of(event: &Event) -> Option<Arc<str>> {
    match event {
        Event::SessionCreated { user, .. } => user.clone(),
        Event::UserSet { user } => Some(user.clone()),
        Event::SessionDescribed { description } => description.title.clone(),
        Event::LinkChanged { link, .. } => Some(link.clone()),
        Event::JobSubmitted { statement, .. } => {
            Some(statement.clone()).filter(|it| it.contains('#'))
        }
        Event::StatementRefused { reason, .. } => Some(reason.clone()),
        _ => None,
    }
}
