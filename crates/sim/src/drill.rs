//! The leader is struck at one exact step of a busy world: once for every step, so that no moment of its work in
//! pipelined batches is left out. Everything else in these worlds goes well. It knows no more of a world than that.

use std::ops::Range;

use crate::clock::{MILLISECOND, SECOND};
use crate::{Report, Settings, Violation, World};

/// What happens to the leader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blow {
    /// It is cut off, and another takes its place while it does not know of it.
    Deposed,
    /// It is killed.
    Killed,
    /// Its machine loses power.
    Unpowered,
    /// It stands still, and goes on when another leads.
    Paused,
    /// It is asked to step aside.
    StepsAside,
}

impl Blow {
    /// All of them.
    pub const ALL: [Blow; 5] = [Blow::Deposed, Blow::Killed, Blow::Unpowered, Blow::Paused, Blow::StepsAside];
}

/// A blow, and when it falls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drill {
    /// The step after which it falls.
    pub step: u64,
    /// What it is.
    pub blow: Blow,
}

/// How long such a world is busy, in nanoseconds.
pub(crate) const DURATION: u64 = 3 * SECOND;
/// When there is surely a leader with its hands full, in nanoseconds.
const BUSY: u64 = 1500 * MILLISECOND;

/// The steps of the busy world of a seed that lie within so many milliseconds.
///
/// # Errors
/// The world breaks before any blow falls.
pub fn busy_steps(seed: u64, milliseconds: u64) -> Result<Range<u64>, Violation> {
    let mut world = World::new(seed, settings(u64::MAX, Blow::Killed), None);
    let first = world.steps_until(BUSY)?;
    Ok(first..world.steps_until(BUSY + milliseconds * MILLISECOND)?)
}

/// Runs the busy world of a seed to its end, with a blow after one step.
///
/// # Errors
/// The first invariant that does not hold.
pub fn run(seed: u64, step: u64, blow: Blow) -> Result<Report, Violation> {
    World::new(seed, settings(step, blow), None).run()
}

fn settings(step: u64, blow: Blow) -> Settings {
    Settings { drill: Some(Drill { step, blow }), ..Settings::default() }
}
