//! What a log needs to know of the servers.

use crate::servers::Servers;
use rejoin_log_jetstream::{JetStreamSettings, SyncProof};

impl Servers {
    pub(crate) fn settings(&self, cluster: &str) -> JetStreamSettings {
        let servers = self.addresses();
        JetStreamSettings {
            replicas: servers.len(),
            servers,
            cluster: cluster.parse().unwrap(),
            number: 0,
            sync: SyncProof::Monitoring(self.monitoring()),
        }
    }
}
