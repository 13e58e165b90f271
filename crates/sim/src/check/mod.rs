//! Judges histories: what clients asked, when, and what they were told. It knows the registers' meaning (written
//! down a second time in [`model`]) and nothing of members, logs or simulations, so that it can be wrong in its own
//! ways only; its tests hold it against histories whose verdict is known.
//!
//! - [`revision_order`]: every reply names a revision, so the ensemble itself claims an order. Checking a claimed
//!   order is fast and holds for histories of any length and for requests that touch many registers.
//! - [`wing_gong`]: searches for an order without believing any claim, for short histories of one register each.

pub mod history;
pub mod model;
pub mod revision_order;
pub mod wing_gong;

pub use history::{Done, History, Operation, Outcome, Step};
