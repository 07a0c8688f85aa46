//! Tests of sessions: creation, use and closing.

use crate::jobs::{finished, foreground, job_of, submitted};
use rejoin_core::testing::{SESSION, SESSION_TIMEOUT, created, given, given_with, instant};
use rejoin_core::{
    CloseCause, Command, ConsumerId, CreateSession, DescribeSession, Description, Event,
    InterruptCause, JobId, LeaveCause, Limits, LinkChange, NodeTerm, Outcome, Rejection, Server,
    SessionId, SessionNumber,
};
use std::sync::Arc;
use std::time::Duration;

const OTHER: SessionId = SessionId::from_bytes([2; 16]);

pub(crate) fn create(session: SessionId) -> CreateSession {
    CreateSession {
        session,
        service: "test".into(),
        user: Some("ann".into()),
        remote: Some("127.0.0.1:4".into()),
        server: Server {
            process: 1,
            version: "1".into(),
            node: None,
        },
        timeout: SESSION_TIMEOUT,
        consumer: None,
    }
}

#[test]
fn a_creator_who_reads_is_the_first_consumer() {
    let timeout = Duration::from_secs(3);
    let consumer = Some(([9; 16], timeout));
    given([])
        .when(
            instant(1),
            Command::CreateSession(CreateSession {
                consumer,
                ..create(OTHER)
            }),
        )
        .then([
            Event::SessionCreated {
                number: SessionNumber(1),
                service: "test".into(),
                user: Some("ann".into()),
                remote: Some("127.0.0.1:4".into()),
                server: Server {
                    process: 1,
                    version: "1".into(),
                    node: None,
                },
                timeout: SESSION_TIMEOUT,
            },
            Event::ConsumerJoined {
                consumer: ConsumerId {
                    token: [9; 16],
                    ordinal: 1,
                },
                timeout,
                foreground: None,
            },
        ]);
}

#[test]
fn an_identity_is_taken_once() {
    given([created()])
        .when(instant(1), Command::CreateSession(create(SESSION)))
        .then_rejected(Rejection::SessionExists(SESSION));
}

#[test]
fn there_are_as_many_sessions_as_allowed_and_no_more() {
    let limits = Limits {
        sessions: 1,
        ..Limits::DEFAULT
    };
    given_with(limits, [created()])
        .when(instant(1), Command::CreateSession(create(OTHER)))
        .then_rejected(Rejection::TooMany {
            what: "sessions",
            limit: 1,
        });
}

#[test]
fn a_name_that_is_too_long_is_refused_and_named() {
    let user = Some("u".repeat(257).into());
    given([])
        .when(
            instant(1),
            Command::CreateSession(CreateSession {
                user,
                ..create(OTHER)
            }),
        )
        .then_rejected(Rejection::TooLong {
            what: "user",
            limit: 256,
        });
}

#[test]
fn numbers_grow_past_sessions_that_were_closed() {
    let story = given([created()])
        .when(
            instant(1),
            Command::CloseSession {
                session: SESSION,
                cause: CloseCause::Requested,
            },
        )
        .when(instant(2), Command::CreateSession(create(OTHER)));
    assert_eq!(
        story.state().session(OTHER).unwrap().number(),
        SessionNumber(2)
    );
}

#[test]
fn closing_a_session_finishes_its_jobs_first_and_then_its_consumers_leave() {
    let consumer = ConsumerId {
        token: [0; 16],
        ordinal: 1,
    };
    let timeout = Duration::from_secs(1_000);
    let joined = Event::ConsumerJoined {
        consumer,
        timeout,
        foreground: None,
    };
    let cause = CloseCause::Requested;
    given([created(), joined, submitted(1, foreground())])
        .when(
            instant(1),
            Command::CloseSession {
                session: SESSION,
                cause,
            },
        )
        .then([
            Event::InterruptRequested {
                job: JobId(1),
                cause: InterruptCause::SessionClosed,
                private: false,
            },
            Event::JobFinished {
                job: JobId(1),
                mode: foreground(),
                outcome: Outcome::Interrupted,
                status: 129,
                message: Some("the session was closed".into()),
            },
            Event::ConsumerLeft {
                consumer,
                cause: LeaveCause::SessionClosed,
            },
            Event::SessionClosed { cause },
        ]);
}

#[test]
fn a_session_is_closed_as_idle_at_its_timeout_and_not_before() {
    given([created()])
        .when(instant(99), Command::Expire)
        .then([])
        .when(instant(100), Command::Expire)
        .then([Event::SessionClosed {
            cause: CloseCause::Idle,
        }]);
}

#[test]
fn a_session_that_was_touched_is_idle_later() {
    let seen = instant(60);
    given([created()])
        .when(
            instant(90),
            Command::TouchSession {
                session: SESSION,
                seen: seen.into(),
            },
        )
        .then([Event::SessionTouched { seen: seen.into() }])
        .when(instant(159), Command::Expire)
        .then([])
        .when(instant(160), Command::Expire)
        .then([Event::SessionClosed {
            cause: CloseCause::Idle,
        }]);
}

#[test]
fn a_use_that_is_not_newer_is_not_logged_again() {
    given([created()])
        .when(
            instant(5),
            Command::TouchSession {
                session: SESSION,
                seen: instant(0).into(),
            },
        )
        .then([]);
}

#[test]
fn busy_is_not_idle() {
    for mode in rejoin_core::JobMode::ALL {
        given([created(), submitted(1, mode)])
            .when(instant(5_000), Command::Expire)
            .then([])
            .when(
                instant(5_000),
                Command::ReportFinished {
                    session: SESSION,
                    job: JobId(1),
                    status: 0,
                    message: None,
                    lost: false,
                },
            )
            .then([finished(1, mode, Outcome::Completed, 0)])
            .when(instant(5_099), Command::Expire)
            .then([])
            .when(instant(5_100), Command::Expire)
            .then([Event::SessionClosed {
                cause: CloseCause::Idle,
            }]);
    }
}

fn resumed<const N: usize>(lost: [(JobId, &str); N]) -> Command {
    Command::Resume {
        kept: [].into(),
        lost: lost.map(|(job, reason)| (job, reason.into())).into(),
        by: None,
    }
}

#[test]
fn a_lost_job_says_why_if_it_had_started_and_its_runner_knows() {
    let lost = |job, message: &str| Event::JobFinished {
        job: JobId(job),
        mode: foreground(),
        outcome: Outcome::Lost,
        status: 137,
        message: Some(message.into()),
    };
    let mode = foreground();
    let started = Event::JobStarted {
        job: JobId(1),
        private: false,
    };
    let ended = "the server ended while the job ran";
    given([created(), submitted(1, mode), started])
        .when(instant(500), resumed([(JobId(1), "its keeper ended")]))
        .then([
            lost(1, &format!("{ended}: its keeper ended")),
            Event::SessionResumed,
        ]);
    given([created(), submitted(1, mode)])
        .when(instant(500), resumed([(JobId(1), "not started")]))
        .then([lost(1, ended), Event::SessionResumed]);
}

#[test]
fn a_session_says_which_node_has_taken_it_over_and_why_its_job_is_lost() {
    let by = Arc::new(NodeTerm {
        node: "n2".into(),
        term: 7,
    });
    let resume = Command::Resume {
        kept: [].into(),
        lost: [].into(),
        by: Some(by.clone()),
    };
    let message = "the node that ran the job ended or was cut off, and the session was taken over";
    given([created(), submitted(1, foreground())])
        .when(instant(500), resume)
        .then([
            Event::JobFinished {
                job: JobId(1),
                mode: foreground(),
                outcome: Outcome::Lost,
                status: 137,
                message: Some(message.into()),
            },
            Event::SessionTakenOver { by },
        ])
        .when(instant(599), Command::Expire)
        .then([])
        .when(instant(599), job_of("next"))
        .then([submitted_as("next", 2)]);
}

#[test]
fn after_a_restart_what_ran_is_lost_and_nobody_is_late() {
    given([created(), submitted(1, foreground())])
        .when(instant(500), resumed([]))
        .then([
            Event::JobFinished {
                job: JobId(1),
                mode: foreground(),
                outcome: Outcome::Lost,
                status: 137,
                message: Some("the server ended while the job ran".into()),
            },
            Event::SessionResumed,
        ])
        .when(instant(599), Command::Expire)
        .then([])
        .when(instant(599), job_of("next"))
        .then([submitted_as("next", 2)]);
}

fn submitted_as(statement: &str, job: u64) -> Event {
    let Event::JobSubmitted {
        mode,
        timeout,
        output_limit,
        ..
    } = submitted(job, foreground())
    else {
        unreachable!()
    };
    let statement = statement.into();
    Event::JobSubmitted {
        job: JobId(job),
        mode,
        statement,
        timeout,
        output_limit,
        request: None,
        input: false,
        output: rejoin_core::JobOutput::Separate,
        controller: None,
    }
}

fn describe(title: Option<&str>, labels: &[(&str, Option<&str>)]) -> Command {
    let labels = labels.iter();
    Command::DescribeSession(DescribeSession {
        session: SESSION,
        title: title.map(Into::into),
        labels: labels
            .map(|(key, value)| ((*key).into(), value.map(Into::into)))
            .collect(),
    })
}

fn described(title: Option<&str>, labels: &[(&str, &str)]) -> Event {
    let labels = labels.iter();
    let description = Description {
        title: title.map(Into::into),
        labels: labels
            .map(|(key, value)| ((*key).into(), (*value).into()))
            .collect(),
    };
    Event::SessionDescribed {
        description: description.into(),
    }
}

#[test]
fn a_title_and_labels_are_changed_one_by_one_and_logged_as_a_whole() {
    given([created()])
        .when(instant(1), describe(Some(""), &[("env", None)]))
        .then([])
        .when(instant(2), describe(Some("Release"), &[]))
        .then([described(Some("Release"), &[])])
        .when(
            instant(3),
            describe(None, &[("env", Some("live")), ("a", Some("b"))]),
        )
        .then([described(Some("Release"), &[("a", "b"), ("env", "live")])])
        .when(
            instant(4),
            describe(None, &[("env", Some("live")), ("b", None)]),
        )
        .then([])
        .when(instant(5), describe(Some(""), &[("env", None)]))
        .then([described(None, &[("a", "b")])]);
}

#[test]
fn a_session_has_a_bounded_number_of_labels_of_a_bounded_length() {
    let keys: Vec<_> = (0..=Limits::DEFAULT.labels)
        .map(|it| it.to_string())
        .collect();
    let labels: Vec<_> = keys.iter().map(|key| (&**key, Some("x"))).collect();
    let long = "x".repeat(Limits::DEFAULT.name + 1);
    let too_long = |what| Rejection::TooLong {
        what,
        limit: Limits::DEFAULT.name,
    };
    given([created()])
        .when(instant(1), describe(None, &labels))
        .then_rejected(Rejection::TooMany {
            what: "labels",
            limit: Limits::DEFAULT.labels,
        })
        .when(instant(1), describe(Some(&long), &[]))
        .then_rejected(too_long("title"))
        .when(instant(1), describe(None, &[(&long, Some("x"))]))
        .then_rejected(too_long("key of a label"))
        .when(instant(1), describe(None, &[("x", Some(&long))]))
        .then_rejected(too_long("value of a label"));
}

#[test]
fn what_happens_to_a_link_is_logged_while_the_session_is_open() {
    let note = |change| Command::NoteLink {
        session: SESSION,
        link: "k1".into(),
        change,
    };
    let noted = |change| Event::LinkChanged {
        link: "k1".into(),
        change,
    };
    let expires = rejoin_core::Timestamp::from_millis(9);
    let long = Command::NoteLink {
        session: SESSION,
        link: "x".repeat(257).into(),
        change: LinkChange::Removed,
    };
    given([created()])
        .when(instant(1), note(LinkChange::Added { expires }))
        .then([noted(LinkChange::Added { expires })])
        .when(instant(2), note(LinkChange::Joined))
        .then([noted(LinkChange::Joined)])
        .when(instant(3), long)
        .then_rejected(Rejection::TooLong {
            what: "name of a link",
            limit: 256,
        });
    given([
        created(),
        Event::SessionClosed {
            cause: CloseCause::Requested,
        },
    ])
    .when(instant(2), note(LinkChange::Left))
    .then_rejected(Rejection::SessionNotFound(SESSION));
}

#[test]
fn setting_the_same_user_again_is_not_logged() {
    let set = |user: &str| Command::SetUser {
        session: SESSION,
        user: user.into(),
    };
    given([created()])
        .when(instant(1), set("ann"))
        .then([Event::UserSet { user: "ann".into() }])
        .when(instant(2), set("ann"))
        .then([])
        .when(instant(3), set("bob"))
        .then([Event::UserSet { user: "bob".into() }]);
}
