//! Private jobs, which only their submitter sees.

use crate::support::{Server, kinds};
use rejoin_engine::{JobMode, JobSlot, NewJob, Visibility};
use serde_json::json;

fn submit(server: &Server, statement: &str, slot: JobSlot) -> u64 {
    let mode = JobMode {
        slot,
        visibility: Visibility::Submitter,
    };
    let new = NewJob {
        input: true,
        ..NewJob::new(server.session(), statement, mode)
    };
    smol::block_on(server.engine.submit_job(new)).unwrap().job.0
}

#[test]
fn a_private_background_job_is_not_described_to_viewers() {
    let server = Server::with_sessions(1);
    let job = submit(&server, "hold", JobSlot::Background);
    let id = rejoin_engine::JobId(job);
    let (engine, session) = (&server.engine, server.session());
    smol::block_on(async {
        let secret = (*b"secret").into();
        engine.write_input(session, id, secret, true).await.unwrap();
        engine.interrupt_job(session, Some(id)).await.unwrap();
    });
    let events = server.events(6);
    // Submitted, started, input, interrupted, finished: five events without details.
    let mut expected = vec!["private"; 6];
    expected[0] = "session-created";
    assert_eq!(kinds(&events), expected);
    for event in &events[1..] {
        let members: Vec<_> = event.as_object().unwrap().keys().collect();
        assert_eq!(members, ["at", "sequence", "type"]);
    }
}

#[test]
fn a_private_job_is_not_found() {
    let server = Server::with_sessions(1);
    let job = submit(&server, "hold", JobSlot::Background);
    let path = format!("/sessions/1/jobs/{job}");
    let not_found = (404, "job_not_found".to_owned());
    assert_eq!(server.fault("GET", &path, b""), not_found);
    for (method, path) in [("input", b"x".as_slice()), ("interrupt", b"")] {
        let asked = format!("/sessions/1/jobs/{job}/{method}");
        assert_eq!(server.fault("POST", &asked, path), not_found, "{asked}");
    }
    let session = server.get("/sessions/1");
    assert_eq!(
        (&session["jobs"], &session["currentJob"]),
        (&json!([]), &json!(null))
    );
    assert_eq!(server.get("/sessions/1/jobs")["jobs"], json!([]));
    let after = session["lastSequence"].as_u64().unwrap();
    let path = format!("/sessions/1/events?after={after}");
    assert_eq!(
        server.get(&path)["events"],
        json!([]),
        "it was not interrupted"
    );
}

#[test]
fn a_private_foreground_job_is_shown_without_its_results() {
    let server = Server::with_sessions(1);
    let job = submit(&server, "say 1", JobSlot::Foreground);
    let events = server.events_to("job-finished");
    let expected = [
        "session-created",
        "job-submitted",
        "job-started",
        "private",
        "job-finished",
    ];
    assert_eq!(kinds(&events), expected);
    assert_eq!(events[1]["job"], job);
    assert!(!json!(events).to_string().contains("content"));
}
