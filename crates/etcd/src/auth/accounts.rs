//! Users, roles and the settings of authentication as rows. Knows how they lie in the table, not who may change them.
//!
//! ```text
//! key            value
//! "s"            Settings: enabled, revision, secret
//! "u" name       StoredUser: password hash, roles, generation
//! "r" name       Role: permissions
//! ```

use std::ops::Bound;

use prost::Message;
use state::{LeaseId, Row, State, Transaction};

use crate::table::AUTH;
use crate::wire::authpb::Role;

const SETTINGS: &[u8] = b"s";
const USER: u8 = b'u';
const ROLE: u8 = b'r';

/// The authentication revision before the first change.
const FIRST_REVISION: u64 = 1;

/// What holds for all users.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Settings {
    /// Whether requests are checked at all.
    #[prost(bool, tag = "1")]
    pub(crate) enabled: bool,
    /// Grows with every change of a user, a role or a permission.
    #[prost(uint64, tag = "2")]
    pub(crate) revision: u64,
    /// What simple tokens are sealed with; chosen anew whenever authentication is enabled.
    #[prost(bytes = "vec", tag = "3")]
    pub(crate) secret: Vec<u8>,
}

/// A user as it is stored.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct StoredUser {
    /// The bcrypt hash of the password as text; empty for a user without one.
    #[prost(string, tag = "1")]
    pub(crate) password_hash: String,
    /// Names of roles, sorted.
    #[prost(string, repeated, tag = "2")]
    pub(crate) roles: Vec<String>,
    /// Whether the user can only be known by a certificate.
    #[prost(bool, tag = "3")]
    pub(crate) no_password: bool,
    /// The authentication revision of the last change of the password, or of the user's creation: simple tokens of an
    /// earlier generation are void.
    #[prost(uint64, tag = "4")]
    pub(crate) generation: u64,
}

impl StoredUser {
    /// Whether the user has the role that may do anything.
    pub(crate) fn is_root(&self) -> bool {
        self.has_role(super::ROOT)
    }

    /// Whether the user has this role.
    pub(crate) fn has_role(&self, role: &str) -> bool {
        self.roles.iter().any(|own| own == role)
    }
}

/// The row that changes whenever a user, a role or a permission does.
pub(crate) fn settings_row(state: &State) -> Option<&Row> {
    state.get(AUTH, SETTINGS)
}

/// The settings; those of an ensemble that never heard of authentication if there are none.
pub(crate) fn settings(state: &State) -> Settings {
    settings_row(state)
        .map_or_else(|| Settings { revision: FIRST_REVISION, ..Settings::default() }, |row| decode(row.value()))
}

/// Whether requests are checked. Costs one look-up if they are not.
pub(crate) fn enabled(state: &State) -> bool {
    settings_row(state).is_some() && settings(state).enabled
}

/// A user.
pub(crate) fn user(state: &State, name: &str) -> Option<StoredUser> {
    state.get(AUTH, &named(USER, name)).map(|row| decode(row.value()))
}

/// A role.
pub(crate) fn role(state: &State, name: &str) -> Option<Role> {
    state.get(AUTH, &named(ROLE, name)).map(|row| decode(row.value()))
}

/// The names of all users, sorted.
pub(crate) fn users(state: &State) -> Vec<String> {
    names(state, USER)
}

/// The names of all roles, sorted.
pub(crate) fn roles(state: &State) -> Vec<String> {
    names(state, ROLE)
}

pub(crate) fn put_settings(transaction: &mut Transaction<'_>, settings: &Settings) {
    transaction.put(AUTH, SETTINGS, &settings.encode_to_vec(), LeaseId::NONE);
}

pub(crate) fn put_user(transaction: &mut Transaction<'_>, name: &str, user: &StoredUser) {
    transaction.put(AUTH, &named(USER, name), &user.encode_to_vec(), LeaseId::NONE);
}

pub(crate) fn delete_user(transaction: &mut Transaction<'_>, name: &str) {
    transaction.delete(AUTH, &named(USER, name));
}

pub(crate) fn put_role(transaction: &mut Transaction<'_>, name: &str, role: &Role) {
    transaction.put(AUTH, &named(ROLE, name), &role.encode_to_vec(), LeaseId::NONE);
}

pub(crate) fn delete_role(transaction: &mut Transaction<'_>, name: &str) {
    transaction.delete(AUTH, &named(ROLE, name));
}

fn named(kind: u8, name: &str) -> Vec<u8> {
    [&[kind], name.as_bytes()].concat()
}

fn names(state: &State, kind: u8) -> Vec<String> {
    let (from, to) = ([kind], [kind + 1]);
    let mut rows = state.range(AUTH, Bound::Included(&from), Bound::Excluded(&to));
    let mut names = Vec::new();
    while let Some((key, _)) = rows.next() {
        names.push(String::from_utf8_lossy(&key[1..]).into_owned());
    }
    names
}

/// Rows of this table are written by this module alone, so they can be read; a row that cannot (a later version's,
/// perhaps) grants nothing.
fn decode<M: Message + Default>(value: &[u8]) -> M {
    M::decode(value).unwrap_or_default()
}
