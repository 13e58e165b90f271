//! Worlds that are broken on purpose, to show that the invariants notice: a checker that cannot fail proves nothing.
//! Nothing here touches the code under test; it breaks what stands around it.

/// One thing that is wrong with a world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sabotage {
    /// Disks report writes as durable before they are.
    AcknowledgeBeforeSync,
    /// Disks report writes as durable and never write them.
    NeverWrite,
    /// Leaders answer their own clients when an entry is appended, not when it is committed.
    ReleaseEarly,
    /// Every request is handed to its member twice.
    SubmitTwice,
    /// Answers are given twice.
    AnswerTwice,
    /// Barriers are answered by the member that was asked, without asking the leader.
    StaleBarriers,
    /// Clocks run much faster than any real one.
    RacingClocks,
    /// A standing connection loses a message now and then.
    LossyLanes,
    /// Votes are given without being written: their records never reach the disk.
    ForgetVotes,
}
