//! Why a change of the membership is refused, in a form that protocols can translate. Nothing was changed then.

use std::fmt::{self, Display, Formatter};

use raft::Refusal;

use crate::NodeId;
use crate::codec::{Reader, Writer};

/// Why a change of the membership, or a hand-over of leadership, is refused. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// There is no such member.
    Unknown(NodeId),
    /// A member with this id exists already.
    Exists(NodeId),
    /// The id belonged to a member before; ids are never given twice.
    IdUsed {
        /// The id asked for.
        id: NodeId,
        /// The least one that is free.
        least: u64,
    },
    /// Another member has this name.
    NameTaken(String),
    /// Another member has this peer address.
    AddressTaken(String),
    /// The member is a voter already.
    NotALearner(NodeId),
    /// The learner does not have the whole log yet.
    NotCaughtUp(NodeId),
    /// There are as many learners as there may be.
    TooManyLearners {
        /// `limits.learners`.
        limit: u64,
    },
    /// There are as many voters as there may be.
    TooManyVoters {
        /// The limit.
        limit: u64,
    },
    /// It is the only voter.
    LastVoter(NodeId),
    /// Too few of the voters that there would be are alive and caught up: nothing could be committed.
    WouldLoseQuorum {
        /// How many are.
        healthy: u64,
        /// How many it takes.
        needed: u64,
    },
    /// Another change is not through yet.
    ChangeInFlight,
    /// Nobody can take over: no other voter is in contact, or not this one.
    NoSuccessor(Option<NodeId>),
    /// The successor did not take over in time.
    TransferTimedOut(NodeId),
    /// What was asked for makes no sense, in words.
    Invalid(String),
}

impl Refused {
    /// What the core's refusal means to whoever asked; `None` if he is to ask again soon, or somebody else.
    pub(crate) fn of(refusal: Refusal) -> Option<Refused> {
        Some(match refusal {
            Refusal::NotLeader { .. }
            | Refusal::NotReady
            | Refusal::Transferring { .. }
            | Refusal::Busy { .. }
            | Refusal::Overwritten
            | Refusal::Covered => return None,
            Refusal::ChangeInFlight => Refused::ChangeInFlight,
            Refusal::Invalid(why) => Refused::Invalid(why.to_string()),
            Refusal::NotCaughtUp(id) => Refused::NotCaughtUp(id),
            Refusal::WouldLoseQuorum { healthy, needed } => {
                Refused::WouldLoseQuorum { healthy: healthy as u64, needed: needed as u64 }
            }
            Refusal::NoSuccessor(to) => Refused::NoSuccessor(to),
            Refusal::TransferTimedOut { to } => Refused::TransferTimedOut(to),
        })
    }

    pub(crate) fn write(&self, writer: &mut Writer) {
        let mut code = |code: u8, numbers: &[u64]| {
            writer.u8(code);
            numbers.iter().for_each(|&number| writer.u64(number));
        };
        match self {
            Refused::Unknown(id) => code(1, &[id.0]),
            Refused::Exists(id) => code(2, &[id.0]),
            Refused::IdUsed { id, least } => code(3, &[id.0, *least]),
            Refused::NameTaken(name) => {
                code(4, &[]);
                writer.text(name);
            }
            Refused::AddressTaken(address) => {
                code(5, &[]);
                writer.text(address);
            }
            Refused::NotALearner(id) => code(6, &[id.0]),
            Refused::NotCaughtUp(id) => code(7, &[id.0]),
            Refused::TooManyLearners { limit } => code(8, &[*limit]),
            Refused::TooManyVoters { limit } => code(9, &[*limit]),
            Refused::LastVoter(id) => code(10, &[id.0]),
            Refused::WouldLoseQuorum { healthy, needed } => code(11, &[*healthy, *needed]),
            Refused::ChangeInFlight => code(12, &[]),
            Refused::NoSuccessor(None) => code(13, &[]),
            Refused::NoSuccessor(Some(id)) => code(14, &[id.0]),
            Refused::TransferTimedOut(id) => code(15, &[id.0]),
            Refused::Invalid(why) => {
                code(16, &[]);
                writer.text(why);
            }
        }
    }

    pub(crate) fn read(reader: &mut Reader) -> Option<Refused> {
        Some(match reader.u8()? {
            1 => Refused::Unknown(reader.node()?),
            2 => Refused::Exists(reader.node()?),
            3 => Refused::IdUsed { id: reader.node()?, least: reader.u64()? },
            4 => Refused::NameTaken(reader.text()?),
            5 => Refused::AddressTaken(reader.text()?),
            6 => Refused::NotALearner(reader.node()?),
            7 => Refused::NotCaughtUp(reader.node()?),
            8 => Refused::TooManyLearners { limit: reader.u64()? },
            9 => Refused::TooManyVoters { limit: reader.u64()? },
            10 => Refused::LastVoter(reader.node()?),
            11 => Refused::WouldLoseQuorum { healthy: reader.u64()?, needed: reader.u64()? },
            12 => Refused::ChangeInFlight,
            13 => Refused::NoSuccessor(None),
            14 => Refused::NoSuccessor(Some(reader.node()?)),
            15 => Refused::TransferTimedOut(reader.node()?),
            16 => Refused::Invalid(reader.text()?),
            _ => return None,
        })
    }
}

impl Display for Refused {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Refused::Unknown(id) => write!(f, "there is no member {}", id.0),
            Refused::Exists(id) => write!(f, "member {} exists already", id.0),
            Refused::IdUsed { id, least } => {
                write!(f, "the id {} was given before, and none is given twice; the least free one is {least}", id.0)
            }
            Refused::NameTaken(name) => write!(f, "another member has the name {name:?}"),
            Refused::AddressTaken(address) => write!(f, "another member has the peer address {address}"),
            Refused::NotALearner(id) => write!(f, "member {} is a voter already", id.0),
            Refused::NotCaughtUp(id) => write!(f, "member {} does not have the whole log yet", id.0),
            Refused::TooManyLearners { limit } => {
                write!(f, "there are as many learners as there may be (limits.learners = {limit})")
            }
            Refused::TooManyVoters { limit } => write!(f, "there are as many voters as there may be ({limit})"),
            Refused::LastVoter(id) => write!(f, "member {} is the only voter", id.0),
            Refused::WouldLoseQuorum { healthy, needed } => write!(
                f,
                "only {healthy} of the voters that there would be are alive and caught up, {needed} are needed"
            ),
            Refused::ChangeInFlight => write!(f, "another change of the membership is not through yet; try again"),
            Refused::NoSuccessor(None) => write!(f, "no other voter is in contact with the leader"),
            Refused::NoSuccessor(Some(id)) => {
                write!(f, "member {} is no voter that is in contact with the leader", id.0)
            }
            Refused::TransferTimedOut(id) => {
                write!(f, "member {} did not take over within an election timeout", id.0)
            }
            Refused::Invalid(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for Refused {}
