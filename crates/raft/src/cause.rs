//! Why things changed: the facts of the election diary, and the same in plain words.
//!
//! No numbers of time stand here, for the core has no clock; the driver knows when it drained them, when
//! the last heartbeat came and when a connection broke, and adds that. Nothing here is ever decided upon.

use std::fmt::{self, Display, Formatter};

use crate::effects::{Refusal, Standing};
use crate::membership::Membership;
use crate::message::VoteRefusal;
use crate::types::{Index, LogId, NodeId, Term};

/// Why a member stands where it stands.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Cause {
    /// It was just started.
    Started,
    /// It campaigns.
    Campaigns(Trigger),
    /// It was elected.
    Elected {
        /// Why there was an election.
        trigger: Trigger,
        /// How many voted for it, itself included.
        votes: usize,
        /// Of how many voters.
        voters: usize,
    },
    /// It heard from the leader of its term.
    HeardLeader(NodeId),
    /// A member spoke of a later term.
    HigherTerm {
        /// Who did.
        from: NodeId,
        /// Which term.
        term: Term,
    },
    /// An installed snapshot ends in a later term.
    SnapshotOfLaterTerm(Term),
    /// It led, and too few answered for an election timeout.
    LostMajority {
        /// How many voters were heard, itself included.
        heard: usize,
        /// Of how many.
        voters: usize,
    },
    /// It led, and the one to whom it handed over took over.
    HandedOver {
        /// To whom.
        to: NodeId,
        /// Why.
        why: TransferCause,
    },
    /// It led, and the ensemble's members decided to go on without it.
    Removed,
    /// It asked for pre-votes, and too many said no.
    PreVoteFailed,
    /// It asked for votes, and too many said no.
    ElectionLost,
    /// The membership changed what it is (a learner became a voter, or the reverse).
    MembershipChanged,
}

/// Why a member campaigns.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Trigger {
    /// Its election timer ran out.
    TimedOut {
        /// The leader it had not heard from.
        leader: Option<NodeId>,
    },
    /// The connection to the leader broke.
    ConnectionLost {
        /// That leader.
        leader: NodeId,
    },
    /// The leader asked it to take over.
    Transfer {
        /// That leader.
        from: NodeId,
    },
    /// It led until just now, had to give up its term, and nobody else leads.
    Deposed,
    /// It is the only voter.
    Alone,
}

/// Why leadership is handed over.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum TransferCause {
    /// Somebody asked for it.
    Asked,
    /// The leader's disk did not finish a write within an election timeout.
    DiskStalled,
    /// The successor has the higher priority, and has been healthy and caught up for a while.
    Preferred,
    /// The leader is no longer a voter.
    Removed,
}

/// Whether an election is a trial or real.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Ballotage {
    /// Would you vote for me?
    PreVote,
    /// Vote for me.
    Vote,
}

/// How a round of asking for votes ended.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum TallyEnd {
    /// A majority said yes.
    Won,
    /// A majority can no longer say yes.
    Lost,
    /// The timer ran out first.
    TimedOut,
    /// A leader or a later term appeared first.
    Overtaken,
}

/// One thing worth a line in the diary.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Event {
    /// Role, term or leader changed.
    Stands(Standing),
    /// This member said yes to a candidate.
    Granted {
        /// A trial or real.
        kind: Ballotage,
        /// To whom.
        to: NodeId,
        /// In which term the candidate would lead.
        term: Term,
    },
    /// This member said no to a candidate.
    Refused {
        /// A trial or real.
        kind: Ballotage,
        /// To whom.
        to: NodeId,
        /// In which term the candidate would lead.
        term: Term,
        /// Why.
        why: VoteRefusal,
    },
    /// This member's own asking for votes ended.
    Tallied {
        /// A trial or real.
        kind: Ballotage,
        /// In which term it would lead.
        term: Term,
        /// How it ended.
        end: TallyEnd,
        /// Who said yes, itself included.
        granted: Vec<NodeId>,
        /// Who said no, and why.
        refused: Vec<(NodeId, VoteRefusal)>,
        /// Who did not answer.
        silent: Vec<NodeId>,
    },
    /// The connection to the leader broke while this member followed it.
    LostLeader(NodeId),
    /// The leader starts handing over.
    TransferStarted {
        /// To whom.
        to: NodeId,
        /// Why.
        why: TransferCause,
    },
    /// Handing over came to nothing.
    TransferFailed {
        /// To whom it should have gone.
        to: NodeId,
        /// Why it was tried.
        why: TransferCause,
        /// Why it failed.
        because: Refusal,
    },
    /// The leader's disk did not finish a write within an election timeout, and nobody can take over.
    DiskStalled,
    /// A membership is in force here (appended, not yet committed).
    MembershipAppended {
        /// Where it stands.
        index: Index,
        /// What it is.
        membership: Membership,
    },
    /// A membership that was in force was cut off again, with the entries of a leader that lost.
    MembershipReverted {
        /// What is in force now.
        membership: Membership,
    },
    /// The leader makes caught-up learners voters.
    Promoting(Vec<NodeId>),
    /// This member needs what only a snapshot holds; or rather, the peer named does.
    SnapshotNeeded {
        /// Who needs one.
        by: NodeId,
        /// The last place that peer is known to hold.
        matched: Index,
    },
    /// A snapshot took the place of the log.
    SnapshotInstalled(LogId),
    /// A peer said something that no correct member says; it was ignored.
    Unsound {
        /// Who said it.
        from: NodeId,
    },
    /// The entries that this member's disk had lost are back.
    Repaired(LogId),
}

impl Display for Cause {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Started => f.write_str("just started"),
            Self::Campaigns(trigger) => write!(f, "{trigger}"),
            Self::Elected { trigger, votes, voters } => {
                write!(f, "elected by {votes} of {voters}, because {trigger}")
            }
            Self::HeardLeader(leader) => write!(f, "heard from the leader {leader}"),
            Self::HigherTerm { from, term } => write!(f, "{from} spoke of the later term {term}"),
            Self::SnapshotOfLaterTerm(term) => {
                write!(f, "a snapshot ends in the later term {term}")
            }
            Self::LostMajority { heard, voters } => {
                write!(f, "lost contact with the majority: heard {heard} of {voters} within an election timeout")
            }
            Self::HandedOver { to, why } => write!(f, "handed over to {to}: {why}"),
            Self::Removed => f.write_str("removed from the ensemble"),
            Self::PreVoteFailed => f.write_str("too many refused the pre-vote"),
            Self::ElectionLost => f.write_str("too many refused the vote"),
            Self::MembershipChanged => f.write_str("the membership changed"),
        }
    }
}

impl Display for Trigger {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::TimedOut { leader: Some(leader) } => write!(f, "nothing was heard from the leader {leader}"),
            Self::TimedOut { leader: None } => f.write_str("no leader was heard"),
            Self::ConnectionLost { leader } => {
                write!(f, "the connection to the leader {leader} was lost")
            }
            Self::Transfer { from } => write!(f, "{from} handed over"),
            Self::Deposed => f.write_str("it had to give up the term it led"),
            Self::Alone => f.write_str("it is the only voter"),
        }
    }
}

impl Display for TransferCause {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Asked => "asked for",
            Self::DiskStalled => "its disk did not finish a write within an election timeout",
            Self::Preferred => "the other has the higher priority and is caught up",
            Self::Removed => "it is no longer a voter",
        })
    }
}

impl Display for Ballotage {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PreVote => "pre-vote",
            Self::Vote => "vote",
        })
    }
}

impl Display for TallyEnd {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Won => "won",
            Self::Lost => "lost",
            Self::TimedOut => "without a result in time",
            Self::Overtaken => "overtaken by another",
        })
    }
}

/// `n1 n2`, or `nobody`.
fn write_names(f: &mut Formatter<'_>, names: &[NodeId]) -> fmt::Result {
    if names.is_empty() {
        return f.write_str("nobody");
    }
    for (position, name) in names.iter().enumerate() {
        let space = if position == 0 { "" } else { " " };
        write!(f, "{space}{name}")?;
    }
    Ok(())
}

fn write_tally(
    f: &mut Formatter<'_>,
    granted: &[NodeId],
    refused: &[(NodeId, VoteRefusal)],
    silent: &[NodeId],
) -> fmt::Result {
    f.write_str(": yes from ")?;
    write_names(f, granted)?;
    for (id, why) in refused {
        write!(f, "; no from {id}, {why}")?;
    }
    if !silent.is_empty() {
        f.write_str("; no answer from ")?;
        write_names(f, silent)?;
    }
    Ok(())
}

impl Display for Event {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stands(standing) => write!(f, "{standing}"),
            Self::Granted { kind, to, term } => write!(f, "gave {to} its {kind} for term {term}"),
            Self::Refused { kind, to, term, why } => write!(f, "refused {to} its {kind} for term {term}: {why}"),
            Self::Tallied { kind, term, end, granted, refused, silent } => {
                write!(f, "its own {kind} for term {term} ended {end}")?;
                write_tally(f, granted, refused, silent)
            }
            Self::LostLeader(leader) => write!(f, "lost the connection to the leader {leader}"),
            Self::TransferStarted { to, why } => write!(f, "starts handing over to {to}: {why}"),
            Self::TransferFailed { to, why, because } => {
                write!(f, "could not hand over to {to} ({why}): {because}")
            }
            Self::DiskStalled => {
                f.write_str("the disk did not finish a write within an election timeout, and nobody can take over")
            }
            Self::MembershipAppended { index, membership } => {
                write!(f, "the membership of entry {index} is in force: {membership}")
            }
            Self::MembershipReverted { membership } => write!(f, "back to the membership {membership}"),
            Self::Promoting(learners) => {
                f.write_str("makes caught-up learners voters: ")?;
                write_names(f, learners)
            }
            Self::SnapshotNeeded { by, matched } => {
                write!(f, "{by} holds the log up to {matched} and needs a snapshot")
            }
            Self::SnapshotInstalled(last) => write!(f, "a snapshot up to {last} took the place of the log"),
            Self::Unsound { from } => write!(f, "{from} said what no correct member says; ignored"),
            Self::Repaired(lost) => write!(f, "the lost entries up to {lost} are back"),
        }
    }
}

impl Display for Standing {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{} in term {}", self.role, self.term)?;
        match self.leader {
            Some(leader) => write!(f, " under {leader}")?,
            None => f.write_str(" without a leader")?,
        }
        write!(f, ": {}", self.cause)
    }
}
