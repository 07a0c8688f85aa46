//! Logins in the ways of this API's clients, and the sessions that each account sees.

use crate::Server;
use rejoin_accounts::Role;
use rejoin_accounts::testing::TestAccounts;
use rejoin_doris::Settings;
use rejoin_http::test_client::Received;

const ME: &str = "/rest/v1/ui/me";
const ADA: &str = "Basic YWRhOmFkYS1wdw==";
const ROOT: &str = "Basic cm9vdDpyb290LXB3";

struct World {
    server: Server,
    _accounts: TestAccounts,
}

impl World {
    /// Ada may list, root is the admin; each has a session.
    fn new() -> Self {
        let accounts = TestAccounts::new(&[("ada", Role::Viewer), ("root", Role::Admin)]);
        let server = Server::start_with(accounts.accounts().clone(), Settings::default());
        server.create(Some("root"), None);
        server.create(Some("ada"), None);
        Self {
            server,
            _accounts: accounts,
        }
    }

    fn ask(&self, method: &str, path: &str, header: Option<(&str, &str)>) -> Received {
        let mut client = self.server.http.client();
        let headers: Vec<_> = header.into_iter().collect();
        let received = client.request(method, path, &headers, b"").unwrap();
        let is_signed_out = path == ME && received.text().contains("UI_UNAUTHENTICATED");
        assert_eq!(received.status, if is_signed_out { 401 } else { 200 });
        assert_eq!(received.header("www-authenticate"), None);
        received
    }

    fn session(&self, authorization: &str) -> String {
        let header = Some(("authorization", authorization));
        self.ask("GET", "/rest/v1/session", header).text().into()
    }
}

fn unauthorized(reason: &str) -> String {
    format!(r#"{{"msg":"Unauthorized","code":401,"data":"{reason}","count":0}}"#)
}

#[test]
fn a_refused_login_says_why() {
    let world = World::new();
    let invalid = unauthorized("Cookie is invalid");
    let table = "/rest/v1/session";
    assert_eq!(world.ask("GET", table, None).text(), invalid);
    let stale = Some(("cookie", "PALO_SESSION_ID=stale"));
    assert_eq!(world.ask("GET", table, stale).text(), invalid);
    assert_eq!(
        world.session("Basic"),
        unauthorized("Need auth information.")
    );
    let denied = |user, using| {
        let reason = format!("Access denied for user '{user}@127.0.0.1' (using password: {using})");
        unauthorized(&reason)
    };
    assert_eq!(world.session("Basic YWRhOm5v"), denied("ada", "YES"));
    assert_eq!(world.session("Basic YWRhOg=="), denied("ada", "NO"));
    assert_eq!(world.session("Basic Ym9iOm5v"), denied("bob", "YES"));
    assert!(world.session("Basic YWRh").contains(r#""code":500"#));
}

#[test]
fn an_account_sees_its_own_sessions_and_an_admin_all() {
    let world = World::new();
    let (ada, root) = (world.session(ADA), world.session(ROOT));
    assert!(
        ada.contains(r#""User":"ada""#) && !ada.contains(r#""User":"root""#),
        "{ada}"
    );
    assert!(
        root.contains(r#""User":"ada""#) && root.contains(r#""User":"root""#),
        "{root}"
    );
}

#[test]
fn a_login_gives_a_cookie_until_the_logout() {
    let world = World::new();
    let login = world.ask("POST", "/rest/v1/login", Some(("authorization", ADA)));
    assert_eq!(login.text(), r#"{"msg":"Login success!","code":200}"#);
    let set = login.header("set-cookie").unwrap();
    assert!(set.ends_with("; Path=/; Max-Age=86400; HttpOnly; SameSite=Lax"));
    let cookie = ("cookie", set.split(';').next().unwrap());
    let me = || world.ask("GET", ME, Some(cookie));
    assert_eq!(me().text(), r#"{"user":"ada","csrfToken":"unused"}"#);
    let table = world.ask("GET", "/rest/v1/session", Some(cookie));
    assert!(table.text().starts_with(r#"{"msg":"success","code":0,"#));
    assert_signed_out(&world.ask("GET", ME, Some(("authorization", ADA))));
    let logout = world.ask("POST", "/rest/v1/logout", Some(cookie));
    let left = r#"{"msg":"success","code":0,"data":null,"count":0}"#;
    assert_eq!(logout.text(), left);
    assert_signed_out(&me());
    assert_signed_out(&world.ask("GET", ME, None));
}

/// The newer web UI takes a 200 for a login, and reads these members of an error.
fn assert_signed_out(received: &Received) {
    assert_eq!(received.status, 401);
    assert_eq!(received.header("content-type"), Some("application/json"));
    let request = received.header("x-request-id").unwrap();
    let expected = format!(
        r#"{{"code":"UI_UNAUTHENTICATED","message":"Authentication is required.","requestId":"{request}"}}"#
    );
    assert_eq!(received.text(), expected);
}

#[test]
fn without_accounts_everyone_can_log_in() {
    let server = Server::start(Settings::default());
    let login = server.request("POST", "/rest/v1/login");
    assert_eq!(login.text(), r#"{"msg":"Login success!","code":200}"#);
    let me = server.request("GET", ME);
    assert_eq!(me.text(), r#"{"user":"root","csrfToken":"unused"}"#);
}
