//! Tests of jobs: submission, output, interrupts and outcomes.

use rejoin_core::testing::{SESSION, created, given, given_with, instant};
use rejoin_core::{
    Command, Effect, Event, InterruptCause, JobId, JobMode, JobOutput, JobSlot, Limits, Outcome,
    Rejection, Sequence, SubmitJob, TerminalSize, Visibility,
};
use std::time::Duration;

const TIMEOUT: Duration = Duration::from_secs(10_000);
const OUTPUT: u64 = 10;

pub(crate) const fn foreground() -> JobMode {
    JobMode {
        slot: JobSlot::Foreground,
        visibility: Visibility::Session,
    }
}

const fn background() -> JobMode {
    JobMode {
        slot: JobSlot::Background,
        visibility: Visibility::Session,
    }
}

pub(crate) fn submitted(job: u64, mode: JobMode) -> Event {
    Event::JobSubmitted {
        job: JobId(job),
        mode,
        statement: "statement".into(),
        timeout: TIMEOUT,
        output_limit: OUTPUT,
        request: None,
        input: false,
        output: JobOutput::Separate,
        controller: None,
    }
}

pub(crate) fn finished(job: u64, mode: JobMode, outcome: Outcome, status: i32) -> Event {
    Event::JobFinished {
        job: JobId(job),
        mode,
        outcome,
        status,
        message: None,
    }
}

fn submit(mode: JobMode) -> Command {
    Command::SubmitJob(SubmitJob {
        session: SESSION,
        statement: "statement".into(),
        mode,
        timeout: TIMEOUT,
        output_limit: OUTPUT,
        request: None,
        input: false,
        output: JobOutput::Separate,
        controller: None,
        keeps_leftovers: None,
    })
}

pub(crate) fn job_of(statement: &str) -> Command {
    let Command::SubmitJob(submit) = submit(foreground()) else {
        unreachable!()
    };
    Command::SubmitJob(SubmitJob {
        statement: statement.into(),
        ..submit
    })
}

fn emit(result: &str) -> Command {
    Command::ReportResult {
        session: SESSION,
        job: JobId(1),
        result: result.into(),
        position: None,
    }
}

fn finish(status: i32) -> Command {
    Command::ReportFinished {
        session: SESSION,
        job: JobId(1),
        status,
        message: None,
        lost: false,
    }
}

fn interrupt() -> Command {
    Command::InterruptJob {
        session: SESSION,
        job: None,
    }
}

fn requested(cause: InterruptCause) -> Event {
    Event::InterruptRequested {
        job: JobId(1),
        cause,
        private: false,
    }
}

#[test]
fn one_job_runs_in_the_foreground_and_others_beside_it() {
    given([created()])
        .when(instant(1), submit(foreground()))
        .then([submitted(1, foreground())])
        .when(instant(2), submit(foreground()))
        .then_rejected(Rejection::JobRunning(JobId(1)))
        .when(instant(3), submit(background()))
        .then([submitted(2, background())]);
}

#[test]
fn the_foreground_is_free_once_its_job_has_finished() {
    given([created(), submitted(1, foreground())])
        .when(instant(1), finish(0))
        .then([finished(1, foreground(), Outcome::Completed, 0)])
        .when(instant(2), submit(foreground()))
        .then([submitted(2, foreground())]);
}

#[test]
fn as_many_jobs_run_as_allowed_and_no_more() {
    let limits = Limits {
        jobs: 1,
        ..Limits::DEFAULT
    };
    given_with(limits, [created(), submitted(1, background())])
        .when(instant(1), submit(background()))
        .then_rejected(Rejection::TooMany {
            what: "jobs running in this session",
            limit: 1,
        });
}

#[test]
fn a_statement_that_is_too_long_is_refused() {
    let limits = Limits {
        statement: 3,
        ..Limits::DEFAULT
    };
    given_with(limits, [created()])
        .when(instant(1), job_of("four"))
        .then_rejected(Rejection::TooLong {
            what: "statement",
            limit: 3,
        });
}

#[test]
fn a_job_finishes_once_and_nothing_about_it_follows() {
    let gone = Rejection::JobNotFound(JobId(1));
    given([created(), submitted(1, foreground())])
        .when(instant(1), finish(3))
        .then([finished(1, foreground(), Outcome::Failed, 3)])
        .when(instant(1), finish(3))
        .then_rejected(gone)
        .when(instant(1), emit("{}"))
        .then_rejected(gone)
        .when(
            instant(1),
            Command::ReportStarted {
                session: SESSION,
                job: JobId(1),
            },
        )
        .then_rejected(gone)
        .when(
            instant(1),
            Command::InterruptJob {
                session: SESSION,
                job: Some(JobId(1)),
            },
        )
        .then_rejected(gone);
}

#[test]
fn a_job_starts_once() {
    let start = || Command::ReportStarted {
        session: SESSION,
        job: JobId(1),
    };
    given([created(), submitted(1, foreground())])
        .when(instant(1), start())
        .then([Event::JobStarted {
            job: JobId(1),
            private: false,
        }])
        .when(instant(1), start())
        .then([]);
}

#[test]
fn an_interrupted_job_ends_as_interrupted_whatever_its_status() {
    given([created(), submitted(1, foreground())])
        .when(instant(1), interrupt())
        .then([requested(InterruptCause::Requested)])
        .when(instant(2), emit("last words"))
        .then([Event::ResultEmitted {
            job: JobId(1),
            mode: foreground(),
            result: "last words".into(),
            position: None,
        }])
        .when(instant(3), finish(130))
        .then([finished(1, foreground(), Outcome::Interrupted, 130)]);
}

/// A job with a terminal, as it was submitted.
fn in_a_terminal() -> Event {
    let Event::JobSubmitted {
        job,
        mode,
        statement,
        timeout,
        output_limit,
        request,
        ..
    } = submitted(1, foreground())
    else {
        panic!("it submits a job");
    };
    Event::JobSubmitted {
        job,
        mode,
        statement,
        timeout,
        output_limit,
        request,
        input: true,
        output: JobOutput::Terminal(TerminalSize {
            columns: 80,
            rows: 24,
        }),
        controller: None,
    }
}

fn typed(bytes: &str) -> Command {
    Command::WriteInput {
        session: SESSION,
        job: JobId(1),
        bytes: bytes.as_bytes().into(),
        end: false,
        client: None,
    }
}

#[test]
fn a_terminal_ends_as_interrupted_if_its_end_follows_from_an_interrupt() {
    let asked = || (1, interrupt());
    let keys = |second, keys| (second, typed(keys));
    for (commands, second, status, outcome) in [
        // By the signal, at any time; soon, with any status.
        (vec![asked()], 2, 130, Outcome::Interrupted),
        (vec![asked()], 100, 130, Outcome::Interrupted),
        (vec![asked()], 10, 1, Outcome::Interrupted),
        (vec![asked()], 10, 0, Outcome::Interrupted),
        // Later it has another reason.
        (vec![asked()], 11, 1, Outcome::Failed),
        (vec![asked()], 11, 0, Outcome::Completed),
        (vec![asked()], 11, 137, Outcome::Failed),
        (vec![asked(), (9, interrupt())], 11, 1, Outcome::Interrupted),
        // Somebody went on in it: a shell whose last command was interrupted says 130, too.
        (vec![asked(), keys(2, "exit\r")], 3, 130, Outcome::Failed),
        (vec![asked(), keys(2, "exit\r")], 3, 0, Outcome::Completed),
        // The key does the same, but a program may take it for another one.
        (vec![keys(1, "\x03")], 2, 130, Outcome::Interrupted),
        (vec![keys(1, "\x03")], 2, 0, Outcome::Completed),
        (vec![keys(1, "\x03")], 2, 1, Outcome::Failed),
        (
            vec![keys(1, "\x03"), keys(2, "\x04")],
            3,
            130,
            Outcome::Failed,
        ),
        (vec![keys(1, "\x03exit\r")], 3, 0, Outcome::Completed),
        (vec![], 3, 130, Outcome::Failed),
    ] {
        let at = |second| instant(second);
        let mut story = given([created(), in_a_terminal()]);
        for (second, command) in commands {
            story = story.when(at(second), command);
        }
        let end = finished(1, foreground(), outcome, status);
        story.when(at(second), finish(status)).then([end]);
    }
}

#[test]
fn an_interrupt_may_be_asked_for_again() {
    given([created(), submitted(1, foreground())])
        .when(instant(1), interrupt())
        .then([requested(InterruptCause::Requested)])
        .when(instant(1), interrupt())
        .then([requested(InterruptCause::Requested)]);
}

#[test]
fn there_is_nothing_to_interrupt_when_only_background_jobs_run() {
    given([created(), submitted(1, background())])
        .when(instant(1), interrupt())
        .then_rejected(Rejection::NoForegroundJob)
        .when(
            instant(1),
            Command::InterruptJob {
                session: SESSION,
                job: Some(JobId(1)),
            },
        )
        .then([requested(InterruptCause::Requested)]);
}

#[test]
fn a_job_is_interrupted_at_its_timeout_once_and_not_before() {
    given([created(), submitted(1, foreground())])
        .when(instant(9_999), Command::Expire)
        .then([])
        .when(instant(10_000), Command::Expire)
        .then([requested(InterruptCause::Timeout)])
        .when(instant(20_000), Command::Expire)
        .then([])
        .when(instant(20_000), finish(143))
        .then([Event::JobFinished {
            job: JobId(1),
            mode: foreground(),
            outcome: Outcome::TimedOut,
            status: 143,
            message: Some("the job ran for its timeout and was interrupted".into()),
        }]);
}

#[test]
fn a_job_that_emits_too_much_is_interrupted_and_says_so() {
    given([created(), submitted(1, foreground())])
        .when(instant(1), emit("1234567890"))
        .then([Event::ResultEmitted {
            job: JobId(1),
            mode: foreground(),
            result: "1234567890".into(), position: None, }])
        .when(instant(1), emit("1"))
        .then([requested(InterruptCause::OutputLimit)])
        .when(instant(1), emit("1"))
        .then_rejected(Rejection::OutputLimitReached(JobId(1)))
        .when(instant(2), finish(130))
        .then([Event::JobFinished {
            job: JobId(1),
            mode: foreground(),
            outcome: Outcome::Failed,
            status: 130,
            message: Some(
                "the job was interrupted: its results may have 10 bytes, 524288 each, and the next would have exceeded that"
                    .into(),
            ),
        }]);
}

#[test]
fn no_result_follows_one_that_exceeded_the_limit_even_after_another_interrupt() {
    given([
        created(),
        submitted(1, foreground()),
        requested(InterruptCause::Requested),
    ])
    .when(instant(1), emit("more than ten bytes"))
    .then([requested(InterruptCause::OutputLimit)])
    .when(instant(1), emit("short"))
    .then_rejected(Rejection::OutputLimitReached(JobId(1)));
}

#[test]
fn a_truncated_job_says_so_even_after_another_interrupt() {
    let steps = given([created(), submitted(1, foreground())])
        .when(instant(1), interrupt())
        .when(instant(2), emit("more than ten bytes"))
        .then([requested(InterruptCause::OutputLimit)])
        .state()
        .clone()
        .step(instant(3), finish(130))
        .unwrap();
    let Event::JobFinished {
        outcome, message, ..
    } = &steps[0].record.event
    else {
        unreachable!()
    };
    assert_eq!(*outcome, Outcome::Interrupted);
    let message = message.as_deref().unwrap();
    assert!(message.contains("may have 10 bytes"), "{message}");
}

#[test]
fn a_result_that_is_too_long_interrupts_the_job() {
    let long = "x".repeat(524_289);
    given([created(), submitted(1, foreground())])
        .when(instant(1), emit(&long))
        .then([requested(InterruptCause::OutputLimit)]);
}

#[test]
fn a_job_with_a_message_that_is_too_long_finishes() {
    let finish = Command::ReportFinished {
        session: SESSION,
        job: JobId(1),
        status: 1,
        message: Some("é".repeat(8 * 1024).into()),
        lost: false,
    };
    given([created(), submitted(1, foreground())])
        .when(instant(1), finish)
        .then([Event::JobFinished {
            job: JobId(1),
            mode: foreground(),
            outcome: Outcome::Failed,
            status: 1,
            message: Some("é".repeat(4 * 1024).into()),
        }]);
}

#[test]
fn a_failed_job_never_has_status_0() {
    let steps = given([created(), submitted(1, foreground())])
        .when(instant(1), emit("more than ten bytes"))
        .then([requested(InterruptCause::OutputLimit)])
        .state()
        .clone()
        .step(instant(2), finish(0))
        .unwrap();
    let Event::JobFinished {
        outcome, status, ..
    } = steps[0].record.event
    else {
        unreachable!()
    };
    assert_eq!((outcome, status), (Outcome::Failed, 1));
}

#[test]
fn a_shutdown_interrupts_every_job_once() {
    given([
        created(),
        submitted(1, foreground()),
        submitted(2, background()),
    ])
    .when(instant(1), interrupt())
    .when(instant(2), Command::InterruptAll)
    .then([Event::InterruptRequested {
        job: JobId(2),
        cause: InterruptCause::Shutdown,
        private: false,
    }])
    .when(instant(3), Command::InterruptAll)
    .then([]);
}

#[test]
fn a_refused_statement_is_logged_and_takes_no_job_number() {
    given([created()])
        .when(
            instant(1),
            Command::RefuseStatement {
                session: SESSION,
                statement: Some("".into()),
                reason: "empty".into(),
            },
        )
        .then([Event::StatementRefused {
            statement: Some("".into()),
            reason: "empty".into(),
        }])
        .when(instant(1), submit(foreground()))
        .then([submitted(1, foreground())]);
}

#[test]
fn effects_run_interrupt_and_release() {
    let mut state = given([created()]).state().clone();
    let mut effects = |command| -> Vec<_> {
        let steps = state.step(instant(1), command).unwrap();
        steps.into_iter().filter_map(|step| step.effect).collect()
    };
    let start = Effect::Start {
        session: SESSION,
        service: "test".into(),
        job: JobId(1),
        statement: "statement".into(),
        slot: JobSlot::Foreground,
        input: false,
        output: JobOutput::Separate,
        submission: rejoin_core::Submission {
            sequence: Sequence(2),
            at: instant(1).into(),
        },
    };
    assert_eq!(effects(submit(foreground())), [start]);
    assert_eq!(effects(emit("{}")), []);
    let cause = rejoin_core::CloseCause::Requested;
    let [interrupt, release] = effects(Command::CloseSession {
        session: SESSION,
        cause,
    })
    .try_into()
    .expect("two effects");
    let cause = InterruptCause::SessionClosed;
    assert_eq!(
        interrupt,
        Effect::Interrupt {
            session: SESSION,
            job: JobId(1),
            cause
        }
    );
    assert_eq!(
        release,
        Effect::Release {
            session: SESSION,
            service: "test".into()
        }
    );
}

#[test]
fn what_is_said_about_the_processes_that_a_job_leaves_follows_its_submission() {
    for kept in [None, Some(true), Some(false)] {
        let Command::SubmitJob(plain) = submit(foreground()) else {
            unreachable!()
        };
        let chosen = kept.map(|kept| Event::LeftoversChosen {
            job: JobId(1),
            mode: foreground(),
            kept,
        });
        let mut expected = vec![submitted(1, foreground())];
        expected.extend(chosen);
        given([created()])
            .when(
                instant(1),
                Command::SubmitJob(SubmitJob {
                    keeps_leftovers: kept,
                    ..plain
                }),
            )
            .then(expected);
    }
}
