//! The front end over a real member: one member in a folder of its own, and clients that speak raw bytes, so that they
//! can also say what no proper client says.

#![allow(clippy::unwrap_used, reason = "a test that unwraps nothing has failed")]

mod client;
mod encrypted;
mod garbage;
mod identities;
mod keeper;
mod lists;
mod order;
mod reconfigure;
mod room;
mod sessions;
mod words;
