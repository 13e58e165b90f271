//! The ZooKeeper protocol over the member: clients and tools of ZooKeeper use it unmodified.
//!
//! - `wire` is the protocol's bytes.
//! - `prepare` decides what changes: it runs on the leader and turns requests into rows ([`ZooKeeper`]).
//! - `tables` and `path` say what the tree of nodes looks like in rows; `read` makes records of them; `identity`
//!   holds access lists against who a client is.
//! - `watch` turns changes of rows into a connection's events.
//! - `serve` is the front end: connections, order, sessions, four-letter words ([`serve`](fn@serve)).
//!
//! A session is a lease of the member's, a zxid is a revision of its state. It may not know of another protocol, of
//! the consensus below, or of files.
//!
//! On purpose not as in the real server:
//! - a refusal takes no zxid; children and ephemeral nodes come in the order of their names;
//! - a member that is behind what a client saw elsewhere catches up before it refuses that client;
//! - a wrong password does not disturb the session's owner; check by itself is answered; deleteContainer is ours alone;
//! - a path can carry one-time, persistent and recursive watches at once, and create2 in a transaction is answered
//!   with the node's numbers (both as in 3.9, unlike 3.8).
//!
//! Not here (yet): quotas, the content of `/zookeeper/config` and reconfig, SASL, x509 identities, local sessions,
//! read-only mode, TLS, the opcodes of ClickHouse Keeper, and the words crst, dump, gtmk, hash, srst, stmk, wchc, wchp,
//! wchs.

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test that unwraps nothing has failed"))]

mod identity;
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
