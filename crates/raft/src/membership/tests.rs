//! The two steps of a change, and what cannot be a membership.

use std::collections::{BTreeMap, BTreeSet};

use super::{InvalidMembership, Learner, Membership};
use crate::types::NodeId;

fn voters(ids: &[u64]) -> Membership {
    Membership::of_voters(ids.iter().map(|&id| NodeId(id)))
}

#[test]
fn another_set_of_voters_is_joint_first_and_settled_then() {
    let joint = voters(&[1, 2, 3]).towards(&voters(&[2, 3, 4]));
    assert_eq!(joint.to_string(), "{n2 n3 n4}&{n1 n2 n3}");
    assert!(joint.is_joint() && joint.is_voter(NodeId(1)) && joint.is_voter(NodeId(4)));
    assert_eq!(joint.settled(), voters(&[2, 3, 4]));
}

#[test]
fn learners_and_priorities_alone_need_no_joint_step() {
    let mut target = voters(&[1, 2, 3]);
    target.learners.insert(NodeId(4), Learner { promote: true });
    target.priorities.insert(NodeId(2), 7);
    assert_eq!(voters(&[1, 2, 3]).towards(&target), target);
    assert_eq!(target.to_string(), "{n1 n2^7 n3} +n4!");
}

#[test]
fn a_voter_can_become_a_learner_and_votes_until_that_is_settled() {
    let mut target = voters(&[1, 2]);
    target.learners.insert(NodeId(3), Learner::default());
    let joint = voters(&[1, 2, 3]).towards(&target);
    assert_eq!(joint.validate(), Ok(()));
    assert!(joint.is_voter(NodeId(3)));
    assert!(!joint.settled().is_voter(NodeId(3)));
    assert!(joint.settled().contains(NodeId(3)));
}

#[test]
fn promoted_learners_are_voters_and_learners_no_more() {
    let mut before = voters(&[1, 2, 3]);
    before.learners = BTreeMap::from([(NodeId(4), Learner { promote: true }), (NodeId(5), Learner::default())]);
    let after = before.promoted(&BTreeSet::from([NodeId(4)]));
    assert_eq!(after.to_string(), "{n1 n2 n3 n4} +n5");
    assert_eq!(after.validate_target(), Ok(()));
}

#[test]
fn what_cannot_be_a_membership_is_named() {
    assert_eq!(Membership::default().validate(), Err(InvalidMembership::NoVoters));
    let mut both = voters(&[1, 2]);
    both.learners.insert(NodeId(2), Learner::default());
    assert_eq!(both.validate(), Err(InvalidMembership::VoterAndLearner(NodeId(2))));
    let mut stranger = voters(&[1]);
    stranger.priorities.insert(NodeId(9), 1);
    assert_eq!(stranger.validate(), Err(InvalidMembership::PriorityOfStranger(NodeId(9))));
    let mut zero = voters(&[1]);
    zero.priorities.insert(NodeId(1), 0);
    assert_eq!(zero.validate(), Err(InvalidMembership::ZeroPriority(NodeId(1))));
    assert_eq!(voters(&[1]).towards(&voters(&[2])).validate_target(), Err(InvalidMembership::Joint));
}
