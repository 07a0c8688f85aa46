//! The requests and answers of JetStream's API that are used, as JSON.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// No message with this sequence or subject.
pub(crate) const NO_MESSAGE: u32 = 10_037;
/// No such stream.
pub(crate) const NO_STREAM: u32 = 10_059;
/// One server can't keep several replicas.
pub(crate) const NOT_REPLICATED: u32 = 10_074;
/// The stream's last sequence is not the expected one; a server uses either.
pub(crate) const WRONG_LAST: [u32; 2] = [10_071, 10_164];
/// The message is too large, a batch is too large, or the stream does not accept batches.
pub(crate) const NEVER_STORED: [u32; 3] = [10_054, 10_199, 10_174];

/// A server's storage, the account's, or the stream is full.
pub(crate) const NO_ROOM: [u32; 3] = [10_023, 10_047, 10_077];

#[derive(Debug, Deserialize)]
pub(crate) struct ApiError {
    #[serde(default)]
    pub(crate) err_code: u32,
    #[serde(default)]
    pub(crate) description: String,
}

/// The answer to a published message.
#[derive(Debug, Deserialize)]
pub(crate) struct PublishAnswer {
    pub(crate) error: Option<ApiError>,
    #[serde(default)]
    pub(crate) seq: u64,
}

/// The answer to `STREAM.INFO`, `STREAM.CREATE` and `STREAM.PURGE`.
#[derive(Debug, Deserialize)]
pub(crate) struct StreamAnswer {
    pub(crate) error: Option<ApiError>,
    pub(crate) config: Option<StreamConfig>,
    pub(crate) state: Option<StreamState>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct StreamState {
    pub(crate) first_seq: u64,
    pub(crate) last_seq: u64,
    #[serde(default)]
    pub(crate) bytes: u64,
    #[serde(default)]
    pub(crate) subjects: BTreeMap<String, u64>,
}

/// What a stream must be like.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StreamConfig {
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) subjects: Vec<String>,
    pub(crate) storage: String,
    pub(crate) num_replicas: usize,
    pub(crate) retention: String,
    pub(crate) discard: String,
    /// In nanoseconds; 0 for ever.
    #[serde(default)]
    pub(crate) max_age: i64,
    #[serde(default = "unlimited")]
    pub(crate) max_msgs: i64,
    #[serde(default = "unlimited")]
    pub(crate) max_msgs_per_subject: i64,
    #[serde(default)]
    pub(crate) allow_direct: bool,
    #[serde(default)]
    pub(crate) allow_atomic: bool,
    #[serde(default)]
    pub(crate) deny_delete: bool,
    #[serde(default)]
    pub(crate) metadata: BTreeMap<String, String>,
}

const fn unlimited() -> i64 {
    -1
}

/// The answer to `STREAM.MSG.GET`.
#[derive(Debug, Deserialize)]
pub(crate) struct MessageAnswer {
    pub(crate) error: Option<ApiError>,
    pub(crate) message: Option<StoredMessage>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct StoredMessage {
    pub(crate) seq: u64,
    /// In base64.
    #[serde(default)]
    pub(crate) data: String,
}

/// What `/varz` says about a server.
#[derive(Debug, Deserialize)]
pub(crate) struct Varz {
    #[serde(default)]
    pub(crate) server_name: String,
    #[serde(default)]
    pub(crate) version: String,
    #[serde(default)]
    pub(crate) jetstream: VarzJetStream,
}

#[derive(Debug, Default, Deserialize)]
pub(crate) struct VarzJetStream {
    pub(crate) config: Option<VarzConfig>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct VarzConfig {
    #[serde(default)]
    pub(crate) sync_always: bool,
}

/// What `/jsz` says about all servers.
#[derive(Debug, Deserialize)]
pub(crate) struct Jsz {
    pub(crate) meta_cluster: Option<MetaCluster>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct MetaCluster {
    /// The name of the server that leads the others.
    #[serde(default)]
    pub(crate) leader: String,
    /// The others, as far as this server knows.
    #[serde(default)]
    pub(crate) replicas: Vec<MetaReplica>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct MetaReplica {
    #[serde(default)]
    pub(crate) current: bool,
    #[serde(default)]
    pub(crate) offline: bool,
}
