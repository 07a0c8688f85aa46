//! The output of jobs arrives unchanged.

use super::{on_each_runtime, on_each_runtime_with};

#[test]
fn what_a_job_writes_is_reported_with_its_stream() {
    on_each_runtime(async |server| {
        let said = server.run("echo 'a \"b\"'; echo c >&2").await;
        let [stdout, stderr] = if said.results[0].contains("stdout") {
            [0, 1]
        } else {
            [1, 0]
        };
        assert_eq!(
            *said.results[stdout],
            *r#"{"content":"a \"b\"\n","jobId":1,"stream":"stdout","type":"shell"}"#
        );
        assert_eq!(
            *said.results[stderr],
            *r#"{"content":"c\n","jobId":1,"stream":"stderr","type":"shell"}"#
        );
        said.assert_exit(0, None);
    });
}

#[test]
fn binary_output_arrives_byte_for_byte_in_few_results() {
    on_each_runtime(async |server| {
        let bytes = noise(1 << 20);
        std::fs::write(server.home().join("noise"), &bytes).unwrap();
        let said = server.run("cat noise; cat noise >&2").await;
        assert_eq!((said.stdout == bytes, said.stderr == bytes), (true, true));
        // At most two results for each read, and a pipe gives at least a page.
        assert!(said.results.len() < 1024, "{}", said.results.len());
    });
}

#[test]
fn a_text_that_is_not_all_utf8_stays_text_up_to_that_line() {
    on_each_runtime(async |server| {
        std::fs::write(
            server.home().join("mixed"),
            b"one\ntwo\nthr\xe9\xe9\nfour\n",
        )
        .unwrap();
        let said = server.run("cat mixed").await;
        assert_eq!(said.stdout, b"one\ntwo\nthr\xe9\xe9\nfour\n");
        assert!(said.results[0].contains(r#""content":"one\ntwo\n""#));
        assert!(said.results[1].contains("contentBase64"));
    });
}

#[test]
fn a_character_written_in_pieces_arrives_whole() {
    on_each_runtime(async |server| {
        let mut job = server.start(
            r"mkfifo go; for byte in 360 237 230 200; do printf \\$byte; done
              printf '\303'; echo said >&2; read line <go; printf '\251.'",
        );
        while !job.said.stderr.ends_with(b"said\n") {
            assert!(super::within(job.read()).await);
        }
        std::fs::write(server.home().join("go"), "\n").unwrap();
        let said = job.end().await;
        assert_eq!(said.stdout(), "😀é.");
        assert!(!said.results.iter().any(|result| result.contains("Base64")));
    });
}

#[test]
fn half_a_character_at_the_end_is_not_lost() {
    on_each_runtime(async |server| {
        let said = server.run(r"printf 'a\342\202'").await;
        assert_eq!(said.stdout, b"a\xe2\x82");
    });
}

#[test]
fn a_long_output_arrives_in_order_and_in_large_pieces() {
    on_each_runtime(async |server| {
        let expected: String = (1..=200_000).map(|number| format!("{number}\n")).collect();
        let said = server.run("seq 1 200000").await;
        assert!(said.stdout() == expected);
        assert!(said.results.len() < 400, "{}", said.results.len());
    });
}

#[test]
fn a_burst_of_lines_becomes_few_results() {
    on_each_runtime(async |server| {
        let said = server
            .run("i=0; while [ $i -lt 20000 ]; do echo $i; i=$((i+1)); done")
            .await;
        assert_eq!(said.stdout().lines().count(), 20_000);
        assert!(said.results.len() < 1000, "{}", said.results.len());
    });
}

#[test]
fn the_first_line_does_not_wait_for_the_second() {
    on_each_runtime(async |server| {
        let mut job = server.start("mkfifo go; echo first; read line <go; echo second");
        assert_eq!(job.until("first\n").await, "first");
        std::fs::write(server.home().join("go"), "\n").unwrap();
        assert_eq!(job.end().await.stdout(), "first\nsecond\n");
    });
}

#[test]
fn a_job_waits_for_a_reader_that_is_behind() {
    on_each_runtime(async |server| {
        // The channel takes four reports. None is received before the file is checked.
        let mut job = server.start("yes | head -c 1000000; echo written >done");
        assert!(super::within(job.read()).await);
        assert!(!server.home().join("done").exists());
        let said = job.end().await;
        assert_eq!(said.stdout.len(), 1_000_000);
    });
}

#[test]
fn standard_input_is_empty() {
    on_each_runtime(async |server| {
        let said = server.run("cat; read line; echo $?").await;
        assert_eq!(said.stdout(), "1\n");
    });
}

#[test]
fn the_status_is_the_exit_code() {
    on_each_runtime(async |server| {
        server.run("true").await.assert_exit(0, None);
        server.run("false").await.assert_exit(1, None);
        server.run("exit 77").await.assert_exit(77, None);
        server
            .run("set -e; (exit 5); exit 6")
            .await
            .assert_exit(5, None);
        server.run("").await.assert_exit(0, None);
        server.run("# nothing").await.assert_exit(0, None);
        server
            .run_in_background("exit 78")
            .await
            .assert_exit(78, None);
    });
}

#[test]
fn a_shell_that_ends_by_a_signal_says_which() {
    on_each_runtime(async |server| {
        let said = server.run("kill -TERM $$").await;
        said.assert_exit(143, Some("ended by signal 15 (SIGTERM)"));
        let said = server.run_in_background("kill -KILL $$").await;
        said.assert_exit(137, Some("ended by signal 9 (SIGKILL)"));
        // A child of the shell was ended, which the exit code shows.
        server
            .run("sh -c 'kill -HUP $$'")
            .await
            .assert_exit(129, None);
    });
}

#[test]
fn errors_are_the_shells_own_with_the_statements_lines() {
    on_each_runtime(async |server| {
        let said = server.run("if").await;
        assert_eq!(said.exit.status, 2);
        assert!(said.stderr().starts_with("sh: "), "{}", said.stderr());
        let said = server.run("echo a\n\nnosuchprogram").await;
        said.assert_exit(127, None);
        assert!(said.stderr().contains('3'), "{}", said.stderr());
        let said = server.run("set -x; set -u; : a; echo $0 $#").await;
        assert_eq!(said.stdout(), "sh 0\n");
        assert_eq!(said.stderr().lines().count(), 3, "{}", said.stderr());
    });
}

#[test]
fn a_shell_that_cannot_be_started_says_why() {
    let shell = tempfile::NamedTempFile::new().unwrap();
    on_each_runtime_with(
        |settings| settings.shell = shell.path().into(),
        async |server| {
            let said = server.run("true").await;
            let path = shell.path().display();
            let message = format!("could not start {path}: Permission denied (os error 13)");
            said.assert_exit(126, Some(&message));
        },
    );
    let gone = tempfile::tempdir().unwrap();
    on_each_runtime_with(
        |settings| {
            settings.shell = gone.path().join("shell");
            std::fs::write(&settings.shell, "").unwrap();
        },
        async |server| {
            std::fs::remove_file(gone.path().join("shell")).unwrap();
            let said = server.run("true").await;
            assert_eq!(said.exit.status, 127);
            assert!(said.exit.message.unwrap().contains("No such file"));
        },
    );
}

#[test]
fn a_statement_that_no_program_can_be_given_fails() {
    on_each_runtime(async |server| {
        let said = server.run("echo \0").await;
        assert_eq!(said.exit.status, 126);
        let said = server.run(&format!(": {}", "x".repeat(1 << 18))).await;
        assert_eq!(said.exit.status, 126);
        assert!(said.exit.message.unwrap().contains("too long"));
    });
}

/// Bytes without a pattern, the same in each run.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut bytes = Vec::with_capacity(length);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend(state.to_le_bytes());
    }
    bytes
}
