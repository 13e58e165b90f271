//! Majorities, of one set of voters or of both halves of a joint membership. Pure arithmetic.
//!
//! Nothing is sorted: a value is agreed if a majority has at least it, and that is what is counted. With at
//! most a handful of voters the square of their number is nothing.

use std::collections::BTreeSet;

use crate::membership::Membership;
use crate::mutants::mutated;
use crate::types::NodeId;

/// How a vote stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Outcome {
    /// A majority said yes.
    Won,
    /// A majority can no longer say yes.
    Lost,
    /// It depends on those who have not answered.
    Open,
}

/// How many of `count` voters are a majority. Of nobody, nobody is: such a set decides nothing.
pub(crate) fn majority(count: usize) -> usize {
    count / 2 + 1
}

/// The highest value that a majority has reached, in both halves if joint; the default if none.
pub(crate) fn agreed<V: Ord + Copy + Default>(membership: &Membership, value: impl Fn(NodeId) -> V) -> V {
    let of = |voters: &BTreeSet<NodeId>| {
        if mutated("R5") {
            return voters.iter().map(|&id| value(id)).nth(voters.len() / 2).unwrap_or_default();
        }
        let needed = majority(voters.len());
        let reached = |least: V| voters.iter().filter(|&&id| value(id) >= least).count() >= needed;
        voters.iter().map(|&id| value(id)).filter(|&candidate| reached(candidate)).max().unwrap_or_default()
    };
    let incoming = of(&membership.voters);
    let both = membership.is_joint() && !mutated("new-voters-commit");
    if both { incoming.min(of(&membership.outgoing)) } else { incoming }
}

/// How a vote stands, by who answered yes or no; in both halves if joint.
pub(crate) fn outcome(membership: &Membership, answer: impl Fn(NodeId) -> Option<bool>) -> Outcome {
    let of = |voters: &BTreeSet<NodeId>| {
        let needed = majority(voters.len());
        let yes = voters.iter().filter(|&&id| answer(id) == Some(true)).count();
        let no = voters.iter().filter(|&&id| answer(id) == Some(false)).count();
        if yes >= needed {
            Outcome::Won
        } else if voters.len() - no < needed {
            Outcome::Lost
        } else {
            Outcome::Open
        }
    };
    let both = membership.is_joint() && !mutated("new-voters-elect");
    match (of(&membership.voters), both.then(|| of(&membership.outgoing))) {
        (outcome, None) => outcome,
        (Outcome::Won, Some(Outcome::Won)) => Outcome::Won,
        (Outcome::Lost, _) | (_, Some(Outcome::Lost)) => Outcome::Lost,
        _ => Outcome::Open,
    }
}

/// Whether those for whom `holds` are a majority, in both halves if joint.
pub(crate) fn is_majority(membership: &Membership, holds: impl Fn(NodeId) -> bool) -> bool {
    outcome(membership, |id| Some(holds(id))) == Outcome::Won
}

#[cfg(test)]
mod tests;
