//! The directory and the environment carry over from job to job.

use super::{SESSION, SLEEP, Server, on_each_runtime};
use rejoin_core::InterruptCause;
use rejoin_core::JobSlot;

#[test]
fn the_directory_and_the_environment_carry() {
    on_each_runtime(async |server| {
        server
            .run("mkdir -p 'a b'; cd 'a b'; export A=1 B=2; C=3")
            .await;
        let said = server.run("pwd; echo $A $B $C; unset A").await;
        let home = server.home().display();
        assert_eq!(said.stdout(), format!("{home}/a b\n1 2\n"));
        let said = server.run("echo ${A-unset} $B; cd - >/dev/null; pwd").await;
        assert_eq!(said.stdout(), format!("unset 2\n{home}\n"));
        assert_eq!(server.run("pwd").await.stdout(), format!("{home}\n"));
    });
}

#[test]
fn they_carry_whatever_ends_the_statement() {
    on_each_runtime(async |server| {
        for (number, end) in [
            "exit 3",
            "false",
            "set -e; false; true",
            "set -u; $nosuch",
            "set -C; exit 0",
            "nosuchprogram",
            "\nif",
            "exec >&- 2>&-",
            "PATH=/nowhere; export PATH",
            "env() { exit 9; }; command() { exit 9; }",
            "unset PATH HOME; IFS=/",
        ]
        .iter()
        .enumerate()
        {
            server.run(&format!("export LAST={number}; {end}")).await;
            let said = server.run("echo $LAST").await;
            assert_eq!(said.stdout(), format!("{number}\n"), "{end}");
        }
    });
}

#[test]
fn they_carry_when_the_statement_is_interrupted() {
    on_each_runtime(async |server| {
        let mut job = server.start(&format!("mkdir x; cd x; export A=1; {SLEEP}; echo no"));
        job.until("ready\n").await;
        job.interrupt(InterruptCause::Requested);
        let said = job.end().await;
        said.assert_exit(130, Some("ended by signal 2 (SIGINT)"));
        assert_eq!(said.stdout(), "ready\n");
        let home = server.home().display();
        let said = server.run("pwd; echo $A").await;
        assert_eq!(said.stdout(), format!("{home}/x\n1\n"));
    });
}

#[test]
fn values_of_any_kind_carry() {
    on_each_runtime(async |server| {
        let said = server
            .run("export V=\"one\ntwo=2 'q' \\\"d\\\" \\\\ \t$(printf '\\303\\251\\377')\n\nX=Y\" E=; printf %s \"$V\"")
            .await;
        let expected = said.stdout;
        assert!(expected.starts_with(b"one\ntwo=2 'q' \"d\" \\ \t\xc3\xa9\xff\n\nX=Y"));
        for _ in 0..2 {
            let said = server.run("printf %s \"$V\"").await;
            assert_eq!(said.stdout, expected);
        }
        let said = server.run("echo ${E-unset}${E:-empty} ${X-unset}").await;
        assert_eq!(said.stdout(), "empty unset\n");
    });
}

#[test]
fn a_job_knows_where_it_belongs_and_passes_nothing_of_it_on() {
    on_each_runtime(async |server| {
        let said = server
            .run("echo $REJOIN_MARK $REJOIN_SESSION $REJOIN_JOB; export REJOIN_X=1 REJOIN_JOB=9")
            .await;
        let mark = &server.settings.mark;
        assert_eq!(said.stdout(), format!("{mark} {SESSION} 1\n"));
        let said = server.run("env | grep REJOIN_ | sort").await;
        assert_eq!(
            said.stdout(),
            format!("REJOIN_JOB=2\nREJOIN_MARK={mark}\nREJOIN_SESSION={SESSION}\n")
        );
    });
}

#[test]
fn a_background_job_sees_the_session_and_changes_nothing() {
    on_each_runtime(async |server| {
        server.run("export A=1; mkdir d; cd d").await;
        let said = server
            .run_in_background("echo $A; cd /; export A=2; trap")
            .await;
        assert_eq!(said.stdout(), "1\n");
        let home = server.home().display();
        let said = server.run("pwd; echo $A").await;
        assert_eq!(said.stdout(), format!("{home}/d\n1\n"));
    });
}

#[test]
fn they_survive_the_server() {
    on_each_runtime(async |server| {
        server.run("export A=1; cd /").await;
        let reopened = server.reopened();
        super::within(reopened.sweep()).await;
        let said = run_on(server, &reopened, "pwd; echo $A").await;
        assert_eq!(said, "/\n1\n");
    });
}

#[test]
fn a_damaged_file_means_the_start() {
    on_each_runtime(async |server| {
        server.run("export A=1; cd /").await;
        let file = server.settings.directory.join(SESSION.to_string());
        let whole = std::fs::read(&file).unwrap();
        let home = server.home().display().to_string();
        for damaged in [&whole[..whole.len() - 1], &whole[..1], b"", &[0; 100]] {
            std::fs::write(&file, damaged).unwrap();
            let said = server.run_in_background("pwd; echo ${A-unset}").await;
            assert_eq!(said.stdout(), format!("{home}\nunset\n"));
        }
    });
}

#[test]
fn a_directory_that_is_gone_is_said_to_be() {
    on_each_runtime(async |server| {
        server.run("mkdir d; cd d; rmdir ../d").await;
        let said = server.run("pwd").await;
        let home = server.home().display();
        assert_eq!(said.stdout(), format!("{home}\n"));
        assert_eq!(
            said.stderr(),
            format!(
                "rejoin: cannot go on in {home}/d: No such file or directory (os error 2); \
                 this job starts in {home}\n"
            )
        );
        assert_eq!(server.run("pwd").await.stderr(), "");
    });
}

#[test]
fn an_environment_that_is_too_large_to_keep_is_said_to_be() {
    on_each_runtime(async |server| {
        server.run("export A=1").await;
        let said = server
            .run("export B=$(head -c 200000 /dev/zero | tr '\\0' x); echo ${#B}")
            .await;
        assert_eq!(said.stdout(), "200000\n");
        let message = "its directory and environment do not carry over: \
                       they could not be written down; the environment may be larger than a \
                       program can be started with";
        said.assert_exit(0, Some(message));
        assert_eq!(server.run("echo $A ${B-unset}").await.stdout(), "1 unset\n");
    });
}

#[test]
fn a_link_keeps_its_name() {
    on_each_runtime(async |server| {
        server.run("mkdir d; ln -s d link; cd link").await;
        let home = server.home().display();
        let said = server.run("pwd; cd ..; pwd").await;
        assert_eq!(said.stdout(), format!("{home}/link\n{home}\n"));
    });
}

#[test]
fn what_is_kept_is_closed_to_others() {
    use std::os::unix::fs::PermissionsExt;

    on_each_runtime(async |server| {
        server.run("umask 0; export SECRET=1").await;
        let directory = &server.settings.directory;
        let modes = [directory.clone(), directory.join(SESSION.to_string())]
            .map(|path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777);
        assert_eq!(modes, [0o700, 0o600]);
    });
}

async fn run_on(server: &Server, runner: &super::ShellRunner, statement: &str) -> String {
    let (run, mut job) = server.job(runner, JobSlot::Foreground, statement);
    let (sender, exit) = async_channel::bounded(1);
    job.exit = Some(exit);
    server.runtime.spawn(Box::pin(async move {
        sender.try_send(run.await).ok();
    }));
    job.end().await.stdout().into()
}

#[test]
fn the_environment_of_a_closed_session_is_removed_at_the_next_start() {
    on_each_runtime(async |server| {
        server.run("export KEPT=yes").await.assert_exit(0, None);
        server.runner.retain(|session| session == SESSION);
        let kept = server.run("echo $KEPT").await;
        assert_eq!(kept.stdout(), "yes\n");
        server.runner.retain(|_| false);
        let forgotten = server.run("echo $KEPT").await;
        assert_eq!(forgotten.stdout(), "\n");
    });
}

#[test]
fn an_environment_that_no_program_could_be_started_with_is_refused() {
    on_each_runtime(async |server| {
        server.run("export A=1").await.assert_exit(0, None);
        // As the system allows for a program that has no long argument.
        let fill = "mkdir d; cd d; x=$(head -c 100000 /dev/zero | tr '\\0' x)
                    for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19; do export V$i=$x; done
                    export W=$(head -c 64000 /dev/zero | tr '\\0' x)";
        let said = server.run(fill).await;
        let message = said.exit.message.unwrap();
        assert!(
            message.starts_with("its environment does not carry over: it has 19"),
            "{message}"
        );
        let said = server.run("echo $A ${V1-unset}; pwd").await;
        said.assert_exit(0, None);
        let home = server.home().display();
        assert_eq!(said.stdout(), format!("1 unset\n{home}/d\n"));

        // An environment that was taken over under other limits.
        let file = server.settings.directory.join(SESSION.to_string());
        let mut large = format!("{home}\0").into_bytes();
        for name in 0..40 {
            large.extend(format!("V{name}={}\0", "x".repeat(130_000)).into_bytes());
        }
        large.push(0);
        std::fs::write(&file, large).unwrap();
        let said = server.run("echo ${V1-unset}").await;
        said.assert_exit(0, None);
        assert_eq!(said.stdout(), "unset\n");
        assert!(
            said.stderr()
                .starts_with("rejoin: the environment of this session is left out: it has 52"),
            "{}",
            said.stderr()
        );
    });
}

#[test]
fn a_statement_that_replaces_the_shell_or_its_trap_is_said_to_carry_nothing() {
    on_each_runtime(async |server| {
        let message = "its directory and environment do not carry over: it replaced the shell (exec) \
                       or the shell's exit trap";
        for statement in [
            "trap 'echo bye' EXIT; cd /usr",
            "cd /tmp; exec true",
            "export A=1;exec true",
        ] {
            server.run(statement).await.assert_exit(0, Some(message));
        }
        // Nothing that could carry over.
        server.run("exec true").await.assert_exit(0, None);
        let said = server.run("pwd; echo ${A-unset}").await;
        assert_eq!(
            said.stdout(),
            format!("{}\nunset\n", server.home().display())
        );
    });
}
