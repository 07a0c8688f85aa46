//! Standard input of running jobs.

use crate::support::Server;
use serde_json::json;

#[test]
fn input_arrives_unchanged_and_in_order_and_every_viewer_sees_it() {
    let server = Server::with_sessions(1);
    server.run("read", json!({"input": true}));
    let bytes: [&[u8]; 3] = ["täxt\n".as_bytes(), &[0, 255, 128], b""];
    for (written, end) in bytes.into_iter().zip([false, false, true]) {
        let path = format!("/sessions/1/jobs/1/input?end={end}");
        let answer = server.request("POST", &path, written);
        assert_eq!(
            (answer.status, answer.body.len()),
            (204, 0),
            "{}",
            answer.text()
        );
    }
    let late = server.fault("POST", "/sessions/1/jobs/1/input", b"late");
    assert!(matches!(late.0, 404 | 409), "{late:?}");
    let events = server.events_to("job-finished");
    let of = |kind| events.iter().filter(move |event| event["type"] == kind);
    let inputs: Vec<_> = of("input").collect();
    assert_eq!(inputs[0]["content"], "täxt\n");
    assert_eq!(inputs[1]["contentBase64"], "AP+A");
    assert_eq!(inputs[1].get("content"), None);
    assert_eq!(
        (&inputs[2]["content"], &inputs[2]["end"]),
        (&json!(""), &json!(true))
    );
    let read: Vec<_> = of("result")
        .map(|event| event["result"]["content"].clone())
        .collect();
    assert_eq!(read, [json!(bytes[0]), json!(bytes[1])]);
}

#[test]
fn a_job_that_reads_nothing_blocks_no_other_and_buffers_a_bounded_input() {
    let server = Server::with_sessions(2);
    server.run("deaf", json!({"input": true}));
    let piece = vec![b'x'; 64 * 1024];
    let path = "/sessions/1/jobs/1/input";
    let mut taken = 0;
    let refused = loop {
        let written = server.request("POST", path, &piece);
        match written.status {
            204 => taken += 1,
            _ => break written,
        }
        assert!(taken <= 16, "more than one MiB is buffered");
    };
    assert_eq!(refused.status, 429);
    assert_eq!(taken, 16);
    assert_eq!(server.fault("POST", path, b"x"), (429, "input_full".into()));
    // Other requests are served, and the job's output goes on.
    server.post("/sessions/2/jobs", &json!({"statement": "true"}));
    let so_far = server.get("/sessions/1")["lastSequence"].as_u64().unwrap();
    let more = server.get(&format!("/sessions/1/events?after={so_far}&wait=10000"));
    assert_eq!(more["events"][0]["type"], "result");
    // Closing the input needs no room, and an interrupt ends the job.
    let end = server.request("POST", "/sessions/1/jobs/1/input?end=true", b"");
    assert_eq!(end.status, 204);
    server.post("/sessions/1/interrupt", &json!({}));
    let events = server.events_to("job-finished");
    assert_eq!(events.last().unwrap()["outcome"], "interrupted");
}

#[test]
fn an_input_that_is_too_long_is_refused_and_not_logged() {
    let server = Server::with_sessions(1);
    server.run("read", json!({"input": true}));
    let long = vec![b'x'; 64 * 1024 + 1];
    let refused = server.fault("POST", "/sessions/1/jobs/1/input", &long);
    assert_eq!(refused, (413, "too_long".into()));
    server.request("POST", "/sessions/1/jobs/1/input?end=true", b"");
    let events = server.events_to("job-finished");
    let inputs = events.iter().filter(|event| event["type"] == "input");
    assert_eq!(inputs.count(), 1);
}
