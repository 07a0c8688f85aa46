//! Health, metrics and request logs of the servers.

use super::Started;
use crate::settings::Settings;
use rejoin_admin::AdminState;
use rejoin_http::{HostCheck, HttpMetrics, Observer, RequestLog};
use std::net::SocketAddr;
use std::sync::Arc;

/// The frontends as label values of metrics; the last is for paths of no frontend.
const FRONTENDS: [&str; 6] = ["arthas", "native", "maxscale", "doris", "operate", OTHER];
const OTHER: &str = "other";

/// Which of the servers an address belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Listener {
    Common,
    MaxScale,
    Doris,
    Admin,
}

impl Listener {
    /// How its address is announced.
    pub(super) const fn title(self) -> &'static str {
        match self {
            Self::Common => "All other frontends",
            Self::MaxScale => "MaxScale API",
            Self::Doris => "Doris API",
            Self::Admin => "Health and metrics",
        }
    }

    /// The label value of requests whose path belongs to no frontend.
    const fn unmatched(self) -> &'static str {
        match self {
            Self::Common => OTHER,
            Self::MaxScale => "maxscale",
            Self::Doris => "doris",
            Self::Admin => "operate",
        }
    }
}

/// The metrics that all servers share.
pub(super) fn metrics() -> Arc<HttpMetrics> {
    Arc::new(HttpMetrics::new(&FRONTENDS))
}

pub(super) fn observer(
    settings: &Settings,
    metrics: &Arc<HttpMetrics>,
    listener: Listener,
) -> Observer {
    Observer {
        metrics: metrics.clone(),
        unmatched: listener.unmatched(),
        log: match settings.log_requests() {
            // "Not ready" is a normal answer there, not a failure.
            RequestLog::Failed if listener == Listener::Admin => RequestLog::None,
            log => log,
        },
    }
}

/// No command can be run at the admin address, so any `Host` is accepted if other machines can reach
/// it.
pub(super) fn hosts(address: SocketAddr) -> HostCheck {
    match address.ip().is_loopback() {
        true => HostCheck::local(),
        false => HostCheck::none(),
    }
}

pub(super) fn admin_state(started: &Started, http: Arc<HttpMetrics>) -> AdminState {
    AdminState {
        engine: started.engine.clone(),
        log: started.log.clone(),
        log_directory: match started.is_read_only {
            true => started.data.clone(),
            false => started.data.join("log"),
        },
        http,
        version: env!("CARGO_PKG_VERSION"),
        begun_millis: started.at.as_millis(),
    }
}
