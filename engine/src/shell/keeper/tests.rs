//! The server's end, beside a keeper that the test plays.

use super::protocol::{Frames, HeldJob, ToKeeper, ToServer, VERSION};
use crate::SmolRuntime;
use crate::jobs::runner::{
    Interrupts, LoggedJob, Reporter, Runner, RunnerHost, RunnerJob, TerminalSizes,
};
use crate::shell::{KeeperSettings, ShellRunner, ShellSettings};
use futures::future::{Either, select};
use rejoin_core::{JobId, JobOutput, JobSlot, OutputOffsets, SessionId, Submission};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

/// A keeper's end of its connection.
struct Keeper {
    stream: UnixStream,
    frames: Frames,
}

impl Keeper {
    fn accept(listener: &UnixListener) -> Self {
        let (stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let frames = Frames::default();
        Self { stream, frames }
    }

    /// The next frame of the server.
    fn next(&mut self) -> ToKeeper {
        let mut chunk = [0; 4_096];
        loop {
            if let Some(frame) = self.frames.next().unwrap() {
                return ToKeeper::decode(frame).unwrap().unwrap();
            }
            let count = self.stream.read(&mut chunk).unwrap();
            assert!(count > 0, "the server has left");
            self.frames.extend(&chunk[..count]);
        }
    }

    fn say(&mut self, frame: &ToServer) {
        let mut out = Vec::new();
        frame.encode(&mut out);
        self.stream.write_all(&out).unwrap();
    }
}

/// A keeper whose spool is full waits until it may drop something, and the server that had logged all of
/// it may have died before it said so.
#[test]
fn a_keeper_learns_at_once_what_the_log_has() {
    let directory = tempfile::tempdir().unwrap();
    let mut settings = ShellSettings::new(directory.path(), "the mark");
    settings.keeper = Some(KeeperSettings::this_program("keeper"));
    let runner = ShellRunner::new(settings, Arc::new(SmolRuntime)).unwrap();
    let listener = UnixListener::bind(directory.path().join("keepers/one")).unwrap();
    let logged = OutputOffsets {
        stdout: 7,
        stderr: 2,
    };
    let held = HeldJob {
        job: JOB,
        session: SESSION,
        settled: OutputOffsets::default(),
        read: logged,
        input: 0,
        input_ended: false,
        interrupts: 0,
        signal: 0,
        has_ended: false,
        submission: Some(Submission::default()),
    };
    let keeper = std::thread::spawn(move || {
        let mut keeper = Keeper::accept(&listener);
        assert!(matches!(keeper.next(), ToKeeper::Hello { .. }));
        let jobs = vec![held];
        let version = VERSION;
        keeper.say(&ToServer::Welcome { version, jobs });
        let heard = [keeper.next(), keeper.next()];
        let (job, status, group) = (JOB, Some(0), None);
        // Without its pipes there is no more output.
        keeper.say(&ToServer::Exited { job, status, group });
        heard
    });
    let running = LoggedJob {
        session: SESSION,
        offsets: logged,
        is_truncated: false,
        interrupts: 0,
        submission: Some(Submission::default()),
    };
    let host = RunnerHost {
        runtime: Arc::new(SmolRuntime),
        directory: Some(directory.path().into()),
        log: None,
        open_sessions: BTreeSet::from([SESSION]),
        running: BTreeMap::from([(JOB, running)]),
        last_job: JOB,
    };
    let (reporter, _reports) = Reporter::channel(SESSION, JOB, 4);
    let (_interrupter, interrupts) = Interrupts::channel();
    smol::block_on(async {
        runner.prepare(host).await.unwrap();
        assert_eq!(runner.kept().len(), 1);
        let job = RunnerJob {
            session: SESSION,
            job: JOB,
            submission: Submission::default(),
            statement: "yes".into(),
            slot: JobSlot::Foreground,
            reporter,
            interrupts,
            input: None,
            output: JobOutput::default(),
            sizes: TerminalSizes::none(),
            leftovers: crate::Leftovers::default(),
        };
        let timer = smol::Timer::after(PATIENCE);
        match select(pin!(runner.resume(job, logged)), timer).await {
            Either::Left((exit, _)) => assert_eq!(exit.status, 0, "{exit:?}"),
            Either::Right(_) => panic!("the job does not end"),
        }
    });
    let heard = keeper.join().unwrap();
    let (job, from) = (JOB, logged);
    let offsets = logged;
    assert_eq!(
        heard,
        [
            ToKeeper::Resume { job, from },
            ToKeeper::Settled { job, offsets },
        ]
    );
}

const SESSION: SessionId = SessionId::from_bytes([7; 16]);
const JOB: JobId = JobId(3);

/// Far longer than it takes.
const PATIENCE: Duration = Duration::from_secs(20);
