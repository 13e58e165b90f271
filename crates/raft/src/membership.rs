//! Who belongs to the ensemble, and the two steps in which that changes.
//!
//! A change of voters goes through a *joint* membership, in which every decision needs a majority of the
//! old voters and a majority of the new ones. So no two disjoint majorities exist at any moment, whatever
//! part of the change each member has seen. This file is pure: it may not know logs, roles or messages.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Display, Formatter};
use std::sync::Arc;

use crate::types::NodeId;

/// The members of an ensemble at one place of the log.
///
/// Holds, once [`validate`](Membership::validate) has passed:
/// - there is at least one voter;
/// - no voter is a learner (but a voter on its way out may be one on its way to becoming a learner);
/// - priorities are given to members only, and none of them is 0 (0 is what everybody has without).
///
/// The default has nobody in it: what a member believes that was told of no ensemble yet.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Membership {
    /// Those whose majority decides.
    pub voters: BTreeSet<NodeId>,
    /// In a joint membership the voters of before, whose majority is needed as well; otherwise empty.
    pub outgoing: BTreeSet<NodeId>,
    /// Those who receive everything and decide nothing.
    pub learners: BTreeMap<NodeId, Learner>,
    /// Who should lead, given the choice: higher is better, 0 for those not named.
    pub priorities: BTreeMap<NodeId, u8>,
    /// What the driver keeps with the membership (names, addresses): it changes together with the rest, in one entry.
    /// The core carries it along and never looks into it.
    pub notes: Arc<[u8]>,
}

/// What is planned for a learner.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Learner {
    /// The leader makes it a voter by itself as soon as it is caught up.
    pub promote: bool,
}

/// Why a membership cannot be one.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum InvalidMembership {
    /// Nobody could decide anything.
    NoVoters,
    /// This member is both a voter and a learner.
    VoterAndLearner(NodeId),
    /// A priority for somebody who is no member.
    PriorityOfStranger(NodeId),
    /// A priority of zero is what everybody has; it is not written down.
    ZeroPriority(NodeId),
    /// A joint membership is made by the leader, never asked for.
    Joint,
}

impl Membership {
    /// A settled membership of these voters.
    #[must_use]
    pub fn of_voters(voters: impl IntoIterator<Item = NodeId>) -> Self {
        Self { voters: voters.into_iter().collect(), ..Self::default() }
    }

    /// Whether a change of voters is half way.
    #[must_use]
    pub fn is_joint(&self) -> bool {
        !self.outgoing.is_empty()
    }

    /// Whether `id` has a vote in the old or the new half.
    #[must_use]
    pub fn is_voter(&self, id: NodeId) -> bool {
        self.voters.contains(&id) || self.outgoing.contains(&id)
    }

    /// Whether `id` takes part in any way.
    #[must_use]
    pub fn contains(&self, id: NodeId) -> bool {
        self.is_voter(id) || self.learners.contains_key(&id)
    }

    /// Everybody who takes part, in order.
    #[must_use]
    pub fn members(&self) -> BTreeSet<NodeId> {
        let mut members: BTreeSet<NodeId> = self.voters.union(&self.outgoing).copied().collect();
        members.extend(self.learners.keys());
        members
    }

    /// Everybody with a vote in either half, in order.
    #[must_use]
    pub fn all_voters(&self) -> BTreeSet<NodeId> {
        self.voters.union(&self.outgoing).copied().collect()
    }

    /// How much `id` is wished for as leader.
    #[must_use]
    pub fn priority(&self, id: NodeId) -> u8 {
        self.priorities.get(&id).copied().unwrap_or(0)
    }

    /// Checks what every membership in a log or message must hold.
    ///
    /// # Errors
    /// The first rule that does not hold.
    pub fn validate(&self) -> Result<(), InvalidMembership> {
        if self.voters.is_empty() {
            return Err(InvalidMembership::NoVoters);
        }
        if let Some(&both) = self.learners.keys().find(|id| self.voters.contains(id)) {
            return Err(InvalidMembership::VoterAndLearner(both));
        }
        if let Some(&stranger) = self.priorities.keys().find(|&&id| !self.contains(id)) {
            return Err(InvalidMembership::PriorityOfStranger(stranger));
        }
        match self.priorities.iter().find(|&(_, &priority)| priority == 0) {
            Some((&id, _)) => Err(InvalidMembership::ZeroPriority(id)),
            None => Ok(()),
        }
    }

    /// Checks what a membership that somebody asks for must hold: valid, and not joint.
    ///
    /// # Errors
    /// The first rule that does not hold.
    pub fn validate_target(&self) -> Result<(), InvalidMembership> {
        if self.is_joint() { Err(InvalidMembership::Joint) } else { self.validate() }
    }

    /// The first step from here to `target`: joint if the voters differ, else `target` itself.
    ///
    /// Both must be settled.
    #[must_use]
    pub(crate) fn towards(&self, target: &Membership) -> Membership {
        assert!(!self.is_joint() && !target.is_joint(), "one change at a time");
        let mut step = target.clone();
        if step.voters != self.voters {
            step.outgoing.clone_from(&self.voters);
        }
        step
    }

    /// The second step: only the new voters decide.
    #[must_use]
    pub(crate) fn settled(&self) -> Membership {
        let mut settled = Self { outgoing: BTreeSet::new(), ..self.clone() };
        let stays = |id: &NodeId| settled.voters.contains(id) || settled.learners.contains_key(id);
        settled.priorities = settled.priorities.iter().filter(|(id, _)| stays(id)).map(|(&id, &p)| (id, p)).collect();
        settled
    }

    /// The same membership with these learners made voters.
    #[must_use]
    pub(crate) fn promoted(&self, learners: &BTreeSet<NodeId>) -> Membership {
        let mut target = self.clone();
        target.learners.retain(|id, _| !learners.contains(id));
        target.voters.extend(learners);
        target
    }
}

impl Display for Membership {
    /// `{n1 n2 n3}`, joint `{n1 n2 n4}&{n1 n2 n3}`, learners `+n5` (`+n5!` if to be promoted), priority `n1^2`.
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let list = |f: &mut Formatter<'_>, set: &BTreeSet<NodeId>| {
            f.write_str("{")?;
            for (position, id) in set.iter().enumerate() {
                let space = if position == 0 { "" } else { " " };
                write!(f, "{space}{id}")?;
                if let Some(priority) = self.priorities.get(id) {
                    write!(f, "^{priority}")?;
                }
            }
            f.write_str("}")
        };
        list(f, &self.voters)?;
        if self.is_joint() {
            f.write_str("&")?;
            list(f, &self.outgoing)?;
        }
        for (id, learner) in &self.learners {
            write!(f, " +{id}{}", if learner.promote { "!" } else { "" })?;
        }
        Ok(())
    }
}

impl Display for InvalidMembership {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoVoters => f.write_str("it has no voter"),
            Self::VoterAndLearner(id) => write!(f, "{id} is both a voter and a learner"),
            Self::PriorityOfStranger(id) => {
                write!(f, "a priority is given to {id}, who is no member")
            }
            Self::ZeroPriority(id) => write!(f, "the priority 0 of {id} is what everybody has; leave it out"),
            Self::Joint => f.write_str("a joint membership cannot be asked for"),
        }
    }
}

impl std::error::Error for InvalidMembership {}

#[cfg(test)]
mod tests;
