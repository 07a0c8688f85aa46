//! Gives a log back, so that another node can take it at once.

use crate::acquisition::Held;
use crate::claim::{Claim, NodeName, Process, claim_key};
use crate::publication::{Publication, PublishVerdict};
use crate::server::{Entry, LogServer, Progress, Written};

/// Writes the message that lets a log go, and then an entry without an owner. After the first step
/// the log must not be written any more.
#[derive(Clone, Debug)]
pub struct Release {
    number: u8,
    node: NodeName,
    process: Process,
    phase: Phase,
}

#[derive(Clone, Debug)]
enum Phase {
    Publish(Publication),
    ReadClaim,
    WriteClaim(u64, Claim),
}

/// How a release has ended. The log is not ours any more in any case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Released {
    /// Its entry has no owner.
    LetGo,
    /// Another has taken it meanwhile.
    Taken,
    /// It could not be said in the stream that the log is let go. Another will take it when this
    /// node's beat stops.
    Failed(PublishVerdict),
}

impl Release {
    /// Lets go of log `number`. No publication may be under way.
    #[must_use]
    pub fn new(number: u8, (node, process): (&NodeName, Process), held: &Held) -> Self {
        Self {
            number,
            node: node.clone(),
            process,
            phase: Phase::Publish(held.let_go()),
        }
    }

    /// Makes the next call.
    pub fn step(&mut self, server: &mut (impl LogServer + ?Sized)) -> Progress<Released> {
        let key = claim_key(self.number);
        match &mut self.phase {
            Phase::Publish(publication) => match publication.step(server) {
                Progress::Again => Progress::Again,
                Progress::Pause => Progress::Pause,
                Progress::Done(PublishVerdict::Stored) => {
                    self.phase = Phase::ReadClaim;
                    Progress::Again
                }
                Progress::Done(PublishVerdict::Fenced(_)) => Progress::Done(Released::Taken),
                Progress::Done(verdict) => Progress::Done(Released::Failed(verdict)),
            },
            Phase::ReadClaim => match server.read(&key) {
                None => Progress::Pause,
                Some(entry) => self.found(entry),
            },
            Phase::WriteClaim(revision, claim) => {
                match server.write(&key, *revision, &claim.encode()) {
                    Written::Done(_) => Progress::Done(Released::LetGo),
                    Written::Conflict => {
                        self.phase = Phase::ReadClaim;
                        Progress::Again
                    }
                    Written::Unknown => {
                        self.phase = Phase::ReadClaim;
                        Progress::Pause
                    }
                }
            }
        }
    }

    fn found(&mut self, entry: Option<Entry>) -> Progress<Released> {
        let claim = entry.as_ref().and_then(|entry| Claim::decode(&entry.value));
        let (Some(entry), Some(claim)) = (entry, claim) else {
            return Progress::Done(Released::Taken);
        };
        if claim.is_of(&self.node, self.process) {
            let free = Claim {
                owner: None,
                process: None,
                ..claim
            };
            self.phase = Phase::WriteClaim(entry.revision, free);
            Progress::Again
        } else if claim.owner.is_none() {
            Progress::Done(Released::LetGo)
        } else {
            Progress::Done(Released::Taken)
        }
    }
}
