//! The HTTP servers: a common one for all frontends, and one for each frontend with a separate
//! address.

use super::descriptors::Connections;
use super::log_output::LogOutput;
use super::sockets::Sockets;
use super::{OpenedEngine, access, encryption};
use crate::settings::{Address, Settings};
use rejoin_accounts::Accounts;
use rejoin_admin::AdminState;
use rejoin_http::{
    BindError, Budget, HostCheck, HttpLimits, HttpMetrics, HttpServer, Observer, RequestLog,
    Router, Tls,
};
use std::sync::Arc;

/// The `frontend` labels of the request metrics. The last one counts unknown paths.
const FRONTENDS: [&str; 7] = [
    "arthas", "native", "maxscale", "doris", "mcp", "operate", OTHER,
];
const OTHER: &str = "other";

/// What an address serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Listener {
    /// All frontends that have no separate address.
    Common,
    MaxScale,
    Doris,
    Admin,
}

impl Listener {
    /// Its name in the server's output.
    pub(super) const fn title(self) -> &'static str {
        match self {
            Self::Common => "Rejoin",
            Self::MaxScale => "MaxScale API",
            Self::Doris => "Doris API",
            Self::Admin => "Health and metrics",
        }
    }

    /// The `frontend` label of requests for unknown paths.
    const fn unmatched(self) -> &'static str {
        match self {
            Self::Common => OTHER,
            Self::MaxScale => "maxscale",
            Self::Doris => "doris",
            Self::Admin => "operate",
        }
    }
}

/// What all addresses share.
struct Shared {
    /// Connections at all addresses together.
    connections_limit: usize,
    bodies: Budget,
    unread: Budget,
    arthas: rejoin_arthas::Settings,
    metrics: Arc<HttpMetrics>,
}

/// Binds all servers, the common one first.
pub(super) fn bind(
    settings: &Settings,
    sockets: &Sockets,
    opened: &OpenedEngine,
    output: &LogOutput,
    accounts: &Accounts,
    tls: Option<&Tls>,
    open_files: Option<usize>,
) -> Result<Vec<(Listener, HttpServer)>, BindError> {
    let metrics = Arc::new(HttpMetrics::new(&FRONTENDS));
    let limits = settings.http();
    let has_admin = settings.admin_listen().is_some();
    let separate = [settings.maxscale_listen(), settings.doris_listen()];
    let addresses = 1 + separate.iter().flatten().count();
    let connections = Connections::divide(open_files, addresses, has_admin, limits.connections);
    let shared = Shared {
        connections_limit: addresses * connections.each + connections.admin,
        bodies: Budget::new(limits.all_body_bytes),
        unread: Budget::new(limits.all_unread_bytes),
        arthas: settings.arthas(),
        metrics: metrics.clone(),
    };
    let bind = |(listener, address, router): (_, Address, _)| {
        let hosts = match listener {
            Listener::Admin => admin_hosts(&address),
            _ => access::host_check(settings, accounts, &address),
        };
        let connections = match listener {
            Listener::Admin => connections.admin,
            _ => connections.each,
        };
        let limits = HttpLimits {
            connections,
            ..limits.clone()
        };
        let server = HttpServer::listen(&sockets.place(address), router, limits, hosts)?;
        let server = server.behind(settings.proxies());
        let server = server.with_bodies(shared.bodies.clone());
        let server = server.with_unread(shared.unread.clone());
        let server = match tls {
            // Nothing secret is sent there, so nothing is warned about.
            None if listener == Listener::Admin => server,
            tls => encryption::encrypt(server, tls),
        };
        Ok((
            listener,
            server.observed(observer(settings, &metrics, listener)),
        ))
    };
    let routers = routers(settings, opened, output, accounts, &shared);
    routers.into_iter().map(bind).collect()
}

/// Mounts each frontend at its separate address, or else at the common one. The OpenAPI document of
/// an address describes the frontends there.
fn routers(
    settings: &Settings,
    opened: &OpenedEngine,
    output: &LogOutput,
    accounts: &Accounts,
    shared: &Shared,
) -> Vec<(Listener, Address, Router)> {
    let engine = || opened.engine.clone();
    let accounts = || accounts.clone();
    let mut common = Router::default();
    let mut documents = vec![
        rejoin_native::OPENAPI,
        rejoin_arthas::OPENAPI,
        rejoin_mcp::OPENAPI,
    ];
    let mut separate = vec![];

    rejoin_arthas::mount(&mut common, engine(), accounts(), shared.arthas.clone());
    rejoin_console::mount(&mut common);
    rejoin_native::mount(&mut common, engine(), accounts());
    rejoin_mcp::mount(&mut common, engine(), accounts(), settings.mcp());

    if let Some(address) = settings.maxscale_listen() {
        let mut router = Router::default();
        rejoin_maxscale::mount(&mut router, engine(), accounts());
        rejoin_native::mount_openapi(&mut router, &[rejoin_maxscale::OPENAPI]);
        separate.push((Listener::MaxScale, address, router));
    } else {
        rejoin_maxscale::mount_versioned(&mut common, engine(), accounts());
        documents.push(rejoin_maxscale::OPENAPI);
    }

    if let Some(address) = settings.doris_listen() {
        let mut router = Router::default();
        rejoin_native::mount_openapi(&mut router, &[rejoin_doris::OPENAPI]);
        rejoin_doris::mount(&mut router, engine(), accounts(), settings.doris());
        separate.push((Listener::Doris, address, router));
    } else {
        rejoin_doris::mount(&mut common, engine(), accounts(), settings.doris());
        documents.push(rejoin_doris::OPENAPI);
    }
    rejoin_native::mount_openapi(&mut common, &documents);

    let admin = admin_state(opened, output, accounts(), shared);
    if let Some(address) = settings.admin_listen() {
        let mut router = Router::default();
        rejoin_admin::mount(&mut router, admin);
        separate.push((Listener::Admin, address, router));
    } else {
        rejoin_admin::mount(&mut common, admin);
    }

    let mut all = vec![(Listener::Common, settings.listen(), common)];
    all.extend(separate);
    all
}

fn observer(settings: &Settings, metrics: &Arc<HttpMetrics>, listener: Listener) -> Observer {
    Observer {
        metrics: metrics.clone(),
        unmatched: listener.unmatched(),
        log: match settings.log_requests() {
            // "Not ready" is a valid answer there, not a failure.
            RequestLog::Failed if listener == Listener::Admin => RequestLog::None,
            log => log,
        },
    }
}

/// No command can be run at the admin address, so a public one accepts any host name.
fn admin_hosts(address: &Address) -> HostCheck {
    match address.is_local() {
        true => HostCheck::local(),
        false => HostCheck::none(),
    }
}

fn admin_state(
    opened: &OpenedEngine,
    output: &LogOutput,
    accounts: Accounts,
    shared: &Shared,
) -> AdminState {
    AdminState {
        engine: opened.engine.clone(),
        accounts,
        shell: opened.shell.clone(),
        log: opened.engine.log_metrics().cloned(),
        log_directory: opened.log_directory.clone(),
        http: shared.metrics.clone(),
        connections_limit: shared.connections_limit,
        bodies: shared.bodies.clone(),
        unread: shared.unread.clone(),
        exec_answers: shared.arthas.exec_answers.clone(),
        lost_lines: output.lost(),
        webhooks: opened.webhooks.clone(),
        version: env!("CARGO_PKG_VERSION"),
        started_millis: opened.started_at.as_millis(),
    }
}
