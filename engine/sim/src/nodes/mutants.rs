//! Deliberate defects of nodes. Each breaks a rule in a way that real code might, and the simulator must
//! find it.

/// A deliberate defect of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodesMutant {
    /// An append that was not answered is believed to be refused.
    BelievesSilenceRefuses,
    /// Batches are appended wherever the stream ends.
    AppendsWithoutFence,
    /// While the servers do not answer, a node counts the others' silence.
    CountsSilenceInElections,
    /// A node that follows a log says itself that something is not there.
    AnswersNegatives,
    /// A command that got no answer from the other node is sent again.
    AsksTwice,
    /// A node answers before it has followed the log up to what it did there.
    DoesNotWaitForOwnWrites,
    /// A job that is lost in the log goes on at its keeper.
    LeavesLostJobs,
    /// A consumer's cursor stays where it was when it pulls through another node.
    ForgetsCursors,
}

impl NodesMutant {
    /// Every mutant.
    pub const ALL: [Self; 8] = [
        Self::BelievesSilenceRefuses,
        Self::AppendsWithoutFence,
        Self::CountsSilenceInElections,
        Self::AnswersNegatives,
        Self::AsksTwice,
        Self::DoesNotWaitForOwnWrites,
        Self::LeavesLostJobs,
        Self::ForgetsCursors,
    ];
}
