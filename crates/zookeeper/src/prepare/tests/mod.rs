//! Decisions against a state: what the real server answered to the same requests, and what holds after any of them.

mod bench;
mod golden;
mod keeper;
mod quotas;
mod random;
mod sessions;
