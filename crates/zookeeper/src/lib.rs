//! The ZooKeeper protocol over the member: clients and tools of ZooKeeper use it unmodified.
//!
//! - `wire` is the protocol's bytes.
//! - `prepare` decides what changes: it runs on the leader and turns requests into rows ([`ZooKeeper`]).
//! - `tables` and `path` say what the tree of nodes looks like in rows; `read` makes records of them; `identity`
//!   holds access lists against who a client is.
//! - `quota` counts what subtrees use; `members` writes the ensemble down as clients read it.
//! - `watch` turns changes of rows into a connection's events.
//! - `serve` is the front end: connections, order, sessions, four-letter words ([`serve`](fn@serve)).
//!
//! A session is a lease of the member's, a zxid is a revision of its state. It may not know of another protocol, of
//! the consensus below, or of files.
//!
//! `docs/zookeeper.md` says line by line what is here, by which test, and what is on purpose not as in the real server.

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test that unwraps nothing has failed"))]

mod identity;
mod keeper;
mod members;
mod options;
mod path;
mod prepare;
mod quota;
mod read;
mod serve;
mod tables;
mod watch;
mod wire;

pub use options::{Options, Rules};
pub use prepare::{PROTOCOL, ZooKeeper};
pub use serve::{Reports, Service, WORDS, serve};
