//! What the member says of itself. Nothing is decided by it.

use super::Member;
use super::story::role_of;
use crate::{Counters, MemberAddress, MemberStatus, Status};

impl Member {
    /// The member's standing, for people.
    #[must_use]
    pub fn status(&self) -> Status {
        let core = self.raft.status();
        let matched = |id| match &core.leading {
            Some(_) if id == self.options.id => Some(core.last.index.0),
            Some(leading) => leading.peers.get(&id).map(|peer| peer.matched.0),
            None => None,
        };
        let leads = self.leading.is_some();
        let diverged = self.healing.is_under_way();
        let reaches_leader =
            !diverged && self.standing.leader.is_some_and(|leader| leads || self.connected.contains(&leader));
        let certain = self.belonging.members();
        let mut known: Vec<&MemberAddress> = certain.list.iter().map(|entry| &entry.address).collect();
        if known.is_empty() {
            // Nothing is known for certain yet but what the configuration says.
            known = self.options.members.iter().collect();
        }
        let members = known.into_iter().map(|member| MemberStatus {
            id: member.id,
            name: member.name.clone(),
            peer: member.peer.clone(),
            client: member.client.clone(),
            voter: self.belonging.applied().is_voter(member.id),
            priority: member.priority,
            connected: member.id == self.options.id || self.connected.contains(&member.id),
            matched: matched(member.id),
        });
        Status {
            id: self.options.id,
            name: self.story.name(self.options.id),
            ensemble: self.options.ensemble.clone(),
            role: role_of(self.standing.role),
            term: self.standing.term.0,
            // Whoever is not to be served here is to look for another member.
            leader: self.standing.leader.filter(|_| !diverged),
            commit: core.commit.0,
            applied: self.applied.0,
            revision: self.committed.revision(),
            compacted: self.committed.compacted(),
            hash_at: (self.applied.0, self.committed.hash()),
            state_bytes: self.committed.bytes(),
            quota_soft_bytes: self.options.limits.quota_soft_bytes,
            quota_hard_bytes: self.options.limits.quota_hard_bytes,
            members: members.collect(),
            changes: self.story.changes(),
            diverged,
            can_read: reaches_leader,
            can_commit: reaches_leader,
            counters: Counters {
                healed: self.healing.healed(),
                digests: self.digests.compared(),
                forwarded: self.asking.forwarded(),
                failed: self.asking.failed(),
                leader_changes: self.story.leader_changes(),
                ..self.counters
            },
        }
    }
}
