//! Opening an engine: its state comes from its log, or it does not open.

use futures::StreamExt;
use rejoin_core::testing::{SESSION, created};
use rejoin_engine::testing::Hold;
use rejoin_engine::{
    Config, Engine, Event, Limits, Log, LogId, LogOptions, MemoryLog, Numbering, OpenError, Opened,
    Record, Sequence, Timestamp,
};
use rejoin_log::segment::OpenOptions;
use std::path::Path;
use std::sync::Arc;

const OPTIONS: LogOptions = LogOptions {
    durability: rejoin_engine::Durability::Flush,
    segment_bytes: 64 * 1024 * 1024,
    zero_ahead: false,
    ..LogOptions::DEFAULT
};

fn record(sequence: u64, event: Event) -> Record {
    Record {
        session: SESSION,
        sequence: Sequence(sequence),
        at: Timestamp::EPOCH,
        clock: Timestamp::EPOCH.into(),
        actor: None,
        redacted: None,
        event,
    }
}

/// A log without damage whose records no engine could have written: the session is never created.
fn write_invalid_log(directory: &Path) {
    let id = LogId::from_bytes([1; 16]);
    let (mut log, _) = OpenOptions::directory(directory.join("log"), id)
        .options(OPTIONS)
        .open_unfolded()
        .unwrap();
    log.append(&[Arc::new(record(1, Event::SessionResumed))])
        .unwrap();
    log.close().unwrap();
}

#[test]
fn a_log_whose_records_break_a_rule_is_refused_and_unchanged() {
    let directory = tempfile::tempdir().unwrap();
    write_invalid_log(directory.path());
    for _ in 0..2 {
        let opened = smol::block_on(
            Engine::builder(directory.path())
                .log_options(OPTIONS)
                .open(),
        );
        let Err(OpenError::Invalid(_)) = opened else {
            panic!("opened a log that no engine has written: {opened:?}");
        };
    }
}

#[test]
fn a_custom_log_is_refused_if_its_records_cannot_follow_each_other() {
    let opened = smol::block_on(
        Engine::on_log(|| {
            let log = Box::new(MemoryLog::new()) as Box<dyn Log>;
            let records = [record(2, created())];
            Ok(Opened::from_records(log, Limits::DEFAULT, records)?)
        })
        .open(),
    );
    let Err(OpenError::Invalid(_)) = opened else {
        panic!("opened: {opened:?}");
    };
}

#[test]
fn a_session_goes_on_in_the_next_engine_with_the_next_number() {
    let directory = tempfile::tempdir().unwrap();
    let open = || {
        let builder = Engine::builder(directory.path()).log_options(OPTIONS);
        builder.service("hold", Hold).open()
    };
    smol::block_on(async {
        let engine = open().await.unwrap();
        let session = engine.create_session("hold").await.unwrap();
        session.run("true").await.unwrap();
        engine.shut_down(std::time::Duration::from_secs(5)).await;

        let engine = open().await.unwrap();
        let again = engine.session(session.id()).unwrap();
        assert_eq!(again.number(), session.number());
        let other = engine.create_session("hold").await.unwrap();
        assert_eq!(other.number().0, session.number().0 + 1);

        again.close().await.unwrap();
        let events: Vec<_> = again.events_after(Sequence::START).collect().await;
        let sequences: Vec<_> = events
            .into_iter()
            .map(|event| event.unwrap().sequence.0)
            .collect();
        let expected: Vec<_> = (1..=sequences.len() as u64).collect();
        assert_eq!(sequences, expected, "every record once, in order");
    });
}

#[cfg(all(feature = "shell", unix))]
#[test]
fn the_program_that_the_documentation_begins_with_prints_what_the_command_prints() {
    use rejoin_engine::ShellRunner;

    let directory = tempfile::tempdir().unwrap();
    smol::block_on(async {
        let engine = Engine::builder(directory.path())
            .service("shell", ShellRunner::default())
            .open()
            .await
            .unwrap();
        let session = engine.create_session("shell").await.unwrap();
        session.run("echo hello").await.unwrap();
        let mut events = session.events_after(Sequence::START);
        let mut printed = String::new();
        while let Some(event) = events.next().await {
            match &event.unwrap().event {
                Event::ResultEmitted { result, .. } => printed += result,
                Event::JobFinished { .. } => break,
                _ => {}
            }
        }
        assert!(printed.contains(r#""content":"hello\n""#), "{printed}");
        engine.shut_down(std::time::Duration::from_secs(5)).await;
    });
}

#[test]
fn sessions_and_jobs_of_an_engine_say_which_of_several_logs_is_theirs() {
    smol::block_on(async {
        let numbering = Numbering::new(5, 16).unwrap();
        let config = Config {
            numbering,
            ..Config::default()
        };
        let engine = Engine::in_memory().service("shell", Hold).config(config);
        let engine = engine.open().await.unwrap();
        for number in [5, 21, 37] {
            let session = engine.create_session("shell").await.unwrap();
            assert_eq!(session.number().0, number);
            assert_eq!(session.run("true").await.unwrap().job.0, number);
            assert_eq!(numbering.log_of(session.id()), 5);
        }
    });
}
