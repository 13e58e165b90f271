//! The promises that an ensemble makes, by name: whoever sees one broken says which.

use std::fmt::{self, Display, Formatter};

/// Something that must hold whatever happens. An assertion that finds it broken begins with its name.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Promise {
    /// Nobody ever becomes leader of a term that had another leader.
    OneLeaderPerTerm,
    /// Two logs that hold the same entry hold the same entries before it.
    LogMatching,
    /// Whoever becomes leader holds everything that was committed in earlier terms.
    LeaderCompleteness,
    /// Whatever anybody applies at a place is what everybody applies there.
    StateMachineSafety,
    /// When a leader says that an entry is committed, the disks of a majority hold it.
    CommittedIsDurable,
    /// What a proposer was told to be committed stays on the disks of a majority.
    AcknowledgedSurvives,
    /// A read is answered at a place no earlier than anything applied before it began.
    FreshReads,
    /// What was reported as overwritten is never applied, and nothing is both.
    RefusedIsRefused,
    /// A member never believes in more than its disk holds, and its writes make its disk equal to its log.
    MirrorEqualsDisk,
}

impl Promise {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::OneLeaderPerTerm,
        Self::LogMatching,
        Self::LeaderCompleteness,
        Self::StateMachineSafety,
        Self::CommittedIsDurable,
        Self::AcknowledgedSurvives,
        Self::FreshReads,
        Self::RefusedIsRefused,
        Self::MirrorEqualsDisk,
    ];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::OneLeaderPerTerm => "one leader per term",
            Self::LogMatching => "log matching",
            Self::LeaderCompleteness => "leader completeness",
            Self::StateMachineSafety => "state-machine safety",
            Self::CommittedIsDurable => "what is committed is durable on a majority",
            Self::AcknowledgedSurvives => "an acknowledged entry survives",
            Self::FreshReads => "reads are not stale",
            Self::RefusedIsRefused => "what is refused stays refused",
            Self::MirrorEqualsDisk => "the durable mirror equals the disk",
        }
    }

    /// Which promise a failed assertion speaks of, if it speaks of one.
    #[must_use]
    pub fn broken_by(assertion: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|promise| assertion.starts_with(promise.name()))
    }
}

impl Display for Promise {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
