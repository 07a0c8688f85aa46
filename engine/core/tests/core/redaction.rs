//! Tests of what is redacted or deleted on request.

use crate::sessions::create;
use rejoin_core::testing::{SESSION, created, given, given_with, instant};
use rejoin_core::{
    CloseCause, Command, Event, JobId, JobMode, JobOutput, JobSlot, Limits, LossCause, Record,
    Rejection, Sequence, SessionId, SessionNumber, State, SubmitJob, Views, Visibility,
};
use std::time::Duration;

fn redact(records: impl IntoIterator<Item = u64>) -> Command {
    Command::RedactRecords {
        session: SESSION,
        records: records.into_iter().map(Sequence).collect(),
    }
}

fn redacted<const N: usize>(records: [u64; N]) -> Event {
    Event::RecordsRedacted {
        records: records.map(Sequence).into(),
    }
}

const CLOSE: Command = Command::CloseSession {
    session: SESSION,
    cause: CloseCause::Requested,
};

#[test]
fn records_are_named_once_and_in_order_in_an_open_session_and_after_its_end() {
    given([created(), Event::SessionResumed, Event::SessionResumed])
        .when(instant(1), redact([3, 2, 3]))
        .then([redacted([2, 3])])
        .when(instant(2), CLOSE)
        .when(instant(3), redact([2]))
        .then([redacted([2])]);
}

#[test]
fn what_is_not_there_cannot_be_redacted() {
    let two = given([created(), Event::SessionResumed]);
    // Not even the creation of the session.
    for records in [[3], [1]] {
        two.clone()
            .when(instant(1), redact(records))
            .then_rejected(Rejection::RecordNotFound);
    }
    two.clone().when(instant(1), redact([])).then([]);
    let other = Command::RedactRecords {
        session: SessionId::from_bytes([77; 16]),
        records: vec![Sequence(2)],
    };
    let session = SessionId::from_bytes([77; 16]);
    two.when(instant(1), other)
        .then_rejected(Rejection::SessionNotFound(session));
    let limits = Limits {
        redacted: 2,
        ..Limits::DEFAULT
    };
    given_with(limits, [created(), Event::SessionResumed])
        .when(instant(1), redact([2, 2, 2]))
        .then_rejected(Rejection::TooMany {
            what: "records",
            limit: 3,
        });
}

/// A session whose job got input and printed something, and the redaction of both.
fn story() -> Vec<Record> {
    let mut state = State::new(Limits::DEFAULT);
    let mut records = vec![];
    for (second, command) in (1..).zip([
        Command::CreateSession(create(SESSION)),
        Command::SubmitJob(SubmitJob {
            session: SESSION,
            statement: "cat".into(),
            mode: JobMode {
                slot: JobSlot::Foreground,
                visibility: Visibility::Session,
            },
            timeout: Duration::from_secs(60),
            output_limit: 1_000,
            request: None,
            input: true,
            output: JobOutput::Merged,
            controller: None,
            keeps_leftovers: None,
        }),
        Command::WriteInput {
            session: SESSION,
            job: JobId(1),
            bytes: b"sesame".as_slice().into(),
            end: false,
            client: None,
        },
        Command::ReportResult {
            session: SESSION,
            job: JobId(1),
            result: r#"{"content":"sesame","jobId":1,"type":"shell"}"#.into(),
            position: None,
        },
        redact([3, 4]),
    ]) {
        let steps = state.step(instant(second), command).unwrap();
        records.extend(steps.into_iter().map(|step| step.record));
    }
    records
}

#[test]
fn a_redacted_log_leads_to_the_same_state_and_views_and_has_the_secret_no_more() {
    let records = story();
    let redaction = records.last().unwrap();
    let after: Vec<_> = records
        .iter()
        .map(|record| {
            record
                .redacted_by(redaction)
                .unwrap_or_else(|| record.clone())
        })
        .collect();
    let fold = |records: &[Record]| {
        let (mut state, mut views) = (State::new(Limits::DEFAULT), Views::default());
        for record in records {
            state.apply(record);
            views.apply(record);
        }
        (state, views)
    };
    assert!(fold(&records) == fold(&after));
    let has_secret = |records: &[Record]| {
        let of = |record: &Record| match &record.event {
            Event::ResultEmitted { result, .. } => result.contains("sesame"),
            Event::InputWritten { bytes, .. } => **bytes == *b"sesame",
            _ => false,
        };
        records.iter().filter(|record| of(record)).count()
    };
    assert_eq!((has_secret(&records), has_secret(&after)), (2, 0));
    // Once is enough.
    let again = after.iter().filter_map(|it| it.redacted_by(redaction));
    assert_eq!(again.count(), 0);
}

#[test]
fn a_session_that_is_deleted_is_closed_first_and_leaves_only_its_removal() {
    let remove = Command::RemoveSession { session: SESSION };
    let removal = |last| Event::RecordsLost {
        first: Sequence(1),
        last: Sequence(last),
        cause: LossCause::Retention {
            last_number: SessionNumber(1),
            last_job: JobId(0),
        },
    };
    let closed = Event::SessionClosed {
        cause: CloseCause::Requested,
    };
    given([created()])
        .when(instant(1), remove.clone())
        .then([closed, removal(2)])
        .when(instant(2), remove.clone())
        .then_rejected(Rejection::SessionNotFound(SESSION));
    given([created()])
        .when(instant(1), CLOSE)
        .when(instant(2), remove)
        .then([removal(2)]);
}
