//! What watchers are told: every change once, in order, and nothing else.

use super::{Invariant, Verdict, ensure};
use crate::registers::Register;

/// One change of a register: at which revision, which, and what it holds since.
pub type Told = (u64, Register, Option<u64>);

/// A watcher is told exactly what was decided behind what it knew, in that order: no gap, no duplicate, no other order,
/// nothing that was never decided.
///
/// # Errors
/// It is told something else.
pub fn watchers_see_every_change_once(watcher: usize, told: &[Told], decided: &[Told]) -> Verdict {
    ensure(told == decided, Invariant::WatchersSeeEveryChangeOnce, || {
        format!("watcher {watcher} is told {told:?}, decided was {decided:?}")
    })
}

/// Once everything up to a revision was handed out, a watcher that took it all knows every change up to there: so no
/// reply that saw the revision can overtake its event.
///
/// # Errors
/// It was not told of some.
pub fn watchers_miss_nothing(watcher: usize, through: u64, missed: &[Told]) -> Verdict {
    ensure(missed.is_empty(), Invariant::WatchersMissNothing, || {
        format!("all up to revision {through} was handed out, watcher {watcher} was not told of {missed:?}")
    })
}
