//! The quorum arithmetic against naive versions that try every subset of voters.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::{Outcome, agreed, is_majority, majority, outcome};
use crate::membership::Membership;
use crate::types::NodeId;

/// Every subset of `voters` that is more than half of them.
fn majorities(voters: &BTreeSet<NodeId>) -> Vec<BTreeSet<NodeId>> {
    let list: Vec<NodeId> = voters.iter().copied().collect();
    (0u32..1 << list.len())
        .map(|mask| list.iter().enumerate().filter(|(bit, _)| mask >> bit & 1 == 1).map(|(_, &id)| id).collect())
        .filter(|subset: &BTreeSet<NodeId>| subset.len() * 2 > list.len())
        .collect()
}

/// Every set that can decide: a majority, or a union of majorities of both halves.
fn quorums(membership: &Membership) -> Vec<BTreeSet<NodeId>> {
    let incoming = majorities(&membership.voters);
    if !membership.is_joint() {
        return incoming;
    }
    let outgoing = majorities(&membership.outgoing);
    incoming.iter().flat_map(|one| outgoing.iter().map(|other| one.union(other).copied().collect())).collect()
}

fn naive_agreed(membership: &Membership, values: &BTreeMap<NodeId, u64>) -> u64 {
    let least = |quorum: &BTreeSet<NodeId>| quorum.iter().map(|id| values[id]).min().unwrap_or(0);
    quorums(membership).iter().map(least).max().unwrap_or(0)
}

fn naive_outcome(membership: &Membership, answers: &BTreeMap<NodeId, Option<bool>>) -> Outcome {
    let quorums = quorums(membership);
    if quorums.iter().any(|quorum| quorum.iter().all(|id| answers[id] == Some(true))) {
        Outcome::Won
    } else if quorums.iter().any(|quorum| quorum.iter().all(|id| answers[id] != Some(false))) {
        Outcome::Open
    } else {
        Outcome::Lost
    }
}

fn voters() -> impl Strategy<Value = BTreeSet<NodeId>> {
    proptest::collection::btree_set((1u64..=7).prop_map(NodeId), 0..=5)
}

fn memberships() -> impl Strategy<Value = Membership> {
    (voters(), voters()).prop_map(|(voters, outgoing)| Membership { voters, outgoing, ..Membership::default() })
}

fn for_everybody<V: std::fmt::Debug>(value: impl Strategy<Value = V>) -> impl Strategy<Value = BTreeMap<NodeId, V>> {
    proptest::collection::vec(value, 7).prop_map(|values| (1..).map(NodeId).zip(values).collect())
}

proptest! {
    #[test]
    fn agreed_is_the_best_that_some_quorum_has(membership in memberships(), values in for_everybody(0u64..6)) {
        prop_assert_eq!(agreed(&membership, |id| values[&id]), naive_agreed(&membership, &values));
    }

    #[test]
    fn outcome_is_what_some_quorum_says_or_could_say(
        membership in memberships(),
        answers in for_everybody(proptest::option::of(any::<bool>())),
    ) {
        prop_assert_eq!(outcome(&membership, |id| answers[&id]), naive_outcome(&membership, &answers));
    }

    #[test]
    fn two_majorities_of_one_step_of_a_change_always_meet(
        before in voters(), after in voters(), one in for_everybody(any::<bool>()), other in for_everybody(any::<bool>()),
    ) {
        prop_assume!(!before.is_empty() && !after.is_empty());
        let old = Membership { voters: before.clone(), ..Membership::default() };
        let new = Membership { voters: after.clone(), ..Membership::default() };
        let joint = Membership { voters: after, outgoing: before, ..Membership::default() };
        for (left, right) in [(&old, &old), (&old, &joint), (&joint, &joint), (&joint, &new), (&new, &new)] {
            if is_majority(left, |id| one[&id]) && is_majority(right, |id| other[&id]) {
                prop_assert!(one.iter().any(|(id, &holds)| holds && other[id]));
            }
        }
    }
}

#[test]
fn nobody_is_no_majority_of_nobody() {
    let nobody = Membership::default();
    assert_eq!(majority(0), 1);
    assert_eq!(outcome(&nobody, |_| Some(true)), Outcome::Lost);
    assert_eq!(agreed(&nobody, |_| 7u64), 0);
}
