//! TLS for every listener: certificates from files, taken up again when the files change, and who the peer has proven to
//! be.
//!
//! - [`Acceptor`] turns accepted connections into encrypted ones.
//! - [`Peer`] is what a client's certificate says of the client.
//!
//! It knows files and connections; it may not know a protocol, a port, or what an identity may do.

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test that unwraps nothing has failed"))]

mod acceptor;
mod files;
mod peer;
#[cfg(test)]
mod tests;

pub use acceptor::{Acceptor, Encrypted, peer_of};
pub use files::{ClientCertificates, Settings, TlsError};
pub use peer::Peer;

/// The first byte of every TLS connection: a handshake record. No length of a sane frame and no letter begins so.
pub const FIRST_BYTE: u8 = 0x16;
