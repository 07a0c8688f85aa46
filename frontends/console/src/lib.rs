//! The web console: one page at `/` and what it is made of at `/console/`.
//!
//! What enters: requests for files. What leaves: the files of `assets/`, which are part of the
//! program, with headers that let the page load nothing from elsewhere and run no script that is
//! written into it. What is never true: that anything here is made for one request, or knows of a
//! session. The page itself asks Rejoin's own API, as any other client would.
//!
//! There is no build: the files are served as they are written.

mod assets;

use crate::assets::{ASSETS, Asset};
use rejoin_http::{Answer, Methods, StatusCode};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

/// Mounts the console on an application, at `/` and below `/console`.
///
/// ```
/// let mut app = rejoin_http::app();
/// rejoin_console::mount(&mut app);
/// ```
pub fn mount(app: &mut tide::Server<()>) {
    for asset in ASSETS {
        let tag: Arc<str> = tag(asset).into();
        app.at(asset.path)
            .all(Methods::new().get(move |http: tide::Request<()>| {
                let tag = tag.clone();
                async move { Ok(answer(asset, &tag, &http)) }
            }));
    }
}

fn answer(asset: &Asset, tag: &str, http: &tide::Request<()>) -> Answer {
    let known = rejoin_http::header(http, "if-none-match");
    let answer = if known.is_some_and(|known| is_among(tag, known)) {
        Answer::empty(StatusCode::NOT_MODIFIED)
    } else {
        Answer::new(StatusCode::OK, asset.content_type, asset.bytes)
    };
    // Asked for again each time, and answered 304: a new server never meets an old page's parts.
    answer
        .header("cache-control", "no-cache")
        .header("etag", tag)
        .header("content-security-policy", POLICY)
        .header("cross-origin-opener-policy", "same-origin")
        .header("cross-origin-resource-policy", "same-origin")
        .header("referrer-policy", "no-referrer")
        .header("x-content-type-options", "nosniff")
        .header("x-frame-options", "DENY")
}

/// What names a file's content: another content has another tag.
fn tag(asset: &Asset) -> String {
    let mut hasher = DefaultHasher::new();
    asset.bytes.hash(&mut hasher);
    format!("\"{:016x}\"", hasher.finish())
}

/// Whether `If-None-Match` names the tag. A proxy that compresses makes it a weak one.
fn is_among(tag: &str, known: &str) -> bool {
    known
        .split(',')
        .map(str::trim)
        .any(|one| one == "*" || one.strip_prefix("W/").unwrap_or(one) == tag)
}

/// The page loads scripts, styles and images of this server only, talks to nobody else, sends no
/// form anywhere, and stands in nobody's frame. Text that a job printed can't become a script even
/// if it became markup.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
                      connect-src 'self'; base-uri 'none'; form-action 'none'; \
                      frame-ancestors 'none'; require-trusted-types-for 'script'; \
                      trusted-types 'none'";
