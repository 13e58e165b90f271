//! Timeline tables: persistent radix trees, deltas, history, leases, change feed, running hash.

pub mod tree;
