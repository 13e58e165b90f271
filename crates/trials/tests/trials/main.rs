//! What a user would see. One program, so that its parts share what they are linked with; run one test at a time: each has
//! an ensemble of its own and the machine has few processors.

#![expect(clippy::unwrap_used, reason = "a test states what must hold; when it does not, a panic is the report")]

mod admin;
mod bad_input;
mod dev;
mod etcd;
mod everyday;
mod failover;
mod membership;
mod recipes;
mod storage;
mod why;
