//! Every invariant, by name, and how often each was looked at. What each one demands stands beside the function that
//! checks it; this is the list of them.

use std::cell::Cell;

/// Declares the invariants, so that the list of all cannot miss one.
macro_rules! invariants {
    ($($(#[doc = $doc:literal])+ $kind:ident = $name:literal,)+) => {
        /// Something that can never be seen.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Invariant {
            $($(#[doc = $doc])+ $kind,)+
        }

        impl Invariant {
            /// All of them.
            pub const ALL: &'static [Invariant] = &[$(Invariant::$kind,)+];

            /// Its name, for people.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self {
                    $(Invariant::$kind => $name,)+
                }
            }

            /// What holds, in a sentence.
            #[must_use]
            pub fn meaning(self) -> &'static str {
                match self {
                    $(Invariant::$kind => concat!($($doc),+).trim_ascii_start(),)+
                }
            }
        }
    };
}

invariants! {
    /// At most one member leads in a term.
    OneLeaderPerTerm = "one leader per term",
    /// Entries with the same index and term have the same content and the same predecessor, whoever wrote them.
    LogsMatch = "logs match",
    /// A member's term never goes back, nor its vote within a term.
    BallotsMoveForward = "ballots move forward",
    /// A leader never cuts its own log.
    LeadersOnlyAppend = "leaders only append",
    /// Nobody cuts off what it knows to be committed.
    CommittedEntriesAreNotCut = "committed entries are not cut",
    /// Entries follow each other without a gap, in memory and on disk.
    LogsHaveNoGap = "logs have no gap",
    /// Whatever was committed in an earlier term is in the log of every leader.
    LeadersHoldWhatIsCommitted = "leaders hold what is committed",
    /// What is committed at a place never changes, whoever knows of it.
    CommittedEntriesNeverChange = "committed entries never change",
    /// Base, applied, committed and last stand in this order, and the middle two never go back.
    ProgressIsOrdered = "progress is ordered",
    /// A vote is on disk before it is given.
    VotesAreDurable = "votes are durable before they are sent",
    /// Entries are on disk before they are acknowledged.
    EntriesAreDurable = "entries are durable before they are acknowledged",
    /// A leader's own vote is on its disk.
    LeadersHaveVotedDurably = "leaders have voted durably",
    /// Whatever is committed is on the disks of a majority, of both majorities while the membership changes.
    CommittedMeansDurable = "committed means durable on a majority",
    /// No disk ever holds two votes in one term.
    OneVotePerTerm = "one vote per term",
    /// A start finds everything that its disk had acknowledged.
    AcknowledgedWritesAreRecovered = "acknowledged writes are recovered",
    /// Members that applied the same entries have the same state.
    StatesAreEqual = "states are equal",
    /// What a process publishes never goes back.
    PublishedStatesMoveForward = "published states move forward",
    /// The feed of published states has every change once, in order, as it was decided.
    FeedHasNoGap = "the feed has no gap",
    /// No row is attached to a lease that is not there.
    EndedLeasesHoldNothing = "ended leases hold nothing",
    /// The running hash is what counting anew gives.
    RunningHashesAreTrue = "running hashes are true",
    /// A member stops by itself only when its log failed, its state was damaged or it was removed.
    MembersStopOnlyWithReason = "members stop only with a reason",
    /// A process that ended can be started again on what its disk holds.
    MembersStartAgain = "members start again",
    /// Every committed entry can be put into the tables.
    CommittedEntriesApply = "committed entries can be applied",
    /// Every change makes the next revision.
    RevisionsAreDense = "revisions are dense",
    /// Every change was asked for by a client, or is the end of a lease.
    OnlyWhatWasAskedFor = "only what was asked for is done",
    /// A request is carried out once at the most.
    NoRequestTwice = "no request is applied twice",
    /// A decision reaches its client only after everything it saw or made is committed.
    RepliesFollowCommit = "replies are released after commit",
    /// A member answers its client only after it applied what the answer rests on.
    RepliesAreApplied = "replies are applied where they are given",
    /// A request that was said not to be applied never is.
    NotAppliedIsNeverApplied = "not applied is never applied",
    /// No request is answered twice, and nothing is answered that was not asked.
    RequestsAreAnsweredOnce = "requests are answered once",
    /// Every request gets an answer in time.
    RequestsAreAnswered = "requests are answered",
    /// What an operator is told was done to the membership is decided.
    OrdersAreCarriedOut = "orders are carried out",
    /// A frame of which a bit changed under way is never taken for another message.
    CorruptedBytesAreRefused = "corrupted bytes are refused",
    /// A member whose state differs by one bit is found out as soon as anything is decided.
    DamageIsNoticed = "damage is noticed",
    /// Every answer can be understood.
    RepliesCanBeRead = "replies can be read",
    /// A read after a barrier sees every write that was acknowledged before it began.
    ReadsAreFresh = "reads after a barrier are fresh",
    /// No client is told that a lease lasts longer than its full time.
    LeasesHaveNoMoreThanAll = "leases have no more than all",
    /// A lease that was kept does not run out before its time, whatever the clocks do.
    LeasesNeverExpireEarly = "leases never expire early",
    /// Nobody is told that a lease does not exist unless a committed entry ended it.
    LeasesAreMissedOnlyWhenEnded = "leases are missed only when they ended",
    /// A lease that nobody keeps is gone within its time and a little, once nothing goes wrong any more.
    LeasesEnd = "leases end within their bound",
    /// A watcher is told every change of what it watches once and in order, through reconnections and changes of leader.
    WatchersSeeEveryChangeOnce = "watchers see every change once",
    /// Nobody can be told of a revision before the watchers beside him were told of what happened up to it.
    WatchersMissNothing = "watchers miss nothing",
    /// After the faults there is one leader, and all members are equal, within twenty election timeouts and a little.
    HealedConverges = "a healed ensemble converges",
    /// After the faults every member answers fresh writes and reads within a second.
    HealedServes = "a healed ensemble serves",
    /// Every answer is what the registers held at its revision, and revisions agree with time and with every stream.
    HistoriesFollowRevisions = "histories follow the order of revisions",
    /// There is an order of all operations that explains every answer, found without looking at revisions.
    HistoriesAreLinearizable = "histories are linearizable",
    /// The simulation itself does not go in circles.
    TimeGoesOn = "time goes on",
}

thread_local! {
    /// A world lives in one thread: so this counts for it alone, if it is taken when the world ends.
    static LOOKS: [Cell<u64>; Invariant::ALL.len()] = const { [const { Cell::new(0) }; Invariant::ALL.len()] };
}

/// Counts that an invariant was looked at.
pub(super) fn looked_at(invariant: Invariant) {
    LOOKS.with(|looks| {
        let count = &looks[invariant as usize];
        count.set(count.get() + 1);
    });
}

/// How often each invariant was looked at on this thread since this was last asked.
#[must_use]
pub fn take_looks() -> Vec<(Invariant, u64)> {
    LOOKS.with(|looks| Invariant::ALL.iter().map(|&invariant| (invariant, looks[invariant as usize].take())).collect())
}
