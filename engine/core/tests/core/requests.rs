//! Tests of named requests and of standard input.

use crate::jobs::job_of;
use rejoin_core::testing::{SESSION, created};
use rejoin_core::{Command, JobId, Rejection, SubmitJob};

fn requested(request: &str, statement: &str) -> Command {
    let Command::SubmitJob(submit) = job_of(statement) else {
        unreachable!()
    };
    Command::SubmitJob(SubmitJob {
        request: Some(request.into()),
        input: true,
        ..submit
    })
}

fn write(bytes: &[u8], end: bool) -> Command {
    Command::WriteInput {
        session: SESSION,
        job: JobId(1),
        bytes: bytes.into(),
        end,
        client: None,
    }
}

fn open_state() -> rejoin_core::State {
    let mut state = rejoin_core::State::new(rejoin_core::Limits::DEFAULT);
    let record = rejoin_core::Record {
        session: SESSION,
        sequence: rejoin_core::Sequence(1),
        at: rejoin_core::Timestamp::EPOCH,
        clock: rejoin_core::Timestamp::EPOCH.into(),
        actor: None,
        redacted: None,
        event: created(),
    };
    state.apply(&record);
    state
}

fn step(state: &mut rejoin_core::State, command: Command) -> Result<usize, Rejection> {
    let at = state.last();
    state.step(at, command).map(|steps| steps.len())
}

#[test]
fn a_repeated_request_returns_the_existing_job() {
    let mut state = open_state();
    assert_eq!(step(&mut state, requested("r", "ls")), Ok(1));
    let repeated = Rejection::RequestRepeated {
        job: JobId(1),
        sequence: rejoin_core::Sequence(2),
    };
    assert_eq!(step(&mut state, requested("r", "ls")), Err(repeated));
    let taken = Rejection::RequestTaken(JobId(1));
    assert_eq!(step(&mut state, requested("r", "ls -l")), Err(taken));
    // Also after it has finished.
    assert_eq!(step(&mut state, finish(1)), Ok(1));
    assert_eq!(step(&mut state, requested("r", "ls")), Err(repeated));
}

#[test]
fn the_oldest_request_is_forgotten_first() {
    let mut state = open_state();
    for number in 0..=rejoin_core::limits::REMEMBERED_REQUESTS as u64 {
        assert_eq!(
            step(&mut state, requested(&format!("{number}"), "ls")),
            Ok(1)
        );
        assert_eq!(step(&mut state, finish(number + 1)), Ok(1));
    }
    let remembered = step(&mut state, requested("1", "ls"));
    assert_eq!(remembered.map_err(Rejection::code), Err("request_repeated"));
    assert_eq!(step(&mut state, requested("0", "ls")), Ok(1));
}

#[test]
fn input_is_written_until_it_is_ended() {
    let mut state = open_state();
    step(&mut state, requested("r", "cat")).unwrap();
    assert_eq!(step(&mut state, write(b"a\n", false)), Ok(1));
    assert_eq!(step(&mut state, write(b"", false)), Ok(0));
    assert_eq!(step(&mut state, write(b"b\n", true)), Ok(1));
    let ended = Rejection::InputEnded(JobId(1));
    assert_eq!(step(&mut state, write(b"c\n", false)), Err(ended));
}

#[test]
fn a_job_without_an_input_takes_none() {
    let mut state = open_state();
    let not_found = Rejection::JobNotFound(JobId(1));
    assert_eq!(step(&mut state, write(b"a", false)), Err(not_found));
    step(&mut state, job_of("cat")).unwrap();
    let none = Rejection::NoInput(JobId(1));
    assert_eq!(step(&mut state, write(b"a", true)), Err(none));
}

#[test]
fn too_much_input_is_refused_by_name() {
    let mut state = open_state();
    step(&mut state, requested("r", "cat")).unwrap();
    let limits = rejoin_core::Limits::DEFAULT;
    let code = |outcome: Result<usize, Rejection>| outcome.map_err(Rejection::code);
    let most = vec![b'x'; limits.input];
    let more = vec![b'x'; limits.input + 1];
    assert_eq!(code(step(&mut state, write(&more, false))), Err("too_long"));
    for _ in 0..limits.job_input / limits.input as u64 {
        assert_eq!(step(&mut state, write(&most, false)), Ok(1));
    }
    assert_eq!(code(step(&mut state, write(b"x", false))), Err("too_long"));
    assert_eq!(step(&mut state, write(b"", true)), Ok(1));
}

fn finish(job: u64) -> Command {
    Command::ReportFinished {
        session: SESSION,
        job: JobId(job),
        status: 0,
        message: None,
        lost: false,
    }
}
