//! Looks at the servers every few seconds, for operators: no decision depends on what it finds.

use crate::limits::WATCH;
use crate::{Shared, lock};
use rejoin_engine::peers::ServerStatus;
use rejoin_log_jetstream::{SyncProof, ask_server};

/// Looks until the node leaves.
pub(crate) fn run(shared: &Shared) {
    loop {
        if let SyncProof::Monitoring(addresses) = &shared.settings.sync {
            for address in addresses {
                look_at(shared, address);
                if shared.is_leaving() {
                    return;
                }
            }
        }
        let logs: Vec<_> = lock(&shared.claims).keys().copied().collect();
        for log in logs {
            let cluster = &shared.settings.cluster;
            let Some(sequence) = shared.connection.last_sequence(cluster, log) else {
                // They don't answer for the others either.
                break;
            };
            shared.note(log, |status| status.sequence = Some(sequence));
        }
        if shared.pause(WATCH) {
            return;
        }
    }
}

/// Asks a server how it is.
fn look_at(shared: &Shared, address: &str) {
    let asked = ask_server(address);
    let mut servers = lock(&shared.servers);
    let known = servers.entry(address.into()).or_default();
    match asked {
        Ok(report) => {
            if !report.syncs && known.syncs != Some(false) {
                tracing::error!(
                    server = %report.name,
                    %address,
                    "a NATS server does not sync what it acknowledges: set `sync_interval: always` there"
                );
            }
            if known.syncs.is_none() && known.name.is_some() {
                tracing::info!(server = %report.name, %address, "a NATS server answers again");
            }
            *known = ServerStatus {
                name: Some(report.name.into()),
                version: Some(report.version.into()),
                syncs: Some(report.syncs),
            };
        }
        Err(reason) => {
            if known.syncs.is_some() {
                let server = known.name.as_deref().unwrap_or_default();
                tracing::warn!(server, %address, %reason, "a NATS server does not answer at its monitoring address");
            }
            known.syncs = None;
        }
    }
}
