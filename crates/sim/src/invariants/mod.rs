//! What must hold after every step, each a named function outside the code under test. They look at what members
//! write, say and publish, and at what clients are told, never at what a member believes of itself alone.
//!
//! - [`consensus`]: one leader a term, logs that match, entries that stay.
//! - [`durability`]: nothing is promised that a crash can take back.
//! - [`published`]: equal states, dense revisions, a feed without gaps.
//! - [`clients`]: what clients were told, and when.
//! - [`leases`]: not early, not never.
//!
//! [`Ledger`] holds what was decided for ever; [`Witness`] sees everything and calls the functions.

pub mod clients;
pub mod consensus;
pub mod durability;
pub mod leases;
mod ledger;
mod list;
pub mod published;
pub mod watches;
mod witness;

use std::fmt;

pub use ledger::{Decided, Deed, Ledger};
pub use list::{Invariant, take_looks};
pub use witness::{View, Witness};

/// An invariant that does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which.
    pub invariant: Invariant,
    /// What was found instead.
    pub detail: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.invariant.name(), self.detail)
    }
}

/// Whether an invariant holds.
pub type Verdict = Result<(), Violation>;

/// The violation of an invariant.
#[must_use]
pub fn violation(invariant: Invariant, detail: impl Into<String>) -> Violation {
    Violation { invariant, detail: detail.into() }
}

/// An invariant that holds if `holds` does.
///
/// # Errors
/// It does not.
pub fn ensure(holds: bool, invariant: Invariant, detail: impl FnOnce() -> String) -> Verdict {
    list::looked_at(invariant);
    if holds { Ok(()) } else { Err(violation(invariant, detail())) }
}

/// An invariant that holds unless something came back as an error.
///
/// # Errors
/// It did.
pub fn must<T, E: fmt::Display>(
    result: Result<T, E>,
    invariant: Invariant,
    who: impl FnOnce() -> String,
) -> Result<T, Violation> {
    list::looked_at(invariant);
    result.map_err(|why| violation(invariant, format!("{}: {why}", who())))
}
