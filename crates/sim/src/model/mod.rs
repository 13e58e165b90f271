//! The model check: every behaviour of the shipped consensus core, within bounds.
//!
//! `stateright` explores a graph. A node is a [`Scene`]: a whole ensemble of `raft::testing`, which is three real cores,
//! their disks with the writes under way, and all messages under way, in no order. An edge is one [`Action`]: a message
//! arrives (any of them), a disk finishes a write, a timer runs out, a member dies with any number of its unfinished
//! writes kept, a client asks for something. In every node every promise of the core must hold.
//!
//! Exploring everything is only possible in small worlds, so there are several, each about one thing
//! ([`configurations`]), and each bounded by how often what may happen ([`Budget`]). A world in which the interesting
//! never happens proves nothing: each names what must happen somewhere in it, and fails if it never does.
//!
//! # What it does not know
//! No time and no chance. It says nothing about liveness: that the ensemble works again when faults stop is for the
//! walker and the simulator. A message that never arrives is a lost message; so loss needs no action of its own, except
//! where room on the wire is bounded.

mod beginnings;
mod configuration;
mod report;
mod scene;
#[cfg(test)]
mod tests;

pub use configuration::{Configuration, configurations};
pub use report::{Report, Verdict};
pub use scene::{Action, Budget, Scene};

use std::num::NonZeroUsize;
use std::time::Instant;

use stateright::{Checker, HasDiscoveries, Model as _};

/// Transitions after which a shorter way to what is broken is no longer looked for.
const SHORTER: NonZeroUsize = NonZeroUsize::MIN.saturating_add(300_000 - 1);

/// Explores one small world, up to so many transitions.
///
/// Depth first, for that needs little memory; if something breaks, once more breadth first, for a shorter way there.
#[must_use]
pub fn explore(world: &Configuration, most: NonZeroUsize) -> Report {
    let began = Instant::now();
    let checker = || world.clone().checker().finish_when(HasDiscoveries::AnyFailures);
    let deep = checker().target_state_count(most.get()).spawn_dfs().join();
    let report = Report::of(world, &deep, began.elapsed(), most);
    if !matches!(report.verdict, Verdict::Broken { .. }) {
        return report;
    }
    let wide = checker().target_state_count(SHORTER.get()).spawn_bfs().join();
    let shorter = Report::of(world, &wide, began.elapsed(), SHORTER);
    if matches!(shorter.verdict, Verdict::Broken { .. }) { shorter } else { report }
}
