//! What members say to each other.
//!
//! A message is meaning, its [`Envelope`] is routing. Nothing here may know roles or storage; whatever
//! stands in a message came from outside and is checked once, by [`Envelope::is_sound`], before anybody
//! relies on it.

use std::fmt::{self, Display, Formatter};

use crate::types::{Body, Entry, Index, LogId, NodeId, Payload, Term};

/// A message with its sender, its receiver, and the sender's term when it was made.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Envelope<P> {
    /// Who says it.
    pub from: NodeId,
    /// To whom.
    pub to: NodeId,
    /// The sender's term.
    pub term: Term,
    /// What is said.
    pub message: Message<P>,
}

/// Everything one member can say to another.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Message<P> {
    /// "Would you vote for me in the term after this one?" Changes nothing at either end.
    AskPreVote {
        /// The end of the asker's log.
        last: LogId,
    },
    /// The answer: `None` is yes.
    PreVote {
        /// The term asked about was the one after this (the asker's own when it asked).
        asked: Term,
        /// Why not.
        refusal: Option<VoteRefusal>,
    },
    /// "Vote for me in this term."
    AskVote {
        /// The end of the asker's log.
        last: LogId,
        /// The old leader asked for this election, so its being alive is no reason to refuse.
        transfer: bool,
    },
    /// The answer: `None` is yes. A yes waits for the ballot to be durable.
    Vote {
        /// The term voted about.
        asked: Term,
        /// Why not.
        refusal: Option<VoteRefusal>,
    },
    /// Entries that follow `previous`. Without entries it asks whether `previous` is there.
    Append {
        /// The entry before the first one sent.
        previous: LogId,
        /// The entries, in order, without a gap.
        entries: Vec<Entry<P>>,
        /// How far the leader has committed.
        commit: Index,
    },
    /// "My log equals yours up to here, durably."
    Appended {
        /// The last place that is equal.
        matched: Index,
    },
    /// "I do not have `previous`."
    Rejected {
        /// The place that was asked about.
        previous: Index,
        /// The last entry of mine, at or before that place, that could be in your log as well.
        hint: LogId,
    },
    /// "I lead." Sent at every heartbeat and for reads; never waits behind entries.
    Heartbeat {
        /// How far the leader has committed; whoever holds this very entry may commit up to it.
        commit: LogId,
        /// The newest round of reads; see [`Alive`](Message::Alive).
        round: u64,
    },
    /// "I follow you, and did so when this round reached me."
    Alive {
        /// The round of the heartbeat that this answers. Unique within a term.
        round: u64,
    },
    /// "This much is committed." A heartbeat's news without the wish for an answer.
    Commit {
        /// As in a heartbeat.
        commit: LogId,
    },
    /// "Your term is over", to a leader of the past. The newer term stands in the envelope.
    Overtaken,
    /// "I step aside for you: campaign at once."
    CampaignNow,
    /// "There is nothing to do: sleep, if this is the end of your log as well."
    Sleep {
        /// The end of the leader's log, all of it committed.
        commit: LogId,
    },
    /// "I sleep."
    Asleep,
    /// "I was woken: say that you lead, if you do."
    Wake,
}

/// Why a vote or a pre-vote was refused.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum VoteRefusal {
    /// The refuser is in a later term.
    TermPassed(Term),
    /// The refuser heard from a leader within an election timeout, and has not lost the connection to it.
    /// (`None`: it has no leader but started, voted or stepped down so recently that one may well exist.)
    LeaderAlive(Option<NodeId>),
    /// The refuser's log has more than the asker's.
    LogBehind {
        /// The end of the asker's log.
        asker: LogId,
        /// The end of the refuser's log.
        own: LogId,
    },
    /// The refuser gave its vote of this term to another.
    VotedFor(NodeId),
    /// The refuser's disk lost entries that it had acknowledged; it fetches them back before it votes.
    Repairing(LogId),
}

/// Which kind of message it is, for lanes, counters and outputs.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Lane {
    /// Small and urgent: votes, heartbeats, answers.
    Control,
    /// Entries. Never lets the other lane wait.
    Bulk,
}

impl<P: Payload> Message<P> {
    /// The lane it travels in. Within a lane messages should stay in order; the core survives if not.
    #[must_use]
    pub fn lane(&self) -> Lane {
        match self {
            Self::Append { .. } => Lane::Bulk,
            _ => Lane::Control,
        }
    }

    /// Whether only a leader of the envelope's term says this.
    pub(crate) fn is_from_leader(&self) -> bool {
        matches!(
            self,
            Self::Append { .. } | Self::Heartbeat { .. } | Self::Commit { .. } | Self::CampaignNow | Self::Sleep { .. }
        )
    }
}

impl<P: Payload> Envelope<P> {
    /// Whether the content can come from a correct peer, so that handlers may rely on it:
    /// - terms of entries never fall, start at or after `previous` and end at or before the sender's term;
    /// - places stay within numbers;
    /// - memberships are valid;
    /// - nothing claims an entry of a term later than the sender's.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        if self.from == self.to || self.term == Term(u64::MAX) {
            return false;
        }
        match &self.message {
            Message::Append { previous, entries, .. } => self.is_sound_append(*previous, entries),
            Message::AskPreVote { last } => is_sound_id(*last) && last.term <= self.term,
            Message::AskVote { last, .. } => is_sound_id(*last) && last.term < self.term,
            Message::Heartbeat { commit, .. } | Message::Commit { commit } | Message::Sleep { commit } => {
                is_sound_id(*commit) && commit.term <= self.term
            }
            Message::Rejected { previous, hint } => is_sound_id(*hint) && hint.index <= *previous,
            _ => true,
        }
    }

    fn is_sound_append(&self, previous: LogId, entries: &[Entry<P>]) -> bool {
        let length = u64::try_from(entries.len()).unwrap_or(u64::MAX);
        let fits = previous.index.0.checked_add(length).is_some_and(|end| end < u64::MAX);
        let mut term = previous.term;
        let ordered = entries.iter().all(|entry| {
            let follows = entry.term >= term && entry.term > Term(0);
            term = entry.term;
            follows && !matches!(&entry.body, Body::Membership(m) if m.validate().is_err())
        });
        is_sound_id(previous) && fits && ordered && term <= self.term
    }
}

/// The place before the first entry has term 0, and nothing else has.
pub(crate) fn is_sound_id(id: LogId) -> bool {
    (id.index == Index::ZERO) == (id.term == Term(0)) && id.index.0 < u64::MAX
}

impl Display for VoteRefusal {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::TermPassed(term) => write!(f, "it is already in term {term}"),
            Self::LeaderAlive(Some(leader)) => write!(f, "it still hears the leader {leader}"),
            Self::LeaderAlive(None) => f.write_str("a leader may exist that it has not heard yet"),
            Self::LogBehind { asker, own } => {
                write!(f, "its log ends at {own}, the asker's at {asker}")
            }
            Self::VotedFor(other) => write!(f, "it voted for {other}"),
            Self::Repairing(lost) => {
                write!(f, "it lost entries up to {lost} and fetches them first")
            }
        }
    }
}
