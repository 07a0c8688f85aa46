//! What the console is made of, and how it is served.

use rejoin_http::test_client::{Client, Received};
use rejoin_http::test_server::TestServer;
use std::fs;
use std::path::{Path, PathBuf};

const LONGEST_FILE: usize = 500;

/// Answers of a server that serves the console and nothing else.
fn served(ask: impl FnOnce(&mut Client)) {
    let mut app = rejoin_http::Router::default();
    rejoin_console::mount(&mut app);
    ask(&mut TestServer::start(app).client());
}

fn header<'a>(received: &'a Received, name: &str) -> &'a str {
    received.header(name).unwrap_or_default()
}

/// Our own files.
fn assets() -> Vec<(PathBuf, String)> {
    files_of("assets")
}

/// xterm.js, as it is published.
fn vendor() -> Vec<(PathBuf, String)> {
    files_of("assets/vendor")
}

fn files_of(folder: &str) -> Vec<(PathBuf, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let entries = fs::read_dir(folder).unwrap();
    entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_file())
        .map(|path| {
            let text = fs::read_to_string(&path).unwrap();
            (path, text)
        })
        .collect()
}

fn name(path: &Path) -> String {
    path.file_name().unwrap().to_string_lossy().into_owned()
}

#[test]
fn every_file_is_served_with_its_type_and_headers_that_let_nothing_else_in() {
    served(|client| {
        for (path, text) in assets() {
            let name = name(&path);
            let (at, kind) = match name.rsplit_once('.').unwrap() {
                ("index", "html") => ("/".to_owned(), "text/html; charset=utf-8"),
                (_, "html") => (format!("/console/{name}"), "text/html; charset=utf-8"),
                (_, "js") => (format!("/console/{name}"), "text/javascript; charset=utf-8"),
                (_, "css") => (format!("/console/{name}"), "text/css; charset=utf-8"),
                _ => (format!("/console/{name}"), "image/svg+xml"),
            };
            let received = client.get(&at).unwrap();
            assert_eq!(received.status, 200, "{at}");
            assert!(received.body == text.as_bytes(), "{at}");
            assert_eq!(header(&received, "content-type"), kind, "{at}");
            assert_eq!(header(&received, "x-content-type-options"), "nosniff");
            assert_eq!(header(&received, "referrer-policy"), "no-referrer");
            let policy = header(&received, "content-security-policy");
            assert!(policy.starts_with("default-src 'none'; script-src 'self';"));
            if name != "terminal.html" {
                assert!(policy.contains("style-src 'self';"), "{policy}");
                assert!(policy.contains("frame-ancestors 'none';"), "{policy}");
                assert!(!policy.contains("unsafe"), "{policy}");
                assert_eq!(header(&received, "x-frame-options"), "DENY");
            }
        }
    });
}

#[test]
fn the_terminal_page_may_write_styles_and_be_framed_by_the_console_and_nothing_more() {
    served(|client| {
        let page = client.get("/").unwrap();
        let terminal = client.get("/console/terminal.html").unwrap();
        let strict = header(&page, "content-security-policy");
        let same = strict
            .replace("style-src 'self';", "style-src 'self' 'unsafe-inline';")
            .replace("frame-src 'self';", "frame-src 'none';")
            .replace("frame-ancestors 'none';", "frame-ancestors 'self';");
        assert_eq!(header(&terminal, "content-security-policy"), same);
        assert_eq!(header(&terminal, "x-frame-options"), "SAMEORIGIN");
    });
}

#[test]
fn xterm_js_is_served_with_its_licences() {
    served(|client| {
        for (path, text) in vendor() {
            let name = name(&path);
            let received = client.get(&format!("/console/vendor/{name}")).unwrap();
            assert_eq!(received.status, 200, "{name}");
            assert!(received.body == text.as_bytes(), "{name}");
            let kind = match name.rsplit_once('.').unwrap() {
                (_, "mjs") => "text/javascript; charset=utf-8",
                (_, "css") => "text/css; charset=utf-8",
                _ => "text/plain; charset=utf-8",
            };
            assert_eq!(header(&received, "content-type"), kind, "{name}");
        }
    });
    let files = vendor();
    let licence = &files
        .iter()
        .find(|(path, _)| name(path) == "LICENSE.txt")
        .unwrap()
        .1;
    for (path, _) in &files {
        let name = name(path);
        assert!(name.ends_with(".txt") || licence.contains(&name), "{name}");
    }
}

#[test]
fn what_a_browser_has_already_is_not_sent_again() {
    served(|client| {
        let tag = header(&client.get("/").unwrap(), "etag").to_owned();
        for known in [tag.clone(), format!("\"other\", W/{tag}")] {
            let again = client.request("GET", "/", &[("if-none-match", &known)], b"");
            let again = again.unwrap();
            assert_eq!((again.status, again.body.len()), (304, 0));
            assert_eq!(header(&again, "etag"), tag);
        }
        let other = client.request("GET", "/", &[("if-none-match", "\"other\"")], b"");
        assert_eq!(other.unwrap().status, 200);
        assert_eq!(client.get("/console/").unwrap().status, 404);
        assert_eq!(client.get("/console/../Cargo.toml").unwrap().status, 404);
        let posted = client.post("/", "{}").unwrap();
        assert_eq!(posted.status, 405);
    });
}

#[test]
fn a_browser_gets_a_page_where_the_server_has_nothing_and_a_program_a_word() {
    served(|client| {
        for path in ["/nothing", "/console/nothing.js", "/sessions/x/y/z/w"] {
            let accept = ("accept", "text/html,application/xhtml+xml,*/*;q=0.8");
            let shown = client.request("GET", path, &[accept], b"").unwrap();
            assert_eq!(shown.status, 404, "{path}");
            assert!(
                shown.text().contains("There is no page here"),
                "{path}: {}",
                shown.text()
            );
            let policy = header(&shown, "content-security-policy");
            assert!(policy.contains("frame-ancestors 'none';"), "{policy}");
            let answer = client.request("GET", path, &[("accept", "*/*")], b"");
            assert_eq!(answer.unwrap().text(), "Not found", "{path}");
        }
    });
}

#[test]
fn scripts_and_styles_can_be_read_and_never_write_markup() {
    for (path, text) in assets() {
        let name = name(&path);
        let lines = text.lines().count();
        assert!(lines <= LONGEST_FILE, "{name} has {lines} lines");
        assert!(
            name.ends_with(".html")
                || name.ends_with(".svg")
                || text.starts_with("// ")
                || text.starts_with("/* "),
            "{name} does not begin by saying what it is"
        );
        for banned in [
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "eval(",
            "new Function",
            "srcdoc",
            "javascript:",
        ] {
            assert!(!text.contains(banned), "{name} has {banned}");
        }
        for address in ["http://", "https://", "url("] {
            let of_svg = text.replace("http://www.w3.org/2000/svg", "");
            assert!(!of_svg.contains(address), "{name} names another host");
        }
    }
}

#[test]
fn the_pages_have_no_script_style_or_handler_written_into_them() {
    let pages = assets().into_iter();
    let pages: Vec<_> = pages
        .filter(|(path, _)| name(path).ends_with(".html"))
        .collect();
    assert_eq!(pages.len(), 3);
    for (_, page) in pages {
        has_nothing_written_into_it(&page);
    }
}

fn has_nothing_written_into_it(page: &str) {
    assert_eq!(
        page.matches("<script").count(),
        page.matches("<script src=").count()
    );
    assert!(!page.contains("<style") && !page.contains(" style="));
    let handlers = page.match_indices(" on").filter(|(at, _)| {
        let name = &page[at + 1..];
        name.split_once('=')
            .is_some_and(|(name, _)| name.bytes().all(|byte| byte.is_ascii_lowercase()))
    });
    assert_eq!(handlers.count(), 0);
}

#[test]
fn the_path_of_arthas_web_console_leads_to_the_console() {
    served(|client| {
        for path in ["/ui", "/ui/"] {
            let received = client.get(path).unwrap();
            assert_eq!(received.status, 302, "{path}");
            assert_eq!(header(&received, "location"), "/", "{path}");
            assert!(received.body.is_empty());
        }
        for path in ["/uid", "/UI", "/ui/app.js"] {
            assert_eq!(client.get(path).unwrap().status, 404, "{path}");
        }
    });
}
