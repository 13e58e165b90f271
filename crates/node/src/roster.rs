//! Who the members are: names, addresses, numbers. It travels inside the membership that consensus keeps in its log
//! (its `notes`), so that it changes together with who votes, in one entry, and there is no second list to disagree
//! with. It may not know how a change is carried through, or who is connected.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use raft::{Membership, NodeId};

use crate::MemberAddress;
use crate::codec::{Reader, Writer};

const FORMAT: u8 = 1;

/// What the members know of each other.
///
/// Invariants:
/// - it names exactly the members of the membership that it travels in (and who left with the last change);
/// - `last_id` is at least every number that ever belonged to a member, so that none is given twice.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Roster {
    /// The ensemble's number, chosen at random by its first leader; 0 until then.
    pub(crate) identity: u64,
    /// Counts the changes.
    pub(crate) version: u64,
    pub(crate) last_id: u64,
    pub(crate) members: BTreeMap<NodeId, Record>,
    /// Who was removed last: it must still be reached, to be told.
    pub(crate) leaving: Option<(NodeId, Record)>,
}

/// One member.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) name: String,
    pub(crate) peer: String,
    pub(crate) client: BTreeMap<String, String>,
    /// When it was added, in wall-clock milliseconds since 1970; 0 for those who founded the ensemble.
    pub(crate) added_unix_milliseconds: u64,
}

impl Roster {
    /// The membership of an ensemble that these members found: all of them vote.
    pub(crate) fn founding(founders: &[MemberAddress]) -> Membership {
        let members = founders.iter().map(|founder| (founder.id, Record::of(founder, 0))).collect();
        let last_id = founders.iter().map(|founder| founder.id.0).max().unwrap_or(0);
        let roster = Roster { last_id, members, ..Roster::default() };
        let mut membership = Membership::of_voters(founders.iter().map(|founder| founder.id));
        for founder in founders.iter().filter(|founder| founder.priority > 0) {
            membership.priorities.insert(founder.id, founder.priority);
        }
        membership.notes = roster.encode();
        membership
    }

    /// What travels in this membership. Notes that no version up to this one wrote count as none.
    pub(crate) fn of(membership: &Membership) -> Roster {
        let mut reader = Reader::new(Bytes::copy_from_slice(&membership.notes));
        Roster::read(&mut reader).and_then(|roster| reader.end(roster)).unwrap_or_default()
    }

    /// What is known of this member.
    pub(crate) fn record(&self, id: NodeId) -> Option<&Record> {
        let left = || self.leaving.as_ref().filter(|(left, _)| *left == id).map(|(_, record)| record);
        self.members.get(&id).or_else(left)
    }

    /// All names, of those who left with the last change too.
    pub(crate) fn names(&self) -> BTreeMap<NodeId, String> {
        let left = self.leaving.iter().map(|(id, record)| (id, record));
        self.members.iter().chain(left).map(|(&id, record)| (id, record.name.clone())).collect()
    }

    pub(crate) fn encode(&self) -> Arc<[u8]> {
        let mut writer = Writer::default();
        writer.u8(FORMAT);
        writer.u64(self.identity);
        writer.u64(self.version);
        writer.u64(self.last_id);
        for group in [self.members.iter().collect(), self.leaving.iter().map(|(id, record)| (id, record)).collect()] {
            let group: Vec<(&NodeId, &Record)> = group;
            writer.count(group.len());
            for (id, record) in group {
                writer.u64(id.0);
                writer.text(&record.name);
                writer.text(&record.peer);
                writer.texts(&record.client);
                writer.u64(record.added_unix_milliseconds);
            }
        }
        writer.finish().concat().into()
    }

    fn read(reader: &mut Reader) -> Option<Roster> {
        if reader.u8()? != FORMAT {
            return None;
        }
        let (identity, version, last_id) = (reader.u64()?, reader.u64()?, reader.u64()?);
        let members = read_records(reader)?.into_iter().collect();
        let leaving = read_records(reader)?.pop();
        Some(Roster { identity, version, last_id, members, leaving })
    }
}

fn read_records(reader: &mut Reader) -> Option<Vec<(NodeId, Record)>> {
    const SMALLEST: usize = 28;
    let count = reader.count(SMALLEST)?;
    let record = |reader: &mut Reader| {
        let id = reader.node()?;
        let (name, peer, client) = (reader.text()?, reader.text()?, reader.texts()?);
        Some((id, Record { name, peer, client, added_unix_milliseconds: reader.u64()? }))
    };
    (0..count).map(|_| record(reader)).collect()
}

impl Record {
    pub(crate) fn of(member: &MemberAddress, added_unix_milliseconds: u64) -> Record {
        let (name, peer, client) = (member.name.clone(), member.peer.clone(), member.client.clone());
        Record { name, peer, client, added_unix_milliseconds }
    }

    /// The record as the address that it holds.
    pub(crate) fn address(&self, id: NodeId, membership: &Membership) -> MemberAddress {
        MemberAddress {
            id,
            name: self.name.clone(),
            peer: self.peer.clone(),
            client: self.client.clone(),
            priority: membership.priority(id),
        }
    }
}

/// Everybody who belongs to the ensemble after one entry of its log; the same on all members that applied it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Members {
    /// The ensemble's number, chosen at random when it was founded; 0 before its first leader said so.
    pub ensemble_id: u64,
    /// Counts the changes of the membership.
    pub version: u64,
    /// A change of voters is half way: both the old and the new ones decide.
    pub changing: bool,
    /// The members, in the order of their ids.
    pub list: Vec<MemberEntry>,
}

/// One of the [`Members`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberEntry {
    /// Its id, name, addresses and priority.
    pub address: MemberAddress,
    /// It has a vote; else it is a learner.
    pub voter: bool,
    /// It is a learner and becomes a voter by itself as soon as it is caught up.
    pub promoting: bool,
    /// When it was added, in wall-clock milliseconds since 1970; 0 for those who founded the ensemble.
    pub added_unix_milliseconds: u64,
}

impl Members {
    /// Who belongs by this membership.
    pub(crate) fn of(membership: &Membership) -> Members {
        let roster = Roster::of(membership);
        let entry = |id: NodeId| {
            let nameless = || Record { name: format!("member {}", id.0), ..Record::default() };
            let record = roster.record(id).cloned().unwrap_or_else(nameless);
            MemberEntry {
                address: record.address(id, membership),
                voter: membership.is_voter(id),
                promoting: membership.learners.get(&id).is_some_and(|learner| learner.promote),
                added_unix_milliseconds: record.added_unix_milliseconds,
            }
        };
        Members {
            ensemble_id: roster.identity,
            version: roster.version,
            changing: membership.is_joint(),
            list: membership.members().into_iter().map(entry).collect(),
        }
    }

    /// The member with this id.
    #[must_use]
    pub fn get(&self, id: NodeId) -> Option<&MemberEntry> {
        self.list.iter().find(|member| member.address.id == id)
    }

    /// The member with this name.
    #[must_use]
    pub fn named(&self, name: &str) -> Option<&MemberEntry> {
        self.list.iter().find(|member| member.address.name == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn founders() -> Vec<MemberAddress> {
        let founder = |id: u64| MemberAddress {
            id: NodeId(id),
            name: format!("m{id}"),
            peer: format!("m{id}:7271"),
            client: [("first".to_owned(), format!("m{id}:2379"))].into(),
            priority: u8::from(id == 2),
        };
        [1, 2, 5].map(founder).to_vec()
    }

    #[test]
    fn a_founding_membership_names_everybody_and_all_of_them_vote() {
        let members = Members::of(&Roster::founding(&founders()));
        assert_eq!(members.list.iter().map(|entry| entry.address.clone()).collect::<Vec<_>>(), founders());
        assert!(members.list.iter().all(|entry| entry.voter && !entry.promoting));
    }

    #[test]
    fn a_roster_comes_back_as_it_was_and_no_damage_to_it_panics() {
        let mut membership = Roster::founding(&founders());
        let mut roster = Roster::of(&membership);
        assert_eq!(roster.last_id, 5);
        roster.leaving = roster.members.remove(&NodeId(1)).map(|record| (NodeId(1), record));
        membership.notes = roster.encode();
        assert_eq!(Roster::of(&membership), roster);
        for at in 0..membership.notes.len() {
            let mut damaged = membership.notes.to_vec();
            damaged[at] ^= 0xff;
            let _ = Members::of(&Membership { notes: damaged.into(), ..membership.clone() });
            let cut = membership.notes[..at].into();
            assert_eq!(Roster::of(&Membership { notes: cut, ..membership.clone() }), Roster::default());
        }
    }
}
