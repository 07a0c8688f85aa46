//! Looks at the servers every few seconds, for operators: no decision depends on what it finds.

use crate::limits::WATCH;
use crate::{Shared, lock};

/// Looks until the node leaves.
pub(crate) fn run(shared: &Shared) {
    loop {
        for address in shared.surroundings.monitoring() {
            look_at(shared, address);
            if shared.is_leaving() {
                return;
            }
        }
        let logs: Vec<_> = lock(&shared.claims).keys().copied().collect();
        for log in logs {
            let Some((sequence, bytes)) = shared.surroundings.stream_end(log) else {
                // They don't answer for the others either.
                break;
            };
            shared.note(log, |status| {
                status.sequence = Some(sequence);
                status.stream_bytes = Some(bytes);
            });
        }
        if shared.pause(WATCH) {
            return;
        }
    }
}

/// Asks a server how it is.
fn look_at(shared: &Shared, address: &str) {
    let asked = shared.surroundings.ask_server(address);
    let mut servers = lock(&shared.servers);
    let known = servers.entry(address.into()).or_default();
    match asked {
        Ok(now) => {
            let server = now.name.as_deref().unwrap_or_default();
            if now.syncs == Some(false) && known.syncs != Some(false) {
                tracing::error!(
                    server,
                    address,
                    "a NATS server does not sync what it acknowledges: set `sync_interval: always` there"
                );
            }
            if known.syncs.is_none() && known.name.is_some() {
                tracing::info!(server, address, "a NATS server answers again");
            }
            *known = now;
        }
        Err(reason) => {
            if known.syncs.is_some() {
                let server = known.name.as_deref().unwrap_or_default();
                let said = "a NATS server does not answer at its monitoring address";
                tracing::warn!(server, address, reason, "{said}");
            }
            known.syncs = None;
        }
    }
}
