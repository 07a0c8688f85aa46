//! Who says to own a log, and who should claim it.

use crate::beats::Beats;
use crate::limits::NODE_NAME_BYTES;
use rejoin_log::segment::checksum;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// The name of a node: lower-case letters, digits and `-`, up to 32.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct NodeName(String);

/// Why a text is not the name of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a node's name has 1 to 32 lower-case letters, digits and `-`")]
pub struct NodeNameError;

impl NodeName {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for NodeName {
    type Err = NodeNameError;

    fn from_str(text: &str) -> Result<Self, NodeNameError> {
        Self::try_from(text.to_owned())
    }
}

impl TryFrom<String> for NodeName {
    type Error = NodeNameError;

    fn try_from(text: String) -> Result<Self, NodeNameError> {
        let is_allowed =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if !text.is_empty() && text.len() <= NODE_NAME_BYTES && text.bytes().all(is_allowed) {
            Ok(Self(text))
        } else {
            Err(NodeNameError)
        }
    }
}

impl From<NodeName> for String {
    fn from(name: NodeName) -> Self {
        name.0
    }
}

impl fmt::Display for NodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A run of a node's program: 128 random bits. Tells a node from its own former life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Process(pub [u8; 16]);

impl fmt::Display for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl From<Process> for String {
    fn from(process: Process) -> Self {
        process.to_string()
    }
}

impl TryFrom<String> for Process {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let wrong = "a process is 32 hexadecimal digits";
        if text.len() != 32 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(wrong);
        }
        let number = u128::from_str_radix(&text, 16).map_err(|_| wrong)?;
        Ok(Self(number.to_be_bytes()))
    }
}

/// The entry of a log in the key-value store, as JSON: who says to own it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// The node that the log belongs to: its sessions are created there.
    pub home: NodeName,
    /// Who writes it, or is about to. None: it was let go.
    pub owner: Option<NodeName>,
    /// The run of the owner's program.
    pub process: Option<Process>,
    /// Grows with each owner.
    pub term: u64,
    /// Whether its home was taken out of the cluster for good. Then the log stays with the others, and no node of that
    /// name may start again.
    #[serde(default, skip_serializing_if = "is_false")]
    pub retired: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
fn is_false(value: &bool) -> bool {
    !*value
}

impl Claim {
    /// Whether it was written before another claim of the same log. Terms grow, and who was retired stays so.
    #[must_use]
    pub fn is_before(&self, other: &Self) -> bool {
        let is_retired_there = other.retired && !self.retired;
        self.term < other.term || (self.term == other.term && is_retired_there)
    }

    /// Whether it is this process's.
    #[must_use]
    pub fn is_of(&self, node: &NodeName, process: Process) -> bool {
        self.owner.as_ref() == Some(node) && self.process == Some(process)
    }
}

/// The key of a log's claim.
#[must_use]
pub fn claim_key(log: u8) -> String {
    format!("log.{log}")
}

/// The key of a node's beat.
#[must_use]
pub fn node_key(node: &NodeName) -> String {
    format!("node.{node}")
}

/// Whether `me`, which does not write log `number` and is not taking it, should claim it now.
///
/// A node claims its own log when no node has it, and what it or a former run of it had. The log of a dead
/// node, or one that was let go, is claimed by one live node: the one that the log belongs to, else
/// the one with the smallest hash. If that one leaves a dead node's log alone, the next ones claim
/// it, a beat later each. If two claim all the same, one of them loses. A log that no node has had yet is left
/// to the one that it belongs to. A node that was retired claims its log no more, and it is no longer the first to.
///
/// The claim is as it is now; `beats` must have [seen](Beats::watch) it before, if its owner is to be held for
/// dead.
///
/// `has_owned`: this process has written the log before. Then another process of the same name has
/// taken it from us, and we don't take it back: two processes would do so for ever.
#[must_use]
pub fn should_claim(
    number: u8,
    claim: &Claim,
    (me, process): (&NodeName, Process),
    has_owned: bool,
    beats: &Beats,
) -> bool {
    if claim.retired && claim.home == *me {
        return false;
    }
    let Some(owner) = &claim.owner else {
        // Its node has made it a moment ago, and its first beat has not been seen yet. There is nothing in it
        // that anybody could wait for.
        if claim.term == 0 && claim.home != *me {
            return false;
        }
        return beats.row() > 0 && rank(number, claim, me, beats) == 0;
    };
    if owner == me {
        return claim.process == Some(process) || !has_owned;
    }
    let silence = beats.silence_since(number, claim);
    silence
        >= beats
            .patience()
            .saturating_add(rank(number, claim, me, beats))
}

/// How many live nodes should claim the log before `me`.
fn rank(number: u8, claim: &Claim, me: &NodeName, beats: &Beats) -> u64 {
    let is_home = |node: &NodeName| *node == claim.home;
    let order = |node: &NodeName| {
        let hash = checksum(format!("{number} {node}").as_bytes());
        (!is_home(node), hash, node.clone())
    };
    let mine = order(me);
    // A node that was retired may run on, and claims its log all the same no more.
    let others = beats
        .live()
        .filter(|node| !(claim.retired && is_home(node)));
    others.filter(|node| order(node) < mine).count() as u64
}
