//! The election diary: what happened to a member and why, in plain words and numbers. Plain data for people and
//! scripts; nothing is ever decided by it. It may not know who writes it, where it is kept or how it is shown.

use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter};

use serde::{Deserialize, Serialize};

/// One thing that a member saw or did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiaryEntry {
    /// When, in wall-clock milliseconds since 1970, by the clock of the member's machine.
    pub unix_milliseconds: u64,
    /// The name of the member whose diary this is.
    pub member: String,
    /// The term it was in.
    pub term: u64,
    /// What kind of thing it was.
    pub kind: DiaryKind,
    /// The whole of it in one sentence whose subject is the member: "follows m2 in term 5".
    pub text: String,
    /// The same for programs, and what else was known at that moment.
    #[serde(default, skip_serializing_if = "Facts::is_empty")]
    pub facts: Facts,
}

/// What kind of thing an entry tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DiaryKind {
    /// The member was started.
    Started,
    /// It was told to stop.
    Stopped,
    /// It stops by itself: it cannot go on without risking a wrong answer.
    Fatal,
    /// Its process did not run for a while.
    Paused,
    /// It asks for pre-votes or votes.
    Campaign,
    /// Its asking for votes ended well, or was overtaken.
    Tally,
    /// It asked for pre-votes in vain.
    PreVoteFailed,
    /// It asked for votes in vain.
    ElectionFailed,
    /// It gave somebody its pre-vote or vote.
    Vote,
    /// It refused somebody its pre-vote or vote.
    Refusal,
    /// It was elected.
    Leader,
    /// It leads no longer.
    StepDown,
    /// It follows a leader, or waits for one.
    Follower,
    /// Leadership is being handed over, or could not be.
    Transfer,
    /// A connection to a peer stands.
    Connected,
    /// A connection to a peer broke.
    ConnectionLost,
    /// The disk is too slow.
    Disk,
    /// The list of members changed.
    Membership,
    /// A snapshot was written, sent for, received, or could not be.
    Snapshot,
    /// Its rows are not the leader's.
    Divergence,
    /// Many leases ran out at once.
    ExpiryStorm,
    /// A peer said what no correct member says.
    Unsound,
    /// Its disk holds something other than what was written to it, or lost it.
    Damage,
    /// What its disk had lost is back.
    Repaired,
    /// The state crossed a mark of the quota, or fell below it again.
    Quota,
    /// A kind that this version does not know; only ever read, never written.
    #[serde(other)]
    Other,
}

impl DiaryKind {
    /// All kinds that are written.
    pub const ALL: [DiaryKind; 25] = [
        DiaryKind::Started,
        DiaryKind::Stopped,
        DiaryKind::Fatal,
        DiaryKind::Paused,
        DiaryKind::Campaign,
        DiaryKind::Tally,
        DiaryKind::PreVoteFailed,
        DiaryKind::ElectionFailed,
        DiaryKind::Vote,
        DiaryKind::Refusal,
        DiaryKind::Leader,
        DiaryKind::StepDown,
        DiaryKind::Follower,
        DiaryKind::Transfer,
        DiaryKind::Connected,
        DiaryKind::ConnectionLost,
        DiaryKind::Disk,
        DiaryKind::Membership,
        DiaryKind::Snapshot,
        DiaryKind::Divergence,
        DiaryKind::ExpiryStorm,
        DiaryKind::Unsound,
        DiaryKind::Damage,
        DiaryKind::Repaired,
        DiaryKind::Quota,
    ];

    /// The kind in one or two words.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            DiaryKind::Started => "started",
            DiaryKind::Stopped => "stopped",
            DiaryKind::Fatal => "fatal",
            DiaryKind::Paused => "paused",
            DiaryKind::Campaign => "campaign",
            DiaryKind::Tally => "tally",
            DiaryKind::PreVoteFailed => "pre-vote failed",
            DiaryKind::ElectionFailed => "election failed",
            DiaryKind::Vote => "vote",
            DiaryKind::Refusal => "refusal",
            DiaryKind::Leader => "leader",
            DiaryKind::StepDown => "step-down",
            DiaryKind::Follower => "follower",
            DiaryKind::Transfer => "transfer",
            DiaryKind::Connected => "connected",
            DiaryKind::ConnectionLost => "connection lost",
            DiaryKind::Disk => "disk",
            DiaryKind::Membership => "membership",
            DiaryKind::Snapshot => "snapshot",
            DiaryKind::Divergence => "divergence",
            DiaryKind::ExpiryStorm => "expiry storm",
            DiaryKind::Unsound => "unsound",
            DiaryKind::Damage => "damage",
            DiaryKind::Repaired => "repaired",
            DiaryKind::Quota => "quota",
            DiaryKind::Other => "other",
        }
    }
}

impl Display for DiaryKind {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        formatter.pad(self.name())
    }
}

/// What an entry says in numbers and names. Everything that does not apply or is not known is left out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Facts {
    /// Why, without what: "m1's connection was lost 2 ms ago".
    #[serde(skip_serializing_if = "Option::is_none")]
    pub because: Option<String>,
    /// The member's role from then on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// The leader that it knows from then on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub leader: Option<String>,
    /// The other member that the entry is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peer: Option<String>,
    /// How long nothing had been heard of `peer`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub silent_milliseconds: Option<u64>,
    /// How long ago the connection to `peer` broke.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lost_milliseconds_ago: Option<u64>,
    /// How long it took: an election from the first question on, a pause.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub took_milliseconds: Option<u64>,
    /// How many: leases of an expiry storm.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    /// Who said yes, the asker included.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub yes: Vec<String>,
    /// Who said no, and why.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub no: BTreeMap<String, String>,
    /// Who did not answer.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub silent: Vec<String>,
    /// How often the same happened since the first entry about it. Of a series only the 1st, 2nd, 4th, 8th … are
    /// written down.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub times: Option<u64>,
    /// What the disk was like at that moment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disk: Option<DiskFacts>,
    /// What the other members were like at that moment, by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub peers: BTreeMap<String, PeerFacts>,
}

impl Facts {
    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Facts::default()
    }
}

/// What the disk of the log was like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DiskFacts {
    /// How long the newest write of the log took, its sync included, in microseconds.
    pub newest_microseconds: u64,
    /// The longest such time of the last half minute to minute, in microseconds.
    pub worst_microseconds: u64,
    /// How long the oldest write that is not durable yet has waited by then, in microseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waiting_microseconds: Option<u64>,
}

/// What another member was like, seen from the one whose diary this is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PeerFacts {
    /// Whether a connection to it stood.
    pub connected: bool,
    /// When it was last heard.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub heard_milliseconds_ago: Option<u64>,
    /// How long it took to answer the newest ping of the last ten seconds, in microseconds; the time that the messages
    /// waited in both members included.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub round_trip_microseconds: Option<u64>,
    /// How long a ping had been without an answer by then, in microseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unanswered_microseconds: Option<u64>,
}

/// What was found of a diary.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diary {
    /// Its entries, in the order in which they were written.
    pub entries: Vec<DiaryEntry>,
    /// How many lines were damaged and left out.
    pub damaged: u64,
}
