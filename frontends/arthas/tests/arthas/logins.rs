//! Logins in the ways of this API's clients, and the permissions of each role.

use crate::support::{Server, member};
use rejoin_accounts::Role;
use rejoin_accounts::testing::TestAccounts;
use rejoin_http::test_client::Received;

const VIEWER: &str = "Basic dmljOnZpYy1wdw==";
const OPERATOR: &str = "Basic b2xnYTpvbGdhLXB3";
const OTHER: &str = "Basic Ym9iOmJvYi1wdw==";
const ADMIN: &str = "Basic YWRhOmFkYS1wdw==";

struct World {
    server: Server,
    _accounts: TestAccounts,
}

impl World {
    /// An account for each role, and a second operator.
    fn new() -> Self {
        let accounts = TestAccounts::new(&[
            ("vic", Role::Viewer),
            ("olga", Role::Operator),
            ("bob", Role::Operator),
            ("ada", Role::Admin),
            ("arthas", Role::Viewer),
        ]);
        let server = Server::with(|setup| setup.accounts = accounts.accounts().clone());
        Self {
            server,
            _accounts: accounts,
        }
    }

    fn ask(&self, path: &str, headers: &[(&str, &str)], body: &str) -> Received {
        let mut client = self.server.client();
        client
            .request("POST", path, headers, body.as_bytes())
            .unwrap()
    }

    /// The response to an action in a session.
    fn act(&self, authorization: &str, action: &str, session: &str, more: &str) -> String {
        let body = format!(r#"{{"action":"{action}","sessionId":"{session}"{more}}}"#);
        let received = self.ask("/api", &[("authorization", authorization)], &body);
        assert_eq!(received.status, 200, "{body}");
        received.text().into()
    }

    fn session(&self, authorization: &str) -> String {
        let created = self.act(authorization, "init_session", "", r#","userId":"ada""#);
        member(&created, "sessionId")
    }

    fn user(&self, session: &str) -> Option<String> {
        let view = self.server.engine.session_view(session.parse().unwrap());
        view.unwrap().user.as_deref().map(Into::into)
    }
}

fn assert_refused(received: &Received) {
    assert_eq!(received.status, 401);
    let realm = Some(r#"Basic realm="arthas webconsole""#);
    assert_eq!(received.header("www-authenticate"), realm);
    assert_eq!(received.header("content-type"), Some("text/plain"));
    assert_eq!(received.header("content-length"), Some("0"));
    assert_eq!(received.header("connection"), Some("close"));
    assert_eq!(received.header("set-cookie"), None);
    assert_eq!(received.text(), "");
}

const VERSION: &str = r#"{"action":"exec","command":"version"}"#;
const JOIN: &str =
    r#"{"action":"join_session","sessionId":"00000000-0000-4000-8000-000000000000"}"#;

#[test]
fn who_is_not_let_in_gets_an_empty_401_also_from_this_machine() {
    let world = World::new();
    for headers in [
        &[][..],
        &[("authorization", "Basic YWRhOndyb25n")],
        &[("authorization", "Basic bm9ib2R5OmFkYS1wdw==")],
        &[("authorization", "Basic YWRh")],
        &[("authorization", "Basic ###")],
        &[("authorization", "Bearer abc")],
        &[("cookie", "asession=abc")],
    ] {
        assert_refused(&world.ask("/api", headers, VERSION));
    }
    for path in [
        "/api?password=",
        "/api?password=wrong&username=ada",
        "/api?username=ada",
        "/api?password=ada-pw",
        "/api?userId=ada",
    ] {
        assert_refused(&world.ask(path, &[], VERSION));
    }
    // Also if the request is wrong in another way.
    let mut client = world.server.client();
    assert_refused(&client.get("/api").unwrap());
}

#[test]
fn a_password_may_be_in_the_header_or_in_the_query_and_gives_a_cookie() {
    let world = World::new();
    for (path, headers) in [
        ("/api", &[("authorization", ADMIN)][..]),
        ("/api?password=ada-pw&username=ada", &[]),
        (
            "/api?username=ada&password=ada-pw",
            &[("cookie", "asession=stale")],
        ),
        (
            "/api?password=ada-pw&username=ada",
            &[("authorization", "Bearer of-a-proxy")],
        ),
    ] {
        let received = world.ask(path, headers, VERSION);
        assert_eq!(received.status, 200, "{path}");
        let set = received.header("set-cookie").unwrap();
        let (cookie, attributes) = set.split_once("; ").unwrap();
        assert_eq!(attributes, "Path=/; HttpOnly; SameSite=Strict");
        let token = cookie.strip_prefix("asession=").unwrap();
        assert!(token.len() == 32 && token.bytes().all(|it| it.is_ascii_alphanumeric()));
        let again = world.ask("/api", &[("cookie", cookie)], VERSION);
        assert_eq!((again.status, again.header("set-cookie")), (200, None));
        // The cookie takes precedence, as in the product.
        let wrong = ("authorization", "Basic YWRhOndyb25n");
        assert_eq!(
            world
                .ask("/api", &[("cookie", cookie), wrong], VERSION)
                .status,
            200
        );
    }
    // Without a name, it is the password of `arthas`.
    assert_eq!(world.ask("/api?password=arthas-pw", &[], JOIN).status, 200);
}

#[test]
fn each_role_may_what_the_table_says() {
    let world = World::new();
    let may_not = |role: &str, what: &str| {
        format!(
            r#"{{"message":"Error! command not permitted: the role {role} may not {what}","state":"REFUSED"}}"#
        )
    };
    let (run, create) = ("run commands", "create sessions");
    let say = r#","command":"say hello""#;
    for (action, more, what, least) in [
        ("init_session", "", create, Role::Operator),
        ("exec", say, run, Role::Operator),
        ("async_exec", say, run, Role::Operator),
        ("interrupt_job", "", "interrupt jobs", Role::Operator),
        ("join_session", "", "", Role::Viewer),
        ("pull_results", r#","consumerId":"x""#, "", Role::Viewer),
        ("session_info", "", "", Role::Viewer),
        ("close_session", "", "close that session", Role::Admin),
    ] {
        for (who, role) in [
            (VIEWER, Role::Viewer),
            (OTHER, Role::Operator),
            (ADMIN, Role::Admin),
        ] {
            // Olga's: anyone with the session's ID may use it.
            let session = world.session(OPERATOR);
            let answer = world.act(who, action, &session, more);
            if role >= least {
                assert!(
                    !answer.contains("not permitted"),
                    "{role} {action}: {answer}"
                );
            } else {
                assert_eq!(answer, may_not(role.as_str(), what), "{role} {action}");
            }
        }
    }
    let once = world.act(VIEWER, "exec", "", r#","command":"version""#);
    assert_eq!(once, may_not("viewer", run));
    let own = world.session(OPERATOR);
    let closed = world.act(OPERATOR, "close_session", &own, "");
    assert_eq!(closed, r#"{"state":"SUCCEEDED"}"#);
}

#[test]
fn a_session_is_its_creators_whatever_a_user_id_says() {
    let world = World::new();
    let session = world.session(OPERATOR);
    assert_eq!(world.user(&session).as_deref(), Some("olga"));
    world.act(OTHER, "session_info", &session, r#","userId":"bob""#);
    world.act(ADMIN, "join_session", &session, "");
    assert_eq!(world.user(&session).as_deref(), Some("olga"));
}
