//! Deterministic simulation of a whole ensemble (development only).
//!
//! A [`World`] holds three or five real members (`node::member::Member`, with real logs over disks in memory), a
//! network, clocks and clients, all in one thread and all grown from one seed: the same seed gives the same run, to the
//! last byte. Faults strike; after every step the [`invariants`] must hold; then everything is healed and the ensemble
//! must converge and serve; at last what clients remember is judged by the checkers in [`check`].
//!
//! `cargo xtask sim --help` says how to run many seeds, or one with a trace; [`campaign`] does it.
//!
//! # What it does not know
//! No real protocol ([`registers`] stands for all of them), no socket, no file, no clock of the machine. It replaces the
//! member's shell and keeps the member: what is wrong in the shell is not found here.

pub mod campaign;
pub mod chance;
pub mod check;
pub mod clock;
pub mod coverage;
pub mod disk;
pub mod drill;
pub mod fault;
pub mod invariants;
pub mod model;
pub mod network;
pub mod plan;
pub mod registers;
pub mod sabotage;
mod world;

pub use coverage::Coverage;
pub use fault::Fault;
pub use invariants::{Invariant, Violation};
pub use plan::Settings;
pub use sabotage::Sabotage;
pub use world::{Report, Trace, World};

/// Runs the world of a seed to its end.
///
/// # Errors
/// The first invariant that does not hold.
pub fn run(seed: u64, settings: Settings) -> Result<Report, Violation> {
    World::new(seed, settings, None).run()
}
