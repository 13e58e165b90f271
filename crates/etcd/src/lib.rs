//! The etcd v3 protocol: wire, prepare, serve, watch.
//!
//! Clients of etcd speak to any member. What they read is answered from that member's committed view, after a barrier
//! unless they are content with less; what they write travels to the leader, which decides it here ([`Etcd`]) and
//! answers with a message that the asking member completes and sends. Watches are served by each member from its own
//! change feed.
//!
//! The room's layout:
//! - [`wire`]: the messages of the public API; [`Refusal`]: its errors, whose codes and texts are a contract.
//! - `check`: what is malformed whatever the state; `keys`, `range`: what a range means, and its answer.
//! - `auth`: users, roles, tokens and passwords; `authorize`: what a request needs to be allowed.
//! - `prepare`: the leader's decisions, values in and values out; `envelope`: how they travel.
//! - `watch`: what a watch stream owes its client, as a plain value.
//! - `serve`: the services, async and thin.
//!
//! It may not know other protocols, nor how the log, the members or the files work.
//!
//! Known limits: a range is assembled in memory before it is sent.

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test that finds the impossible should stop"))]

mod auth;
mod authorize;
mod check;
mod envelope;
mod identity;
mod keys;
mod options;
mod prepare;
mod range;
mod refusal;
mod serve;
mod table;
mod watch;
pub mod wire;

pub use auth::{TokenError, TokenKind};
pub use options::Options;
pub use prepare::Etcd;
pub use refusal::Refusal;
pub use serve::{Service, ServiceError};
pub use table::{KEYS, PROTOCOL};
