//! Takes a node out of its cluster for good.

use crate::limits::{LOGS, REOPEN, RETIRING};
use crate::surroundings::Server;
use crate::{Shared, lock};
use rejoin_cluster::{Claim, LogServer, NodeName, Written, claim_key, node_key};
use rejoin_engine::peers::{RetireError, RetiredNode};

/// Says in the claim of its log that it was retired, and deletes its beat. Blocks.
pub(crate) fn retire(shared: &Shared, name: &str) -> Result<RetiredNode, RetireError> {
    let unknown = || RetireError::Unknown(name.into());
    let node: NodeName = name.parse().map_err(|_| unknown())?;
    if node == shared.member.node {
        return Err(RetireError::Itself(name.into()));
    }
    {
        let beats = lock(&shared.beats);
        if beats.live().any(|live| *live == node) {
            return Err(RetireError::Alive(name.into()));
        }
        // Nobody's beat has been seen, so nobody's silence says anything.
        if beats.row() == 0 {
            return Err(RetireError::Unanswered);
        }
    }
    let server = shared.surroundings.server(shared.home);
    let (mut entries, _) = server.map_err(|_| RetireError::Unanswered)?;
    for _ in 0..RETIRING {
        if let Some(retired) = try_retire(&mut entries, &node) {
            let retired = retired.ok_or_else(unknown)?;
            // Known here before it is read again.
            if let Some(claim) = lock(&shared.claims).get_mut(&retired.log) {
                claim.retired = true;
            }
            delete_beat(&mut entries, &node);
            tracing::info!(%node, log = retired.log, "took a node out of the cluster");
            return Ok(retired);
        }
        shared.surroundings.sleep(REOPEN);
    }
    Err(RetireError::Unanswered)
}

/// None: the servers did not answer, or the claim has just changed. `Some(None)`: there is no such node.
fn try_retire(entries: &mut Server, node: &NodeName) -> Option<Option<RetiredNode>> {
    for log in 0..LOGS {
        let key = claim_key(log);
        let Some(entry) = entries.read(&key)? else {
            // Homes are given out in order.
            break;
        };
        let Some(claim) = Claim::decode(&entry.value).filter(|claim| claim.home == *node) else {
            continue;
        };
        let retired = RetiredNode {
            log,
            owner: claim.owner.as_ref().map(|owner| owner.as_str().into()),
        };
        if claim.retired {
            return Some(Some(retired));
        }
        let claim = Claim {
            retired: true,
            ..claim
        };
        return match entries.write(&key, entry.revision, &claim.encode()) {
            Written::Done(_) => Some(Some(retired)),
            Written::Conflict | Written::Unknown => None,
        };
    }
    Some(None)
}

/// So that nobody waits for it, or is alarmed by its silence.
fn delete_beat(entries: &mut Server, node: &NodeName) {
    let key = node_key(node);
    if let Some(Some(beat)) = entries.read(&key)
        && !beat.value.is_empty()
    {
        entries.write(&key, beat.revision, b"");
    }
}
