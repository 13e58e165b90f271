//! Where the keys of etcd's clients live, and how a row reads as a `KeyValue`. Knows nothing of requests.

use bytes::Bytes;
use node::ProtocolId;
use state::{History, Lease, LeaseId, Row, State, TableId, TableSpec};

use crate::wire::mvccpb::KeyValue;

/// This protocol's number: the owner of its leases.
pub const PROTOCOL: ProtocolId = ProtocolId(1);

/// The table of keys.
pub const KEYS: TableId = TableId(0x10);

/// The table of users, roles and the settings of authentication: see [`crate::auth`].
pub(crate) const AUTH: TableId = TableId(0x11);

/// The tables of this protocol. Of keys history is kept: the API reads and watches at old revisions. Accounts have a
/// revision of their own.
pub(crate) const TABLES: &[TableSpec] = &[
    TableSpec { id: KEYS, name: "etcd.keys", history: History::Kept },
    TableSpec { id: AUTH, name: "etcd.auth", history: History::Unversioned },
];

/// A revision, version or number of keys as the API spells it.
///
/// None of them comes near the sign bit: each costs at least one write of its own.
pub(crate) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A number of things in memory as the API spells it.
pub(crate) fn signed_count(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// A key and its row, with the value.
pub(crate) fn key_value(key: impl Into<Bytes>, row: &Row) -> KeyValue {
    KeyValue { value: row.value_bytes(), ..key_only(key, row) }
}

/// A key and its row, without the value.
pub(crate) fn key_only(key: impl Into<Bytes>, row: &Row) -> KeyValue {
    KeyValue {
        key: key.into(),
        create_revision: signed(row.created()),
        mod_revision: signed(row.modified()),
        version: signed(row.version()),
        value: Bytes::new(),
        lease: row.lease().0,
    }
}

/// A lease of this protocol. Leases of others do not exist for clients of this one.
pub(crate) fn lease(state: &State, id: i64) -> Option<&Lease> {
    state.lease(LeaseId(id)).filter(|lease| lease.owner == PROTOCOL.0)
}
