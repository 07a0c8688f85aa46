//! Promise 7, and what runners receive.

use crate::world::{FOREGROUND, World, config, is_finished, is_result};
use rejoin_core::{Event, InterruptCause, Outcome};
use rejoin_engine::{CommandError, Config, NewJob, NewSession, Projection};
use rejoin_log::MemoryLog;

pub(crate) async fn a_job_runs_and_finishes(world: World) {
    let (session, _) = world.create().await;
    let job = world.run(session).await;
    job.exit(3);
    let finished = world.wait_for(session, is_finished).await;
    let Event::JobFinished {
        outcome, status, ..
    } = finished.event
    else {
        unreachable!()
    };
    assert_eq!((outcome, status), (Outcome::Failed, 3));
    assert!(!world.engine.session_view(session).unwrap().is_busy());
}

pub(crate) async fn a_runner_that_panics_fails_its_job_and_nothing_else(world: World) {
    let (session, _) = world.create().await;
    drop(world.run(session).await);
    let finished = world.wait_for(session, is_finished).await;
    let Event::JobFinished {
        outcome,
        status,
        message,
        ..
    } = &finished.event
    else {
        unreachable!()
    };
    assert_eq!((*outcome, *status), (Outcome::Failed, 126));
    assert_eq!(
        message.as_deref(),
        Some("the job's runner failed; see the server's log")
    );
    world.run(session).await.exit(0);
}

pub(crate) async fn an_interrupt_reaches_the_runner_and_a_second_one_too(world: World) {
    let (session, _) = world.create().await;
    let puppet = world.run(session).await;
    for _ in 0..2 {
        let noted = world.engine.interrupt_job(session, None).await.unwrap();
        assert_eq!(noted.job, puppet.job.job);
        assert_eq!(
            puppet.job.interrupts.next().await,
            Some(InterruptCause::Requested)
        );
    }
    puppet.exit(130);
    let finished = world.wait_for(session, is_finished).await;
    let Event::JobFinished { outcome, .. } = finished.event else {
        unreachable!()
    };
    assert_eq!(outcome, Outcome::Interrupted);
}

pub(crate) async fn a_job_that_emits_too_much_is_interrupted_and_says_so(world: World) {
    let config = Config {
        output_limit: 100,
        ..config()
    };
    let replayed = Projection::new(config.limits);
    let world = World::with(&world.host, config, Box::new(MemoryLog::new()), replayed);
    let (session, _) = world.create().await;
    let puppet = world.run(session).await;
    puppet.emit("short").await;
    puppet.emit(&"long".repeat(100)).await;
    puppet.emit("too late").await;
    assert_eq!(
        puppet.job.interrupts.next().await,
        Some(InterruptCause::OutputLimit)
    );
    puppet.exit(0);
    let finished = world.wait_for(session, is_finished).await;
    let Event::JobFinished {
        outcome, message, ..
    } = &finished.event
    else {
        unreachable!()
    };
    assert_eq!(*outcome, Outcome::Failed);
    assert!(
        message.as_deref().unwrap().contains("may have 100 bytes"),
        "{message:?}"
    );
}

pub(crate) async fn a_service_that_does_not_exist_is_refused(world: World) {
    let new = NewSession {
        service: Some("sql".into()),
        ..NewSession::default()
    };
    let refused = world.engine.create_session(new).await;
    let Err(CommandError::NoSuchService(name)) = refused else {
        panic!("{refused:?}")
    };
    assert_eq!(&*name, "sql");
}

pub(crate) async fn statements_of_every_session_are_answered_by_the_engine(world: World) {
    let (session, _) = world.create().await;
    let puppet = world.run(session).await;
    let answer = async |statement: &str| {
        let mode = rejoin_core::JobMode {
            slot: rejoin_core::JobSlot::Background,
            ..FOREGROUND
        };
        let noted = world
            .engine
            .submit_job(NewJob::new(session, statement, mode))
            .await
            .unwrap();
        let found =
            |record: &rejoin_core::Record| is_result(record) && record.sequence > noted.sequence;
        let record = world.wait_for(session, found).await;
        let Event::ResultEmitted { result, .. } = &record.event else {
            unreachable!()
        };
        world
            .wait_for(session, |it| {
                is_finished(it) && it.sequence > record.sequence
            })
            .await;
        serde_json::from_str::<serde_json::Value>(result).unwrap()
    };
    let version = answer(" version ").await;
    assert_eq!(version["type"], "version");
    assert_eq!(version["version"], env!("CARGO_PKG_VERSION"));
    let shown = answer("session").await;
    assert_eq!(shown["sessionId"], session.to_string());
    assert_eq!(shown["javaPid"], shown["pid"]);
    assert_eq!(shown["tunnelConnected"], false);
    assert_eq!(shown.get("userId"), None);
    let jobs = answer("jobs").await;
    assert_eq!(jobs["jobs"][0]["statement"], "puppet");
    assert_eq!(jobs["jobs"][0]["state"], "running");
    puppet.exit(4);
    world
        .wait_for(session, |record| match record.event {
            Event::JobFinished { status, .. } => status == 4,
            _ => false,
        })
        .await;
    let history = answer("history").await;
    assert_eq!(history["history"][0], "puppet");
    assert_eq!(history["jobs"][0]["status"], 4);
    assert_eq!(history["jobs"][0]["state"], "failed");
    let help = answer("help").await;
    assert_eq!(help["commands"].as_array().unwrap().len(), 5);
    for command in help["commands"].as_array().unwrap() {
        assert_eq!(command["arguments"], serde_json::json!([]));
        assert_eq!(command["options"], serde_json::json!([]));
    }
    // A statement with more than the word goes to the service.
    world.submit(session, "history | tail").await;
    world.puppets.recv().await.unwrap().exit(0);
}

pub(crate) async fn closing_a_session_interrupts_its_job_and_releases_it(world: World) {
    let (session, _) = world.create().await;
    let puppet = world.run(session).await;
    world.engine.close_session(session).await.unwrap();
    assert_eq!(
        puppet.job.interrupts.next().await,
        Some(InterruptCause::SessionClosed)
    );
    assert_eq!(world.released.recv().await, Ok(session));
    // Its results are ignored from now on.
    puppet.emit("too late").await;
    puppet.exit(0);
    let view = world.engine.session_view(session).unwrap();
    assert!(view.closed.is_some() && !view.is_busy());
}
