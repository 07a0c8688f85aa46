//! Lists, their filters and their pages.

use crate::support::Server;
use rejoin_core::limits::REMEMBERED_SESSIONS;
use serde_json::json;

/// The session numbers of a page, and the `next` page.
fn page(server: &Server, query: &str) -> (Vec<u64>, Option<u64>) {
    let listed = server.get(&format!("/sessions?{query}"));
    let sessions = listed["sessions"].as_array().unwrap().iter();
    let numbers = sessions.map(|it| it["number"].as_u64().unwrap()).collect();
    (numbers, listed["next"].as_u64())
}

#[test]
fn without_sessions_the_list_is_empty() {
    let server = Server::start();
    assert_eq!(
        server.get("/sessions"),
        json!({"next": null, "sessions": []})
    );
}

#[test]
fn the_newest_sessions_come_first_among_them_ended_ones() {
    let server = Server::with_sessions(7);
    for ended in [2, 5] {
        let path = format!("/sessions/{ended}");
        assert_eq!(server.request("DELETE", &path, b"").status, 204);
    }
    assert_eq!(page(&server, ""), (vec![7, 6, 5, 4, 3, 2, 1], None));
    assert_eq!(page(&server, "limit=3"), (vec![7, 6, 5], Some(5)));
    assert_eq!(page(&server, "limit=3&before=5"), (vec![4, 3, 2], Some(2)));
    assert_eq!(page(&server, "limit=3&before=2"), (vec![1], None));
    assert_eq!(page(&server, "before=1"), (vec![], None));
    assert_eq!(page(&server, "before=0"), (vec![], None));
    // There is no page after one that is exactly full.
    assert_eq!(page(&server, "limit=7").1, None);
    // At least one, so that paging makes progress.
    assert_eq!(page(&server, "limit=0"), (vec![7], Some(7)));
    assert_eq!(page(&server, "limit=18446744073709551615").0.len(), 7);
}

#[test]
fn filters_select_open_and_ended_sessions() {
    let server = Server::with_sessions(8);
    server.post("/sessions/3/jobs", &json!({"statement": "hold"}));
    server.post("/sessions/6/jobs", &json!({"statement": "hold"}));
    for ended in [1, 2] {
        server.request("DELETE", &format!("/sessions/{ended}"), b"");
    }
    for (query, expected) in [
        ("user=ada", vec![7, 5, 3, 1]),
        ("user=bob", vec![8, 6, 4, 2]),
        ("user=nobody", vec![]),
        ("service=sql", vec![8, 6, 4, 2]),
        ("service=sql&user=ada", vec![]),
        ("state=running", vec![6, 3]),
        ("state=idle", vec![8, 7, 5, 4]),
        ("state=ended", vec![2, 1]),
        ("state=running&user=ada", vec![3]),
        ("state=ended&service=shell", vec![1]),
        ("state=idle&user=bob&before=8", vec![4]),
        ("user=ada&limit=2", vec![7, 5]),
        ("user=ada&limit=2&before=5", vec![3, 1]),
    ] {
        assert_eq!(page(&server, query).0, expected, "{query}");
    }
    assert_eq!(page(&server, "user=ada&limit=2").1, Some(5));
    for session in server.get("/sessions")["sessions"].as_array().unwrap() {
        let number = session["number"].as_u64().unwrap();
        let state = match number {
            1 | 2 => "ended",
            3 | 6 => "running",
            _ => "idle",
        };
        assert_eq!(session["state"], state);
        assert_eq!(session["closed"].is_null(), state != "ended");
        assert_eq!(
            session["currentJob"]["statement"] == "hold",
            state == "running"
        );
    }
}

#[test]
fn every_session_is_on_one_page_however_pages_are_cut() {
    let server = Server::with_sessions(23);
    for number in (1..=23).step_by(3) {
        server.request("DELETE", &format!("/sessions/{number}"), b"");
    }
    for limit in 1..=24 {
        let mut seen = vec![];
        let mut before = u64::MAX;
        loop {
            let (numbers, next) = page(&server, &format!("limit={limit}&before={before}"));
            seen.extend(numbers);
            match next {
                Some(next) => before = next,
                None => break,
            }
        }
        assert_eq!(
            seen,
            (1..=23).rev().collect::<Vec<_>>(),
            "{limit} to a page"
        );
    }
}

#[test]
fn the_last_ended_ones_are_listed_and_those_before_can_still_be_read() {
    let server = Server::start();
    let many = REMEMBERED_SESSIONS as u64 + 1;
    let create = || rejoin_engine::NewSession::default();
    let first = smol::block_on(async {
        let mut first = None;
        for _ in 0..many {
            let session = server.engine.create_session(create()).await.unwrap().id();
            server.engine.close_session(session).await.unwrap();
            first.get_or_insert(session);
        }
        first.unwrap()
    });
    let (listed, next) = page(&server, "state=ended&limit=1000");
    assert_eq!((listed.len(), next), (REMEMBERED_SESSIONS, None));
    assert_eq!((listed[0], listed[999]), (many, 2));
    assert_eq!(server.fault("GET", "/sessions/1", b"").0, 404);
    // By its UUID, a page at a time; only the last page says that it is the end.
    let read = |after, limit| {
        server.get(&format!(
            "/sessions/{first}/events?after={after}&limit={limit}"
        ))
    };
    let (begin, end) = (read(0, 1), read(1, 1));
    assert_eq!(begin["events"][0]["type"], "session-created");
    assert_eq!(begin["ended"], false);
    assert_eq!(end["events"][0]["type"], "session-closed");
    assert_eq!(end["ended"], true);
    assert_eq!(read(2, 1), json!({"after": 2, "ended": true, "events": []}));
    let stream = server.request("GET", &format!("/sessions/{first}/stream"), b"");
    assert!(
        stream
            .text()
            .ends_with("event: end\ndata: {\"after\":2}\n\n")
    );
}

#[test]
fn a_query_finds_what_the_filters_leave_a_page_at_a_time() {
    let server = Server::with_sessions(9);
    server.post("/sessions/3/jobs", &json!({"statement": "hold"}));
    server.request("DELETE", "/sessions/5", b"");
    assert_eq!(page(&server, "q=ada").0, [9, 7, 5, 3, 1]);
    assert_eq!(page(&server, "q=ada&limit=2"), (vec![9, 7], Some(7)));
    assert_eq!(
        page(&server, "q=ada&limit=2&before=7"),
        (vec![5, 3], Some(3))
    );
    assert_eq!(page(&server, "q=ada&limit=2&before=3"), (vec![1], None));
    assert_eq!(page(&server, "q=ada&state=ended").0, [5]);
    assert_eq!(page(&server, "q=ada&state=idle").0, [9, 7, 1]);
    assert_eq!(page(&server, "q=hold&user=ada&service=shell").0, [3]);
    assert_eq!(page(&server, "q=hold&user=bob").0, [] as [u64; 0]);
    // Without words, it is the list.
    assert_eq!(page(&server, "q=+&limit=1"), (vec![9], Some(9)));
    let (status, code) = server.fault("GET", "/sessions?q=result:bad", b"");
    assert_eq!((status, &*code), (400, "request_invalid"));
}

#[test]
fn what_a_search_of_output_cannot_take_is_refused() {
    let server = Server::with_sessions(1);
    for query in [
        "",
        "q=",
        "q=a%0Ab",
        "q=a&after=x",
        "q=a&stream=x",
        "q=(&regex=true",
        "q=a&job=x",
    ] {
        let (status, code) = server.fault("GET", &format!("/sessions/1/search?{query}"), b"");
        assert_eq!((status, &*code), (400, "request_invalid"), "{query}");
    }
    let (status, code) = server.fault("GET", "/sessions/2/search?q=a", b"");
    assert_eq!((status, &*code), (404, "session_not_found"));
    let beyond = server.request("GET", "/sessions/1/search?q=a&after=99", b"");
    assert_eq!(beyond.status, 409, "{}", beyond.text());
}
