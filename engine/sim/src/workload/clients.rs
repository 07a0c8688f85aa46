//! Clients: each sends one command after another, waits in between, and sometimes gives up. The
//! commands come from the generator that the property tests of the core use.

use super::runners::script;
use super::viewers::{pull_once, read_along, view};
use crate::oracle::Reply;
use crate::world::{MIN_PAUSE, Random, World};
use futures::future::{Either, select};
use rejoin_core::testing::{Operation, Pick};
use rejoin_core::{
    Actor, Command, CreateSession, DescribeSession, Event, JobId, JobMode, JobOutput, Sequence,
    SessionId, SubmitJob, TerminalSize,
};
use rejoin_engine::{CommandError, Engine, NewJob, NewSession, RedactError};
use rejoin_log::ReadLimit;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

/// One client, until the engine ends or the run is drained.
pub(crate) async fn client(world: Arc<World>, engine: Engine, mut random: Random) {
    while !world.is_draining() {
        let think = if random.once_in(4) { 0 } else { 1_500 };
        world.pause(MIN_PAUSE + random.millis(think)).await;
        let rush = if random.once_in(60) { 12 } else { 1 };
        let asked: Vec<_> = (0..rush)
            .map(|_| act(&world, &engine, random.fork()))
            .collect();
        let answered = futures::future::join_all(asked).await;
        if answered.into_iter().any(|goes_on| !goes_on) {
            return;
        }
    }
}

/// Does one thing. Returns whether the engine still runs.
async fn act(world: &Arc<World>, engine: &Engine, mut random: Random) -> bool {
    if random.once_in(12) {
        inspect(world, engine, &mut random).await;
        return true;
    }
    if random.once_in(40) {
        redact(world, engine, &mut random).await;
        return world.checker().ended.is_none();
    }
    let now = world.clock.now();
    let is_empty = world.checker().model.state.sessions().next().is_none();
    let operation = match operation(&mut random) {
        // Without a session, most other operations would be rejected.
        _ if is_empty && !random.once_in(4) => CREATE,
        operation => operation,
    };
    let command = operation.command(&world.checker().model.state, now);
    let command = match random.once_in(12) {
        true => write(world, &mut random).unwrap_or(command),
        false => command,
    };
    let command = match random.once_in(150) {
        true => remove(world, &mut random).unwrap_or(command),
        false => command,
    };
    let command = match command {
        Command::SubmitJob(submit) => Command::SubmitJob(SubmitJob {
            session: session_elsewhere(world).unwrap_or(submit.session),
            ..submit
        }),
        other => other,
    };
    if let Command::AdvanceCursor {
        session, consumer, ..
    } = command
    {
        // An unknown consumer is refused, and the client goes on with something else.
        pull_once(world, engine, (session, consumer), &mut random).await;
        world.pause(MIN_PAUSE).await;
        return world.checker().ended.is_none();
    }
    if let Command::TouchSession { session, .. } = command {
        let elapsed = world.clock.elapsed();
        world.checker().readers.touch(session, elapsed);
        engine.touch(session);
        return true;
    }
    ask(world, engine, command, &mut random).await
}

/// The session that has a job of the next number in a keeper that is out of reach.
fn session_elsewhere(world: &World) -> Option<SessionId> {
    let checker = world.checker();
    let next = JobId(checker.model.state.last_job().0 + 1);
    let session = checker.numbers_elsewhere.get(&next).copied();
    session.filter(|session| checker.model.state.session(*session).is_some())
}

const CREATE: Operation = Operation::Create {
    reads: true,
    timeout: 1,
};

fn operation(random: &mut Random) -> Operation {
    let session = pick(random);
    let other = pick(random);
    match random.below(100) {
        0..=6 => Operation::Create {
            reads: !random.once_in(3),
            timeout: random.byte(),
        },
        7..=16 => Operation::Join(session),
        17..=20 => Operation::Leave(session, other),
        21..=23 => Operation::Close(session),
        24..=25 => Operation::SetUser(session, random.byte()),
        26 => Operation::Describe(session, random.byte()),
        27 => Operation::NoteLink(session, random.byte()),
        28..=30 => Operation::Touch(session),
        31..=33 => Operation::Refuse(session),
        34..=42 => Operation::Write(session, other, 1 + random.byte() % 200, random.once_in(4)),
        43..=47 => Operation::Interrupt(session, (!random.once_in(3)).then_some(other)),
        48..=60 => Operation::Advance(session, other, 1),
        61..=62 => {
            let size = random.pick([0, 80, 120, 200]);
            Operation::Resize(session, other, size, Some(random.byte()))
        }
        63..=65 => Operation::Control(session, other, random.byte(), !random.once_in(3)),
        _ => Operation::Submit {
            session,
            mode: random.pick(JobMode::ALL),
            timeout: 1 + random.byte() % 30,
            output_limit: random.byte(),
            request: random.once_in(4).then(|| random.byte() % 16),
            input: random.once_in(2),
            output: random.pick(JobOutput::ALL),
        },
    }
}

/// A write to a job whose input is open, if there is one.
fn write(world: &World, random: &mut Random) -> Option<Command> {
    let checker = world.checker();
    let sessions = checker.model.state.sessions();
    let jobs =
        sessions.flat_map(|(id, session)| session.jobs().map(move |(job, it)| (id, job, it)));
    let open: Vec<_> = jobs
        .filter(|(_, _, it)| it.has_input() && !it.input_has_ended())
        .collect();
    let (session, job, _) = *open.get(random.index(open.len()))?;
    let bytes = (0..1 + random.below(40)).map(|_| random.byte());
    Some(Command::WriteInput {
        session,
        job,
        bytes: bytes.collect(),
        end: random.once_in(8),
        client: None,
    })
}

/// The removal of a session, most often of one that can be removed.
fn remove(world: &World, random: &mut Random) -> Option<Command> {
    let checker = world.checker();
    let session = match random.once_in(6) {
        true => checker.model.session_ids().last(),
        false => checker.model.removable(|all| random.index(all)),
    };
    session.map(|session| Command::RemoveSession { session })
}

/// Picks something that exists, or sometimes something that does not.
fn pick(random: &mut Random) -> Pick {
    Pick(if random.once_in(30) {
        u8::MAX
    } else {
        random.byte() % 16
    })
}

/// Sends a command and checks the answer.
async fn ask(world: &Arc<World>, engine: &Engine, command: Command, random: &mut Random) -> bool {
    let number = world.draw(Random::bits) % 1_000_000_000;
    let command = make_unique(command, number, random);
    let mut actor = actor(number, random);
    let is_removal = matches!(command, Command::RemoveSession { .. });
    while is_removal && actor.is_none() {
        // Otherwise it could not be told from a removal by retention that is early.
        actor = self::actor(number, random);
    }
    let engine = match &actor {
        Some(actor) => &engine.on_behalf_of(actor.clone()),
        None => engine,
    };
    let ticket = {
        let mut checker = world.checker();
        let checker = &mut *checker;
        let actor = actor.clone();
        checker.history.ask(command.clone(), actor, &checker.model)
    };
    world.note(format_args!("asks {ticket}: {command:?}"));
    let asked = Ticket { world, ticket };
    let step = world.steps();
    let patience = if random.once_in(12) {
        random.millis(40)
    } else {
        FOREVER
    };
    // A write first asks the terminal how it takes input.
    let asks_first = matches!(command, Command::WriteInput { .. });
    let answer = {
        let answer = pin!(perform(engine, command, random));
        match select(answer, world.clock.timer(patience)).await {
            Either::Left((answer, _)) => answer,
            Either::Right(_) => {
                world.count("client: gives up on a command");
                return true;
            }
        }
    };
    let joined = check_answer(world, ticket, &answer, (!asks_first).then_some(step));
    drop(asked);
    match answer {
        Err(CommandError::Unavailable(_)) => {
            world.pause(MIN_PAUSE).await;
            return world.checker().ended.is_none();
        }
        Err(_) => return true,
        Ok(_) => {}
    }
    if let Some((session, consumer)) = joined {
        let busy = engine
            .session_view(session)
            .is_some_and(|view| view.is_busy());
        if busy && world.checker().model.records(session).any(is_result) {
            world.count("client: joins in mid-output");
        }
        world.executor.spawn(
            "viewer",
            Box::pin(view(
                world.clone(),
                engine.clone(),
                (session, consumer),
                random.fork(),
            )),
        );
    }
    true
}

fn is_result((_, record): (usize, &Arc<rejoin_core::Record>)) -> bool {
    matches!(record.event, Event::ResultEmitted { .. })
}

/// Checks an answer. Returns the consumer that joined, if one did. One of a full queue comes at once, at
/// the step in `must_be_at`.
fn check_answer(
    world: &World,
    ticket: u64,
    answer: &Result<(Reply, Option<SessionId>), CommandError>,
    must_be_at: Option<u64>,
) -> Option<(SessionId, rejoin_core::ConsumerId)> {
    let now = world.steps();
    let mut checker = world.checker();
    let checker = &mut *checker;
    checker
        .trace
        .note(now, format_args!("answer {ticket}: {answer:?}"));
    match answer {
        Ok((reply, session)) => {
            checker.coverage.count("answer: accepted");
            let accepted = checker.history.accept(ticket, *reply, &checker.model);
            checker.report(accepted);
            match (*reply, *session) {
                (Reply::Created(session, Some(consumer)), _)
                | (Reply::Joined(consumer), Some(session)) => Some((session, consumer)),
                _ => None,
            }
        }
        Err(error) => {
            let judged = match error {
                CommandError::Rejected(rejection) => {
                    checker.coverage.count(rejected(*rejection));
                    checker.history.reject(ticket, *rejection, &checker.model)
                }
                CommandError::NoSuchService(_) => {
                    checker.coverage.count("answer: no such service");
                    checker.history.turn_away(ticket);
                    Ok(())
                }
                CommandError::ReadOnly => {
                    Err("an engine that may write reports that it is read-only".to_owned())
                }
                CommandError::InputFull => {
                    checker.coverage.count("answer: input full");
                    checker.history.turn_away(ticket);
                    Ok(())
                }
                CommandError::LineTooLong => {
                    checker.history.turn_away(ticket);
                    Ok(())
                }
                CommandError::Overloaded => {
                    checker.coverage.count("answer: overloaded");
                    checker.history.turn_away(ticket);
                    if must_be_at.is_none_or(|step| now == step) {
                        Ok(())
                    } else {
                        Err("promise 10: a full queue did not answer at once".to_owned())
                    }
                }
                CommandError::Unavailable(_) => {
                    checker.coverage.count("answer: unavailable");
                    checker.history.give_up(ticket);
                    Ok(())
                }
            };
            checker.report(judged);
            None
        }
    }
}

/// On whose behalf a command is sent, if on anybody's.
fn actor(number: u64, random: &mut Random) -> Option<Arc<Actor>> {
    let long = if random.once_in(50) { 200 } else { 0 };
    let account = format!("account {}{}", number % 5, "x".repeat(long));
    let actor = Actor {
        account: (!random.once_in(3)).then(|| account.into()),
        token: random.once_in(4).then(|| "ci".into()),
        frontend: random.pick(["native", "mcp"]).into(),
        address: random.once_in(2).then(|| "[::1]:9".into()),
    };
    (!random.once_in(3)).then(|| Arc::new(actor))
}

/// Gives the generated command a unique text, and a service and statement that runners know.
fn make_unique(command: Command, number: u64, random: &mut Random) -> Command {
    let long = if random.once_in(25) { 200 } else { 0 };
    let mark: Arc<str> = format!("{}#{number}", "x".repeat(long)).into();
    match command {
        Command::CreateSession(create) => Command::CreateSession(CreateSession {
            service: random
                .pick([
                    "script", "script", "kept", "kept", "shell", "shell", "nobody",
                ])
                .into(),
            user: Some(mark),
            ..create
        }),
        Command::SetUser { session, .. } => Command::SetUser {
            session,
            user: mark,
        },
        Command::NoteLink {
            session, change, ..
        } => Command::NoteLink {
            session,
            link: mark,
            change,
        },
        Command::ResizeTerminal {
            session,
            job,
            size,
            client,
        } => Command::ResizeTerminal {
            session,
            job,
            size: match random.once_in(4) {
                true => TerminalSize { columns: 0, ..size },
                false => size,
            },
            client,
        },
        Command::DescribeSession(describe) => Command::DescribeSession(DescribeSession {
            title: Some(mark),
            ..describe
        }),
        Command::RefuseStatement { session, .. } => {
            let statement = random.once_in(2).then(|| "no such statement".into());
            Command::RefuseStatement {
                session,
                statement,
                reason: mark,
            }
        }
        Command::SubmitJob(mut submit) => {
            submit.statement = if random.once_in(10) {
                random
                    .pick(["help", "version", "session", "jobs", " history "])
                    .into()
            } else {
                script(random, number).into()
            };
            submit.output_limit *= 20;
            Command::SubmitJob(submit)
        }
        other => other,
    }
}

type CommandResult = Result<(Reply, Option<SessionId>), CommandError>;

async fn perform(engine: &Engine, command: Command, random: &mut Random) -> CommandResult {
    match command {
        Command::CreateSession(CreateSession {
            service,
            user,
            remote,
            consumer,
            ..
        }) => {
            let service = (!random.once_in(3) || &*service == "nobody").then_some(service);
            let new = NewSession {
                service,
                user,
                remote,
                reads: consumer.is_some(),
            };
            let created = engine.create_session(new).await?;
            Ok((Reply::Created(created.id(), created.consumer()), None))
        }
        Command::JoinSession { session, .. } => {
            let consumer = engine.join_session(session).await?;
            Ok((Reply::Joined(consumer), Some(session)))
        }
        Command::LeaveSession { session, consumer } => {
            engine.leave_session(session, consumer).await?;
            Ok((Reply::Done, None))
        }
        Command::CloseSession { session, .. } => {
            engine.close_session(session).await?;
            Ok((Reply::Done, None))
        }
        Command::RemoveSession { session } => {
            engine.remove_session(session).await?;
            Ok((Reply::Done, None))
        }
        Command::SetUser { session, user } => {
            engine.set_user(session, user).await?;
            Ok((Reply::Done, None))
        }
        Command::DescribeSession(describe) => {
            engine.describe_session(describe).await?;
            Ok((Reply::Done, None))
        }
        Command::NoteLink {
            session,
            link,
            change,
        } => {
            engine.note_link(session, link, change).await?;
            Ok((Reply::Done, None))
        }
        Command::RefuseStatement {
            session,
            statement,
            reason,
        } => {
            engine.refuse_statement(session, statement, reason).await?;
            Ok((Reply::Done, None))
        }
        Command::InterruptJob { session, job } => {
            let ack = engine.interrupt_job(session, job).await?;
            Ok((Reply::Acknowledged(ack.job, ack.sequence), None))
        }
        Command::SubmitJob(submit) => {
            let is_plain = random.once_in(4);
            let new = NewJob {
                session: submit.session,
                statement: submit.statement,
                mode: submit.mode,
                request: submit.request,
                input: submit.input,
                output: submit.output,
                controller: submit.controller,
                keeps_leftovers: submit.keeps_leftovers,
                timeout: (!is_plain).then_some(submit.timeout),
                output_limit: (!is_plain).then_some(submit.output_limit),
            };
            let ack = engine.submit_job(new.clone()).await?;
            // A client that got no answer repeats the request, which must lead to the same job.
            let again = if new.request.is_some() && random.once_in(2) {
                engine.submit_job(new).await.unwrap_or(ack)
            } else {
                ack
            };
            Ok((Reply::Acknowledged(ack.job, again.sequence), None))
        }
        Command::WriteInput {
            session,
            job,
            bytes,
            end,
            client,
        } => {
            engine
                .write_input_as(client, session, job, bytes, end)
                .await?;
            Ok((Reply::Done, None))
        }
        Command::ResizeTerminal {
            session,
            job,
            size,
            client,
        } => {
            engine.resize_terminal(client, session, job, size).await?;
            Ok((Reply::Done, None))
        }
        Command::TakeControl {
            session,
            job,
            client,
        } => {
            engine.take_control(client, session, job).await?;
            Ok((Reply::Done, None))
        }
        Command::GiveControl {
            session,
            job,
            client,
        } => {
            engine.give_control(client, session, job).await?;
            Ok((Reply::Done, None))
        }
        _ => Ok((Reply::Done, None)),
    }
}

/// Reads records by sequence, or checks that a view shows nothing that is not durable.
async fn inspect(world: &Arc<World>, engine: &Engine, random: &mut Random) {
    let sessions: Vec<_> = world.checker().model.session_ids().collect();
    let Some(session) = sessions.get(random.index(sessions.len())).copied() else {
        return;
    };
    if random.once_in(2) {
        let after = Sequence(random.below(20));
        let limit = ReadLimit {
            records: 1 + random.index(30),
            bytes: random.index(3_000),
        };
        let wait = random.millis(3_000);
        let _ = read_along(world, engine, session, after, limit, wait).await;
        return;
    }
    let shown = engine.session_view(session);
    let mut checker = world.checker();
    let durable = checker.model.last(session);
    if let Some(shown) = shown.filter(|shown| shown.last_sequence > durable) {
        let last = shown.last_sequence;
        checker.fail(format!(
            "promise 3: {session} is shown up to {last}, and durable to {durable}"
        ));
    }
}

/// Redacts a result or an input.
async fn redact(world: &Arc<World>, engine: &Engine, random: &mut Random) {
    let picked = world.checker().model.redactable(|all| random.index(all));
    let Some((session, record)) = picked else {
        return;
    };
    world.note(format_args!("redacts {record} of {session}"));
    let answer = engine.redact(session, vec![record]).await;
    world.note(format_args!("redacted: {answer:?}"));
    match answer {
        Ok(sequence) => {
            world.count("redaction: accepted");
            let mut checker = world.checker();
            let logged = checker.model.record(session, sequence);
            let is_logged = logged.is_some_and(|(_, logged)| {
                matches!(&logged.event, Event::RecordsRedacted { records } if **records == [record])
            });
            if !is_logged {
                checker.fail(format!(
                    "promise 3: the redaction of {record} of {session} is not durable"
                ));
            }
        }
        Err(RedactError::JobRunning(_)) => world.count("redaction: refused, job running"),
        Err(RedactError::NotRedactable(_) | RedactError::NoRecords) => {
            let mut checker = world.checker();
            checker.fail(format!(
                "promises 2, 3: {record} of {session} is not redacted: {answer:?}"
            ));
        }
        // The session was removed meanwhile, or the log can't be read or written.
        Err(_) => {}
    }
}

fn rejected(rejection: rejoin_core::Rejection) -> &'static str {
    match rejection.code() {
        "consumer_not_found" => "rejected: consumer_not_found",
        "input_ended" => "rejected: input_ended",
        "invalid_size" => "rejected: invalid_size",
        "no_terminal" => "rejected: no_terminal",
        "not_controller" => "rejected: not_controller",
        "job_not_found" => "rejected: job_not_found",
        "job_running" => "rejected: job_running",
        "no_foreground_job" => "rejected: no_foreground_job",
        "no_input" => "rejected: no_input",
        "request_taken" => "rejected: request_taken",
        "session_not_found" => "rejected: session_not_found",
        "too_long" => "rejected: too_long",
        "too_many" => "rejected: too_many",
        _ => "rejected: for a reason that clients cannot cause",
    }
}

/// A command that waits for its answer. Dropping it gives up the command.
struct Ticket<'a> {
    world: &'a World,
    ticket: u64,
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        self.world.checker().history.give_up(self.ticket);
    }
}

const FOREVER: Duration = Duration::from_secs(1 << 40);
