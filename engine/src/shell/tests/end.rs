//! The ends of jobs: no process of a job is left, in whatever way it ends.

use super::{SESSION, SLEEP, Server, on_each_runtime, on_each_runtime_with, within};
use crate::{Runner, ShellSettings};
use futures::StreamExt;
use futures::future::select;
use rejoin_core::{InterruptCause, JobSlot};
use std::pin::pin;
use std::time::Duration;

#[test]
fn an_interrupt_ends_what_runs() {
    for slot in [JobSlot::Foreground, JobSlot::Background] {
        on_each_runtime(async |server| {
            let mut job = server.start_as(slot, &format!("{SLEEP}; echo no"));
            job.until("ready\n").await;
            job.interrupt(InterruptCause::Timeout);
            let said = job.end().await;
            said.assert_exit(130, Some("ended by signal 2 (SIGINT)"));
            assert_eq!(said.stdout(), "ready\n");
        });
    }
}

#[test]
fn an_interrupt_that_came_before_the_shell_did_counts() {
    on_each_runtime(async |server| {
        let (run, job) = server.job(&server.runner, JobSlot::Foreground, "sleep 1000");
        job.interrupt(InterruptCause::Requested);
        let exit = within(run).await;
        // A shell that is just starting may lose the signal, but not the next one.
        assert!(matches!(exit.status, 130 | 143), "{exit:?}");
    });
}

#[test]
fn a_statement_can_catch_the_interrupt() {
    on_each_runtime(async |server| {
        let mut job = server.start(&format!("trap 'echo caught; exit 4' INT; {SLEEP}"));
        job.until("ready\n").await;
        job.interrupt(InterruptCause::Requested);
        let said = job.end().await;
        said.assert_exit(4, None);
        assert_eq!(said.stdout(), "ready\ncaught\n");
    });
}

#[test]
fn who_ignores_the_first_signal_gets_the_second_and_the_third() {
    on_each_runtime_with(quick, async |server| {
        let mut job = server.start(&format!("trap '' INT; {SLEEP}"));
        job.until("ready\n").await;
        job.interrupt(InterruptCause::Requested);
        let said = job.end().await;
        said.assert_exit(143, Some("ended by signal 15 (SIGTERM)"));

        let mut job = server.start(&format!("trap '' INT TERM; {SLEEP}"));
        job.until("ready\n").await;
        job.interrupt(InterruptCause::Requested);
        let said = job.end().await;
        said.assert_exit(137, Some("ended by signal 9 (SIGKILL)"));
    });
}

#[test]
fn another_interrupt_does_not_wait_for_the_grace_time() {
    let patient = |settings: &mut ShellSettings| settings.grace = Duration::from_secs(3600);
    on_each_runtime_with(patient, async |server| {
        let mut job = server.start(&format!("trap '' INT TERM; {SLEEP}"));
        job.until("ready\n").await;
        for _ in 0..3 {
            job.interrupt(InterruptCause::Requested);
        }
        let said = job.end().await;
        said.assert_exit(137, Some("ended by signal 9 (SIGKILL)"));
    });
}

#[test]
fn a_closing_session_lets_its_job_say_its_last_words() {
    on_each_runtime(async |server| {
        let mut job = server.start(&format!("trap 'echo bye; exit 5' TERM; {SLEEP}"));
        job.until("ready\n").await;
        job.interrupt(InterruptCause::SessionClosed);
        let said = job.end().await;
        assert_eq!(said.exit.status, 5);
        assert!(said.stdout().starts_with("ready\nbye\n"));
    });
}

#[test]
fn what_is_stopped_can_be_interrupted() {
    on_each_runtime(async |server| {
        let mut job = server.start("sh -c 'echo ready; kill -STOP $$; echo no'");
        job.until("ready\n").await;
        job.interrupt(InterruptCause::SessionClosed);
        job.end().await;
    });
}

#[test]
fn an_interrupt_reaches_a_job_whose_reader_is_behind() {
    on_each_runtime(async |server| {
        let mut job = server.start("yes");
        job.until("y\n").await;
        job.interrupt(InterruptCause::OutputLimit);
        let said = job.end().await;
        said.assert_exit(130, Some("ended by signal 2 (SIGINT)"));
    });
}

#[test]
fn a_child_that_holds_the_output_is_part_of_the_job() {
    on_each_runtime(async |server| {
        let mut job = server.start("mkfifo go; (read line <go; echo later) & echo now; exit 3");
        job.until("now\n").await;
        std::fs::write(server.home().join("go"), "\n").unwrap();
        let said = job.end().await;
        said.assert_exit(3, None);
        assert_eq!(said.stdout(), "now\nlater\n");
    });
}

#[test]
fn what_is_left_of_the_group_is_ended() {
    on_each_runtime(async |server| {
        for statement in [
            "sleep 1000 >/dev/null 2>&1 & echo $!; sleep 0.1",
            "nohup sleep 1000 >/dev/null 2>&1 & echo $!; sleep 0.1",
            "env -i sleep 1000 >/dev/null 2>&1 & echo $!; sleep 0.1",
        ] {
            let said = server.run(statement).await;
            let message = "ended 1 process (sleep) that it left in its process group";
            said.assert_exit(0, Some(message));
            assert!(!lives(said.stdout()), "{statement}");
        }
        let statement = "for i in 1 2 3; do sleep 1000 >/dev/null 2>&1 & done
                         tail -f /dev/null >/dev/null 2>&1 & sleep 0.1; exit 3";
        let message = "ended 4 processes (sleep, tail) that it left in its process group";
        server.run(statement).await.assert_exit(3, Some(message));
    });
}

#[test]
fn what_is_left_of_the_group_runs_until_the_session_closes_where_it_is_kept() {
    let keep = |settings: &mut ShellSettings| settings.keeps_leftovers = true;
    on_each_runtime_with(keep, async |server| {
        let said = server
            .run("nohup sleep 1000 >/dev/null 2>&1 & echo $!")
            .await;
        said.assert_exit(0, None);
        assert!(lives(said.stdout()));
        // An interrupt ends all of a job nevertheless.
        let mut job = server.start(&format!("sleep 1000 >/dev/null 2>&1 & echo $!; {SLEEP}"));
        let interrupted = job.until("ready\n").await;
        job.interrupt(InterruptCause::Requested);
        job.end().await;
        assert!(!lives(interrupted.lines().next().unwrap()));

        assert!(lives(said.stdout()));
        within(server.runner.release(SESSION)).await;
        assert!(!lives(said.stdout()));
    });
}

#[test]
fn an_output_that_is_held_open_is_said_to_be_once() {
    on_each_runtime(async |server| {
        let mut job = server.start("mkfifo go; (read line <go; echo later) & echo now");
        while !job.said.stderr.ends_with(b"\n") {
            assert!(within(job.read()).await);
        }
        std::fs::write(server.home().join("go"), "\n").unwrap();
        let said = job.end().await;
        said.assert_exit(0, None);
        assert_eq!(said.stdout(), "now\nlater\n");
        assert_eq!(
            said.stderr(),
            "rejoin: the shell has ended, but 1 process (sh) still holds its output; the job runs \
             until it has ended\n"
        );
    });
}

#[test]
fn what_left_the_group_cannot_hold_an_interrupted_job() {
    on_each_runtime_with(quick, async |server| {
        let mut job = server.start(ESCAPE);
        let escaped = job.until("\n").await;
        job.interrupt(InterruptCause::Requested);
        let said = job.end().await;
        let message = said.exit.message.unwrap_or_default();
        assert!(!message.ends_with("still holds its output"), "{message}");
        // A process closes its files a moment before it is gone.
        within(gone(&escaped)).await;
    });
}

#[test]
fn what_left_the_group_and_its_environment_cannot_either() {
    on_each_runtime_with(quick, async |server| {
        let mut job = server.start("setsid env -i sh -c 'echo $$; exec sleep 1000' & exit 0");
        let escaped = job.until("\n").await;
        job.interrupt(InterruptCause::Shutdown);
        let said = job.end().await;
        let message = said.exit.message.unwrap();
        assert!(message.ends_with("still holds its output"), "{message}");
        assert!(lives(&escaped), "a process without the mark is not killed");
        let escaped = rustix::process::Pid::from_raw(escaped.parse().unwrap()).unwrap();
        rustix::process::kill_process(escaped, rustix::process::Signal::KILL).unwrap();
    });
}

#[test]
fn a_release_leaves_nothing_of_the_session() {
    on_each_runtime(async |server| {
        let said = server.run(DAEMON).await;
        assert!(lives(said.stdout()));
        within(server.runner.release(SESSION)).await;
        assert!(!lives(said.stdout()));
        assert_eq!(states(server), 0);
    });
}

#[test]
fn a_release_waits_for_jobs_that_are_ending() {
    on_each_runtime(async |server| {
        let mut job = server.start(&format!(
            "trap 'echo closing; exit 6' TERM; export A=1; {SLEEP}"
        ));
        job.until("ready\n").await;
        job.interrupt(InterruptCause::SessionClosed);
        let release = server.runner.release(SESSION);
        let (_, said) = futures::future::join(within(release), job.end()).await;
        assert_eq!(said.exit.status, 6);
        assert_eq!(states(server), 0);
    });
}

#[test]
fn a_release_ends_jobs_that_nobody_interrupted() {
    on_each_runtime_with(quick, async |server| {
        let mut job = server.start(&format!("trap '' INT TERM HUP; {SLEEP}"));
        job.until("ready\n").await;
        let release = server.runner.release(SESSION);
        let (_, said) = futures::future::join(within(release), job.end()).await;
        assert_eq!(said.exit.status, 137);
        assert_eq!(states(server), 0);
    });
}

#[test]
fn a_job_does_not_start_in_a_released_session() {
    on_each_runtime_with(quick, async |server| {
        let (run, mut job) = server.job(&server.runner, JobSlot::Foreground, "echo no");
        let release = server.runner.release(SESSION);
        let exit = within(run).await;
        assert_eq!(
            exit.message.as_deref(),
            Some("not started: its session is closed")
        );
        assert_eq!(job.reports.next().await, None, "nothing was reported");
        within(release).await;
    });
}

#[test]
fn a_release_leaves_other_sessions_alone() {
    on_each_runtime(async |server| {
        let mut job = server.start(SLEEP);
        job.until("ready\n").await;
        let other = rejoin_core::SessionId::from_bytes([1; 16]);
        within(server.runner.release(other)).await;
        let mark = server
            .runner
            .shell
            .get()
            .unwrap()
            .mark
            .clone()
            .of_session(other);
        assert_eq!(
            super::super::process_sweep::end_all(&mark, &server.runtime).await,
            0
        );
        assert!(job.exit.as_ref().unwrap().is_empty());
        job.interrupt(InterruptCause::Requested);
        assert_eq!(job.end().await.exit.status, 130);
    });
}

#[test]
fn a_sweep_ends_the_orphans_of_a_server_that_was_killed() {
    on_each_runtime(async |server| {
        let said = server.run(DAEMON).await;
        let unfinished = server.settings.directory.join(format!("{SESSION}.9"));
        std::fs::write(unfinished, "half").unwrap();
        let strange = server.settings.directory.join("strange");
        std::fs::write(&strange, "not ours").unwrap();
        let reopened = server.reopened();
        assert_eq!(within(reopened.sweep()).await, 1);
        assert!(!lives(said.stdout()));
        assert_eq!(within(reopened.sweep()).await, 0);
        assert_eq!(
            states(server),
            2,
            "the session's and what is not the runner's"
        );
        std::fs::remove_file(strange).unwrap();
    });
}

#[test]
fn a_sweep_leaves_other_marks_alone() {
    on_each_runtime(async |server| {
        let said = server.run(DAEMON).await;
        let mark = &server.settings.mark;
        for other in [&mark[1..], &mark[..mark.len() - 1], &format!("{mark}x")] {
            let settings = ShellSettings {
                mark: other.into(),
                ..server.settings.clone()
            };
            let runner = super::ShellRunner::new(settings, server.runtime.clone()).unwrap();
            assert_eq!(within(runner.sweep()).await, 0);
        }
        assert!(lives(said.stdout()));
    });
}

#[test]
fn a_dropped_job_leaves_nothing() {
    on_each_runtime(async |server| {
        let statement = "sleep 1000 & echo $$ $!; trap '' TERM INT HUP; sleep 1000; sleep 1000";
        let (run, mut job) = server.job(&server.runner, JobSlot::Foreground, statement);
        let started = {
            let until = pin!(job.until("\n"));
            let futures::future::Either::Right((started, run)) = select(run, until).await else {
                panic!("it ended");
            };
            drop(run);
            started
        };
        // The dropped job is not waited for: its group was sent SIGKILL, and the shell is reaped.
        for process in started.split(' ') {
            within(gone(process)).await;
        }
        assert_eq!(states(server), 0);
    });
}

#[test]
fn a_job_ends_with_the_engine() {
    on_each_runtime(async |server| {
        let (run, job) = server.job(&server.runner, JobSlot::Foreground, "yes");
        drop(job);
        assert_eq!(within(run).await.status, 137);
    });
}

#[test]
fn no_zombie_is_left() {
    on_each_runtime(async |server| {
        let said = server.run("echo $$").await;
        let process = format!("/proc/{}", said.stdout().trim());
        assert!(!std::path::Path::new(&process).exists());
    });
}

#[test]
fn a_runner_that_could_not_work_is_not_made() {
    let open = |change: fn(&mut ShellSettings)| {
        let directory = tempfile::tempdir().unwrap();
        let mut settings = ShellSettings::new(directory.path().join("a/b"), "mark");
        change(&mut settings);
        super::ShellRunner::new(settings, std::sync::Arc::new(crate::SmolRuntime))
            .map(drop)
            .map_err(|error| error.to_string())
    };
    assert_eq!(open(|_| {}), Ok(()));
    assert!(open(|it| it.mark.clear()).unwrap_err().contains("mark"));
    assert!(
        open(|it| it.mark = "a\0b".into())
            .unwrap_err()
            .contains("mark")
    );
    assert!(
        open(|it| it.shell = "no such shell".into())
            .unwrap_err()
            .contains("no such shell")
    );
    assert!(
        open(|it| it.start = "/dev/null".into())
            .unwrap_err()
            .contains("/dev/null")
    );
    assert!(
        open(|it| it.directory = "/dev/null".into())
            .unwrap_err()
            .contains("/dev/null")
    );
}

fn quick(settings: &mut ShellSettings) {
    settings.grace = Duration::from_millis(20);
}

fn states(server: &Server) -> usize {
    std::fs::read_dir(&server.settings.directory)
        .unwrap()
        .count()
}

/// Whether a process lives. A zombie does not.
fn lives(process: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", process.trim()));
    let stat = stat.unwrap_or_default();
    let state = stat.rsplit_once(") ").map(|(_, rest)| &rest[..1]);
    state.is_some_and(|state| state != "Z" && state != "X")
}

async fn gone(process: &str) {
    while lives(process) {
        smol::future::yield_now().await;
    }
}

/// Leaves the group and keeps the output open.
const ESCAPE: &str = "setsid sh -c 'echo $$; exec sleep 1000' & exit 0";

/// Leaves the group and closes the output.
const DAEMON: &str = "setsid sh -c 'echo $$; exec sleep 1000 >/dev/null 2>&1' & wait_for=$!; true";
