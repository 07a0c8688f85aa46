//! A session's resource. What enters is a view, what leaves is written straight from it: a list
//! has many, and a tree of values would cost each more than all else.
//!
//! Fields stand in alphabetical order, as members do on the wire. What has to look into a resource
//! (a filter, a sparse fieldset) makes values of it, with the same members.

use crate::limits::RETAINED_STATEMENTS;
use crate::resource::{STATE, Scene};
use crate::wire;
use jiff::tz::TimeZone;
use rejoin_core::{JobState, JobView, SessionView};
use serde::Serialize;
use serde_json::Value;
use std::net::{IpAddr, SocketAddr};

#[derive(Debug, Serialize)]
pub(crate) struct Session<'view> {
    attributes: Attributes<'view>,
    id: String,
    links: Own,
    relationships: Relationships<'view>,
    r#type: &'static str,
}

impl<'view> Session<'view> {
    pub(crate) fn new(scene: &Scene, view: &'view SessionView) -> Self {
        let id = view.number.to_string();
        Self {
            attributes: Attributes::new(scene, view),
            links: Own {
                own: format!("{}sessions/{id}", scene.base),
            },
            id,
            relationships: Relationships {
                services: Services::new(scene, view),
            },
            r#type: "sessions",
        }
    }

    /// The same as a tree, which can be looked into.
    pub(crate) fn value(&self) -> Value {
        value(self)
    }
}

#[derive(Debug, Serialize)]
struct Attributes<'view> {
    client: Client,
    connected: String,
    connections: Nothing,
    idle: f64,
    io_activity: u8,
    log: Nothing,
    memory: Memory,
    parameters: Parameters,
    #[serde(skip_serializing_if = "Option::is_none")]
    port: Option<u16>,
    queries: Vec<Query<'view>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    remote: Option<Remote<'view>>,
    seconds_alive: f64,
    state: &'static str,
    thread: u8,
    /// Who is not known is not named.
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<&'view str>,
}

impl<'view> Attributes<'view> {
    fn new(scene: &Scene, view: &'view SessionView) -> Self {
        let statements: usize = shown(view).map(|job| job.statement.len()).sum();
        let idle = match view.is_busy() {
            true => 0,
            false => scene.now.since(view.since).as_millis() / 100,
        };
        let address: Option<SocketAddr> = view.remote.as_ref().and_then(|it| it.parse().ok());
        let remote = match &address {
            Some(address) => Some(Remote::Address(address.ip())),
            None => view.remote.as_deref().map(Remote::Named),
        };
        Self {
            client: Client::default(),
            connected: wire::connected(view.created),
            connections: [],
            idle: idle as f64 / 10.0,
            io_activity: 0,
            log: [],
            memory: Memory {
                last_queries: statements,
                total: statements,
                ..Memory::default()
            },
            parameters: Parameters::default(),
            port: address.map(|address| address.port()),
            queries: shown(view)
                .map(|job| Query::new(job, view, &scene.zone))
                .collect(),
            remote,
            seconds_alive: wire::seconds(view.created, scene.now),
            state: STATE,
            thread: 0,
            user: view.user.as_deref(),
        }
    }
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Remote<'view> {
    Address(IpAddr),
    Named(&'view str),
}

#[derive(Debug, Default, Serialize)]
struct Client {
    cipher: &'static str,
    connection_attributes: Empty,
}

#[derive(Debug, Default, Serialize)]
struct Memory {
    connection_buffers: Buffers,
    last_queries: usize,
    total: usize,
    variables: u8,
}

#[derive(Debug, Default, Serialize)]
struct Buffers {
    backends: Empty,
    client: ClientBuffers,
    total: u8,
}

#[derive(Debug, Default, Serialize)]
struct ClientBuffers {
    misc: u8,
    readq: u8,
    total: u8,
    writeq: u8,
}

#[derive(Debug, Default, Serialize)]
struct Parameters {
    log_error: bool,
    log_info: bool,
    log_notice: bool,
    log_warning: bool,
}

/// An object without members.
#[derive(Debug, Default, Serialize)]
struct Empty {}

/// An array of nothing.
type Nothing = [(); 0];

#[derive(Debug, Serialize)]
struct Query<'view> {
    command: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    completed: Option<String>,
    received: String,
    responses: Vec<Response<'view>>,
    statement: &'view str,
}

impl<'view> Query<'view> {
    fn new(job: &'view JobView, view: &'view SessionView, zone: &TimeZone) -> Self {
        let finished = match job.state {
            JobState::Finished { at, .. } => Some(at),
            _ => None,
        };
        let response = |at: rejoin_core::Timestamp| Response {
            duration: u64::try_from(at.since(job.since).as_millis()).unwrap_or(u64::MAX),
            server: &view.service,
        };
        Self {
            command: "COM_QUERY",
            completed: finished.map(|at| wire::received(at, zone)),
            received: wire::received(job.since, zone),
            responses: finished.map(response).into_iter().collect(),
            statement: &job.statement,
        }
    }
}

#[derive(Debug, Serialize)]
struct Response<'view> {
    duration: u64,
    server: &'view str,
}

#[derive(Debug, Serialize)]
struct Own {
    #[serde(rename = "self")]
    own: String,
}

#[derive(Debug, Serialize)]
struct Relationships<'view> {
    services: Services<'view>,
}

/// The service of a session, as its relationship.
#[derive(Debug, Serialize)]
pub(crate) struct Services<'view> {
    data: [Service<'view>; 1],
    links: Related,
}

impl<'view> Services<'view> {
    pub(crate) fn new(scene: &Scene, view: &'view SessionView) -> Self {
        let services = format!("{}services/", scene.base);
        Self {
            data: [Service {
                id: &view.service,
                r#type: "services",
            }],
            links: Related {
                related: services.clone(),
                own: services,
            },
        }
    }

    pub(crate) fn value(&self) -> Value {
        value(self)
    }
}

#[derive(Debug, Serialize)]
struct Service<'view> {
    id: &'view str,
    r#type: &'static str,
}

#[derive(Debug, Serialize)]
struct Related {
    related: String,
    #[serde(rename = "self")]
    own: String,
}

/// The statements that are shown of a session: those that run, then the last ones that finished,
/// the oldest of each first.
fn shown(view: &SessionView) -> impl Iterator<Item = &JobView> {
    let is_finished = |job: &&JobView| matches!(job.state, JobState::Finished { .. });
    let last = view
        .jobs()
        .rev()
        .filter(is_finished)
        .take(RETAINED_STATEMENTS);
    let mut last: Vec<_> = last.collect();
    last.reverse();
    view.unfinished_jobs().chain(last)
}

#[expect(
    clippy::expect_used,
    reason = "all names are texts, all numbers finite"
)]
fn value(resource: &impl Serialize) -> Value {
    serde_json::to_value(resource).expect("a resource is JSON")
}
