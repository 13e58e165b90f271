//! From a change to the membership that it leads to, or to the reason why not.

use raft::{Learner, Membership, NodeId};

use super::{Change, Refused};
use crate::MemberAddress;
use crate::roster::{Record, Roster};

/// More voters than this make every write wait for more disks than they add safety.
pub(crate) const VOTERS_MAX: usize = 9;
/// The longest name or address, in bytes.
const TEXT_MAX: usize = 255;
/// Ids beyond it cannot be written in a configuration.
const ID_MAX: u64 = 65_535;

/// What a change needs to know besides the membership.
#[derive(Clone, Copy)]
pub(crate) struct Circumstances {
    /// `limits.learners`.
    pub(crate) learners_max: usize,
    /// Wall-clock milliseconds since 1970.
    pub(crate) unix_milliseconds: u64,
}

/// The membership that the change leads to, and the member that it is about.
///
/// # Errors
/// The first rule that stands against it; those that need to know who is alive are the core's.
pub(crate) fn target(
    membership: &Membership,
    change: &Change,
    circumstances: Circumstances,
) -> Result<(Membership, NodeId), Refused> {
    let mut target = membership.clone();
    let mut roster = Roster::of(membership);
    roster.version += 1;
    roster.leaving = None;
    let id = match change {
        Change::Add { member, learner } => add(&mut target, &mut roster, member, *learner, circumstances)?,
        Change::Promote { id } => {
            promote(&mut target, *id)?;
            *id
        }
        Change::Remove { id } => {
            remove(&mut target, &mut roster, *id)?;
            *id
        }
        Change::Update { id, name, peer, client, priority } => {
            let mut member = known(&roster, *id)?.address(*id, membership);
            member.name = name.clone().unwrap_or(member.name);
            member.peer = peer.clone().unwrap_or(member.peer);
            member.client.extend(client.clone());
            member.priority = priority.unwrap_or(member.priority);
            update(&mut target, &mut roster, &member)?;
            *id
        }
    };
    target.notes = roster.encode();
    Ok((target, id))
}

/// The same membership, of an ensemble that has a number by now.
pub(crate) fn founded(membership: &Membership, identity: u64) -> Membership {
    let mut roster = Roster::of(membership);
    roster.identity = identity;
    roster.version += 1;
    Membership { notes: roster.encode(), ..membership.clone() }
}

fn add(
    target: &mut Membership,
    roster: &mut Roster,
    member: &MemberAddress,
    learner: bool,
    circumstances: Circumstances,
) -> Result<NodeId, Refused> {
    let least = roster.last_id + 1;
    let id = if member.id == NodeId(0) { NodeId(least) } else { member.id };
    if target.contains(id) {
        return Err(Refused::Exists(id));
    }
    if id.0 < least {
        return Err(Refused::IdUsed { id, least });
    }
    if id.0 > ID_MAX {
        return Err(Refused::Invalid(format!("the id {} is too large: allowed are 1 to {ID_MAX}", id.0)));
    }
    let member = MemberAddress { id, ..member.clone() };
    let to_vote = target.voters.len() + target.learners.values().filter(|learner| learner.promote).count();
    if !learner && to_vote >= VOTERS_MAX {
        return Err(Refused::TooManyVoters { limit: VOTERS_MAX as u64 });
    }
    if target.learners.len() >= circumstances.learners_max {
        return Err(Refused::TooManyLearners { limit: circumstances.learners_max as u64 });
    }
    target.learners.insert(id, Learner { promote: !learner });
    roster.last_id = id.0;
    roster.members.insert(id, Record { added_unix_milliseconds: circumstances.unix_milliseconds, ..Record::default() });
    update(target, roster, &member)?;
    Ok(id)
}

fn promote(target: &mut Membership, id: NodeId) -> Result<(), Refused> {
    if !target.contains(id) {
        return Err(Refused::Unknown(id));
    }
    if target.learners.remove(&id).is_none() {
        return Err(Refused::NotALearner(id));
    }
    if target.voters.len() >= VOTERS_MAX {
        return Err(Refused::TooManyVoters { limit: VOTERS_MAX as u64 });
    }
    target.voters.insert(id);
    Ok(())
}

fn remove(target: &mut Membership, roster: &mut Roster, id: NodeId) -> Result<(), Refused> {
    if !target.contains(id) {
        return Err(Refused::Unknown(id));
    }
    if target.voters.len() == 1 && target.voters.contains(&id) {
        return Err(Refused::LastVoter(id));
    }
    target.voters.remove(&id);
    target.learners.remove(&id);
    target.priorities.remove(&id);
    roster.leaving = roster.members.remove(&id).map(|record| (id, record));
    Ok(())
}

/// Writes down what is known of a member that is there already.
fn update(target: &mut Membership, roster: &mut Roster, member: &MemberAddress) -> Result<(), Refused> {
    for text in [&member.name, &member.peer].into_iter().chain(member.client.values()).chain(member.client.keys()) {
        check_text(text)?;
    }
    for (_, other) in roster.members.iter().filter(|(id, _)| **id != member.id) {
        if other.name == member.name {
            return Err(Refused::NameTaken(member.name.clone()));
        }
        if other.peer == member.peer {
            return Err(Refused::AddressTaken(member.peer.clone()));
        }
    }
    let added = known(roster, member.id)?.added_unix_milliseconds;
    roster.members.insert(member.id, Record::of(member, added));
    if member.priority == 0 {
        target.priorities.remove(&member.id);
    } else {
        target.priorities.insert(member.id, member.priority);
    }
    Ok(())
}

fn known(roster: &Roster, id: NodeId) -> Result<&Record, Refused> {
    roster.members.get(&id).ok_or(Refused::Unknown(id))
}

fn check_text(text: &str) -> Result<(), Refused> {
    if text.trim().is_empty() || text.len() > TEXT_MAX || text.chars().any(char::is_control) {
        let shown: String = text.chars().take(80).collect();
        let why = format!("{shown:?} is no name or address: 1 to {TEXT_MAX} bytes without control characters");
        return Err(Refused::Invalid(why));
    }
    Ok(())
}
