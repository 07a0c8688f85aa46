//! Jobs that their runner keeps when the engine ends: what goes on, and what it is given.

use crate::world::{FOREGROUND, Host};
use futures::channel::mpsc::{UnboundedReceiver, UnboundedSender, unbounded};
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt};
use rejoin_core::testing::{SESSION, created};
use rejoin_core::{
    Event, InterruptCause, JobId, JobOutput, Outcome, OutputOffsets, Record, Sequence, Timestamp,
};
use rejoin_engine::testing::in_memory;
use rejoin_engine::{
    Config, Exit, KeptJob, NewJob, NewSession, ReadLimit, Runner, RunnerJob, Services, SmolRuntime,
    Submission,
};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

/// A runner that has these jobs, and says what the engine does with it.
#[derive(Debug)]
struct Keeping {
    kept: Vec<KeptJob>,
    asked: UnboundedSender<Asked>,
}

#[derive(Debug)]
enum Asked {
    Run(RunnerJob),
    Resume(RunnerJob, OutputOffsets),
    Forget(JobId),
}

impl Keeping {
    fn services(kept: Vec<KeptJob>) -> (Services, UnboundedReceiver<Asked>) {
        let (asked, answers) = unbounded();
        let runner: Arc<dyn Runner> = Arc::new(Self { kept, asked });
        (Services::from([("test".into(), runner)]), answers)
    }
}

impl Runner for Keeping {
    fn keeps_jobs(&self) -> bool {
        true
    }

    fn kept(&self) -> Vec<KeptJob> {
        self.kept.clone()
    }

    fn run(&self, job: RunnerJob) -> BoxFuture<'static, Exit> {
        self.asked.unbounded_send(Asked::Run(job)).unwrap();
        futures::future::pending().boxed()
    }

    fn resume(&self, job: RunnerJob, from: OutputOffsets) -> BoxFuture<'static, Exit> {
        self.asked.unbounded_send(Asked::Resume(job, from)).unwrap();
        futures::future::pending().boxed()
    }

    fn forget(&self, job: JobId) {
        self.asked.unbounded_send(Asked::Forget(job)).unwrap();
    }
}

/// The records of a session with one job that has an input, and what follows.
fn log(following: impl IntoIterator<Item = Event>) -> Vec<Record> {
    let submitted = Event::JobSubmitted {
        job: JOB,
        mode: FOREGROUND,
        statement: "cat".into(),
        timeout: Duration::from_secs(3_600),
        output_limit: 1_000,
        request: None,
        input: true,
        output: JobOutput::Merged,
        controller: None,
    };
    [created(), submitted]
        .into_iter()
        .chain(following)
        .zip(1..)
        .map(|(event, sequence)| Record {
            session: SESSION,
            sequence: Sequence(sequence),
            at: Timestamp::EPOCH,
            clock: Timestamp::EPOCH.into(),
            actor: None,
            redacted: None,
            event,
        })
        .collect()
}

const JOB: JobId = JobId(1);

fn written(bytes: &[u8], end: bool) -> Event {
    Event::InputWritten {
        job: JOB,
        mode: FOREGROUND,
        bytes: bytes.into(),
        end,
    }
}

const INTERRUPTED: Event = Event::InterruptRequested {
    job: JOB,
    cause: InterruptCause::Requested,
    private: false,
};

fn had(input: u64, input_ended: bool, interrupts: u32) -> KeptJob {
    KeptJob {
        job: JOB,
        submission: None,
        input,
        input_ended,
        interrupts,
    }
}

fn open(services: Services, records: &[Record]) -> rejoin_engine::Engine {
    in_memory(Config::default(), Arc::new(SmolRuntime), services, records)
}

#[test]
fn a_job_is_given_what_is_logged_and_what_it_has_not_had() {
    let logged = [
        written(b"one", false),
        INTERRUPTED,
        written(b"two", false),
        INTERRUPTED,
        written(b"", true),
    ];
    let (services, mut asked) = Keeping::services(vec![had(4, false, 1)]);
    let engine = open(services, &log(logged));
    Host::smol().block_on(async {
        let Some(Asked::Resume(mut job, from)) = asked.next().await else {
            panic!("it does not go on");
        };
        assert_eq!(from, OutputOffsets::default());
        let mut input = job.input.take().unwrap();
        assert_eq!(input.next().await.as_deref(), Some(&b"wo"[..]));
        assert_eq!(input.next().await, None);
        assert_eq!(job.interrupts.next_numbered().await.unwrap().number, 2);
        assert!(job.interrupts.try_next().is_none());
        engine.shut_down_and_keep_jobs().await;
        assert!(job.interrupts.next().await.is_none());
    });
}

/// Such a log is an older copy. If the job went on, it would miss what is logged next, because that has
/// numbers that the job has had.
#[test]
fn a_job_that_had_more_than_is_logged_does_not_go_on() {
    for (more, had) in [
        ("input", had(4, false, 0)),
        ("the end of its input", had(3, true, 0)),
        ("interrupts", had(3, false, 1)),
    ] {
        let (services, mut asked) = Keeping::services(vec![had]);
        let engine = open(services, &log([written(b"one", false)]));
        Host::smol().block_on(async {
            let first = asked.next().await;
            assert!(
                matches!(first, Some(Asked::Forget(JOB))),
                "{more}: {first:?}"
            );
            let last = engine
                .read(SESSION, Sequence(3), LIMIT, Duration::ZERO)
                .await
                .unwrap();
            assert!(
                matches!(
                    last[0].event,
                    Event::JobFinished {
                        job: JOB,
                        outcome: Outcome::Lost,
                        ..
                    }
                ),
                "{more}: {last:?}"
            );
            engine.shut_down_and_keep_jobs().await;
        });
    }
}

/// A log that was restored from a backup has used its number again.
#[test]
fn a_job_of_another_submission_does_not_go_on() {
    for (submission, goes_on) in [
        (None, true),
        (Some([2, 0, 0]), true),
        (Some([3, 0, 0]), false),
        (Some([2, 1, 0]), false),
        (Some([2, 0, 1]), false),
    ] {
        let had = KeptJob {
            submission: submission.map(Submission::from_numbers),
            ..had(0, false, 0)
        };
        let (services, mut asked) = Keeping::services(vec![had]);
        let engine = open(services, &log([]));
        Host::smol().block_on(async {
            let lost = engine.takeover().lost.keys().next().cloned();
            match asked.next().await {
                Some(Asked::Resume(job, _)) => {
                    assert!(goes_on && lost.is_none(), "{submission:?}");
                    assert_eq!(job.submission, Submission::from_numbers([2, 0, 0]));
                }
                Some(Asked::Forget(JOB)) => {
                    assert!(!goes_on, "{submission:?}");
                    let lost = lost.unwrap();
                    assert!(lost.contains("belongs to another command"), "{lost}");
                }
                other => panic!("{submission:?}: {other:?}"),
            }
            engine.shut_down_and_keep_jobs().await;
        });
    }
}

/// A terminal is interrupted by Ctrl-C and goes on; at its timeout it is hung up.
#[test]
fn a_job_gets_each_interrupt_that_it_missed_with_its_own_cause() {
    let interrupted = |cause| Event::InterruptRequested {
        job: JOB,
        cause,
        private: false,
    };
    let logged = [
        InterruptCause::Requested,
        InterruptCause::Requested,
        InterruptCause::Timeout,
        InterruptCause::Shutdown,
    ];
    let (services, mut asked) = Keeping::services(vec![had(0, false, 1)]);
    let engine = open(services, &log(logged.map(interrupted)));
    Host::smol().block_on(async {
        let Some(Asked::Resume(job, _)) = asked.next().await else {
            panic!("it does not go on");
        };
        for (number, cause) in (1_u32..).zip(logged).skip(1) {
            let next = job.interrupts.next_numbered().await.unwrap();
            assert_eq!((next.number, next.cause), (number, cause));
        }
        assert!(job.interrupts.try_next().is_none());
        engine.shut_down_and_keep_jobs().await;
    });
}

/// A job that outlives the end of its engine would otherwise seem to have had the next one that is logged.
#[test]
fn an_interrupt_that_is_not_logged_has_no_number_of_its_own() {
    let (services, mut asked) = Keeping::services(vec![]);
    let engine = open(services, &[]);
    Host::smol().block_on(async {
        let session = engine
            .create_session(NewSession::from("test"))
            .await
            .unwrap();
        let new = NewJob::new(session.id(), "sleep 1", FOREGROUND);
        engine.submit_job(new).await.unwrap();
        let Some(Asked::Run(job)) = asked.next().await else {
            panic!("it does not run");
        };
        let ending = pin!(engine.shut_down(Duration::ZERO));
        ending.await;
        let logged = job.interrupts.next_numbered().await.unwrap();
        let last = job.interrupts.next_numbered().await.unwrap();
        assert_eq!((logged.number, last.number), (1, 1));
        assert!(job.interrupts.next().await.is_none());
    });
}

const LIMIT: ReadLimit = ReadLimit {
    records: 10,
    bytes: 10_000,
};
