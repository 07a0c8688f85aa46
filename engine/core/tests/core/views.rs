//! Tests of the views for lists and readers.

use crate::jobs::{finished, foreground, submitted};
use rejoin_core::limits::{REMEMBERED_JOBS, REMEMBERED_SESSIONS, SHOWN_STATEMENT};
use rejoin_core::testing::{created, instant};
use rejoin_core::{
    CloseCause, Event, JobId, JobState, LossCause, Outcome, Record, Selection, Sequence, Server,
    SessionId, SessionNumber, Timestamp, Views,
};
use std::time::Duration;

fn fold(events: impl IntoIterator<Item = Event>) -> Views {
    let mut views = Views::default();
    for (event, sequence) in events.into_iter().zip(1..) {
        let session = rejoin_core::testing::SESSION;
        views.apply(&Record {
            session,
            sequence: Sequence(sequence),
            at: instant(sequence),
            clock: instant(sequence).into(),
            actor: None,
            redacted: None,
            event,
        });
    }
    views
}

#[test]
fn a_session_shows_its_jobs_with_their_status() {
    let views = fold([
        created(),
        submitted(1, foreground()),
        Event::JobStarted {
            job: JobId(1),
            private: false,
        },
        finished(1, foreground(), Outcome::Failed, 2),
        submitted(2, foreground()),
    ]);
    let view = views.session(rejoin_core::testing::SESSION).unwrap();
    assert_eq!(view.foreground, Some(JobId(2)));
    assert!(view.is_busy());
    let states: Vec<_> = view.jobs().map(|job| job.state).collect();
    let failed = JobState::Finished {
        outcome: Outcome::Failed,
        status: 2,
        at: instant(4).into(),
    };
    assert_eq!(states, [failed, JobState::Submitted]);
}

#[test]
fn the_last_finished_jobs_and_all_running_ones_are_remembered() {
    let many = REMEMBERED_JOBS as u64 + 10;
    let mut events = vec![created(), submitted(1, rejoin_core::JobMode::ALL[2])];
    for job in 2..many {
        events.push(submitted(job, foreground()));
        events.push(finished(job, foreground(), Outcome::Completed, 0));
    }
    let views = fold(events);
    let view = views.session(rejoin_core::testing::SESSION).unwrap();
    assert_eq!(view.jobs().count(), REMEMBERED_JOBS + 1);
    assert_eq!(view.jobs().next().unwrap().job, JobId(1), "it still runs");
    assert!(view.job(JobId(2)).is_none(), "it was the first to finish");
    assert!(view.job(JobId(many - 1)).is_some());
}

#[test]
fn a_long_statement_is_cut() {
    let Event::JobSubmitted {
        job,
        mode,
        timeout,
        output_limit,
        ..
    } = submitted(1, foreground())
    else {
        unreachable!()
    };
    let statement = "ü".repeat(SHOWN_STATEMENT + 1).into();
    let long = Event::JobSubmitted {
        job,
        mode,
        statement,
        timeout,
        output_limit,
        request: None,
        input: false,
        output: rejoin_core::JobOutput::Separate,
        controller: None,
    };
    let views = fold([created(), long]);
    let view = views.session(rejoin_core::testing::SESSION).unwrap();
    assert_eq!(
        view.jobs().next().unwrap().statement.chars().count(),
        SHOWN_STATEMENT
    );
}

#[test]
fn the_last_ended_sessions_are_remembered() {
    let mut views = Views::default();
    let count = REMEMBERED_SESSIONS as u64 + 1;
    for number in 1..=count {
        let session = SessionId::from_bytes(u128::from(number).to_be_bytes());
        let created = Event::SessionCreated {
            number: SessionNumber(number),
            service: "test".into(),
            user: None,
            remote: None,
            server: Server {
                process: 1,
                version: "1".into(),
                node: None,
            },
            timeout: Duration::from_secs(1),
        };
        let closed = Event::SessionClosed {
            cause: CloseCause::Requested,
        };
        let at = Timestamp::EPOCH;
        views.apply(&Record {
            session,
            sequence: Sequence(1),
            at,
            clock: at.into(),
            actor: None,
            redacted: None,
            event: created,
        });
        assert_eq!(views.open_count(), 1);
        views.apply(&Record {
            session,
            sequence: Sequence(2),
            at,
            clock: at.into(),
            actor: None,
            redacted: None,
            event: closed,
        });
        assert_eq!(views.open_count(), 0);
    }
    let is_remembered = |number: u64| {
        let session = SessionId::from_bytes(u128::from(number).to_be_bytes());
        views.session(session).is_some()
    };
    assert!(!is_remembered(1));
    assert!(is_remembered(2) && is_remembered(count));
}

#[test]
fn a_session_shows_its_current_job_and_since_when_it_is_busy_or_idle() {
    let background = rejoin_core::JobMode::ALL[2];
    let mut events = vec![
        created(),
        submitted(1, background),
        submitted(2, foreground()),
    ];
    let shown = |events: &[Event]| {
        let views = fold(events.to_vec());
        let view = views.session(rejoin_core::testing::SESSION).unwrap();
        (view.since, view.current_job().map(|job| job.job))
    };
    assert_eq!(shown(&events[..1]), (instant(1).into(), None));
    assert_eq!(shown(&events), (instant(2).into(), Some(JobId(2))));
    events.push(finished(2, foreground(), Outcome::Completed, 0));
    assert_eq!(
        shown(&events),
        (instant(2).into(), Some(JobId(1))),
        "still busy"
    );
    events.push(finished(1, background, Outcome::Completed, 0));
    assert_eq!(shown(&events), (instant(5).into(), None));
}

#[test]
fn a_private_job_is_in_no_list_but_keeps_its_session_busy() {
    let modes = rejoin_core::JobMode::ALL;
    let private = modes.into_iter().find(|mode| mode.is_private()).unwrap();
    let mut events = vec![
        created(),
        submitted(1, foreground()),
        finished(1, foreground(), Outcome::Completed, 0),
        submitted(2, private),
    ];
    for is_busy in [true, false] {
        let views = fold(events.clone());
        let view = views.session(rejoin_core::testing::SESSION).unwrap();
        assert_eq!(view.is_busy(), is_busy);
        assert_eq!(view.current_job(), None);
        assert_eq!(view.unfinished_jobs().count(), 0);
        let listed: Vec<_> = view.jobs().map(|job| job.job).collect();
        assert_eq!(listed, [JobId(1)]);
        assert_eq!(view.all_jobs().count(), 2);
        events.push(finished(2, private, Outcome::Completed, 0));
    }
}

#[test]
fn the_revision_changes_only_with_what_lists_show() {
    let mut events = vec![created(), submitted(1, foreground())];
    let shown = |events: &[Event]| {
        let views = fold(events.to_vec());
        let view = views.session(rejoin_core::testing::SESSION).unwrap();
        assert_eq!(view.changed, views.changed());
        (views.revision(), view.revision)
    };
    assert_eq!(shown(&events), (2, Sequence(2)));
    events.push(Event::ResultEmitted {
        job: JobId(1),
        mode: foreground(),
        result: "{}".into(),
        position: None,
    });
    assert_eq!(shown(&events), (2, Sequence(2)), "no list shows results");
    events.push(finished(1, foreground(), Outcome::Completed, 0));
    assert_eq!(shown(&events), (3, Sequence(4)));
}

#[test]
fn a_page_deep_in_a_list_of_many_sessions_is_found_by_number() {
    let mut views = Views::default();
    for number in 1..=50_000u64 {
        views.apply(&Record {
            session: SessionId::from_bytes(u128::from(number).to_be_bytes()),
            sequence: Sequence(1),
            at: Timestamp::EPOCH,
            clock: Timestamp::EPOCH.into(),
            actor: None,
            redacted: None,
            event: Event::SessionCreated {
                number: SessionNumber(number),
                service: "test".into(),
                user: Some(if number % 2 == 0 { "even" } else { "odd" }.into()),
                remote: None,
                server: Server {
                    process: 1,
                    version: "1".into(),
                    node: None,
                },
                timeout: Duration::from_secs(1),
            },
        });
    }
    let even = Selection {
        user: Some("even"),
        numbers: 10_001..=u64::MAX,
        ..Selection::default()
    };
    assert_eq!(views.count(&even), 20_000);
    let page: Vec<_> = views
        .select(&even, 10_000)
        .take(3)
        .map(|view| view.number.0)
        .collect();
    assert_eq!(page, [30_002, 30_004, 30_006]);
    assert_eq!(views.select(&even, 20_000).count(), 0);
    let found = views.open_session(SessionNumber(77)).unwrap();
    assert_eq!(found.number, SessionNumber(77));
}

/// The records of a log with this number of 16: sessions that stay open, end or are removed.
fn log(number: u64) -> Vec<Record> {
    let mut records = vec![];
    for index in 0..20 {
        let Event::SessionCreated {
            service,
            user,
            remote,
            server,
            timeout,
            ..
        } = created()
        else {
            unreachable!()
        };
        let session_number = SessionNumber(number + 16 * (index + 1));
        let mut bytes = [index as u8; 16];
        bytes[15] = number as u8;
        let mut events = vec![Event::SessionCreated {
            number: session_number,
            service,
            user,
            remote,
            server,
            timeout,
        }];
        if index % 3 > 0 {
            let cause = CloseCause::Requested;
            events.push(Event::SessionClosed { cause });
        }
        if index % 3 > 1 {
            events.push(Event::RecordsLost {
                first: Sequence(1),
                last: Sequence(2),
                cause: LossCause::Retention {
                    last_number: session_number,
                    last_job: JobId(0),
                },
            });
        }
        for (event, sequence) in events.into_iter().zip(1..) {
            // No two records of both logs at the same time.
            let at = instant(1_000 * index + 10 * sequence + number);
            records.push(Record {
                session: SessionId::from_bytes(bytes),
                sequence: Sequence(sequence),
                at,
                clock: at.into(),
                actor: None,
                redacted: None,
                event,
            });
        }
    }
    records
}

#[test]
fn the_views_of_two_logs_are_those_of_their_records_in_the_order_of_time() {
    let fold = |records: &[Record]| {
        let mut views = Views::default();
        records.iter().for_each(|record| views.apply(record));
        views
    };
    let (first, second) = (log(1), log(2));
    let mut both = [first.clone(), second.clone()].concat();
    both.sort_by_key(|record| record.at);
    for (one, other) in [(&first, &second), (&second, &first)] {
        let mut views = fold(one);
        views.absorb(fold(other));
        let listed = |views: &Views| {
            let all = views.sessions().cloned().collect::<Vec<_>>();
            let ended: Vec<_> = views.ended_sessions().map(|view| view.id).collect();
            let open = views.count(&Selection::default());
            (all, ended, open, views.revision(), views.changed())
        };
        assert_eq!(listed(&views), listed(&fold(&both)));
        for record in &both {
            let removed = |views: &Views| views.removed(record.session);
            assert_eq!(removed(&views), removed(&fold(&both)));
        }
    }
}

#[test]
fn of_the_sessions_of_two_logs_those_that_ended_last_are_remembered() {
    let many = |number: u8, from: u64| {
        let mut views = Views::default();
        for index in 0..REMEMBERED_SESSIONS as u64 {
            let mut bytes = [0; 16];
            bytes[..8].copy_from_slice(&index.to_be_bytes());
            bytes[15] = number;
            let at = instant(from + index);
            let record = |sequence, event| Record {
                session: SessionId::from_bytes(bytes),
                sequence: Sequence(sequence),
                at,
                clock: at.into(),
                actor: None,
                redacted: None,
                event,
            };
            let Event::SessionCreated {
                service,
                user,
                remote,
                server,
                timeout,
                ..
            } = created()
            else {
                unreachable!()
            };
            views.apply(&record(
                1,
                Event::SessionCreated {
                    number: SessionNumber(u64::from(number) + 16 * (index + 1)),
                    service,
                    user,
                    remote,
                    server,
                    timeout,
                },
            ));
            let cause = CloseCause::Requested;
            views.apply(&record(2, Event::SessionClosed { cause }));
        }
        views
    };
    let (older, newer) = (many(1, 0), many(2, REMEMBERED_SESSIONS as u64));
    let mut views = newer.clone();
    views.absorb(older);
    let ids = |views: &Views| {
        views
            .ended_sessions()
            .map(|view| view.id)
            .collect::<Vec<_>>()
    };
    assert_eq!(ids(&views), ids(&newer));
    assert_eq!(views.sessions().count(), REMEMBERED_SESSIONS);
}
