//! Requests of Doris clients, whatever they hold: the real frontend on the real engine, on a log in
//! memory and in virtual time.

use crate::http_request::{HttpRequest, value_of};
use crate::stocked::Stocked;
use arbitrary::{Arbitrary, Unstructured};
use rejoin_accounts::Accounts;
use rejoin_doris::{Columns, Settings};
use rejoin_http::Router;
use serde_json::Value;
use std::cell::RefCell;
use std::fmt;

/// A request, sent to a server with some sessions. The first byte says which columns it shows.
#[derive(Clone)]
pub struct DorisRequest<'a> {
    is_newer: bool,
    request: Option<HttpRequest<'a>>,
}

thread_local! {
    static STOCKED: RefCell<[Option<Stocked>; 2]> = const { RefCell::new([None, None]) };
}

impl DorisRequest<'_> {
    /// Sends the request and looks at its answer.
    ///
    /// # Panics
    ///
    /// When the answer is not empty and not the product's envelope, or a table is not that of all
    /// sessions: texts, and as many to a row as there are columns.
    pub fn check(&self) {
        let Some(request) = self.request else { return };
        let place = usize::from(self.is_newer);
        let before = STOCKED.with_borrow_mut(|stocked| stocked[place].take());
        let mount = if self.is_newer { mount_newer } else { mount };
        let mut server = before.unwrap_or_else(|| Stocked::start(mount));
        if let Some(called) = server.ask(request).filter(|it| it.status != 404) {
            let value = value_of(&called);
            match called.status {
                200 => check_envelope(&value, server.open_sessions()),
                204 => assert!(value.is_null(), "{value}"),
                other => panic!("{other}: {value}"),
            }
        }
        STOCKED.with_borrow_mut(|stocked| stocked[place] = server.unless_changed());
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

/// The request as it would be typed.
impl fmt::Debug for DorisRequest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns = if self.is_newer { "newer" } else { "documented" };
        writeln!(f, "{columns} columns:")?;
        self.request
            .map_or(Ok(()), |request| write!(f, "{request:?}"))
    }
}
