//! Changes of the membership: what can be asked for, what is refused and why, and what the membership is afterwards.
//! Pure: it may not know who leads, who is connected, or how a change travels.

mod refused;
mod target;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

pub use self::refused::Refused;
pub(crate) use self::target::{Circumstances, founded, target};
use crate::codec::{Reader, Writer};
use crate::{MemberAddress, NodeId};

/// A change of the membership. One at a time; each is decided by the leader, wherever it was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Add a member. It comes in as a learner; unless it is to stay one, it becomes a voter by itself as soon as it
    /// is caught up.
    Add {
        /// Its name and addresses. Id 0: the leader chooses the next one.
        member: MemberAddress,
        /// It stays a learner until somebody promotes it.
        learner: bool,
    },
    /// Make a learner a voter, if it is caught up.
    Promote {
        /// Which.
        id: NodeId,
    },
    /// Remove a member, whatever it is: the leader itself hands over first.
    Remove {
        /// Which.
        id: NodeId,
    },
    /// Change what is known of a member. What is `None` stays.
    Update {
        /// Which.
        id: NodeId,
        /// Its name.
        name: Option<String>,
        /// Where its peers reach it.
        peer: Option<String>,
        /// Where clients reach it, for the protocols named; the others stay.
        client: BTreeMap<String, String>,
        /// How much it is wished for as leader.
        priority: Option<u8>,
    },
}

impl Change {
    pub(crate) fn write(&self, writer: &mut Writer) {
        match self {
            Change::Add { member, learner } => {
                writer.u8(1);
                writer.u64(member.id.0);
                writer.text(&member.name);
                writer.text(&member.peer);
                writer.texts(&member.client);
                writer.u8(member.priority);
                writer.flag(*learner);
            }
            Change::Promote { id } => {
                writer.u8(2);
                writer.u64(id.0);
            }
            Change::Remove { id } => {
                writer.u8(3);
                writer.u64(id.0);
            }
            Change::Update { id, name, peer, client, priority } => {
                writer.u8(4);
                writer.u64(id.0);
                for text in [name, peer] {
                    writer.flag(text.is_some());
                    writer.text(text.as_deref().unwrap_or_default());
                }
                writer.texts(client);
                writer.flag(priority.is_some());
                writer.u8(priority.unwrap_or_default());
            }
        }
    }

    pub(crate) fn read(reader: &mut Reader) -> Option<Change> {
        Some(match reader.u8()? {
            1 => {
                let (id, name, peer) = (reader.node()?, reader.text()?, reader.text()?);
                let (client, priority) = (reader.texts()?, reader.u8()?);
                Change::Add { member: MemberAddress { id, name, peer, client, priority }, learner: reader.flag()? }
            }
            2 => Change::Promote { id: reader.node()? },
            3 => Change::Remove { id: reader.node()? },
            4 => {
                let id = reader.node()?;
                let optional = |reader: &mut Reader| {
                    let given = reader.flag()?;
                    let text = reader.text()?;
                    Some(given.then_some(text))
                };
                let (name, peer) = (optional(reader)?, optional(reader)?);
                let client = reader.texts()?;
                let (given, priority) = (reader.flag()?, reader.u8()?);
                Change::Update { id, name, peer, client, priority: given.then_some(priority) }
            }
            _ => return None,
        })
    }
}
