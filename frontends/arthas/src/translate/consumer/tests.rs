//! The results of each kind of record sequence.

use super::*;
use crate::translate::{End, JobResults};
use rejoin_engine::{
    InterruptCause, JobId, NodeTerm, Outcome, Server, SessionId, SessionNumber, Timestamp,
};
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
const SHARED_BACKGROUND: JobMode = mode(JobSlot::Background, Visibility::Session);
const PRIVATE: JobMode = mode(JobSlot::Foreground, Visibility::Submitter);
const PRIVATE_BACKGROUND: JobMode = mode(JobSlot::Background, Visibility::Submitter);

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
            node: None,
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
        output: rejoin_engine::JobOutput::Separate,
        controller: None,
    }
}

fn emitted(mode: JobMode) -> Event {
    Event::ResultEmitted {
        job: JobId(3),
        mode,
        result: RESULT.into(),
        position: None,
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

/// All events of a job, in order.
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
            clock: Timestamp::from_millis(1_596_729_403_007).into(),
            actor: None,
            redacted: None,
            event,
        })
    };
    events.into_iter().zip(1..).map(record).collect()
}

/// The results for the consumer with this ordinal of the events after `after`.
fn shown(ordinal: u32, after: u64, events: &[Event]) -> String {
    let records = records(events.to_vec());
    let joined = records.iter().find(|record| {
        matches!(record.event, Event::ConsumerJoined { consumer, .. } if consumer.ordinal == ordinal)
    });
    let view = ConsumerView {
        consumer: consumer(ordinal),
        joined: joined.expect("the consumer has joined").sequence,
        zone: &TimeZone::UTC,
    };
    let selected: Vec<_> = records
        .into_iter()
        .filter(|record| record.sequence > Sequence(after) && is_visible(record))
        .collect();
    let results = view.results(Sequence(after), &selected);
    String::from_utf8(results.finish()).unwrap()
}

fn array(results: &[&str]) -> String {
    format!("[{}]", results.join(","))
}

/// A session whose creator is its first consumer, followed by these events.
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
    let view = ConsumerView {
        consumer: consumer(1),
        joined: Sequence(2),
        zone: &zone,
    };
    let results = view
        .results(Sequence::START, &records([created()]))
        .finish();
    let results = String::from_utf8(results).unwrap();
    assert!(
        results.contains(r#""time":"2020-08-06 23:56:43.007""#),
        "{results}"
    );
}

#[test]
fn a_foreground_job_is_shown_from_its_command_to_its_status_between_two_input_statuses() {
    let events = session(job(SHARED));
    assert_eq!(
        shown(1, 2, &events),
        array(&[COMMAND, ALLOW_INTERRUPT, RESULT, STATUS, ALLOW_INPUT])
    );
}

#[test]
fn a_background_job_allows_input_at_once_and_only_once() {
    let events = session(job(SHARED_BACKGROUND));
    assert_eq!(
        shown(1, 2, &events),
        array(&[BACKGROUND, ALLOW_INTERRUPT, ALLOW_INPUT, RESULT, STATUS])
    );
}

#[test]
fn consumers_see_only_the_input_statuses_of_an_exec() {
    let events = session(job(PRIVATE));
    assert_eq!(shown(1, 2, &events), array(&[ALLOW_INTERRUPT, ALLOW_INPUT]));
    let events = session(job(PRIVATE_BACKGROUND));
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
fn a_late_consumer_gets_disabled_then_the_history_then_the_latest_input_status() {
    let events = session(job(SHARED).into_iter().chain([joined(2, None)]));
    assert_eq!(
        shown(2, 0, &events),
        array(&[DISABLED, WELCOME, COMMAND, RESULT, STATUS, ALLOW_INPUT])
    );
}

#[test]
fn a_consumer_that_joins_while_a_job_runs_may_interrupt_it_and_sees_its_end() {
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
    // In two pulls: nothing is repeated.
    assert_eq!(shown(2, 5, &events), array(&[RESULT, STATUS, ALLOW_INPUT]));
}

#[test]
fn other_consumers_that_join_or_leave_are_not_shown() {
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
fn a_session_closed_as_idle_shows_a_message_and_one_closed_by_request_does_not() {
    let closed = |cause| session([Event::SessionClosed { cause }]);
    assert_eq!(
        shown(1, 2, &closed(CloseCause::Idle)),
        array(&[r#"{"jobId":0,"message":"session is inactive for a while.","type":"message"}"#])
    );
    assert_eq!(shown(1, 2, &closed(CloseCause::Requested)), array(&[]));
}

#[test]
fn a_session_that_another_node_took_over_says_what_did_not_follow() {
    let by = NodeTerm {
        node: "n2".into(),
        term: 7,
    };
    let taken = session([Event::SessionTakenOver { by: by.into() }]);
    assert!(is_visible(records(taken.clone()).last().unwrap()));
    let message = concat!(
        r#"{"jobId":0,"message":"node n2 took this session over in term 7; the directory and the variables of "#,
        r#"its shell did not follow.","type":"message"}"#
    );
    assert_eq!(shown(1, 2, &taken), array(&[message]));
}

#[test]
fn an_interrupted_job_ends_with_0_and_others_with_their_status() {
    let other = r#"so \"it\" is"#;
    for (outcome, message, status, code) in [
        (Outcome::Completed, other, 0, 0),
        (Outcome::Failed, other, 127, 127),
        (Outcome::Failed, other, -10, -10),
        (Outcome::Interrupted, other, 130, 0),
        (Outcome::Interrupted, "the session was closed", 129, 129),
        (Outcome::Interrupted, "the server was shut down", 130, 130),
        (Outcome::Interrupted, "the server was shut down", 0, 129),
        (Outcome::Completed, "the server was shut down", 0, 0),
        (Outcome::TimedOut, other, 130, 0),
        (Outcome::Lost, other, 137, 137),
    ] {
        let events = session([
            submitted(SHARED_BACKGROUND),
            interrupted(),
            ended(
                SHARED_BACKGROUND,
                outcome,
                status,
                Some(&message.replace('\\', "")),
            ),
        ]);
        let status =
            format!(r#"{{"jobId":3,"message":"{message}","statusCode":{code},"type":"status"}}"#);
        assert_eq!(
            shown(1, 4, &events),
            array(&[&status]),
            "{outcome:?} {status}"
        );
    }
}

#[test]
fn records_that_show_nothing_do_not_wake_a_pull() {
    let silent = [
        Event::SessionResumed,
        Event::SessionTouched {
            seen: Timestamp::EPOCH.into(),
        },
        Event::UserSet { user: "u".into() },
        Event::CursorAdvanced {
            consumer: consumer(1),
            to: Sequence(2),
            seen: Timestamp::EPOCH.into(),
        },
        Event::JobStarted {
            job: JobId(3),
            private: false,
        },
        interrupted(),
        emitted(PRIVATE),
        submitted(PRIVATE_BACKGROUND),
        finished(PRIVATE_BACKGROUND),
    ];
    for record in records(silent) {
        assert!(!is_visible(&record), "{record:?}");
    }
}

#[test]
fn job_results_are_the_results_and_the_status_of_that_job_alone() {
    let mut results = JobResults::new(JobId(3), rejoin_http::Budget::new(1 << 20).share());
    let other = Event::ResultEmitted {
        job: JobId(4),
        mode: SHARED_BACKGROUND,
        result: "{}".into(),
        position: None,
    };
    let other_end = Event::JobFinished {
        job: JobId(4),
        mode: SHARED_BACKGROUND,
        outcome: Outcome::Failed,
        status: 1,
        message: None,
    };
    for record in records([submitted(PRIVATE), other, emitted(PRIVATE), other_end]) {
        results.add(&record);
        assert!(results.end().is_none());
    }
    for record in records([finished(PRIVATE)]) {
        results.add(&record);
    }
    assert!(matches!(results.end(), Some(End::Finished)));
    assert_eq!(
        String::from_utf8(results.finish().unwrap().0).unwrap(),
        array(&[RESULT, STATUS])
    );
}
