//! The resource of a session, serialized straight from its view: building a tree of JSON values for
//! every session would be the largest cost of a list.
//!
//! Fields are in alphabetical order, as members are on the wire. Filters and sparse fieldsets, which
//! look into a resource, use [`Session::to_value`].

use crate::context::{RenderContext, STATE};
use crate::dates;
use crate::limits::RETAINED_STATEMENTS;
use jiff::tz::TimeZone;
use rejoin_engine::{JobState, JobView, SessionView};
use serde::Serialize;
use serde_json::Value;
use std::net::{IpAddr, SocketAddr};

#[derive(Debug, Serialize)]
pub(crate) struct Session<'view> {
    attributes: Attributes<'view>,
    id: String,
    links: SelfLink,
    relationships: Relationships<'view>,
    r#type: &'static str,
}

impl<'view> Session<'view> {
    pub(crate) fn new(context: &'view RenderContext, view: &'view SessionView) -> Self {
        let id = view.number.to_string();
        Self {
            attributes: Attributes::new(context, view),
            links: SelfLink {
                own: format!("{}sessions/{id}", context.base),
            },
            id,
            relationships: Relationships {
                services: Services::new(context, view),
            },
            r#type: "sessions",
        }
    }

    /// The same resource as a tree of JSON values.
    pub(crate) fn to_value(&self) -> Value {
        to_value(self)
    }
}

#[derive(Debug, Serialize)]
struct Attributes<'view> {
    client: Client,
    connected: String,
    connections: EmptyArray,
    idle: f64,
    io_activity: u8,
    log: EmptyArray,
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
    user: &'view str,
}

impl<'view> Attributes<'view> {
    fn new(context: &'view RenderContext, view: &'view SessionView) -> Self {
        let statements: usize = shown_jobs(view).map(|job| job.statement.len()).sum();
        let idle = match view.is_busy() {
            true => 0,
            false => context.now.now(view.id).since(view.since).as_millis() / 100,
        };
        let remote = view.remote.as_deref();
        let address: Option<SocketAddr> = remote.and_then(|text| text.parse().ok());
        // Behind a proxy the port is not known.
        let ip = address.map(|address| address.ip());
        let ip = ip.or_else(|| remote.and_then(|text| text.parse().ok()));
        let remote = match ip {
            Some(ip) => Some(Remote::Address(ip)),
            None => remote.map(Remote::Named),
        };
        Self {
            client: Client::default(),
            connected: dates::connected(view.created.at, &context.zone),
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
            queries: shown_jobs(view)
                .map(|job| Query::new(job, view, &context.zone))
                .collect(),
            remote,
            seconds_alive: dates::seconds(view.created, context.now.now(view.id)),
            state: STATE,
            thread: 0,
            user: context.accounts.shown_as(view.user.as_deref()),
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
    connection_attributes: EmptyObject,
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
    backends: EmptyObject,
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

#[derive(Debug, Default, Serialize)]
struct EmptyObject {}

type EmptyArray = [(); 0];

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
        let finished_at = match job.state {
            JobState::Finished { at, .. } => Some(at),
            _ => None,
        };
        let response = |at: rejoin_engine::Moment| Response {
            duration: u64::try_from(at.since(job.since).as_millis()).unwrap_or(u64::MAX),
            server: &view.service,
        };
        Self {
            command: "COM_QUERY",
            completed: finished_at.map(|finished| dates::received(finished.at, zone)),
            received: dates::received(job.since.at, zone),
            responses: finished_at.map(response).into_iter().collect(),
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
struct SelfLink {
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
    links: ServicesLinks,
}

impl<'view> Services<'view> {
    pub(crate) fn new(context: &RenderContext, view: &'view SessionView) -> Self {
        let services = format!("{}services/", context.base);
        Self {
            data: [Service {
                id: &view.service,
                r#type: "services",
            }],
            links: ServicesLinks {
                related: services.clone(),
                own: services,
            },
        }
    }

    pub(crate) fn to_value(&self) -> Value {
        to_value(self)
    }
}

#[derive(Debug, Serialize)]
struct Service<'view> {
    id: &'view str,
    r#type: &'static str,
}

#[derive(Debug, Serialize)]
struct ServicesLinks {
    related: String,
    #[serde(rename = "self")]
    own: String,
}

/// The jobs that a session shows: the running ones, then the last finished ones, each oldest first.
fn shown_jobs(view: &SessionView) -> impl Iterator<Item = &JobView> {
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
    reason = "all keys are strings and all numbers finite"
)]
fn to_value(resource: &impl Serialize) -> Value {
    serde_json::to_value(resource).expect("a resource is JSON")
}
