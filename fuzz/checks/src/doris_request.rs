//! Arbitrary requests to the Doris frontend, on a real engine with a log in memory and in virtual
//! time.

use crate::http_request::{HttpRequest, value_of};
use crate::seeded_harness::SeededHarness;
use arbitrary::{Arbitrary, Unstructured};
use rejoin_accounts::Accounts;
use rejoin_doris::{Columns, Settings};
use rejoin_http::Router;
use serde_json::Value;
use std::cell::RefCell;
use std::fmt;

/// A request, sent to a server with some sessions. The first byte chooses the columns.
#[derive(Clone)]
pub struct DorisRequest<'a> {
    is_newer: bool,
    request: Option<HttpRequest<'a>>,
}

thread_local! {
    static SERVER: RefCell<[Option<SeededHarness>; 2]> = const { RefCell::new([None, None]) };
}

impl DorisRequest<'_> {
    /// Sends the request and checks the response.
    ///
    /// # Panics
    ///
    /// When the body is neither empty nor the product's envelope, or a table doesn't have one row of
    /// strings per session and one cell per column.
    pub fn check(&self) {
        let Some(request) = self.request else { return };
        let index = usize::from(self.is_newer);
        let before = SERVER.with_borrow_mut(|servers| servers[index].take());
        let mount = if self.is_newer { mount_newer } else { mount };
        let mut server = before.unwrap_or_else(|| SeededHarness::start(mount));
        if let Some(called) = server.send(request).filter(|called| called.status != 404) {
            let value = value_of(&called);
            match called.status {
                200 => check_envelope(&value, server.open_sessions()),
                204 => assert!(value.is_null(), "{value}"),
                other => panic!("{other}: {value}"),
            }
        }
        SERVER.with_borrow_mut(|servers| servers[index] = server.unless_changed());
    }
}

fn check_envelope(value: &Value, open: usize) {
    if value["code"] != 0 {
        assert!(
            value["msg"].is_string() && value["data"].is_string() && value["count"] == 0,
            "{value}"
        );
        return;
    }
    assert_eq!(value["msg"], "success");
    let names = value["data"]["column_names"].as_array().expect("columns");
    let rows = value["data"]["rows"].as_array().expect("rows");
    assert_eq!(rows.len(), open, "{value}");
    for (row, number) in rows.iter().zip(1..) {
        let cells = row.as_object().expect("a row");
        assert_eq!(cells.len(), names.len(), "{row}");
        let is_text = |name: &Value| row[name.as_str().unwrap_or_default()].is_string();
        assert!(names.iter().all(is_text), "{row}");
        assert_eq!(row["Id"], number.to_string());
    }
}

fn mount(router: &mut Router, engine: rejoin_engine::Engine) {
    let open = Accounts::open().expect("random numbers");
    rejoin_doris::mount(router, engine, open, Settings::default());
}

fn mount_newer(router: &mut Router, engine: rejoin_engine::Engine) {
    let mut settings = Settings::default();
    settings.columns = Columns::Newer;
    let open = Accounts::open().expect("random numbers");
    rejoin_doris::mount(router, engine, open, settings);
}

impl<'a> Arbitrary<'a> for DorisRequest<'a> {
    fn arbitrary(bytes: &mut Unstructured<'a>) -> arbitrary::Result<Self> {
        let is_newer = bytes.arbitrary::<u8>()? % 2 == 1;
        let count = bytes.len();
        let request = HttpRequest::parse(bytes.bytes(count)?);
        Ok(Self { is_newer, request })
    }
}

/// As a user would type it.
impl fmt::Debug for DorisRequest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns = if self.is_newer { "newer" } else { "documented" };
        writeln!(f, "{columns} columns:")?;
        self.request
            .map_or(Ok(()), |request| write!(f, "{request:?}"))
    }
}
