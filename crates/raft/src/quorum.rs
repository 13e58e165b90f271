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

/// Voters whose values are looked at without asking for memory.
const FEW: usize = 16;

/// The highest value that a majority has reached, in both halves if joint; the default if none.
pub(crate) fn agreed<V: Ord + Copy + Default>(membership: &Membership, value: impl Fn(NodeId) -> V) -> V {
    let of = |voters: &BTreeSet<NodeId>| {
        let values = voters.iter().map(|&id| value(id));
        let count = voters.len();
        if count > FEW {
            return reached_by_majority(&values.collect::<Vec<V>>());
        }
        let mut few = [V::default(); FEW];
        few.iter_mut().zip(values).for_each(|(place, value)| *place = value);
        reached_by_majority(&few[..count])
    };
    let incoming = of(&membership.voters);
    let both = membership.is_joint() && !mutated("new-voters-commit");
    if both { incoming.min(of(&membership.outgoing)) } else { incoming }
}

/// The highest of these values that more than half of them have reached.
fn reached_by_majority<V: Ord + Copy + Default>(values: &[V]) -> V {
    if mutated("R5") {
        return values.get(values.len() / 2).copied().unwrap_or_default();
    }
    let needed = majority(values.len());
    let reached = |least: V| values.iter().filter(|&&value| value >= least).count() >= needed;
    values.iter().copied().filter(|&candidate| reached(candidate)).max().unwrap_or_default()
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
