//! Who may do what: users, roles, tokens and passwords.
//!
//! - [`accounts`]: users, roles and settings as rows of the state, read by everybody and written by the leader.
//! - [`permit`]: whether a caller may touch a range of keys, as of one state.
//! - [`tokens`]: how a client shows who it is: simple tokens, [`jwt`] with keys from [`der`], or a certificate.
//! - [`passwords`]: hashing, on a bounded number of threads.
//!
//! Tokens say who asks; what he may do is looked up in the very state that answers him (the leader's working state
//! for writes, the view behind the barrier for reads), so a change of a role holds from the next request on.
//!
//! It knows no request and no connection.

pub(crate) mod accounts;
mod der;
mod jwt;
pub(crate) mod passwords;
pub(crate) mod permit;
mod tokens;

pub use tokens::{TokenError, TokenKind};

pub(crate) use permit::Caller;
pub(crate) use tokens::Tokens;

/// The user who may do anything as long as he has the role of the same name, and that role.
pub(crate) const ROOT: &str = "root";
