//! What the server shows to whoever operates it, and how its servers are watched.

use super::Begun;
use crate::settings::Settings;
use rejoin_admin::Operated;
use rejoin_http::{HostCheck, Numbers, Requests, Watch};
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
            Self::MaxScale => "For clients of MaxScale",
            Self::Doris => "For clients of Doris",
            Self::Operate => "For health and numbers",
        }
    }

    fn frontend(self) -> fn(&str) -> &'static str {
        match self {
            Self::Common => frontend,
            Self::MaxScale => |_| "maxscale",
            Self::Doris => |_| "doris",
            Self::Operate => |_| "operate",
        }
    }
}

/// Who has a path on the common server.
fn frontend(path: &str) -> &'static str {
    match path.split('/').nth(1).unwrap_or_default() {
        "api" => "arthas",
        "sessions" | "openapi.json" => "native",
        "v1" => "maxscale",
        "rest" => "doris",
        "metrics" | "healthz" | "readyz" => "operate",
        _ => OTHER,
    }
}

/// Where all servers count.
pub(super) fn numbers() -> Arc<Numbers> {
    Arc::new(Numbers::new(&FRONTENDS))
}

pub(super) fn watch(settings: &Settings, numbers: &Arc<Numbers>, listener: Listener) -> Watch {
    Watch {
        numbers: numbers.clone(),
        frontend: listener.frontend(),
        told: match settings.log_requests() {
            // Not to be ready is an answer, and a failure of nothing.
            Requests::Failed if listener == Listener::Operate => Requests::None,
            told => told,
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

pub(super) fn operated(begun: &Begun, http: Arc<Numbers>) -> Operated {
    Operated {
        engine: begun.engine.clone(),
        log: begun.log.clone(),
        log_directory: match begun.is_read_only {
            true => begun.data.clone(),
            false => begun.data.join("log"),
        },
        http,
        version: env!("CARGO_PKG_VERSION"),
        begun_millis: begun.at.as_millis(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whose_a_request_is_stands_in_its_path() {
        for (path, expected) in [
            ("/api", "arthas"),
            ("/sessions/7/stream", "native"),
            ("/v1/sessions", "maxscale"),
            ("/rest/v1/session", "doris"),
            ("/metrics", "operate"),
            ("/", "other"),
            ("/apiary", "other"),
        ] {
            assert_eq!(frontend(path), expected, "{path}");
            assert!(FRONTENDS.contains(&expected));
        }
    }
}
