//! Arbitrary requests to the MaxScale frontend, on a real engine with a log in memory and in virtual
//! time.

use crate::http_request::{HttpRequest, value_of};
use crate::seeded_harness::SeededHarness;
use arbitrary::{Arbitrary, Unstructured};
use rejoin_accounts::Accounts;
use rejoin_engine::Engine;
use rejoin_http::Router;
use rejoin_http::Url;
use serde_json::Value;
use std::cell::RefCell;
use std::fmt;

/// A request, sent to a server with some sessions.
#[derive(Clone)]
pub struct MaxScaleRequest<'a>(Option<HttpRequest<'a>>);

thread_local! {
    static SERVER: RefCell<Option<SeededHarness>> = const { RefCell::new(None) };
}

impl MaxScaleRequest<'_> {
    /// Sends the request and checks the response.
    ///
    /// # Panics
    ///
    /// When the status is 5xx, or the body is neither empty nor JSON of the product's shape; when a
    /// link is not a URL; when the pages of a list don't add up to the list.
    pub fn check(&self) {
        let Some(request) = self.0 else { return };
        let before = SERVER.take();
        let mut server = before.unwrap_or_else(|| SeededHarness::start(mount));
        // The router's own 404 of paths that are not mounted is not JSON.
        if let Some(called) = server
            .send(request)
            .filter(|called| called.body != b"Not found")
        {
            let value = value_of(&called);
            check_shape(called.status, &value);
            check_links(&value);
            if called.status == 200 && value["links"]["first"].is_string() {
                check_pages(&mut server, request, &value);
            }
        }
        SERVER.set(server.unless_changed());
    }
}

fn mount(router: &mut Router, engine: Engine) {
    let open = Accounts::open().expect("the system has random numbers");
    rejoin_maxscale::mount(router, engine, open);
}

fn check_shape(status: u16, value: &Value) {
    match status {
        _ if value.is_null() => {}
        // The token of `/v1/auth`.
        200 if value["meta"]["token"].is_string() => {}
        200 => assert!(
            !value["data"].is_null() && !value["links"].is_null(),
            "{value}"
        ),
        400..500 => assert!(value["errors"][0]["detail"].is_string(), "{value}"),
        _ => panic!("{status}: {value}"),
    }
}

fn check_links(value: &Value) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                match (name.as_str(), value) {
                    (
                        "first" | "last" | "next" | "prev" | "self" | "related",
                        Value::String(link),
                    ) => {
                        let url = Url::parse(link);
                        assert!(url.is_ok(), "not a URL: {link}: {url:?}");
                    }
                    _ => check_links(value),
                }
            }
        }
        Value::Array(values) => values.iter().for_each(check_links),
        _ => {}
    }
}

/// Checks that the pages lead from the first to the last, and together are the list.
fn check_pages(server: &mut SeededHarness, request: HttpRequest<'_>, value: &Value) {
    let Some(query) = path_and_query(&value["links"]["first"]) else {
        return;
    };
    let total = value["meta"]["total"].as_u64();
    let mut link = Some(query);
    let (mut listed, mut sizes) = (Vec::new(), Vec::new());
    while let Some(target) = link {
        let called = server.send(HttpRequest::get(&target));
        let called = called.unwrap_or_else(|| panic!("{request:?}: {target} leads nowhere"));
        let page = value_of(&called);
        assert_eq!(called.status, 200, "{request:?}: {target}: {page}");
        assert_eq!(page["meta"]["total"].as_u64(), total, "{target}");
        let own = path_and_query(&page["links"]["self"]);
        assert_eq!(own.as_deref(), Some(&*target), "the link `self` of a page");
        sizes.push(page["data"].as_array().map_or(0, Vec::len));
        listed.extend(ids(&page));
        assert!(
            sizes.len() <= crate::seeded_harness::SESSIONS + 1,
            "endless pages: {target}"
        );
        link = path_and_query(&page["links"]["next"]);
        if link.is_none() {
            assert_eq!(page["links"]["last"], page["links"]["self"]);
        }
    }
    let (_, full) = sizes.split_last().expect("there is a first page");
    assert!(
        full.windows(2).all(|pair| pair[0] == pair[1]) && full.iter().all(|size| *size > 0),
        "{sizes:?}"
    );
    assert!(listed.is_sorted_by(|one, next| one < next), "{listed:?}");
    assert_eq!(Some(listed.len() as u64), total, "{request:?}");
    assert!(listed.len() <= server.open_sessions());
}

/// The ids on a page.
fn ids(page: &Value) -> Vec<u64> {
    let data = page["data"].as_array().expect("a list");
    data.iter()
        .map(|resource| resource["id"].as_str().and_then(|id| id.parse().ok()))
        .collect::<Option<_>>()
        .unwrap_or_else(|| panic!("not sessions: {page}"))
}

fn path_and_query(link: &Value) -> Option<String> {
    let url = Url::parse(link.as_str()?).ok()?;
    Some(format!(
        "{}?{}",
        url.path(),
        url.query().unwrap_or_default()
    ))
}

impl<'a> Arbitrary<'a> for MaxScaleRequest<'a> {
    fn arbitrary(bytes: &mut Unstructured<'a>) -> arbitrary::Result<Self> {
        let count = bytes.len();
        Ok(Self(HttpRequest::parse(bytes.bytes(count)?)))
    }
}

/// As a user would type it.
impl fmt::Debug for MaxScaleRequest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(request) => write!(f, "{request:?}"),
            None => f.write_str("no request"),
        }
    }
}
