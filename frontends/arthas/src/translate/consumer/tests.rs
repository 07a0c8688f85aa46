//! Each stream of results, given the records that it is told from.

use super::*;
use crate::translate::Told;
use rejoin_core::{InterruptCause, JobId, Outcome, Server, SessionId, SessionNumber, Timestamp};
use std::time::Duration;

const WELCOME: &str = concat!(
    r#"{"jobId":0,"message":"Welcome to arthas!","type":"message"},"#,
    r#"{"jobId":0,"pid":"7909","time":"2020-08-06 15:56:43.007","#,
    r#""tutorials":"https://arthas.aliyun.com/doc/arthas-tutorials.html","type":"welcome","#,
    r#""version":"0.1.0","wiki":"https://arthas.aliyun.com/doc"}"#,
);
const ALLOW_INPUT: &str = r#"{"inputStatus":"ALLOW_INPUT","jobId":0,"type":"input_status"}"#;
const ALLOW_INTERRUPT: &str =
    r#"{"inputStatus":"ALLOW_INTERRUPT","jobId":0,"type":"input_status"}"#;
const DISABLED: &str = r#"{"inputStatus":"DISABLED","jobId":0,"type":"input_status"}"#;
const COMMAND: &str = r#"{"command":"watch","jobId":3,"state":"SCHEDULED","type":"command"}"#;
const BACKGROUND: &str = r#"{"command":"watch &","jobId":3,"state":"SCHEDULED","type":"command"}"#;
const RESULT: &str = r#"{"b":null,"jobId":3,"type":"watch"}"#;
const STATUS: &str = r#"{"jobId":3,"statusCode":0,"type":"status"}"#;

const SHARED: JobMode = mode(JobSlot::Foreground, Visibility::Session);
const SHARED_BEHIND: JobMode = mode(JobSlot::Background, Visibility::Session);
const ALONE: JobMode = mode(JobSlot::Foreground, Visibility::Submitter);
const ALONE_BEHIND: JobMode = mode(JobSlot::Background, Visibility::Submitter);

const fn mode(slot: JobSlot, visibility: Visibility) -> JobMode {
    JobMode { slot, visibility }
}

const fn consumer(ordinal: u32) -> ConsumerId {
    ConsumerId {
        token: [7; 16],
        ordinal,
    }
}

fn created() -> Event {
    Event::SessionCreated {
        number: SessionNumber(1),
        service: "shell".into(),
        user: None,
        remote: None,
        server: Server {
            process: 7909,
            version: "0.1.0".into(),
        },
        timeout: Duration::from_secs(1),
    }
}

fn joined(ordinal: u32, foreground: Option<JobId>) -> Event {
    Event::ConsumerJoined {
        consumer: consumer(ordinal),
        timeout: Duration::from_secs(1),
        foreground,
    }
}

fn submitted(mode: JobMode) -> Event {
    Event::JobSubmitted {
        job: JobId(3),
        mode,
        statement: "watch".into(),
        timeout: Duration::from_secs(1),
        output_limit: 1,
        request: None,
        input: false,
    }
}

fn emitted(mode: JobMode) -> Event {
    Event::ResultEmitted {
        job: JobId(3),
        mode,
        result: RESULT.into(),
    }
}

fn ended(mode: JobMode, outcome: Outcome, status: i32, message: Option<&str>) -> Event {
    Event::JobFinished {
        job: JobId(3),
        mode,
        outcome,
        status,
        message: message.map(Into::into),
    }
}

fn finished(mode: JobMode) -> Event {
    ended(mode, Outcome::Completed, 0, None)
}

fn interrupted() -> Event {
    Event::InterruptRequested {
        job: JobId(3),
        cause: InterruptCause::Requested,
        private: false,
    }
}

/// Everything that a foreground job is in the log.
fn job(mode: JobMode) -> Vec<Event> {
    let started = Event::JobStarted {
        job: JobId(3),
        private: false,
    };
    vec![submitted(mode), started, emitted(mode), finished(mode)]
}

fn records(events: impl IntoIterator<Item = Event>) -> Vec<Arc<Record>> {
    let record = |(event, sequence)| {
        Arc::new(Record {
            session: SessionId::from_bytes([1; 16]),
            sequence: Sequence(sequence),
            at: Timestamp::from_millis(1_596_729_403_007),
            event,
        })
    };
    events.into_iter().zip(1..).map(record).collect()
}

/// What the `ordinal`th consumer is shown of all these events after those before `after`.
fn shown(ordinal: u32, after: u64, events: &[Event]) -> String {
    let records = records(events.to_vec());
    let joined = records.iter().find(|record| {
        matches!(record.event, Event::ConsumerJoined { consumer, .. } if consumer.ordinal == ordinal)
    });
    let reader = Reader {
        consumer: consumer(ordinal),
        joined: joined.expect("it has joined").sequence,
        zone: &TimeZone::UTC,
    };
    let selected: Vec<_> = records
        .into_iter()
        .filter(|record| record.sequence > Sequence(after) && may_tell(record))
        .collect();
    let results = reader.read(Sequence(after), &selected);
    String::from_utf8(results.finish()).unwrap()
}

fn array(results: &[&str]) -> String {
    format!("[{}]", results.join(","))
}

/// A session whose creator reads, and then these events.
fn session(events: impl IntoIterator<Item = Event>) -> Vec<Event> {
    [created(), joined(1, None)]
        .into_iter()
        .chain(events)
        .collect()
}

#[test]
fn a_new_session_says_welcome_and_allows_input() {
    let events = session([]);
    assert_eq!(shown(1, 0, &events), array(&[WELCOME, ALLOW_INPUT]));
}

#[test]
fn the_time_of_the_welcome_is_the_servers_local_time() {
    let zone = TimeZone::fixed(jiff::tz::offset(8));
    let reader = Reader {
        consumer: consumer(1),
        joined: Sequence(2),
        zone: &zone,
    };
    let results = reader.read(Sequence::START, &records([created()])).finish();
    let results = String::from_utf8(results).unwrap();
    assert!(
        results.contains(r#""time":"2020-08-06 23:56:43.007""#),
        "{results}"
    );
}

#[test]
fn a_foreground_job_is_shown_from_its_command_to_its_status_between_two_input_states() {
    let events = session(job(SHARED));
    assert_eq!(
        shown(1, 2, &events),
        array(&[COMMAND, ALLOW_INTERRUPT, RESULT, STATUS, ALLOW_INPUT])
    );
}

#[test]
fn a_background_job_gives_the_input_back_at_once_and_says_nothing_of_it_again() {
    let events = session(job(SHARED_BEHIND));
    assert_eq!(
        shown(1, 2, &events),
        array(&[BACKGROUND, ALLOW_INTERRUPT, ALLOW_INPUT, RESULT, STATUS])
    );
}

#[test]
fn of_an_exec_consumers_see_only_the_input_states() {
    let events = session(job(ALONE));
    assert_eq!(shown(1, 2, &events), array(&[ALLOW_INTERRUPT, ALLOW_INPUT]));
    let events = session(job(ALONE_BEHIND));
    assert_eq!(shown(1, 2, &events), array(&[]));
}

#[test]
fn a_refused_statement_is_a_failed_command() {
    let refused = |statement: Option<&str>| Event::StatementRefused {
        statement: statement.map(Into::into),
        reason: "Async exec command failed:no".into(),
    };
    let events = session([refused(Some("wtch")), refused(None)]);
    assert_eq!(
        shown(1, 2, &events),
        array(&[
            r#"{"command":"wtch","jobId":0,"message":"Async exec command failed:no","state":"FAILED","type":"command"}"#,
            r#"{"jobId":0,"message":"Async exec command failed:no","state":"FAILED","type":"command"}"#,
        ])
    );
}

#[test]
fn who_joins_later_reads_the_history_between_disabled_and_the_latest_input_state() {
    let events = session(job(SHARED).into_iter().chain([joined(2, None)]));
    assert_eq!(
        shown(2, 0, &events),
        array(&[DISABLED, WELCOME, COMMAND, RESULT, STATUS, ALLOW_INPUT])
    );
}

#[test]
fn who_joins_while_a_job_runs_may_interrupt_it_and_sees_its_end() {
    let mut events = session(job(SHARED));
    events.insert(4, joined(2, Some(JobId(3))));
    assert_eq!(
        shown(2, 0, &events),
        array(&[
            DISABLED,
            WELCOME,
            COMMAND,
            ALLOW_INTERRUPT,
            RESULT,
            STATUS,
            ALLOW_INPUT
        ])
    );
    // In two pulls: nothing is said twice.
    assert_eq!(shown(2, 5, &events), array(&[RESULT, STATUS, ALLOW_INPUT]));
}

#[test]
fn others_who_join_or_leave_are_not_shown() {
    let left = |ordinal, cause| Event::ConsumerLeft {
        consumer: consumer(ordinal),
        cause,
    };
    let events = session([
        joined(2, None),
        left(2, LeaveCause::Expired),
        joined(3, None),
        left(3, LeaveCause::Left),
    ]);
    assert_eq!(shown(1, 2, &events), array(&[]));
    assert_eq!(
        shown(2, 2, &events),
        array(&[
            ALLOW_INPUT,
            r#"{"jobId":0,"message":"consumer is inactive for a while, please refresh the page.","type":"message"}"#,
        ])
    );
}

#[test]
fn a_session_that_is_closed_as_idle_says_so_and_one_that_somebody_closed_doesnt() {
    let closed = |cause| session([Event::SessionClosed { cause }]);
    assert_eq!(
        shown(1, 2, &closed(CloseCause::Idle)),
        array(&[r#"{"jobId":0,"message":"session is inactive for a while.","type":"message"}"#])
    );
    assert_eq!(shown(1, 2, &closed(CloseCause::Requested)), array(&[]));
}

#[test]
fn an_interrupted_job_ends_with_0_and_others_with_their_status() {
    for (outcome, status, code) in [
        (Outcome::Completed, 0, 0),
        (Outcome::Failed, 127, 127),
        (Outcome::Failed, -10, -10),
        (Outcome::Interrupted, 130, 0),
        (Outcome::TimedOut, 130, 0),
        (Outcome::Lost, 137, 137),
    ] {
        let events = session([
            submitted(SHARED_BEHIND),
            interrupted(),
            ended(SHARED_BEHIND, outcome, status, Some("so \"it\" is")),
        ]);
        let status = format!(
            r#"{{"jobId":3,"message":"so \"it\" is","statusCode":{code},"type":"status"}}"#
        );
        assert_eq!(
            shown(1, 4, &events),
            array(&[&status]),
            "{outcome:?} {status}"
        );
    }
}

#[test]
fn what_is_never_shown_wakes_nobody() {
    let silent = [
        Event::SessionResumed,
        Event::SessionTouched {
            seen: Timestamp::EPOCH,
        },
        Event::UserSet { user: "u".into() },
        Event::CursorAdvanced {
            consumer: consumer(1),
            to: Sequence(2),
            seen: Timestamp::EPOCH,
        },
        Event::JobStarted {
            job: JobId(3),
            private: false,
        },
        interrupted(),
        emitted(ALONE),
        submitted(ALONE_BEHIND),
        finished(ALONE_BEHIND),
    ];
    for record in records(silent) {
        assert!(!may_tell(&record), "{record:?}");
    }
}

#[test]
fn who_submitted_a_job_is_told_its_results_and_its_status_and_nothing_of_others() {
    let mut told = Told::new(JobId(3));
    let other = Event::ResultEmitted {
        job: JobId(4),
        mode: SHARED_BEHIND,
        result: "{}".into(),
    };
    let other_end = Event::JobFinished {
        job: JobId(4),
        mode: SHARED_BEHIND,
        outcome: Outcome::Failed,
        status: 1,
        message: None,
    };
    for record in records([submitted(ALONE), other, emitted(ALONE), other_end]) {
        told.add(&record);
        assert_eq!(told.outcome(), None);
    }
    for record in records([finished(ALONE)]) {
        told.add(&record);
    }
    assert_eq!(told.outcome(), Some(Outcome::Completed));
    assert_eq!(
        String::from_utf8(told.finish()).unwrap(),
        array(&[RESULT, STATUS])
    );
}
