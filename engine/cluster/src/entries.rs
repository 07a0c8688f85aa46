//! What nodes know of each other and of their cluster: entries of the key-value store, as JSON.

use crate::Claim;
use crate::limits::{CLAIM_BYTES, NODE_BYTES};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The entry of the cluster: what can't change after it was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterEntry {
    /// The version of what is in the store and in the streams: 1.
    pub format: u32,
    /// How many logs share the numbers of sessions and jobs.
    pub numbers: u8,
}

/// The entry of a node, written at each beat.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeEntry {
    /// The log that is its home.
    pub log: u8,
    /// The version of its program.
    pub version: String,
    /// The services that sessions can be created on there.
    pub services: Vec<String>,
    /// Grows with each beat of this process.
    pub beat: u64,
    /// A keyed code of its accounts: nodes with the same one accept each other's logins. None: it has no login key,
    /// or is of an older version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accounts: Option<String>,
    /// How many records it has of each log.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub copies: BTreeMap<u8, u64>,
}

/// The key of the cluster's entry.
pub const CLUSTER_KEY: &str = "cluster";

macro_rules! entry {
    ($entry:ident, $bytes:expr) => {
        impl $entry {
            /// The bytes of the entry.
            #[must_use]
            pub fn encode(&self) -> Vec<u8> {
                serde_json::to_vec(self).unwrap_or_default()
            }

            /// The entry with these bytes; None if they are not one.
            #[must_use]
            pub fn decode(bytes: &[u8]) -> Option<Self> {
                if bytes.len() > $bytes {
                    return None;
                }
                serde_json::from_slice(bytes).ok()
            }
        }
    };
}

entry!(ClusterEntry, CLAIM_BYTES);
entry!(NodeEntry, NODE_BYTES);
entry!(Claim, CLAIM_BYTES);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::NODE_SERVICES;

    #[test]
    fn entries_are_this_json_and_may_have_more_members_later() {
        let cluster = ClusterEntry {
            format: 1,
            numbers: 16,
        };
        assert_eq!(cluster.encode(), br#"{"format":1,"numbers":16}"#);
        let node = NodeEntry {
            log: 2,
            version: "1.2.3".to_owned(),
            services: vec!["shell".to_owned()],
            beat: 7,
            accounts: None,
            copies: BTreeMap::new(),
        };
        let encoded = br#"{"log":2,"version":"1.2.3","services":["shell"],"beat":7}"#;
        assert_eq!(node.encode(), encoded);
        let copies =
            br#"{"log":2,"version":"1.2.3","services":["shell"],"beat":7,"copies":{"0":5,"2":9}}"#;
        let with_copies = NodeEntry {
            copies: BTreeMap::from([(0, 5), (2, 9)]),
            ..node.clone()
        };
        assert_eq!(with_copies.encode(), copies);
        assert_eq!(NodeEntry::decode(copies), Some(with_copies));
        let later = br#"{"log":2,"version":"1.2.3","services":["shell"],"beat":7,"sea":1}"#;
        assert_eq!(NodeEntry::decode(later).as_ref(), Some(&node));
        let marked = NodeEntry {
            accounts: Some("0a".to_owned()),
            ..node
        };
        let encoded =
            br#"{"log":2,"version":"1.2.3","services":["shell"],"beat":7,"accounts":"0a"}"#;
        assert_eq!(marked.encode(), encoded);
        assert_eq!(NodeEntry::decode(encoded), Some(marked));
        for other in [&b""[..], b"{}", b"[]"] {
            assert_eq!(NodeEntry::decode(other), None);
            assert_eq!(ClusterEntry::decode(other), None);
        }
    }

    #[test]
    fn an_entry_that_is_too_long_is_not_read_and_one_with_all_services_is_not_too_long() {
        let name = |number| format!("{number:->64}");
        let mut node = NodeEntry {
            log: 15,
            version: "1.2.3".to_owned(),
            services: (0..NODE_SERVICES).map(name).collect(),
            beat: u64::MAX,
            accounts: Some("0a".repeat(32)),
            copies: (0..16).map(|log| (log, u64::MAX)).collect(),
        };
        assert_eq!(NodeEntry::decode(&node.encode()), Some(node.clone()));
        node.services.extend((0..NODE_SERVICES).map(name));
        assert_eq!(NodeEntry::decode(&node.encode()), None);
        let mut cluster = br#"{"format":1,"numbers":16}"#.to_vec();
        cluster.resize(CLAIM_BYTES + 1, b' ');
        assert_eq!(ClusterEntry::decode(&cluster), None);
    }
}
