//! The web console: a page at `/`, a page for one terminal at `/console/terminal.html`, and their files
//! at `/console/`.
//!
//! The files of `assets/` are part of the program and are served as they are written: there is no
//! build step. Those of `assets/vendor/` are xterm.js, as it is published. Headers let the pages load
//! nothing from other hosts and run no inline script. Nothing here is made per request or knows about
//! sessions: the pages use Rejoin's own API, like any other client.

mod assets;

use crate::assets::{ASSETS, Asset, NOT_FOUND, TERMINAL};
use rejoin_http::{Gate, Request, Response, Route, Router, StatusCode, route};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

/// The routes of the console.
pub const ROUTES: &[Route<Console>] = &[
    route!(GET "/" => Console::file),
    route!(GET "/console/:file" => Console::file),
    route!(GET "/console/vendor/:file" => Console::file),
    // Where Arthas has its web console.
    route!(GET "/ui" => Console::elsewhere),
    route!(GET "/ui/" => Console::elsewhere),
];

/// Mounts the console at `/` and below `/console`. `/ui` leads there, because Arthas' web console is
/// at that path. Browsers get a page where the server has nothing.
///
/// ```
/// let mut router = rejoin_http::Router::default();
/// rejoin_console::mount(&mut router);
/// ```
pub fn mount(router: &mut Router) {
    let files = ASSETS.iter().map(|asset| (asset, tag(asset))).collect();
    let console = Arc::new(Console { files });
    router.mount_gated("console", console, ROUTES, Gate::SMALL);
    router.set_not_found_page(nothing_here);
}

/// The files, each with its entity tag.
#[derive(Debug)]
pub struct Console {
    files: Vec<(&'static Asset, String)>,
}

impl Console {
    async fn file(&self, request: &Request) -> Response {
        let path = request.url().path();
        let found = self.files.iter().find(|(asset, _)| asset.path == path);
        let Some((asset, tag)) = found else {
            return match request.wants_page() {
                true => nothing_here(request),
                false => Response::new(StatusCode::NOT_FOUND, HTML, "Not found"),
            };
        };
        let known = request.header("if-none-match");
        let response = if known.is_some_and(|known| is_among(tag, known)) {
            Response::empty(StatusCode::NOT_MODIFIED)
        } else {
            Response::new(StatusCode::OK, asset.content_type, asset.bytes)
        };
        // The browser revalidates each file and usually gets 304, so files of two versions never
        // mix.
        let response = response
            .header("cache-control", "no-cache")
            .header("etag", tag.as_str())
            .header("vary", "accept-encoding");
        match path {
            TERMINAL => guarded(response, TERMINAL_POLICY, "SAMEORIGIN"),
            _ => guarded(response, POLICY, "DENY"),
        }
    }

    async fn elsewhere(&self, _: &Request) -> Response {
        Response::empty(StatusCode::FOUND).header("location", "/")
    }
}

/// The page for people who open an address where nothing is.
fn nothing_here(request: &Request) -> Response {
    let page = ASSETS.iter().find(|asset| asset.path == NOT_FOUND);
    let bytes = page.map_or(&b"Not found"[..], |page| page.bytes);
    let text = String::from_utf8_lossy(bytes);
    // It is shown at any path, so that its links can't be relative.
    let text = text.replace("=\"/", &format!("=\"{}/", request.prefix()));
    let response = Response::new(StatusCode::NOT_FOUND, HTML, text);
    guarded(response, POLICY, "DENY").header("cache-control", "no-store")
}

const HTML: &str = "text/html; charset=utf-8";

/// Headers that let a page do only what it needs.
fn guarded(response: Response, policy: &'static str, framing: &'static str) -> Response {
    response
        .header("content-security-policy", policy)
        .header("cross-origin-opener-policy", "same-origin")
        .header("cross-origin-resource-policy", "same-origin")
        .header("referrer-policy", "no-referrer")
        .header("x-content-type-options", "nosniff")
        .header("x-frame-options", framing)
}

/// A hash of a file's content: when the content changes, so does the tag.
fn tag(asset: &Asset) -> String {
    let mut hasher = DefaultHasher::new();
    asset.bytes.hash(&mut hasher);
    format!("\"{:016x}\"", hasher.finish())
}

/// Whether `If-None-Match` names the tag. A proxy that compresses turns it into a weak one.
fn is_among(tag: &str, known: &str) -> bool {
    known
        .split(',')
        .map(str::trim)
        .any(|one| one == "*" || one.strip_prefix("W/").unwrap_or(one) == tag)
}

macro_rules! policy {
    (styles: $styles:literal, frames: $frames:literal, framed_by: $ancestors:literal) => {
        concat!(
            "default-src 'none'; script-src 'self'; style-src ",
            $styles,
            "; img-src 'self'; connect-src 'self'; frame-src ",
            $frames,
            "; base-uri 'none'; form-action 'none'; frame-ancestors ",
            $ancestors,
            "; require-trusted-types-for 'script'; trusted-types 'none'"
        )
    };
}

/// The page loads and talks to this server only, submits no forms, and cannot be framed. Even if
/// output of a job became markup, it could not become a script. Its one frame is the terminal page.
const POLICY: &str = policy!(styles: "'self'", frames: "'self'", framed_by: "'none'");

/// xterm.js writes styles into its page, so this page allows that; and the console shows it in a frame.
const TERMINAL_POLICY: &str =
    policy!(styles: "'self' 'unsafe-inline'", frames: "'none'", framed_by: "'self'");
