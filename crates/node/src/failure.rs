//! Why the member itself could not answer. It may not know what a protocol makes of it.

use std::fmt;

/// The two kinds of "no answer". They differ in what a client may conclude, so they are never mixed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The request was definitely not applied and never will be: it may be sent again.
    #[error("not applied: {0}")]
    NotApplied(Reason),
    /// Nobody here knows whether the request was applied or will be.
    #[error("outcome unknown: {0}")]
    Unknown(Reason),
}

impl Failure {
    /// The reason, whichever kind it is.
    #[must_use]
    pub fn reason(&self) -> &Reason {
        match self {
            Failure::NotApplied(reason) | Failure::Unknown(reason) => reason,
        }
    }
}

/// The cause of a [`Failure`] in plain words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// No leader was known for as long as the request was allowed to wait.
    NoLeader,
    /// The leader that had the request is no longer the leader, or its connection was lost.
    LeaderLost,
    /// The request took longer than the limit, in milliseconds.
    TimedOut {
        /// `limits.request_timeout` in milliseconds.
        milliseconds: u64,
    },
    /// A bounded queue is full.
    Overloaded {
        /// The queue's name, which is also the name of the setting that bounds it.
        limit: &'static str,
        /// The bound.
        value: u64,
    },
    /// The request is larger than a request may be.
    TooLarge {
        /// The request's size in bytes.
        bytes: u64,
        /// `limits.request_bytes`.
        limit: u64,
    },
    /// The request would change more than one entry of the log may hold.
    ChangesTooMuch {
        /// Bytes of the row changes it would make.
        bytes: u64,
        /// `limits.change_bytes`.
        limit: u64,
    },
    /// The request would make the state grow, and the quota is used up. The only refusal that breaks no stream: later
    /// requests of the same stream are decided as if this one had not been sent.
    OverQuota {
        /// Bytes of live keys and rows that the request would have led to.
        bytes: u64,
        /// `quota.hard_bytes`.
        limit: u64,
    },
    /// An earlier request of the same stream failed, so this one must not overtake it.
    StreamBroken,
    /// The member is stopping.
    Stopping,
    /// The member's rows are not the leader's, and it is getting others: ask another member.
    Diverged,
    /// The request names a protocol that the leader does not have (an older version, perhaps).
    UnknownProtocol(u8),
}

impl fmt::Display for Reason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::NoLeader => write!(formatter, "the ensemble has no leader"),
            Reason::LeaderLost => write!(formatter, "the leader that had the request was lost"),
            Reason::TimedOut { milliseconds } => {
                write!(formatter, "no answer within {milliseconds} ms (limits.request_timeout)")
            }
            Reason::Overloaded { limit, value } => write!(formatter, "overloaded: {limit} = {value} is reached"),
            Reason::TooLarge { bytes, limit } => {
                write!(formatter, "the request has {bytes} bytes, limits.request_bytes allows {limit}")
            }
            Reason::ChangesTooMuch { bytes, limit } => {
                write!(formatter, "the request would change {bytes} bytes of rows, limits.change_bytes allows {limit}")
            }
            Reason::OverQuota { bytes, limit } => write!(
                formatter,
                "the state would grow to {bytes} bytes, quota.hard_bytes allows {limit}: delete something, or raise it"
            ),
            Reason::StreamBroken => write!(formatter, "an earlier request on the same connection failed"),
            Reason::Diverged => {
                write!(formatter, "the state of this member differs from the leader's, and is being replaced")
            }
            Reason::Stopping => write!(formatter, "the member is stopping"),
            Reason::UnknownProtocol(id) => write!(formatter, "the leader does not speak protocol {id}"),
        }
    }
}
