//! Tests of the numbers and identities of several logs.

use crate::jobs::job_of;
use crate::sessions::create;
use rejoin_core::testing::instant;
use rejoin_core::{
    Command, Event, JobId, Limits, Numbering, Projection, Record, SessionId, SessionNumber, State,
    SubmitJob,
};

fn submit(session: SessionId) -> Command {
    let Command::SubmitJob(submit) = job_of("true") else {
        unreachable!()
    };
    Command::SubmitJob(SubmitJob { session, ..submit })
}

/// What a log holds after three sessions with a job each.
fn log_of(numbering: Numbering) -> Vec<Record> {
    let mut state = State::new(Limits::DEFAULT).numbered(numbering);
    let mut records = Vec::new();
    for number in 1..=3 {
        let session = numbering.session(SessionId::from_random([number; 16]));
        for command in [Command::CreateSession(create(session)), submit(session)] {
            let steps = state.step(instant(number.into()), command).unwrap();
            records.extend(steps.into_iter().map(|step| step.record));
        }
    }
    records
}

fn numbers(records: &[Record]) -> Vec<(u8, Option<SessionNumber>, Option<JobId>)> {
    let numbering = Numbering::new(0, 16).unwrap();
    let of = |record: &Record| match record.event {
        Event::SessionCreated { number, .. } => {
            Some((numbering.log_of(record.session), Some(number), None))
        }
        Event::JobSubmitted { job, .. } => {
            Some((numbering.log_of(record.session), None, Some(job)))
        }
        _ => None,
    };
    records.iter().filter_map(of).collect()
}

#[test]
fn sessions_and_jobs_say_to_which_of_sixteen_logs_they_belong() {
    for (log, first) in [(5, 5), (0, 16)] {
        let records = log_of(Numbering::new(log, 16).unwrap());
        let expected: Vec<_> = [first, first + 16, first + 32]
            .into_iter()
            .flat_map(|number| {
                [
                    (log, Some(SessionNumber(number)), None),
                    (log, None, Some(JobId(number))),
                ]
            })
            .collect();
        assert_eq!(numbers(&records), expected);
    }
}

#[test]
fn a_log_alone_counts_as_it_always_has() {
    let (alone, before) = (log_of(Numbering::ALONE), {
        let mut state = State::new(Limits::DEFAULT);
        let session = SessionId::from_random([1; 16]);
        let create = Command::CreateSession(create(session));
        state.step(instant(1), create).unwrap()
    });
    assert_eq!(alone.first(), before.first().map(|step| &step.record));
}

#[test]
fn a_replay_and_a_snapshot_need_not_know_how_a_log_counts() {
    let numbering = Numbering::new(5, 16).unwrap();
    let records = log_of(numbering);
    let mut replayed = Projection::new(Limits::DEFAULT);
    for record in &records {
        replayed.add(record).unwrap();
    }
    let restored = Projection::restored(Limits::DEFAULT, replayed.snapshot());
    assert_eq!(restored, replayed);
    // The log goes on from there.
    let (state, _) = restored.into_parts();
    let next = numbering.session(SessionId::from_random([9; 16]));
    let created = state
        .numbered(numbering)
        .step(instant(9), Command::CreateSession(create(next)))
        .unwrap();
    let Event::SessionCreated { number, .. } = created[0].record.event else {
        panic!("{created:?}");
    };
    assert_eq!(number, SessionNumber(53));
}
