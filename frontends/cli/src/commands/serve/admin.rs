//! What the server shows to whoever operates it, and how its servers are watched.

use super::Begun;
use crate::settings::Settings;
use rejoin_admin::AdminState;
use rejoin_http::{HostCheck, HttpMetrics, Observer, RequestLog};
use std::net::SocketAddr;
use std::sync::Arc;

/// The frontends, as requests are counted; the last is for paths that are none's.
const FRONTENDS: [&str; 6] = ["arthas", "native", "maxscale", "doris", "operate", OTHER];
const OTHER: &str = "other";

/// Which of the servers it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Listener {
    Common,
    MaxScale,
    Doris,
    Operate,
}

impl Listener {
    /// How it is announced; the common one has a line of its own.
    pub(super) const fn words(self) -> &'static str {
        match self {
            Self::Common => "For everything else",
            Self::MaxScale => "MaxScale API",
            Self::Doris => "Doris API",
            Self::Operate => "Health and metrics",
        }
    }

    /// What a request counts for whose path is no frontend's.
    const fn unmatched(self) -> &'static str {
        match self {
            Self::Common => OTHER,
            Self::MaxScale => "maxscale",
            Self::Doris => "doris",
            Self::Operate => "operate",
        }
    }
}

/// Where all servers count.
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
            // "Not ready" is an answer there, not a failure.
            RequestLog::Failed if listener == Listener::Operate => RequestLog::None,
            log => log,
        },
    }
}

/// What is asked of at an address of its own runs nothing, so anybody may be let in: who listens
/// beyond this machine expects to be asked by other names.
pub(super) fn hosts(address: SocketAddr) -> HostCheck {
    match address.ip().is_loopback() {
        true => HostCheck::local(),
        false => HostCheck::none(),
    }
}

pub(super) fn admin_state(begun: &Begun, http: Arc<HttpMetrics>) -> AdminState {
    AdminState {
        engine: begun.engine.clone(),
        log: begun.engine.log_metrics().cloned(),
        log_directory: match begun.is_read_only {
            true => begun.data.clone(),
            false => begun.data.join("log"),
        },
        http,
        version: env!("CARGO_PKG_VERSION"),
        started_millis: begun.at.as_millis(),
    }
}
