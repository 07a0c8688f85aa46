//! What is counted and told of connections and requests, for whoever operates the server.
//!
//! Never: a query, a header or a body is told. They may hold secrets; a path does not.

use crate::exchange::Shared;
use crate::limits::PATH_TOLD;
use http::{Method, StatusCode};
use rejoin_metrics::{Counter, Gauge, GaugeGuard, Histogram};
use std::fmt::{self, Display};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// How a server is watched: where it counts, and what it says of each request.
///
/// ```
/// use rejoin_http::{HostCheck, Limits, Numbers, Requests, Server, Watch};
/// use std::sync::Arc;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let numbers = Arc::new(Numbers::new(&["shop", "other"]));
/// let watch = Watch {
///     numbers: numbers.clone(),
///     frontend: |path| if path.starts_with("/shop") { "shop" } else { "other" },
///     told: Requests::Failed,
/// };
/// let any_port = ([127, 0, 0, 1], 0).into();
/// let server = Server::bind(any_port, rejoin_http::app(), Limits::default(), HostCheck::local())?;
/// let _server = server.watched(watch);
/// assert_eq!(numbers.frontends()[0].requests("2xx"), Some(0));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Watch {
    /// Where it counts. Several servers may share it.
    pub numbers: Arc<Numbers>,
    /// Which frontend has a path: one of the names that `numbers` has; else it is the last of them.
    pub frontend: fn(&str) -> &'static str,
    /// Which requests are told, as events of `tracing` whose target is [`REQUEST`](Self::REQUEST).
    pub told: Requests,
}

impl Watch {
    /// The target of the events that tell requests.
    pub const REQUEST: &'static str = "rejoin::request";
}

impl Default for Watch {
    fn default() -> Self {
        Self {
            numbers: Arc::default(),
            frontend: |_| OTHER,
            told: Requests::None,
        }
    }
}

/// Which requests are told: one event each, once its answer has been handed over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Requests {
    /// None.
    #[default]
    None,
    /// Those that the server failed to answer: status 500 and above, as warnings.
    Failed,
    /// All: these as warnings, the others at the level `info`.
    All,
}

/// What servers have counted.
#[derive(Debug)]
pub struct Numbers {
    frontends: Vec<OfFrontend>,
    /// Connections that are open.
    pub connections: Gauge,
    /// Connections that were accepted.
    pub accepted: Counter,
    /// Connections that were answered 503, because all are taken, or closed without a word, because
    /// too many were being answered so.
    pub refused: Counter,
    /// Answers that go on: Server-Sent Events.
    pub streams: Gauge,
}

/// What was counted of one frontend's requests.
#[derive(Debug)]
pub struct OfFrontend {
    /// Its name.
    pub name: &'static str,
    /// Requests that are being answered.
    pub open: Gauge,
    /// From a request's head to the last of its answer, in microseconds. Waits and streams count
    /// as long as they last.
    pub micros: Histogram,
    /// Bytes of answers' bodies.
    pub bytes: Counter,
    requests: [Counter; CLASSES.len()],
}

impl OfFrontend {
    /// How many requests had an answer of this class, which is one of [`CLASSES`].
    pub fn requests(&self, class: &str) -> Option<u64> {
        let place = CLASSES.iter().position(|known| *known == class)?;
        Some(self.requests[place].get())
    }
}

/// The classes of answers. `left`: the client went before there was one.
pub const CLASSES: [&str; 6] = ["1xx", "2xx", "3xx", "4xx", "5xx", "left"];

impl Numbers {
    /// Nothing yet, of these frontends. The last also has what belongs to none of them; where there
    /// is none, that is `other`.
    #[must_use]
    pub fn new(frontends: &[&'static str]) -> Self {
        let names = if frontends.is_empty() {
            &[OTHER][..]
        } else {
            frontends
        };
        let of = |name: &&'static str| OfFrontend {
            name,
            open: Gauge::default(),
            micros: Histogram::new(MICROS),
            bytes: Counter::default(),
            requests: Default::default(),
        };
        Self {
            frontends: names.iter().map(of).collect(),
            connections: Gauge::default(),
            accepted: Counter::default(),
            refused: Counter::default(),
            streams: Gauge::default(),
        }
    }

    /// Each frontend's, in the order in which they were named.
    #[must_use]
    pub fn frontends(&self) -> &[OfFrontend] {
        &self.frontends
    }

    fn place(&self, name: &str) -> usize {
        let place = self.frontends.iter().position(|known| known.name == name);
        place.unwrap_or(self.frontends.len() - 1)
    }
}

impl Default for Numbers {
    fn default() -> Self {
        Self::new(&[])
    }
}

/// What a handler has said of its request: see [`note_session`](crate::note_session).
#[derive(Default)]
pub(crate) struct Notes(Mutex<Noted>);

/// Written out only when they are told, which few requests are.
#[derive(Default)]
struct Noted {
    session: Option<Note>,
    job: Option<Note>,
}

type Note = Box<dyn Display + Send>;

impl Notes {
    pub(crate) fn session(&self, session: impl Display + Send + 'static) {
        self.noted().session = Some(Box::new(session));
    }

    pub(crate) fn job(&self, job: impl Display + Send + 'static) {
        self.noted().job = Some(Box::new(job));
    }

    fn noted(&self) -> std::sync::MutexGuard<'_, Noted> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Notes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let noted = self.noted();
        let told = |note: &Option<Note>| note.as_ref().map(ToString::to_string);
        f.debug_struct("Notes")
            .field("session", &told(&noted.session))
            .field("job", &told(&noted.job))
            .finish()
    }
}

/// A request from its head to the last of its answer. Counts and tells when it is dropped.
pub(crate) struct Seen {
    shared: Rc<Shared>,
    place: usize,
    begun: Instant,
    bytes: u64,
    status: Option<StatusCode>,
    told: Option<Told>,
    _open: GaugeGuard,
    stream: Option<GaugeGuard>,
}

/// What is kept only where requests are told.
struct Told {
    peer: SocketAddr,
    method: Method,
    path: String,
    notes: Arc<Notes>,
}

impl Seen {
    pub(crate) fn begin(
        shared: &Rc<Shared>,
        peer: SocketAddr,
        method: &Method,
        path: &str,
    ) -> Self {
        let Watch {
            numbers,
            frontend,
            told,
        } = &shared.watch;
        let place = numbers.place(frontend(path));
        Self {
            shared: shared.clone(),
            place,
            begun: now(),
            bytes: 0,
            status: None,
            told: (*told != Requests::None).then(|| Told {
                peer,
                method: method.clone(),
                path: path.chars().take(PATH_TOLD).collect(),
                notes: Arc::default(),
            }),
            _open: numbers.frontends[place].open.enter(),
            stream: None,
        }
    }

    /// Where a handler may say what its request is about.
    pub(crate) fn notes(&self) -> Option<Arc<Notes>> {
        self.told.as_ref().map(|told| told.notes.clone())
    }

    pub(crate) fn answered(&mut self, status: StatusCode, is_stream: bool) {
        self.status = Some(status);
        self.stream = is_stream.then(|| self.shared.watch.numbers.streams.enter());
    }

    pub(crate) fn sent(&mut self, bytes: usize) {
        self.bytes += bytes as u64;
    }
}

impl Drop for Seen {
    fn drop(&mut self) {
        let took = now().saturating_duration_since(self.begun);
        let counts = &self.shared.watch.numbers.frontends[self.place];
        let class = self
            .status
            .map_or(CLASSES.len(), |it| usize::from(it.as_u16() / 100));
        if let Some(requests) = counts.requests.get(class.saturating_sub(1)) {
            requests.inc();
        }
        counts.micros.observe_micros(took);
        counts.bytes.add(self.bytes);
        let Some(told) = &self.told else { return };
        let noted = told.notes.noted();
        let has_failed = self.status.is_some_and(|status| status.is_server_error());
        macro_rules! tell {
            ($level:ident) => {
                tracing::$level!(
                    target: Watch::REQUEST,
                    frontend = counts.name,
                    method = told.method.as_str(),
                    path = told.path,
                    status = self.status.map(|status| status.as_u16()),
                    seconds = took.as_secs_f64(),
                    bytes = self.bytes,
                    session = noted.session.as_ref().map(tracing::field::display),
                    job = noted.job.as_ref().map(tracing::field::display),
                    peer = %told.peer,
                    "request"
                )
            };
        }
        if has_failed {
            tell!(warn);
        } else if self.shared.watch.told == Requests::All {
            tell!(info);
        }
    }
}

const OTHER: &str = "other";

/// From an answer out of memory to a pull that waits as long as it may.
const MICROS: &[u64] = &[
    500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000,
    2_500_000, 10_000_000, 60_000_000,
];

#[expect(
    clippy::disallowed_methods,
    reason = "how long a request took is counted and told only; nothing is decided by it"
)]
fn now() -> Instant {
    Instant::now()
}
